"""Where verdicts begin, for one model alone and for two together: a part of a model's metadata."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from faunalens.errors import ModelError


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

    Its logit and the first one's are joined, per label: `weights[0][label] * first +
    weights[1][label] * second + offset[label]`.

    Attributes:
        file: Name of the model file, which lies beside the first one's.
        sha256: Of that file.
        doubt: Label id to the first model's probability at and above which a photo is judged again.
        weights: Of the first and of the second logit, one per label, in label order; 0 or more.
        offset: One per label, in label order.
        zoom_penalty: One per label, taken from the joint logit of a part of a photo: of many parts
            the highest is high by chance.
        thresholds: Label id to its thresholds for joint probabilities.
        families: Family id to its labels and thresholds for joint probabilities.
    """

    file: str
    sha256: str
    doubt: Mapping[str, float]
    weights: tuple[tuple[float, ...], tuple[float, ...]]
    offset: tuple[float, ...]
    zoom_penalty: tuple[float, ...]
    thresholds: Mapping[str, Thresholds]
    families: Mapping[str, FamilySpec]

    def __post_init__(self) -> None:
        if not self.file or any(sign in self.file for sign in "/\\:\0") or self.file[0] == ".":
            raise ModelError(f"second.file must be the plain name of a file, found {self.file!r}")
        if len(self.weights) != 2:
            raise ModelError("second.weights must be two lists, of the first and second model")
        for value in (*self.weights[0], *self.weights[1], *self.zoom_penalty):
            if not 0 <= value < math.inf:  # nor NaN, which JSON may hold
                raise ModelError(
                    "second.weights and second.zoom_penalty must be 0 or more, and finite"
                )

    @classmethod
    def from_raw(cls, raw: Mapping[str, Any]) -> Self:
        """From the values of the metadata."""
        return cls(
            file=str(raw["file"]),
            sha256=str(raw["sha256"]),
            doubt={key: float(value) for key, value in raw["doubt"].items()},
            weights=tuple(  # type: ignore[arg-type]
                tuple(float(value) for value in one) for one in raw["weights"]
            ),
            offset=tuple(float(value) for value in raw["offset"]),
            zoom_penalty=tuple(float(value) for value in raw["zoom_penalty"]),
            thresholds={key: pair_from(value) for key, value in raw["thresholds"].items()},
            families=families_from(raw["families"]),
        )


def pair_from(raw: Mapping[str, Any]) -> Thresholds:
    """From the values of the metadata."""
    return Thresholds(Threshold(**raw["alert"]), Threshold(**raw["review"]))


def families_from(raw: Mapping[str, Any]) -> dict[str, FamilySpec]:
    """From the values of the metadata."""
    return {
        key: FamilySpec(
            tuple(value["labels"]),
            pair_from(value["thresholds"]) if "thresholds" in value else None,
        )
        for key, value in raw.items()
    }
