"""An evaluation's tables of how far probabilities can be believed, and of what edits cost."""

from faunalens_train import charts
from faunalens_train.evaluation_cells import Evaluation, figures_of, number, risk_at, shown_labels
from faunalens_train.pages import Block, Figure, Heading, Points, Text, table
from faunalens_train.robustness import ALLOWED, ALLOWED_COLLAGE, MANY

_COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7)


def calibration_blocks(evaluation: Evaluation) -> list[Block]:
    """Calibration error, and the reliability plot."""
    columns = evaluation["columns"]
    lines = [
        [title, *(f"{one[key]:.4f}" for key in ("ece", "brier", "ece_highest", "brier_highest"))]
        for title, own in columns.items()
        for one in [own["calibration"]]
    ]
    bins = {title: own["calibration"]["bins"] for title, own in columns.items()}
    per_label = [
        [
            name,
            *(
                number(figures_of(own, name).get(key), 4)
                for own in columns.values()
                for key in ("ece", "brier")
            ),
        ]
        for name in shown_labels(evaluation)
    ]
    heads = [f"{title}, {word}" for title in columns for word in ("ECE", "Brier")]
    return [
        Heading("Calibration"),
        Text(
            "ECE (15 bins) and Brier score over all pairs of photo and label, and of each photo's"
            " likeliest label alone."
        ),
        table(["", "ECE", "Brier", "ECE, likeliest label", "Brier, likeliest label"], lines),
        Figure("reliability.png", charts.reliability_plot(bins), "Reliability"),
        table(["", *heads], per_label),
    ]


def abstention_blocks(evaluation: Evaluation) -> list[Block]:
    """Risk against coverage: what handing doubtful photos to a person buys."""
    curves = {title: own["risk_coverage"] for title, own in evaluation["columns"].items()}
    lines = [
        [
            title,
            *(f"{risk_at(curve, share):.2%}" for share in _COVERAGES),
            f"{curve['aurc']:.4f}",
            f"{curve['oracle']:.4f}",
        ]
        for title, curve in curves.items()
    ]
    head = ["wrong answers at", *(f"{share:.0%} answered" for share in _COVERAGES)]
    return [
        Heading("Risk and coverage"),
        Text(
            "A photo's answer is its likeliest label at 0.5 or more, else none; the least certain"
            " are left to a person. AURC is the area under the curve, next to that of an order that"
            " knows which answers are wrong."
        ),
        table([*head, "AURC", "AURC at best"], lines),
        Figure("risk_coverage.png", charts.risk_coverage_plot(curves), "Risk and coverage"),
    ]


def confusion_blocks(evaluation: Evaluation) -> list[Block]:
    """What was taken for what."""
    blocks: list[Block] = [Heading("What photos were taken for")]
    for title, own in evaluation["columns"].items():
        name = f"confusion_{title.replace(' ', '_')}.png"
        picture = charts.confusion_plot(f"Alert or review, {title}", own["confusion"])
        blocks.append(Figure(name, picture, f"What photos were taken for, {title}"))
    return blocks


def robustness_blocks(evaluation: Evaluation) -> list[Block]:
    """Recall after each edit of a photo."""
    found = evaluation.get("robustness")
    if found is None:
        return []
    labels = list(found["pictures"])
    blocks: list[Block] = [
        Heading("Robustness"),
        Text(
            "Share of the test part's positives at or above their label's own review threshold"
            " (first table) and alert threshold (second) after one edit, by the whole product."
            f" Held against it: a loss at either of more than {ALLOWED:.0%} (collage"
            f" {ALLOWED_COLLAGE:.0%}) for a label with {MANY} pictures in the data set"
            f" ({', '.join(x for x in labels if found['counts'].get(x, 0) >= MANY)})."
        ),
    ]
    for level in ("review", "alert"):
        lines = [
            [name, *(number(own[label][level]) for label in labels)]
            for name, own in found["edits"].items()
        ]
        counts = ["pictures", *(found["pictures"][label] for label in labels)]
        blocks.append(table([level, *labels], [counts, *lines]))
    lost = [
        f"{one['edit']}: {one['label']} loses {one['loss']:.0%} at {one['level']} (allowed "
        f"{one['allowed']:.0%})"
        for one in found["losses"]
    ]
    spared = {"review", "alert"} - {one["level"] for one in found["losses"]}
    none = [f"At {level} no edit costs such a label more than that." for level in sorted(spared)]
    blocks.append(Points((*none, *lost)))
    return blocks
