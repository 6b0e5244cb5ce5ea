"""One training run, top to bottom: linear probe, fine-tuning, calibration, figures."""

import math
import random
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler
from tqdm import tqdm

from faunalens.labels import load_labels
from faunalens.spec import ResizeRule
from faunalens_train import run as folder
from faunalens_train.cache import open_cache
from faunalens_train.config import FitConfig, TrainConfig
from faunalens_train.dataset import (
    Parts,
    PhotoDataset,
    TrainingViews,
    draw_weights,
    load_parts,
    targets,
)
from faunalens_train.evaluate import assess
from faunalens_train.metrics import RATES, label_metrics
from faunalens_train.net import FaunaNet
from faunalens_train.probe import fit_heads, masked_bce, pooled_features

Photos = Dataset[tuple[Tensor, int]]

_SURFACE_LR = 0.1  # of head_lr: thousands of features of unit variance move a logit fast


def fit(
    config: TrainConfig,
    out: Path,
    *,
    held_out: str = "part",
    resume: bool = False,
    device: str | None = None,
    cache: Path | None = None,
) -> dict[str, Any]:
    """Train a model and leave everything about it in a run folder.

    Args:
        config: From `load_config`.
        out: The run folder; must be new or empty unless `resume`.
        held_out: What is kept for the test (see `load_parts`).
        resume: Go on after the last whole epoch of the run in `out`.
        device: A torch device; a GPU if there is one, else the CPU.
        cache: Folder for cached views (if the configuration asks for them), which several runs
            may share; inside `out` if None.

    Returns:
        The metrics, as written to metrics.json.

    Raises:
        FaunalensError: Configuration, data or run folder cannot be used.
    """
    started = time.monotonic()
    labels = load_labels().ids
    parts = load_parts(config.data, labels, held_out)
    _open_folder(config, out, held_out, parts, resume)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    seed_everything(config.seed)
    if config.fit.threads:
        torch.set_num_threads(config.fit.threads)

    rule = ResizeRule(config.net.size_px)
    views = open_cache(config, parts.every, parts.cells, parts.images, cache or out / "cache")
    train: Photos
    val: Photos
    test: Photos
    augmented: Photos
    if views is not None:
        train, val, test = (views.plain(rows) for rows in (parts.train, parts.val, parts.test))
        augmented = views.augmented(parts.train)
    else:
        train, val, test = (
            PhotoDataset(rows, parts.images, rule) for rows in (parts.train, parts.val, parts.test)
        )
        changed = TrainingViews(config, parts.train, parts.cells, parts.images)
        augmented = PhotoDataset(parts.train, parts.images, rule, changed)
    wanted = {
        name: targets(rows, labels, config.data.unknown)
        for name, rows in (("train", parts.train), ("val", parts.val), ("test", parts.test))
    }
    weights = draw_weights(parts.train, config.balance)
    amp_forward = _amp(config.fit, where, forward_only=True)
    net = FaunaNet(config.net, len(labels)).to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.amp_frozen = amp_forward

    def logits_of(model: FaunaNet, photos: Photos, title: str) -> npt.NDArray[np.float32]:
        features = pooled_features(
            model, photos, batch=64, workers=config.fit.workers, amp=False, title=title
        )
        with torch.inference_mode():
            return model.logits(torch.from_numpy(features).to(where)).cpu().numpy()

    def note(epoch: int, train_loss: float, model: FaunaNet) -> None:
        logits = logits_of(model, val, "validation")
        per_label = label_metrics(logits.astype(np.float64), wanted["val"], parts.val, labels)
        loss = masked_bce(torch.from_numpy(logits), torch.from_numpy(wanted["val"])).mean()
        line = {
            "epoch": epoch,
            "train_loss": round(train_loss, 5),
            "val_loss": round(float(loss), 5),
        }
        for rate in RATES:
            key = f"recall@{rate:g}"
            line[f"val_{key}"] = round(float(np.mean([m[key] for m in per_label.values()])), 5)
        line["seconds"] = round(time.monotonic() - started, 1)
        folder.append_history(out / folder.HISTORY, line)
        folder.draw_curves(out)
        print("  ".join(f"{key} {value}" for key, value in line.items()), file=sys.stderr)

    state = folder.load_tensors(out / folder.CHECKPOINT) if _resumable(out, resume) else None
    if state is None:
        (out / folder.HISTORY).unlink(missing_ok=True)  # of a run cut off in its first epoch
        # On changed views as well, if they are at hand: a probe on plain photos alone leans on what
        # only its own sources have in common.
        features = (
            pooled_features(
                net, train, batch=64, workers=config.fit.workers, amp=amp_forward, title="probe"
            )
            if views is None
            else views.initial_features(parts.train)
        )
        each = len(features) // len(parts.train)
        aim, share = np.repeat(wanted["train"], each, 0), np.repeat(weights / each, each)
        fit_heads(net, features, aim, share, config.fit)
        with torch.no_grad():
            z = net.heads(torch.from_numpy(features).to(where)).cpu()
            loss = masked_bce(z, torch.from_numpy(aim)) @ torch.from_numpy(share).float()
        folder.save_logits(out / "probe_val.npz", parts.val, logits_of(net, val, "probe, val"))
        folder.save_logits(out / "probe_test.npz", parts.test, logits_of(net, test, "probe, test"))
        folder.save_tensors(out / folder.INITIAL, net.state_dict())
        note(0, float(loss), net)

    initial = folder.load_tensors(out / folder.INITIAL)
    result = _fine_tune(config, net, augmented, wanted["train"], weights, state, out, note)
    mix_weights(result, initial, config.fit.wise)
    folder.save_tensors(out / folder.WEIGHTS, result.state_dict())
    for name, rows, photos in (("val", parts.val, val), ("test", parts.test, test)):
        if held_out == "part":
            # Not from cached views, which are in half precision: this model may ship, and its
            # thresholds are set on exactly what the product computes.
            photos = PhotoDataset(rows, parts.images, rule)
        elif not config.fit.epochs:
            shutil.copyfile(out / f"probe_{name}.npz", out / f"{name}.npz")  # the probes it keeps
            continue
        folder.save_logits(out / f"{name}.npz", rows, logits_of(result, photos, name))
    metrics = assess(config, parts, out)
    metrics["minutes"] = round((time.monotonic() - started) / 60, 1)
    folder.write_json(out / folder.METRICS, metrics)
    return metrics


def _fine_tune(
    config: TrainConfig,
    net: FaunaNet,
    photos: Photos,
    wanted: npt.NDArray[np.float32],
    weights: npt.NDArray[np.float64],
    state: dict[str, Any] | None,
    out: Path,
    note: Any,
) -> FaunaNet:
    """Train all but the frozen stages; returns the averaged network."""
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
    amp = _amp(fit_, device, forward_only=False)

    for epoch in range(first, fit_.epochs + 1):
        # A seed per epoch: a resumed run draws what an undisturbed one would have drawn.
        seed_everything(config.seed * 1000 + epoch)
        sampler = WeightedRandomSampler(weights.tolist(), steps * fit_.batch)
        loader = DataLoader(photos, fit_.batch, sampler=sampler, num_workers=fit_.workers)
        net.train()
        total = 0.0
        bar = tqdm(loader, desc=f"epoch {epoch}/{fit_.epochs}", unit="batch", disable=None)
        for images, index in bar:
            with torch.autocast(device.type, torch.bfloat16, enabled=amp):
                logits = net(images.to(device))
            loss = masked_bce(logits.float(), aim[index.to(device)], fit_.smoothing).mean()
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


def _amp(fit_: FitConfig, device: torch.device, *, forward_only: bool) -> bool:
    if fit_.autocast != "auto":
        return fit_.autocast == "bf16"
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    return forward_only


def _open_folder(config: TrainConfig, out: Path, held_out: str, parts: Parts, resume: bool) -> None:
    facts = {
        "held_out": held_out,
        "manifest": parts.fingerprint,
        "pictures": {name: len(getattr(parts, name)) for name in ("train", "val", "test")},
    }
    if (out / folder.CONFIG).exists():
        if not resume:
            raise folder.RunError(f"{out} already holds a run; use --resume or another folder")
        before = folder.read_json(out / folder.PROVENANCE)
        if folder.load_config_of(out) != config or any(before[k] != v for k, v in facts.items()):
            raise folder.RunError(
                f"{out} was made with another configuration or data set; use another folder"
            )
        return
    out.mkdir(parents=True, exist_ok=True)
    if any(out.iterdir()):
        raise folder.RunError(f"{out} is not empty and holds no run; use another folder")
    folder.write_json(out / folder.PROVENANCE, folder.provenance(**facts))
    folder.write_json(out / folder.CONFIG, config.to_dict())


def _resumable(out: Path, resume: bool) -> bool:
    return resume and (out / folder.CHECKPOINT).exists()
