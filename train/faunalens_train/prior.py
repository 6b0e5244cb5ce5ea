"""What ImageNet's classes say of live animals, kept as a part of their logits.

Seventeen classes of snakes, eleven of lizards and so on were learnt from a thousand photos each, of
many more places than the training pictures come from. Their share of the softmax, with no training
at all, finds live animals of sources never seen better than a head trained on other sources does;
the head in turn knows drawings and toys, which those classes do not tell from animals. Log-odds of
two opinions add up (product of experts, Hinton 2002, doi:10.1162/089976602760128018); the mean is
used, so that logits keep their scale. The head is trained without it: trained beside it, it would
lean on it and correct for the known sources only.

A photo of a screen that shows a snake is a screen to ImageNet, and no snake. What a photo is shown
on says nothing of what it shows, so the share is one of all other classes.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES: Mapping[str, Sequence[int]] = {
    "live_snake": range(52, 69),
    "live_lizard": range(38, 49),
    "live_turtle": range(33, 38),
    "live_crocodilian": (49, 50),
    "parrot": range(87, 91),
    "big_cat": range(286, 294),
    "elephant": (101, 385, 386),
    "primate": range(365, 385),
}
"""Label to its classes, by their place among the 1000 of ILSVRC 2012. Pangolins and rhinos, and all
products, have none."""

FRAMES: Sequence[int] = (
    *(487, 590, 605, 620, 681),  # mobile phone, hand-held computer, iPod, laptop, notebook
    *(527, 664, 782, 851),  # desktop computer, monitor, screen, television
    *(548, 598),  # entertainment centre, home cinema
    *(904, 916, 921),  # window screen (a grid of pixels), web site, book jacket
)
"""Classes of what a photo may be shown on, which count neither for nor against."""

_LEAST = 1e-6  # bounds the log-odds to about 14
_NEVER = -1e4  # logit of a class that has no part in the softmax


class ImageNetPrior(nn.Module):
    """Means of the final map `(N, D)` to what the classes add to the logits, `(N, L)`.

    The logit of both is `(1 - share) * head + this`; `share` is `(L,)`, 0 for labels without a
    class.

    The classifier is kept in half precision, which moves a logit by less than 0.01 and halves what
    it adds to a model file.

    Args:
        weight: `(1000, D)` of the classifier that came with the backbone.
        bias: `(1000,)`.
        labels: L labels, in model order.
        share: Of the prior in the logit of a label that has classes, 0 to 1.
    """

    weight: Tensor
    bias: Tensor
    members: Tensor
    share: Tensor

    def __init__(self, weight: Tensor, bias: Tensor, labels: Sequence[str], share: float) -> None:
        super().__init__()
        members = torch.zeros(len(weight), len(labels))
        for place, label in enumerate(labels):
            members[list(CLASSES.get(label, ())), place] = 1
        known = torch.tensor([label in CLASSES for label in labels]).float()
        # Not in the state of a run: they are those of the backbone's own file.
        self.register_buffer("weight", weight.half(), persistent=False)
        bias = bias.clone()
        bias[list(FRAMES)] = _NEVER
        self.register_buffer("bias", bias, persistent=False)
        self.register_buffer("members", members, persistent=False)
        self.register_buffer("share", known * share, persistent=False)

    def departure(self, final: Tensor, plain: Tensor) -> Tensor:
        """How far the classes of changed views are from those of the plain photos.

        Distillation (Hinton et al. 2015, arXiv:1503.02531) of the untrained backbone into the one
        that is trained: a blurred snake shall be the snake that its sharp photo is. Labels have no
        part in it, so it does not teach which source shows what.

        Args:
            final: `(N, D)` means of the final map of changed views.
            plain: The same of the plain photos, by the untrained backbone.

        Returns:
            Kullback-Leibler divergence in nats, mean over the batch.
        """
        seen, meant = (self._scores(means).log_softmax(1) for means in (final, plain))
        return functional.kl_div(seen, meant, reduction="batchmean", log_target=True)

    def _scores(self, final: Tensor) -> Tensor:
        return final @ self.weight.float().T + self.bias

    def forward(self, final: Tensor) -> Tensor:
        chances = self._scores(final).softmax(1)
        # Both sums, as 1 - sum would lose all digits near 1.
        inside, outside = chances @ self.members, chances @ (1 - self.members)
        odds = torch.log(inside + _LEAST) - torch.log(outside + _LEAST)
        return self.share * odds
