"""`faunalens bench`: how fast this machine is, and which setting suits it."""

import json
from pathlib import Path

import click
from tqdm import tqdm

from faunalens.bench import PHOTO, steps
from faunalens.bench import bench as measure


@click.command()
@click.option(
    "--model",
    "model_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another model file than the one that ships.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0.01, 60),
    default=1.5,
    show_default=True,
    help="For each measurement.",
)
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def bench(model_path: Path | None, seconds: float, as_json: bool) -> None:
    """Measure decode, preprocess, network and the whole on this machine, in about a minute.

    Stop other work first: what else runs makes all of it slower.
    """
    with tqdm(total=steps(), desc="measuring", unit="step", leave=False, disable=None) as bar:
        found = measure(model_path, seconds=seconds, step=bar.update)
    if as_json:
        click.echo(json.dumps(found.to_dict(), indent=1))
        return
    click.echo(f"{found.cpu}, {found.cores} core(s) for this process")
    click.echo(f"features    {' '.join(found.features) or 'unknown'}")
    click.echo(f"model       {found.model['name']} {found.model['version']}, photo {PHOTO}")
    click.echo(f"\n{'step':<12} {'threads':>7} {'batch':>6} {'ms/photo':>9} {'photos/s':>9}")
    for row in found.rows:
        click.echo(
            f"{row.step:<12} {row.threads:>7} {row.batch:>6} {row.ms:>9.2f} {1000 / row.ms:>9.1f}"
        )
    click.echo("\nrecommended")
    for line in found.advice():
        click.echo(f"  {line}")
