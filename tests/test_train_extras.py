"""Species hints and novelty, from a finished run to the file that ships."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from conftest import noise
from PIL import Image

from faunalens.labels import load_labels
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_data.cli import main as data_main
from faunalens_data.row import Row
from faunalens_train import novelty as novelty_module
from faunalens_train.backbone import imagenet_classifier
from faunalens_train.calibrate import Calibration
from faunalens_train.cli import main
from faunalens_train.config import NetConfig
from faunalens_train.export import ExportNet
from faunalens_train.net import FaunaNet
from faunalens_train.novelty import Novelty, NoveltyNet, is_photo
from faunalens_train.strange import DERIVED, DRAWN
from faunalens_train.taxa import TaxonNet, distil, known_taxon

LABELS = load_labels().ids
TAXA = load_labels().taxa


def row(path: str, label: str = "big_cat", note: str = "", kind: str = "other") -> Row:
    return Row(
        file="1.jpg",
        sha256=f"{1:064x}",
        labels=(label,),
        group="g",
        source="s",
        source_path=path,
        note=note,
        photo_kind=kind,
        negative_kind=None,
    )


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.mark.parametrize("kind", DRAWN)
def test_strange_pictures_are_repeated_by_their_seed(kind: str) -> None:
    first, again, other = (DRAWN[kind](np.random.default_rng(seed)) for seed in (3, 3, 4))
    assert first.dtype == np.uint8 and first.ndim == 3 and first.shape[2] == 3
    assert np.array_equal(first, again)
    assert first.shape != other.shape or not np.array_equal(first, other)


@pytest.mark.parametrize("kind", DERIVED)
def test_strange_versions_of_a_photo_keep_its_size(kind: str) -> None:
    photo = noise(60, 40)
    made = DERIVED[kind](photo, np.random.default_rng(0))
    assert made.shape == photo.shape and made.dtype == np.uint8
    assert not np.array_equal(made, photo)
    flat = DERIVED[kind](np.full((8, 8, 3), 255, np.uint8), np.random.default_rng(0))
    assert flat.shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (row("n02128385_leopard.JPEG"), "panthera_pardus"),
        (row("x/n02128757_snow_leopard.JPEG"), "panthera_uncia"),
        (row("n09999999_thing.JPEG"), None),
        (row("101_ObjectCategories/Leopards/image_0001.jpg"), "panthera_pardus"),
        (row("snow-leopard-2.png"), "panthera_uncia"),
        (row("a/b.jpg", note="tiger with a monk"), "panthera_tigris"),
        (row("leopard_gecko.jpg", "live_lizard"), None),
        (row("stallion.jpg"), None),
        (row("komodo dragon.jpg", "live_lizard"), "varanus_komodoensis"),
    ],
)
def test_a_source_that_names_a_taxon_is_understood(given: Row, expected: str | None) -> None:
    place = known_taxon(given, TAXA)
    assert (None if place < 0 else TAXA[place].id) == expected


def test_distilling_learns_what_the_start_does_not_know() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(600, 6)).astype(np.float32)
    truth = rng.normal(size=(4, 6)).astype(np.float32)
    aim = torch.softmax(torch.from_numpy(features @ truth.T * 2), 1).numpy()
    start = torch.zeros(4, 6), torch.zeros(4)
    weight, bias = distil(features, aim, start)
    found = torch.softmax(torch.from_numpy(features @ weight.T + bias), 1).numpy()
    assert (found.argmax(1) == aim.argmax(1)).mean() > 0.95
    assert np.abs(found - aim).mean() < 0.1
    # The penalty holds the head near its start: nearer than to nothing.
    near, _ = distil(features, aim, (torch.from_numpy(truth * 2), torch.zeros(4)))
    assert np.abs(near - truth * 2).max() < 1e-2 < np.abs(weight - truth * 2).max()


def test_novelty_in_the_graph_is_that_of_numpy_and_has_its_limit() -> None:
    rng = np.random.default_rng(0)
    photos = rng.normal(size=(500, 7)).astype(np.float32)
    one = Novelty(rng.normal(size=7).astype(np.float32), 0.3).scaled(photos)
    scores = one.score(photos)
    assert np.median(scores) == pytest.approx(0, abs=1e-5)
    assert 0 < (scores >= 1).mean() <= novelty_module.RATE
    in_graph = NoveltyNet(one)(torch.from_numpy(photos)).numpy()
    assert np.abs(in_graph - scores).max() < 1e-4
    assert (one.scaled(photos, 2).score(photos) >= 1).mean() < (scores >= 1).mean() + 1e-9


def test_strange_features_are_told_from_photos() -> None:
    rng = np.random.default_rng(0)
    photos = rng.normal(size=(400, 8)).astype(np.float32)
    strange = photos[:100] + np.array([4, 0, 0, 0, -4, 0, 0, 0], np.float32)
    one = novelty_module._fit(photos[100:], strange).scaled(photos[100:])
    assert (one.score(strange) >= 1).mean() > 0.95


def test_drawings_and_toys_are_no_photos() -> None:
    assert is_photo(row("a.jpg"))
    assert not is_photo(row("a.jpg", kind="drawing"))
    assert not is_photo(replace(row("a.jpg"), labels=(), negative_kind="toy_or_art"))


def test_the_export_form_names_what_it_gives() -> None:
    torch.manual_seed(0)
    net = FaunaNet(NetConfig(pretrained=False, size_px=64, levels=2), len(LABELS)).eval()
    calibration = Calibration((1.0,) * len(LABELS), (0.0,) * len(LABELS))
    width = sum(net.widths)
    weight = np.random.default_rng(0).normal(0, 0.01, (4, width)).astype(np.float32)
    taxon = TaxonNet(weight, np.zeros(4, np.float32))
    score = NoveltyNet(Novelty(weight[0], 0.5))
    images = torch.from_numpy(noise(64, 64)[None])
    with torch.no_grad():
        pooled = net.pooled(images)
        for parts, names in (
            ((None, None), []),
            ((taxon, None), ["taxon"]),
            ((None, score), ["novelty"]),
            ((taxon, score), ["taxon", "novelty"]),
        ):
            module = ExportNet(net, calibration, *parts)
            given = dict(zip(module.outputs, module(images), strict=True))
            assert list(given)[3:] == names
        assert given["taxon"].shape == (1, 3)
        assert 0 < float(given["taxon"].sum()) < 1  # the rest is for anything else
        assert torch.allclose(
            given["novelty"], pooled @ torch.from_numpy(weight[0]) + 0.5, atol=1e-4
        )


def test_the_classifier_of_the_weights_is_the_one_of_imagenet() -> None:
    weight, bias = imagenet_classifier("tf_efficientnet_lite0")
    assert (weight.shape, bias.shape) == ((1000, 1280), (1000,))


@pytest.mark.slow
def test_from_a_run_to_a_model_that_hints(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number, name in enumerate([*LABELS, "negative_goods"]):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for i in range(12):
            pixels = noise(48, 40, seed=100 * number + i) // 4 + np.uint8(11 * number)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    split = ["split", str(tmp_path / "photos"), "--out", str(tmp_path / "splits.csv")]
    assert CliRunner().invoke(data_main, split).exit_code == 0
    (tmp_path / "config.toml").write_text(
        "[data]\nmanifest = 'photos'\nsplits = 'splits.csv'\n"
        "[net]\nsize_px = 32\nlevels = 2\nsurface = 6\n[fit]\nepochs = 0\n"
    )
    out = tmp_path / "run"
    assert run("fit", tmp_path / "config.toml", "--out", out).exit_code == 0
    monkeypatch.setattr(novelty_module, "LEARNT", 12)
    monkeypatch.setattr(novelty_module, "ASKED", 6)
    said = run("taxa", out)
    assert said.exit_code == 0, said.output
    assert f"{len(TAXA)} taxa" in said.output
    kept = (out / "features.npz").stat().st_mtime_ns
    said = run("novelty", out)
    assert said.exit_code == 0, said.output
    assert "xray_of_photo" in said.output
    assert (out / "features.npz").stat().st_mtime_ns == kept  # computed once
    report = json.loads((out / "novelty.json").read_text())
    assert report["novel of photos of unseen sources"] <= 0.02

    said = run("export", out, "--out", tmp_path / "full.onnx")
    assert said.exit_code == 0, said.output
    model = Model(tmp_path / "full.onnx")
    assert [taxon.id for taxon in model.spec.taxa] == [taxon.id for taxon in TAXA]
    assert model.spec.novelty is not None and model.spec.novelty.threshold == 1
    judged = Classifier(model).classify(tmp_path / "photos" / LABELS[0] / "0.png")
    assert judged.record.status == "ok" and judged.novelty is not None

    # Untrained features are those of the backbone: what the head says is what it said.
    figures = json.loads((out / "taxa.json").read_text())["figures"]
    assert set(figures) == {"all", "ImageNet sample", "val and test part"}

    # A run without them exports as before.
    bare = tmp_path / "bare"
    shutil.copytree(out, bare, ignore=shutil.ignore_patterns("taxa.*", "novelty.*"))
    assert run("export", bare, "--out", tmp_path / "bare.onnx").exit_code == 0
    spec = Model(tmp_path / "bare.onnx").spec
    assert (spec.taxa, spec.novelty) == ((), None)
