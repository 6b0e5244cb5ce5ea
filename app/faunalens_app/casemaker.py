"""Case records of judged photos: the JSON, and the PDF that carries it."""

import io
import json
import mimetypes
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

from faunalens.casefile import attached, seal
from faunalens.decide import Verdict
from faunalens.decisions import OfficerDecision
from faunalens.decode import decode, exif_facts, read_file
from faunalens.drawing import draw
from faunalens.errors import PhotoError
from faunalens.fragments import find_label, plain
from faunalens_app.answer import thresholds, title
from faunalens_app.catalogue import Catalogue
from faunalens_app.law import law_facts
from faunalens_app.seen import Bench, Seen

MOST = 50
"""Photos in one record."""

_LONGEST_PX = 1000
_LINE_PX = 4


class Case(NamedTuple):
    """A record in its two forms, and the hashes by which a store knows them."""

    pdf: Path
    json: Path
    hashes: tuple[str, str]


def make_case(
    photos: Sequence[tuple[Seen, OfficerDecision | None]],
    officer: str,
    bench: Bench,
    say: Catalogue,
    folder: Path,
) -> Case:
    """Write the record of some photos into a new folder below `folder`.

    Raises:
        PhotoError: The copy of a photo was deleted meanwhile.
    """
    from faunalens_app.casepdf import case_pdf

    made = datetime.now().astimezone().replace(microsecond=0)
    content = {
        "made": made.isoformat(),
        "language": say.language,
        "officer": officer,
        "program": f"faunalens {version('faunalens')}",
        "statement": f"{say('answer.not_proof')} {say.words.cannot_show}",
        "law_checked": bench.labels.checked.isoformat(),
        "photos": [_photo(seen, decision, bench, say) for seen, decision in photos],
    }
    case = seal(content)
    text = json.dumps(case, indent=1).encode("ascii")
    pdf = case_pdf(case, text, made, say, bench)
    place = folder / f"case-{secrets.token_hex(8)}"
    place.mkdir(parents=True)
    stem = f"faunalens-{made.astimezone(UTC):%Y%m%d-%H%M%S}-{case['sha256'][:8]}"
    files = place / f"{stem}.pdf", place / f"{stem}.json"
    files[0].write_bytes(pdf)
    files[1].write_bytes(text)
    return Case(*files, (case["sha256"], attached(pdf, "application/pdf")["sha256"]))


def _photo(
    seen: Seen, decision: OfficerDecision | None, bench: Bench, say: Catalogue
) -> dict[str, Any]:
    record = seen.record
    limits = thresholds(record, bench)
    hit = record.verdict in (Verdict.ALERT, Verdict.REVIEW)
    label = find_label(record.label, bench.labels) if hit else None
    fields: dict[str, Any] = {
        "record": record.to_dict(),
        "judged": seen.at.isoformat(),
        "text": plain(title(record, bench, say)) if record.failure is None else say.failure(record),
        "thresholds": limits
        and {"alert": limits.alert.probability, "review": limits.review.probability},
        "law": law_facts(label, say) if label else [],
        "decision": decision and decision.to_dict(),
        "file": None,
        "exif": {},
        "region": None,
        "evidence_picture": None,
    }
    if seen.path is None:
        return fields
    file = read_file(seen.path)
    kind = mimetypes.guess_type(seen.path.name)[0] or "application/octet-stream"
    fields["file"] = attached(file.data, kind)
    fields["exif"] = exif_facts(file.data)
    try:
        photo = decode(file.data, at_least_px=_LONGEST_PX)
    except PhotoError:
        return fields
    evidence = None
    if seen.evidence is not None and record.label in bench.spec.labels:
        evidence = seen.evidence[bench.spec.labels.index(record.label)]
    drawing = draw(photo, evidence, bench.spec.resize, longest_px=_LONGEST_PX, line_px=_LINE_PX)
    if drawing.evidence is not None and drawing.region is not None:
        buffer = io.BytesIO()
        drawing.evidence.save(buffer, "JPEG", quality=88)
        fields["evidence_picture"] = attached(buffer.getvalue(), "image/jpeg")
        fields["region"] = [round(share, 4) for share in drawing.region]
    return fields


def safe_name(name: str) -> str:
    """A file name that every system takes."""
    return re.sub(r"[^\w.-]+", "_", name)[:80]
