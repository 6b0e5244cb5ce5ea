"""How good, in the terms of someone with few people to look at the hits."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, roc_auc_score

from faunalens.decide import Verdict
from faunalens.limits import Thresholds
from faunalens_data.row import Row
from faunalens_train.calibrate import Floats, threshold_at

RATES = (0.01, 0.001)
"""False-positive rates at which recall is reported."""

_DRAWS = 500


def recall_at(positives: Floats, negatives: Floats, fpr: float) -> float:
    """Share of positives scored above all but `fpr` of the negatives."""
    return float((positives >= threshold_at(negatives, fpr)).mean())


def recall_interval(
    positives: Floats, groups: Sequence[str], negatives: Floats, fpr: float, seed: int = 0
) -> tuple[float, float]:
    """95 % bootstrap interval of `recall_at`, drawing whole groups of positives and negatives.

    Pictures of one object are not independent, so whole groups are drawn.
    """
    rng = np.random.default_rng(seed)
    names, index = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(index == i) for i in range(len(names))]
    values = []
    for _ in range(_DRAWS):
        chosen = np.concatenate([members[i] for i in rng.integers(len(names), size=len(names))])
        drawn = negatives[rng.integers(len(negatives), size=len(negatives))]
        values.append(recall_at(positives[chosen], drawn, fpr))
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)


def label_metrics(
    scores: Floats, wanted: npt.NDArray[np.float32], rows: Sequence[Row], labels: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Recall at `RATES` over all negatives, AUROC and average precision, per label.

    Negatives are the rows without any label, as in the floor of the data set's linear probe; a
    label without a positive here is left out.

    Args:
        scores: `(N, L)`, larger = likelier; probabilities or logits.
        wanted: `(N, L)`, NaN for unknown.
        rows: The N rows.
        labels: In model order.
    """
    negative = np.array([row.is_negative for row in rows])
    groups = np.array([row.group for row in rows])
    out: dict[str, dict[str, Any]] = {}
    for j, label in enumerate(labels):
        positive = wanted[:, j] == 1
        if not positive.any() or not negative.any():
            continue
        yes, no = scores[positive, j], scores[negative, j]
        truth = np.r_[np.ones(len(yes)), np.zeros(len(no))]
        both = np.r_[yes, no]
        out[label] = {
            "pictures": int(positive.sum()),
            "groups": len(set(groups[positive])),
            "negatives": int(negative.sum()),
            "auroc": float(roc_auc_score(truth, both)),
            "average_precision": float(average_precision_score(truth, both)),
        }
        for rate in RATES:
            out[label][f"recall@{rate:g}"] = recall_at(yes, no, rate)
            out[label][f"recall@{rate:g}_95"] = recall_interval(
                yes, list(groups[positive]), no, rate
            )
    return out


def false_alarms(verdicts: Sequence[Verdict], rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Share of negatives of each kind, and of all, with a verdict of alert, and of review.

    Args:
        verdicts, rows: Of the same N pictures; those that are no negatives are passed over.
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
            "reviews": counts[kind][Verdict.REVIEW],
            "review_rate": counts[kind][Verdict.REVIEW] / counts[kind].total(),
        }
        for kind in (*sorted(set(counts) - {"all"}), *({"all"} & set(counts)))
    }


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
