"""Second moments of the maps: what products are judged by."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from conftest import noise
from torch import nn

from faunalens.labels import load_labels
from faunalens_train.calibrate import Calibration
from faunalens_train.config import ConfigError, FitConfig, NetConfig
from faunalens_train.export import ExportNet
from faunalens_train.net import FaunaNet, product_places
from faunalens_train.probe import fit_heads, mean_decays
from faunalens_train.surface import Surface, next_layer_basis

LABELS = load_labels().ids
SMALL = NetConfig(size_px=64, levels=4, surface=6, dropout=0.0)


def images(count: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([noise(64, 64, seed) for seed in range(count)]))


def random_surface(widths: tuple[int, ...], size: int) -> Surface:
    torch.manual_seed(0)
    return Surface([(torch.randn(width), torch.randn(width, size)) for width in widths])


def test_moments_are_those_of_cells_weighed_by_what_the_last_map_answers() -> None:
    surface = random_surface((5, 7), 3)
    maps = [torch.randn(2, 5, 4, 4), torch.randn(2, 7, 2, 2)]
    given = surface(maps)
    assert given.shape == (2, surface.width) == (2, 2 * 6)
    for photo in range(2):
        energy = (maps[1][photo] ** 2).sum(0).numpy()
        expected = []
        for level, found in enumerate(maps):
            share = np.kron(energy, np.ones((2, 2))) if level == 0 else energy
            share = share / share.sum()
            centre = surface.get_buffer(f"centre{level}")[0]
            basis = surface.get_buffer(f"basis{level}")[:, :, 0, 0]
            seen = (basis @ (found[photo] - centre).flatten(1)).numpy()
            moments = (seen * share.reshape(-1)) @ seen.T
            expected.append(moments[np.triu_indices(3)])
        assert given[photo].numpy() == pytest.approx(np.concatenate(expected), rel=1e-4, abs=1e-4)


def test_a_backdrop_on_which_the_last_map_is_silent_does_not_count() -> None:
    surface = random_surface((5, 7), 3)
    last = torch.randn(1, 7, 2, 2)
    last[:, :, :, 1] = 0
    found = torch.randn(1, 5, 4, 4)
    other = found.clone()
    other[:, :, :, 2:] = 100.0
    assert torch.allclose(surface([found, last]), surface([other, last]), atol=1e-5)


def test_quadratic_forms_say_what_the_head_on_moments_says() -> None:
    surface = random_surface((5, 7), 3)
    surface.scale.uniform_(0.5, 2.0)
    weight = torch.randn(2, surface.width)
    maps = [torch.randn(3, 5, 4, 4), torch.randn(3, 7, 2, 2)]
    expected = (surface(maps) / surface.scale) @ weight.T
    total = torch.zeros(3, 2)
    looked = zip(surface.directions(maps), surface.shares(maps), surface.forms(weight), strict=True)
    for seen, share, form in looked:
        turned = nn.functional.conv2d(seen, form).reshape(3, 2, 3, *seen.shape[2:])
        total += ((turned * seen[:, None]).sum(2) * share).sum((2, 3))
    assert torch.allclose(total, expected, atol=1e-3)


def test_directions_are_those_that_the_next_layer_reads_most() -> None:
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(4, 24, 1, bias=False), nn.BatchNorm2d(24)
    with torch.no_grad():
        convolution.weight[:, 2] *= 10  # it hangs on channel 2, and hardly on channel 0
        convolution.weight[:, 0] *= 0.01
    mean = torch.tensor([0.5, -1.0, 2.0, 0.0])
    norm.running_mean = convolution.weight[:, :, 0, 0].detach() @ mean
    centre, basis = next_layer_basis(convolution, norm, 3)
    assert centre.numpy() == pytest.approx(mean.numpy(), abs=1e-4)
    assert basis.shape == (4, 3)
    assert int(basis[:, 0].abs().argmax()) == 2
    assert float(basis[0].abs().max()) < 0.1
    lengths = basis.norm(dim=0)
    assert bool((lengths[:-1] >= lengths[1:]).all())
    with pytest.raises(ConfigError, match=r"net\.surface = 5 is more than the 4 channels"):
        next_layer_basis(convolution, norm, 5)


@pytest.mark.parametrize("levels", [1, 2, 4])
def test_network_and_its_export_form_agree(levels: int) -> None:
    torch.manual_seed(0)
    config = NetConfig(size_px=64, levels=levels, surface=6, prior=0.5)
    net = FaunaNet(config, len(LABELS)).eval()
    assert net.surface is not None
    net.surface.scale.uniform_(300, 900)  # about what the moments of noise are
    numbers = [float(i) / 10 for i in range(len(LABELS))]
    calibration = Calibration(tuple(1 + n for n in numbers), tuple(numbers))
    batch = images(3)
    with torch.no_grad():
        pooled = net.pooled(batch)
        logits = net.logits(pooled)
        probability, embedding, evidence = ExportNet(net, calibration)(batch)
    assert pooled.shape == (3, net.features)
    assert np.abs(probability.numpy() - calibration.probability(logits.numpy())).max() < 1e-5
    rest = torch.logit(probability.double()) - evidence.mean((2, 3))
    assert torch.allclose(rest[0, net.products], rest[1, net.products], atol=1e-3)
    means = net.split(pooled)[1]
    assert torch.allclose(embedding, nn.functional.normalize(means, dim=1), atol=1e-5)


def test_only_products_hang_on_moments_and_only_the_others_on_means() -> None:
    net = FaunaNet(SMALL, len(LABELS)).eval()
    pooled = net.pooled(images(2)).detach()
    moments, means = net.split(pooled)
    places = product_places()
    assert [LABELS[place] for place in places] == [
        "ivory",
        "pangolin_scales",
        "turtle_shell",
        "reptile_leather",
    ]
    with torch.no_grad():
        before = net.heads(pooled)
        without = net.heads(torch.cat([moments * 0, means], 1))
        alone = net.heads(torch.cat([moments, means * 0], 1))
    others = [place for place in range(len(LABELS)) if place not in places]
    assert torch.equal(before[:, others], without[:, others])
    assert torch.equal(before[:, places], alone[:, places])
    assert bool((before[:, places] != without[:, places]).any())


def test_state_brings_the_directions_along() -> None:
    net = FaunaNet(SMALL, len(LABELS)).eval()
    again = FaunaNet(SMALL, len(LABELS), load_weights=False)
    again.load_state_dict(net.state_dict())
    with torch.no_grad():
        assert torch.equal(net(images(2)), again.eval()(images(2)))


def test_both_heads_start_from_probes_of_their_own() -> None:
    """Ivory is to be seen in one moment alone, a snake in one mean alone."""
    net = FaunaNet(SMALL, len(LABELS)).eval()
    generator = np.random.default_rng(0)
    features = generator.normal(size=(300, net.features)).astype(np.float32)
    features[:, 3] *= 50  # another scale, which must not matter
    wanted = np.zeros((300, len(LABELS)), np.float32)
    ivory, snake = LABELS.index("ivory"), LABELS.index("live_snake")
    wanted[:, ivory] = features[:, 3] > 0
    wanted[:, snake] = features[:, -5] > 0
    config = FitConfig(probe_decay=0.01, surface_decay=0.01)
    fit_heads(net, features, wanted, np.full(300, 1 / 300), config)
    with torch.no_grad():
        logits = net.heads(torch.from_numpy(features)).numpy()
    for place in (ivory, snake):
        assert ((logits[:, place] > 0) == (wanted[:, place] > 0)).mean() > 0.95
    assert int(net.surface_head.weight[0].abs().argmax()) == 3
    assert float(net.surface.scale[3]) == pytest.approx(50, rel=0.2)  # type: ignore[union-attr]


def test_live_animals_that_imagenet_does_not_know_have_a_penalty_of_their_own() -> None:
    config = FitConfig(probe_decay=0.5, alone_decay=0.1)
    decays = dict(zip(LABELS, mean_decays(range(len(LABELS)), config), strict=True))
    assert {label for label, decay in decays.items() if decay == 0.1} == {"pangolin", "rhino"}
    assert set(mean_decays(range(len(LABELS)), FitConfig(probe_decay=0.5))) == {0.5}
    net = FaunaNet(SMALL, len(LABELS)).eval()
    features = np.random.default_rng(0).normal(size=(300, net.features)).astype(np.float32)
    wanted = np.zeros((300, len(LABELS)), np.float32)
    rhino, snake = LABELS.index("rhino"), LABELS.index("live_snake")
    wanted[:, rhino] = wanted[:, snake] = features[:, -5] > 0
    fit_heads(net, features, wanted, np.full(300, 1 / 300), config)
    weight = [
        float(net.head.weight[net.others.index(place)].detach().norm()) for place in (rhino, snake)
    ]
    assert weight[0] > 1.5 * weight[1]


def test_surfaces_are_learnt_from_mild_views_alone() -> None:
    """In half of the views ivory's moment says the opposite, and so does a snake's mean."""
    net = FaunaNet(SMALL, len(LABELS)).eval()
    features = np.random.default_rng(0).normal(size=(600, net.features)).astype(np.float32)
    wanted = np.zeros((600, len(LABELS)), np.float32)
    ivory, snake = LABELS.index("ivory"), LABELS.index("live_snake")
    mild = np.arange(600) % 2 == 0
    wanted[:, ivory] = (features[:, 3] > 0) == mild
    wanted[:, snake] = (features[:, -5] > 0) == mild
    config = FitConfig(probe_decay=0.1, surface_decay=0.1)
    fit_heads(net, features, wanted, np.full(600, 1 / 600), config, mild=mild)
    with torch.no_grad():
        logits = net.heads(torch.from_numpy(features[mild])).numpy()
    assert ((logits[:, ivory] > 0) == (wanted[mild, ivory] > 0)).mean() > 0.95
    means = net.head.weight[net.others.index(snake)].abs()
    assert int(means.argmax()) != means.numel() - 5  # of all views it says nothing


@pytest.mark.parametrize(
    ("change", "count", "message"),
    [
        ({"levels": 9, "frozen_stages": 0}, 3, "use fewer levels"),
        ({"backbone": "tf_efficientnetv2_b0", "pretrained": False, "levels": 7, "frozen_stages": 0},
         3, "use fewer levels"),
        ({"size_px": 48, "levels": 6, "frozen_stages": 2}, 3, "multiple of 32"),
        ({"surface": 120}, 3, "channels of a map"),
        ({}, 1, "others beside them"),
    ],
)  # fmt: skip
def test_networks_that_cannot_be_used(change: dict[str, Any], count: int, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        FaunaNet(replace(SMALL, **change), count)
