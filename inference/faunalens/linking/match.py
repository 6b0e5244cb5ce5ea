"""When two fingerprints are of one photo."""

import numpy as np
import numpy.typing as npt

from faunalens.linking.search import Pairs

MIN_CONTRAST = 6
"""Grey levels; below, a photo is as good as one colour, and its hash is noise."""


def are_copies(pairs: Pairs) -> npt.NDArray[np.bool_]:
    """`(P,)`: which pairs show the same photo, edited or not."""
    near = (pairs.bits <= 60) | ((pairs.bits <= 90) & (pairs.cosine >= 0.9))
    return near & (pairs.contrast >= MIN_CONTRAST)
