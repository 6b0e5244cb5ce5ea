"""Recognise protected species and wildlife products in photos.

    from faunalens import Classifier
    record = Classifier().classify("photo.jpg").record
    print(record.verdict, record.label, record.probability)

A hit is a lead, not proof: a photo cannot show age, origin, captive breeding or a certificate.
"""

from importlib.metadata import version

from faunalens.batch import scan
from faunalens.decide import Decision, Policy, Verdict, decide, load_overrides, policy
from faunalens.decode import Photo, decode
from faunalens.errors import (
    FailureKind,
    FaunalensError,
    LabelError,
    ModelError,
    PhotoError,
    UsageError,
)
from faunalens.labels import load_labels
from faunalens.model import Model, Prediction
from faunalens.pipeline import Classifier, Judgement
from faunalens.preprocess import preprocess
from faunalens.record import Failure, Record, read_records
from faunalens.spec import ModelSpec, ResizeRule, Threshold, Thresholds

__version__ = version("faunalens")

__all__ = [
    "Classifier",
    "Decision",
    "Failure",
    "FailureKind",
    "FaunalensError",
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
    "decide",
    "decode",
    "load_labels",
    "load_overrides",
    "policy",
    "preprocess",
    "read_records",
    "scan",
]
