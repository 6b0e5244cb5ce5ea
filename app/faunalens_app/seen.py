"""A judged photo as a session keeps it: all that the screens need of it, but no pixels."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faunalens.decide import Policy
from faunalens.labels import LabelList, load_labels
from faunalens.pipeline import Classifier, Judgement
from faunalens.record import Record
from faunalens.spec import ModelSpec


@dataclass(frozen=True)
class Seen:
    """One photo.

    Attributes:
        path: The uploaded copy, which is deleted after a while; None if there never was one.
        record: What was found.
        at: When, with time zone.
        evidence: `(L, h, w)` float32; None if the photo failed or was judged elsewhere.
        embedding: `(D,)` float32 of length 1; likewise.
    """

    path: Path | None
    record: Record
    at: datetime
    evidence: npt.NDArray[np.float32] | None = None
    embedding: npt.NDArray[np.float32] | None = None

    @classmethod
    def of(cls, judgement: Judgement, path: Path | None) -> "Seen":
        """A fresh judgement."""
        return cls(
            path,
            judgement.record,
            datetime.now().astimezone(),
            judgement.evidence,
            judgement.embedding,
        )


@dataclass(frozen=True)
class Bench:
    """What all screens judge with, and by."""

    classifier: Classifier
    labels: LabelList

    @classmethod
    def of(cls, classifier: Classifier) -> "Bench":
        """With the label list of this package."""
        return cls(classifier, load_labels())

    @property
    def spec(self) -> ModelSpec:
        """What the model says of itself."""
        return self.classifier.model.spec

    @property
    def rules(self) -> Policy:
        """The thresholds photos are judged by."""
        return self.classifier.rules
