"""What a model file says of itself: labels, resize rule, thresholds, provenance.

The JSON object in the ONNX file's `metadata_props["faunalens"]` is the only copy of these facts.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

from faunalens.errors import ModelError

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
class Threshold:
    """A probability at and above which a verdict holds.

    Attributes:
        probability: 0 to 1.
        fpr: Share of validation negatives at or above it that was aimed for, 0 to 1.
    """

    probability: float
    fpr: float

    def __post_init__(self) -> None:
        if not (0 < self.probability <= 1 and 0 < self.fpr < 1):
            raise ModelError(
                "a threshold needs 0 < probability <= 1 and 0 < fpr < 1, found "
                f"{self.probability} and {self.fpr}"
            )


@dataclass(frozen=True)
class Thresholds:
    """The two thresholds of a label or family: `alert` (few false alarms), `review` (most hits)."""

    alert: Threshold
    review: Threshold

    def __post_init__(self) -> None:
        if self.review.probability > self.alert.probability:
            raise ModelError(
                f"review threshold {self.review.probability} is above the alert threshold "
                f"{self.alert.probability}; expected review <= alert"
            )


@dataclass(frozen=True)
class FamilySpec:
    """Labels that one answer can be given for ("a reptile, kind uncertain").

    Attributes:
        labels: Label ids. The family's probability is 1 - prod(1 - p) over them.
        thresholds: The family's own, or None where it has a single label.
    """

    labels: tuple[str, ...]
    thresholds: Thresholds | None = None


@dataclass(frozen=True)
class SecondModel:
    """A sharper model that judges again the photos that leave the first one in doubt.

    Its logit and the first one's are joined, per label: `weights[0] * first + weights[1] * second +
    offset[label]`.

    Attributes:
        file: Name of the model file, which lies beside the first one's.
        sha256: Of that file.
        doubt: Label id to the first model's probability at and above which a photo is judged again.
        weights: Of the first and the second logit, each 0 or more.
        offset: One per label, in label order.
        zoom_penalty: Taken from the joint logit of a part of a photo: of many parts the highest is
            high by chance.
        thresholds: Label id to its thresholds for joint probabilities.
        families: Family id to its labels and thresholds for joint probabilities.
    """

    file: str
    sha256: str
    doubt: Mapping[str, float]
    weights: tuple[float, float]
    offset: tuple[float, ...]
    zoom_penalty: float
    thresholds: Mapping[str, Thresholds]
    families: Mapping[str, FamilySpec]

    def __post_init__(self) -> None:
        if not self.file or any(sign in self.file for sign in "/\\:\0") or self.file[0] == ".":
            raise ModelError(f"second.file must be the plain name of a file, found {self.file!r}")
        if len(self.weights) != 2 or min(self.weights) < 0 or self.zoom_penalty < 0:
            raise ModelError("second.weights must be two numbers, and none of them negative")

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any]) -> Self:
        """From the values of the metadata."""
        return cls(
            file=str(raw["file"]),
            sha256=str(raw["sha256"]),
            doubt={key: float(value) for key, value in raw["doubt"].items()},
            weights=tuple(float(value) for value in raw["weights"]),  # type: ignore[arg-type]
            offset=tuple(float(value) for value in raw["offset"]),
            zoom_penalty=float(raw["zoom_penalty"]),
            thresholds={key: _pair(value) for key, value in raw["thresholds"].items()},
            families=_families(raw["families"]),
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
        second: The sharper model that ships beside this one, if there is one.
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
    second: SecondModel | None = None
    schema: int = SCHEMA

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
            if len(self.second.offset) != len(self.labels):
                raise ModelError(f"second.offset must hold {len(self.labels)} numbers")
            replace(
                self,
                thresholds=self.second.thresholds,
                families=self.second.families,
                second=None,
            )  # the same checks for the joint ones

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read metadata.

        Raises:
            ModelError: Not JSON, a field missing or unknown, or a value out of range.
        """
        try:
            raw = json.loads(text)
            families = _families(raw.pop("families"))
            second = raw.pop("second", None)
            thresholds = {key: _pair(value) for key, value in raw.pop("thresholds").items()}
            resize = ResizeRule(**raw.pop("resize"))
            labels = tuple(raw.pop("labels"))
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
        if self.second is None:
            del raw["second"]
        return json.dumps(raw, sort_keys=True, ensure_ascii=False, allow_nan=False)

    def family_of(self, label: str) -> str:
        """Id of the family that holds `label`."""
        return next(key for key, family in self.families.items() if label in family.labels)


def family_probability(probabilities: list[float]) -> float:
    """Chance that at least one of a family's labels is present, taking them as independent."""
    return 1.0 - math.prod(1.0 - p for p in probabilities)


def _pair(raw: Mapping[str, Any]) -> Thresholds:
    return Thresholds(Threshold(**raw["alert"]), Threshold(**raw["review"]))


def _families(raw: Mapping[str, Any]) -> dict[str, FamilySpec]:
    return {
        key: FamilySpec(
            tuple(value["labels"]),
            _pair(value["thresholds"]) if "thresholds" in value else None,
        )
        for key, value in raw.items()
    }


def _one_of(field: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ModelError(f"{field} must be one of {', '.join(known)}; found {value!r}")
