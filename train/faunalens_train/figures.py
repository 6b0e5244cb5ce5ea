"""All figures of one set of judged pictures, as plain values for JSON."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import auc, brier_score_loss

from faunalens.decide import Verdict
from faunalens_train.calibrate import ORDINARY_KINDS, Floats
from faunalens_train.metrics import (
    expected_calibration_error,
    false_alarms,
    label_metrics,
    ranking,
    share_interval,
)
from faunalens_train.scored import Scored

LOOK_ALIKES = {
    "ivory": "like_ivory",
    "turtle_shell": "like_shell",
    "pangolin_scales": "like_scales",
}
"""Label to the kind of negative that is taken for it."""

CLEAR = "(clear)"
"""Column of the confusion table for photos that nothing was recognised in."""

_SOURCE_PICTURES = 30  # of a label; below, a source by itself says nothing
_LOOK_ALIKE_PICTURES = 10
_BINS = 10
_COVERAGES = 50
_FALSE_ALERTS, _MISSED, _NOTE = 12, 2, 100


def column(scored: Scored) -> dict[str, Any]:
    """Every figure of one column of the report.

    Returns:
        counts; `labels` and `families` (see `metrics.ranking`, with `ece`, `brier`, `alert` and
        `review`); `against_look_alikes`; `by_source`; `false_alarms`; `calibration`;
        `confusion`; `risk_coverage`; `mistakes`.
    """
    per_name = label_metrics(scored.score, scored.wanted, scored.rows, scored.names)
    for name, own in per_name.items():
        own.update(_at_thresholds(scored, name))
    families = {name: per_name.pop(name) for name in scored.families if name in per_name}
    return {
        "pictures": len(scored.rows),
        "groups": len(set(scored.groups)),
        "sources": len(set(scored.sources)),
        "negatives": int(scored.negative.sum()),
        "labels": per_name,
        "families": families,
        "against_look_alikes": dict(_against_look_alikes(scored)),
        "by_source": by_source(scored),
        "false_alarms": false_alarms(scored.verdicts, scored.rows),
        "calibration": calibration(scored),
        "confusion": confusion(scored),
        "risk_coverage": risk_coverage(scored),
        "mistakes": mistakes(scored),
    }


def by_source(scored: Scored) -> dict[str, dict[str, Any]]:
    """Label to source to figures, for sources with 30 pictures of the label or more.

    Negatives are all of the same fold: where sources were held out, the model saw none of either.
    `ordinary` is the same against ordinary negatives, which adverts are full of, and
    `auroc_own_look_alikes` compares with look-alikes of the very source, whose backdrop and light
    they share.
    """
    out: dict[str, dict[str, Any]] = {}
    for j, label in enumerate(scored.labels):
        for source in sorted(set(scored.sources)):
            own = (scored.wanted[:, j] == 1) & (scored.sources == source)
            if own.sum() < _SOURCE_PICTURES:
                continue
            fold = np.isin(scored.fold, np.unique(scored.fold[own]))
            if not (fold & scored.negative).any():
                continue
            figures = _ranked(scored, j, own, fold & scored.negative)
            figures["alert"] = float((scored.reached[own, j] == 2).mean())
            ordinary = fold & np.isin(scored.kinds, ORDINARY_KINDS)
            if ordinary.any():
                figures["ordinary"] = _ranked(scored, j, own, ordinary)
            like = fold & (scored.kinds == LOOK_ALIKES.get(label, "-"))
            for key, those in (
                ("auroc_look_alikes", like),
                ("auroc_own_look_alikes", like & (scored.sources == source)),
            ):
                if those.sum() >= _LOOK_ALIKE_PICTURES:
                    against = _ranked(scored, j, own, those)
                    figures[key] = against["auroc"]
                    figures[f"{key}_95"] = against["auroc_95"]
                    figures[f"{key}_pictures"] = int(those.sum())
            out.setdefault(label, {})[source] = figures
    return out


def calibration(scored: Scored) -> dict[str, Any]:
    """How far stated probabilities are from what was observed.

    Most labels are absent from most photos, and saying so is easy; so beside the error over all
    pairs of photo and label there is that of the highest label alone, which cannot hide behind
    them.

    Returns:
        `ece` and `brier` over all pairs, `ece_highest` and `brier_highest` of each photo's
        likeliest label, and the `bins` of a reliability plot of the latter.
    """
    labels = len(scored.labels)
    p, wanted = scored.probability[:, :labels], scored.wanted[:, :labels]
    known = ~np.isnan(wanted)
    highest = p.argmax(axis=1)
    at = np.arange(len(p)), highest
    judged = known[at]
    top, right = p[at][judged], wanted[at][judged] == 1
    return {
        "ece": expected_calibration_error(p[known], wanted[known]),
        "brier": float(brier_score_loss(wanted[known] == 1, p[known], pos_label=True)),
        "ece_highest": expected_calibration_error(top, right),
        "brier_highest": float(brier_score_loss(right, top, pos_label=True)),
        "bins": reliability(top, right),
    }


def reliability(probability: Floats, truth: npt.NDArray[np.bool_]) -> list[dict[str, Any]]:
    """Bins of equal width that hold a picture: stated mean, observed share with its interval."""
    index = np.minimum((probability * _BINS).astype(int), _BINS - 1)
    bins = []
    for b in np.unique(index):
        own = index == b
        hits = int(truth[own].sum())
        bins.append(
            {
                "pictures": int(own.sum()),
                "stated": float(probability[own].mean()),
                "observed": hits / int(own.sum()),
                "observed_95": share_interval(hits, int(own.sum())),
            }
        )
    return bins


def confusion(scored: Scored) -> dict[str, Any]:
    """What photos of each label, and of each kind of negative, were taken for.

    A photo counts as the label that decided if the verdict is alert or review. One with several
    labels stands in the line of the label it was taken for, if that is among them.
    """
    columns = [*scored.labels, CLEAR]
    lines: dict[str, list[int]] = {name: [0] * len(columns) for name in scored.labels}
    for kind in sorted(set(scored.kinds) - {""}):
        lines[kind] = [0] * len(columns)
    for row, verdict, label in zip(scored.rows, scored.verdicts, scored.decided, strict=True):
        taken_for = CLEAR if verdict is Verdict.CLEAR else label
        shown = [name for name in row.strata if name in lines]
        if shown:
            line = taken_for if taken_for in shown else shown[0]
            lines[line][columns.index(taken_for)] += 1
    return {"columns": columns, "lines": {k: v for k, v in lines.items() if any(v)}}


def risk_coverage(scored: Scored) -> dict[str, Any]:
    """What is gained by handing the least certain photos to a person (El-Yaniv and Wiener 2010).

    A photo's answer is its likeliest label at 0.5 or more, else "none"; its confidence is that
    label's probability, or 1 minus it.

    Returns:
        `coverage` (shares of photos answered, the most certain first), `risk` (share of wrong
        answers among them), `aurc` (area under that curve; smaller is better) and `oracle`, the
        area for an order that knows which answers are wrong.
    """
    labels = len(scored.labels)
    p, wanted = scored.probability[:, :labels], scored.wanted[:, :labels]
    top, highest = p.max(axis=1), p.argmax(axis=1)
    shown = wanted[np.arange(len(p)), highest]
    said = top >= 0.5
    wrong = np.where(said, shown == 0, (wanted == 1).any(axis=1))
    confidence = np.where(said, top, 1 - top)
    risk = _running_share(wrong[np.argsort(-confidence, kind="stable")])
    coverage = np.arange(1, len(p) + 1) / len(p)
    best = _running_share(np.sort(wrong))
    picked = np.unique(np.linspace(0, len(p) - 1, min(_COVERAGES, len(p))).astype(int))
    return {
        "coverage": [float(c) for c in coverage[picked]],
        "risk": [float(r) for r in risk[picked]],
        "aurc": float(auc(coverage, risk)) if len(p) > 1 else float(risk[0]),
        "oracle": float(auc(coverage, best)) if len(p) > 1 else float(best[0]),
    }


def mistakes(scored: Scored) -> dict[str, list[dict[str, Any]]]:
    """The surest false alerts, and for each label the picture it was surest not to see, in words.

    Pictures are named by what their source says of them, never shown.
    """
    alerts = []
    for i, (row, verdict) in enumerate(zip(scored.rows, scored.verdicts, strict=True)):
        if row.is_negative and verdict is Verdict.ALERT:
            j = scored.labels.index(scored.decided[i])
            alerts.append(_mistake(scored, i, j, str(row.negative_kind)))
    missed = []
    for j in range(len(scored.labels)):
        own = np.flatnonzero((scored.wanted[:, j] == 1) & (scored.reached[:, j] == 0))
        for i in own[np.argsort(scored.probability[own, j])][:_MISSED]:
            missed.append(_mistake(scored, int(i), j, scored.rows[i].photo_kind))
    alerts.sort(key=lambda one: -one["probability"])
    return {"false_alerts": alerts[:_FALSE_ALERTS], "missed": missed}


def _mistake(scored: Scored, i: int, j: int, kind: str) -> dict[str, Any]:
    return {
        "label": scored.labels[j],
        "probability": float(scored.probability[i, j]),
        "kind": kind,
        "note": " ".join(scored.rows[i].note.split())[:_NOTE],
    }


def _at_thresholds(scored: Scored, name: str) -> dict[str, Any]:
    j = scored.names.index(name)
    positive = scored.wanted[:, j] == 1
    known = ~np.isnan(scored.wanted[:, j])
    stated, truth = scored.probability[known, j], scored.wanted[known, j] == 1
    alerts = int((scored.reached[positive, j] == 2).sum())
    verdicts = np.array([verdict.strength for verdict in scored.verdicts])[positive]
    return {
        "alert": alerts / int(positive.sum()),
        "alert_95": share_interval(alerts, int(positive.sum())),
        "review": float((scored.reached[positive, j] >= 1).mean()),
        "any_alert": float((verdicts == 2).mean()),
        "any_review": float((verdicts >= 1).mean()),
        "false_alert": float((scored.reached[scored.negative, j] == 2).mean()),
        "ece": expected_calibration_error(stated, truth),
        "brier": float(brier_score_loss(truth, stated, pos_label=True)),
    }


def _against_look_alikes(scored: Scored) -> Iterator[tuple[str, dict[str, Any]]]:
    for label, kind in LOOK_ALIKES.items():
        if label not in scored.labels:
            continue
        j = scored.labels.index(label)
        positive, like = scored.wanted[:, j] == 1, scored.kinds == kind
        if positive.any() and like.any():
            figures = _ranked(scored, j, positive, like)
            figures["kind"] = kind
            figures["false_alert"] = float((scored.reached[like, j] == 2).mean())
            yield label, figures


def _ranked(
    scored: Scored, j: int, positive: npt.NDArray[np.bool_], negative: npt.NDArray[np.bool_]
) -> dict[str, Any]:
    return ranking(
        scored.score[positive, j],
        list(scored.groups[positive]),
        scored.score[negative, j],
        list(scored.groups[negative]),
    )


def _running_share(wrong: npt.NDArray[np.bool_]) -> Floats:
    return np.asarray(np.cumsum(wrong) / np.arange(1, len(wrong) + 1), np.float64)
