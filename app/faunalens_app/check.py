"""The first screen: photos in, and for each of them the answer."""

from collections.abc import Sequence

import gradio as gr

from faunalens.fragments import fill, plain, visible
from faunalens_app.answer import Answer, answer, title, waiting
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench, Seen
from faunalens_app.uploads import Upload, as_they_came, over_limit

MOST = 20
"""Photos checked at once on this screen; more of them belong on the other."""


class CheckScreen:
    """Builds the screen inside a `gr.Blocks`, and holds what its parts share.

    Attributes:
        seen: State: the photos of this session, as `list[Seen]`.
        shown: Which of them is shown, an index as text; None without photos.
    """

    def __init__(self, bench: Bench, say: Catalogue, privacy: str, most_mb: int) -> None:
        self._bench, self._say = bench, say
        self.seen = gr.State([])
        with gr.Row(elem_classes="fl-row"):
            with gr.Column(scale=5, min_width=280, elem_id="fl-photo"):
                files = gr.File(
                    label=say("add.label"),
                    file_count="multiple",
                    height=180,
                    elem_id="fl-files",
                    elem_classes="fl-adder",
                )
                as_they_came(files)
                gr.HTML(
                    _tools(say) + over_limit(say, most_mb),
                    elem_id="fl-tools",
                    elem_classes="fl-html",
                    padding=False,
                )
                self.shown = gr.Radio([], label=say("add.which"), visible=False, elem_id="fl-which")
                gr.HTML(
                    f"<p>{privacy}</p>", elem_id="fl-privacy", elem_classes="fl-html", padding=False
                )
            with gr.Column(scale=7, min_width=280):
                first = gr.HTML(
                    waiting(say).first, elem_id="fl-first", elem_classes="fl-html", padding=False
                )
        closer = gr.Button(
            say("closer.ask"),
            visible=False,
            elem_id="fl-closer",
            elem_classes="fl-narrow",
        )
        more = gr.HTML(elem_id="fl-more", elem_classes="fl-html", padding=False)
        files.change(
            self._judge,
            [files, self.seen],
            [self.seen, self.shown, first, more, closer],
            api_visibility="private",
            show_progress="minimal",
            show_progress_on=[first],
        )
        self.shown.input(
            self._show,
            [self.seen, self.shown],
            [first, more, closer],
            api_visibility="private",
            show_progress="hidden",
        )
        closer.click(
            self._closer,
            [self.seen, self.shown],
            [self.seen, first, more],
            api_visibility="private",
            show_progress="minimal",
        )

    def _closer(self, seen: list[Seen], place: str | None) -> tuple[object, ...]:
        """Judge the shown photo again, with the second model and parts of the photo."""
        at = int(place or 0)
        if at < len(seen) and (path := seen[at].path) is not None:
            again = self._bench.closer().classify(path, source=seen[at].record.source)
            if again.record.failure is None:  # else the copy is gone, and what was seen stays
                seen = [*seen[:at], Seen.of(again, path, self._bench.spec), *seen[at + 1 :]]
        said = self._said(seen, at)
        return seen, said.first, said.more

    def _judge(self, uploads: Sequence[Upload], before: list[Seen]) -> tuple[object, ...]:
        say = self._say
        if len(uploads) > MOST:
            text = say("add.too_many", most=MOST, found=say.number(len(uploads)))
            card = fill('<div class="fl-card fl-failed"><p>{text}</p></div>', text=text)
            radio = gr.Radio(choices=[], value=None, visible=False)
            return [], radio, card, "", gr.Button(visible=False)
        known = {one.path: one for one in before}
        new = [upload for upload in uploads if upload.path not in known]
        judged = self._bench.classifier.classify_batch(
            [upload.path for upload in new], sources=[upload.name for upload in new]
        )
        for upload, judgement in zip(new, judged, strict=True):
            known[upload.path] = Seen.of(judgement, upload.path, self._bench.spec)
        seen = [known[upload.path] for upload in uploads]
        # The newest is what was just added; after a removal, the first that is left.
        place = seen.index(known[new[0].path]) if new else 0
        radio = gr.Radio(
            choices=[(self._choice(n, one), str(n)) for n, one in enumerate(seen)],
            value=str(place) if seen else None,
            visible=len(seen) > 1,
        )
        return seen, radio, *self._show(seen, str(place))

    def _show(self, seen: list[Seen], shown: str | None) -> tuple[object, ...]:
        place = int(shown or 0)
        said = self._said(seen, place)
        return said.first, said.more, gr.Button(visible=self._can_look_closer(seen, place))

    def _can_look_closer(self, seen: list[Seen], place: int) -> bool:
        """Only at a photo that was judged here, and with a model that has a second one."""
        if self._bench.spec.second is None or not 0 <= place < len(seen):
            return False
        return seen[place].path is not None and seen[place].record.verdict is not None

    def _said(self, seen: list[Seen], place: int) -> Answer:
        if not 0 <= place < len(seen):
            return waiting(self._say)
        return answer(seen[place], self._bench, self._say)

    def _choice(self, number: int, one: Seen) -> str:
        """The verdict in words, so that the strongest of several can be seen without opening."""
        words = plain(title(one.record, self._bench, self._say))
        return f"{number + 1}. {visible(one.record.source)}: {words}"


def _tools(say: Catalogue) -> str:
    """The button and the window of the camera; what they do is in page.js."""
    return fill(
        '<button type="button" data-adds="fl-files">{add}</button> '
        '<button type="button" id="fl-camera">{open}</button> <p class="fl-small">{paste}</p>'
        '<dialog id="fl-camera-window" aria-label="{title}"><video autoplay muted playsinline>'
        '</video><p hidden>{none}</p><div><button type="button" class="fl-take">{take}</button>'
        '<button type="button" class="fl-close">{close}</button></div></dialog>',
        add=say("add.more"),
        open=say("add.camera"),
        paste=say("add.paste"),
        title=say("add.camera_title"),
        none=say("add.camera_none"),
        take=say("add.camera_take"),
        close=say("add.camera_close"),
    )
