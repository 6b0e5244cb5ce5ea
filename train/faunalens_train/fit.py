"""One training run, top to bottom: linear probe, fine-tuning, calibration, figures."""

import shutil
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faunalens.labels import load_labels
from faunalens.spec import ResizeRule
from faunalens_train import run as folder
from faunalens_train.cache import open_cache, open_edited
from faunalens_train.config import TrainConfig
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
from faunalens_train.tune import Photos, fine_tune, in_bf16, mix_weights, seed_everything

_BATCH = 16  # the maps of more do not fit a processor's cache, and take longer for it


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
    labels = load_labels().ids
    parts = load_parts(config.data, labels, held_out)
    _open_folder(config, out, held_out, parts, resume)
    where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
    seed_everything(config.seed)
    if config.fit.threads:
        torch.set_num_threads(config.fit.threads)

    rule = ResizeRule(config.net.size_px)
    from_cache = parts.every, parts.cells, parts.images, cache or out / "cache"
    views, edited = open_cache(config, *from_cache), open_edited(config, *from_cache)
    started = time.monotonic()  # views are made once for many runs
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
    amp_forward = in_bf16(config.fit, where, forward_only=True)
    net = FaunaNet(config.net, len(labels)).to(where).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    net.amp_frozen = amp_forward

    def logits_of(model: FaunaNet, photos: Photos, title: str) -> npt.NDArray[np.float32]:
        features = pooled_features(
            model, photos, batch=_BATCH, workers=config.fit.workers, amp=False, title=title
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
                net, train, batch=_BATCH, workers=config.fit.workers, amp=amp_forward, title="probe"
            )
            if views is None
            else views.initial_features(parts.train)
        )
        each = len(features) // len(parts.train)
        aim, share = np.repeat(wanted["train"], each, 0), np.repeat(weights / each, each)
        mild = None if views is None else np.tile(views.mild, len(parts.train))
        fit_heads(net, features, aim, share, config.fit, mild=mild)
        with torch.no_grad():
            z = net.heads(torch.from_numpy(features).to(where)).cpu()
            loss = masked_bce(z, torch.from_numpy(aim)) @ torch.from_numpy(share).float()
        folder.save_logits(out / "probe_val.npz", parts.val, logits_of(net, val, "probe, val"))
        folder.save_logits(out / "probe_test.npz", parts.test, logits_of(net, test, "probe, test"))
        folder.save_tensors(out / folder.INITIAL, net.state_dict())
        note(0, float(loss), net)

    initial = folder.load_tensors(out / folder.INITIAL)
    plain = None if views is None else views.initial_plain(parts.train, net.widths[-1])
    result = fine_tune(config, net, augmented, wanted["train"], weights, state, out, note, plain)
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
    for place in range(config.fit.edited_views):
        assert edited is not None
        seen = edited.view(parts.val, place)
        logits = logits_of(result, seen, f"validation, changed {place + 1}")
        folder.save_logits(out / folder.EDITED.format(place), parts.val, logits)
    metrics = assess(config, parts, out)
    metrics["minutes"] = round((time.monotonic() - started) / 60, 1)
    folder.write_json(out / folder.METRICS, metrics)
    return metrics


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
