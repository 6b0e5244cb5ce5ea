"""Plots of counts as PNG bytes; drawn without a display and without matplotlib's global state."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

from faunalens.errors import MissingExtraError

_COLOURS = ("#2a6f97", "#e09f3e")
_ROW_INCHES = 0.28
_WIDTH_INCHES = 9.0
_NAME_LENGTH = 48


def bars(
    title: str,
    names: Sequence[str],
    series: Mapping[str, Sequence[int]],
    *,
    limit: int | None = None,
) -> bytes:
    """Horizontal bars, one name below the other, the first on top; each with its number.

    Args:
        title: Above the plot.
        names: One per bar.
        series: Numbers per name under what they count; up to two.
        limit: Right end of the axis; if not given, the largest number.

    Raises:
        MissingExtraError: The extra `data` is not installed.
    """
    figure, axes = blank(title, 1.1 + _ROW_INCHES * len(series) * max(len(names), 1))
    height = 0.8 / len(series)
    for number, (what, values) in enumerate(series.items()):
        places = [place + number * height for place in range(len(names))]
        drawn = axes.barh(places, values, height, label=what, color=_COLOURS[number])
        axes.bar_label(drawn, padding=3, fontsize=8)
    middle = (len(series) - 1) * height / 2
    axes.set_yticks([place + middle for place in range(len(names))], [*map(_plain, names)])
    axes.set_ylim(max(len(names), 1) - 0.5 + middle, -0.5)
    axes.set_xlim(0, 1.1 * (limit or max(map(max, filter(None, series.values())), default=1) or 1))
    if len(series) > 1:
        axes.legend(loc="lower right")
    return png(figure)


def histogram(title: str, values: Sequence[int]) -> bytes:
    """Numbers of pictures over 30 equal steps of a value.

    Raises:
        MissingExtraError: The extra `data` is not installed.
    """
    figure, axes = blank(title, 3.6)
    if values:
        axes.hist(values, bins=30, color=_COLOURS[0])
    axes.set_ylabel("pictures")
    return png(figure)


def blank(
    title: str, height_inches: float, *, width_inches: float = _WIDTH_INCHES
) -> tuple[Any, Any]:
    """An empty matplotlib figure and its axes.

    Raises:
        MissingExtraError: The extra `data` is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("data", "drawing plots (matplotlib)") from error
    figure = Figure(figsize=(width_inches, height_inches), layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8)
    return figure, axes


def png(figure: Any) -> bytes:
    """A matplotlib figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _plain(name: str) -> str:
    """A name that fits, with nothing in it that matplotlib takes for a formula."""
    short = name if len(name) <= _NAME_LENGTH else name[: _NAME_LENGTH - 1] + "…"
    return short.replace("$", r"\$")
