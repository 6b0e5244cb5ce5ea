"""The network: a timm backbone, its maps at one or more depths pooled, linear heads."""

from typing import Any, Self

import torch
from torch import Tensor, nn

from faunalens.labels import load_labels
from faunalens_train.backbone import HALF, PYPI_WEIGHTS, imagenet_classifier, load_backbone
from faunalens_train.config import ConfigError, NetConfig
from faunalens_train.prior import ImageNetPrior
from faunalens_train.surface import Basis, Surface, classifier_basis, next_layer_basis

_FINAL = 2  # conv_head and bn2, after the last stage


class FaunaNet(nn.Module):
    """uint8 photos to one logit per label.

    The head is linear in the means of the maps; as the mean of a linear map is the linear map of
    the mean, it may as well be a 1x1 convolution on each map before the mean, whose output is an
    exact class activation map (Zhou et al. 2016, arXiv:1512.04150).

    Maps from before the last stage say more of a surface, later ones more of what the thing is
    (hypercolumns: Hariharan et al. 2015, arXiv:1411.5752).

    With `net.surface`, labels of products are judged by the second moments of the same maps instead
    (see surface.py), by a linear layer of their own.

    Args:
        config: Backbone and input size.
        count: Number of labels L.
        load_weights: False leaves the backbone random, and the directions of second moments 0 (a
            checkpoint is about to be loaded).

    Raises:
        ConfigError: Unknown backbone, no weights to be had, or no feature map to pool.
    """

    mean: Tensor
    std: Tensor
    order: Tensor

    def __init__(self, config: NetConfig, count: int, *, load_weights: bool = True) -> None:
        super().__init__()
        self.config = config
        self.backbone = load_backbone(config, load_weights and config.pretrained)
        mean, std = (
            (HALF, HALF)
            if config.backbone in PYPI_WEIGHTS
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
        # Shares of cells are repeated from the last map, evidence on the first one.
        sizes = [found.shape[2] for found in maps]
        if any(sizes[0] % size or (config.surface and size % sizes[-1]) for size in sizes):
            sides = ", ".join(map(str, sizes))
            raise ConfigError(
                f"net.size_px {config.size_px} gives maps of {sides} cells a side, expected the "
                "first to be a multiple of the others; use a multiple of 32"
            )
        self.surface: Surface | None = None
        self.products: list[int] = []
        if config.surface:
            self.surface = Surface(self._bases(load_weights))
            self.products = [i for i in product_places() if i < count]
            if not 0 < len(self.products) < count:
                raise ConfigError("net.surface needs labels of products, and others beside them")
            self.surface_head = nn.Linear(self.surface.width, len(self.products))
        self.others = [i for i in range(count) if i not in self.products]
        order = torch.tensor([*self.products, *self.others]).argsort()
        self.register_buffer("order", order, persistent=False)
        self.head = nn.Linear(sum(self.widths), len(self.others))
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
        """Photos, or outputs of the frozen stages, to pooled features `(N, F)` float32.

        Args:
            batch: `(N, S, S, 3)` uint8 RGB, or `(N, C, h, w)` float32 from `frozen`.

        Returns:
            Second moments, if labels of products are judged by them, then means; see `split`.
        """
        if batch.dtype == torch.uint8 and not (self.training and self.config.frozen_stages):
            maps = self.maps(batch)
        else:
            maps = self._tail(self.frozen(batch) if batch.dtype == torch.uint8 else batch)
        means = [found.float().mean((2, 3)) for found in maps]
        return torch.cat(means if self.surface is None else [self.surface(maps), *means], 1)

    @property
    def features(self) -> int:
        """F, how many pooled features there are."""
        return sum(self.widths) + (0 if self.surface is None else self.surface.width)

    def split(self, pooled: Tensor) -> tuple[Tensor, Tensor]:
        """Pooled features to second moments `(N, width)`, maybe none, and means `(N, D)`."""
        means = sum(self.widths)
        return pooled[:, :-means], pooled[:, -means:]

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
        """What `pooled` takes to logits `(N, L)` float32 of the heads alone, which are trained."""
        return self.heads(self.pooled(batch))

    def heads(self, pooled: Tensor) -> Tensor:
        """Pooled features `(N, F)` to what the heads alone say, `(N, L)`."""
        moments, means = self.split(pooled)
        logits: Tensor = self.head(self.dropout(means))
        if self.surface is None:
            return logits
        of_products = self.surface_head(self.dropout(moments / self.surface.scale))
        return torch.cat([of_products, logits], 1).index_select(1, self.order)

    def logits(self, pooled: Tensor) -> Tensor:
        """Pooled features `(N, F)` to the logits `(N, L)` that count, not calibrated."""
        logits = self.heads(pooled)
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

    def _bases(self, load_weights: bool) -> list[Basis]:
        size, depth = self.config.surface, len(self.widths)
        if not load_weights:  # a checkpoint brings them
            return [(torch.zeros(width), torch.zeros(width, size)) for width in self.widths]
        # What reads each map but the final one: the first layer of the part that follows it.
        readers = self._readers()[1 - depth :] if depth > 1 else []
        if None in readers:
            raise ConfigError(
                f"net.surface is not possible with {self.config.backbone}, net.levels = {depth} "
                f"and net.frozen_stages = {self.config.frozen_stages}; use fewer levels"
            )
        bases = [next_layer_basis(*reader, size) for reader in readers if reader]
        classifier, _ = imagenet_classifier(self.config.backbone)
        if classifier.shape[1] != self.widths[-1]:
            raise ConfigError(
                f"net.surface is not possible with {self.config.backbone}, whose classifier does "
                "not read the map itself; use 0"
            )
        return [*bases, classifier_basis(classifier, size)]

    def _readers(self) -> list[tuple[nn.Conv2d, nn.BatchNorm2d] | None]:
        """1x1 convolution and normalisation that each part begins with; None if with others."""
        *blocks, convolution, norm = self._stages()[1]
        found: list[Any] = []
        for block in blocks:
            first: Any = block[0] if isinstance(block, nn.Sequential) else None
            begins = all(hasattr(first, name) for name in ("conv_pw", "conv_pwl"))
            found.append((first.conv_pw, first.bn1) if begins else None)
        return [*found, (convolution, norm)]

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


def product_places() -> list[int]:
    """Places, in model order, of the labels that are a product and not an animal."""
    labels = load_labels().labels
    return [place for place, label in enumerate(labels) if label.kind == "product"]
