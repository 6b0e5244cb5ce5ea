"""An evaluation as blocks of a report; the model card takes its tables from here too."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from faunalens_data.table import aligned
from faunalens_train import charts
from faunalens_train.metrics import PREVALENCES, RARE_RATE, RATES
from faunalens_train.pages import Block, Figure, Heading, Points, Table, Text, table
from faunalens_train.robustness import ALLOWED, ALLOWED_COLLAGE, MANY

Evaluation = Mapping[str, Any]

_COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7)


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
                    _of(own, name).get("pictures", ""),
                    *(_spread(_of(own, name), key) for key in keys),
                    _number(_of(own, name).get("alert")),
                )
            ),
        ]
        for name in _names(evaluation)
    ]
    heads = [h for title in columns for h in (title, *(f"at {_rate(r)}" for r in RATES), "alert")]
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
        f"{title}: {meaning[title]}; {own.get('models', 'as shipped')}{_folds(own)}."
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


def recall_blocks(evaluation: Evaluation) -> list[Block]:
    """Recall, AUROC and average precision per label and family, one table per rate."""
    columns = evaluation["columns"]
    blocks: list[Block] = [Heading("Recall")]
    for rate in (*RATES, RARE_RATE):
        key = f"recall@{rate:g}"
        lines = [
            [name, *(part for own in columns.values() for part in _recall(_of(own, name), key))]
            for name in _names(evaluation)
        ]
        if any(cell for line in lines for cell in line[2::2]):
            heads = [word for title in columns for word in ("pictures", f"{title}, {_rate(rate)}")]
            blocks.append(table(["", *heads], lines))
    lines = [
        [
            name,
            *(
                cell
                for own in columns.values()
                for cell in (
                    _spread(_of(own, name), "auroc", 3),
                    _number(_of(own, name).get("average_precision"), 3),
                )
            ),
        ]
        for name in _names(evaluation)
    ]
    heads = [word for title in columns for word in (f"{title}, AUROC", "average precision")]
    blocks.append(table(["", *heads], lines))
    for rate in RATES:
        picture = charts.recall_plot(
            f"Recall at {_rate(rate)} false positives",
            _labels(evaluation),
            {title: own["labels"] for title, own in columns.items()},
            f"recall@{rate:g}",
        )
        name = f"recall_{rate:g}.png"
        blocks.append(Figure(name, picture, f"Recall at {_rate(rate)} false positives"))
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
                _spread(figures, "alert"),
                *(_number(figures[key]) for key in ("review", "any_alert", "any_review")),
                f"{figures['false_alert']:.2%}",
            ]
            for name in _names(evaluation)
            if (figures := _of(own, name))
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
            _spread(one, "auroc", 3),
            _spread(one, "recall@0.01"),
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
            _spread(one, "recall@0.01"),
            _spread(one, "recall@0.001"),
            _spread(one, "auroc", 3),
            _number(one["alert"]),
            _spread(one, "auroc_look_alikes", 3),
            _spread(one, "auroc_own_look_alikes", 3),
        ]
        for label, sources in own["by_source"].items()
        for source, one in sources.items()
    ]
    return [
        Heading("Each big source, held out"),
        Text(
            "Sources with 30 pictures of a label or more, each judged by a model that saw none of"
            " it. The last two columns set ivory, shell and scales against look-alikes of the same"
            " fold, and against those of the very source, whose backdrop and light they share."
        ),
        table(
            ["label, source", "pictures", "recall at 1 %", "at 0.1 %", "AUROC", "alert",
             "AUROC, look-alikes", "AUROC, look-alikes of the source"],
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
            head += [f"FPR {_rate(rate)}, 1 in {round(1 / share):,}" for share in PREVALENCES]
        for name in _names(evaluation):
            figures = _of(own, name)
            cells = [
                f"{figures[key][share]:.1%}" if (key := f"precision@{rate:g}") in figures else ""
                for rate in (*RATES, RARE_RATE)
                for share in shares
            ]
            if figures:
                lines.append([name, *cells])
        blocks.append(_without_empty(table(head, lines)))
    return blocks


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
                _number(_of(own, name).get(key), 4)
                for own in columns.values()
                for key in ("ece", "brier")
            ),
        ]
        for name in _names(evaluation)
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
            *(f"{_risk_at(curve, share):.2%}" for share in _COVERAGES),
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
            f" Held against it: a loss at review of more than {ALLOWED:.0%} (collage"
            f" {ALLOWED_COLLAGE:.0%}) for a label with {MANY} pictures in the data set"
            f" ({', '.join(x for x in labels if found['counts'].get(x, 0) >= MANY)})."
        ),
    ]
    for level in ("review", "alert"):
        lines = [
            [name, *(_number(own[label][level]) for label in labels)]
            for name, own in found["edits"].items()
        ]
        counts = ["pictures", *(found["pictures"][label] for label in labels)]
        blocks.append(table([level, *labels], [counts, *lines]))
    lost = [
        f"{one['edit']}: {one['label']} loses {one['loss']:.0%} (allowed {one['allowed']:.0%})"
        for one in found["losses"]
    ]
    blocks.append(Points(tuple(lost or ["No edit costs such a label more than that."])))
    return blocks


def _folds(own: Mapping[str, Any]) -> str:
    return f" ({', '.join(own['folds'])})" if "folds" in own else ""


def _names(evaluation: Evaluation) -> list[str]:
    families = dict.fromkeys(f for own in evaluation["columns"].values() for f in own["families"])
    return [*_labels(evaluation), *families]


def _labels(evaluation: Evaluation) -> list[str]:
    columns = evaluation["columns"].values()
    return [x for x in evaluation["spec"]["labels"] if any(x in own["labels"] for own in columns)]


def _of(own: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Figures of a label or family; empty if there are none."""
    figures: Mapping[str, Any] = own["labels"].get(name) or own["families"].get(name) or {}
    return figures


def _recall(figures: Mapping[str, Any], key: str) -> tuple[object, str]:
    return figures.get("pictures"), _spread(figures, key)


def _spread(figures: Mapping[str, Any], key: str, digits: int = 2) -> str:
    if key not in figures:
        return ""
    low, high = figures[f"{key}_95"]
    return f"{figures[key]:.{digits}f} ({low:.{digits}f}-{high:.{digits}f})"


def _number(value: float | None, digits: int = 2) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _rate(rate: float) -> str:
    return f"{100 * rate:g} %"


def _risk_at(curve: Mapping[str, Sequence[float]], share: float) -> float:
    return next(
        (r for c, r in zip(curve["coverage"], curve["risk"], strict=True) if c >= share - 1e-9),
        curve["risk"][-1],
    )


def _without_empty(whole: Table) -> Table:
    """The table without columns that say nothing."""
    kept = [j for j in range(len(whole.head)) if any(line[j] for line in whole.lines)]

    def pick(cells: Iterable[str]) -> tuple[str, ...]:
        every = tuple(cells)
        return tuple(every[j] for j in kept)

    return Table(pick(whole.head), tuple(map(pick, whole.lines)))
