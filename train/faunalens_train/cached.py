"""Views of pictures as the frozen stages leave them, from a cache on disk (see cache.py)."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset

from faunalens_data.row import Row
from faunalens_train.dataset import Sample


class ViewCache:
    """Float16 outputs `(N, V, C, h, w)` of the frozen stages, on disk, mapped into memory.

    Args:
        stored: The array.
        rows: The N rows, in its order.
    """

    def __init__(self, stored: npt.NDArray[np.float16], rows: Sequence[Row]) -> None:
        self.stored = stored
        self.index = {row.sha256: i for i, row in enumerate(rows)}

    def view(self, rows: Sequence[Row], place: int) -> "CachedViews":
        """Each row in its view at `place`."""
        return CachedViews(self.stored, [self.index[row.sha256] for row in rows], place)


class TrainingCache(ViewCache):
    """View 0 is the plain photo, the rest are augmented, the last `harder` under harder edits.

    Args:
        stored: The array, of `1 + V` views.
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
        super().__init__(stored, rows)
        self.initial = initial
        # `(1 + V,)` whether a view is the plain photo or under the usual edits.
        self.mild = np.arange(stored.shape[1]) < stored.shape[1] - harder

    def initial_features(self, rows: Sequence[Row]) -> npt.NDArray[np.float32]:
        """`(N * (1 + V), F)` float32: each row's views one after the other."""
        places = [self.index[row.sha256] for row in rows]
        return self.initial[places].astype(np.float32).reshape(-1, self.initial.shape[2])

    def initial_plain(self, rows: Sequence[Row], width: int) -> npt.NDArray[np.float32]:
        """`(N, width)` float32: the last features of each row's plain photo."""
        places = [self.index[row.sha256] for row in rows]
        return self.initial[places, 0, -width:].astype(np.float32)

    def plain(self, rows: Sequence[Row]) -> "CachedViews":
        """Each row as the product would see it."""
        return self.view(rows, 0)

    def augmented(self, rows: Sequence[Row]) -> "CachedViews":
        """Each row in one of its augmented views, drawn by torch's generator."""
        places = [self.index[row.sha256] for row in rows]
        return CachedViews(self.stored, places, None, self.mild)


class CachedViews(Dataset[Sample]):
    """Rows as `(C, h, w)` float32 outputs of the frozen stages; see `Sample`.

    Args:
        stored: `(N, V, C, h, w)`.
        places: Of the rows in it.
        view: Which one; None draws one of all but the first.
        mild: `(V,)`, views under the usual edits; all if None.
    """

    def __init__(
        self,
        stored: npt.NDArray[np.float16],
        places: Sequence[int],
        view: int | None,
        mild: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        self.stored = stored
        self.places = places
        self.which = view
        self.mild = mild

    def __len__(self) -> int:
        return len(self.places)

    def __getitem__(self, index: int) -> Sample:
        views = self.stored[self.places[index]]
        view = self.which
        if view is None:
            view = int(torch.randint(1, len(views), ()))
        mild = self.mild is None or bool(self.mild[view])
        return torch.from_numpy(views[view].astype(np.float32)), index, mild
