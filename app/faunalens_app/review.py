"""Many photos, one after the other: the gallery, the photo at hand, decisions and exports."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder

from faunalens.decisions import Choice
from faunalens.fragments import fill
from faunalens_app.answer import answer
from faunalens_app.catalogue import Catalogue
from faunalens_app.deciding import Decided, decide, issue_case, read_waiting, told, waiting_text
from faunalens_app.desk import Desk
from faunalens_app.export import export_csv, export_report
from faunalens_app.gallery import PAGE, gallery
from faunalens_app.seen import Bench, Seen

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
"""Of an event that redraws: no function for programs, no sign of progress."""


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


class Review:
    """Builds the part of a screen where photos are reviewed.

    Args:
        photos: State with all photos, `list[Seen]`.
        officer: Component with the officer's name.

    Attributes:
        decided: State with this session's decisions.
        drawn: Components that `draw` gives values for.
        exported: Component with the exported files.
    """

    def __init__(
        self, bench: Bench, say: Catalogue, desk: Desk, photos: gr.State, officer: gr.Textbox
    ) -> None:
        self._bench, self._say, self._desk = bench, say, desk
        view, self.decided = gr.State(View()), gr.State({})
        decided = self.decided
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
        self.exported = gr.File(
            label=say("many.exported"), visible=False, interactive=False, elem_id="fl-exported"
        )
        self.drawn = drawn = [view, shown, focus]
        for button, steps in ((previous, -1), (following, 1), (before, -PAGE), (after, PAGE)):
            button.click(self._mover(steps), [photos, view, decided], drawn, **QUIET)
        shown.select(self._open, [photos, view, decided], drawn, **QUIET)
        for choice, button in choices.items():
            button.click(
                self._decider(choice),
                [photos, view, decided, officer, waiting],
                [*drawn, decided, waiting, notice],
                **QUIET,
            )
        out = [notice, self.exported]
        table.click(self._csv, [photos, view, decided], out, api_visibility="private")
        report.click(self._report, [photos, view], out, api_visibility="private")
        case.click(self._case, [photos, view, decided, officer], out, api_visibility="private")

    def draw(self, seen: list[Seen], view: View, decided: Decided) -> tuple[object, ...]:
        """Values for `drawn`: the view, the gallery, and the photo under review."""
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
            return self.draw(seen, view.moved(steps), decided)

        return move

    def _open(
        self, seen: list[Seen], view: View, decided: Decided, event: gr.EventData
    ) -> tuple[object, ...]:
        at = getattr(event, "index", 0)
        return self.draw(seen, replace(view, at=at if isinstance(at, int) else 0), decided)

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
                    *self.draw(seen, view, decided), decided, waiting, told(refusal, bad=True)
                )  # fmt: skip
            decision = decide(one, str(choice), None, "", name, say)
            notice = self._desk.try_to_keep(one)
            left = self._desk.save([*read_waiting(waiting), decision])
            if left:
                notice = say("decide.kept_here", count=say.number(len(left)))
            decided = {**decided, decision.sha256: decision}
            shown = self.draw(seen, view.moved(1), decided)
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


# A click on a photo of the gallery opens it.
_OPEN = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('[data-open]');
  if (button) trigger('select', { index: Number(button.dataset.open) });
});
"""
