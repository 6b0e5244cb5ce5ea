"""The frozen stages' output, computed once: training on a CPU then costs the trained stages alone.

Decoding, augmentation and the frozen stages are more than half the work of a step, and the same in
every epoch and in every fold of a cross-validation.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

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
from faunalens_train.config import ConfigError, TrainConfig
from faunalens_train.dataset import Cell, TrainingViews
from faunalens_train.net import FaunaNet

_BATCH = 8  # pictures, each with all its views


class ViewCache:
    """Float16 outputs `(N, 1 + V, C, h, w)` of the frozen stages, on disk, mapped into memory.

    View 0 is the plain photo, views 1 to V are augmented, the last `harder` of them under harder
    edits.

    Args:
        stored: The array.
        initial: `(N, 1 + V, F)` float16, the same views as pooled features of the network before
            any training, which every fold's linear probe starts from.
        rows: The N rows, in its order.
        harder: How many of the last views are under harder edits.
    """

    def __init__(
        self,
        stored: npt.NDArray[np.float16],
        initial: npt.NDArray[np.float16],
        rows: Sequence[Row],
        harder: int = 0,
    ) -> None:
        self.stored = stored
        self.initial = initial
        # `(1 + V,)` whether a view is the plain photo or under the usual edits.
        self.mild = np.arange(stored.shape[1]) < stored.shape[1] - harder
        self.index = {row.sha256: i for i, row in enumerate(rows)}

    def initial_features(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """`(N * (1 + V), F)` float32: each row's views one after the other."""
        places = [self.index[row.sha256] for row in rows]
        return self.initial[places].astype(np.float32).reshape(-1, self.initial.shape[2])

    def plain(self, rows: Sequence[Row]) -> "CachedViews":
        """Each row as the product would see it."""
        return CachedViews(self, rows, augmented=False)

    def augmented(self, rows: Sequence[Row]) -> "CachedViews":
        """Each row in one of its augmented views, drawn by torch's generator."""
        return CachedViews(self, rows, augmented=True)


class CachedViews(Dataset[tuple[Tensor, int]]):
    """Rows as `(C, h, w)` float32 outputs of the frozen stages, with their position."""

    def __init__(self, cache: ViewCache, rows: Sequence[Row], *, augmented: bool) -> None:
        self.cache = cache
        self.places = [cache.index[row.sha256] for row in rows]
        self.augmented = augmented

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        views = self.cache.stored[self.places[index]]
        view = int(torch.randint(1, len(views), ())) if self.augmented else 0
        return torch.from_numpy(views[view].astype(np.float32)), index


def open_cache(
    config: TrainConfig,
    rows: Sequence[Row],
    cells: Mapping[str, Cell],
    images: Path,
    folder: Path,
) -> ViewCache | None:
    """The cache for a configuration, made if it is not in `folder` yet; None if not asked for.

    Raises:
        ConfigError: No stages are frozen, so there is nothing to compute once.
    """
    if not config.fit.cached_views:
        return None
    if not config.net.frozen_stages:
        raise ConfigError("fit.cached_views needs net.frozen_stages above 0")
    what = config.to_dict()
    frozen = {name: what["net"][name] for name in ("backbone", "size_px", "frozen_stages")}
    places = [cells[row.sha256] for row in rows]
    facts = [fingerprint(rows), places, frozen, what["augment"], config.seed]
    facts += [config.fit.cached_views]
    if config.fit.harder_views:
        facts += [what["harder"], config.fit.harder_views]
    key = json.dumps(facts, sort_keys=True)
    path = folder / f"views-{hashlib.sha256(key.encode()).hexdigest()[:16]}.npy"
    if not path.exists():
        _fill(config, rows, cells, images, path)
    stored = np.load(path, mmap_mode="r", allow_pickle=False)
    kind = f"{config.net.levels}" + (f"-surface{config.net.surface}" if config.net.surface else "")
    pooled = path.with_name(f"{path.stem}-pooled{kind}.npy")
    if not pooled.exists():
        _pool(config, stored, pooled)
    initial = np.load(pooled, mmap_mode="r", allow_pickle=False)
    return ViewCache(stored, initial, rows, config.fit.harder_views)


def _untrained(config: TrainConfig) -> FaunaNet:
    net = FaunaNet(config.net, len(load_labels().ids))
    return net.to(memory_format=torch.channels_last).train()  # type: ignore[call-overload,no-any-return]


def _fill(
    config: TrainConfig, rows: Sequence[Row], cells: Mapping[str, Cell], images: Path, path: Path
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    net = _untrained(config)
    net.amp_frozen = config.fit.autocast != "off"
    every = _AllViews(config, rows, cells, images)
    loader = DataLoader(every, _BATCH, num_workers=config.fit.workers)
    part = path.with_suffix(".part")
    stored = None
    done = 0
    with torch.inference_mode():
        for photos in tqdm(loader, desc="frozen stages", unit="batch", disable=None):
            count = len(photos)  # (B, 1 + V, S, S, 3)
            out = net.frozen(photos.flatten(0, 1)).half().numpy()
            if stored is None:
                shape = (len(rows), photos.shape[1], *out.shape[1:])
                stored = np.lib.format.open_memmap(part, "w+", np.float16, shape)
            stored[done : done + count] = out.reshape(count, -1, *out.shape[1:])
            done += count
    assert stored is not None
    stored.flush()
    os.replace(part, path)


def _pool(config: TrainConfig, stored: npt.NDArray[np.float16], path: Path) -> None:
    net = _untrained(config)
    out = np.zeros((*stored.shape[:2], net.features), np.float16)
    bf16 = config.fit.autocast != "off"
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        for start in tqdm(range(0, len(stored), _BATCH), desc="pooled", unit="batch", disable=None):
            views = torch.from_numpy(stored[start : start + _BATCH].astype(np.float32))
            features = net.pooled(views.flatten(0, 1).contiguous(memory_format=torch.channels_last))
            if not bool((features.abs() < np.finfo(np.float16).max).all()):
                raise ConfigError(
                    f"pooled features of {config.net.backbone} are too large to be cached in half "
                    "precision; use fit.cached_views = 0"
                )
            out[start : start + _BATCH] = (
                features.float().numpy().reshape(len(views), -1, out.shape[2])
            )
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        np.save(file, out)
    os.replace(part, path)


class _AllViews(Dataset[Tensor]):
    """Rows as `(1 + V, S, S, 3)` uint8 RGB: the plain photo, then V augmented views."""

    def __init__(
        self, config: TrainConfig, rows: Sequence[Row], cells: Mapping[str, Cell], images: Path
    ) -> None:
        self.config = config
        self.rows = rows
        mild = TrainingViews(config, rows, cells, images)
        harder = TrainingViews(replace(config, augment=config.harder), rows, cells, images)
        self.views = [mild] * config.fit.cached_views + [harder] * config.fit.harder_views
        self.images = images
        self.rule = ResizeRule(config.net.size_px)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = self.rows[index]
        pixels = decode(read_file(self.images / row.file).data).pixels
        # A seed per picture: the views do not depend on how many workers share the work.
        with torch.random.fork_rng(devices=()):
            torch.manual_seed(self.config.seed * 1_000_003 + index)
            views = [view(pixels, row) for view in self.views]
        return torch.from_numpy(np.stack([preprocess(v, self.rule) for v in (pixels, *views)]))
