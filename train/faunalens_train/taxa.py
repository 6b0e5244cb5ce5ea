"""A head for species hints: what the backbone knew of listed taxa, kept for the tuned features.

Fine-tuning moves the features away from the ImageNet classifier. A linear head on the tuned ones is
distilled from the original network (soft targets: Hinton et al. 2015, arXiv:1503.02531), starting
from and held near the classifier that came with the backbone. It costs one small matrix; a copy of
the original last stages names about as many known pictures and costs most of the weights again.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from faunalens.hints import FLOOR, MOST
from faunalens.labels import Taxon, load_labels
from faunalens.spec import TaxonSpec
from faunalens_data.row import Row
from faunalens_train import run as folder
from faunalens_train.backbone import imagenet_classifier
from faunalens_train.extras import Floats, finished

TAXA, TAXA_REPORT = "taxa.npz", "taxa.json"
DECAY = 0.01
_FOLDS = 5
_SYNSET = re.compile(r"n\d{8}")


class TaxonNet(nn.Module):
    """Pooled features `(N, D)` to the chances `(N, T)` of the taxa, the rest left out."""

    weight: Tensor
    bias: Tensor

    def __init__(self, weight: Floats, bias: Floats) -> None:
        super().__init__()
        self.register_buffer("weight", torch.from_numpy(weight))
        self.register_buffer("bias", torch.from_numpy(bias))

    def forward(self, pooled: Tensor) -> Tensor:
        return torch.softmax(pooled @ self.weight.T + self.bias, 1)[:, :-1]


def fit_taxa(run: Path) -> dict[str, Any]:
    """Distil the head of a finished run; leaves taxa.npz and taxa.json in its folder.

    Every figure is of heads that did not see the picture: five, each distilled without a fold of
    groups. No picture's taxon is used in distilling, only what the original network says of it.

    Returns:
        The report, as written.

    Raises:
        FaunalensError: The run cannot be used.
    """
    data = finished(run)
    taxa = load_labels().taxa
    weight, bias = imagenet_classifier(data.config.net.backbone)
    index = [taxon.imagenet for taxon in taxa]
    aim = _aim(data.original, index)
    start = _start(weight[index], bias[index], data.means.shape[1])
    folds = data.fold("group")
    crossed = np.zeros_like(aim)
    for fold in range(_FOLDS):
        away = folds != fold
        head = distil(data.means[away], aim[away], start)
        crossed[~away] = _apply(head, data.means[~away])
    head = distil(data.means, aim, start)
    with torch.no_grad():
        old = torch.from_numpy(data.means[:, -weight.shape[1] :]) @ weight.T + bias
    known = np.array([known_taxon(row, taxa) for row in data.rows])
    by_synset = np.array([bool(_SYNSET.search(row.source_path)) for row in data.rows])
    held_out = ~data.part("train")
    columns = {
        "original network": aim,
        "its classifier on the tuned features": _aim(old.numpy(), index),
        "distilled head": crossed,
    }
    wide = {"all": known >= 0, "ImageNet sample": (known >= 0) & by_synset}
    wide["val and test part"] = (known >= 0) & held_out
    report = {
        "taxa": len(taxa),
        "with pictures": len(set(known[known >= 0].tolist())),
        "figures": {
            name: {
                title: _figures(chances[mask, :-1], known[mask], taxa)
                for title, chances in columns.items()
            }
            for name, mask in wide.items()
        },
    }
    part = run / "taxa.part.npz"
    np.savez(
        part,
        ids=np.array([taxon.id for taxon in taxa]),
        labels=np.array([taxon.label for taxon in taxa]),
        weight=head[0],
        bias=head[1],
    )
    part.replace(run / TAXA)
    folder.write_json(run / TAXA_REPORT, report)
    return report


def load_taxa(run: Path) -> tuple[tuple[TaxonSpec, ...], Floats, Floats] | None:
    """The head that `fit_taxa` left: T taxa, weight `(T + 1, D)`, bias `(T + 1,)`; or None.

    Raises:
        RunError: It is malformed.
    """
    if not (run / TAXA).exists():
        return None
    try:
        with np.load(run / TAXA, allow_pickle=False) as stored:
            pairs = zip(stored["ids"].tolist(), stored["labels"].tolist(), strict=True)
            return tuple(TaxonSpec(*pair) for pair in pairs), stored["weight"], stored["bias"]
    except (OSError, KeyError, ValueError) as error:
        raise folder.RunError(f"cannot read {run / TAXA}: {error}") from error


def known_taxon(row: Row, taxa: Sequence[Taxon]) -> int:
    """Place of the taxon that a row's source names it by, -1 if it names none.

    By the WordNet id in its path, or by the English name of a taxon of its labels; the longest name
    counts, so that a snow leopard is no leopard.
    """
    fit = [(i, taxon) for i, taxon in enumerate(taxa) if taxon.label in row.labels]
    found = _SYNSET.search(row.source_path)
    if found:
        return next((i for i, taxon in fit if taxon.synset == found[0]), -1)
    words = f" {' '.join(re.findall('[a-z]+', f'{row.source_path} {row.note}'.lower()))} "
    named = [
        (len(taxon.names.en), i)
        for i, taxon in fit
        if re.search(f" {re.escape(taxon.names.en.lower())}s? ", words)
    ]
    return max(named)[1] if named else -1


def distil(features: Floats, aim: Floats, start: tuple[Tensor, Tensor]) -> tuple[Floats, Floats]:
    """Fit a softmax to soft targets by L-BFGS, with an L2 penalty on the way from `start`.

    Args:
        features: `(N, D)`.
        aim: `(N, C)`, rows of sum 1.
        start: Weight `(C, D)` and bias `(C,)`.

    Returns:
        Weight and bias.
    """
    x, wanted = torch.from_numpy(features), torch.from_numpy(aim)
    weight, bias = (torch.zeros_like(part).requires_grad_() for part in start)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=60, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        logits = x @ (start[0] + weight).T + start[1] + bias
        loss = -(wanted * torch.log_softmax(logits, 1)).sum(1).mean()
        loss = loss + DECAY * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return (start[0] + weight).detach().numpy(), (start[1] + bias).detach().numpy()


def table(report: dict[str, Any]) -> str:
    """The report as text."""
    lines = [f"{report['taxa']} taxa, {report['with pictures']} of them with pictures"]
    for name, columns in report["figures"].items():
        for title, one in columns.items():
            lines.append(
                f"{name:<18} {one['pictures']:>4} pictures  top-1 {one['top1']:.3f}  top-3 "
                f"{one['top3']:.3f}  among the hints {one['hinted']:.3f}  {title}"
            )
    return "\n".join(lines)


def _aim(logits: Floats, index: list[int]) -> Floats:
    """`(N, 1000)` logits to the chances `(N, T + 1)` of the taxa and of anything else."""
    chances = torch.softmax(torch.from_numpy(logits), 1)[:, index]
    rest = (1 - chances.sum(1, keepdim=True)).clamp_min(0)
    return torch.cat([chances, rest], 1).numpy()


def _start(weight: Tensor, bias: Tensor, width: int) -> tuple[Tensor, Tensor]:
    """The classifier's rows for the taxa and a blank one, for features whose last part it read."""
    start = torch.zeros(len(weight) + 1, width)
    start[:-1, -weight.shape[1] :] = weight
    return start, torch.cat([bias, torch.tensor([5.0])])  # about what 950 other classes add up to


def _apply(head: tuple[Floats, Floats], features: Floats) -> npt.NDArray[np.float32]:
    logits = torch.from_numpy(features @ head[0].T + head[1])
    return torch.softmax(logits, 1).numpy()


def _figures(
    chances: npt.NDArray[np.float32], known: npt.NDArray[np.int64], taxa: Sequence[Taxon]
) -> dict[str, Any]:
    """Top-1 and top-3 among all taxa, and how often the hints of the right label name it."""
    labels = np.array([taxon.label for taxon in taxa])
    if not len(known):
        return {"pictures": 0, "top1": 0.0, "top3": 0.0, "hinted": 0.0}
    order = np.argsort(-chances, 1)
    hinted = []
    for row, place in zip(chances, known, strict=True):
        fit = np.where(labels == labels[place], row, 0)
        best = np.argsort(-fit)[:MOST]
        hinted.append(bool(place in best and row[place] >= FLOOR))
    hits = (order[:, 0] == known, (order[:, :3] == known[:, None]).any(1), hinted)
    shares = [round(float(np.mean(hit)), 4) for hit in hits]
    return {"pictures": len(known), **dict(zip(("top1", "top3", "hinted"), shares, strict=True))}
