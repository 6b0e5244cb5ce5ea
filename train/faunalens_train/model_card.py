"""The model card: what the model is for, what it was made of, how good it is, where it fails."""

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from faunalens.errors import FileError
from faunalens.labels import load_labels
from faunalens_data.counts import rights_table
from faunalens_data.row import Row
from faunalens_train import run as folder
from faunalens_train.dataset import load_parts
from faunalens_train.evaluation_recall import (
    false_alarm_blocks,
    look_alike_blocks,
    precision_blocks,
    recall_blocks,
    source_blocks,
    threshold_blocks,
)
from faunalens_train.evaluation_report import explain
from faunalens_train.evaluation_trust import (
    abstention_blocks,
    calibration_blocks,
    robustness_blocks,
)
from faunalens_train.pages import Block, Figure, Heading, Points, Text, markdown, table

_WATTS_PER_CORE = 10.0
_GRAMS_PER_KWH = 300.0
_SOURCES = 20

INTENDED = (
    "Sorting photos of online adverts, so that a person looks at the likely ones first: analysts"
    " in bulk, officers one photo at a time, platforms inside their own service.",
    "A lead. What it says is `looks like`, with where in the photo, what the law lists and what to"
    " check next; a person decides.",
)
NOT_INTENDED = (
    "Proof of anything, or a decision without a person: a photo shows neither age, nor origin, nor"
    " captive breeding, nor a certificate, and none of them is judged.",
    "Saying that something is legal: `clear` means that nothing was recognised.",
    "X-ray or CT scans of luggage, camera traps, drawings, video.",
    "Watching people, or anything but what a photo offers for sale.",
)
LIMITS = (
    "No age: new ivory and an antique look alike.",
    "No species of worked ivory: elephant, mammoth, walrus, hippopotamus and sperm whale are not"
    " told apart.",
    "No real against faux tortoiseshell: there was no imitation to learn from.",
    "Ivory was learnt from museum pieces before studio backdrops; pieces that are painted, or ivory"
    " only in part, and worn bone are where it errs most.",
    "Products are judged by their surface: by which patterns of it meet in one place, where the"
    " photo answers at all (`surface.py`). What is blurred or small has little surface left.",
    "`reptile_leather` was learnt from a single shop; nothing is known about any other.",
    "`pangolin_scales` are mostly crops of whole animals, `turtle_shell` mostly crops of live"
    " turtles; loose scales and bare shells are rare in the pictures.",
    "Half of the logit of snakes, lizards, turtles, crocodilians, parrots, big cats, elephants and"
    " primates is the share of ImageNet's own classes of them, which the backbone came with,"
    " among all classes but those of screens and covers (`prior.py`); the evidence map shows the"
    " other half. Pictures of ImageNet in the data set are therefore easier than others.",
    "Rhinos were learnt mostly from small pictures (46 of 61 are at most 320 px): of a large, sharp"
    " photo the second model may say no where the first says yes, and what would have been an alert"
    " becomes a review.",
    "Drawings and renderings that look like photos of live animals, and lifelike plastic ones, are"
    " taken for them.",
    "Probabilities are calibrated for photos of which half were changed on their way into the"
    " advert: turned, blurred, scaled down, written on, made grey, photographed off a screen.",
    "Where alerts and reviews begin, and how much of the first model's fine-tuning is kept, was"
    " chosen with the source folds and the edited test pictures in view: their figures flatter a"
    " little.",
    "Species hints, where the model has them, come from the ImageNet classes of the backbone and"
    " never touch the verdict.",
    "The source-disjoint column is the one to expect on adverts; the other flatters.",
)


def card(evaluation: Mapping[str, Any], runs: Sequence[Path], ablations: Path | None = None) -> str:
    """The card as Markdown.

    Args:
        evaluation: As `evaluation.evaluate` returns it.
        runs: Folders of the models that ship, the first one first.
        ablations: See `read_ablations`.

    Raises:
        RunError: A run is incomplete.
        FileError: The ablation table cannot be read.
    """
    model, spec = evaluation["model"], evaluation["spec"]
    second = spec.get("second")
    blocks: list[Block] = [
        Heading(f"Model card: {model['name']} {model['version']}", 1),
        Text(
            f"Written by `faunalens-train card`. {len(spec['labels'])} labels"
            f" ({', '.join(spec['labels'])}); one photo may show several, or none. Input"
            f" {spec['resize']['size_px']} px"
            + (", and a sharper second model where that leaves doubt" if second else "")
            + f". Licence of the weights: {spec['licence']}. Data set fingerprint"
            f" `{spec['dataset']['fingerprint']}`, code `{spec['commit'][:12]}`"
            + (", with changes" if spec["commit"].endswith("+") else "")
            + "."
        ),
        Heading("Intended use"),
        Points(INTENDED),
        Heading("Not for"),
        Points(NOT_INTENDED),
        Heading("Limits"),
        Points(LIMITS),
        *_training(runs),
        Heading("Figures"),
        *explain(evaluation),
        *recall_blocks(evaluation),
        *threshold_blocks(evaluation),
        *false_alarm_blocks(evaluation),
        *look_alike_blocks(evaluation),
        *source_blocks(evaluation),
        *precision_blocks(evaluation),
        *calibration_blocks(evaluation),
        *abstention_blocks(evaluation),
        *robustness_blocks(evaluation),
        *mistake_blocks(evaluation),
        *_keyed(evaluation),
        *(_ablations(read_ablations(ablations)) if ablations else []),
    ]
    # The card travels inside the package, plots do not; the evaluation's own page has them.
    return markdown(block for block in blocks if not isinstance(block, Figure))


def read_ablations(path: Path) -> list[dict[str, Any]]:
    """What was tried: `[[tried]]` tables with `what`, `kept`, `note` and any other columns.

    Raises:
        FileError: Unreadable, not TOML, or a table without `what` or `kept`.
    """
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise FileError(f"cannot read ablations from {path}: {error}") from error
    tried = raw.get("tried", [])
    if not isinstance(tried, list) or not all(isinstance(one, dict) for one in tried):
        raise FileError(f"{path}: expected [[tried]] tables")
    for number, one in enumerate(tried, 1):
        if not isinstance(one.get("what"), str) or not isinstance(one.get("kept"), bool):
            raise FileError(
                f'{path}: [[tried]] number {number} needs what = "..." and kept = true or false'
            )
    return tried


def mistake_blocks(evaluation: Mapping[str, Any]) -> list[Block]:
    """Failures, described in the words of the pictures' sources."""
    blocks: list[Block] = [
        Heading("Mistakes, described"),
        Text(
            "The surest false alerts, and the pictures missed by most, as their sources name them."
        ),
    ]
    for title, own in evaluation["columns"].items():
        found = own["mistakes"]
        lines = [
            ["false alert", one["label"], f"{one['probability']:.2f}", one["kind"], one["note"]]
            for one in found["false_alerts"]
        ]
        lines += [
            ["missed", one["label"], f"{one['probability']:.2f}", one["kind"], one["note"]]
            for one in found["missed"]
        ]
        head = [title, "label", "probability", "kind of negative or of photo", "what it shows"]
        blocks.append(table(head, lines))
    return blocks


def _training(runs: Sequence[Path]) -> list[Block]:
    blocks: list[Block] = [Heading("Training")]
    lines = []
    rows: list[Row] = []
    for run in runs:
        config = folder.load_config_of(run)
        facts = folder.read_json(run / folder.PROVENANCE)
        minutes = _minutes(run)
        parts = load_parts(config.data, load_labels().ids, facts["held_out"])
        rows = parts.train
        cores = float(facts["machine"].rpartition(", ")[2].split()[0])
        kwh = minutes / 60 * cores * _WATTS_PER_CORE / 1000
        lines.append(
            [
                config.name,
                f"{config.net.backbone}, {config.net.size_px} px",
                *(len(part) for part in (parts.train, parts.val, parts.test)),
                config.fit.epochs,
                f"{minutes:.0f} minutes on {facts['machine']}",
                f"{kwh:.3f} kWh, {kwh * _GRAMS_PER_KWH:.0f} g",
            ]
        )
    head = ["run", "network", "training pictures", "validation", "test", "epochs", "time",
            "energy, CO2"]  # fmt: skip
    blocks += [
        table(head, lines),
        Text(
            "Time is wall-clock on a shared machine, of all parts of a resumed run, without the"
            " making of cached views. Energy is reckoned, not measured: 10 W a core and 300 g of"
            " CO2 a kWh."
        ),
        Text("Pictures trained on, by what they show and by rights class:"),
        table(*rights_table(rows)),
    ]
    sources = Counter(row.source for row in rows)
    rights: dict[str, set[str]] = {}
    for row in rows:
        rights.setdefault(row.source, set()).add(row.rights)
    top = sources.most_common(_SOURCES)
    rest = sum(sources.values()) - sum(count for _, count in top)
    blocks.append(
        table(
            ["source", "training pictures", "rights"],
            [
                *([name, count, ", ".join(sorted(rights[name]))] for name, count in top),
                *([[f"{len(sources) - len(top)} others", rest, ""]] if rest else []),
            ],
        )
    )
    return blocks


def _minutes(run: Path) -> float:
    """Time of a run: its clock starts anew at each resumption, so the parts are added up."""
    clock = [line["seconds"] for line in folder.read_history(run / folder.HISTORY)]
    clock.append(60 * float(folder.read_json(run / folder.METRICS)["minutes"]))
    ends = [now for now, after in zip(clock, [*clock[1:], 0.0], strict=True) if after < now]
    return sum(ends) / 60


def _keyed(evaluation: Mapping[str, Any]) -> list[Block]:
    found = evaluation.get("keyed_on")
    if not found:
        return []
    lines = [
        [label, one["pictures"], *(f"{one[key]:.0%}" for key in ("object", "evidence", "peak"))]
        for label, one in found.items()
    ]
    head = ["", "pictures", "object fills", "of the evidence on it", "strongest cell on it"]
    return [
        Heading("What it keys on"),
        Text(
            "On test pictures before a plain backdrop the object was cut out: how much of the photo"
            " it fills, and how much of the positive evidence for the label lies on it. Equal"
            " shares would mean that the evidence does not care where the object is."
        ),
        table(head, lines),
    ]


def _ablations(tried: Sequence[Mapping[str, Any]]) -> list[Block]:
    if not tried:
        return []
    columns = dict.fromkeys(
        key for one in tried for key in one if key not in ("what", "kept", "note")
    )
    lines = [
        [
            one["what"],
            *(one.get(key) for key in columns),
            "yes" if one["kept"] else "no",
            one.get("note"),
        ]
        for one in tried
    ]
    return [Heading("What was tried"), table(["", *columns, "kept", "note"], lines)]
