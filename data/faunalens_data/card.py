"""The data card: what is in a data set, where it comes from, and where it is thin."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path

import numpy as np

from faunalens.errors import FaunalensError
from faunalens_data.counts import Stratum, count_strata, rights_table
from faunalens_data.files import refuse_overwrite, write_bytes, write_text
from faunalens_data.manifest import fingerprint
from faunalens_data.plots import bars, histogram
from faunalens_data.row import Row
from faunalens_data.table import amount

CARD = "DATA_CARD.md"
"""Name of the card in its folder."""

TOP_SOURCES = 30
"""Sources named one by one; the rest is summed up."""

# Below these a figure for the label says little; see "Known limits" of a card.
_FEW_GROUPS = 50
_FEW_SOURCES = 5
_CONCENTRATED = 0.5
_SMALL_PX = 224


def write_card(
    rows: Sequence[Row], folder: Path, *, name: str, day: date, overwrite: bool = False
) -> list[Path]:
    """Write DATA_CARD.md and its plots: counts only, no picture of the data set.

    Args:
        rows: The data set.
        folder: Made if it does not exist.
        name: What the title calls the data set.
        day: Date on the card.
        overwrite: Write over an earlier card.

    Returns:
        The files written, the card first.

    Raises:
        UsageError: There is a card already and `overwrite` is false.
        FaunalensError: The folder cannot be written.
        MissingExtraError: The extra `data` is not installed.
    """
    refuse_overwrite(folder / CARD, overwrite)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise FaunalensError(f"cannot make the folder {folder}: {error.strerror}") from error
    written = [folder / CARD]
    for file, image in _plots(rows):
        write_bytes(folder / file, image)
        written.append(folder / file)
    write_text(folder / CARD, card_text(rows, name=name, day=day))
    return written


def card_text(rows: Sequence[Row], *, name: str, day: date) -> str:
    """The card as Markdown; it shows the plots that `write_card` puts beside it."""
    strata = count_strata(rows)
    longest = _longest_sides(rows)
    parts = [
        f"# Data card: {name}",
        f"Made on {day.isoformat()} by `faunalens-data card`. {amount(len(rows), 'picture')},"
        f" {amount(len({row.group for row in rows}), 'group')} (one object, or copies of one"
        f" picture), {amount(len({row.source for row in rows}), 'source')}.",
        f"Fingerprint: `{fingerprint(rows)}`",
        "## Labels",
        "A picture with two labels counts for both. Reserved labels are not answered by the model"
        " and never used as negatives.",
        _strata_table([stratum for stratum in strata if not stratum.is_negative]),
        "![Pictures and groups per label](labels.png)",
        "![Share of the largest source](largest_source.png)",
        "## Negatives",
        _strata_table([stratum for stratum in strata if stratum.is_negative]),
        "![Pictures and groups per negative kind](negatives.png)",
        "## Sources",
        _counts_table("source", _top(Counter(row.source for row in rows), TOP_SOURCES)),
        "![Pictures per source](sources.png)",
        "## Rights",
        "What may be done with the pictures, by what they show: `open` (a free licence or public"
        " domain), `noncommercial`, `unstated` (nobody said; not to be published).",
        _table(*rights_table(rows)),
        _counts_table("licence as stated", _top(Counter(_given(row.licence) for row in rows))),
        "![Pictures per rights class](rights.png)",
        "## Kinds of photo",
        _counts_table("kind", _top(Counter(_given(row.photo_kind) for row in rows))),
        "![Pictures per kind of photo](photo_kinds.png)",
        "## Picture size",
        _size_text(longest),
        "![Longest side](sizes.png)",
        "## Known limits",
        "\n".join(f"- {limit}" for limit in _limits(rows, strata, longest)),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _plots(rows: Sequence[Row]) -> Iterable[tuple[str, bytes]]:
    strata = count_strata(rows)
    labels = [stratum for stratum in strata if not stratum.is_negative]
    negatives = [stratum for stratum in strata if stratum.is_negative]
    for file, part, title in (
        ("labels.png", labels, "Pictures and groups per label"),
        ("negatives.png", negatives, "Pictures and groups per negative kind"),
    ):
        series = {
            "pictures": [stratum.pictures for stratum in part],
            "groups": [stratum.groups for stratum in part],
        }
        yield file, bars(title, [stratum.name for stratum in part], series)
    shares = [round(100 * stratum.share) for stratum in strata]
    names = [stratum.name for stratum in strata]
    title = "Share of the largest source, % of the pictures"
    yield "largest_source.png", bars(title, names, {"largest source": shares}, limit=100)
    columns: tuple[tuple[str, str, Callable[[Row], str], int | None], ...] = (
        ("sources.png", "Pictures per source", lambda row: row.source, TOP_SOURCES),
        ("rights.png", "Pictures per rights class", lambda row: row.rights, None),
        ("photo_kinds.png", "Pictures per kind of photo", lambda row: _given(row.photo_kind), None),
    )
    for file, title, value, most in columns:
        counted = _top(Counter(map(value, rows)), most)
        numbers = {"pictures": [number for _, number in counted]}
        yield file, bars(title, [word for word, _ in counted], numbers)
    yield "sizes.png", histogram("Longest side of the pictures, px", _longest_sides(rows))


def _limits(rows: Sequence[Row], strata: Sequence[Stratum], longest: list[int]) -> list[str]:
    """Sentences on where the data set is thin; all of them follow from the counts."""
    labels = [s for s in strata if not s.is_negative and not s.is_reserved]
    present = [stratum for stratum in labels if stratum.pictures]
    limits = []
    if absent := [stratum.name for stratum in labels if not stratum.pictures]:
        limits.append(f"No picture at all: {', '.join(absent)}.")
    limits += [
        f"{stratum.name}: {stratum.share:.0%} of the pictures are from one source"
        f" ({_escape(stratum.largest_source)}); a model may learn that source's backdrop and light."
        for stratum in present
        if stratum.share > _CONCENTRATED
    ]
    if few := [f"{s.name} ({s.sources})" for s in present if s.sources < _FEW_SOURCES]:
        limits.append(
            f"Fewer than {_FEW_SOURCES} sources, so that a source-disjoint figure is a guess or"
            f" impossible: {', '.join(few)}."
        )
    if few := [f"{s.name} ({s.groups})" for s in present if s.groups < _FEW_GROUPS]:
        limits.append(
            f"Fewer than {_FEW_GROUPS} groups, so that a recall is uncertain by some 10 points"
            f" either way: {', '.join(few)}."
        )
    negatives = len({row.group for row in rows if row.is_negative})
    limits.append(
        f"{amount(negatives, 'group')} of negatives: a false-positive rate below"
        f" {3 / negatives:.2%} cannot be shown (rule of three)."
        if negatives > 3
        else "Hardly a negative, or none: false alarms cannot be counted."
    )
    if small := sum(side < _SMALL_PX for side in longest):
        limits.append(
            f"{amount(small, 'picture')} with a longest side under {_SMALL_PX} px; material"
            " (ivory or bone) is not to be seen at that size."
        )
    if unstated := sum(row.rights == "unstated" for row in rows):
        limits.append(
            f"The rights in {unstated / len(rows):.0%} of the pictures are unstated: the pictures"
            " are not to be published."
        )
    limits.append("Labels were given from pictures and captions, not from an examined object.")
    return limits


def _strata_table(strata: Sequence[Stratum]) -> str:
    return _table(
        ("", "pictures", "groups", "sources", "largest source", "its share"),
        [
            (
                f"{stratum.name} (reserved)" if stratum.is_reserved else stratum.name,
                stratum.pictures,
                stratum.groups,
                stratum.sources,
                stratum.largest_source,
                f"{stratum.share:.0%}" if stratum.pictures else "",
            )
            for stratum in strata
        ],
    )


def _counts_table(what: str, counted: Sequence[tuple[str, int]]) -> str:
    return _table((what, "pictures"), counted)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = [[_escape(str(cell)) for cell in row] for row in rows]
    lines = [list(columns), ["---"] * len(columns), *body] if body else []
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _size_text(longest: list[int]) -> str:
    if not longest:
        return "The manifest does not record sizes."
    low, middle, high = np.percentile(longest, [5, 50, 95])
    return (
        f"Longest side: 5 % are below {low:.0f} px, half below {middle:.0f} px,"
        f" 95 % below {high:.0f} px; the largest is {max(longest)} px."
    )


def _longest_sides(rows: Sequence[Row]) -> list[int]:
    return [max(row.width, row.height) for row in rows if row.width and row.height]


def _top(counts: Counter[str], most: int | None = None) -> list[tuple[str, int]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ranked[most:] if most else []
    if len(rest) > 1:
        total = sum(number for _, number in rest)
        return [*ranked[:most], (f"{len(rest)} other sources", total)]
    return ranked


def _given(word: str) -> str:
    return word or "(not given)"


def _escape(text: str) -> str:
    """Text that Markdown shows as it is, inside a table too."""
    for sign in "\\|`*<>[]":
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.split())
