"""Where else a photo appeared, sought in an index of `faunalens similar` (extra `link`)."""

from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from faunalens.decode import read_file
from faunalens.errors import FaunalensError
from faunalens.fragments import Markup, fill, join
from faunalens_app.catalogue import Catalogue
from faunalens_app.deciding import photo_at, told
from faunalens_app.seen import Seen

if TYPE_CHECKING:
    from faunalens.linking.index import PhotoIndex

_MOST = 20


class SimilarPanel:
    """Builds a button, and below it what was found."""

    def __init__(
        self, index: "PhotoIndex", say: Catalogue, seen: gr.State, shown: gr.Radio
    ) -> None:
        self._index, self._say = index, say
        button = gr.Button(say("similar.ask"), elem_id="fl-similar-ask", elem_classes="fl-narrow")
        found = gr.HTML(elem_id="fl-similar", elem_classes="fl-html", padding=False)
        button.click(
            self._look, [seen, shown], found, api_visibility="private", show_progress="minimal"
        )

    def _look(self, seen: list[Seen], shown: str | None) -> str:
        one = photo_at(seen, shown)
        if one is None or one.path is None:
            return told(self._say("decide.first_photo"), bad=True)
        return similar(self._index, one.path, self._say)


def similar(index: "PhotoIndex", photo: Path, say: Catalogue) -> Markup:
    """The photos of the index that are like this one, as a table."""
    from faunalens.linking.lookup import look_up

    try:
        found = look_up(index, read_file(photo), top=_MOST)
    except FaunalensError:
        return fill('<p class="fl-refused">{text}</p>', text=say("evidence.gone"))
    if not found:
        return fill('<div class="fl-card"><p>{text}</p></div>', text=say("similar.none"))
    rows = join(
        fill(
            '<tr><th scope="row">{match}</th><td>{advert}</td><td>{photo}</td></tr>',
            match=say(f"similar.{one.link.replace(' ', '_')}"),
            advert=one.record.ad or "",
            photo=one.record.source,
        )
        for one in found
    )
    names = (say("similar.match"), say("similar.advert"), say("file.name"))
    return fill(
        '<div class="fl-card"><h2>{title}</h2><div class="fl-scroll" tabindex="0" role="region" '
        'aria-label="{title}"><table class="fl-table"><thead><tr>{head}</tr></thead><tbody>{rows}'
        "</tbody></table></div></div>",
        title=say("similar.title"),
        head=join(fill('<th scope="col">{name}</th>', name=name) for name in names),
        rows=rows,
    )
