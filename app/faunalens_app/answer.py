"""One judgement as HTML: what it looks like, how sure, where, the law, what to check."""

from dataclasses import dataclass, field
from datetime import datetime

from faunalens.decide import Policy, Verdict
from faunalens.drawing import data_uri, draw
from faunalens.fragments import (
    Markup,
    badge,
    bar,
    checks,
    deciding_family,
    facts,
    fill,
    find_label,
    headline,
    join,
    law,
    percent,
)
from faunalens.labels import LabelList
from faunalens.limits import Thresholds
from faunalens.pipeline import Judgement
from faunalens.record import Record
from faunalens.spec import ModelSpec
from faunalens_app import text

# Of the picture; the page shows it at up to 680, and so the outline at 2 px.
_LONGEST_PX = 1000
_LINE_PX = 3
_OTHERS = 5


@dataclass(frozen=True)
class Answer:
    """The two places of the screen, as HTML.

    Attributes:
        first: Beside the photo: the verdict, and where in the photo it shows.
        more: Below: what to check, the law, other labels, facts for the file.
    """

    first: Markup
    more: Markup = field(default_factory=Markup)


def waiting() -> Answer:
    """What stands there before there is a photo."""
    return Answer(fill('<div class="fl-card fl-empty"><p>{text}</p></div>', text=text.WAITING))


def failed(message: str) -> Answer:
    """A file that could not be judged."""
    return Answer(
        fill(
            '<div class="fl-card fl-failed"><h2>{title}</h2><p>{message}.</p><p>{advice}</p></div>',
            title=text.FAILED,
            message=message[:1].upper() + message[1:].rstrip("."),
            advice=text.FAILED_MORE,
        )
    )


def answer(
    judgement: Judgement, spec: ModelSpec, rules: Policy, labels: LabelList, now: datetime
) -> Answer:
    """The whole answer.

    Args:
        spec: Of the model that judged.
        rules: The thresholds it was judged by.
        now: Printed as the time of the judgement.
    """
    record = judgement.record
    if record.failure is not None:
        return failed(record.failure.message)
    hit = record.verdict is not Verdict.CLEAR
    label = find_label(record.label, labels) if hit else None
    first = fill(
        '<div class="fl-card">{verdict}{evidence}</div>',
        verdict=_verdict(record, rules, labels),
        evidence=_evidence(judgement, spec, labels) if hit else Markup(),
    )
    cards = [_others(record, labels, hit), _file(record, now)]
    if label is not None:
        law_card = law(label, labels.checked, text.WORDS)
        cards = [checks(label, text.LANGUAGE, text.WORDS), law_card, *cards]
    columns = join(fill('<div class="fl-card">{card}</div>', card=card) for card in cards)
    kind = " fl-hit" if label else ""
    return Answer(first, fill('<div class="fl-cards{kind}">{all}</div>', kind=kind, all=columns))


def _verdict(record: Record, rules: Policy, labels: LabelList) -> Markup:
    verdict = record.verdict or Verdict.CLEAR
    likely = record.probability or 0.0
    limits = _thresholds(record, rules, labels)
    marks = {
        "percent": percent(likely),
        "alert": percent(limits.alert.probability) if limits else "?",
        "review": percent(limits.review.probability) if limits else "?",
    }
    if verdict is Verdict.CLEAR:
        title: str = text.NOTHING
        said = fill(
            "<p>{text}</p>",
            text=text.NOTHING_MORE.format(label=text.within(_name(record.label, labels)), **marks),
        )
    else:
        title = _title(record, labels)
        said = fill(
            '<p class="fl-chance"><b>{chance}</b>{bar}</p><p class="fl-small">{thresholds}</p>'
            "<p>{not_proof} {cannot_show}</p>",
            chance=text.CHANCE.format(words=text.chance(likely), **marks),
            bar=bar(likely, verdict),
            thresholds=text.THRESHOLDS.format(rule=record.rule, **marks),
            not_proof=text.NOT_PROOF,
            cannot_show=text.WORDS.cannot_show,
        )
    return fill(
        "<header>{badge}<h2>{title}</h2>{said}</header>",
        badge=badge(verdict, text.WORDS),
        title=title,
        said=said,
    )


def _title(record: Record, labels: LabelList) -> Markup:
    certain = deciding_family(record, labels) is None
    if record.verdict is Verdict.REVIEW and certain:
        return fill(text.MAYBE, label=text.within(_name(record.label, labels)))
    return headline(record, labels, text.LANGUAGE, text.WORDS)


def _thresholds(record: Record, rules: Policy, labels: LabelList) -> Thresholds | None:
    """Those of the rule that decided."""
    family = deciding_family(record, labels)
    if family is not None:
        return rules.families[family].thresholds
    return rules.thresholds.get(record.label or "")


def _evidence(judgement: Judgement, spec: ModelSpec, labels: LabelList) -> Markup:
    record, photo, maps = judgement.record, judgement.photo, judgement.evidence
    if photo is None or maps is None or record.label not in spec.labels:
        return Markup()
    evidence = maps[spec.labels.index(record.label)]
    drawing = draw(photo, evidence, spec.resize, longest_px=_LONGEST_PX, line_px=_LINE_PX)
    if drawing.evidence is None or drawing.region is None:
        return fill('<p class="fl-small">{text}</p>', text=text.NO_EVIDENCE)
    left, top, right, bottom = (round(100 * share) for share in drawing.region)
    return fill(
        '<figure><h4>{title}</h4><img src="{src}" width="{width}" height="{height}" alt="{alt}">'
        "<figcaption>{more}</figcaption></figure>",
        title=text.EVIDENCE,
        src=Markup(data_uri(drawing.evidence)),
        width=drawing.evidence.width,
        height=drawing.evidence.height,
        alt=text.EVIDENCE_ALT.format(
            label=text.within(_name(record.label, labels)),
            left=left,
            top=top,
            right=right,
            bottom=bottom,
        ),
        more=text.EVIDENCE_MORE,
    )


def _others(record: Record, labels: LabelList, hit: bool) -> Markup:
    ranked = sorted((record.probabilities or {}).items(), key=lambda item: -item[1])
    chosen = [(key, p) for key, p in ranked if not (hit and key == record.label)][:_OTHERS]
    rows = join(
        fill(
            '<tr><th scope="row">{name}</th><td>{bar}</td><td>{percent}</td></tr>',
            name=_name(key, labels),
            bar=bar(p, Verdict.CLEAR),
            percent=percent(p),
        )
        for key, p in chosen
    )
    return fill(
        '<section><h4>{title}</h4><table class="fl-others"><tbody>{rows}</tbody></table></section>',
        title=text.OTHERS if hit else text.ALL,
        rows=rows,
    )


def _file(record: Record, now: datetime) -> Markup:
    size = text.FILE_SIZE_VALUE.format(
        width=record.width or 0, height=record.height or 0, bytes=record.bytes or 0
    )
    model = record.model
    rows = (
        (text.FILE_NAME, fill("{source}", source=record.source)),
        (text.FILE_SIZE, fill("{size}", size=size)),
        (text.FILE_SHA256, fill("<code>{sha256}</code>", sha256=record.sha256)),
        (
            text.FILE_MODEL,
            fill(
                "{name} {version} <code>{sha256}</code>",
                name=model.get("name"),
                version=model.get("version"),
                sha256=model.get("sha256"),
            ),
        ),
        (text.FILE_JUDGED, fill("{time}", time=now.isoformat(" ", "seconds"))),
    )
    return fill(
        '<section><h4>{title}</h4><dl class="fl-file">{rows}</dl></section>',
        title=text.FILE,
        rows=facts(rows),
    )


def _name(label_id: str | None, labels: LabelList) -> str:
    label = find_label(label_id, labels)
    return label.names[text.LANGUAGE] if label else str(label_id)
