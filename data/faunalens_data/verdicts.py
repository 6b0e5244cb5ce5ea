"""Officers' decisions to manifest rows, so that the next training learns from them."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from faunalens.decisions import NOTHING, Choice, OfficerDecision
from faunalens_data.row import Row

SOURCE = "officers"
"""The source of these rows: one of its own, so that the honest test can hold it out."""


class Taken(NamedTuple):
    """Rows, and why the other photos gave none.

    Attributes:
        left_out: Reason to number of photos.
    """

    rows: list[Row]
    left_out: Counter[str]


def rows_from_verdicts(decisions: Iterable[OfficerDecision], photos: Path) -> Taken:
    """One row per photo that is kept and that officers agree about.

    Of an officer's several decisions about one photo the last counts. A rejected hit becomes a
    negative of the kind `other`: what it shows instead, nobody said.

    Args:
        decisions: Oldest first, as `Store.decisions` gives them.
        photos: Folder of the kept photos (`faunalens serve --keep-photos`).
    """
    by_photo: dict[str, dict[str, OfficerDecision]] = {}
    for decision in decisions:
        by_photo.setdefault(decision.sha256, {})[decision.officer] = decision
    rows: list[Row] = []
    left_out: Counter[str] = Counter()
    for sha256, by_officer in by_photo.items():
        sure = [one for one in by_officer.values() if one.choice is not Choice.UNSURE]
        said = {_labels(one) for one in sure}
        if not sure:
            left_out["officers are unsure"] += 1
        elif len(said) > 1:
            left_out["officers disagree"] += 1
        elif (file := next(_kept(photos, sha256), None)) is None:
            left_out["the photo was not kept"] += 1
        else:
            rows.append(_row(sure[-1], said.pop(), file.relative_to(photos).as_posix()))
    return Taken(rows, left_out)


def _labels(decision: OfficerDecision) -> tuple[str, ...]:
    if decision.choice is Choice.OTHER and decision.other_label not in (None, NOTHING):
        return (str(decision.other_label),)
    hit = decision.verdict != "clear"
    return (decision.label,) if decision.choice is Choice.CONFIRMED and hit else ()


def _row(decision: OfficerDecision, labels: tuple[str, ...], file: str) -> Row:
    return Row(
        file=file,
        sha256=decision.sha256,
        labels=labels,
        negative_kind=None if labels else "other",
        group=decision.sha256,
        source=SOURCE,
        source_path=decision.id,
        photo_kind="listing",
        width=decision.width,
        height=decision.height,
        note=" ".join(decision.note.split()),
    )


def _kept(photos: Path, sha256: str) -> Iterator[Path]:
    yield from sorted((photos / sha256[:2]).glob(f"{sha256}.*"))
