"""An evaluation's tables of what is found and what is called wrongly, for report and model card."""

from faunalens_train import charts
from faunalens_train.evaluation_cells import (
    Evaluation,
    figures_of,
    label_order,
    number,
    rate_text,
    recall_cell,
    shown_labels,
    spread,
    without_empty,
)
from faunalens_train.metrics import PREVALENCES, RARE_RATE, RATES
from faunalens_train.pages import Block, Figure, Heading, Text, table


def recall_blocks(evaluation: Evaluation) -> list[Block]:
    """Recall, AUROC and average precision per label and family, one table per rate."""
    columns = evaluation["columns"]
    blocks: list[Block] = [Heading("Recall")]
    for rate in (*RATES, RARE_RATE):
        key = f"recall@{rate:g}"
        lines = [
            [
                name,
                *(
                    part
                    for own in columns.values()
                    for part in recall_cell(figures_of(own, name), key)
                ),
            ]
            for name in shown_labels(evaluation)
        ]
        if any(cell for line in lines for cell in line[2::2]):
            heads = [
                word for title in columns for word in ("pictures", f"{title}, {rate_text(rate)}")
            ]
            blocks.append(table(["", *heads], lines))
    lines = [
        [
            name,
            *(
                cell
                for own in columns.values()
                for cell in (
                    spread(figures_of(own, name), "auroc", 3),
                    number(figures_of(own, name).get("average_precision"), 3),
                )
            ),
        ]
        for name in shown_labels(evaluation)
    ]
    heads = [word for title in columns for word in (f"{title}, AUROC", "average precision")]
    blocks.append(table(["", *heads], lines))
    for rate in RATES:
        picture = charts.recall_plot(
            f"Recall at {rate_text(rate)} false positives",
            label_order(evaluation),
            {title: own["labels"] for title, own in columns.items()},
            f"recall@{rate:g}",
        )
        name = f"recall_{rate:g}.png"
        blocks.append(Figure(name, picture, f"Recall at {rate_text(rate)} false positives"))
    return blocks


def threshold_blocks(evaluation: Evaluation) -> list[Block]:
    """Recall and false alarms at the thresholds that ship (in folds: of each fold's model)."""
    blocks: list[Block] = [
        Heading("At the shipped thresholds"),
        Text(
            "alert, review: share of the label's pictures at or above its own threshold. any alert,"
            " any review: share whose photo gets that verdict for whatever reason. false alert:"
            " share of all negatives at or above the label's alert threshold. In folds the"
            " thresholds are those of each fold's model."
        ),
    ]
    for title, own in evaluation["columns"].items():
        lines = [
            [
                name,
                figures["pictures"],
                spread(figures, "alert"),
                *(number(figures[key]) for key in ("review", "any_alert", "any_review")),
                f"{figures['false_alert']:.2%}",
            ]
            for name in shown_labels(evaluation)
            if (figures := figures_of(own, name))
        ]
        head = [title, "pictures", "alert", "review", "any alert", "any review", "false alert"]
        blocks.append(table(head, lines))
    return blocks


def false_alarm_blocks(evaluation: Evaluation) -> list[Block]:
    """Negatives that alert or ask for review, by kind."""
    blocks: list[Block] = [Heading("False alarms by kind of negative")]
    for title, own in evaluation["columns"].items():
        lines = [
            [
                kind,
                one["pictures"],
                one["alerts"],
                f"{one['alert_rate']:.2%}",
                "{:.2%} to {:.2%}".format(*one["alert_rate_95"]),
                one["reviews"],
                f"{one['review_rate']:.2%}",
            ]
            for kind, one in own["false_alarms"].items()
        ]
        head = [title, "pictures", "alerts", "share", "95 %", "further reviews", "share"]
        blocks.append(table(head, lines))
    return blocks


def look_alike_blocks(evaluation: Evaluation) -> list[Block]:
    """Products against what is taken for them."""
    lines = [
        [
            f"{label} against {one['kind']}",
            title,
            one["pictures"],
            one["negatives"],
            spread(one, "auroc", 3),
            spread(one, "recall@0.01"),
            f"{one['false_alert']:.1%}",
        ]
        for title, own in evaluation["columns"].items()
        for label, one in own["against_look_alikes"].items()
    ]
    head = ["", "column", "pictures", "look-alikes", "AUROC", "recall at 1 %", "of them alert"]
    return [Heading("Against look-alikes alone"), table(head, lines)] if lines else []


def source_blocks(evaluation: Evaluation) -> list[Block]:
    """Each big source by itself, where sources were held out."""
    own = evaluation["columns"].get("source-disjoint")
    if own is None:
        return []
    lines = [
        [
            f"{label}, {source}",
            one["pictures"],
            spread(one, "recall@0.01"),
            spread(one, "recall@0.001"),
            spread(one.get("ordinary", {}), "recall@0.01"),
            spread(one, "auroc", 3),
            number(one["alert"]),
            spread(one, "auroc_look_alikes", 3),
            spread(one, "auroc_own_look_alikes", 3),
        ]
        for label, sources in own["by_source"].items()
        for source, one in sources.items()
    ]
    return [
        Heading("Each big source, held out"),
        Text(
            "Sources with 30 pictures of a label or more, each judged by a model that saw none of"
            " it. `1 % of ordinary`: recall where 1 % of goods, scenes and animals pass, with"
            " look-alikes and toys left aside. The last two columns set ivory, shell and scales"
            " against look-alikes of the same fold, and against those of the very source, whose"
            " backdrop and light they share."
        ),
        table(
            ["label, source", "pictures", "recall at 1 %", "at 0.1 %", "1 % of ordinary", "AUROC",
             "alert", "AUROC, look-alikes", "AUROC, look-alikes of the source"],
            lines,
        ),
    ]  # fmt: skip


def precision_blocks(evaluation: Evaluation) -> list[Block]:
    """What share of hits would be right in a feed where the label is rare."""
    blocks: list[Block] = [
        Heading("Precision in a feed"),
        Text(
            "Share of hits that are right where so many photos of a feed show the label, with the"
            " recall above at that false-positive rate (Bayes' rule)."
        ),
    ]
    shares = [f"{share:g}" for share in PREVALENCES]
    for title, own in evaluation["columns"].items():
        head, lines = [title], []
        for rate in (*RATES, RARE_RATE):
            head += [f"FPR {rate_text(rate)}, 1 in {round(1 / share):,}" for share in PREVALENCES]
        for name in shown_labels(evaluation):
            figures = figures_of(own, name)
            cells = [
                f"{figures[key][share]:.1%}" if (key := f"precision@{rate:g}") in figures else ""
                for rate in (*RATES, RARE_RATE)
                for share in shares
            ]
            if figures:
                lines.append([name, *cells])
        blocks.append(without_empty(table(head, lines)))
    return blocks
