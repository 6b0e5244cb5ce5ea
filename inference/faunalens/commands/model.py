"""`faunalens model`: what the model file says of itself."""

import json
from pathlib import Path

import click

from faunalens.decide import Look, policy
from faunalens.labels import load_labels
from faunalens.model import Model


@click.command()
@click.option(
    "--model",
    "model_path",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Another model file than the one that ships.",
)
@click.option("--json", "as_json", is_flag=True, help="The metadata as stored, as JSON.")
def model(model_path: Path | None, as_json: bool) -> None:
    """Show name, input, labels with thresholds, and where the model comes from."""
    loaded = Model(model_path)
    spec = loaded.spec
    if as_json:
        click.echo(json.dumps(json.loads(spec.to_json()), indent=1, ensure_ascii=False))
        return
    side = spec.resize.size_px
    padding = "stretched" if spec.resize.padding == "none" else "padded with grey"
    height, width = loaded.evidence_shape
    facts = {
        "model": f"{spec.name} {spec.version} ({spec.licence})",
        "file": f"{loaded.path} ({loaded.path.stat().st_size / 1e6:.1f} MB)",
        "sha256": loaded.identity["sha256"],
        "input": f"image uint8 [N, {side}, {side}, 3] RGB; {spec.resize.library} "
        f"{spec.resize.filter}, {padding}",
        "evidence": f"{height} x {width} cells per label",
        "trained on": ", ".join(f"{key} {value}" for key, value in spec.dataset.items()),
        "code": spec.commit,
    }
    if spec.second is not None:
        joined = dict.fromkeys(zip(*spec.second.weights, strict=True))
        facts["second"] = (
            f"{spec.second.file}, asked where this one is in doubt; logits joined "
            + " or ".join(f"{first:.2f} to {second:.2f}" for first, second in joined)
        )
    if spec.taxa:
        facts["hints"] = f"{len(spec.taxa)} listed taxa"
    for key, value in facts.items():
        click.echo(f"{key:<11} {value}")
    rules = policy(spec)
    names = {label.id: label.names["en"] for label in load_labels().labels}
    click.echo(f"\n{'label':<18} {'family':<18} {'alert':>8} {'review':>8}  name")
    for label in spec.labels:
        limits = rules.thresholds[label]
        click.echo(
            f"{label:<18} {spec.family_of(label):<18} {limits.alert.probability:>8.3f} "
            f"{limits.review.probability:>8.3f}  {names.get(label, '')}"
        )
    if rules.look is not Look.FIRST:
        click.echo(
            "\nThese are the thresholds of both models together; --json has those of one alone."
        )
    rates = {(t.alert.fpr, t.review.fpr) for t in rules.thresholds.values()}
    for alert, review in sorted(rates):
        click.echo(
            f"\nThresholds were chosen for false-positive rates of {alert:.2%} (alert) and "
            f"{review:.2%} (review) per label."
        )
