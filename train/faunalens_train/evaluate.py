"""Figures of a run, from the logits it left behind."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faunalens.decide import decide, policy
from faunalens.labels import load_labels
from faunalens.spec import ModelSpec, ResizeRule
from faunalens_data.row import Row
from faunalens_train.calibrate import (
    Calibration,
    Floats,
    advert_weights,
    choose_thresholds,
    fit_calibration,
    view_weights,
)
from faunalens_train.config import TrainConfig
from faunalens_train.dataset import Parts, targets
from faunalens_train.metrics import (
    expected_calibration_error,
    false_alarms,
    label_metrics,
    recall_at_thresholds,
)
from faunalens_train.net import product_places
from faunalens_train.run import EDITED, PROVENANCE, load_logits, read_json


def family_members() -> dict[str, list[str]]:
    """Family id to its label ids, in the order of the label list."""
    known = load_labels()
    return {
        family.id: [label.id for label in known.labels_of(family.id)] for family in known.families
    }


def product_labels() -> list[str]:
    """Labels of things made of animals, in model order."""
    ids = load_labels().ids
    return [ids[place] for place in product_places()]


def finished_spec(config: TrainConfig, parts: Parts, run: Path) -> tuple[ModelSpec, Calibration]:
    """What the exported model of a run will say of itself.

    Calibration and thresholds come from the validation pictures, which never trained; calibration
    from changed views of them too, if the run has such.
    """
    labels = load_labels().ids
    facts = read_json(run / PROVENANCE)
    logits = logits_for(parts.val, load_logits(run / "val.npz"))
    wanted = targets(parts.val, labels, config.data.unknown)
    changed = edited_logits(config, parts.val, run)
    calibration = fit_calibration(
        np.concatenate([logits, *changed]),
        np.tile(wanted, (1 + len(changed), 1)),
        view_weights(len(logits), len(changed)),
    )
    thresholds, families = choose_thresholds(
        calibration.probability(logits),
        wanted,
        labels,
        family_members(),
        config.thresholds,
        advert_weights(parts.val, config.thresholds.hard_share),
        products=product_labels(),
    )
    spec = ModelSpec(
        name=config.name,
        version=config.version,
        labels=labels,
        families=families,
        thresholds=thresholds,
        resize=ResizeRule(config.net.size_px),
        calibration={
            **calibration.to_dict(),
            "pictures": len(parts.val),
            "changed_views": len(changed),
        },
        dataset={
            "fingerprint": parts.fingerprint,
            "held_out": facts["held_out"],
            "train": len(parts.train),
            "val": len(parts.val),
            "test": len(parts.test),
        },
        licence=config.licence,
        commit=facts["commit"],
    )
    return spec, calibration


def assess(config: TrainConfig, parts: Parts, run: Path) -> dict[str, Any]:
    """All figures of a run, on its test pictures, at the thresholds that would ship."""
    labels = load_labels().ids
    spec, calibration = finished_spec(config, parts, run)
    test = logits_for(parts.test, load_logits(run / "test.npz"))
    probe = logits_for(parts.test, load_logits(run / "probe_test.npz"))
    wanted = targets(parts.test, labels, config.data.unknown)
    probability = calibration.probability(test)
    rules = policy(spec)
    verdicts = [decide(spec, row.tolist(), rules).verdict for row in probability]
    known = ~np.isnan(wanted)
    return {
        "test": label_metrics(test, wanted, parts.test, labels),
        "probe": label_metrics(probe, wanted, parts.test, labels),
        "at_thresholds": recall_at_thresholds(probability, wanted, labels, spec.thresholds),
        "false_alarms": false_alarms(verdicts, parts.test),
        "ece": expected_calibration_error(probability[known], wanted[known]),
        "spec": json.loads(spec.to_json()),
    }


def logits_for(rows: Iterable[Row], stored: dict[str, npt.NDArray[np.float32]]) -> Floats:
    """`(N, L)` logits in the order of the rows."""
    return np.stack([stored[row.sha256] for row in rows]).astype(np.float64)


def edited_logits(config: TrainConfig, rows: Sequence[Row], run: Path) -> list[Floats]:
    """`(N, L)` logits of each set of changed views of the rows; none if the run has none."""
    sets = (run / EDITED.format(place) for place in range(config.fit.edited_views))
    return [logits_for(rows, load_logits(path)) for path in sets]


def table(columns: dict[str, dict[str, dict[str, Any]]], labels: Sequence[str]) -> str:
    """Label metrics side by side as text.

    Args:
        columns: Title to the result of `label_metrics`.
        labels: Rows of the table, in order; labels without figures are left out.
    """
    width = max(len(label) for label in labels)
    head = " " * (width + 9) + "".join(f"  {title[:30]:<30}" for title in columns)
    second = "label".ljust(width) + " pictures" + "    1% FPR (95 %)    0.1%  AUROC " * len(columns)
    lines = [head.rstrip(), second.rstrip()]
    for label in labels:
        cells, count = "", None
        for figures in columns.values():
            one = figures.get(label)
            if one is None:
                cells += " " * 32
                continue
            count = one["pictures"]
            low, high = one["recall@0.01_95"]
            cells += f"    {one['recall@0.01']:.3f} ({low:.2f}-{high:.2f})"
            cells += f"  {one['recall@0.001']:.3f}  {one['auroc']:.3f} "
        if count is not None:
            lines.append(f"{label:<{width}} {count:>8}{cells}".rstrip())
    return "\n".join(lines)
