"""What the cells of an evaluation's tables say, and which lines the tables have."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from faunalens_train.pages import Table

Evaluation = Mapping[str, Any]


def folds_of(own: Mapping[str, Any]) -> str:
    """Which folds a column holds, in brackets; nothing for a column without."""
    return f" ({', '.join(own['folds'])})" if "folds" in own else ""


def shown_labels(evaluation: Evaluation) -> list[str]:
    """Labels, then families, that any column has figures of."""
    families = dict.fromkeys(f for own in evaluation["columns"].values() for f in own["families"])
    return [*label_order(evaluation), *families]


def label_order(evaluation: Evaluation) -> list[str]:
    """Labels that any column has figures of, in model order."""
    columns = evaluation["columns"].values()
    return [x for x in evaluation["spec"]["labels"] if any(x in own["labels"] for own in columns)]


def figures_of(own: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Figures of a label or family; empty if there are none."""
    figures: Mapping[str, Any] = own["labels"].get(name) or own["families"].get(name) or {}
    return figures


def recall_cell(figures: Mapping[str, Any], key: str) -> tuple[object, str]:
    """Number of pictures, and a figure with its interval."""
    return figures.get("pictures"), spread(figures, key)


def spread(figures: Mapping[str, Any], key: str, digits: int = 2) -> str:
    """A figure with its 95 % interval; nothing if it was not measured."""
    if key not in figures:
        return ""
    low, high = figures[f"{key}_95"]
    return f"{figures[key]:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def number(value: float | None, digits: int = 2) -> str:
    """A figure; nothing if it was not measured."""
    return "" if value is None else f"{value:.{digits}f}"


def rate_text(rate: float) -> str:
    """A share, as a percentage without needless digits."""
    return f"{100 * rate:g} %"


def risk_at(curve: Mapping[str, Sequence[float]], share: float) -> float:
    """Share of wrong answers when the surest `share` of photos is answered."""
    return next(
        (r for c, r in zip(curve["coverage"], curve["risk"], strict=True) if c >= share - 1e-9),
        curve["risk"][-1],
    )


def without_empty(whole: Table) -> Table:
    """The table without columns that say nothing."""
    kept = [j for j in range(len(whole.head)) if any(line[j] for line in whole.lines)]

    def pick(cells: Iterable[str]) -> tuple[str, ...]:
        every = tuple(cells)
        return tuple(every[j] for j in kept)

    return Table(pick(whole.head), tuple(map(pick, whole.lines)))
