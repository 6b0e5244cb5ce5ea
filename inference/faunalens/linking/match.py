"""When two fingerprints are of one photo."""

import numpy as np
import numpy.typing as npt

from faunalens.linking.search import Pairs

MIN_CONTRAST = 6
"""Grey levels; below, a photo is as good as one colour, and its hash is noise."""

# Each measure alone tells some copies from look-alikes; where one is less sure, the other must
# agree. Set on 900 research pictures and 15 edits of 60 of them, and measured on others by
# tests/benchmarks/link_copies.py: of 404,544 pairs of different objects none met a
# rule; shells on black came nearest (58 bits, cosine 0.63, and 80 bits, cosine 0.83).
# Saving again, resizing, mirroring, brightness, greying and writing move a hash by up to 48 bits
# and a cosine down to 0.75; cropping by a tenth moves the hash by 98, but the cosine only to 0.94.
_RULES = ((50, -1.0), (76, 0.8), (104, 0.9), (256, 0.96))
"""Most bits that may differ, of 256, and the least cosine that goes with it."""


def are_copies(pairs: Pairs) -> npt.NDArray[np.bool_]:
    """`(P,)`: which pairs show the same photo, edited or not."""
    near = np.zeros(len(pairs.bits), np.bool_)
    for bits, cosine in _RULES:
        near |= (pairs.bits <= bits) & (pairs.cosine >= cosine)
    return near & (pairs.contrast >= MIN_CONTRAST)
