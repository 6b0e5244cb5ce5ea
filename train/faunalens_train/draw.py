"""Random draws by torch's global generator: a run's seed repeats them, each worker has its own."""

import torch


def uniform(low: float, high: float) -> float:
    """A number from `low` to `high`."""
    return low + (high - low) * float(torch.rand(()))


def integer(below: int) -> int:
    """A whole number from 0 to below `below`."""
    return int(torch.randint(below, ()))


def chance(share: float) -> bool:
    """True in `share` of all draws."""
    return float(torch.rand(())) < share
