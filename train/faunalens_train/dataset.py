"""Manifest rows to tensors, and how often each row is drawn."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from faunalens.decode import decode, read_file
from faunalens.preprocess import preprocess
from faunalens.spec import ResizeRule
from faunalens_data.manifest import fingerprint, load_rows
from faunalens_data.row import Row
from faunalens_data.split import Scheme, Split, held_out_rows, read_splits, training_rows
from faunalens_train.augment import AdvertAugment
from faunalens_train.backdrop import BackdropSwap, Donors
from faunalens_train.collage import Collage
from faunalens_train.config import BalanceConfig, ConfigError, DataConfig, TrainConfig
from faunalens_train.cutout import LastCut
from faunalens_train.draw import chance

Cell = tuple[str, int, int]
"""What every split says of a row: its part, its fold by group and its fold by source."""

Sample = tuple[Tensor, int, bool]
"""A picture, its position among the rows, and whether it may teach what a surface looks like."""


@dataclass(frozen=True)
class Parts:
    """The three parts of a run, sharing no group.

    Attributes:
        train, val, test: Rows; `val` never trains, `test` is never looked at before the end.
        every: All rows of the manifest, in its order.
        cells: Hash of a row to its place in every split.
        images: Folder that the rows' files lie in.
        fingerprint: Of the whole manifest.
    """

    train: list[Row]
    val: list[Row]
    test: list[Row]
    every: list[Row]
    cells: dict[str, Cell]
    images: Path
    fingerprint: str


def load_parts(config: DataConfig, labels: Sequence[str], held_out: str) -> Parts:
    """Read manifest and splits, and divide.

    Rows whose labels are all reserved (taxidermy, coral, ...) take no part: they are no negatives,
    and the model has no output for them.

    Args:
        held_out: `part` (the test part of the split), or `group_fold:K` or `source_fold:K`.

    Raises:
        FaunalensError: Files or `held_out` cannot be used.
    """
    dataset = load_rows(config.manifest, images=config.images or None)
    splits = read_splits(Path(config.splits))
    scheme, _, fold = held_out.partition(":")
    if scheme == "part" and not fold:
        test_of: tuple[Scheme, set[int | str]] = ("part", {"test"})
    elif scheme == "source_fold" and fold.isdecimal():
        test_of = ("source_fold", {int(fold)})
    elif scheme == "group_fold" and fold.isdecimal():
        test_of = ("group_fold", {int(fold)})
    else:
        raise ConfigError(f"held-out set {held_out!r} must be part, group_fold:K or source_fold:K")
    test = held_out_rows(dataset.rows, splits, *test_of)
    rest = training_rows(dataset.rows, splits, *test_of)
    val = held_out_rows(rest, splits, "part", {"val"})
    train = training_rows(rest, splits, "part", {"val"})

    def usable(rows: list[Row]) -> list[Row]:
        known = set(labels)
        return [row for row in rows if row.is_negative or known.intersection(row.labels)]

    parts = Parts(
        train=usable(train),
        val=usable(val),
        test=usable(test),
        every=dataset.rows,
        cells=split_cells(splits),
        images=dataset.images,
        fingerprint=fingerprint(dataset.rows),
    )
    for name in ("train", "val", "test"):
        if not getattr(parts, name):
            raise ConfigError(f"no usable picture in the {name} part; make the splits again")
    missing = set(labels) - {label for row in parts.train for label in row.labels}
    if missing and scheme == "part":
        raise ConfigError(f"no training picture of {', '.join(sorted(missing))}")
    # A fold may hold the only source of a label: its recall there is then what ignorance gives.
    return parts


def split_cells(splits: Sequence[Split]) -> dict[str, Cell]:
    """Hash of each row to its place in every split."""
    return {s.sha256: (s.part, s.group_fold, s.source_fold) for s in splits}


def targets(
    rows: Sequence[Row], labels: Sequence[str], unknown: dict[str, list[str]]
) -> npt.NDArray[np.float32]:
    """`(N, L)` float32: 1 shows it, 0 does not, NaN not known (see `DataConfig.unknown`)."""
    out = np.zeros((len(rows), len(labels)), np.float32)
    for i, row in enumerate(rows):
        for j, label in enumerate(labels):
            if label in row.labels:
                out[i, j] = 1
            elif set(unknown.get(label, ())).intersection(row.labels):
                out[i, j] = np.nan
    return out


class TrainingViews:
    """Changed views of a photo, as training sees it.

    Args:
        config: What may change, and the size of the result.
        rows: The rows that may be seen, also behind another row's object.
        cells: See `Parts`.
        images: Folder that the rows' files lie in.
        cut: See `BackdropSwap`.
    """

    def __init__(
        self,
        config: TrainConfig,
        rows: Sequence[Row],
        cells: Mapping[str, Cell],
        images: Path,
        cut: LastCut | None = None,
    ) -> None:
        self._swap_p = config.augment.swap_p
        self._collage_p = config.augment.collage_p
        donors = Donors(rows, cells, images)
        self._swap = BackdropSwap(donors, config.net.size_px, cut)
        self._collage = Collage(donors, config.net.size_px)
        self._advert = AdvertAugment(config.augment, config.net.size_px)

    def __call__(self, pixels: npt.NDArray[np.uint8], row: Row) -> npt.NDArray[np.uint8]:
        """`(H, W, 3)` uint8 RGB of `row` to `(S, S, 3)`, by torch's generator."""
        if chance(self._collage_p):
            sheet = self._collage(pixels, row)
            if sheet is not None:
                return self._advert(sheet, crop=False)
        if chance(self._swap_p):
            moved = self._swap(pixels, row)
            if moved is not None:
                return self._advert(moved, crop=False)
        return self._advert(pixels)


class PhotoDataset(Dataset[Sample]):
    """Rows as `(S, S, 3)` uint8 RGB tensors; see `Sample`.

    A picture that cannot be read raises: `faunalens-data check` finds it before, and silently
    leaving it out would change what a figure means.

    Args:
        views: None for the plain pre-processing of the product.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        images: Path,
        rule: ResizeRule,
        views: TrainingViews | None = None,
    ) -> None:
        self.rows = rows
        self.images = images
        self.rule = rule
        self.views = views

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Sample:
        row = self.rows[index]
        pixels = decode(read_file(self.images / row.file).data).pixels
        if self.views is not None:
            pixels = self.views(pixels, row)
        # A copy: torch warns of Pillow's read-only memory.
        return torch.from_numpy(np.array(preprocess(pixels, self.rule))), index, True


def draw_weights(rows: Sequence[Row], config: BalanceConfig) -> npt.NDArray[np.float64]:
    """How often each row is drawn, `(N,)`, sum 1.

    A stratum (a label, or a kind of negative) is drawn by its count to `label_power`; a source
    within it by its count to `source_power`; so a museum that gives most of a label does not
    drown the rest. A row in several strata adds them up.
    """
    weights = np.zeros(len(rows))
    strata = Counter(name for row in rows for name in row.strata)
    sources = Counter((name, row.source) for row in rows for name in row.strata)
    share = {name: count**config.label_power for name, count in strata.items()}
    within: dict[str, float] = defaultdict(float)
    for (name, _), count in sources.items():
        within[name] += count**config.source_power
    for i, row in enumerate(rows):
        for name in row.strata:
            count = sources[name, row.source]
            weights[i] += share[name] * count**config.source_power / within[name] / count
    negative = np.array([row.is_negative for row in rows])
    for side, part in ((negative, config.negative_share), (~negative, 1 - config.negative_share)):
        if side.any() and not side.all():
            weights[side] *= part / weights[side].sum()
    return np.asarray(weights / weights.sum())
