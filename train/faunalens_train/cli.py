"""`faunalens-train`: fit, crossval, evaluate, export."""

from pathlib import Path
from typing import Any

import click

from faunalens.cli import ErrorGroup

_FOLDER = click.Path(file_okay=False, path_type=Path)
_RUN = click.Path(exists=True, file_okay=False, path_type=Path)
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group(cls=ErrorGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="faunalens", message="faunalens-train %(version)s")
def main() -> None:
    """Train models: fit one, cross-validate a recipe, export to ONNX."""


@main.command()
@click.argument("config", type=_FILE)
@click.option("--out", type=_FOLDER, required=True, help="The run folder.")
@click.option(
    "--held-out",
    default="part",
    show_default=True,
    help="Test set: part, group_fold:K or source_fold:K of the splits file.",
)
@click.option("--resume", is_flag=True, help="Go on after the last whole epoch.")
@click.option("--device", help="A torch device; the GPU if there is one.")
@click.option("--cache", type=_FOLDER, help="Folder for cached views; inside --out if not given.")
def fit(
    config: Path, out: Path, held_out: str, resume: bool, device: str | None, cache: Path | None
) -> None:
    """Train a model from the TOML file CONFIG."""
    from faunalens_train.fit import fit as fit_model
    from faunalens_train.recipe import load_config

    metrics = fit_model(
        load_config(config), out, held_out=held_out, resume=resume, device=device, cache=cache
    )
    _show(metrics)


@main.command()
@click.argument("config", type=_FILE)
@click.option("--out", type=_FOLDER, required=True, help="Folder for the folds' runs.")
@click.option(
    "--by",
    type=click.Choice(["source", "group"]),
    default="source",
    show_default=True,
    help="source: no source in both training and test; group: no object in both.",
)
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--cache", type=_FOLDER, help="Folder for cached views; inside --out if not given.")
def crossval(config: Path, out: Path, by: str, jobs: int, cache: Path | None) -> None:
    """Train CONFIG once per fold and pool the figures."""
    from faunalens_train.crossval import crossval as run
    from faunalens_train.recipe import load_config

    def report(line: str) -> None:
        click.echo(line, err=True)

    _show(run(load_config(config), out, by=by, jobs=jobs, cache=cache, report=report))


@main.command()
@click.argument("run", type=_RUN)
@click.option(
    "--folds",
    type=_RUN,
    multiple=True,
    help="Folder of crossval with the same recipe, by group or by source; may be given twice.",
)
@click.option(
    "--model",
    help="Judge the test photos with this ONNX file as the product does, from file to verdict; "
    "`shipped` is the one in the package.  [default: the run's own logits]",
)
@click.option("--second", type=_RUN, help="Run of the sharper model that RUN asks in doubt.")
@click.option(
    "--second-folds", type=_RUN, multiple=True, help="Its folders of crossval, as for --folds."
)
@click.option(
    "--robustness",
    is_flag=True,
    help="Also edit the positives of the test part (JPEG, screenshot, collage, ...) and measure "
    "what that costs; --model is `shipped` if not given.",
)
@click.option("--out", type=_FOLDER, help="Folder to write to.  [default: RUN/evaluation]")
def evaluate(
    run: Path,
    folds: tuple[Path, ...],
    model: str | None,
    second: Path | None,
    second_folds: tuple[Path, ...],
    robustness: bool,
    out: Path | None,
) -> None:
    """Every figure of a RUN folder (of fit or crossval), as JSON, Markdown and a page with plots.

    Written over what an earlier evaluation left there.
    """
    from faunalens_train import evaluation
    from faunalens_train.evaluation_report import summary

    if robustness:
        model = model or "shipped"
    found = evaluation.evaluate(
        run,
        folds,
        second=second,
        second_folds=second_folds,
        classifier=None if model is None else evaluation.classifier_of(model),
        edits=robustness,
    )
    written = evaluation.write(found, out or run / "evaluation")
    click.echo(summary(found))
    for path in written:
        click.echo(f"wrote {path}", err=True)


@main.command()
@click.argument("run", type=_RUN)
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), required=True, help="The ONNX file."
)
@click.option(
    "--second",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Run folder of a sharper model, written beside --out and asked where RUN's is in doubt.",
)
def export(run: Path, out: Path, second: Path | None) -> None:
    """Write the ONNX file of a RUN folder; no file is left unless it agrees with torch."""
    from faunalens_train.export import export as write
    from faunalens_train.pair import SECOND_FILE, export_pair

    if second is None:
        written = {out: write(run, out)}
    else:
        beside = out.with_name(SECOND_FILE.format(stem=out.stem))
        written = dict(zip((out, beside), export_pair(run, second, out), strict=True))
    for path, parity in written.items():
        click.echo(
            f"{path}: {path.stat().st_size / 1e6:.1f} MB; on {parity.pictures} pictures "
            f"probabilities differ by at most {parity.difference:.1e} from torch, "
            f"{parity.verdicts} verdicts differ"
        )


@main.command()
@click.argument("run", type=_RUN)
def taxa(run: Path) -> None:
    """Give a finished RUN a head for species hints, which `export` takes up.

    Distilled from the backbone as it was before training; some minutes, most of them for features
    that stay in RUN.
    """
    from faunalens_train.taxa import fit_taxa, table

    click.echo(table(fit_taxa(run)))


@main.command()
@click.argument("run", type=_RUN)
def novelty(run: Path) -> None:
    """Give a finished RUN a score for photos unlike any it learnt from, which `export` takes up."""
    from faunalens_train.novelty import fit_novelty, table

    click.echo(table(fit_novelty(run)))


@main.command("operating-points")
@click.argument("config", type=_FILE)
@click.option("--model", type=_FILE, help="Another model file than the one that ships.")
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Another file.")
def operating_points(config: Path, model: Path | None, out: Path | None) -> None:
    """Measure the shipped model on the test pictures of CONFIG, for the embedding kit."""
    from faunalens_train.operating import write_figures
    from faunalens_train.recipe import load_config

    click.echo(write_figures(load_config(config), model, out))


@main.command()
@click.argument("run", type=_RUN)
@click.option("--second", type=_RUN, help="Run of the sharper model that ships with it.")
@click.option(
    "--evaluation",
    "figures",
    type=_RUN,
    help="Folder written by evaluate.  [default: RUN/evaluation]",
)
@click.option(
    "--ablations", type=_FILE, help="TOML file of [[tried]] tables: what, kept, note, ..."
)
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    required=True,
    help="The Markdown file.",
)
def card(
    run: Path, second: Path | None, figures: Path | None, ablations: Path | None, out: Path
) -> None:
    """Write the model card of a RUN folder that has been evaluated."""
    from faunalens_data.files import write_text
    from faunalens_train.evaluation import read
    from faunalens_train.model_card import card as text_of

    runs = [run] if second is None else [run, second]
    write_text(out, text_of(read(figures or run / "evaluation"), runs, ablations))
    click.echo(out)


@main.command()
@click.argument("folds", type=_RUN)
@click.option("--out", type=_FOLDER, help="Folder to write to.  [default: FOLDS/suspects]")
@click.option(
    "--least",
    type=click.IntRange(min=0),
    default=128,
    show_default=True,
    help="Show so many at least, also if fewer are flagged.",
)
def suspects(folds: Path, out: Path | None, least: int) -> None:
    """List pictures whose label the model of another fold contradicts.

    FOLDS is a folder of crossval by group. What a look at the sheets proves wrong goes into an
    override file (see `faunalens-data`); the sheets show the data set's pictures: never publish.
    """
    from faunalens_train.suspects import find_suspects, write_suspects

    found, images = find_suspects(folds, least)
    written = write_suspects(found, images, out or folds / "suspects")
    click.echo(f"{sum(one.flagged for one in found)} pictures flagged, {len(found)} shown")
    for path in written:
        click.echo(f"wrote {path}", err=True)


def _show(metrics: dict[str, Any]) -> None:
    from faunalens.labels import load_labels
    from faunalens_train.evaluate import table

    columns = {"this model": metrics["test"], "linear probe": metrics["probe"]}
    click.echo(table(columns, load_labels().ids))
    if "false_alarms" not in metrics:
        return
    click.echo("\nfalse alarms at the thresholds, by kind of negative")
    for kind, one in metrics["false_alarms"].items():
        click.echo(
            f"{kind:<14} {one['pictures']:>5} pictures  alert {one['alerts']:>3} "
            f"({one['alert_rate']:.2%})  review {one['reviews']:>3} ({one['review_rate']:.2%})"
        )
    click.echo("\nrecall at the thresholds")
    for label, one in metrics["at_thresholds"].items():
        click.echo(f"{label:<18} alert {one['alert']:.3f}  review {one['review']:.3f}")
    click.echo(f"\nexpected calibration error: {metrics['ece']:.4f}")
