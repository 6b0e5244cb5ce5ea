"""Plots of an evaluation as PNG bytes; drawn without a display."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from faunalens_data.plots import blank, png

_COLOURS = ("#2a6f97", "#e09f3e", "#7b2d26", "#4f772d")


def reliability_plot(bins: Mapping[str, Sequence[Mapping[str, Any]]]) -> bytes:
    """Stated probability against observed share, one line per column of the report."""
    figure, axes = blank("Reliability of the likeliest label", 4.6, width_inches=5.4)
    axes.plot([0, 1], [0, 1], color="#999", linestyle="--", linewidth=1, label="perfect")
    for colour, (title, own) in zip(_COLOURS, bins.items(), strict=False):
        x = [one["stated"] for one in own]
        y = [one["observed"] for one in own]
        low = [one["observed"] - one["observed_95"][0] for one in own]
        high = [one["observed_95"][1] - one["observed"] for one in own]
        axes.errorbar(x, y, [low, high], color=colour, marker="o", capsize=2, label=title)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="stated probability", ylabel="share that is right")
    axes.grid(alpha=0.3)
    axes.legend(loc="upper left")
    return png(figure)


def risk_coverage_plot(curves: Mapping[str, Mapping[str, Any]]) -> bytes:
    """Share of wrong answers against share of photos answered."""
    figure, axes = blank("Risk and coverage", 4.0, width_inches=6.4)
    for colour, (title, own) in zip(_COLOURS, curves.items(), strict=False):
        axes.plot(own["coverage"], own["risk"], color=colour, label=f"{title}: {own['aurc']:.4f}")
    axes.set(
        xlim=(0, 1),
        ylim=(0, None),
        xlabel="share of photos answered, the most certain first",
        ylabel="share of wrong answers",
    )
    axes.grid(alpha=0.3)
    axes.legend(title="area under the curve", loc="upper left")
    return png(figure)


def recall_plot(
    title: str, labels: Sequence[str], columns: Mapping[str, Mapping[str, Any]], key: str
) -> bytes:
    """Recall per label with its interval, one bar per column of the report.

    Args:
        columns: Title to label to figures (see `metrics.ranking`).
        key: Figure drawn, such as `recall@0.01`; its interval is under the name with `_95`.
    """
    figure, axes = blank(title, 1.2 + 0.2 * len(columns) * len(labels), width_inches=8.0)
    height = 0.8 / max(1, len(columns))
    for number, (name, own) in enumerate(columns.items()):
        places = np.arange(len(labels)) + number * height
        values = np.array([own[x][key] if x in own else np.nan for x in labels])
        ends = np.array([own[x][f"{key}_95"] if x in own else (np.nan,) * 2 for x in labels])
        spread = np.abs(ends.reshape(-1, 2).T - values)
        axes.barh(
            places, values, height, xerr=spread, color=_COLOURS[number], label=name,
            error_kw={"elinewidth": 0.8, "ecolor": "#333"},
        )  # fmt: skip
    middle = (len(columns) - 1) * height / 2
    axes.set_yticks(np.arange(len(labels)) + middle, list(labels))
    axes.set_ylim(len(labels) - 0.5 + middle, -0.5)
    axes.set_xlim(0, 1.02)
    axes.grid(alpha=0.3, axis="x")
    axes.legend(loc="lower left")
    return png(figure)


def confusion_plot(title: str, table: Mapping[str, Any]) -> bytes:
    """Shares of each line of `figures.confusion`, with the counts in the cells."""
    names, columns = list(table["lines"]), table["columns"]
    counts = np.array([table["lines"][name] for name in names], np.float64)
    figure, axes = blank(title, 1.6 + 0.26 * len(names), width_inches=9.0)
    axes.imshow(counts / counts.sum(1, keepdims=True), cmap="Blues", vmin=0, vmax=1, aspect="auto")
    for y, x in zip(*np.nonzero(counts), strict=True):
        share = counts[y, x] / counts[y].sum()
        colour = "white" if share > 0.6 else "black"
        axes.text(x, y, f"{counts[y, x]:.0f}", ha="center", va="center", fontsize=7, color=colour)
    axes.set_xticks(range(len(columns)), columns, rotation=60, ha="right")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="taken for", ylabel="shows")
    return png(figure)
