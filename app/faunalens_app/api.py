"""What the screens do, for programs: functions with plain values, called with gradio_client."""

from pathlib import Path
from typing import Any

import gradio as gr

from faunalens.decide import Verdict
from faunalens.fragments import find_label, plain
from faunalens_app.answer import title
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench, Seen
from faunalens_app.uploads import Upload, is_upload
from faunalens_app.viewer import photo_layers

MOST = 100
"""Photos in one call."""


def publish(bench: Bench, say: Catalogue) -> None:
    """Add the functions to the `gr.Blocks` at hand."""

    def check(photos: list[dict]) -> list[dict]:  # type: ignore[type-arg]
        """Judge photos; one dictionary for each, in order."""
        uploads = taken(photos, say)
        judged = bench.classifier.classify_batch(
            [one.path for one in uploads], sources=[one.name for one in uploads]
        )
        return [
            told(Seen.of(judgement, upload.path, bench.spec), bench, say)
            for upload, judgement in zip(uploads, judged, strict=True)
        ]

    gr.api(check, api_name="check")


def taken(photos: object, say: Catalogue) -> list[Upload]:
    """The uploads that a program names; gr.Error for anything else."""
    if not isinstance(photos, list) or not 0 < len(photos) <= MOST:
        raise gr.Error(f"expected a list of 1 to {MOST} photos", print_exception=False)
    uploads = []
    for photo in photos:
        path = photo.get("path") if isinstance(photo, dict) else None
        if not isinstance(path, str) or not is_upload(path):
            raise gr.Error(say("add.not_uploaded"), print_exception=False)
        name = photo.get("orig_name")
        uploads.append(Upload(Path(path), name if isinstance(name, str) else Path(path).name))
    return uploads


def told(seen: Seen, bench: Bench, say: Catalogue) -> dict[str, Any]:
    """A judged photo as plain values.

    Returns:
        `record` (as `faunalens scan` writes it), `text` (the verdict in words), `region` (of the
        strongest evidence: left, top, right, bottom as shares of the photo, or None), and for a hit
        `check`, `look_alikes` and `law` as lists.
    """
    record = seen.record
    answer: dict[str, Any] = {
        "record": record.to_dict(),
        "text": plain(title(record, bench, say)),
        "region": None,
        "check": [],
        "look_alikes": [],
        "law": [],
    }
    if record.failure is not None:
        answer["text"] = say.failure(record)
        return answer
    label = find_label(record.label, bench.labels)
    if record.verdict is Verdict.CLEAR or label is None:
        return answer
    drawn = photo_layers(seen, bench)
    answer["region"] = drawn and drawn.region and [round(share, 4) for share in drawn.region]
    answer["check"] = list(label.check[say.language])
    answer["look_alikes"] = list(label.look_alikes[say.language])
    answer["law"] = [
        {
            "taxon": listing.taxon,
            "cites": listing.cites,
            "cites_verified": listing.cites_verified,
            "eu_annex": listing.eu_annex,
            "eu_verified": listing.eu_verified,
            "as_of": listing.as_of.isoformat(),
            "source": listing.source,
            "note": listing.note,
        }
        for listing in label.listings
    ]
    return answer
