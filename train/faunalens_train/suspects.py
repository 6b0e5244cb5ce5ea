"""Pictures whose label a model that never saw them contradicts: for a person to look at.

Confident learning (Northcutt, Jiang, Chuang 2021, arXiv:1911.00068), as cleanlab does it. Most of
what it finds is the model's fault, not the label's: nothing is changed here.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps
from tqdm import tqdm

from faunalens.errors import MissingExtraError
from faunalens_data.files import write_bytes
from faunalens_data.pictures import open_picture
from faunalens_data.row import Row
from faunalens_data.table import write_table
from faunalens_train.scored import Scored, fold_runs, score_run, test_set

COLUMNS = (
    "number",
    "flagged",
    "sha256",
    "file",
    "source",
    "given",
    "model_says",
    "quality",
    "note",
)
TABLE, SHEET = "suspects.csv", "suspects_{:02d}.jpg"

_UNKNOWN = 1e-3  # probability given to what is not known: it contradicts nothing
_TILE_PX = 200
_TEXT_PX = 36
_ACROSS, _DOWN = 8, 8


@dataclass(frozen=True)
class Suspect:
    """A picture whose label is doubtful.

    Attributes:
        row: The picture.
        given: What the manifest says it shows.
        model_says: The label on which model and manifest are furthest apart, with its probability.
        quality: cleanlab's score of the label, 0 (surely wrong) to 1.
        flagged: Whether cleanlab takes the label for wrong; the others only come next.
    """

    row: Row
    given: str
    model_says: str
    quality: float
    flagged: bool


def find_suspects(crossval: Path, least: int) -> tuple[list[Suspect], Path]:
    """`suspects` of a folder made by `crossval`, and the pictures' folder.

    Raises:
        RunError: The folder is incomplete, or its manifest has changed since.
        MissingExtraError: cleanlab is not installed.
    """
    runs = fold_runs(crossval)
    scored = Scored.pooled([score_run(run)[0] for run in runs])
    return suspects(scored, least), test_set(runs[0]).images


def suspects(scored: Scored, least: int) -> list[Suspect]:
    """Pictures of which cleanlab thinks that a label is missing or too much, worst first.

    Args:
        least: Number of pictures at least; filled up with those it thinks worst of after them.
    """
    try:
        from cleanlab.multilabel_classification import get_label_quality_scores
        from cleanlab.multilabel_classification.filter import find_label_issues
    except ImportError as error:
        raise MissingExtraError("train", "finding doubtful labels (cleanlab)") from error
    count = len(scored.labels)
    wanted = scored.wanted[:, :count]
    probability = np.where(np.isnan(wanted), _UNKNOWN, scored.probability[:, :count])
    given = [np.flatnonzero(line == 1).tolist() for line in wanted]
    flagged = find_label_issues(given, probability, n_jobs=1)
    quality = get_label_quality_scores(given, probability)
    gap = np.abs(np.nan_to_num(wanted) - probability).argmax(axis=1)
    order = np.lexsort((quality, ~flagged))
    return [
        Suspect(
            row=scored.rows[i],
            given=";".join(scored.rows[i].strata),
            model_says=f"{scored.labels[gap[i]]} {probability[i, gap[i]]:.3f}",
            quality=float(quality[i]),
            flagged=bool(flagged[i]),
        )
        for i in order[: max(least, int(flagged.sum()))]
    ]


def write_suspects(found: Sequence[Suspect], images: Path, out: Path) -> list[Path]:
    """Write them as a table, and as contact sheets.

    The sheets show pictures of the data set: they have its rights and must not be published.

    Raises:
        PhotoError: A picture cannot be read.
    """
    out.mkdir(parents=True, exist_ok=True)
    lines = (
        [
            number,
            "yes" if one.flagged else "no",
            *(one.row.sha256, one.row.file, one.row.source, one.given, one.model_says),
            f"{one.quality:.4f}",
            one.row.note,
        ]
        for number, one in enumerate(found, 1)
    )
    write_table(out / TABLE, COLUMNS, lines)
    for old in out.glob("suspects_*.jpg"):
        old.unlink()
    written = [out / TABLE]
    shown = list(enumerate(found, 1))
    step = _ACROSS * _DOWN
    for start in tqdm(range(0, len(shown), step), desc="sheets", unit="sheet", disable=None):
        path = out / SHEET.format(start // step + 1)
        write_bytes(path, _sheet(shown[start : start + step], images))
        written.append(path)
    return written


def _sheet(shown: Sequence[tuple[int, Suspect]], images: Path) -> bytes:
    height = _TILE_PX + _TEXT_PX
    down = -(-len(shown) // _ACROSS)
    sheet = Image.new("RGB", (_ACROSS * _TILE_PX, down * height), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (number, suspect) in enumerate(shown):
        left, top = place % _ACROSS * _TILE_PX, place // _ACROSS * height
        pixels = open_picture(images / suspect.row.file, _TILE_PX).pixels
        picture = ImageOps.contain(Image.fromarray(pixels), (_TILE_PX - 4, _TILE_PX - 4))
        sheet.paste(picture, (left, top))
        draw.text((left + 2, top + _TILE_PX), f"{number}: given {suspect.given}", fill="black")
        draw.text((left + 2, top + _TILE_PX + 16), f"model: {suspect.model_says}", fill="#a00")
    buffer = io.BytesIO()
    sheet.save(buffer, "JPEG", quality=85)
    return buffer.getvalue()
