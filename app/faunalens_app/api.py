"""What the screens do, for programs: functions with plain values, called with gradio_client."""

from pathlib import Path
from typing import Any

import gradio as gr
from gradio import FileData

from faunalens.decide import Verdict
from faunalens.decisions import NOTHING, OfficerDecision, StoreError
from faunalens.fragments import find_label, plain
from faunalens_app.agreement import Agreement
from faunalens_app.answer import title
from faunalens_app.catalogue import Catalogue
from faunalens_app.deciding import decide as decide_about
from faunalens_app.deciding import issue_case
from faunalens_app.desk import Desk
from faunalens_app.law import law_facts
from faunalens_app.seen import Bench, Seen
from faunalens_app.uploads import Upload, is_upload
from faunalens_app.viewer import photo_layers

MOST = 100
"""Photos in one call."""


def publish(bench: Bench, say: Catalogue, desk: Desk) -> None:
    """Add the functions to the `gr.Blocks` at hand."""

    def check(photos: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Judge photos; one dictionary for each, in order."""
        uploads = taken(photos, say)
        judged = bench.classifier.classify_batch(
            [one.path for one in uploads], sources=[one.name for one in uploads]
        )
        return [
            told(Seen.of(judgement, upload.path, bench.spec), bench, say)
            for upload, judgement in zip(uploads, judged, strict=True)
        ]

    def decide(
        photo: dict[str, Any],
        choice: str,
        other_label: str,
        note: str,
        officer: str,
        request: gr.Request,
    ) -> dict[str, Any]:
        """Save a decision about a photo: `confirmed`, `rejected`, `unsure`, or `other` with the id
        of the label it shows, or `nothing`.
        """
        seen = one_of(photo)
        decision = decision_of(seen, choice, other_label, note, named(officer, request))
        desk.keep_photo(seen)
        if desk.save([decision]):
            raise gr.Error("the database cannot be reached; try again", print_exception=False)
        return decision.to_dict()

    def case_record(
        photo: dict[str, Any],
        choice: str,
        other_label: str,
        note: str,
        officer: str,
        request: gr.Request,
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """The case record of a photo, as PDF and JSON; with `choice` empty, without a decision."""
        seen, name = one_of(photo), named(officer, request)
        decided = {}
        if choice:
            decision = decision_of(seen, choice, other_label, note, name)
            decided[decision.sha256] = decision
        _, files = issue_case([seen], decided, name, bench, say, desk)
        if len(files) != 2:
            raise gr.Error(say("evidence.gone"), print_exception=False)
        return FileData(path=files[0]).model_dump(), FileData(path=files[1]).model_dump()

    def agreement() -> dict[str, Any]:
        """Per label that the model gave: decisions by choice."""
        try:
            return Agreement.of(desk.store.decisions()).to_dict()
        except StoreError as error:
            raise gr.Error(str(error), print_exception=False) from error

    def one_of(photo: object) -> Seen:
        upload = taken([photo], say)[0]
        judgement = bench.classifier.classify(upload.path, source=upload.name)
        return Seen.of(judgement, upload.path, bench.spec)

    def named(officer: str, request: gr.Request) -> str:
        name = desk.officer(officer, request.headers.get("authorization"))
        if not name:
            raise gr.Error(say("decide.first_name"), print_exception=False)
        return name

    def decision_of(seen: Seen, choice: str, other: str, note: str, name: str) -> OfficerDecision:
        known = {label.id for label in bench.labels.labels} | {NOTHING, ""}
        try:
            if other not in known:
                raise ValueError(f"unknown label {other!r}; expected one of {sorted(known)}")
            return decide_about(seen, choice, other or None, note, name, say)
        except ValueError as error:
            raise gr.Error(str(error), print_exception=False) from error

    gr.api(check, api_name="check")
    gr.api(decide, api_name="decide")
    gr.api(case_record, api_name="case_record")
    gr.api(agreement, api_name="agreement")


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
    answer["law"] = law_facts(label, say)
    return answer
