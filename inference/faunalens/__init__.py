"""Recognise protected species and wildlife products in photos.

    from faunalens import Classifier
    record = Classifier().classify("photo.jpg").record
    print(record.verdict, record.label, record.probability)

A hit is a lead, not proof: a photo cannot show age, origin, captive breeding or a certificate.
"""

from importlib.metadata import version

from faunalens.batch import scan
from faunalens.decide import Decision, Policy, Verdict, load_overrides, policy
from faunalens.decode import Photo
from faunalens.errors import (
    FailureKind,
    FaunalensError,
    FileError,
    LabelError,
    ModelError,
    PhotoError,
    UsageError,
)
from faunalens.hints import Hint
from faunalens.inputs import find_photos
from faunalens.labels import load_labels
from faunalens.limits import Threshold, Thresholds
from faunalens.model import Model, Prediction
from faunalens.output import read_results
from faunalens.pipeline import Classifier, Judgement
from faunalens.record import Failure, Record, read_records
from faunalens.spec import ModelSpec, ResizeRule

__version__ = version("faunalens")

__all__ = [
    "Classifier",
    "Decision",
    "Failure",
    "FailureKind",
    "FaunalensError",
    "FileError",
    "Hint",
    "Judgement",
    "LabelError",
    "Model",
    "ModelError",
    "ModelSpec",
    "Photo",
    "PhotoError",
    "Policy",
    "Prediction",
    "Record",
    "ResizeRule",
    "Threshold",
    "Thresholds",
    "UsageError",
    "Verdict",
    "find_photos",
    "load_labels",
    "load_overrides",
    "policy",
    "read_records",
    "read_results",
    "scan",
]
