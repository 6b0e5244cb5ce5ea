"""A run's folder: everything needed to understand it, go on with it, or repeat it.

config.json      the resolved configuration
provenance.json  held-out set, manifest fingerprint, part sizes, git commit, versions, machine
history.csv      one line per epoch
curves.png       the same, drawn
checkpoint.pt    the state after the last whole epoch (tensors and numbers only)
initial.pt       the weights that fine-tuning started from
weights.pt       the weights of the result
val.npz test.npz logits of the validation and the test pictures
val_edited_*.npz of changed views of the validation pictures, if calibration sees such
metrics.json     all figures of the result, and of the linear probe that it started from
"""

import csv
import importlib.metadata
import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from faunalens.errors import FaunalensError
from faunalens_data.files import write_text
from faunalens_data.row import Row
from faunalens_train.config import TrainConfig
from faunalens_train.recipe import config_from_dict

CONFIG, PROVENANCE, HISTORY, CURVES = "config.json", "provenance.json", "history.csv", "curves.png"
INITIAL, CHECKPOINT, WEIGHTS = "initial.pt", "checkpoint.pt", "weights.pt"
METRICS = "metrics.json"
EDITED = "val_edited_{}.npz"


class RunError(FaunalensError):
    """A run folder is missing, incomplete, or belongs to another configuration."""


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, keys in the order given."""
    write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON of a run folder.

    Raises:
        RunError: Missing or malformed.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, json.JSONDecodeError) as error:
        raise RunError(f"cannot read {path}: {error}; expected a folder made by `fit`") from error


def save_tensors(path: Path, value: Mapping[str, Any]) -> None:
    """Save tensors and plain numbers atomically."""
    part = path.with_name(path.name + ".part")
    torch.save(dict(value), part)
    os.replace(part, path)


def load_tensors(path: Path) -> dict[str, Any]:
    """The inverse of `save_tensors`; refuses anything but tensors and plain values.

    Raises:
        RunError: Missing or not such a file.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises UnpicklingError, RuntimeError, EOFError, OSError
        raise RunError(f"cannot read {path}: {error}") from error
    if not isinstance(loaded, dict):
        raise RunError(f"{path} does not hold a run's state")
    return loaded


def load_config_of(run: Path) -> TrainConfig:
    """The configuration that a run folder was made with."""
    return config_from_dict(read_json(run / CONFIG))


def save_logits(path: Path, rows: Sequence[Row], logits: npt.NDArray[np.float32]) -> None:
    """Logits `(N, L)` with the hashes of their pictures, in order."""
    part = path.with_name(path.name + ".part.npz")
    np.savez(part, sha256=np.array([row.sha256 for row in rows]), logits=logits)
    os.replace(part, path)


def load_logits(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    """Hash of a picture to its logits `(L,)`.

    Raises:
        RunError: Missing or malformed.
    """
    try:
        with np.load(path, allow_pickle=False) as stored:
            return dict(zip(stored["sha256"].tolist(), stored["logits"], strict=True))
    except (OSError, KeyError, ValueError) as error:
        raise RunError(f"cannot read {path}: {error}") from error


def append_history(path: Path, line: Mapping[str, Any]) -> None:
    """Add one epoch."""
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(line))
        if new:
            writer.writeheader()
        writer.writerow(line)


def read_history(path: Path) -> list[dict[str, float]]:
    """All epochs so far; none if there is no file yet."""
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as handle:
        return [
            {key: float(value) for key, value in line.items()} for line in csv.DictReader(handle)
        ]


def draw_curves(run: Path) -> None:
    """Draw the history: loss, and mean recall of the validation pictures."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot as plt

    history = read_history(run / HISTORY)
    epochs = [line["epoch"] for line in history]
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    left.plot(epochs, [line["train_loss"] for line in history], marker="o", label="training")
    left.plot(epochs, [line["val_loss"] for line in history], marker="o", label="validation")
    left.set(xlabel="epoch (0 = linear probe)", ylabel="log-loss per picture", yscale="log")
    left.legend()
    for key in ("val_recall@0.01", "val_recall@0.001"):
        right.plot(epochs, [line[key] for line in history], marker="o", label=key)
    right.set(xlabel="epoch (0 = linear probe)", ylabel="mean recall over labels", ylim=(0, 1.02))
    right.legend()
    for axis in (left, right):
        axis.xaxis.get_major_locator().set_params(integer=True)
        axis.grid(alpha=0.3)
    figure.savefig(run / CURVES, dpi=110)
    plt.close(figure)


def provenance(**facts: Any) -> dict[str, Any]:
    """Given facts, with commit, versions and machine."""
    packages = ("faunalens", "torch", "torchvision", "timm", "numpy", "pillow", "scikit-learn")
    return {
        **facts,
        "commit": git_commit(),
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in packages},
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def git_commit() -> str:
    """Commit of the training code, with `+` if files differ from it; `unknown` outside git."""
    here = Path(__file__).parent
    try:
        commit, status = (
            subprocess.run(
                ["git", "-C", str(here), *words], capture_output=True, text=True, check=True
            ).stdout.strip()
            for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", str(here)))
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+" if status else "")
