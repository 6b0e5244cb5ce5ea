"""The hits of a summary with their photos: found again, checked by SHA-256, evidence drawn."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from faunalens.decode import FileBytes, Photo, decode
from faunalens.drawing import Drawing, draw
from faunalens.errors import FailureKind, PhotoError
from faunalens.inputs_archive import reread
from faunalens.pipeline import Classifier
from faunalens.record import Record
from faunalens.spec import ResizeRule

# Of a picture; the page shows it at about half that, and so the outline at 2 px.
_LONGEST_PX = 440
_LINE_PX = 4
_ANY_RULE = ResizeRule(224)  # for photos drawn without evidence, where no rule acts


@dataclass(frozen=True)
class Hit:
    """One hit, ready for the page.

    Attributes:
        drawing: None if the photo cannot be shown.
        note: Why the photo or its evidence is not there; empty if both are.
    """

    record: Record
    drawing: Drawing | None = None
    note: str = ""


def look_again(
    records: Iterable[Record], classifier: Classifier | None, *, beside: Path
) -> Iterator[Hit]:
    """Read each hit's photo again and draw its evidence.

    A photo is used only if its SHA-256 is the one in the record, and evidence is drawn only by the
    model that made the record.

    Args:
        classifier: None to show photos without evidence.
        beside: Folder of the results; relative paths that do not lead to the photo from the
            working folder are tried from there.
    """
    for record in records:
        try:
            file = scanned_file(record, beside)
            yield _judge_again(record, file, classifier)
        except PhotoError as error:
            yield Hit(record, note=f"Photo not shown: {error}.")


def made_by(record: Record, classifier: Classifier) -> bool:
    """Whether this very model file made the record."""
    return record.model.get("sha256") == classifier.model.identity["sha256"]


def scanned_file(record: Record, beside: Path) -> FileBytes:
    """The bytes that were scanned; PhotoError if they are not there any more."""
    paths = [Path(record.source)]
    if not paths[0].is_absolute():
        paths.append(beside / record.source)
    problem = PhotoError(FailureKind.MISSING, "no file is at this path any more")
    for path in paths:
        try:
            file = reread(str(path))
        except PhotoError as error:
            if error.kind is not FailureKind.MISSING:
                problem = error
            continue
        if file.sha256 == record.sha256:
            return file
        problem = PhotoError(
            FailureKind.MISSING, "the file has changed since the scan (its SHA-256 is another)"
        )
    raise problem


def _judge_again(record: Record, file: FileBytes, classifier: Classifier | None) -> Hit:
    if classifier is None or not made_by(record, classifier):
        note = "" if classifier is None else "Evidence not drawn: another model made this result."
        return Hit(record, _drawn(decode(file.data, at_least_px=_LONGEST_PX)), note)
    judgement = classifier.classify(file.data, source=record.source)
    spec = classifier.model.spec
    if judgement.photo is None or judgement.evidence is None:
        failure = judgement.record.failure
        return Hit(record, note=f"Photo not shown: {failure.message if failure else 'failed'}.")
    if record.label not in spec.labels:
        note = "Evidence not drawn: the record names no label of its model."
        return Hit(record, _drawn(judgement.photo), note)
    evidence = judgement.evidence[spec.labels.index(record.label)]
    drawing = _drawn(judgement.photo, evidence, spec.resize)
    note = "" if drawing.evidence else "No region stands out: nothing to draw."
    return Hit(record, drawing, note)


def _drawn(
    photo: Photo, evidence: npt.NDArray[np.float32] | None = None, rule: ResizeRule = _ANY_RULE
) -> Drawing:
    return draw(photo, evidence, rule, longest_px=_LONGEST_PX, line_px=_LINE_PX)
