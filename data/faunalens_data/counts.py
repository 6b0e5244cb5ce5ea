"""How many pictures, groups and sources stand behind each label, and how much one source holds."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from faunalens_data.row import NEGATIVE_KINDS, RESERVED_LABELS, Row, known_labels
from faunalens_data.split import PARTS, Scheme, Split


@dataclass(frozen=True)
class Stratum:
    """One label or negative kind of a data set, counted.

    Attributes:
        name: Label id or negative kind.
        pictures: Pictures with it; a picture with two labels counts for both.
        groups: Groups among them.
        sources: Sources among them.
        largest_source: The one with most of the pictures; empty if there are none.
        largest: Pictures of that source.
    """

    name: str
    pictures: int
    groups: int
    sources: int
    largest_source: str
    largest: int

    @property
    def is_negative(self) -> bool:
        """Whether it is a negative kind."""
        return self.name in NEGATIVE_KINDS

    @property
    def is_reserved(self) -> bool:
        """Whether it is a label that the model does not answer."""
        return self.name in RESERVED_LABELS

    @property
    def share(self) -> float:
        """Share of the largest source, 0 to 1."""
        return self.largest / self.pictures if self.pictures else 0.0


def count_strata(rows: Sequence[Row]) -> list[Stratum]:
    """Count every label of the model, and the other strata that occur, labels first."""
    members: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for name in row.strata:
            members[name].append(row)
    strata = []
    for name in stratum_names(rows):
        sources = Counter(row.source for row in members[name])
        # Of two equal sources the first by name, so that the order of rows does not matter.
        largest_source, largest = min(
            sources.items(), key=lambda item: (-item[1], item[0]), default=("", 0)
        )
        strata.append(
            Stratum(
                name,
                len(members[name]),
                len({row.group for row in members[name]}),
                len(sources),
                largest_source,
                largest,
            )
        )
    return strata


def stratum_names(rows: Sequence[Row]) -> list[str]:
    """Every label of the model, then the reserved labels and the negative kinds that occur."""
    used = {name for row in rows for name in row.strata}
    return [
        name
        for name in (*known_labels(), *NEGATIVE_KINDS)
        if name in used or name not in (*RESERVED_LABELS, *NEGATIVE_KINDS)
    ]


def rights_table(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Pictures per stratum and rights class: the columns, and lines led by a name."""
    classes = [name for name, _ in Counter(row.rights for row in rows).most_common()]
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for row in rows:
        for name in (*row.strata, "pictures"):
            counts[name][row.rights] += 1
    names = [*(name for name in stratum_names(rows) if name in counts), "pictures"]
    lines: list[list[object]] = [
        [name, *(counts[name][one] for one in classes), counts[name].total()] for name in names
    ]
    return ["", *classes, "all"], lines


def cross_table(
    rows: Sequence[Row], splits: Sequence[Split], scheme: Scheme
) -> tuple[list[int | str], list[list[object]]]:
    """Pictures per stratum and value of a split column: the values, and lines led by a name.

    Args:
        rows: The data set.
        splits: Of these rows, in the same order.
        scheme: The column.
    """
    where: list[int | str] = [getattr(split, scheme) for split in splits]
    # A fold that no source fell into is shown too, unless it is the last.
    values: list[int | str] = (
        list(PARTS) if scheme == "part" else [*range(max(map(int, where), default=-1) + 1)]
    )
    counts: dict[str, Counter[int | str]] = defaultdict(Counter)
    for row, value in zip(rows, where, strict=True):
        for name in (*row.strata, "pictures"):
            counts[name][value] += 1
    names = [*(name for name in stratum_names(rows) if name in counts), "pictures"]
    return values, [
        [name, *(counts[name][value] for value in values), counts[name].total()] for name in names
    ]
