"""The page about the model: what it is, its thresholds, and what it is not for."""

from importlib import resources

from faunalens.fragments import Markup, facts, fill, join
from faunalens_app.answer import label_name
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench

CARD = "MODEL_CARD.md"
"""The model card inside the package `faunalens`, where it has one."""


def about(bench: Bench, say: Catalogue) -> Markup:
    """The whole page."""
    spec, identity = bench.spec, bench.classifier.model.identity
    side = spec.resize.size_px
    data = ", ".join(
        say(f"model.{key}", value=say.number(value) if isinstance(value, int) else value)
        for key in ("train", "val", "test", "fingerprint")
        if (value := spec.dataset.get(key)) is not None
    )
    second = say("model.none")
    if spec.second is not None:
        second = f"{spec.second.file}, SHA-256 {spec.second.sha256}"
    rows = [
        (say("model.name"), f"{spec.name} {spec.version}"),
        (say("model.hash"), identity["sha256"]),
        (say("model.licence"), spec.licence),
        (say("model.input"), f"RGB, {side} x {side} px"),
        (say("model.second"), second),
        (say("model.data"), data),
    ]
    return fill(
        '<div class="fl-card"><h2>{title}</h2><p>{not_for}</p><p>{not_proof} {cannot}</p>'
        '<h3>{file}</h3><dl class="fl-file">{facts}</dl></div><br><div class="fl-card">'
        "<h3>{thresholds}</h3>{table}</div>{card}",
        title=say("model.title"),
        not_for=say("model.not_for"),
        not_proof=say("answer.not_proof"),
        cannot=say.words.cannot_show,
        file=say("model.facts"),
        facts=facts((name, fill("{value}", value=value)) for name, value in rows),
        thresholds=say("model.thresholds"),
        table=_thresholds(bench, say),
        card=_card(say),
    )


def _thresholds(bench: Bench, say: Catalogue) -> Markup:
    names = (say("model.label"), say("model.alert"), say("model.review"))
    rows = join(
        fill(
            '<tr><th scope="row">{name}</th><td>{alert}</td><td>{review}</td></tr>',
            name=label_name(key, bench, say),
            alert=say.percent(limits.alert.probability),
            review=say.percent(limits.review.probability),
        )
        for key, limits in bench.rules.thresholds.items()
    )
    return fill(
        '<table class="fl-table"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>',
        head=join(fill('<th scope="col">{name}</th>', name=name) for name in names),
        rows=rows,
    )


def _card(say: Catalogue) -> Markup:
    file = resources.files("faunalens").joinpath(CARD)
    if not file.is_file():
        return Markup()
    return fill(
        '<br><details class="fl-card"><summary>{title}</summary><pre lang="en" tabindex="0">{text}'
        "</pre></details>",
        title=say("model.card"),
        text=join(
            fill("{line}{end}", line=line, end=Markup("\n"))
            for line in file.read_text(encoding="utf-8").splitlines()
        ),
    )
