"""`faunalens export-kit`: everything a platform needs to run the model without this package."""

from pathlib import Path

import click

from faunalens.kit.export import export_kit as write
from faunalens.model import Model, shipped_models


@click.command("export-kit")
@click.argument("out", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--model",
    "model_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another model file than those that ship.",
)
def export_kit(out: Path, model_path: Path | None) -> None:
    """Write model files, contract, schema, golden vectors, licence and checksums to DIR.

    DIR must be empty or new. Needs the extra: pip install 'faunalens[kit]'.
    """
    paths = shipped_models() if model_path is None else [model_path]
    write(out, [Model(path) for path in paths], report=lambda line: click.echo(line, err=True))
    click.echo(f"{out}: start with {out / 'EMBEDDING.md'}")
