"""A whole evaluation: one run or model file, with its cross-validation, as JSON and as pages."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_data.files import write_bytes, write_text
from faunalens_train import run as folder
from faunalens_train.evaluate import product_labels
from faunalens_train.evaluation_report import report
from faunalens_train.figures import column
from faunalens_train.judged import score_photos
from faunalens_train.keyed import keyed_on
from faunalens_train.pages import figures, markdown, page
from faunalens_train.robustness import robustness
from faunalens_train.scored import (
    Scored,
    TestSet,
    fold_runs,
    score_run,
    spec_facts,
    test_set,
)

EVALUATION, MARKDOWN, PAGE = "evaluation.json", "evaluation.md", "evaluation.html"
SCHEMA = 1

KNOWN_SOURCES, KNOWN_OBJECTS, NEW_SOURCES = "in-distribution", "group folds", "source-disjoint"
"""Titles of the columns: the test part, folds by group, folds by source."""


def evaluate(
    run: Path,
    folds: Sequence[Path] = (),
    *,
    second: Path | None = None,
    second_folds: Sequence[Path] = (),
    classifier: Classifier | None = None,
    edits: bool = False,
) -> dict[str, Any]:
    """All figures of a run.

    Args:
        run: Folder made by `fit`, or by `crossval` (whose folds are then the only column).
        folds: Folders made by `crossval` with the run's recipe.
        second: The same for the sharper model that is asked where the first is in doubt.
        second_folds: Likewise; those by group go with `folds` by group, and so on.
        classifier: Judges the photos of the test part, from file to verdict; the runs' own logits
            and thresholds are used if None.
        edits: Also measure `robustness`, which needs a classifier.

    Returns:
        `model`, `judged_by`, `columns` (title to `figures.column`), `spec`.

    Raises:
        RunError: A folder is incomplete, its manifest has changed since, or folders do not fit.
    """
    out: dict[str, Any] = {"schema": SCHEMA}
    columns: dict[str, Any] = {}
    seconds = _by_title(second_folds)
    if any(run.glob("fold*")):
        folds = (run, *folds)
        _, spec = score_run(fold_runs(run)[0])
        out["judged_by"] = "each fold's own model"
    elif classifier is None:
        scored, spec = score_run(run, second=second)
        columns[_title(test_set(run))] = column(scored)
        out["judged_by"] = "the run's logits" if second is None else "the logits of both runs"
    else:
        test, spec = test_set(run), classifier.model.spec
        columns[_title(test)] = column(score_photos(classifier, test))
        out["judged_by"] = "the product itself, photo by photo"
        out["file"] = classifier.model.identity
        out["keyed_on"] = keyed_on(classifier, test, product_labels())
        if edits:
            counts = Counter(label for row in test.every for label in row.labels)
            out["robustness"] = robustness(classifier, test, counts)
    for title, runs in _by_title(folds).items():
        if title in columns:
            raise folder.RunError(f"{title}: RUN and --folds hold out the same; name each once")
        sharper = seconds.pop(title, {})
        if sharper and set(sharper) != set(runs):
            odd = ", ".join(sorted(set(sharper) ^ set(runs)))
            raise folder.RunError(f"only one of the two models has {odd}; name the folds of both")
        pooled = [score_run(one, second=sharper.get(key))[0] for key, one in runs.items()]
        columns[title] = column(Scored.pooled(pooled))
        columns[title]["models"] = "both models" if sharper else "one model"
        columns[title]["folds"] = list(runs)
    if seconds:
        raise folder.RunError(
            f"there are {', '.join(seconds)} of the second model, but no such of the first"
        )
    out["model"] = {"name": spec.name, "version": spec.version}
    out["columns"] = columns
    out["spec"] = spec_facts(spec)
    return out


def classifier_of(model: str) -> Classifier:
    """The product with the model file `model`; `shipped` means the one inside the package."""
    import torch

    path = None if model == "shipped" else Path(model)
    return Classifier(Model(path, threads=torch.get_num_threads()))


def write(evaluation: dict[str, Any], out: Path) -> list[Path]:
    """Write the figures as JSON, as Markdown with its plots, and as one HTML page."""
    out.mkdir(parents=True, exist_ok=True)
    blocks = report(evaluation)
    folder.write_json(out / EVALUATION, evaluation)
    for name, png in figures(blocks).items():
        write_bytes(out / name, png)
    write_text(out / MARKDOWN, markdown(blocks))
    write_text(out / PAGE, page(blocks))
    return [out / EVALUATION, out / MARKDOWN, out / PAGE]


def read(path: Path) -> dict[str, Any]:
    """An evaluation as `write` left it.

    Args:
        path: The folder or its JSON file.

    Raises:
        RunError: It is no evaluation, or one of another version.
    """
    path = path / EVALUATION if path.is_dir() else path
    evaluation = folder.read_json(path)
    if not isinstance(evaluation, dict) or evaluation.get("schema") != SCHEMA:
        raise folder.RunError(
            f"{path} is no evaluation of schema {SCHEMA}; run `faunalens-train evaluate` again"
        )
    return evaluation


def _by_title(folds: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """Title of a column to its runs, by what they held out."""
    columns: dict[str, dict[str, Path]] = {}
    for run in (run for path in folds for run in fold_runs(path)):
        test = test_set(run)
        own = columns.setdefault(_title(test), {})
        if test.held_out in own:
            raise folder.RunError(f"{own[test.held_out]} and {run} both hold out {test.held_out}")
        own[test.held_out] = run
    return columns


def _title(test: TestSet) -> str:
    scheme = test.held_out.partition(":")[0]
    return {"part": KNOWN_SOURCES, "group_fold": KNOWN_OBJECTS}.get(scheme, NEW_SOURCES)
