"""An evaluation as blocks of a report, and as a summary for a terminal."""

from faunalens_data.table import aligned
from faunalens_train.evaluation_cells import (
    Evaluation,
    figures_of,
    folds_of,
    number,
    rate_text,
    shown_labels,
    spread,
)
from faunalens_train.evaluation_recall import (
    false_alarm_blocks,
    look_alike_blocks,
    precision_blocks,
    recall_blocks,
    source_blocks,
    threshold_blocks,
)
from faunalens_train.evaluation_trust import (
    abstention_blocks,
    calibration_blocks,
    confusion_blocks,
    robustness_blocks,
)
from faunalens_train.metrics import RATES
from faunalens_train.pages import Block, Heading, Points, Text


def report(evaluation: Evaluation) -> list[Block]:
    """Every figure there is, in the order a sceptical reader asks for them."""
    model = evaluation["model"]
    return [
        Heading(f"Evaluation: {model['name']} {model['version']}", 1),
        Text(f"The first column was judged by {evaluation['judged_by']}."),
        *explain(evaluation),
        *recall_blocks(evaluation),
        *threshold_blocks(evaluation),
        *false_alarm_blocks(evaluation),
        *look_alike_blocks(evaluation),
        *source_blocks(evaluation),
        *precision_blocks(evaluation),
        *calibration_blocks(evaluation),
        *abstention_blocks(evaluation),
        *confusion_blocks(evaluation),
        *robustness_blocks(evaluation),
    ]


def summary(evaluation: Evaluation) -> str:
    """The figures that matter most, as text for a terminal."""
    columns = evaluation["columns"]
    keys = [f"recall@{rate:g}" for rate in RATES]
    lines = [
        [
            name,
            *(
                cell
                for own in columns.values()
                for cell in (
                    figures_of(own, name).get("pictures", ""),
                    *(spread(figures_of(own, name), key) for key in keys),
                    number(figures_of(own, name).get("alert")),
                )
            ),
        ]
        for name in shown_labels(evaluation)
    ]
    heads = [
        h for title in columns for h in (title, *(f"at {rate_text(r)}" for r in RATES), "alert")
    ]
    parts = [aligned(["", *heads], lines)]
    for title, own in columns.items():
        every = own["false_alarms"].get("all")
        if every:
            low, high = every["alert_rate_95"]
            parts.append(
                f"{title}: {every['alerts']} of {every['pictures']} negatives alert"
                f" ({every['alert_rate']:.2%}; {low:.2%} to {high:.2%});"
                f" ECE {own['calibration']['ece']:.4f},"
                f" of the likeliest label {own['calibration']['ece_highest']:.4f}"
            )
    return "\n\n".join(parts)


def explain(evaluation: Evaluation) -> list[Block]:
    """What the columns are, and over how many pictures."""
    meaning = {
        "in-distribution": "pictures that never trained, from sources that did",
        "group folds": "pictures judged by a model that never saw their object",
        "source-disjoint": "pictures judged by a model that never saw their source, which is what a"
        " scraped advert is",
    }
    points = [
        f"{title}: {meaning[title]}; {own.get('models', 'as shipped')}{folds_of(own)}."
        f" {own['pictures']} pictures of {own['groups']} groups from {own['sources']} sources,"
        f" {own['negatives']} of them negatives."
        for title, own in evaluation["columns"].items()
    ]
    return [
        Points(tuple(points)),
        Text(
            "Recall is at a false-positive rate over all negatives; brackets hold 95 % bootstrap"
            " intervals over groups (500 draws), or exact binomial ones for plain shares. Below"
            " 1,000 negatives, recall at 0.1 % is recall with no false positive at all; recall at"
            " 0.01 % needs 10,000 negatives and is left out where there are fewer."
        ),
    ]
