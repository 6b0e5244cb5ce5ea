"""How good, in the terms of someone with few people to look at the hits."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest
from sklearn.metrics import average_precision_score, roc_auc_score

from faunalens.decide import Verdict
from faunalens.limits import Thresholds
from faunalens_data.row import Row
from faunalens_train.calibrate import Floats, threshold_at

RATES = (0.01, 0.001)
"""False-positive rates at which recall is always reported; with fewer negatives than the inverse
of a rate, none of them may be reached."""

RARE_RATE = 0.0001
"""Reported too, once there are negatives enough for one of them to be allowed."""

PREVALENCES = (0.01, 0.001, 0.0001)
"""Shares of the photos of a feed that show a label, at which precision is reported."""

_DRAWS = 500
_SEED = 0


def recall_at(positives: Floats, negatives: Floats, fpr: float) -> float:
    """Share of positives scored above all but `fpr` of the negatives."""
    return float((positives >= threshold_at(negatives, fpr)).mean())


def precision_at(recall: float, fpr: float, prevalence: float) -> float:
    """Share of hits that are right in a feed where `prevalence` of the photos show the label.

    By Bayes' rule; 0 if there is no hit at all.
    """
    right, wrong = recall * prevalence, fpr * (1 - prevalence)
    return right / (right + wrong) if right else 0.0


class Bootstrap:
    """95 % intervals over whole groups, drawn with replacement on both sides (percentile method).

    Pictures of one object are not independent, so whole groups are drawn, of positives and of
    negatives.

    Args:
        positives, negatives: Scores `(P,)` and `(M,)`, both not empty.
        groups, negative_groups: Their groups.
    """

    def __init__(
        self,
        positives: Floats,
        groups: Sequence[str],
        negatives: Floats,
        negative_groups: Sequence[str],
        draws: int = _DRAWS,
    ) -> None:
        rng = np.random.default_rng(_SEED)
        order = np.argsort(negatives, kind="stable")
        self._yes, self._no = positives, negatives[order]
        self._weights = _group_weights(groups, draws, rng)
        # Below the i-th lowest negative lie so many of them, per draw: (draws, M + 1).
        drawn = _group_weights(negative_groups, draws, rng)[:, order]
        self._below = np.concatenate([np.zeros((draws, 1), np.int64), drawn.cumsum(1)], 1)

    def recall(self, fpr: float) -> tuple[float, float]:
        """Interval of `recall_at`."""
        total = self._below[:, -1]
        allowed = np.minimum((fpr * total).astype(np.int64), total - 1)
        # The highest negative that, with those above it, is more than may pass; see threshold_at.
        place = (self._below < (total - allowed)[:, None]).sum(1) - 1
        passed = self._yes[None, :] > self._no[place][:, None]
        return _middle((self._weights * passed).sum(1) / self._weights.sum(1))

    def auroc(self) -> tuple[float, float]:
        """Interval of the area under the ROC curve (as Mann and Whitney's U, ties half)."""
        under, upto = (np.searchsorted(self._no, self._yes, side) for side in ("left", "right"))
        beaten = (self._below[:, under] + self._below[:, upto]) / 2
        wins = (self._weights * beaten).sum(1)
        return _middle(wins / (self._weights.sum(1) * self._below[:, -1]))


def ranking(
    positives: Floats, groups: Sequence[str], negatives: Floats, negative_groups: Sequence[str]
) -> dict[str, Any]:
    """Everything about how one score puts positives before negatives.

    Args:
        positives, negatives: `(P,)` and `(M,)`, both not empty.
        groups, negative_groups: Of the same pictures.

    Returns:
        Counts, `auroc`, `average_precision`, `recall@F` and `precision@F` (prevalence to
        precision) for each false-positive rate F, intervals under the name with `_95`.
    """
    truth = np.r_[np.ones(len(positives)), np.zeros(len(negatives))]
    both = np.r_[positives, negatives]
    drawn = Bootstrap(positives, groups, negatives, negative_groups)
    out: dict[str, Any] = {
        "pictures": len(positives),
        "groups": len(set(groups)),
        "negatives": len(negatives),
        "auroc": float(roc_auc_score(truth, both)),
        "auroc_95": drawn.auroc(),
        "average_precision": float(average_precision_score(truth, both)),
    }
    rates = RATES if len(negatives) * RARE_RATE < 1 else (*RATES, RARE_RATE)
    for rate in rates:
        recall = recall_at(positives, negatives, rate)
        out[f"recall@{rate:g}"] = recall
        out[f"recall@{rate:g}_95"] = drawn.recall(rate)
        out[f"precision@{rate:g}"] = {
            f"{share:g}": precision_at(recall, rate, share) for share in PREVALENCES
        }
    return out


def label_metrics(
    scores: Floats, wanted: npt.NDArray[np.float32], rows: Sequence[Row], labels: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """`ranking` over all negatives, per label.

    Negatives are the rows without any label, as in the floor of the data set's linear probe; a
    label without a positive here is left out.

    Args:
        scores: `(N, L)`, larger = likelier; probabilities or logits.
        wanted: `(N, L)`, NaN for unknown.
        rows: The N rows.
        labels: Names of the columns: labels, or families.
    """
    negative = np.array([row.is_negative for row in rows])
    groups = np.array([row.group for row in rows])
    out: dict[str, dict[str, Any]] = {}
    for j, label in enumerate(labels):
        positive = wanted[:, j] == 1
        if positive.any() and negative.any():
            out[label] = ranking(
                scores[positive, j],
                list(groups[positive]),
                scores[negative, j],
                list(groups[negative]),
            )
    return out


def false_alarms(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Share of negatives of each kind, and of all, with a verdict of alert, and of review.

    Args:
        verdicts, rows: Of the same N pictures; those that are no negatives are passed over.

    Returns:
        Kind to counts and rates; `alert_rate_95` is the exact binomial interval (Clopper and
        Pearson 1934).
    """
    counts: dict[str, Counter[Verdict]] = defaultdict(Counter)
    for verdict, row in zip(verdicts, rows, strict=True):
        if row.is_negative:
            counts[str(row.negative_kind)][verdict] += 1
            counts["all"][verdict] += 1
    return {
        kind: {
            "pictures": counts[kind].total(),
            "alerts": counts[kind][Verdict.ALERT],
            "alert_rate": counts[kind][Verdict.ALERT] / counts[kind].total(),
            "alert_rate_95": share_interval(counts[kind][Verdict.ALERT], counts[kind].total()),
            "reviews": counts[kind][Verdict.REVIEW],
            "review_rate": counts[kind][Verdict.REVIEW] / counts[kind].total(),
        }
        for kind in (*sorted(set(counts) - {"all"}), *({"all"} & set(counts)))
    }


def share_interval(count: int, total: int) -> tuple[float, float]:
    """Exact 95 % interval of a share (Clopper and Pearson 1934)."""
    interval = binomtest(count, total).proportion_ci(method="exact")
    return float(interval.low), float(interval.high)


def recall_at_thresholds(
    probability: Floats,
    wanted: npt.NDArray[np.float32],
    labels: Sequence[str],
    thresholds: Mapping[str, Thresholds],
) -> dict[str, dict[str, float]]:
    """Share of each label's pictures at or above its own `alert` and `review` threshold."""
    out = {}
    for j, label in enumerate(labels):
        positive = wanted[:, j] == 1
        if positive.any():
            own = probability[positive, j]
            out[label] = {
                "alert": float((own >= thresholds[label].alert.probability).mean()),
                "review": float((own >= thresholds[label].review.probability).mean()),
            }
    return out


def expected_calibration_error(
    probability: npt.ArrayLike, truth: npt.ArrayLike, bins: int = 15
) -> float:
    """Mean gap between stated and observed frequency over equal-width bins (Naeini et al. 2015).

    Args:
        probability, truth: `(N,)`, NaN-free.
    """
    p, y = np.asarray(probability, np.float64), np.asarray(truth, np.float64)
    index = np.minimum((p * bins).astype(int), bins - 1)
    gaps = [
        abs(p[index == b].mean() - y[index == b].mean()) * (index == b).mean()
        for b in range(bins)
        if (index == b).any()
    ]
    return float(sum(gaps))


def _group_weights(
    groups: Sequence[str], draws: int, rng: np.random.Generator
) -> npt.NDArray[np.int64]:
    """`(draws, N)`: how often each picture is in each draw of whole groups."""
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    drawn = rng.multinomial(len(names), np.full(len(names), 1 / len(names)), size=draws)
    return np.asarray(drawn[:, index], np.int64)


def _middle(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
