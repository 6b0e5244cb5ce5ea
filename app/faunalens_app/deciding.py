"""The officer's decision about the photo that is shown, and the case record."""

import json
from datetime import datetime
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from faunalens.decisions import MAX_NAME, MAX_NOTE, NOTHING, Choice, OfficerDecision, StoreError
from faunalens.errors import PhotoError
from faunalens.fragments import fill
from faunalens_app.casemaker import MOST, make_case
from faunalens_app.catalogue import Catalogue
from faunalens_app.desk import Desk
from faunalens_app.seen import Bench, Seen

Decided = dict[str, OfficerDecision]
"""The last decision of this session about each photo, by its SHA-256."""


class DecidingPanel:
    """Builds the panel, below the answer about a photo.

    Args:
        seen: State with the photos, `list[Seen]`.
        shown: Component with the place of the photo that is shown, as text.

    Attributes:
        decided: State with this session's decisions.
    """

    def __init__(
        self, bench: Bench, say: Catalogue, desk: Desk, seen: gr.State, shown: gr.Radio
    ) -> None:
        self._bench, self._say, self._desk = bench, say, desk
        self.decided = gr.State({})
        with gr.Column(elem_classes="fl-panel", elem_id="fl-decide"):
            gr.HTML(
                fill("<h2>{title}</h2>", title=say("decide.title")),
                elem_classes="fl-html",
                padding=False,
            )
            choice = gr.Radio(
                [(say(f"decide.{one}"), str(one)) for one in Choice], label=say("decide.choice")
            )
            other = gr.Dropdown(
                label_choices(bench, say),
                value=None,
                label=say("decide.other_label"),
                visible=False,
                elem_id="fl-other",
            )
            with gr.Row():
                officer = gr.Textbox(
                    label=say("decide.officer"),
                    max_length=MAX_NAME,
                    visible=not desk.signed_in,
                    scale=1,
                )
                note = gr.Textbox(label=say("decide.note"), max_length=MAX_NOTE, lines=2, scale=3)
            every = gr.Checkbox(label=say("case.all"), value=False)
            with gr.Row():
                save = gr.Button(say("decide.save"), variant="primary")
                record = gr.Button(say("case.make"))
            # In the page itself, so that not even a restart of the server loses a decision.
            waiting = gr.Textbox("[]", visible=False)
            told = gr.HTML(elem_id="fl-told", elem_classes="fl-html", padding=False)
            again = gr.Button(say("decide.again"), visible=False)
            files = gr.File(
                label=say("case.files"), visible=False, interactive=False, elem_id="fl-case"
            )
        choice.change(
            lambda chosen: gr.Dropdown(visible=chosen == Choice.OTHER),
            choice,
            other,
            api_visibility="private",
            show_progress="hidden",
        )
        save.click(
            self._save,
            [seen, shown, choice, other, note, officer, waiting, self.decided],
            [told, waiting, again, self.decided],
            api_visibility="private",
            show_progress="minimal",
        )
        again.click(self._again, waiting, [told, waiting, again], api_visibility="private")
        record.click(
            self._record,
            [seen, shown, every, officer, self.decided],
            [told, files],
            api_visibility="private",
            show_progress="minimal",
        )

    def _save(
        self,
        seen: list[Seen],
        shown: str | None,
        choice: str | None,
        other: str | None,
        note: str,
        officer: str,
        waiting: str,
        decided: Decided,
        request: gr.Request,
    ) -> tuple[object, ...]:
        say = self._say
        one = photo_at(seen, shown)
        name = self._desk.officer(officer or "", request.headers.get("authorization"))
        refusal = None
        if one is None:
            refusal = say("decide.first_photo")
        elif one.record.verdict is None:
            refusal = say("decide.no_verdict")
        elif not choice:
            refusal = say("decide.first_choice")
        elif choice == Choice.OTHER and not other:
            refusal = say("decide.first_other")
        elif not name:
            refusal = say("decide.first_name")
        elif len(note) > MAX_NOTE or len(name) > MAX_NAME:
            refusal = say("decide.too_long", note=MAX_NOTE, name=MAX_NAME)
        if refusal is not None or one is None:
            return told(refusal or "", bad=True), waiting, gr.skip(), decided
        decision = decide(one, str(choice), other, note, name, say)
        if problem := self._desk.try_to_keep(one):
            gr.Warning(problem)
        left = self._desk.save([*read_waiting(waiting), decision])
        decided = {**decided, decision.sha256: decision}
        return (*self._after(left, decision), decided)

    def _again(self, waiting: str) -> tuple[object, ...]:
        return self._after(self._desk.save(read_waiting(waiting)), None)

    def _after(
        self, left: list[OfficerDecision], decision: OfficerDecision | None
    ) -> tuple[object, ...]:
        say = self._say
        text = say("decide.all_saved")
        if left:
            text = say("decide.kept_here", count=say.number(len(left)))
        elif decision is not None:
            words = say(f"decide.{decision.choice}")
            text = say("decide.saved", choice=words, time=say.time(decision.at.astimezone()))
        return told(text, bad=bool(left)), waiting_text(left), gr.Button(visible=bool(left))

    def _record(
        self,
        seen: list[Seen],
        shown: str | None,
        every: bool,
        officer: str,
        decided: Decided,
        request: gr.Request,
    ) -> tuple[object, ...]:
        say = self._say
        one = photo_at(seen, shown)
        chosen = seen if every else [one] if one else []
        name = self._desk.officer(officer or "", request.headers.get("authorization"))
        refusal = None
        if not chosen:
            refusal = say("decide.first_photo")
        elif not name:
            refusal = say("decide.first_name")
        if refusal is not None:
            return told(refusal, bad=True), gr.File(visible=False)
        text, files = issue_case(chosen, decided, name, self._bench, say, self._desk)
        return told(text, bad=not files or bool(text)), gr.File(files, visible=bool(files))


def decide(
    one: Seen, choice: str, other: str | None, note: str, name: str, say: Catalogue
) -> OfficerDecision:
    """A decision from what a screen or a program gave.

    Raises:
        ValueError: It does not fit (see `OfficerDecision`).
    """
    return OfficerDecision.of(
        one.record,
        Choice(choice),
        name,
        other_label=other if choice == Choice.OTHER else None,
        note=note.strip(),
        language=say.language,
    )


def issue_case(
    photos: list[Seen], decided: Decided, name: str, bench: Bench, say: Catalogue, desk: Desk
) -> tuple[str, list[str]]:
    """Make a case record and have the store remember it: a sentence if need be, and the files."""
    if len(photos) > MOST:
        return say("case.too_many", most=MOST), []
    pairs = [(one, decided.get(str(one.record.sha256))) for one in photos]
    try:
        case = make_case(pairs, name, bench, say, Path(get_upload_folder()))
    except PhotoError:
        return say("evidence.gone"), []
    text = ""
    try:
        for sha256 in case.hashes:
            desk.store.issue(sha256, name)
    except StoreError:
        text = say("case.unissued")
    return text, [str(case.pdf), str(case.json)]


def label_choices(bench: Bench, say: Catalogue) -> list[tuple[str, str]]:
    """What a photo may show instead: name and id."""
    named = [(label.names[say.language], label.id) for label in bench.labels.labels]
    return [(say("decide.nothing"), NOTHING), *sorted(named)]


def photo_at(seen: list[Seen], shown: str | None) -> Seen | None:
    """The photo at a place given as text."""
    place = int(shown or 0)
    return seen[place] if 0 <= place < len(seen) else None


def waiting_text(decisions: list[OfficerDecision]) -> str:
    """Decisions that could not be saved, for the page to keep."""
    return json.dumps([one.to_dict() for one in decisions])


def read_waiting(text: str) -> list[OfficerDecision]:
    """Decisions that the page keeps; what is none of ours is left out."""
    found = []
    try:
        rows = json.loads(text or "[]")
    except ValueError:
        return []
    for row in rows if isinstance(rows, list) else []:
        try:
            found.append(OfficerDecision.from_dict(row))
        except ValueError:
            continue
    return found


def told(text: str, *, bad: bool) -> str:
    """A sentence for the officer, which screen readers say."""
    if not text:
        return ""
    kind = "fl-refused" if bad else "fl-done"
    moment = datetime.now().astimezone()
    return fill(
        '<p role="status" class="{kind}" data-at="{at}">{text}</p>',
        kind=kind,
        at=moment.timestamp(),
        text=text,
    )
