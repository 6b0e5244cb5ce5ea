"""The frozen stages' output, computed once: training on a CPU then costs the trained stages alone.

Decoding, augmentation and the frozen stages are more than half the work of a step, and the same in
every epoch and in every fold of a cross-validation.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from faunalens.decode import decode, read_file
from faunalens.labels import load_labels
from faunalens.preprocess import preprocess
from faunalens.spec import ResizeRule
from faunalens_data.manifest import fingerprint
from faunalens_data.row import Row
from faunalens_train.cached import TrainingCache, ViewCache
from faunalens_train.config import AugmentConfig, ConfigError, TrainConfig
from faunalens_train.cutout import LastCut
from faunalens_train.dataset import Cell, TrainingViews
from faunalens_train.graph import without_gradients
from faunalens_train.net import FaunaNet

_BATCH = 8  # pictures, each with all its views
_FORMAT = 2  # of what is stored; others are made anew
_EDITED_PX = 448  # of a changed view, before each model scales it to its own input


def open_cache(
    config: TrainConfig,
    rows: Sequence[Row],
    cells: Mapping[str, Cell],
    images: Path,
    folder: Path,
) -> TrainingCache | None:
    """The cache for a configuration, made if it is not in `folder` yet; None if not asked for.

    Raises:
        ConfigError: No stages are frozen, so there is nothing to compute once.
    """
    if not config.fit.cached_views:
        return None
    if not config.net.frozen_stages:
        raise ConfigError("fit.cached_views needs net.frozen_stages above 0")
    what = config.to_dict()
    facts: list[Any] = [what["augment"], config.seed, config.fit.cached_views]
    if config.fit.harder_views:
        facts += [what["harder"], config.fit.harder_views]
    views = _Views(config, rows, cells, images)
    views.add(config.augment, config.fit.cached_views)
    views.add(config.harder, config.fit.harder_views)
    path, stored = _stored(config, views, facts, folder)
    kind = f"{config.net.levels}" + (f"-surface{config.net.surface}" if config.net.surface else "")
    pooled = path.with_name(f"{path.stem}-pooled{kind}.npy")
    if not pooled.exists():
        _pool(config, stored, pooled)
    initial = np.load(pooled, mmap_mode="r", allow_pickle=False)
    return TrainingCache(stored, initial, rows, config.fit.harder_views)


def open_edited(
    config: TrainConfig,
    rows: Sequence[Row],
    cells: Mapping[str, Cell],
    images: Path,
    folder: Path,
) -> ViewCache | None:
    """Changed views of all pictures of the validation part, made if they are not in `folder` yet.

    They are the same for every network with the same `[edited]` and seed, so that two models can be
    joined on them.

    Returns:
        `(N, edited_views, C, h, w)` of the N rows of that part; None if not asked for.
    """
    count = config.fit.edited_views
    if not count:
        return None
    shown = [row for row in rows if cells[row.sha256][0] == "val"]
    views = _Views(config, shown, cells, images, plain=False)
    views.add(config.edited, count, size_px=_EDITED_PX)
    facts = ["edited", config.to_dict()["edited"], config.seed, count, _EDITED_PX]
    return ViewCache(_stored(config, views, facts, folder)[1], shown)


def _stored(
    config: TrainConfig, views: "_Views", facts: Sequence[Any], folder: Path
) -> tuple[Path, npt.NDArray[np.float16]]:
    what = config.to_dict()
    frozen = {name: what["net"][name] for name in ("backbone", "size_px", "frozen_stages")}
    places = [views.cells[row.sha256] for row in views.rows]
    key = json.dumps([_FORMAT, fingerprint(views.rows), places, frozen, *facts], sort_keys=True)
    path = folder / f"views-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        _fill(config, views, path)
    return path, np.load(path, mmap_mode="r", allow_pickle=False)


def _untrained(config: TrainConfig) -> FaunaNet:
    return FaunaNet(config.net, len(load_labels().ids)).eval()


def _fill(config: TrainConfig, views: "_Views", path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    net = _untrained(config)
    first = views[0]
    example = first.repeat(2, 1, 1, 1)
    frozen = without_gradients(net.frozen, net, example, len(views) * len(first))
    loader = DataLoader(views, _BATCH, num_workers=config.fit.workers)
    stored = None
    done = 0
    with _part(path) as part:
        for photos in tqdm(loader, desc="frozen stages", unit="batch", disable=None):
            count = len(photos)  # (B, V, S, S, 3)
            out = frozen(photos.flatten(0, 1).numpy())
            if stored is None:
                shape = (len(views), photos.shape[1], *out.shape[1:])
                stored = np.lib.format.open_memmap(part, "w+", np.float16, shape)
            stored[done : done + count] = out.reshape(count, -1, *out.shape[1:])
            done += count
        assert stored is not None
        stored.flush()


@contextmanager
def _part(path: Path) -> Iterator[Path]:
    """A file to write first that becomes `path` when it is whole; each run has its own."""
    part = path.with_suffix(f".{os.getpid()}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def _pool(config: TrainConfig, stored: npt.NDArray[np.float16], path: Path) -> None:
    net = _untrained(config)
    count = stored.shape[0] * stored.shape[1]
    pooled = without_gradients(net.pooled, net, torch.zeros(2, *stored.shape[2:]), count)
    out = np.zeros((*stored.shape[:2], net.features), np.float16)
    for start in tqdm(range(0, len(stored), _BATCH), desc="pooled", unit="batch", disable=None):
        views = stored[start : start + _BATCH].astype(np.float32)
        features = pooled(views.reshape(-1, *views.shape[2:]))
        if not (np.abs(features) < np.finfo(np.float16).max).all():
            raise ConfigError(
                f"pooled features of {config.net.backbone} are too large to be cached in half "
                "precision; use fit.cached_views = 0"
            )
        out[start : start + _BATCH] = features.reshape(len(views), -1, out.shape[2])
    with _part(path) as part, part.open("wb") as file:
        np.save(file, out)


class _Views(Dataset[Tensor]):
    """Rows as `(V, S, S, 3)` uint8 RGB: the plain photo, if asked for, then what was added.

    Args:
        config: The network's input size, and the seed.
        rows: The rows.
        cells, images: See `Parts`.
        plain: Whether the first view is the photo itself.
    """

    def __init__(
        self,
        config: TrainConfig,
        rows: Sequence[Row],
        cells: Mapping[str, Cell],
        images: Path,
        *,
        plain: bool = True,
    ) -> None:
        self.config = config
        self.rows = rows
        self.cells = cells
        self.images = images
        self.plain = plain
        self.views: list[TrainingViews] = []
        self.rule = ResizeRule(config.net.size_px)
        self.cut = LastCut()

    def add(self, edits: AugmentConfig, count: int, size_px: int = 0) -> None:
        """Further views, of `size_px` (the network's if 0) before they are what it sees."""
        net = replace(self.config.net, size_px=size_px or self.config.net.size_px)
        config = replace(self.config, augment=edits, net=net)
        self.views += [TrainingViews(config, self.rows, self.cells, self.images, self.cut)] * count

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = self.rows[index]
        pixels = decode(read_file(self.images / row.file).data).pixels
        # A seed per picture: the views do not depend on how many workers share the work.
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.config.seed * 1_000_003 + index)
            views = [view(pixels, row) for view in self.views]
        seen = (pixels, *views) if self.plain else views
        return torch.from_numpy(np.stack([preprocess(one, self.rule) for one in seen]))
