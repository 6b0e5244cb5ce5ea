"""The floor that a trained model must beat: a linear probe on frozen features, by the same folds.

    python tests/benchmarks/probe_floor.py train/recipes/sharp.toml [--size 260] [--folds 2 4]

Features of the recipe's backbone with its ImageNet weights, of plain photos, the final map alone;
the probe is fitted as the one that training starts from. Recall at 1 % and 0.1 % false positives
over all negatives, of the test part and of the source folds, whose pictures are pooled by the
share of their fold's negatives that score as high.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from faunalens.labels import load_labels
from faunalens.spec import ResizeRule
from faunalens_data.manifest import load_rows
from faunalens_data.row import Row
from faunalens_train.dataset import PhotoDataset, draw_weights, load_parts, targets
from faunalens_train.metrics import label_metrics
from faunalens_train.net import FaunaNet
from faunalens_train.probe import fit_probe, mean_decays, pooled_features
from faunalens_train.recipe import load_config
from faunalens_train.scored import ranks


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--size", type=int, default=260)
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    options = parser.parse_args()

    config = load_config(options.recipe)
    labels = load_labels().ids
    torch.set_num_threads(1)
    net = FaunaNet(replace(config.net, size_px=options.size, levels=1, surface=0), len(labels))
    dataset = load_rows(config.data.manifest, images=config.data.images or None)
    photos = PhotoDataset(dataset.rows, dataset.images, ResizeRule(options.size))
    features = pooled_features(net, photos, batch=16, workers=0, amp=True, title="features")
    index = {row.sha256: i for i, row in enumerate(dataset.rows)}

    def of(rows: list[Row]) -> np.ndarray:
        return features[[index[row.sha256] for row in rows]].astype(np.float32)

    def scores(held_out: str) -> tuple[list[Row], np.ndarray]:
        parts = load_parts(config.data, labels, held_out)
        weight, bias = fit_probe(
            of(parts.train),
            targets(parts.train, labels, config.data.unknown),
            draw_weights(parts.train, config.balance),
            mean_decays(range(len(labels)), config.fit),
        )
        return parts.test, of(parts.test) @ weight.numpy().T + bias.numpy()

    def figures(rows: list[Row], found: np.ndarray) -> dict[str, dict[str, float]]:
        wanted = targets(rows, labels, config.data.unknown)
        return label_metrics(found.astype(np.float64), wanted, rows, labels)

    columns = {"test part": figures(*scores("part"))}
    rows, pooled = [], []
    for fold in options.folds:
        test, found = scores(f"source_fold:{fold}")
        negative = np.array([row.is_negative for row in test])
        rows += test
        pooled.append(ranks(found.astype(np.float64), negative))
    columns["source folds " + " ".join(map(str, options.folds))] = figures(
        rows, np.concatenate(pooled)
    )
    print(f"{config.net.backbone}, {options.size} px: recall at 1 % / at 0.1 % (pictures)")
    print(f"{'':<18}" + "".join(f"{name:>28}" for name in columns))
    for label in labels:
        cells = [
            f"{one['recall@0.01']:.2f} / {one['recall@0.001']:.2f} ({one['pictures']})"
            if one
            else ""
            for one in (column.get(label) for column in columns.values())
        ]
        print(f"{label:<18}" + "".join(f"{cell:>28}" for cell in cells))


if __name__ == "__main__":
    main()
