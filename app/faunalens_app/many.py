"""The second screen: many photos, sorted by verdict, filtered, and reviewed from the keyboard."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from faunalens.decide import Verdict
from faunalens.decisions import MAX_NAME, Choice
from faunalens.fragments import Markup, fill
from faunalens.report import probability_of
from faunalens_app.answer import answer
from faunalens_app.batch import BatchError, open_all
from faunalens_app.catalogue import Catalogue
from faunalens_app.deciding import Decided, decide, issue_case, read_waiting, told, waiting_text
from faunalens_app.desk import Desk
from faunalens_app.export import export_csv, export_report
from faunalens_app.gallery import PAGE, gallery, thumbnail
from faunalens_app.seen import Bench, Seen
from faunalens_app.uploads import Upload, as_they_came

_BATCH = 16
_ANY = "any"
_FAILED = "failed"


@dataclass(frozen=True)
class View:
    """What of the photos is shown.

    Attributes:
        order: Places, in the list of all, of the photos that fit the filters.
        at: Which of them, counted in `order`, is reviewed.
    """

    order: tuple[int, ...] = ()
    at: int = 0

    @property
    def page(self) -> int:
        """The page of the gallery that holds the reviewed photo, from 0."""
        return self.at // PAGE

    def moved(self, steps: int) -> "View":
        """Reviewing another photo, but none beyond the ends."""
        return replace(self, at=min(max(self.at + steps, 0), max(len(self.order) - 1, 0)))


class ManyScreen:
    """Builds the screen inside a `gr.Blocks`."""

    def __init__(self, bench: Bench, say: Catalogue, desk: Desk) -> None:
        self._bench, self._say, self._desk = bench, say, desk
        photos, view, decided = gr.State([]), gr.State(View()), gr.State({})
        gr.HTML(fill("<p>{text}</p>", text=say("many.lead")), elem_classes="fl-html", padding=False)
        with gr.Row(elem_classes="fl-row"):
            files = gr.File(
                label=say("many.files"),
                file_count="multiple",
                height=150,
                elem_id="fl-many-files",
                elem_classes="fl-adder",
                scale=3,
            )
            as_they_came(files)
            with gr.Column(scale=1, min_width=200):
                folder = gr.UploadButton(
                    say("many.folder"), file_count="directory", elem_id="fl-folder"
                )
                as_they_came(folder)
                officer = gr.Textbox(
                    label=say("decide.officer"), max_length=MAX_NAME, visible=not desk.signed_in
                )
        counts = gr.HTML(elem_id="fl-counts", elem_classes="fl-html", padding=False)
        with gr.Column(visible=False, elem_id="fl-many") as body:
            with gr.Row():
                verdict = gr.Dropdown(
                    [(say("many.any"), _ANY)]
                    + [(say(f"verdict.{one}"), str(one)) for one in Verdict]
                    + [(say("many.failed"), _FAILED)],
                    value=_ANY,
                    label=say("many.verdict"),
                )
                label = gr.Dropdown(
                    [(say("many.any"), _ANY)]
                    + [(one.names[say.language], one.id) for one in bench.labels.labels],
                    value=_ANY,
                    label=say("many.label"),
                )
                advert = gr.Textbox(label=say("many.advert"))
                undecided = gr.Checkbox(label=say("many.undecided"))
            with gr.Row(elem_classes="fl-row"):
                with gr.Column(scale=6, min_width=280):
                    shown = gr.HTML(
                        elem_id="fl-gallery",
                        elem_classes="fl-html",
                        padding=False,
                        js_on_load=_OPEN,
                    )
                    with gr.Row():
                        before = gr.Button(say("many.before"))
                        after = gr.Button(say("many.after"))
                with gr.Column(scale=6, min_width=280, elem_id="fl-focus-panel"):
                    with gr.Row(elem_id="fl-keys"):
                        previous = gr.Button(say("many.previous"), elem_id="fl-key-p")
                        following = gr.Button(say("many.next"), elem_id="fl-key-n")
                    with gr.Row():
                        choices = {
                            Choice.CONFIRMED: gr.Button(say("many.confirm"), elem_id="fl-key-c"),
                            Choice.REJECTED: gr.Button(say("many.reject"), elem_id="fl-key-r"),
                            Choice.UNSURE: gr.Button(say("many.unsure"), elem_id="fl-key-u"),
                        }
                    notice = gr.HTML(elem_classes="fl-html", elem_id="fl-many-told", padding=False)
                    waiting = gr.Textbox("[]", visible=False)
                    focus = gr.HTML(elem_classes="fl-html", elem_id="fl-focus", padding=False)
            with gr.Row():
                table = gr.Button(say("many.csv"))
                report = gr.Button(say("many.report"))
                case = gr.Button(say("many.case"))
            exported = gr.File(
                label=say("many.exported"), visible=False, interactive=False, elem_id="fl-exported"
            )
        drawn = [view, shown, focus]
        now: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        filters = [verdict, label, advert, undecided]
        for source in (files.change, folder.upload):
            source(
                self._judge,
                [folder if source == folder.upload else files, photos],
                [photos, counts, body, exported],
                api_visibility="private",
                show_progress="full",
                show_progress_on=[counts],
            ).then(self._filter, [photos, decided, *filters], drawn, **now)
        for one in filters:
            one.change(self._filter, [photos, decided, *filters], drawn, **now)
        for button, steps in ((previous, -1), (following, 1), (before, -PAGE), (after, PAGE)):
            button.click(self._mover(steps), [photos, view, decided], drawn, **now)
        shown.select(self._open, [photos, view, decided], drawn, **now)
        for choice, button in choices.items():
            button.click(
                self._decider(choice),
                [photos, view, decided, officer, waiting],
                [*drawn, decided, waiting, notice],
                **now,
            )
        out = [notice, exported]
        table.click(self._csv, [photos, view, decided], out, api_visibility="private")
        report.click(self._report, [photos, view], out, api_visibility="private")
        case.click(self._case, [photos, view, decided, officer], out, api_visibility="private")

    def _judge(
        self,
        uploads: Sequence[Upload],
        before: list[Seen],
        progress: gr.Progress = gr.Progress(),  # noqa: B008 - gradio's way to ask for it
    ) -> tuple[object, ...]:
        say, bench = self._say, self._bench
        if not uploads:
            return [], "", gr.Column(visible=False), gr.File(visible=False)
        try:
            opened = open_all(uploads, Path(get_upload_folder()), say)
        except BatchError as error:
            return [], told(str(error), bad=True), gr.Column(visible=False), gr.File(visible=False)
        known = {one.path: one for one in before if one.path is not None}
        seen = [known[one.path] for one in opened.photos if one.path in known]
        new = [one for one in opened.photos if one.path not in known]
        for start in progress.tqdm(range(0, len(new), _BATCH), desc=say("many.progress")):
            part = new[start : start + _BATCH]
            judged = bench.classifier.classify_batch(
                [one.path for one in part], sources=[one.name for one in part]
            )
            for upload, judgement in zip(part, judged, strict=True):
                one = Seen.of(judgement, upload.path, bench.spec)
                seen.append(replace(one, embedding=None, small=thumbnail(upload.path)))
        # A results file that came with its photos is shown with them.
        here = {one.record.sha256 for one in seen}
        seen += [Seen.told(one) for one in opened.records if one.sha256 not in here]
        seen.sort(key=_rank)
        return seen, _counts(seen, say), gr.Column(visible=bool(seen)), gr.File(visible=False)

    def _filter(
        self,
        seen: list[Seen],
        decided: Decided,
        verdict: str,
        label: str,
        advert: str,
        undecided: bool,
    ) -> tuple[object, ...]:
        wanted = (advert or "").strip().lower()
        order = []
        for place, one in enumerate(seen):
            record = one.record
            found = _FAILED if record.verdict is None else str(record.verdict)
            if verdict not in (_ANY, found) or label not in (_ANY, record.label):
                continue
            if wanted not in f"{record.ad or ''} {record.source}".lower():
                continue
            if undecided and record.sha256 in decided:
                continue
            order.append(place)
        return self._draw(seen, View(tuple(order)), decided)

    def _draw(self, seen: list[Seen], view: View, decided: Decided) -> tuple[object, ...]:
        say, bench = self._say, self._bench
        view = view.moved(0)
        if not view.order or view.order[-1] >= len(seen):
            text = say("many.none")
            return View(), fill('<p class="fl-small">{text}</p>', text=text), ""
        one = seen[view.order[view.at]]
        decision = decided.get(str(one.record.sha256))
        place = say("many.place", number=say.number(view.at + 1), all=say.number(len(view.order)))
        said = answer(one, bench, say)
        head = fill(
            '<p class="fl-place" role="status"><b>{place}</b> {name} <em>{decision}</em></p>',
            place=place,
            name=one.record.ad or one.record.source,
            decision=say(f"decide.{decision.choice}") if decision else "",
        )
        return view, gallery(seen, view.order, view.at, decided, bench, say), head + said.first

    def _mover(self, steps: int) -> Any:
        def move(seen: list[Seen], view: View, decided: Decided) -> tuple[object, ...]:
            return self._draw(seen, view.moved(steps), decided)

        return move

    def _open(
        self, seen: list[Seen], view: View, decided: Decided, event: gr.EventData
    ) -> tuple[object, ...]:
        at = getattr(event, "index", 0)
        return self._draw(seen, replace(view, at=at if isinstance(at, int) else 0), decided)

    def _decider(self, choice: Choice) -> Any:
        def chosen(
            seen: list[Seen],
            view: View,
            decided: Decided,
            officer: str,
            waiting: str,
            request: gr.Request,
        ) -> tuple[object, ...]:
            say = self._say
            name = self._desk.officer(officer or "", request.headers.get("authorization"))
            one = seen[view.order[view.at]] if view.at < len(view.order) else None
            refusal = ""
            if one is None:
                refusal = say("decide.first_photo")
            elif one.record.verdict is None:
                refusal = say("decide.no_verdict")
            elif not name:
                refusal = say("decide.first_name")
            if one is None or refusal:
                return (
                    *self._draw(seen, view, decided), decided, waiting, told(refusal, bad=True)
                )  # fmt: skip
            decision = decide(one, str(choice), None, "", name, say)
            notice = self._desk.try_to_keep(one)
            left = self._desk.save([*read_waiting(waiting), decision])
            if left:
                notice = say("decide.kept_here", count=say.number(len(left)))
            decided = {**decided, decision.sha256: decision}
            shown = self._draw(seen, view.moved(1), decided)
            return (*shown, decided, waiting_text(left), told(notice, bad=True))

        return chosen

    def _csv(self, seen: list[Seen], view: View, decided: Decided) -> tuple[object, ...]:
        chosen = [seen[place] for place in view.order if place < len(seen)]
        path = export_csv(chosen, decided, Path(get_upload_folder()))
        return "", gr.File(str(path), visible=True)

    def _report(self, seen: list[Seen], view: View) -> tuple[object, ...]:
        chosen = [seen[place] for place in view.order if place < len(seen)]
        path = export_report(chosen, self._bench, self._say, Path(get_upload_folder()))
        return "", gr.File(str(path), visible=True)

    def _case(
        self, seen: list[Seen], view: View, decided: Decided, officer: str, request: gr.Request
    ) -> tuple[object, ...]:
        say = self._say
        name = self._desk.officer(officer or "", request.headers.get("authorization"))
        if not name:
            return told(say("decide.first_name"), bad=True), gr.skip()
        chosen = [seen[place] for place in view.order if place < len(seen)]
        text, files = issue_case(chosen, decided, name, self._bench, say, self._desk)
        return told(text, bad=True), gr.File(files or None, visible=bool(files))


def _rank(one: Seen) -> tuple[int, float]:
    """Strongest first, what could not be judged last."""
    record = one.record
    return (-1 if record.verdict is None else record.verdict.strength) * -1, -probability_of(record)


def _counts(seen: Sequence[Seen], say: Catalogue) -> Markup:
    verdicts = Counter(one.record.verdict for one in seen)
    numbers = {str(verdict): say.number(verdicts[verdict]) for verdict in Verdict}
    text = say(
        "many.done", photos=say.number(len(seen)), failed=say.number(verdicts[None]), **numbers
    )
    return fill('<p role="status" class="fl-done">{text}</p>', text=text)


# A click on a photo of the gallery opens it.
_OPEN = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-open]');
  if (button) trigger('select', { index: Number(button.dataset.open) });
});
"""
