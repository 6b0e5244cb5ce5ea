"""The linear probe: a head fitted on frozen features, where every run starts and must improve on.

Linear probe first, then fine-tune (LP-FT): Kumar et al. 2022, arXiv:2202.10054. Starting from a
random head would drag the features away from what ImageNet taught before the head makes sense.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from faunalens.labels import load_labels
from faunalens_train.config import FitConfig
from faunalens_train.dataset import Sample
from faunalens_train.net import FaunaNet, product_places
from faunalens_train.prior import CLASSES


def masked_bce(logits: Tensor, wanted: Tensor, smoothing: float = 0.0) -> Tensor:
    """Binary cross-entropy per picture `(N,)`, summed over labels; NaN targets do not count."""
    known = ~wanted.isnan()
    aim = wanted.nan_to_num(0.0)
    if smoothing:
        aim = aim * (1 - smoothing) + smoothing / 2
    loss = functional.binary_cross_entropy_with_logits(logits, aim, reduction="none")
    return (loss * known).sum(1)


def pooled_features(
    net: FaunaNet,
    photos: Dataset[Sample],
    *,
    batch: int,
    workers: int,
    amp: bool,
    title: str,
) -> npt.NDArray[np.float32]:
    """`(N, F)` float32 features of every picture, in order."""
    device = next(net.parameters()).device
    net.eval()
    out = []
    loader = DataLoader(photos, batch, num_workers=workers)
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=amp):
        for images, _, _ in tqdm(loader, desc=title, unit="batch", leave=False, disable=None):
            out.append(net.pooled(images.to(device)).cpu().numpy())
    return np.concatenate(out)


def fit_heads(
    net: FaunaNet,
    features: npt.NDArray[np.float32],
    wanted: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64],
    config: FitConfig,
    *,
    mild: npt.NDArray[np.bool_] | None = None,
) -> None:
    """Set a network's heads to linear probes of its own pooled features.

    Args:
        features: `(N, F)`.
        wanted: `(N, L)` with NaN for unknown.
        weights: `(N,)`, sum 1.
        config: The penalties.
        mild: `(N,)`, the rows that the head on second moments learns from; all if None.
    """
    cut = net.features - sum(net.widths)
    decays = mean_decays(net.others, config)
    weight, bias = fit_probe(features[:, cut:], wanted[:, net.others], weights, decays)
    with torch.no_grad():
        net.head.weight.copy_(weight)
        net.head.bias.copy_(bias)
    if net.surface is None:
        return
    rows = np.flatnonzero(np.ones(len(features), bool) if mild is None else mild)
    moments, share = features[rows, :cut], weights[rows] / weights[rows].sum()
    aim = wanted[rows][:, net.products]
    weight, bias = fit_probe(moments, aim, share, config.surface_decay)
    with torch.no_grad():
        net.surface.scale.copy_(torch.from_numpy(moments.std(0)).clamp_min(1e-6))
        net.surface_head.weight.copy_(weight.to(net.surface.scale.device) * net.surface.scale)
        net.surface_head.bias.copy_(bias)


def mean_decays(places: Sequence[int], config: FitConfig) -> list[float]:
    """The penalty of each label at these places (in model order) for a probe on means."""
    labels, products = load_labels().ids, product_places()
    return [
        config.alone_decay
        if config.alone_decay and place not in products and labels[place] not in CLASSES
        else config.probe_decay
        for place in places
    ]


def fit_probe(
    features: npt.NDArray[np.float32],
    wanted: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64],
    decay: float | Sequence[float],
) -> tuple[Tensor, Tensor]:
    """Fit a linear head by L-BFGS, in float32: of second moments float64 would take gigabytes.

    Args:
        features: `(N, D)`.
        wanted: `(N, L)` with NaN for unknown.
        weights: `(N,)`, sum 1.
        decay: L2 penalty on the weights for features of unit variance, of all labels or of each.

    Returns:
        Weight `(L, D)` and bias `(L,)` for the features as given.
    """
    x = torch.from_numpy(features)
    mean, std = x.mean(0), x.std(0) + 1e-6
    x = (x - mean) / std
    aim, share = torch.from_numpy(wanted), torch.from_numpy(weights).float()
    penalty = torch.tensor(decay)
    weight = torch.zeros(aim.shape[1], x.shape[1], requires_grad=True)
    bias = torch.full((aim.shape[1],), -3.0, requires_grad=True)
    optimiser = torch.optim.LBFGS(
        [weight, bias], max_iter=150, history_size=20, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimiser.zero_grad()
        loss = (masked_bce(x @ weight.T + bias, aim) * share).sum()
        loss = loss + (penalty * weight.square().sum(1)).sum() / 2
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        plain = weight / std
        return plain, bias - plain @ mean
