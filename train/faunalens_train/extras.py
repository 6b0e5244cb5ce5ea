"""What a finished run is asked for beside its labels: the features of its pictures, kept."""

import hashlib
import json
import os
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader
from tqdm import tqdm

from faunalens.labels import load_labels
from faunalens.spec import ResizeRule
from faunalens_data.row import Row
from faunalens_train import run as folder
from faunalens_train.backbone import imagenet_classifier
from faunalens_train.config import TrainConfig
from faunalens_train.dataset import Parts, PhotoDataset, load_parts
from faunalens_train.net import FaunaNet

FEATURES = "features.npz"
_BATCH = 32

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Finished:
    """A finished run and the features of all its pictures.

    Attributes:
        net: The trained network, in evaluation mode.
        rows: Training, validation and test pictures, in this order: N.
        features: `(N, F)` pooled features of the trained network.
        original: `(N, 1000)` class logits of the backbone as it was before training.
    """

    config: TrainConfig
    parts: Parts
    net: FaunaNet
    rows: list[Row]
    features: Floats
    original: Floats

    @property
    def means(self) -> Floats:
        """`(N, D)`: the means of the maps, which are the last of the features."""
        return self.features[:, -sum(self.net.widths) :]

    def part(self, name: str) -> npt.NDArray[np.bool_]:
        """`(N,)`: which rows are in `train`, `val` or `test`."""
        known = {row.sha256 for row in getattr(self.parts, name)}
        return np.array([row.sha256 in known for row in self.rows])

    def fold(self, by: str) -> npt.NDArray[np.int64]:
        """`(N,)`: each row's fold by `group` or by `source`."""
        column = {"group": 1, "source": 2}[by]
        return np.array([int(self.parts.cells[row.sha256][column]) for row in self.rows])


def open_run(run: Path) -> tuple[TrainConfig, Parts, FaunaNet]:
    """Configuration, pictures and trained network of a run folder.

    Raises:
        FaunalensError: The run is incomplete, or its pictures have changed.
    """
    config = folder.load_config_of(run)
    labels = load_labels().ids
    facts = folder.read_json(run / folder.PROVENANCE)
    parts = load_parts(config.data, labels, facts["held_out"])
    if parts.fingerprint != facts["manifest"]:
        raise folder.RunError(f"{config.data.manifest} has changed since {run} was trained")
    net = FaunaNet(config.net, len(labels), load_weights=False)
    net.load_state_dict(folder.load_tensors(run / folder.WEIGHTS))
    return config, parts, net.eval()


def finished(run: Path) -> Finished:
    """Open a run, and compute its features unless an earlier call has left them there.

    The frozen stages are the same before and after training (unless that began from random
    weights), and so run once for both.

    Raises:
        FaunalensError: As `open_run`, or the backbone has no ImageNet classifier.
    """
    config, parts, net = open_run(run)
    rows = [*parts.train, *parts.val, *parts.test]
    weights = hashlib.sha256((run / folder.WEIGHTS).read_bytes()).hexdigest()
    key = json.dumps([weights, parts.fingerprint, len(rows)])
    path = run / FEATURES
    if path.exists():
        with np.load(path, allow_pickle=False) as stored:
            if str(stored["key"]) == key:
                kept = stored["features"], stored["original"]
                return Finished(config, parts, net, rows, *kept)
    features, original = _compute(config, net, rows, parts.images)
    part = path.with_name("features.part.npz")
    np.savez(part, key=np.array(key), features=features, original=original)
    os.replace(part, path)
    return Finished(config, parts, net, rows, features, original)


def pooled(net: FaunaNet, images: npt.NDArray[np.uint8]) -> Floats:
    """`(N, S, S, 3)` uint8 to the trained network's pooled features `(N, F)`."""
    out = []
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            out.append(net.pooled(torch.from_numpy(images[start : start + _BATCH])).numpy())
    return np.concatenate(out)


def _compute(
    config: TrainConfig, net: FaunaNet, rows: list[Row], images: Path
) -> tuple[Floats, Floats]:
    before = FaunaNet(replace(config.net, pretrained=True, surface=0), 1).eval()
    weight, bias = imagenet_classifier(config.net.backbone)
    photos = PhotoDataset(rows, images, ResizeRule(config.net.size_px))
    loader = DataLoader(photos, _BATCH, num_workers=config.fit.workers)
    features: list[Tensor] = []
    logits: list[Tensor] = []
    with torch.inference_mode():
        for batch, _, _ in tqdm(loader, desc="features", unit="batch", disable=None):
            start = net.frozen(batch) if config.net.frozen_stages else batch
            features.append(net.pooled(start))
            final = before.pooled(start if config.net.pretrained else batch)[:, -weight.shape[1] :]
            logits.append(final @ weight.T + bias)
    return torch.cat(features).numpy(), torch.cat(logits).numpy()
