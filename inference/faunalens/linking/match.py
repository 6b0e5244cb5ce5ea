"""When two fingerprints are of one photo."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MIN_CONTRAST = 6
"""Grey levels; below, a photo is as good as one colour, and its hash is noise."""

# Each measure alone tells some copies from look-alikes; where one is less sure, the other must
# agree. Set on 2,500 research pictures and 15 edits of 60 of them, with the embedding of the
# shipped model: of their 3,123,750 pairs, 8 of different objects meet a rule; of another draw 6
# (tests/benchmarks/link_copies.py, seeds 1 and 2). Another model's embedding needs other rules.
_RULES = ((44, -1.0), (70, 0.9), (104, 0.95), (256, 0.96))
"""Most bits that may differ, of 256, and the least cosine that goes with it."""


_MOST_BITS = max(bits for bits, _ in _RULES[:-1])
_SLACK = 0.05  # that an index may be wrong about a cosine


class Pairs(NamedTuple):
    """Candidates: photos and some of their neighbours, with the exact figures of the two.

    Attributes:
        query: `(P,)` int64, row of the photo in the store; 0 for one that is not in it.
        found: `(P,)` int64, row of its neighbour.
        bits: `(P,)` int64, bits that differ between the hashes, the better of plain and mirrored.
        mirrored: `(P,)` bool, whether the mirror image was the better.
        cosine: `(P,)` float32, of the embeddings.
        contrast: `(P,)` uint8, the lesser of the two.
    """

    query: npt.NDArray[np.int64]
    found: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]
    mirrored: npt.NDArray[np.bool_]
    cosine: npt.NDArray[np.float32]
    contrast: npt.NDArray[np.uint8]

    def where(self, keep: npt.NDArray[np.bool_]) -> "Pairs":
        """The pairs for which `keep`, `(P,)`, is true."""
        return Pairs(
            self.query[keep],
            self.found[keep],
            self.bits[keep],
            self.mirrored[keep],
            self.cosine[keep],
            self.contrast[keep],
        )


def may_be_copies(
    bits: npt.NDArray[np.int64], nearness: npt.NDArray[np.float32]
) -> npt.NDArray[np.bool_]:
    """`(P,)`: which pairs are worth an exact cosine.

    Args:
        nearness: About the cosine, as an index gives it; -1 where it is not known.
    """
    return (bits <= _MOST_BITS) | (nearness >= _RULES[-1][1] - _SLACK)


def are_copies(pairs: Pairs) -> npt.NDArray[np.bool_]:
    """`(P,)`: which pairs show the same photo, edited or not."""
    near = np.zeros(len(pairs.bits), np.bool_)
    for bits, cosine in _RULES:
        near |= (pairs.bits <= bits) & (pairs.cosine >= cosine)
    return near & (pairs.contrast >= MIN_CONTRAST)
