"""Views of pictures that are made once and kept: for training, and for calibration."""

import dataclasses
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
import torch
from conftest import ROOT, noise
from PIL import Image
from test_train import row
from torch import nn

from faunalens_train import graph
from faunalens_train.cache import _Views, open_cache, open_edited
from faunalens_train.config import AugmentConfig, ConfigError
from faunalens_train.recipe import config_from_dict, load_config

DATA = {"manifest": "m.csv", "splits": "s.csv"}


def test_cached_views_do_not_depend_on_workers(tmp_path: Path) -> None:
    rows = [row(i, (), "goods") for i in range(5)]
    for one in rows:
        Image.fromarray(noise(50, 40, int(one.sha256, 16))).save(tmp_path / one.file)
    base = config_from_dict(
        {"data": DATA, "net": {"pretrained": False, "size_px": 32}, "fit": {"cached_views": 3}}
    )
    cells = {one.sha256: ("train", 0, 0) for one in rows}
    caches = []
    for workers in (0, 2):
        config = dataclasses.replace(base, fit=dataclasses.replace(base.fit, workers=workers))
        torch.manual_seed(0)  # the weights are random here
        cache = open_cache(config, rows, cells, tmp_path, tmp_path / f"cache{workers}")
        assert cache is not None
        caches.append(cache)
    stored = [cache.stored for cache in caches]
    assert stored[0].shape == (5, 4, 80, 2, 2)
    assert np.array_equal(stored[0], stored[1])
    assert not np.array_equal(stored[0][:, 1], stored[0][:, 2])
    plain, index, mild = caches[0].plain(rows[3:])[1]
    assert (index, mild) == (1, True)
    assert np.array_equal(plain.numpy(), stored[0][4, 0])
    width = caches[0].initial.shape[2] // 2
    means = caches[0].initial_plain([rows[4], rows[1]], width)
    assert np.array_equal(means, caches[0].initial[[4, 1], 0, -width:])
    with pytest.raises(ConfigError, match="frozen_stages"):
        nothing = dataclasses.replace(base, net=dataclasses.replace(base.net, frozen_stages=0))
        open_cache(nothing, rows, cells, tmp_path, tmp_path)


@pytest.mark.slow
def test_many_views_are_computed_by_onnxruntime_to_what_torch_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [row(i, (), "goods") for i in range(9)]  # the last batch is a smaller one
    for one in rows:
        Image.fromarray(noise(50, 40, int(one.sha256, 16))).save(tmp_path / one.file)
    cells = {one.sha256: ("train", 0, 0) for one in rows}
    net = {"size_px": 64, "frozen_stages": 3, "levels": 4, "surface": 8}
    config = config_from_dict({"data": DATA, "net": net, "fit": {"cached_views": 2}})
    exported: list[tuple[int, ...]] = []
    export = graph.onnx_graph

    def watched(module: nn.Module, example: torch.Tensor, **names: list[str]) -> onnx.ModelProto:
        exported.append(tuple(example.shape))
        return export(module, example, inputs=names["inputs"], outputs=names["outputs"])

    monkeypatch.setattr(graph, "onnx_graph", watched)
    caches = []
    for worth in (graph.WORTH_EXPORT, 1):
        monkeypatch.setattr(graph, "WORTH_EXPORT", worth)
        cache = open_cache(config, rows, cells, tmp_path, tmp_path / str(worth))
        assert cache is not None
        caches.append(cache)
    assert exported == [(6, 64, 64, 3), (2, 40, 8, 8)]
    for ours, plain in (
        (caches[1].stored, caches[0].stored),
        (caches[1].initial, caches[0].initial),
    ):
        wanted = plain.astype(np.float32)
        assert np.allclose(ours, wanted, rtol=0.01, atol=0.002 * float(np.abs(wanted).max()))
        assert wanted.std() > 0


def test_harder_views_come_after_the_others_and_leave_them_as_they_are(tmp_path: Path) -> None:
    rows = [row(i, (), "goods") for i in range(4)]
    for one in rows:
        Image.fromarray(noise(50, 40, int(one.sha256, 16))).save(tmp_path / one.file)
    cells = {one.sha256: ("train", 0, 0) for one in rows}
    base = {"data": DATA, "net": {"pretrained": False, "size_px": 32}}
    chances = [f.name for f in dataclasses.fields(AugmentConfig) if f.name.endswith("_p")]
    caches = []
    harder = {
        "fit": {"cached_views": 2, "harder_views": 3, "epochs": 0},
        "harder": dict.fromkeys(chances, 0.0),
    }
    for change in ({"fit": {"cached_views": 2}}, harder):
        config = config_from_dict({**base, **change})
        torch.manual_seed(0)  # the weights are random here
        cache = open_cache(config, rows, cells, tmp_path, tmp_path / "cache")
        assert cache is not None
        caches.append(cache)
    without, with_harder = caches
    assert with_harder.stored.shape[:2] == (4, 6)
    # Not to the last bit: batches of another size add up in another order.
    assert np.allclose(with_harder.stored[:, :3], without.stored, rtol=0.02, atol=0.02)
    assert with_harder.mild.tolist() == [True] * 3 + [False] * 3
    assert without.mild.tolist() == [True] * 3
    # Here `harder` leaves all to what it is, so its views are alike; the others are not.
    last = with_harder.stored[:, 3:].astype(np.float32)
    assert np.allclose(last, last[:, :1], rtol=0.02, atol=0.02)
    assert not np.allclose(without.stored[:, 1], without.stored[:, 2], rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    "fit",
    [
        {"harder_views": -1},
        {"harder_views": 1, "epochs": 0},
        {"harder_views": 0, "cached_views": 1, "epochs": 0},
    ],
)
@pytest.mark.parametrize("section", ["harder", "edited"])
def test_further_views_need_cached_ones(fit: dict[str, int], section: str) -> None:
    of_section = {key.replace("harder", section): value for key, value in fit.items()}
    with pytest.raises(ConfigError, match=f"{section}_views"):
        config_from_dict({"data": DATA, "fit": of_section, section: {"screen_p": 0.5}})


@pytest.mark.parametrize(
    ("fit", "prior"),
    [
        ({"cached_views": 1, "distil": -1.0}, 0.5),
        ({"cached_views": 1, "distil": float("nan")}, 0.5),
        ({"distil": 1.0}, 0.5),
        ({"cached_views": 1, "distil": 1.0}, 0.0),
        ({"cached_views": 1, "distil": 1.0, "epochs": 0}, 0.5),
    ],
)
def test_distillation_needs_plain_views_and_classes(fit: dict[str, float], prior: float) -> None:
    with pytest.raises(ConfigError, match="distil"):
        config_from_dict({"data": DATA, "fit": fit, "net": {"prior": prior}})


def test_the_recipes_of_a_pair_calibrate_on_the_same_views() -> None:
    first, sharp = (load_config(ROOT / f"train/recipes/{name}.toml") for name in ("first", "sharp"))
    assert first.edited == sharp.edited
    assert first.fit.edited_views == sharp.fit.edited_views > 0
    assert first.seed == sharp.seed


def test_changed_views_are_the_same_for_two_networks_of_two_sizes(tmp_path: Path) -> None:
    rows = [row(0, (), "goods")]
    Image.fromarray(noise(400, 300)).save(tmp_path / rows[0].file)
    cells = {rows[0].sha256: ("val", 0, 0)}
    seen = []
    for side in (64, 96):
        config = config_from_dict(
            {
                "data": DATA,
                "net": {"size_px": side},
                "edited": {"blur_p": 1.0},
                "fit": {"cached_views": 1, "edited_views": 1},
            }
        )
        views = _Views(config, rows, cells, tmp_path, plain=False)
        views.add(config.edited, 1, size_px=200)
        view = Image.fromarray(views[0][0].numpy())
        seen.append(np.asarray(view.resize((32, 32))).astype(int))
    assert np.abs(seen[0] - seen[1]).mean() < 6


def test_changed_views_of_validation_pictures_are_the_same_for_two_networks(
    tmp_path: Path,
) -> None:
    rows = [row(i, (), "goods") for i in range(4)]
    for one in rows:
        Image.fromarray(noise(50, 40, int(one.sha256, 16))).save(tmp_path / one.file)
    cells = {one.sha256: ("val" if i % 2 else "train", 0, 0) for i, one in enumerate(rows)}
    stored: list[npt.NDArray[np.float16]] = []
    for augment in ({"blur_p": 1.0}, {"turn_p": 1.0}):
        config = config_from_dict(
            {
                "data": DATA,
                "net": {"pretrained": False, "size_px": 32},
                "augment": augment,
                "edited": {"screen_p": 0.5},
                "fit": {"cached_views": 1, "edited_views": 2},
            }
        )
        torch.manual_seed(0)  # the weights are random here
        cache = open_edited(config, rows, cells, tmp_path, tmp_path / str(len(stored)))
        assert cache is not None
        assert list(cache.index) == [rows[1].sha256, rows[3].sha256]
        stored.append(cache.stored)
    assert stored[0].shape[:2] == (2, 2)
    assert np.array_equal(stored[0], stored[1])
    assert not np.array_equal(stored[0][:, 0], stored[0][:, 1])
    assert open_edited(config_from_dict({"data": DATA}), rows, cells, tmp_path, tmp_path) is None
