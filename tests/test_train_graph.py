"""Parts of a network computed by onnxruntime say what torch says."""

import numpy as np
import pytest
import torch

from faunalens.labels import load_labels
from faunalens_train import graph
from faunalens_train.config import NetConfig
from faunalens_train.net import FaunaNet


@pytest.mark.slow
def test_features_are_those_of_torch() -> None:
    config = NetConfig(pretrained=False, size_px=64, frozen_stages=3, levels=4, surface=8)
    net = FaunaNet(config, len(load_labels().ids)).eval()
    photos = torch.randint(0, 256, (5, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        maps = net.frozen(photos)
        features = net.pooled(maps)
    for forward, given, wanted in ((net.frozen, photos, maps), (net.pooled, maps, features)):
        few, many = (
            graph.without_gradients(forward, net, given[:2], count)
            for count in (graph.WORTH_EXPORT - 1, graph.WORTH_EXPORT)
        )
        assert few.__name__ != many.__name__
        assert np.array_equal(few(given.numpy()), wanted.numpy())
        # Another number of pictures than the example had.
        found = many(given.numpy())
        assert found.dtype == np.float32
        assert np.allclose(found, wanted.numpy(), rtol=1e-3, atol=1e-3 * float(wanted.abs().max()))
        assert np.allclose(many(given[:1].numpy()), found[:1], rtol=1e-3, atol=1e-3)
