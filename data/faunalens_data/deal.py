"""Deal whole groups, or whole sources, to folds of given sizes, each label in proportion.

scikit-learn's StratifiedGroupKFold deals much the same way, but into equal folds only, and it
takes one class per picture. Here every label and negative kind, and the pictures as a whole, are
strata. The cost of a deal is, summed over the strata, the chi-square over the folds divided by the
size of the stratum, so that 40 pangolins weigh as much as 1,000 ivories. Units go largest first,
each where it costs least; then single units move as long as that lowers the cost.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from faunalens_data.row import Row

_ROUNDS = 20  # of moving single units; after a handful nothing moves any more


def assign(
    rows: Sequence[Row], units: Sequence[str], shares: Sequence[float], seed: int
) -> dict[str, int]:
    """Deal whole units to folds so that every stratum is shared out as asked.

    Args:
        rows: The pictures; their strata are what is shared out.
        units: Name of the unit (group, source) of each row.
        shares: Share of the pictures for each fold; the sum is 1, a fold of share 0 stays empty.
        seed: Which of several equally good deals.

    Returns:
        The fold of each unit, by name; the order of the rows does not matter.
    """
    names = sorted(set(units))
    # Sorting by a seeded hash makes ties fall differently per seed, yet the same in any row order.
    names.sort(key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    place = {name: number for number, name in enumerate(names)}
    strata = sorted({stratum for row in rows for stratum in row.strata})
    column = {stratum: number for number, stratum in enumerate(strata)}
    counts = np.zeros((len(names), len(strata) + 1))  # the last column counts pictures
    for row, unit in zip(rows, units, strict=True):
        counts[place[unit], -1] += 1
        for stratum in row.strata:
            counts[place[unit], column[stratum]] += 1

    open_folds = np.array([number for number, share in enumerate(shares) if share > 0])
    share = np.array([shares[number] for number in open_folds])
    portion = counts / counts.sum(axis=0)  # (units, strata): of each stratum, what the unit holds
    fold = _deal(portion, share)
    return {name: int(open_folds[fold[number]]) for name, number in place.items()}


def _deal(
    portion: npt.NDArray[np.float64], share: npt.NDArray[np.float64]
) -> npt.NDArray[np.int64]:
    """Fold of each unit, `(units,)`, from portions `(units, strata)` and shares `(folds,)`."""
    filled = np.zeros((len(share), portion.shape[1]))

    def cost(unit: int) -> npt.NDArray[np.float64]:  # (folds,): chi-square rise if put there
        part = portion[unit]
        rise: npt.NDArray[np.float64] = (part * (2 * filled + part)).sum(axis=1) / share
        return rise

    order = np.argsort(-(portion**2).sum(axis=1), kind="stable")
    fold = np.full(len(portion), -1)
    for unit in order:
        fold[unit] = int(np.argmin(cost(unit)))
        filled[fold[unit]] += portion[unit]
    for _ in range(_ROUNDS):
        moved = 0
        for unit in order:
            filled[fold[unit]] -= portion[unit]
            costs = cost(unit)
            best = int(np.argmin(costs))
            if costs[best] < costs[fold[unit]] - 1e-12:
                fold[unit] = best
                moved += 1
            filled[fold[unit]] += portion[unit]
        if not moved:
            break
    return fold
