"""Fine-tuning: from the linear probes to the weights that a run keeps."""

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from tqdm import tqdm

from faunalens_train import run as folder
from faunalens_train.config import FitConfig, TrainConfig
from faunalens_train.dataset import Sample
from faunalens_train.net import FaunaNet
from faunalens_train.probe import masked_bce

Photos = Dataset[Sample]

_SURFACE_LR = 0.1  # of head_lr: thousands of features of unit variance move a logit fast


def fine_tune(
    config: TrainConfig,
    net: FaunaNet,
    photos: Photos,
    wanted: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64],
    state: dict[str, Any] | None,
    out: Path,
    note: Any,
    plain: npt.NDArray[np.float32] | None = None,
) -> FaunaNet:
    """Train all but the frozen stages, with a checkpoint in `out` after each epoch.

    Labels judged by surfaces do not learn from views that may not teach them.

    Args:
        net: Under the heads to start from.
        photos: Training pictures in augmented views, see `Sample`.
        wanted: `(N, L)` with NaN for unknown.
        weights: `(N,)`, how often each is drawn.
        state: A checkpoint to go on from.
        note: Told the epoch, its training loss (that of distillation included) and the network to
            judge.
        plain: `(N, D)`, means of the final map of the plain photos by the untrained backbone, for
            `distil`; may be None without it.

    Returns:
        The network with averaged weights, in evaluation mode.

    Raises:
        RunError: The loss is not a number any more.
    """
    fit_ = config.fit
    device = next(net.parameters()).device
    drawn = fit_.epoch_pictures or len(weights)
    steps = max(1, drawn // fit_.batch)
    backbone = [p for p in net.backbone.parameters() if p.requires_grad]
    groups = [
        {"params": backbone, "lr": fit_.lr},
        {"params": list(net.head.parameters()), "lr": fit_.head_lr},
    ]
    if net.surface is not None:
        rate = fit_.head_lr * _SURFACE_LR
        groups.append({"params": list(net.surface_head.parameters()), "lr": rate})
    optimiser = torch.optim.AdamW(groups, weight_decay=fit_.weight_decay)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimiser, lambda step: warmup_cosine(step, steps * fit_.epochs, fit_.warmup)
    )
    averaged = None
    if fit_.ema:
        average = get_ema_multi_avg_fn(fit_.ema)  # type: ignore[no-untyped-call]
        averaged = AveragedModel(net, multi_avg_fn=average)
    first = 1
    if state is not None:
        net.load_state_dict(state["net"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        if averaged is not None:
            averaged.load_state_dict(state["averaged"])
        first = int(state["epoch"]) + 1
    aim = torch.from_numpy(wanted).to(device)
    judged_by_surface = torch.zeros(aim.shape[1], dtype=torch.bool, device=device)
    judged_by_surface[net.products] = True
    means = None if plain is None or not fit_.distil else torch.from_numpy(plain).to(device)
    amp = in_bf16(fit_, device, forward_only=False)

    for epoch in range(first, fit_.epochs + 1):
        # A seed per epoch: a resumed run draws what an undisturbed one would have drawn.
        seed_everything(config.seed * 1000 + epoch)
        sampler = WeightedRandomSampler(weights.tolist(), steps * fit_.batch)
        loader = DataLoader(photos, fit_.batch, sampler=sampler, num_workers=fit_.workers)
        net.train()
        total = 0.0
        bar = tqdm(loader, desc=f"epoch {epoch}/{fit_.epochs}", unit="batch", disable=None)
        for images, index, mild in bar:
            with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                pooled = net.pooled(images.to(device))
                logits = net.heads(pooled)
            wanted_of = aim[index.to(device)]  # a copy
            wanted_of[torch.outer(~mild.to(device), judged_by_surface)] = torch.nan
            loss = masked_bce(logits.float(), wanted_of, fit_.smoothing).mean()
            if means is not None and net.prior is not None:
                final = pooled[:, -means.shape[1] :].float()
                loss = loss + fit_.distil * net.prior.departure(final, means[index.to(device)])
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
            schedule.step()
            if averaged is not None:
                averaged.update_parameters(net)
            total += float(loss.detach())
            bar.set_postfix(loss=f"{float(loss.detach()):.3f}", refresh=False)
        if not math.isfinite(total):
            raise folder.RunError("the loss is not a number any more; lower fit.lr")
        folder.save_tensors(
            out / folder.CHECKPOINT,
            {
                "epoch": epoch,
                "net": net.state_dict(),
                "averaged": averaged.state_dict() if averaged is not None else {},
                "optimiser": optimiser.state_dict(),
                "schedule": schedule.state_dict(),
            },
        )
        note(epoch, total / steps, averaged.module if averaged is not None else net)
    result = averaged.module if averaged is not None and fit_.epochs else net
    assert isinstance(result, FaunaNet)
    return result.eval()


def mix_weights(net: FaunaNet, initial: dict[str, Tensor], share: float) -> None:
    """Replace each weight of `net` by `share` of it and the rest of the initial one."""
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            parameter.copy_(torch.lerp(initial[name].to(parameter.device), parameter, share))


def warmup_cosine(step: int, total: int, warmup: float) -> float:
    """Factor on the learning rate: a linear rise over `warmup` of all steps, then a half cosine."""
    rise = max(1, int(total * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, total - rise))))


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and torch."""
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def in_bf16(fit_: FitConfig, device: torch.device, *, forward_only: bool) -> bool:
    """Whether to compute in bf16 there."""
    if fit_.autocast != "auto":
        return fit_.autocast == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return forward_only
