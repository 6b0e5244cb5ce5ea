"""Every fold in turn: the figures that a single lucky split cannot flatter."""

import json
import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from faunalens.labels import load_labels
from faunalens_data.manifest import load_rows
from faunalens_data.row import Row
from faunalens_data.split import read_splits
from faunalens_train.cache import open_cache
from faunalens_train.config import TrainConfig
from faunalens_train.dataset import split_cells, targets
from faunalens_train.fit import fit
from faunalens_train.metrics import label_metrics
from faunalens_train.run import METRICS, RunError, load_logits, write_json

SCHEMES = {"source": "source_fold", "group": "group_fold"}


def crossval(
    config: TrainConfig,
    out: Path,
    *,
    by: str,
    jobs: int = 1,
    cache: Path | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Train one model per fold, test each on its own fold, and pool.

    A run that is complete in `out` is kept, an unfinished one is taken up again.

    Args:
        by: `source` (no source in both training and test) or `group`.
        jobs: Folds trained at a time, each with `fit.threads` threads (1 if that is 0).
        cache: Folder for cached views; inside `out` if None.
        report: Told when a fold is done.

    Returns:
        Pooled metrics; also written to `out`/metrics.json.
    """
    scheme = SCHEMES[by]
    splits = read_splits(Path(config.data.splits))
    folds = sorted({getattr(split, scheme) for split in splits})
    out.mkdir(parents=True, exist_ok=True)
    config = replace(config, fit=replace(config.fit, threads=config.fit.threads or 1))
    cache = cache or out / "cache"
    dataset = load_rows(config.data.manifest, images=config.data.images or None)
    # Once, before the folds share it.
    open_cache(config, dataset.rows, split_cells(splits), dataset.images, cache)
    todo = [fold for fold in folds if not (out / f"fold{fold}" / METRICS).exists()]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        started = [
            pool.submit(_one, config, out / f"fold{fold}", f"{scheme}:{fold}", cache)
            for fold in todo
        ]
        for fold, future in zip(todo, started, strict=True):
            future.result()
            report(f"fold {fold} done")
    pooled = pool_folds(config, out, [out / f"fold{fold}" for fold in folds])
    write_json(out / METRICS, pooled)
    return pooled


def pool_folds(config: TrainConfig, out: Path, runs: list[Path]) -> dict[str, Any]:
    """Figures over all folds together.

    Logits of different models are not on one scale, so each fold's are first turned into the
    share of that fold's negatives that score lower (for each label): 0.99 then means "at 1 % false
    positives" in every fold.
    """
    labels = load_labels().ids
    by_hash = {
        row.sha256: row
        for row in load_rows(config.data.manifest, images=config.data.images or None).rows
    }
    rows: list[Row] = []
    scores: dict[str, list[npt.NDArray[np.float64]]] = {"test": [], "probe": []}
    for run in runs:
        tuned, probe = load_logits(run / "test.npz"), load_logits(run / "probe_test.npz")
        if missing := set(tuned) - set(by_hash):
            raise RunError(f"{run} has {len(missing)} pictures that the manifest lacks")
        chosen = [by_hash[key] for key in tuned]
        negative = np.array([row.is_negative for row in chosen])
        rows += chosen
        for name, logits in (("test", tuned), ("probe", probe)):
            raw = np.stack([logits[row.sha256] for row in chosen]).astype(np.float64)
            scores[name].append(_ranks(raw, negative))
    wanted = targets(rows, labels, config.data.unknown)
    folds = {run.name: json.loads((run / METRICS).read_text(encoding="utf-8")) for run in runs}
    return {
        **{
            name: label_metrics(np.concatenate(parts), wanted, rows, labels)
            for name, parts in scores.items()
        },
        "folds": folds,
    }


def _ranks(raw: npt.NDArray[np.float64], negative: npt.NDArray[np.bool_]) -> Any:
    """`(N, L)` share of negatives below, plus a hair of the raw score to keep the order."""
    out = np.empty_like(raw)
    for j in range(raw.shape[1]):
        ordered = np.sort(raw[negative, j])
        out[:, j] = np.searchsorted(ordered, raw[:, j], side="left") / len(ordered)
        out[:, j] += 1e-9 / (1 + np.exp(-np.clip(raw[:, j], -30, 30)))
    return out


def _one(config: TrainConfig, out: Path, held_out: str, cache: Path) -> None:
    fit(config, out, held_out=held_out, resume=out.exists(), cache=cache)
