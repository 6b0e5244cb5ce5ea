"""The second screen: many photos in, sorted by verdict and filtered, for review."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from faunalens.decide import Verdict
from faunalens.decisions import MAX_NAME
from faunalens.fragments import Markup, fill
from faunalens.report import probability_of
from faunalens_app.batch import BatchError, open_all
from faunalens_app.catalogue import Catalogue
from faunalens_app.deciding import Decided, told
from faunalens_app.desk import Desk
from faunalens_app.gallery import thumbnail
from faunalens_app.review import QUIET, Review, View
from faunalens_app.seen import Bench, Seen
from faunalens_app.uploads import Upload, as_they_came, over_limit

_BATCH = 16
_ANY = "any"
_FAILED = "failed"


class ManyScreen:
    """Builds the screen inside a `gr.Blocks`."""

    def __init__(self, bench: Bench, say: Catalogue, desk: Desk, most_mb: int) -> None:
        self._bench, self._say = bench, say
        photos = gr.State([])
        lead = fill("<p>{text}</p>", text=say("many.lead")) + over_limit(say, most_mb)
        gr.HTML(lead, elem_classes="fl-html", padding=False)
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
            review = self._review = Review(bench, say, desk, photos, officer)
        filters = [verdict, label, advert, undecided]
        fitting = [photos, review.decided, *filters]
        for source in (files.change, folder.upload):
            source(
                self._judge,
                [folder if source == folder.upload else files, photos],
                [photos, counts, body, review.exported],
                api_visibility="private",
                show_progress="full",
                show_progress_on=[counts],
            ).then(self._filter, fitting, review.drawn, **QUIET)
        for one in filters:
            one.change(self._filter, fitting, review.drawn, **QUIET)

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
        return self._review.draw(seen, View(tuple(order)), decided)


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
