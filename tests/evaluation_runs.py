"""Run folders as `fit` and `crossval` leave them, with drawn pictures and made-up logits."""

from pathlib import Path

import numpy as np
from conftest import COLOURS, noise
from PIL import Image

from faunalens.labels import load_labels
from faunalens_data.manifest import from_folder
from faunalens_data.split import make_splits, write_splits
from faunalens_train import run as folder
from faunalens_train.dataset import load_parts, targets
from faunalens_train.evaluate import assess
from faunalens_train.recipe import config_from_dict

LABELS = load_labels().ids
KINDS = ("goods", "scene", "like_ivory")
EACH = 12


def draw_set(root: Path) -> Path:
    """A folder of folders: labels the tiny model knows in their colour, the rest in grey noise."""
    for number, name in enumerate([*LABELS, *(f"negative_{kind}" for kind in KINDS)]):
        place = root / "photos" / name
        place.mkdir(parents=True)
        for i in range(EACH if name in LABELS else 4 * EACH):
            pixels = noise(24, 20, seed=1000 * number + i) // 8
            pixels += (np.array(COLOURS.get(name, (90, 90, 90))) * 7 // 8).astype(np.uint8)
            Image.fromarray(pixels).save(place / f"{i}.png")
    splits = make_splits(from_folder(root / "photos"), folds=2)
    write_splits(root / "splits.csv", splits)
    return root


def write_run(root: Path, out: Path, held_out: str, strength: float) -> Path:
    """A finished run whose logits tell labels apart by `strength`.

    A picture of ivory has `strength` standard deviations more than others, and so on.
    """
    config = config_from_dict(
        {"data": {"manifest": str(root / "photos"), "splits": str(root / "splits.csv")}}
    )
    parts = load_parts(config.data, LABELS, held_out)
    out.mkdir(parents=True)
    facts = {
        name: [row.sha256 for row in getattr(parts, name)] for name in ("train", "val", "test")
    }
    folder.write_json(
        out / folder.PROVENANCE,
        folder.provenance(
            held_out=held_out,
            manifest=parts.fingerprint,
            pictures={name: len(hashes) for name, hashes in facts.items()},
        ),
    )
    folder.write_json(out / folder.CONFIG, config.to_dict())
    for number, (name, rows) in enumerate((("val", parts.val), ("test", parts.test))):
        wanted = targets(rows, LABELS, {})
        drawn = np.random.default_rng(number).normal(-2, 1, wanted.shape)
        logits = (drawn + strength * wanted).astype(np.float32)
        for stage in ("", "probe_"):
            folder.save_logits(out / f"{stage}{name}.npz", rows, logits)
    folder.write_json(out / folder.METRICS, {**assess(config, parts, out), "minutes": 1.5})
    return out


def write_folds(root: Path, out: Path, strength: float, scheme: str = "group_fold") -> Path:
    """Two finished folds."""
    for fold in range(2):
        write_run(root, out / f"fold{fold}", f"{scheme}:{fold}", strength)
    return out
