"""Every fold in turn: the figures that a single lucky split cannot flatter."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from faunalens_data.manifest import load_rows
from faunalens_data.split import read_splits
from faunalens_train.cache import open_cache, open_edited
from faunalens_train.config import TrainConfig
from faunalens_train.dataset import split_cells
from faunalens_train.fit import fit
from faunalens_train.metrics import label_metrics
from faunalens_train.run import METRICS, read_json, write_json
from faunalens_train.scored import Scored, score_run

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
    for each in (open_cache, open_edited):
        each(config, dataset.rows, split_cells(splits), dataset.images, cache)
    todo = [fold for fold in folds if not (out / f"fold{fold}" / METRICS).exists()]
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        started = [
            pool.submit(_one, config, out / f"fold{fold}", f"{scheme}:{fold}", cache)
            for fold in todo
        ]
        for fold, future in zip(todo, started, strict=True):
            future.result()
            report(f"fold {fold} done")
    pooled = pool_folds([out / f"fold{fold}" for fold in folds])
    write_json(out / METRICS, pooled)
    return pooled


def pool_folds(runs: list[Path]) -> dict[str, Any]:
    """Figures over all folds together, each fold's scores ranked among its own negatives."""
    pooled = {
        name: Scored.pooled([score_run(run, logits)[0] for run in runs])
        for name, logits in (("test", "test.npz"), ("probe", "probe_test.npz"))
    }
    return {
        **{
            name: label_metrics(one.score, one.wanted, one.rows, one.labels)
            for name, one in pooled.items()
        },
        "folds": {run.name: read_json(run / METRICS) for run in runs},
    }


def _one(config: TrainConfig, out: Path, held_out: str, cache: Path) -> None:
    fit(config, out, held_out=held_out, resume=out.exists(), cache=cache)
