"""A whole training on drawn pictures: fit, stop, resume, export, scan."""

import copy
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from conftest import noise
from PIL import Image

import faunalens_train.run
from faunalens.labels import load_labels
from faunalens.model import Model
from faunalens.pipeline import Classifier
from faunalens_data.cli import main as data_main
from faunalens_train.cli import main
from faunalens_train.net import FaunaNet
from faunalens_train.pair import load_pair
from faunalens_train.probe import fit_heads
from faunalens_train.recipe import config_from_dict
from faunalens_train.tune import fine_tune

LABELS = load_labels().ids
KINDS = ("goods", "scene", "animal", "like_ivory")

NOISE = torch.from_numpy(np.stack([noise(32, 32, seed=i) for i in range(8)]))

pytestmark = pytest.mark.slow


def run(*words: object) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of folders with 12 pictures a label, its splits, and a configuration."""
    root = tmp_path_factory.mktemp("work")
    rng = np.random.default_rng(0)
    for number, name in enumerate([*LABELS, *(f"negative_{kind}" for kind in KINDS)]):
        folder = root / "photos" / name
        folder.mkdir(parents=True)
        hue = rng.integers(40, 216, 3)
        for i in range(12):
            pixels = noise(48, 40, seed=100 * number + i) // 4 + (hue * 3 // 4).astype(np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    done = CliRunner().invoke(
        data_main, ["split", str(root / "photos"), "--out", str(root / "splits.csv")]
    )
    assert done.exit_code == 0, done.output
    (root / "config.toml").write_text(
        """
version = "9.9"
[data]
manifest = "photos"
splits = "splits.csv"
[net]
pretrained = false
size_px = 32
surface = 4
[fit]
epochs = 3
batch = 16
epoch_pictures = 32
"""
    )
    return root


@pytest.fixture(scope="module")
def finished(work: Path) -> Path:
    out = work / "run"
    result = run("fit", work / "config.toml", "--out", out)
    assert result.exit_code == 0, result.output
    return out


def test_run_folder_holds_all(finished: Path) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"config.json", "provenance.json", "history.csv", "curves.png", "checkpoint.pt",
            "weights.pt", "val.npz", "test.npz", "metrics.json"} <= names  # fmt: skip
    facts = json.loads((finished / "provenance.json").read_text())
    assert set(facts["pictures"]) == {"train", "val", "test"}
    assert {"commit", "packages", "manifest", "held_out"} <= set(facts)
    metrics = json.loads((finished / "metrics.json").read_text())
    assert set(metrics["test"]) == set(LABELS)
    assert set(metrics["false_alarms"]) <= {*KINDS, "all"}
    shown = run("evaluate", finished)
    assert shown.exit_code == 0, shown.output
    assert "ivory" in shown.stdout
    assert (finished / "evaluation" / "evaluation.html").is_file()


def test_a_folder_in_use_is_refused(finished: Path, work: Path) -> None:
    result = run("fit", work / "config.toml", "--out", finished)
    assert result.exit_code == 1
    assert "already holds a run" in result.stderr
    other = work / "other.toml"
    other.write_text((work / "config.toml").read_text().replace("batch = 16", "batch = 8"))
    result = run("fit", other, "--out", finished, "--resume")
    assert "another configuration" in result.stderr


def test_a_run_cut_off_and_resumed_ends_the_same(
    finished: Path, work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = work / "cut"
    save = faunalens_train.run.save_tensors

    def power_cut(path: Path, value: dict[str, object]) -> None:
        save(path, value)
        if path.name == "checkpoint.pt" and value["epoch"] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(faunalens_train.run, "save_tensors", power_cut)
    assert run("fit", work / "config.toml", "--out", out).exit_code == 1
    assert not (out / "metrics.json").exists()
    monkeypatch.undo()
    assert run("fit", work / "config.toml", "--out", out, "--resume").exit_code == 0
    for name in ("val.npz", "test.npz"):
        with np.load(finished / name) as whole, np.load(out / name) as resumed:
            assert np.abs(whole["logits"] - resumed["logits"]).max() < 1e-4


def test_export_and_the_gate(finished: Path, work: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = work / "model.onnx"
    result = run("export", finished, "--out", out)
    assert result.exit_code == 0, result.output
    model = Model(out)
    assert model.spec.version == "9.9"
    assert model.spec.labels == LABELS
    assert model.spec.dataset["train"] > 100
    assert run("export", finished, "--out", work / "again.onnx").exit_code == 0
    assert (work / "again.onnx").read_bytes() == out.read_bytes()

    # A file that says something else must not be left behind, nor replace a good one.
    monkeypatch.setattr("faunalens_train.export.MAX_DIFFERENCE", -1.0)
    for path in (out, work / "none.onnx"):
        before = path.read_bytes() if path.exists() else None
        result = run("export", finished, "--out", path)
        assert result.exit_code == 1
        assert "differ by" in result.stderr
        assert (path.read_bytes() if path.exists() else None) == before
    assert not list(work.glob("*.part"))


def test_two_runs_become_a_pair(finished: Path, work: Path) -> None:
    sharper = work / "sharper.toml"
    sharper.write_text((work / "config.toml").read_text().replace("size_px = 32", "size_px = 64"))
    assert run("fit", sharper, "--out", work / "sharper").exit_code == 0
    out = work / "pair" / "model.onnx"
    out.parent.mkdir()
    result = run("export", finished, "--second", work / "sharper", "--out", out)
    assert result.exit_code == 0, result.output
    assert {path.name for path in out.parent.iterdir()} == {"model.onnx", "model-sharp.onnx"}
    model = Model(out)
    assert model.spec.second is not None and model.spec.second.file == "model-sharp.onnx"
    photo = work / "photos" / "ivory" / "0.png"
    assert Classifier(model).classify(photo).record.status == "ok"

    other = work / "other-fold"
    assert run("fit", sharper, "--out", other, "--held-out", "group_fold:0").exit_code == 0
    result = run("export", finished, "--second", other, "--out", out)
    assert result.exit_code == 1 and "differ in held_out" in result.stderr


def test_changed_pictures_are_noticed(finished: Path, work: Path) -> None:
    other = work / "photos" / "ivory" / "new.png"
    shutil.copy(work / "photos" / "ivory" / "0.png", other)
    Image.fromarray(noise(30, 30, 5)).save(other)
    try:
        result = run("export", finished, "--out", work / "changed.onnx")
    finally:
        other.unlink()
    assert result.exit_code == 1
    assert not (work / "changed.onnx").exists()


def test_cross_validation_pools_folds(work: Path) -> None:
    config = work / "quick.toml"
    text = (work / "config.toml").read_text()
    config.write_text(text.replace("epochs = 3", "epochs = 1\ncached_views = 2"))
    out = work / "folds"
    result = run("crossval", config, "--out", out, "--by", "group", "--cache", work / "cache")
    assert result.exit_code == 0, result.output
    # The views and their features, made once for all folds.
    assert len(list((work / "cache").iterdir())) == 2
    pooled = json.loads((out / "metrics.json").read_text())
    assert pooled["test"]["ivory"]["pictures"] == 12
    assert len(pooled["folds"]) == 5


def test_harder_views_teach_no_surface_and_changed_ones_calibrate(
    work: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = work / "harder.toml"
    text = (work / "config.toml").read_text()
    views = "epochs = 1\ncached_views = 2\nharder_views = 1\nedited_views = 2\ndistil = 1.0"
    text = text.replace("surface = 4", "surface = 4\nprior = 0.5")
    config.write_text(text.replace("epochs = 3", views))
    seen = {}

    def spy(net: object, features: np.ndarray, *rest: object, mild: np.ndarray) -> None:
        seen["features"], seen["mild"] = features, mild
        fit_heads(net, features, *rest, mild=mild)  # type: ignore[arg-type]

    monkeypatch.setattr("faunalens_train.fit.fit_heads", spy)
    result = run("fit", config, "--out", work / "harder", "--held-out", "group_fold:2")
    assert result.exit_code == 0, result.output
    # Of each picture the plain view and two, then a harder one.
    assert len(seen["features"]) == len(seen["mild"])
    assert seen["mild"].reshape(-1, 4).tolist() == [[True, True, True, False]] * (
        len(seen["mild"]) // 4
    )
    out = work / "harder"
    spec = json.loads((out / "metrics.json").read_text())["spec"]
    assert spec["calibration"]["changed_views"] == 2
    plain, *changed = (
        faunalens_train.run.load_logits(out / name)
        for name in ("val.npz", "val_edited_0.npz", "val_edited_1.npz")
    )
    assert changed[0].keys() == changed[1].keys() == plain.keys()
    # Of one cache, whose random stages are the same: only the views differ.
    first, second = (np.stack(list(one.values())) for one in changed)
    assert not np.allclose(first, second)
    # Two models are joined on the same changed views, or not at all.
    other = work / "harder-other"
    shutil.copytree(out, other)
    raw = json.loads((other / "config.json").read_text())
    raw["edited"]["blur_p"] = 0.01
    (other / "config.json").write_text(json.dumps(raw))
    assert load_pair(out, out).joint.weights
    with pytest.raises(faunalens_train.run.RunError, match="edited"):
        load_pair(out, other)


def tuned(folder: Path, *, target: float, distil: float, mild: bool = True) -> list[FaunaNet]:
    """A network before and after 16 steps on eight pictures of noise, plain ones upside down."""
    config = config_from_dict(
        {
            "data": {"manifest": "m", "splits": "s"},
            "net": {"pretrained": False, "size_px": 32, "surface": 4, "prior": 0.5},
            "fit": {"cached_views": 1, "epochs": 1, "epoch_pictures": 64, "batch": 4, "ema": 0.0,
                    "distil": distil, "weight_decay": 0.0},
        }
    )  # fmt: skip
    torch.manual_seed(0)
    net = FaunaNet(config.net, len(LABELS)).eval()
    before = copy.deepcopy(net)
    means = final_means(net, NOISE.flip(1)).numpy()
    photos = [(picture, i, mild) for i, picture in enumerate(NOISE)]
    wanted = np.full((8, len(LABELS)), target, np.float32)
    weights = np.full(8, 1 / 8)
    fine_tune(config, net, photos, wanted, weights, None, folder, lambda *_: None, means)  # type: ignore[arg-type]
    return [before, net.eval()]


def final_means(net: FaunaNet, pictures: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return net.pooled(pictures)[:, -net.widths[-1] :]


@pytest.mark.parametrize("mild", [True, False])
def test_fine_tuning_learns_no_surface_from_harder_views(mild: bool, tmp_path: Path) -> None:
    before, after = tuned(tmp_path, target=1.0, distil=1.0, mild=mild)
    assert before.surface_head is not None and after.surface_head is not None
    assert torch.equal(before.surface_head.weight, after.surface_head.weight) == (not mild)
    assert not torch.equal(before.head.weight, after.head.weight)


def test_distillation_draws_changed_views_to_what_the_plain_photo_is(tmp_path: Path) -> None:
    left = []
    for distil in (0.0, 1.0):
        before, after = tuned(tmp_path, target=np.nan, distil=distil)  # no label teaches anything
        assert after.prior is not None
        meant = final_means(before, NOISE.flip(1))
        start, end = (
            float(after.prior.departure(final_means(net, NOISE), meant)) for net in (before, after)
        )
        left.append(end / start)
    assert left[0] == pytest.approx(1, rel=1e-3)
    assert left[1] < 0.8


def test_a_fold_without_fine_tuning_is_judged_by_its_probes(work: Path) -> None:
    config = work / "probes.toml"
    text = (work / "config.toml").read_text()
    config.write_text(text.replace("epochs = 3", "epochs = 0\ncached_views = 2"))
    out = work / "probes"
    place = ("--held-out", "group_fold:1", "--cache", work / "cache")
    result = run("fit", config, "--out", out, *place)
    assert result.exit_code == 0, result.output
    for name in ("val", "test"):
        assert (out / f"{name}.npz").read_bytes() == (out / f"probe_{name}.npz").read_bytes()
    assert json.loads((out / "metrics.json").read_text())["test"]["ivory"]["pictures"]
