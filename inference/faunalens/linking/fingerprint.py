"""A photo to what finds its copies: a perceptual hash, and the model's embedding."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from faunalens.errors import MissingExtraError
from faunalens.pipeline import Classifier

HASH_SIDE = 16
HASH_BITS = HASH_SIDE * HASH_SIDE
"""Bits of a hash. With 64, as most tools take, one vase on grey hashes like another."""

_GREY_PX = 4 * HASH_SIDE  # of which the hash takes the slowest sixteenth of the frequencies


@dataclass(frozen=True)
class Fingerprint:
    """What is kept of a photo.

    Attributes:
        hashes: `(2, 32)` uint8, the bits of the perceptual hash of the photo and of its mirror
            image.
        contrast: Standard deviation of its grey levels, 0 to 127. The hash of a photo without
            contrast is noise.
        embedding: `(D,)` float32 of length 1, from the model.
    """

    hashes: npt.NDArray[np.uint8]
    contrast: int
    embedding: npt.NDArray[np.float32]


class Fingerprinter:
    """Makes fingerprints with one model. Thread-safe.

    Args:
        classifier: Its model gives the embedding.

    Raises:
        MissingExtraError: The extra `link` is not installed.
    """

    def __init__(self, classifier: Classifier) -> None:
        self._classifier = classifier
        self._phash = _phash()

    @cached_property
    def dimensions(self) -> int:
        """Of an embedding."""
        side = self._classifier.model.spec.resize.size_px
        blank = np.zeros((1, side, side, 3), np.uint8)
        return int(self._classifier.model.predict(blank).embedding.shape[1])

    @property
    def model_sha256(self) -> str:
        """Of the model file."""
        return self._classifier.model.identity["sha256"]

    def __call__(
        self, data: bytes, embedding: npt.NDArray[np.float32] | None = None
    ) -> Fingerprint:
        """The fingerprint of the bytes of a photo file.

        Args:
            embedding: `(D,)`, if this model gave it already; it takes most of the time.

        Raises:
            PhotoError: It cannot be decoded.
        """
        photo, image = self._classifier.model_input(data)
        if embedding is None:
            embedding = self._classifier.model.predict(image[None]).embedding[0]
        hashes, contrast = self.hashes(photo.pixels)
        return Fingerprint(hashes, contrast, embedding)

    def hashes(self, pixels: npt.NDArray[np.uint8]) -> tuple[npt.NDArray[np.uint8], int]:
        """Hashes and contrast of `(H, W, 3)` uint8 RGB.

        The hash is pHash: the signs, about their median, of the slow frequencies of a small grey
        copy (Zauner 2010, "Implementation and benchmarking of perceptual image hash functions").
        """
        grey = Image.fromarray(pixels).convert("L")
        grey = grey.resize((_GREY_PX, _GREY_PX), Image.Resampling.LANCZOS)
        bits = [self._phash(view, HASH_SIDE).hash for view in (grey, ImageOps.mirror(grey))]
        return np.stack([np.packbits(one) for one in bits]), int(np.asarray(grey).std())


def _phash() -> Callable[[Image.Image, int], Any]:
    try:
        from imagehash import phash
    except ImportError as error:
        raise MissingExtraError("link", "finding copies of photos (imagehash)") from error
    return phash  # type: ignore[no-any-return]
