"""A run to the ONNX file that platforms embed: it agrees with torch on real pictures, or is not."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader
from tqdm import tqdm

from faunalens.decide import Look, decide, policy
from faunalens.errors import FaunalensError
from faunalens.limits import SecondModel
from faunalens.model import INPUT, OPTIONAL_OUTPUTS, OUTPUTS, Model
from faunalens.spec import METADATA_KEY, ModelSpec
from faunalens_data.row import Row
from faunalens_train.calibrate import Calibration
from faunalens_train.dataset import PhotoDataset
from faunalens_train.evaluate import finished_spec
from faunalens_train.extras import open_run
from faunalens_train.graph import onnx_graph
from faunalens_train.net import FaunaNet
from faunalens_train.novelty import NoveltyNet, load_novelty
from faunalens_train.taxa import TaxonNet, load_taxa

MAX_DIFFERENCE = 1e-4
"""Largest allowed gap between a probability of torch and of onnxruntime."""

GATE_PICTURES = 256


class ExportError(FaunalensError):
    """The exported file does not say what the trained network says; it was removed."""


@dataclass(frozen=True)
class Parity:
    """How far torch and onnxruntime are apart.

    Attributes:
        pictures: Compared.
        difference: Largest absolute difference of a probability, or of a chance of a taxon or a
            novelty where there are such outputs.
        verdicts: Pictures with another verdict.
    """

    pictures: int
    difference: float
    verdicts: int


class ExportNet(nn.Module):
    """`(N, S, S, 3)` uint8 to (probability, embedding, evidence), calibration folded in.

    With the parts for them, `taxon` and `novelty` follow.

    evidence is the head as a 1x1 convolution on each map, scaled by the calibration's slope, summed
    on the grid of the finest; for labels that are judged by second moments it is the quadratic form
    of a cell's directions, times the cell's share (see surface.py). Its mean plus one number per
    label is the logit of the probability, or the head's part of that where ImageNet's classes have
    a share (see prior.py).
    """

    def __init__(
        self,
        net: FaunaNet,
        calibration: Calibration,
        taxon: nn.Module | None = None,
        novelty: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.net = net.eval()
        self.taxon, self.novelty = taxon, novelty
        self.slope = nn.Parameter(torch.tensor(calibration.slope), requires_grad=False)
        offset = torch.tensor(calibration.offset)
        scale = torch.tensor(calibration.slope)
        if net.prior is not None:
            scale = scale * (1 - net.prior.share)
        weight = net.head.weight.detach() * scale[net.others, None]
        self.weights = _fixed(part[:, :, None, None] for part in torch.split(weight, net.widths, 1))
        bias = net.head.bias.detach()
        if net.surface is not None:
            weight = net.surface_head.weight.detach() * scale[net.products, None]
            self.forms = _fixed(net.surface.forms(weight))
            bias = torch.cat([net.surface_head.bias.detach(), bias])[net.order]
        self.bias = nn.Parameter((bias * scale + offset).float(), requires_grad=False)

    @property
    def outputs(self) -> list[str]:
        """Names of what `forward` returns, in order."""
        optional = zip(OPTIONAL_OUTPUTS, (self.taxon, self.novelty), strict=True)
        return [*OUTPUTS, *(name for name, part in optional if part is not None)]

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        maps = self.net.maps(images)
        evidence = self._summed(
            maps, [functional.conv2d(m, w) for m, w in zip(maps, self.weights, strict=True)]
        )
        if self.net.surface is not None:
            of_products = self._summed(maps, self._products(maps))
            evidence = torch.cat([of_products, evidence], 1).index_select(1, self.net.order)
        logits = evidence.mean((2, 3)) + self.bias
        means = [found.mean((2, 3)) for found in maps]
        if self.net.prior is not None:
            logits = logits + self.slope * self.net.prior(means[-1])
        probability = torch.sigmoid(logits)
        pooled = torch.cat(means, 1)
        embedding = functional.normalize(pooled, dim=1)
        optional = []
        if self.taxon is not None:
            optional.append(self.taxon(pooled))
        if self.novelty is not None:
            optional.append(self.novelty(pooled))
        return probability, embedding, evidence, *optional

    def _products(self, maps: list[Tensor]) -> list[Tensor]:
        """What each cell of each map adds for products, `(N, P, h, w)`."""
        surface = self.net.surface
        assert surface is not None
        out = []
        for seen, share, form in zip(
            surface.directions(maps), surface.shares(maps), self.forms, strict=True
        ):
            turned = functional.conv2d(seen, form)  # (N, P * K, h, w)
            size, (height, width) = surface.size, seen.shape[2:]
            turned = turned.reshape(-1, len(form) // size, size, height, width)
            out.append((turned * seen[:, None]).sum(2) * (share * (height * width)))
        return out

    @staticmethod
    def _summed(maps: list[Tensor], parts: list[Tensor]) -> Tensor:
        """Sum of what is known of each map, on the grid of the finest."""
        evidence = torch.zeros(())
        for found, part in zip(maps, parts, strict=True):
            # Repeating cells a whole number of times leaves the mean, and so the logit, as it is.
            times = maps[0].shape[2] // found.shape[2]
            evidence = evidence + functional.interpolate(part, scale_factor=times, mode="nearest")
        return evidence


def _fixed(tensors: Iterable[Tensor]) -> nn.ParameterList:
    return nn.ParameterList(nn.Parameter(one, requires_grad=False) for one in tensors)


def export(run: Path, out: Path, *, joint: SecondModel | None = None) -> Parity:
    """Write the model of a run folder.

    Args:
        run: Folder made by `fit`.
        out: The ONNX file; replaced if there is one, and left as it was if the gate fails.
        joint: The second model to name in the metadata, if any.

    Raises:
        FaunalensError: The run is incomplete, or the gate fails.
    """
    config, parts, net = open_run(run)
    spec, calibration = finished_spec(config, parts, run)
    taxa, novelty = load_taxa(run), load_novelty(run)
    spec = replace(
        spec,
        second=joint,
        taxa=() if taxa is None else taxa[0],
        novelty=None if novelty is None else novelty[1],
    )
    module = ExportNet(
        net,
        calibration,
        None if taxa is None else TaxonNet(*taxa[1:]),
        None if novelty is None else NoveltyNet(novelty[0]),
    ).eval()
    part = out.with_name(out.name + ".part")
    try:
        _write(module, spec, part)
        model = Model(part, threads=torch.get_num_threads())
        parity = compare(module, model, parts.test[:GATE_PICTURES], parts.images)
        check_gate(parity)
        os.replace(part, out)
    finally:
        part.unlink(missing_ok=True)
    return parity


def check_gate(parity: Parity) -> None:
    """Refuse a file that says something else.

    Raises:
        ExportError: A probability differs by more than MAX_DIFFERENCE, or a verdict differs.
    """
    if not parity.pictures:
        raise ExportError("no picture to compare torch and onnxruntime on; no file written")
    if not parity.difference <= MAX_DIFFERENCE or parity.verdicts:  # `not <=`: NaN fails too
        raise ExportError(
            f"torch and onnxruntime differ by {parity.difference:.2e} (allowed "
            f"{MAX_DIFFERENCE:.0e}) and in {parity.verdicts} of {parity.pictures} verdicts; "
            "no file written"
        )


def compare(module: ExportNet, model: Model, rows: Sequence[Row], images: Path) -> Parity:
    """Run both on the same pictures."""
    spec = model.spec
    rules = policy(spec, look=Look.FIRST)
    loader = DataLoader(PhotoDataset(rows, images, spec.resize), batch_size=16)
    difference, verdicts = 0.0, 0
    with torch.inference_mode():
        for photos, _, _ in tqdm(loader, desc="parity", unit="batch", leave=False, disable=None):
            named = dict(zip(module.outputs, module(photos), strict=True))
            predicted = model.predict(photos.numpy())
            gaps = [
                np.abs(named[name].numpy() - getattr(predicted, name)).max()
                for name in ("probability", *module.outputs[len(OUTPUTS) :])
            ]
            if np.isnan(gaps).any():
                difference = float("nan")
                break
            difference = max(difference, *(float(gap) for gap in gaps))
            ours, theirs = named["probability"].numpy(), predicted.probability
            verdicts += sum(
                decide(spec, _plain(a), rules).verdict != decide(spec, _plain(b), rules).verdict
                for a, b in zip(ours, theirs, strict=True)
            )
    return Parity(len(rows), difference, verdicts)


def _plain(values: npt.NDArray[np.float32]) -> list[float]:
    return [float(value) for value in values]


def _write(module: ExportNet, spec: ModelSpec, path: Path) -> None:
    side = spec.resize.size_px
    example = torch.zeros(2, side, side, 3, dtype=torch.uint8)
    model = onnx_graph(module, example, inputs=[INPUT], outputs=module.outputs)
    onnx.helper.set_model_props(model, {METADATA_KEY: spec.to_json()})
    onnx.checker.check_model(model, full_check=True)
    foreign = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if foreign:
        raise ExportError(f"the graph uses operators outside the standard: {sorted(foreign)}")
    onnx.save(model, path)
