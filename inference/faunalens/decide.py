"""Probabilities to a verdict. Pure: numbers in, verdict out."""

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from faunalens.errors import FileError, ModelError, UsageError
from faunalens.limits import FamilySpec, Thresholds
from faunalens.spec import ModelSpec, family_probability


class Verdict(StrEnum):
    """What to do with a photo, strongest first."""

    ALERT = "alert"
    REVIEW = "review"
    CLEAR = "clear"

    @property
    def strength(self) -> int:
        """2 alert, 1 review, 0 clear."""
        return {"alert": 2, "review": 1, "clear": 0}[self]


class Look(StrEnum):
    """How closely photos are looked at."""

    FIRST = "first"
    """The fast model alone."""
    SECOND = "second"
    """Photos that leave the fast model in doubt are judged again by the sharper one."""
    ZOOM = "zoom"
    """And if that raises no alert, so are parts of them."""


@dataclass(frozen=True)
class Decision:
    """A verdict and why.

    Attributes:
        verdict: The strongest over labels and families.
        label: The label that decided; of a family, its likeliest label.
        family: The family of `label`.
        probability: Of `label`, or of the family if the family decided.
        rule: The comparison that decided, such as `ivory >= alert 0.62` or
            `family live_reptile >= review 0.3`.
    """

    verdict: Verdict
    label: str
    family: str
    probability: float
    rule: str


@dataclass(frozen=True)
class Policy:
    """Which labels count, from which probability on, and how closely a photo is looked at.

    Attributes:
        labels: Ids that may decide, in model order.
        thresholds: Per label in `labels`.
        families: Families cut down to `labels`; only whole ones keep thresholds.
        look: What the thresholds are meant for.
    """

    labels: tuple[str, ...]
    thresholds: Mapping[str, Thresholds]
    families: Mapping[str, FamilySpec]
    look: Look = Look.FIRST


def policy(
    spec: ModelSpec,
    *,
    labels: Iterable[str] | None = None,
    overrides: Mapping[str, Mapping[str, float]] | None = None,
    look: Look | None = None,
) -> Policy:
    """The model's own thresholds, restricted and overridden by the user.

    Args:
        labels: Label or family ids that may decide; all if None. An id that is both (`pangolin`)
            means the label, here and in `overrides`.
        overrides: Label or family id to `{"alert": p, "review": p}`, either or both.
        look: SECOND if None and the model names a second one, else FIRST.

    Raises:
        UsageError: An unknown id, thresholds that contradict each other, or a second look with a
            model that has none.
    """
    if look is None:
        look = Look.SECOND if spec.second else Look.FIRST
    if look is not Look.FIRST:
        if spec.second is None:
            raise UsageError(
                f"a second look needs a second model, and {spec.name} {spec.version} names none"
            )
        spec = replace(
            spec, thresholds=spec.second.thresholds, families=spec.second.families, second=None
        )
    chosen = set(spec.labels) if labels is None else _expand(spec, labels)
    kept = tuple(label for label in spec.labels if label in chosen)
    families = {}
    for key, family in spec.families.items():
        members = tuple(label for label in family.labels if label in chosen)
        if members:
            whole = members == family.labels
            families[key] = FamilySpec(members, family.thresholds if whole else None)
    thresholds = {label: spec.thresholds[label] for label in kept}
    for key, change in (overrides or {}).items():
        if key in thresholds:
            thresholds[key] = _override(key, thresholds[key], change)
        elif key in families and (own := families[key].thresholds) is not None:
            families[key] = replace(families[key], thresholds=_override(key, own, change))
        elif key not in spec.labels and key not in spec.families:
            raise _unknown(spec, key)
        # else: thresholds for a label that --labels leaves out have nothing to act on
    return Policy(kept, thresholds, families, look)


def load_overrides(path: Path) -> dict[str, dict[str, float]]:
    """Read a threshold file: TOML, one table per label or family id, keys `alert`, `review`.

    Raises:
        FileError: Unreadable, not TOML, or values that are not probabilities.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError(f"cannot read thresholds from {path}: {error}") from error
    for key, change in raw.items():
        good = isinstance(change, dict) and all(
            name in ("alert", "review")
            and isinstance(value, int | float)
            and not isinstance(value, bool)
            and 0 < value <= 1
            for name, value in change.items()
        )
        if not good:
            raise FileError(
                f"{path}: [{key}] must hold alert and/or review with numbers above 0 up to 1, "
                f"found {change!r}"
            )
    return raw


def decide(
    spec: ModelSpec,
    probabilities: Sequence[float],
    rules: Policy,
    novelty: float | None = None,
) -> Decision:
    """Judge one photo.

    Args:
        probabilities: In the order of `spec.labels`, each 0 to 1.
        rules: From `policy`.
        novelty: Of the photo; from the threshold of `spec.novelty` on, what would be an alert asks
            for review instead, since a model's certainty means little far from what it learnt.
    """
    if len(probabilities) != len(spec.labels):
        raise ValueError(f"expected {len(spec.labels)} probabilities, got {len(probabilities)}")
    by_label = dict(zip(spec.labels, probabilities, strict=True))
    candidates: list[tuple[Decision, bool]] = []  # and whether a label decided
    for label in rules.labels:
        verdict, rule = _judge(label, by_label[label], rules.thresholds[label])
        family = spec.family_of(label)
        candidates.append((Decision(verdict, label, family, by_label[label], rule), True))
    for key, members in rules.families.items():
        if members.thresholds is not None:
            likeliest = max(members.labels, key=by_label.__getitem__)
            probability = family_probability([by_label[label] for label in members.labels])
            verdict, rule = _judge(f"family {key}", probability, members.thresholds)
            candidates.append((Decision(verdict, likeliest, key, probability, rule), False))
    # Of equally strong verdicts a label beats a family (it says more), then the likelier wins.
    best = max(candidates, key=lambda c: (c[0].verdict.strength, c[1], c[0].probability))[0]
    return with_novelty(spec, best, novelty)


def with_novelty(spec: ModelSpec, decision: Decision, novelty: float | None) -> Decision:
    """The decision, an alert on a photo unlike known ones turned into a review (see `decide`)."""
    if decision.verdict is not Verdict.ALERT or novelty is None or spec.novelty is None:
        return decision
    if novelty < spec.novelty.threshold:
        return decision
    # NaN comes here too: it is no reason to trust an alert.
    why = f"unlike known photos: novelty {novelty:.3g} >= {spec.novelty.threshold:.3g}"
    return replace(decision, verdict=Verdict.REVIEW, rule=f"{decision.rule}, but {why}")


def _judge(who: str, probability: float, thresholds: Thresholds) -> tuple[Verdict, str]:
    for verdict, threshold in (
        (Verdict.ALERT, thresholds.alert),
        (Verdict.REVIEW, thresholds.review),
    ):
        if probability >= threshold.probability:
            return verdict, f"{who} >= {verdict} {threshold.probability:.4g}"
    return Verdict.CLEAR, f"{who} < review {thresholds.review.probability:.4g}"


def _expand(spec: ModelSpec, ids: Iterable[str]) -> set[str]:
    chosen: set[str] = set()
    for key in ids:
        if key in spec.labels:
            chosen.add(key)
        elif key in spec.families:
            chosen.update(spec.families[key].labels)
        else:
            raise _unknown(spec, key)
    if not chosen:
        raise UsageError("no labels chosen; leave the option out to use all")
    return chosen


def _override(key: str, own: Thresholds, change: Mapping[str, float]) -> Thresholds:
    try:
        return Thresholds(
            alert=replace(own.alert, probability=float(change["alert"]))
            if "alert" in change
            else own.alert,
            review=replace(own.review, probability=float(change["review"]))
            if "review" in change
            else own.review,
        )
    except ModelError as error:
        raise UsageError(f"thresholds of {key}: {error}") from error


def _unknown(spec: ModelSpec, key: str) -> UsageError:
    known = ", ".join((*spec.labels, *(f for f in spec.families if f not in spec.labels)))
    return UsageError(f"unknown label or family {key!r}; this model knows {known}")
