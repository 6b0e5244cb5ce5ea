"""Logits to probabilities, and where verdicts begin: both from pictures that never trained."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faunalens.limits import FamilySpec, Threshold, Thresholds
from faunalens.spec import family_probability
from faunalens_data.row import Row
from faunalens_train.config import ThresholdConfig
from faunalens_train.probe import masked_bce

Floats = npt.NDArray[np.float64]

ORDINARY_KINDS = ("goods", "scene", "animal", "other")
"""Kinds of negative that adverts are full of."""

_TAIL = 0.05  # share of negatives whose scores say how the rest fall off
_TAIL_COUNT = 10  # fewer say too little
_SHOWN = 4  # negatives that must reach a threshold for it to rest on them

_PULL = 2.0  # of each offset to 0 and each slope to all, in units of log-loss of one picture


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(slope[label] * logit + offset[label]).

    Attributes:
        slope: One per label (Platt scaling; temperature scaling, Guo et al. 2017, arXiv:1706.04599,
            has one for all): logits that ImageNet's classes share are of another spread.
        offset: One per label: training draws labels more evenly than the validation set has them.
    """

    slope: tuple[float, ...]
    offset: tuple[float, ...]

    def probability(self, logits: npt.ArrayLike) -> Floats:
        """`(N, L)` logits to `(N, L)` probabilities."""
        z = np.asarray(self.slope) * np.asarray(logits, np.float64) + np.asarray(self.offset)
        return np.asarray(1 / (1 + np.exp(-np.clip(z, -60, 60))))

    def to_dict(self) -> dict[str, Any]:
        """For a run's folder and the model's metadata."""
        return {"method": "platt", "slope": list(self.slope), "offset": list(self.offset)}


def view_weights(pictures: int, views: int) -> npt.NDArray[np.float64]:
    """`(pictures * (1 + views),)`: all changed views of a picture count as much as it does itself.

    Args:
        pictures: Whose rows come first.
        views: Changed views of each, one whole set after the other; may be 0.
    """
    return np.concatenate([np.ones(pictures), np.full(pictures * views, 1 / max(1, views))])


def fit_calibration(
    logits: npt.ArrayLike,
    wanted: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64] | None = None,
) -> Calibration:
    """Minimise the log-loss on validation pictures.

    Some labels have only a handful of them, so offsets are pulled to 0 a little, and slopes to one
    that all share.

    Args:
        logits: `(N, L)`.
        wanted: `(N, L)`, NaN for unknown.
        weights: `(N,)`, how much each counts, 1 being a picture; all 1 if None.
    """
    z = torch.as_tensor(np.asarray(logits, np.float64))
    aim = torch.from_numpy(wanted).double()
    share = torch.from_numpy(np.ones(len(z)) if weights is None else weights)
    shared = torch.zeros((), dtype=torch.float64, requires_grad=True)
    own, offset = (
        torch.zeros(z.shape[1], dtype=torch.float64, requires_grad=True) for _ in range(2)
    )
    optimiser = torch.optim.LBFGS(
        [shared, own, offset], max_iter=200, line_search_fn="strong_wolfe"
    )

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = masked_bce(z * (shared + own).exp() + offset, aim) @ share
        loss = loss + _PULL * (offset.square().sum() + own.square().sum()) / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    slope = (shared + own).detach().exp()
    return Calibration(tuple(slope.tolist()), tuple(offset.detach().tolist()))


def threshold_at(
    scores: npt.ArrayLike, fpr: float, weights: npt.NDArray[np.float64] | None = None
) -> float:
    """The lowest score that at most `fpr` of these negatives reach.

    With fewer than 1 / fpr negatives none may reach it: it then lies just above the highest.

    Args:
        scores: `(N,)` of negatives, N from 1.
        fpr: 0 to 1.
        weights: `(N,)`, what share of all each negative stands for; all alike if None.
    """
    values = np.asarray(scores, np.float64)
    share = np.ones(len(values)) if weights is None else weights
    order = np.argsort(-values, kind="stable")
    reached = np.cumsum(share[order]) / share.sum()
    allowed = min(int((reached <= fpr + 1e-12).sum()), len(values) - 1)
    return float(np.nextafter(values[order][allowed], np.inf))


def tail_threshold(
    scores: npt.ArrayLike, fpr: float, weights: npt.NDArray[np.float64] | None = None
) -> float:
    """The score that `fpr` of negatives like these would reach, by the shape of their tail.

    Where fewer than a handful of negatives may reach a threshold, `threshold_at` hangs on the one
    or two highest. The odds of the highest 5 % fall off about as a power of themselves; its
    exponent, from all of these (B. M. Hill 1975, doi:10.1214/aos/1176343247), gives the rest. With
    too few negatives for that, or an `fpr` that they can show themselves, it is `threshold_at`.

    Args:
        scores: `(N,)` probabilities of negatives, N from 1.
        fpr: 0 to 1.
        weights: As for `threshold_at`.
    """
    values = np.clip(np.asarray(scores, np.float64), 1e-9, 1 - 1e-9)
    share = np.ones(len(values)) if weights is None else weights
    order = np.argsort(-values, kind="stable")
    logits = np.log(values / (1 - values))[order]
    reached = np.cumsum(share[order]) / share.sum()
    count = min(int((reached <= _TAIL).sum()), len(values) - 1)
    if count < _TAIL_COUNT or fpr * count >= _SHOWN * reached[count - 1]:
        return threshold_at(scores, fpr, weights)
    above = np.average(logits[:count] - logits[count], weights=share[order][:count])
    limit = logits[count] + above * np.log(reached[count - 1] / fpr)
    return float(1 / (1 + np.exp(-limit)))


def advert_weights(rows: Sequence[Row], hard_share: float) -> npt.NDArray[np.float64]:
    """`(N,)` what each negative stands for in a stream of adverts; 0 for the rest of the rows.

    Data sets hold look-alikes, toys and art on purpose, many more than adverts do.
    """
    hard = np.array(
        [row.is_negative and row.negative_kind not in ORDINARY_KINDS for row in rows], bool
    )
    ordinary = np.array([row.is_negative for row in rows], bool) & ~hard
    out = np.zeros(len(rows))
    if not (hard.any() and ordinary.any()):
        return np.asarray(out + (hard | ordinary))
    out[hard] = hard_share / hard.sum()
    out[ordinary] = (1 - hard_share) / ordinary.sum()
    return out


def choose_thresholds(
    probability: Floats,
    wanted: npt.NDArray[np.float32],
    labels: Sequence[str],
    families: Mapping[str, Sequence[str]],
    config: ThresholdConfig,
    weights: npt.NDArray[np.float64] | None = None,
    *,
    products: Collection[str] = (),
) -> tuple[dict[str, Thresholds], dict[str, FamilySpec]]:
    """Thresholds per label, and per family of two labels or more.

    Negatives are the validation pictures that show none of the labels. One that shows another
    protected animal is no false alarm, even if it is called by the wrong name. Thresholds follow
    from the tail of the negatives, but for products: their look-alikes are a second population
    with a tail of its own, which one exponent does not describe.

    Args:
        probability: `(N, L)`, calibrated.
        wanted: `(N, L)`, NaN for unknown.
        labels: In model order.
        families: Family id to its label ids.
        config: Rates and floors.
        weights: `(N,)` from `advert_weights`; all negatives alike if None.
        products: Labels of things made of animals, whose thresholds rest on the highest negatives.
    """
    chosen = (wanted == 0).all(axis=1)
    if weights is not None:
        chosen &= weights > 0
        weights = weights[chosen]
    nothing = probability[chosen]

    def pair(scores: Floats, members: Sequence[str]) -> Thresholds:
        rule = threshold_at if set(members).intersection(products) else tail_threshold
        alert = max(rule(scores, config.alert_fpr, weights), config.alert_floor)
        review = max(rule(scores, config.review_fpr, weights), config.review_floor)
        return Thresholds(
            alert=Threshold(_up(alert), config.alert_fpr),
            review=Threshold(min(_up(review), _up(alert)), config.review_fpr),
        )

    by_label = {label: pair(nothing[:, j], [label]) for j, label in enumerate(labels)}
    by_family = {}
    for key, members in families.items():
        columns = [labels.index(label) for label in members]
        own = None
        if len(columns) > 1:
            joint = np.array([family_probability(list(row)) for row in nothing[:, columns]])
            own = pair(joint, members)
        by_family[key] = FamilySpec(tuple(members), own)
    return by_label, by_family


def _up(probability: float) -> float:
    """Up to the next of six digits, which is what records hold; at most 0.999999."""
    return min(float(np.ceil(probability * 1e6) / 1e6), 0.999999)
