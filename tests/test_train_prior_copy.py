"""ImageNet's classes read through a copy of the last stages, which alone is trained."""

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import noise

from faunalens.labels import load_labels
from faunalens_train.calibrate import Calibration
from faunalens_train.config import ConfigError, TrainConfig
from faunalens_train.export import ExportNet
from faunalens_train.net import FaunaNet
from faunalens_train.recipe import config_from_dict
from faunalens_train.tune import fine_tune

LABELS = load_labels().ids
PHOTOS = torch.from_numpy(np.stack([noise(64, 64, seed) for seed in range(8)]))


def recipe(**fit: float) -> TrainConfig:
    fit = {"cached_views": 1, "epochs": 1, "epoch_pictures": 64, "batch": 4, "ema": 0.0, **fit}
    net = {"size_px": 64, "levels": 4, "surface": 4, "prior": 0.5, "prior_copy": True}
    return config_from_dict({"data": {"manifest": "m", "splits": "s"}, "net": net, "fit": fit})


@pytest.fixture
def net() -> FaunaNet:
    torch.manual_seed(0)
    net = FaunaNet(recipe(distil=1.0).net, len(LABELS)).eval()
    with torch.no_grad():
        net.head.bias.fill_(-2.0)
    return net


def test_before_training_the_copy_changes_nothing(net: FaunaNet) -> None:
    """Nor does leaving it out of cached features, whose last means then are the classes' too."""
    without = FaunaNet(replace(net.config, prior_copy=False), len(LABELS)).eval()
    missing = without.load_state_dict(net.state_dict(), strict=False)
    assert not missing.missing_keys
    with torch.no_grad():
        ours, theirs = net.pooled(PHOTOS), without.pooled(PHOTOS)
        assert ours.shape == (8, net.features)
        assert net.features == without.features + net.widths[-1]
        assert torch.allclose(ours[:, : without.features], theirs, atol=1e-5)
        logits = net.logits(ours)
        for other in (without.logits(theirs), net.logits(theirs)):
            assert torch.allclose(logits, other, atol=1e-4)


def test_distillation_trains_the_copy_alone(net: FaunaNet, tmp_path: Path) -> None:
    before = copy.deepcopy(net)
    with torch.no_grad():
        start = net.frozen(PHOTOS)
        meant = net.prior_means(start.flip(1))  # what the plain photos are said to show
    photos = [(one, i, True) for i, one in enumerate(start)]
    wanted = np.ones((8, len(LABELS)), np.float32)  # would move the heads, had labels a part in it
    fine_tune(
        recipe(distil=1.0), net, photos, wanted, np.full(8, 1 / 8), None, tmp_path,  # type: ignore[arg-type]
        lambda *_: None, meant.numpy(),
    )  # fmt: skip
    moved = {
        name
        for (name, after), start in zip(net.named_parameters(), before.parameters(), strict=True)
        if not torch.equal(after, start)
    }
    assert moved and {name.partition(".")[0] for name in moved} == {"prior_stages"}
    assert net.prior is not None
    with torch.no_grad():
        far = [float(net.prior.departure(one.prior_means(start), meant)) for one in (before, net)]
        assert far[1] < 0.8 * far[0]
        # The export reads classes through the copy, and all else as before.
        calibration = Calibration((1.0,) * len(LABELS), (0.0,) * len(LABELS))
        was, now = (ExportNet(one.eval(), calibration)(PHOTOS) for one in (before, net))
        expected = torch.sigmoid(net.logits(net.pooled(PHOTOS)))
    assert torch.allclose(now[0], expected, atol=1e-5)
    snake, ivory = LABELS.index("live_snake"), LABELS.index("ivory")
    assert not torch.allclose(was[0][:, snake], now[0][:, snake], atol=1e-4)
    assert torch.equal(was[0][:, ivory], now[0][:, ivory])
    for place in (1, 2):  # embedding and evidence
        assert torch.equal(was[place], now[place])


def test_a_copy_that_nothing_would_train_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"fit\.distil must be above 0 beside net\.prior_copy"):
        recipe()
