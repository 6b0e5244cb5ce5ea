"""Second moments of the maps: what a surface is like, for labels that are a material.

A mean says which patterns there are in a photo; the mean products of pairs say which of them meet
in one place, grain with gloss or line with colour, which is what texture is (Gram matrices: Gatys
et al. 2015, arXiv:1505.07376; bilinear pooling: Lin et al. 2015, arXiv:1504.07889). Each cell
counts by how strongly the last map answers there, the sum of squares over its channels (Zagoruyko
and Komodakis 2017, arXiv:1612.03928), so that a museum's backdrop hardly counts.

The channels of a map are first reduced to the directions that the layer after it reads most: right
singular vectors of its 1x1 convolution, centred and in the units that its normalisation noted on
ImageNet; of the last map, those of ImageNet's classifier, as they are. No picture is needed for
that, and so no picture of a test set can have had a part in it.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from faunalens_train.config import ConfigError

Basis = tuple[Tensor, Tensor]
"""Centre `(C,)` and directions `(C, K)` of a map with C channels."""


def next_layer_basis(convolution: nn.Conv2d, norm: nn.BatchNorm2d, size: int) -> Basis:
    """What the 1x1 convolution and normalisation after a map read most of it.

    Raises:
        ConfigError: The map has fewer than `size` channels.
    """
    weight = convolution.weight.detach()[:, :, 0, 0].double()
    assert norm.running_mean is not None and norm.running_var is not None
    mean, deviation = norm.running_mean.double(), (norm.running_var.double() + norm.eps).sqrt()
    # The mean of the map itself is the one whose image under the convolution has this mean.
    centre = torch.linalg.lstsq(weight, mean[:, None]).solution[:, 0]
    return centre.float(), _directions(weight / deviation[:, None], size)


def classifier_basis(weight: Tensor, size: int) -> Basis:
    """What ImageNet's classifier `(1000, C)` reads most of the final map, which is not centred."""
    classes = weight.double()
    centre = torch.zeros(weight.shape[1])
    return centre, _directions(classes - classes.mean(0), size)  # a softmax ignores their mean


def _directions(rows: Tensor, size: int) -> Tensor:
    if rows.shape[1] < size:
        raise ConfigError(
            f"net.surface = {size} is more than the {rows.shape[1]} channels of a map; use "
            f"{rows.shape[1]} or less"
        )
    _, values, vectors = torch.linalg.svd(rows, full_matrices=False)
    directions: Tensor = vectors[:size].T * values[:size]
    return directions.float()


class Surface(nn.Module):
    """Maps to their second moments, one after the other.

    Centres, directions and scale are in the state of a run: fine-tuning changes the layers that
    they came from.

    Args:
        bases: Of each map, coarsest last.
    """

    rows: Tensor
    columns: Tensor
    scale: Tensor

    def __init__(self, bases: Sequence[Basis]) -> None:
        super().__init__()
        self.size = int(bases[0][1].shape[1])
        self.levels = len(bases)
        for level, (centre, basis) in enumerate(bases):
            self.register_buffer(f"centre{level}", centre[None, :, None, None].clone())
            self.register_buffer(f"basis{level}", basis.T[:, :, None, None].clone())
        pairs = torch.triu_indices(self.size, self.size)
        self.register_buffer("rows", pairs[0], persistent=False)
        self.register_buffer("columns", pairs[1], persistent=False)
        # Standard deviation of each moment, so that one learning rate fits all; see probe.py.
        self.register_buffer("scale", torch.ones(self.width))

    @property
    def width(self) -> int:
        """How many moments there are: `levels * K * (K + 1) / 2`."""
        return self.levels * self.size * (self.size + 1) // 2

    def directions(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps `(N, C, h, w)` to `(N, K, h, w)`."""
        return [
            functional.conv2d(
                found.float() - self.get_buffer(f"centre{level}"), self.get_buffer(f"basis{level}")
            )
            for level, found in enumerate(maps)
        ]

    def shares(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """How much each cell counts (its attention), `(N, 1, h, w)` of each map.

        The sum is 1, or 0 where the last map is all 0.
        """
        energy = maps[-1].float().square().sum(1, keepdim=True)
        out = []
        for found in maps:
            times = found.shape[2] // energy.shape[2]
            finer = functional.interpolate(energy, scale_factor=times, mode="nearest")
            out.append(finer / (finer.sum((2, 3), keepdim=True) + 1e-6))
        return out

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps to `(N, width)` float32, not scaled."""
        out = []
        # In full precision whatever the rest is in: squares of it would lose too much.
        with torch.autocast(maps[0].device.type, enabled=False):
            for seen, share in zip(self.directions(maps), self.shares(maps), strict=True):
                flat = seen.flatten(2)
                moments = (flat * share.flatten(2)) @ flat.transpose(1, 2)
                out.append(moments[:, self.rows, self.columns])
        return torch.cat(out, 1)

    def forms(self, weight: Tensor) -> list[Tensor]:
        """A linear head `(P, width)` on scaled moments as quadratic forms of each map's directions.

        Returns:
            Per map `(P * K, K, 1, 1)`, a 1x1 convolution whose output, times the directions and
            summed over K, is what a cell adds for each of P labels.
        """
        out = []
        for part in torch.split(weight / self.scale, self.width // self.levels, 1):
            form = part.new_zeros(len(part), self.size, self.size)
            form[:, self.rows, self.columns] = part / 2
            form = form + form.transpose(1, 2)  # halves meet off the diagonal, and on it
            out.append(form.flatten(0, 1)[:, :, None, None])
        return out
