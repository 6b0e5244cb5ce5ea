"""The page that shows whether officers agree with the model: over time, and by label."""

import io
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta

import gradio as gr

from faunalens.decisions import Choice, OfficerDecision, StoreError
from faunalens.fragments import Markup, fill, join
from faunalens_app.answer import label_name
from faunalens_app.catalogue import Catalogue
from faunalens_app.desk import Desk
from faunalens_app.seen import Bench

_LINES = 4  # labels drawn beside the sum of all
_DASHES = ("-", "--", "-.", ":", (0, (5, 1, 1, 1, 1, 1)))
_MARKS = ("o", "s", "^", "D", "v")


@dataclass
class Agreement:
    """Counts of decisions, in memory that does not grow with them.

    Attributes:
        labels: Per label that the model gave, decisions by choice.
        weeks: Per Monday and label (None: all), `[agreeing, sure]`.
    """

    labels: dict[str, Counter[Choice]] = field(default_factory=lambda: defaultdict(Counter))
    weeks: dict[date, dict[str | None, list[int]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(lambda: [0, 0]))
    )

    @classmethod
    def of(cls, decisions: Iterable[OfficerDecision]) -> "Agreement":
        """Count decisions one by one."""
        counted = cls()
        for one in decisions:
            counted.labels[one.label][one.choice] += 1
            if one.agrees is not None:
                day = one.at.date()
                week = counted.weeks[day - timedelta(days=day.weekday())]
                for label in (None, one.label):
                    week[label][0] += one.agrees
                    week[label][1] += 1
        return counted

    @property
    def total(self) -> Counter[Choice]:
        """Decisions by choice, over all labels."""
        return sum(self.labels.values(), Counter())

    def to_dict(self) -> dict[str, dict[str, int]]:
        """Per label id and choice, the number of decisions."""
        return {
            label: {str(choice): counts[choice] for choice in Choice}
            for label, counts in sorted(self.labels.items())
        }


class AgreementScreen:
    """Builds the screen; it is filled when it is opened, and by its button."""

    def __init__(self, bench: Bench, say: Catalogue, desk: Desk, tab: gr.Tab) -> None:
        self._bench, self._say, self._desk = bench, say, desk
        shown = gr.HTML(elem_id="fl-agree", elem_classes="fl-html", padding=False)
        button = gr.Button(say("agree.refresh"), elem_classes="fl-narrow")
        for event in (tab.select, button.click):
            event(self._show, None, shown, api_visibility="private", show_progress="minimal")

    def _show(self) -> str:
        say = self._say
        try:
            counted = Agreement.of(self._desk.store.decisions())
        except StoreError:
            return fill('<div class="fl-card"><p>{text}</p></div>', text=say("agree.down"))
        return agreement_page(counted, self._bench, say)


def agreement_page(counted: Agreement, bench: Bench, say: Catalogue) -> Markup:
    """The counts as HTML: a sentence, the plot, the table."""
    title = fill("<h2>{title}</h2>", title=say("agree.title"))
    total = counted.total
    if not total:
        text = say("agree.none")
        return fill('<div class="fl-card">{title}<p>{text}</p></div>', title=title, text=text)
    sure = total.total() - total[Choice.UNSURE]
    lead = say(
        "agree.lead",
        sure=say.number(sure),
        percent=share(total, say),
        unsure=say.number(total[Choice.UNSURE]),
    )
    ranked = sorted(counted.labels.items(), key=lambda item: -item[1].total())
    rows = [(label_name(key, bench, say), counts) for key, counts in ranked]
    return fill(
        '<div class="fl-card">{title}<p>{lead}</p><figure role="img" aria-label="{alt}">{plot}'
        "</figure>{table}</div>",
        title=title,
        lead=lead,
        alt=say("agree.plot_alt"),
        plot=plot(counted, bench, say) if counted.weeks else Markup(),
        table=_table([*rows, (say("agree.all"), total)], say),
    )


def share(counts: Counter[Choice], say: Catalogue) -> str:
    """Agreement in percent of the sure decisions, a dash if there are none."""
    sure = counts.total() - counts[Choice.UNSURE]
    if not sure:
        return "\N{EN DASH}"
    return f"{say.number(round(100 * counts[Choice.CONFIRMED] / sure))}\N{NO-BREAK SPACE}%"


def _table(rows: Iterable[tuple[str, Counter[Choice]]], say: Catalogue) -> Markup:
    names = (say("agree.label"), say("agree.share"), *(say(f"agree.{one}") for one in Choice))
    head = join(fill('<th scope="col">{name}</th>', name=name) for name in names)
    body = join(
        fill(
            '<tr><th scope="row">{name}</th>{cells}</tr>',
            name=name,
            cells=join(
                fill("<td>{text}</td>", text=text)
                for text in (share(counts, say), *(say.number(counts[one]) for one in Choice))
            ),
        )
        for name, counts in rows
    )
    return fill(
        '<div class="fl-scroll" tabindex="0" role="region" aria-label="{title}"><table '
        'class="fl-table"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>',
        title=say("agree.title"),
        head=head,
        body=body,
    )


def plot(counted: Agreement, bench: Bench, say: Catalogue) -> Markup:
    """Agreement week by week as SVG; lines differ by dash and mark, not by colour alone."""
    from matplotlib import rc_context
    from matplotlib.dates import date2num
    from matplotlib.figure import Figure

    most = sorted(counted.labels, key=lambda key: -counted.labels[key].total())[:_LINES]
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    weeks = sorted(counted.weeks)
    for number, key in enumerate([None, *most]):
        points = [(week, *counted.weeks[week].get(key, (0, 0))) for week in weeks]
        known = [(week, 100 * agreeing / sure) for week, agreeing, sure in points if sure]
        if known:
            axes.plot(
                [week for week, _ in known],
                [percent for _, percent in known],
                linestyle=_DASHES[number],
                marker=_MARKS[number],
                linewidth=2.5 if key is None else 1.5,
                markersize=9 if key is None else 5,
                label=say("agree.all") if key is None else label_name(key, bench, say),
            )
    axes.set_ylim(-4, 104)
    axes.set_ylabel(f"{say('agree.share')} (%)")
    axes.set_title(say("agree.plot"), fontsize=11)
    marked = weeks[:: max(1, len(weeks) // 8)]
    days = [week.strftime("%d.%m.%y") for week in marked]
    axes.set_xticks(date2num(marked), days, fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=9, frameon=False)
    buffer = io.StringIO()
    with rc_context({"svg.hashsalt": "faunalens"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, transparent=True)
    drawn = buffer.getvalue()
    return Markup(drawn[drawn.index("<svg") :])
