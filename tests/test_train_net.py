"""The network, its export form and gate."""

from typing import Any

import numpy as np
import pytest
import torch
from conftest import noise
from timm.data import ImageNetInfo

from faunalens.labels import load_labels
from faunalens.model import Model
from faunalens_train.backbone import imagenet_classifier
from faunalens_train.calibrate import Calibration
from faunalens_train.config import ConfigError, NetConfig
from faunalens_train.evaluate import family_members
from faunalens_train.export import ExportError, ExportNet, Parity, check_gate
from faunalens_train.net import FaunaNet
from faunalens_train.prior import CLASSES, FRAMES, ImageNetPrior

LABELS = load_labels().ids
DATA = {"manifest": "m.csv", "splits": "s.csv"}


@pytest.mark.parametrize(
    ("parity", "passes"),
    [
        (Parity(10, 1e-6, 0), True),
        (Parity(10, 2e-4, 0), False),
        (Parity(10, float("nan"), 0), False),
        (Parity(10, 1e-6, 1), False),
        (Parity(0, 0.0, 0), False),
    ],
)
def test_gate(parity: Parity, passes: bool) -> None:
    if passes:
        check_gate(parity)
    else:
        with pytest.raises(ExportError, match="no file written"):
            check_gate(parity)


@pytest.mark.parametrize(("levels", "cells"), [(1, 2), (2, 2), (4, 4)])
def test_network_and_its_export_form_agree(levels: int, cells: int) -> None:
    torch.manual_seed(0)
    config = NetConfig(pretrained=False, size_px=64, levels=levels)
    net = FaunaNet(config, len(LABELS)).eval()
    numbers = [float(i) / 10 for i in range(len(LABELS))]
    calibration = Calibration(tuple(1 + n for n in numbers), tuple(numbers))
    images = torch.from_numpy(np.stack([noise(64, 64, seed) for seed in range(2)]))
    with torch.no_grad():
        probability, embedding, evidence = ExportNet(net, calibration)(images)
        wanted = calibration.probability(net(images).numpy())
    assert np.abs(probability.numpy() - wanted).max() < 1e-5
    bias = torch.logit(probability.double()) - evidence.mean((2, 3))
    assert evidence.shape == (2, len(LABELS), cells, cells)
    assert torch.allclose(bias[0], bias[1], atol=1e-3)
    assert embedding.norm(dim=1).numpy() == pytest.approx([1, 1], abs=1e-5)


def test_what_imagenet_knows_is_a_share_of_the_logits() -> None:
    """In the network and in its export form; labels without a class keep their head's logit."""
    torch.manual_seed(0)
    net = FaunaNet(NetConfig(size_px=64, levels=4, prior=0.5), len(LABELS)).eval()
    assert net.prior is not None
    calibration = Calibration((1.3,) * len(LABELS), (0.1,) * len(LABELS))
    images = torch.from_numpy(np.stack([noise(64, 64, seed) for seed in range(3)]))
    with torch.no_grad():
        pooled = net.pooled(images)
        logits = net.logits(pooled)
        alone = net.head(pooled)
        weight, bias = imagenet_classifier("tf_efficientnet_lite0")
        bias[list(FRAMES)] = -torch.inf  # what a photo is shown on has no part
        chances = torch.softmax(pooled[:, -1280:] @ weight.T + bias, 1).double()
        snake = chances[:, 52:69].sum(1)
        exported = ExportNet(net, calibration)(images)[0]
    place = LABELS.index("live_snake")
    odds = torch.log(snake + 1e-6) - torch.log(1 - snake + 1e-6)
    expected = (alone[:, place] + odds) / 2
    assert torch.allclose(logits[:, place].double(), expected, atol=0.01)
    products = [LABELS.index(label) for label in ("ivory", "turtle_shell", "pangolin")]
    assert torch.equal(logits[:, products], alone[:, products])
    assert np.abs(exported.numpy() - calibration.probability(logits.numpy())).max() < 1e-5


def test_taxa_are_among_the_classes_of_their_label() -> None:
    taxa = load_labels().taxa
    assert {taxon.label for taxon in taxa} <= set(CLASSES)
    assert [taxon.id for taxon in taxa if taxon.imagenet not in CLASSES[taxon.label]] == []


def test_what_a_photo_is_shown_on_says_nothing_of_what_it_shows() -> None:
    """Of a thousand classes, each its own feature, screens may have any share of the softmax."""
    snake = LABELS.index("live_snake")
    prior = ImageNetPrior(torch.eye(1000) * 8, torch.zeros(1000), LABELS, 0.5)
    photos = torch.zeros(4, 1000)
    photos[:2, min(CLASSES["live_snake"])] = 1
    photos[2:, 400] = 1  # something else
    before = prior(photos)
    for frame in FRAMES:
        shown = photos.clone()
        shown[1::2, frame] = 1.5
        after = prior(shown)
        assert torch.allclose(after, before, atol=1e-4)
        assert float(after[1, snake]) > 0.5
        assert float(after[3, snake]) < -0.5
    photos[:, 401] = 1.5  # no screen: less is left for the snake
    assert float(prior(photos)[1, snake]) < float(before[1, snake]) - 1


def test_classes_of_screens_are_what_their_numbers_say() -> None:
    names = [ImageNetInfo().index_to_description(place) for place in FRAMES]
    known = (
        "phone", "computer", "iPod", "laptop", "notebook", "monitor", "screen", "television",
        "entertainment", "theater", "web site", "jacket",
    )  # fmt: skip
    assert [name for name in names if not any(word in name for word in known)] == []
    assert len(set(FRAMES)) == len(FRAMES)
    taken = {place for places in CLASSES.values() for place in places}
    assert not taken.intersection(FRAMES)


def test_frozen_stages_stay_and_statistics_too() -> None:
    net = FaunaNet(NetConfig(pretrained=False, size_px=64, frozen_stages=4), 3).train()
    before = {key: value.clone() for key, value in net.state_dict().items()}
    images = torch.from_numpy(np.stack([noise(64, 64, seed) for seed in range(4)]))
    trained = [p for p in net.parameters() if p.requires_grad]
    optimiser = torch.optim.SGD(trained, lr=0.5)
    net(images).square().sum().backward()
    optimiser.step()
    changed = {
        key for key, value in net.state_dict().items() if not torch.equal(value, before[key])
    }
    assert any(key.startswith("backbone.blocks.6") for key in changed)
    assert not any(key.startswith(("backbone.blocks.3", "backbone.conv_stem")) for key in changed)
    assert not any("running_" in key for key in changed)


@pytest.mark.parametrize("levels", [1, 4])
def test_training_may_start_from_the_frozen_stages_output(levels: int) -> None:
    net = FaunaNet(NetConfig(pretrained=False, size_px=64, dropout=0, levels=levels), 3)
    images = torch.from_numpy(np.stack([noise(64, 64, seed) for seed in range(2)]))
    with torch.no_grad():
        whole = net.eval()(images)
        for mode in (True, False):
            assert torch.allclose(net.train(mode)(images), whole, atol=1e-5)
            assert torch.allclose(net(net.frozen(images)), whole, atol=1e-5)


def test_departure_is_from_what_classes_say_and_not_of_screens() -> None:
    weight = torch.eye(1000) * 3
    prior = ImageNetPrior(weight, torch.zeros(1000), LABELS, 0.5)
    snake, lizard, screen = (torch.nn.functional.one_hot(torch.tensor([i]), 1000).float()
                             for i in (60, 40, FRAMES[0]))  # fmt: skip
    assert prior.departure(snake, snake) == pytest.approx(0, abs=1e-6)
    assert prior.departure(lizard, snake) > 0.01
    assert prior.departure(snake + 9 * screen, snake) == pytest.approx(0, abs=1e-5)
    seen = lizard.clone().requires_grad_()
    prior.departure(seen, snake).backward()  # type: ignore[no-untyped-call]
    assert seen.grad is not None
    assert seen.grad[0, 60] < 0 < seen.grad[0, 40]  # more of the snake, less of the lizard


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"backbone": "no_such_net"}, "no_such_net"),
        ({"backbone": "resnet18", "pretrained": False, "frozen_stages": 2}, "use 0"),
        ({"backbone": "vit_tiny_patch16_224", "pretrained": False, "frozen_stages": 0,
          "size_px": 224}, "convolutional"),
        ({"pretrained": False, "frozen_stages": 9}, "not possible"),
        ({"pretrained": False, "levels": 6}, "use 5 or less"),
        ({"pretrained": False, "levels": 4, "size_px": 80}, "multiple of 32"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_used(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FaunaNet(NetConfig(**change), 3)


def test_any_convolutional_timm_name_will_do() -> None:
    config = NetConfig(backbone="resnet18", pretrained=False, frozen_stages=0, size_px=64)
    net = FaunaNet(config, 3).eval()
    with torch.no_grad():
        assert net(torch.zeros(1, 64, 64, 3, dtype=torch.uint8)).shape == (1, 3)


def test_pypi_weights_know_imagenet() -> None:
    """The weights were put in the right places: a random net would not tell these apart."""
    net = FaunaNet(NetConfig(size_px=224), 3).eval()
    images = torch.from_numpy(np.stack([np.zeros((224, 224, 3), np.uint8), noise(224, 224)]))
    with torch.no_grad():
        features = net.pooled(images)
    assert features.shape == (2, 1280)
    assert 0.05 < float(features.mean()) < 2
    assert float(torch.nn.functional.cosine_similarity(features[:1], features[1:])) < 0.9


def test_shipped_model_has_the_labels_and_families_of_the_list() -> None:
    spec, known = Model.shipped().spec, load_labels()
    assert spec.labels == known.ids
    assert {key: list(family.labels) for key, family in spec.families.items()} == family_members()
