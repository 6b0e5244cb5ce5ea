"""What a model file says of itself: labels, resize rule, thresholds, provenance.

The JSON object in the ONNX file's `metadata_props["faunalens"]` is the only copy of these facts.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from faunalens.errors import ModelError
from faunalens.limits import (
    FamilySpec,
    SecondModel,
    Thresholds,
    families_from,
    pair_from,
)

METADATA_KEY = "faunalens"
SCHEMA = 1


@dataclass(frozen=True)
class ResizeRule:
    """How a decoded photo becomes the model's input.

    Attributes:
        size_px: Side S of the square input.
        library: Whose resampling the model was trained with; another library's differs.
        filter: `bicubic` or `bilinear`, antialiased.
        padding: `none` (the whole photo is stretched to the square) or `grey` (aspect ratio
            kept, the rest filled with `127`).
    """

    size_px: int
    library: str = "pillow"
    filter: str = "bicubic"
    padding: str = "none"

    def __post_init__(self) -> None:
        if not 32 <= self.size_px <= 2048:
            raise ModelError(f"resize.size_px must be 32 to 2048, found {self.size_px}")
        _one_of("resize.library", self.library, ("pillow",))
        _one_of("resize.filter", self.filter, ("bicubic", "bilinear"))
        _one_of("resize.padding", self.padding, ("none", "grey"))


@dataclass(frozen=True)
class TaxonSpec:
    """One column of the optional output `taxon`.

    Attributes:
        id: Of the taxon in the label list.
        label: Id of the label that it is a kind of.
    """

    id: str
    label: str


@dataclass(frozen=True)
class NoveltySpec:
    """How to read the optional output `novelty`: how unlike the photos it learnt from a photo is.

    Attributes:
        threshold: The novelty from which on a photo is too strange to alert.
        rate: Share of held-out real photos at or above it, as measured, 0 to 1.
        method: How it is computed.
    """

    threshold: float
    rate: float
    method: str

    def __post_init__(self) -> None:
        if not (math.isfinite(self.threshold) and 0 <= self.rate < 1):
            raise ModelError(
                "novelty needs a finite threshold and 0 <= rate < 1, found "
                f"{self.threshold} and {self.rate}"
            )


@dataclass(frozen=True)
class ModelSpec:
    """Everything the runtime needs to know about a model file.

    Attributes:
        name, version: Of the model, not of this package.
        labels: Ids in output order.
        families: Family id to its labels, covering each label once.
        thresholds: Label id to its thresholds.
        resize: The pre-processing.
        calibration: How logits became probabilities (method and its parameters).
        dataset: Fingerprint of the training manifest and split sizes.
        licence: SPDX id of the weights.
        commit: Git commit of the training code.
        taxa: Columns of the output `taxon`; empty if the file has none.
        novelty: Of the output `novelty`; None if the file has none.
        second: The sharper model that ships beside this one; None if there is none.
    """

    name: str
    version: str
    labels: tuple[str, ...]
    families: Mapping[str, FamilySpec]
    thresholds: Mapping[str, Thresholds]
    resize: ResizeRule
    calibration: Mapping[str, Any]
    dataset: Mapping[str, Any]
    licence: str
    commit: str
    schema: int = SCHEMA
    taxa: tuple[TaxonSpec, ...] = ()
    novelty: NoveltySpec | None = None
    second: SecondModel | None = None

    def __post_init__(self) -> None:
        if self.schema != SCHEMA:
            raise ModelError(
                f"model metadata has schema {self.schema}, this program reads {SCHEMA}; "
                "install the faunalens version the model was made for"
            )
        if not self.labels or len(set(self.labels)) != len(self.labels):
            raise ModelError("model metadata must list each label once")
        if set(self.thresholds) != set(self.labels):
            odd = sorted(set(self.thresholds) ^ set(self.labels))
            raise ModelError(f"labels and thresholds differ in {', '.join(odd)}")
        members = [label for family in self.families.values() for label in family.labels]
        if sorted(members) != sorted(self.labels):
            raise ModelError("each label must be in exactly one family")
        if self.second is not None:
            if not set(self.second.doubt) <= set(self.labels):
                raise ModelError("second.doubt names labels that the model has not")
            second = self.second
            for name, values in (
                ("weights[0]", second.weights[0]),
                ("weights[1]", second.weights[1]),
                ("offset", second.offset),
                ("zoom_penalty", second.zoom_penalty),
            ):
                if len(values) != len(self.labels):
                    raise ModelError(f"second.{name} must hold {len(self.labels)} numbers")
            replace(
                self,
                thresholds=self.second.thresholds,
                families=self.second.families,
                second=None,
            )  # the same checks for the joint ones
        if len({taxon.id for taxon in self.taxa}) != len(self.taxa):
            raise ModelError("model metadata must list each taxon once")
        if odd := sorted({taxon.label for taxon in self.taxa} - set(self.labels)):
            raise ModelError(f"taxa belong to unknown labels: {', '.join(odd)}")

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read metadata.

        Raises:
            ModelError: Not JSON, a field missing or unknown, or a value out of range.
        """
        try:
            raw = json.loads(text)
            families = families_from(raw.pop("families"))
            second = raw.pop("second", None)
            thresholds = {key: pair_from(value) for key, value in raw.pop("thresholds").items()}
            resize = ResizeRule(**raw.pop("resize"))
            labels = tuple(raw.pop("labels"))
            if "taxa" in raw:
                raw["taxa"] = tuple(TaxonSpec(**taxon) for taxon in raw["taxa"])
            if "novelty" in raw:
                raw["novelty"] = NoveltySpec(**raw["novelty"])
            return cls(
                labels=labels,
                families=families,
                thresholds=thresholds,
                resize=resize,
                second=None if second is None else SecondModel.from_raw(second),
                **raw,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ModelError(
                f"model metadata is malformed ({type(error).__name__}: {error}); "
                "expected a file written by `faunalens-train export`"
            ) from error

    def to_json(self) -> str:
        """The inverse of `from_json`; keys sorted, so equal specs give equal bytes."""
        raw = asdict(self)
        joint = raw["second"]["families"].values() if self.second else ()
        for family in (*raw["families"].values(), *joint):
            if family["thresholds"] is None:
                del family["thresholds"]
        for optional in ("taxa", "novelty", "second"):
            if not raw[optional]:
                del raw[optional]
        return json.dumps(raw, sort_keys=True, ensure_ascii=False, allow_nan=False)

    def family_of(self, label: str) -> str:
        """Id of the family that holds `label`."""
        return next(key for key, family in self.families.items() if label in family.labels)


def family_probability(probabilities: list[float]) -> float:
    """Chance that at least one of a family's labels is present, taking them as independent."""
    return 1.0 - math.prod(1.0 - p for p in probabilities)


def _one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ModelError(f"{field} must be one of {', '.join(known)}; found {value!r}")
