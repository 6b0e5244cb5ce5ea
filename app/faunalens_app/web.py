"""The web app: the same screens once per language, behind the guard. Needs gradio (extra `app`)."""

from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING

import gradio as gr
from fastapi import FastAPI
from starlette.types import ASGIApp

from faunalens.fragments import Markup, fill, join, style
from faunalens.labels import LANGUAGES
from faunalens.pipeline import Classifier
from faunalens_app.about import about
from faunalens_app.agreement import AgreementScreen
from faunalens_app.api import publish
from faunalens_app.catalogue import NAMES, Catalogue, catalogue
from faunalens_app.check import CheckScreen
from faunalens_app.deciding import DecidingPanel
from faunalens_app.desk import Desk
from faunalens_app.guard import Door, Guard
from faunalens_app.many import ManyScreen
from faunalens_app.seen import Bench
from faunalens_app.similar import SimilarPanel
from faunalens_app.uploads import take_uploads_only

if TYPE_CHECKING:
    from faunalens.linking.index import PhotoIndex

_SESSIONS = 200
"""Pages and programs at once, per language; the one unused for longest gives way."""


@dataclass(frozen=True)
class Settings:
    """How the app is run; the defaults are those of `faunalens serve`.

    Attributes:
        desk: Where decisions go.
        door: Who may come in.
        keep_s: Age, in seconds, at which temporary copies are deleted.
        max_upload_mb: Largest single upload.
        queue_size: Requests that may wait; more are told to come back.
        workers: Requests answered at the same time, per language.
        similar: Where to look for similar photos; None offers no such search.
    """

    desk: Desk
    door: Door = field(default_factory=Door)
    keep_s: float = 600
    max_upload_mb: int = 100
    queue_size: int = 100
    workers: int = 4
    similar: "PhotoIndex | None" = None


def build(classifier: Classifier, language: str, settings: Settings) -> gr.Blocks:
    """All screens in one language."""
    bench, say = Bench.of(classifier), catalogue(language)
    privacy = say(
        "add.kept" if settings.desk.keep else "add.privacy",
        minutes=say.number(round(2 * settings.keep_s / 60, 1)),
    )
    with gr.Blocks(title=say("page.title"), analytics_enabled=False) as page:
        gr.HTML(_head(say), elem_id="fl-head", elem_classes="fl-html", padding=False)
        with gr.Tabs():
            with gr.Tab(say("tab.check"), id="check"):
                check = CheckScreen(bench, say, privacy, settings.max_upload_mb)
                if settings.similar is not None:
                    SimilarPanel(settings.similar, say, check.seen, check.shown)
                DecidingPanel(bench, say, settings.desk, check.seen, check.shown)
            with gr.Tab(say("tab.many"), id="many"):
                ManyScreen(bench, say, settings.desk, settings.max_upload_mb)
            with gr.Tab(say("tab.decisions"), id="decisions") as tab:
                AgreementScreen(bench, say, settings.desk, tab)
            with gr.Tab(say("tab.model"), id="model"):
                gr.HTML(
                    about(bench, say), elem_id="fl-model", elem_classes="fl-html", padding=False
                )
        publish(bench, say, settings.desk)
    take_uploads_only(page, say)
    # Of programs, which do not say goodbye, gradio keeps 10,000 by itself: 0.17 MB each.
    page.state_session_capacity = _SESSIONS
    page.queue(max_size=settings.queue_size, default_concurrency_limit=settings.workers)
    return page


def application(classifier: Classifier, settings: Settings) -> ASGIApp:
    """The web application: `/en/`, `/fr/` and so on, and `/`, which leads to one of them."""
    server = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    system = ["ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif"]
    mono = ["ui-monospace", "Menlo", "Consolas", "Liberation Mono", "monospace"]
    files = resources.files("faunalens_app")
    root = settings.door.root_path
    for language in LANGUAGES:
        gr.mount_gradio_app(
            server,
            build(classifier, language, settings),
            path=f"/{language}",
            server_name="127.0.0.1",
            root_path=f"{root}/{language}" if root else None,
            footer_links=[],
            run_history=False,
            allowed_paths=[],
            show_error=True,
            max_file_size=f"{settings.max_upload_mb}mb",
            ssr_mode=False,
            enable_monitoring=False,
            pwa=False,
            mcp_server=False,
            theme=gr.themes.Base(font=system, font_mono=mono),
            css=style() + files.joinpath("web.css").read_text("utf-8"),
            js=files.joinpath("page.js").read_text("utf-8"),
        )
    return Guard(server, settings.door)


def _head(say: Catalogue) -> Markup:
    links = join(
        fill(
            '<a href="../{l}/" hreflang="{l}" lang="{l}"{here}>{name}</a>',
            l=language,
            here=Markup(' aria-current="page"' if language == say.language else ""),
            name=name,
        )
        for language, name in NAMES.items()
    )
    return fill(
        '<header><nav aria-label="{language}">{links}</nav><h1>{title}</h1><p>{lead}</p></header>',
        language=say("page.language"),
        links=links,
        title=say("page.title"),
        lead=say("page.lead"),
    )
