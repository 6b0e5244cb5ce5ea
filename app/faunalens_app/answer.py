"""One judged photo as HTML: what it looks like, how sure, where, the law, what to check."""

from dataclasses import dataclass, field

from faunalens.decide import Verdict
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
)
from faunalens.limits import Thresholds
from faunalens.record import Record
from faunalens_app.catalogue import Catalogue
from faunalens_app.seen import Bench, Seen
from faunalens_app.viewer import viewer

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


def waiting(say: Catalogue) -> Answer:
    """What stands there before there is a photo."""
    text = say("answer.waiting")
    return Answer(fill('<div class="fl-card fl-empty"><p>{text}</p></div>', text=text))


def failed(message: str, say: Catalogue) -> Answer:
    """A file that could not be judged."""
    return Answer(
        fill(
            '<div class="fl-card fl-failed"><h2>{title}</h2><p>{message}</p><p>{advice}</p></div>',
            title=say("answer.failed"),
            message=message,
            advice=say("answer.failed_more"),
        )
    )


def answer(seen: Seen, bench: Bench, say: Catalogue) -> Answer:
    """The whole answer about one photo."""
    record, labels = seen.record, bench.labels
    if record.failure is not None:
        return failed(f"{record.source}: {say.failure(record)}", say)
    hit = record.verdict is not Verdict.CLEAR
    label = find_label(record.label, labels) if hit else None
    name = say.within(label_name(record.label, bench, say))
    first = fill(
        '<div class="fl-card">{verdict}{hints}{evidence}</div>',
        verdict=verdict(record, bench, say),
        hints=_hints(seen, bench, say),
        evidence=viewer(seen, name, bench, say, marked=hit),
    )
    cards = [_others(record, bench, say, hit), _file(seen, say)]
    if label is not None:
        law_card = law(label, labels.checked, say.words, "h3")
        cards = [checks(label, say.language, say.words, "h3"), law_card, *cards]
    columns = join(fill('<div class="fl-card">{card}</div>', card=card) for card in cards)
    kind = " fl-hit" if label else ""
    return Answer(first, fill('<div class="fl-cards{kind}">{all}</div>', kind=kind, all=columns))


def verdict(record: Record, bench: Bench, say: Catalogue) -> Markup:
    """The verdict in words, with its probability and what that means."""
    found = record.verdict or Verdict.CLEAR
    likely = record.probability or 0.0
    limits = thresholds(record, bench)
    marks = {
        "alert": say.percent(limits.alert.probability) if limits else "?",
        "review": say.percent(limits.review.probability) if limits else "?",
    }
    percent = say.percent(likely)
    if found is Verdict.CLEAR:
        name = say.within(label_name(record.label, bench, say))
        text = say("answer.nothing_more", label=name, percent=percent, review=marks["review"])
        said = fill("<p>{text}</p>", text=text)
    else:
        said = fill(
            '<p class="fl-chance"><b>{chance}</b>{bar}</p><p class="fl-small">{thresholds}</p>'
            "<p>{not_proof} {cannot_show}</p>",
            chance=say("chance.line", words=say.chance(likely), percent=percent),
            bar=bar(likely, found),
            thresholds=say("answer.thresholds", **marks),
            not_proof=say("answer.not_proof"),
            cannot_show=say.words.cannot_show,
        )
    return fill(
        "<header>{badge}<h2>{title}</h2>{said}</header>",
        badge=badge(found, say.words),
        title=title(record, bench, say),
        said=said,
    )


def _hints(seen: Seen, bench: Bench, say: Catalogue) -> Markup:
    """Which species it may be, and whether the model is out of its depth."""
    pieces = []
    if seen.novel:
        pieces.append(fill('<p class="fl-warning">{text}</p>', text=say("answer.novel")))
    if seen.may_be:
        items = join(
            fill(
                "<li>{name} ({percent})</li>",
                name=bench.taxon_name(hint.taxon, say.language),
                percent=say.percent(hint.probability),
            )
            for hint in seen.may_be
        )
        pieces.append(
            fill(
                '<div class="fl-hints"><h3>{title}</h3><ul>{items}</ul><p class="fl-small">{more}'
                "</p></div>",
                title=say("answer.may_be"),
                items=items,
                more=say("answer.may_be_more"),
            )
        )
    return join(pieces)


def title(record: Record, bench: Bench, say: Catalogue) -> Markup:
    """What the photo looks like, in a sentence that never judges."""
    if record.verdict is None:
        return fill("{text}", text=say("answer.failed"))
    if record.verdict is Verdict.CLEAR:
        return fill("{text}", text=say("answer.nothing"))
    name = label_name(record.label, bench, say)
    if find_label(record.label, bench.labels) is None:
        return fill("{text}", text=say("answer.unknown_label", label=name))
    certain = deciding_family(record, bench.labels) is None
    if record.verdict is Verdict.REVIEW and certain:
        return fill("{text}", text=say("answer.maybe", label=say.within(name)))
    return headline(record, bench.labels, say.language, say.words)


def label_name(label_id: str | None, bench: Bench, say: Catalogue) -> str:
    """A label's name, or its id if the label list does not know it."""
    label = find_label(label_id, bench.labels)
    return label.names[say.language] if label else str(label_id)


def thresholds(record: Record, bench: Bench) -> Thresholds | None:
    """Those of the rule that decided."""
    family = deciding_family(record, bench.labels)
    if family is not None and family in bench.rules.families:
        return bench.rules.families[family].thresholds
    return bench.rules.thresholds.get(record.label or "")


def _others(record: Record, bench: Bench, say: Catalogue, hit: bool) -> Markup:
    ranked = sorted((record.probabilities or {}).items(), key=lambda item: -item[1])
    chosen = [(key, p) for key, p in ranked if not (hit and key == record.label)][:_OTHERS]
    rows = join(
        fill(
            '<tr><th scope="row">{name}</th><td>{bar}</td><td>{percent}</td></tr>',
            name=label_name(key, bench, say),
            bar=bar(p, Verdict.CLEAR),
            percent=say.percent(p),
        )
        for key, p in chosen
    )
    return fill(
        '<section><h3>{title}</h3><table class="fl-others"><tbody>{rows}</tbody></table></section>',
        title=say("others.hit") if hit else say("others.clear"),
        rows=rows,
    )


def _file(seen: Seen, say: Catalogue) -> Markup:
    record = seen.record
    size = say(
        "file.size_value",
        width=say.number(record.width or 0),
        height=say.number(record.height or 0),
        bytes=say.number(record.bytes or 0),
    )
    model = record.model
    rows = (
        (say("file.name"), fill("{source}", source=record.source)),
        (say("file.size"), fill("{size}", size=size)),
        (say("file.sha256"), fill("<code>{sha256}</code>", sha256=record.sha256)),
        (
            say("file.model"),
            fill(
                "{name} {version} <code>{sha256}</code>",
                name=model.get("name"),
                version=model.get("version"),
                sha256=model.get("sha256"),
            ),
        ),
        (say("file.rule"), fill("<code>{rule}</code>", rule=record.rule)),
        (say("file.judged"), fill("{time}", time=say.time(seen.at))),
    )
    return fill(
        '<section><h3>{title}</h3><dl class="fl-file">{rows}</dl></section>',
        title=say("file.title"),
        rows=facts(rows),
    )
