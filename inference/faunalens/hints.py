"""Which listed taxa a hit may show: a help to whoever looks on, and never part of the verdict."""

from collections.abc import Sequence
from dataclasses import dataclass

from faunalens.decide import Decision, Policy, Verdict
from faunalens.spec import ModelSpec

MOST = 3
"""Hints given at most."""

FLOOR = 0.1
"""A taxon less likely than this is not worth a look."""


@dataclass(frozen=True)
class Hint:
    """A taxon that the photo may show.

    Attributes:
        taxon: Its id in the label list, which has its names and its listing.
        label: Id of the label that it is a kind of.
        probability: Beside everything else the backbone can name, 0 to 1.
    """

    taxon: str
    label: str
    probability: float


def hints(
    spec: ModelSpec,
    taxon: Sequence[float],
    decision: Decision,
    probabilities: Sequence[float],
    rules: Policy,
) -> tuple[Hint, ...]:
    """The likeliest taxa of the labels that this photo is a hit for, likeliest first.

    Args:
        taxon: In the order of `spec.taxa`, each 0 to 1.
        decision: From `decide`; a clear photo gets no hint, and of a family that decided all labels
            fit.
        probabilities: In the order of `spec.labels`.
        rules: What the decision was made by.

    Returns:
        At most MOST, none below FLOOR.
    """
    if len(taxon) != len(spec.taxa):
        raise ValueError(f"expected {len(spec.taxa)} taxa, got {len(taxon)}")
    if decision.verdict is Verdict.CLEAR:
        return ()
    fit = {
        label
        for label, probability in zip(spec.labels, probabilities, strict=True)
        if label in rules.labels and probability >= rules.thresholds[label].review.probability
    }
    fit.add(decision.label)
    if decision.rule.startswith(f"family {decision.family} "):
        fit.update(rules.families[decision.family].labels)
    found = [
        Hint(one.id, one.label, round(float(probability), 6))
        for one, probability in zip(spec.taxa, taxon, strict=True)
        if one.label in fit and probability >= FLOOR
    ]
    return tuple(sorted(found, key=lambda hint: -hint.probability)[:MOST])
