"""A batch as CSV, and as one self-contained page in the officer's language."""

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import resources
from pathlib import Path

from faunalens.decisions import OfficerDecision
from faunalens.fragments import Markup, fill, style
from faunalens_app.answer import answer
from faunalens_app.batch import write_csv
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench, Seen

MOST = 200
"""Photos in a report: more make a page that browsers cannot bear."""

_COLUMNS = ("source", "ad", "sha256", "verdict", "label", "probability", "rule", "failure")
_DECISION = ("decision", "other_label", "officer", "decided_at", "note")


def export_csv(
    photos: Sequence[Seen], decided: Mapping[str, OfficerDecision], folder: Path
) -> Path:
    """One row per photo, with the decision of this session; the columns are named as in records."""
    rows = []
    for one in photos:
        raw = one.record.to_dict()
        raw["failure"] = raw["failure"] and raw["failure"]["kind"]
        decision = decided.get(str(raw["sha256"]))
        said = ["", "", "", "", ""]
        if decision is not None:
            other = decision.other_label or ""
            at = decision.at.isoformat()
            said = [str(decision.choice), other, decision.officer, at, decision.note]
        cells = ["" if raw[name] is None else str(raw[name]) for name in _COLUMNS]
        rows.append([*cells, *said])
    path = _place(folder) / "faunalens.csv"
    write_csv(path, (*_COLUMNS, *_DECISION), rows)
    return path


def export_report(photos: Sequence[Seen], bench: Bench, say: Catalogue, folder: Path) -> Path:
    """The answers about the first photos, the strongest, on one page that makes no request."""
    path = _place(folder) / "faunalens-report.html"
    css = style() + resources.files("faunalens_app").joinpath("web.css").read_text("utf-8")
    heading = say("many.report_title", photos=say.number(len(photos)))
    now = say.time(datetime.now().astimezone())
    with path.open("w", encoding="utf-8") as page:
        page.write(
            fill(
                '<!doctype html><html lang="{l}"><head><meta charset="utf-8"><title>{heading}'
                '</title><meta name="viewport" content="width=device-width"><style>{css}'
                "body{{font-family:system-ui,sans-serif;margin:0}}article{{margin:0 0 2rem}}"
                '</style></head><body class="gradio-container"><main class="main fl-html">'
                "<h1>{heading}</h1><p>{now}. {not_proof} {cannot}</p>",
                l=say.language,
                heading=heading,
                css=Markup(css),
                now=now,
                not_proof=say("answer.not_proof"),
                cannot=say.words.cannot_show,
            )
        )
        for one in photos[:MOST]:
            said = answer(one, bench, say)
            page.write(fill("<article>{a}<br>{b}</article>", a=said.first, b=said.more))
        page.write("</main></body></html>\n")
    return path


def _place(folder: Path) -> Path:
    place = folder / f"export-{secrets.token_hex(8)}"
    place.mkdir(parents=True)
    return place
