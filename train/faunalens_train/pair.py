"""Two runs to the two files that ship: the fast first model and the sharper one it asks."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
import onnx

from faunalens.labels import load_labels
from faunalens.limits import SecondModel
from faunalens.model import Model
from faunalens.spec import METADATA_KEY, ModelSpec
from faunalens_train import run as folder
from faunalens_train.calibrate import Floats, advert_weights
from faunalens_train.config import TrainConfig
from faunalens_train.dataset import Parts, load_parts, targets
from faunalens_train.evaluate import (
    edited_logits,
    family_members,
    finished_spec,
    logits_for,
    product_labels,
)
from faunalens_train.export import Parity, export
from faunalens_train.joint import fit_joint, joint_scores, zoom_penalty

SECOND_FILE = "{stem}-sharp.onnx"


@dataclass(frozen=True)
class Pair:
    """Two runs with the same pictures in the same parts.

    Attributes:
        parts: Of both.
        wanted: Part to targets `(N, L)`.
        first, second: Part (`val`, `test`) to calibrated probabilities `(N, L)`.
        joint: Fitted on `val`.
    """

    parts: Parts
    wanted: Mapping[str, npt.NDArray[np.float32]]
    first: Mapping[str, Floats]
    second: Mapping[str, Floats]
    joint: SecondModel

    def scores(self, part: str) -> Floats:
        """`(N, L)` probabilities as the product would give them."""
        labels = load_labels().ids
        return joint_scores(self.joint, self.first[part], self.second[part], labels)


def load_pair(first: Path, second: Path, *, file: str = "second.onnx", sha256: str = "") -> Pair:
    """Join two finished runs.

    Raises:
        RunError: They were trained on different pictures, calibrated on different changed views, or
            are not finished.
    """
    config = folder.load_config_of(first)
    facts = [folder.read_json(run / folder.PROVENANCE) for run in (first, second)]
    for key in ("held_out", "manifest", "pictures"):
        if facts[0][key] != facts[1][key]:
            raise folder.RunError(
                f"{first} and {second} differ in {key}: {facts[0][key]} and {facts[1][key]}; "
                "train both on the same manifest and splits"
            )
    sharper_config = folder.load_config_of(second)
    of_views = [(one.edited, one.fit.edited_views, one.seed) for one in (config, sharper_config)]
    if of_views[0] != of_views[1] and any(count for _, count, _ in of_views):
        raise folder.RunError(
            f"{first} and {second} differ in [edited], fit.edited_views or seed; train both on the "
            "same changed views of the validation pictures"
        )
    labels = load_labels().ids
    parts = load_parts(config.data, labels, facts[0]["held_out"])

    def probabilities(run: Path, of: TrainConfig) -> tuple[dict[str, Floats], list[Floats]]:
        _, calibration = finished_spec(of, parts, run)
        of_parts = {
            name: calibration.probability(
                logits_for(getattr(parts, name), folder.load_logits(run / f"{name}.npz"))
            )
            for name in ("val", "test")
        }
        changed = edited_logits(of, parts.val, run)
        return of_parts, [calibration.probability(one) for one in changed]

    ours, ours_changed = probabilities(first, config)
    sharper, sharper_changed = probabilities(second, sharper_config)
    wanted = {
        name: targets(getattr(parts, name), labels, config.data.unknown) for name in ("val", "test")
    }
    joint = fit_joint(
        ours["val"],
        sharper["val"],
        wanted["val"],
        labels,
        family_members(),
        config.thresholds,
        products=product_labels(),
        weights=advert_weights(parts.val, config.thresholds.hard_share),
        changed=list(zip(ours_changed, sharper_changed, strict=True)),
        file=file,
        sha256=sha256,
    )
    return Pair(parts, wanted, ours, sharper, joint)


def export_pair(first: Path, second: Path, out: Path) -> tuple[Parity, Parity]:
    """Write both models; the second lies beside `out`, and `out` names it.

    Args:
        first, second: Run folders.
        out: The first model's file. Both are replaced together, or neither.

    Returns:
        Parity of the first and of the second.

    Raises:
        FaunalensError: A run is incomplete, the runs do not fit together, or a gate fails.
    """
    config = folder.load_config_of(first)
    with TemporaryDirectory(dir=out.parent, prefix=".export-") as temporary:
        ours = Path(temporary) / out.name
        sharper = ours.with_name(SECOND_FILE.format(stem=out.stem))
        of_second = export(second, sharper)
        pair = load_pair(first, second, file=sharper.name, sha256=Model(sharper).identity["sha256"])
        of_first = export(first, ours, joint=pair.joint)
        negatives = [row for row in pair.parts.val if row.is_negative]
        penalty = zoom_penalty(Model(ours), negatives, pair.parts.images, config.thresholds)
        spec = Model(ours).spec
        _describe(ours, replace(spec, second=replace(pair.joint, zoom_penalty=penalty)))
        Model(ours)  # it still loads
        os.replace(sharper, out.with_name(sharper.name))
        os.replace(ours, out)
    return of_first, of_second


def _describe(path: Path, spec: ModelSpec) -> None:
    """Replace the metadata of a model file."""
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.save(model, path)
