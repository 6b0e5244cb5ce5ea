"""EMBEDDING.md: the contract of a model file, written from the file and what was measured of it."""

from collections.abc import Mapping
from importlib import resources
from string import Template
from typing import Any

from faunalens.kit.any_size import SUFFIX
from faunalens.kit.figures import figures_of, precision
from faunalens.model import Model
from faunalens.onnx_file import opset_of

PREVALENCES = (0.01, 0.001, 0.0001)
"""Shares of photos that show a label, for which precision is given."""

_UNMEASURED = (
    "Nothing was measured of this very file yet; `faunalens-train operating-points RECIPE` does it."
)
_TABLE_HEAD = """\
Measured on {negatives} photos that show nothing protected, and the positives given ({pictures}).
Photos from sources the model has not seen are harder: the README says how much.

In brackets 95 % intervals (Clopper and Pearson). Precision is that of a label's hits if one photo
in 100, 1,000 or 10,000 shows it; in brackets what the upper end of the false-positive rate leaves
of it. With so few negatives a rate of 0 only means: below {upper:.2%}.
"""
_TABLE_FOOT = """
More points are in `figures.json`. `alert` and `review` are the file's own thresholds, chosen on
other pictures; `fpr 0.01` is where 1 % of these negatives pass, chosen on these.
"""
_WAYS = {"any_size": "the any-size variant instead of Pillow's resize"}


def embedding_document(model: Model) -> str:
    """The document, in Markdown."""
    spec = model.spec
    figures = figures_of(model.identity["sha256"])
    template = resources.files("faunalens.kit") / "EMBEDDING.template.md"
    content = model.path.read_bytes()
    cells, _ = model.evidence_shape
    return Template(template.read_text(encoding="utf-8")).substitute(
        file=model.path.name,
        any_size_file=model.path.stem + SUFFIX,
        name=spec.name,
        version=spec.version,
        megabytes=f"{len(content) / 1e6:.1f}",
        sha256=model.identity["sha256"],
        side=spec.resize.size_px,
        count=len(spec.labels),
        width=model.embedding_width,
        cells=cells,
        opset=opset_of(content),
        labels=", ".join(f"`{label}`" for label in spec.labels),
        resize=f"Pillow `{spec.resize.filter}`, "
        + ("aspect ratio not kept" if spec.resize.padding == "none" else "aspect ratio kept"),
        resize_note=(
            f"`image.resize(({spec.resize.size_px}, {spec.resize.size_px}), "
            f"Image.Resampling.{spec.resize.filter.upper()})`: the whole photo is stretched."
            if spec.resize.padding == "none"
            else "The longer side fills the square; the photo is centred on grey 127."
        ),
        differences=_differences(figures),
        optional=_optional(model),
        novelty=" From `novelty.threshold` on, an alert becomes a review." if spec.novelty else "",
        second=_second(model),
        table=_table(model, figures),
        licence=spec.licence,
    )


def _optional(model: Model) -> str:
    rows = ""
    if model.spec.taxa:
        count = len(model.spec.taxa)
        rows += f"\n| output | `taxon` | float32 `[N, {count}]` | chance of each of `taxa` |"
    if model.spec.novelty:
        rows += "\n| output | `novelty` | float32 `[N]` | how unlike the training photos |"
    return rows


def _second(model: Model) -> str:
    second = model.spec.second
    if second is None:
        return ""
    return f"""
`second` names a sharper file, **{second.file}**, under the same contract. Where the first model's
probability of a label reaches `doubt`, run it too: joint logit = `weights[0][label]` * first +
`weights[1][label]` * second + `offset[label]`, and judge by the thresholds in `second`. The table
below, and the golden vectors, are of each file alone.

The Python package also cuts a picture that is a sheet of several photos at its seams, judges each
of them too, and takes the highest probability of each label. Sheets are common in adverts, and a
file alone misses half of what they show: port `faunalens/sheet.py` (150 lines that need numpy), or
call `Classifier(sheets=False)` to compare.
"""


def _differences(figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return _UNMEASURED
    lines = [
        f"How far a probability moves, largest label of each photo ({figures['pictures']}):",
        "",
        "| way | photos | mean | 99 % of photos below | largest | other verdict |",
        "|---|---|---|---|---|---|",
    ]
    for way, title in _WAYS.items():
        one = figures["differences"][way]
        lines.append(
            f"| {title} | {one['pictures']} | {one['mean']:.4f} | {one['p99']:.4f} | "
            f"{one['max']:.4f} | {one['verdicts']} |"
        )
    return "\n".join(lines)


def _table(model: Model, figures: Mapping[str, Any] | None) -> str:
    if figures is None:
        return _UNMEASURED + "\n"
    heads = "".join(f" | precision at {share:.4g} %" for share in (100 * p for p in PREVALENCES))
    lines = [
        _TABLE_HEAD.format(upper=_upper(figures), **figures),
        f"| label | positives | point | threshold | recall | false positives{heads} |",
        "|---|---|---|---|---|---" + "|---" * len(PREVALENCES) + "|",
    ]
    for label, one in figures["labels"].items():
        for name, point in one["points"].items():
            if name in ("alert", "review", "fpr 0.01") and one["positives"]:
                lines.append(_row(label, one["positives"], name, point))
    lines.append(_TABLE_FOOT)
    return "\n".join(lines)


def _row(label: str, positives: int, name: str, point: Mapping[str, Any]) -> str:
    low, high = point["recall_95"]
    cells = [
        label,
        str(positives),
        name,
        f"{point['threshold']:.4g}",
        f"{point['recall']:.2f} ({low:.2f}-{high:.2f})",
        f"{point['fpr']:.2%} (to {point['fpr_95'][1]:.2%})",
    ]
    for prevalence in PREVALENCES:
        found = precision(point["recall"], point["fpr"], prevalence)
        least = precision(point["recall"], point["fpr_95"][1], prevalence)
        cells.append(f"{found:.2f} ({least:.2f})" if point["recall"] else "-")
    return "| " + " | ".join(cells) + " |"


def _upper(figures: Mapping[str, Any]) -> float:
    """Upper end of the interval of no false positive among the negatives."""
    return float(1 - 0.025 ** (1 / figures["negatives"]))
