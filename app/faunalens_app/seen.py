"""A judged photo as a session keeps it: all that the screens need of it, but no pixels."""

import functools
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faunalens.decide import Look, Policy, policy
from faunalens.hints import Hint
from faunalens.labels import LabelList, load_labels
from faunalens.model import Model
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
        may_be: The taxa it may show, likeliest first; a help, no part of the verdict.
        small: A small picture of it, as a URL, for a gallery.
        novel: Whether it is unlike the photos the model learnt from.
    """

    path: Path | None
    record: Record
    at: datetime
    evidence: npt.NDArray[np.float32] | None = None
    embedding: npt.NDArray[np.float32] | None = None
    may_be: tuple[Hint, ...] = ()
    novel: bool = False
    small: str = ""

    @classmethod
    def of(cls, judgement: Judgement, path: Path | None, spec: ModelSpec) -> "Seen":
        """A fresh judgement by a model."""
        limit = spec.novelty.threshold if spec.novelty else None
        return cls(
            path,
            judgement.record,
            datetime.now().astimezone(),
            judgement.evidence,
            judgement.embedding,
            judgement.may_be,
            limit is not None and judgement.novelty is not None and judgement.novelty >= limit,
        )

    @classmethod
    def told(cls, record: Record) -> "Seen":
        """A judgement of another day, without its photo."""
        return cls(None, record, datetime.now().astimezone())


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

    def closer(self) -> Classifier:
        """The same model, looking again with its second one, and at parts of the photo.

        Raises:
            ModelError: The second model's file is missing.
        """
        return _closer(self.classifier.model)

    def taxon_name(self, taxon_id: str, language: str) -> str:
        """A taxon's name in a language; its id, made readable, if the label list has no names."""
        for taxon in getattr(self.labels, "taxa", ()):
            if taxon.id == taxon_id:
                return str(taxon.names[language])
        return taxon_id.replace("_", " ").capitalize()


@functools.lru_cache(maxsize=2)
def _closer(model: Model) -> Classifier:
    return Classifier(model, policy(model.spec, look=Look.ZOOM))
