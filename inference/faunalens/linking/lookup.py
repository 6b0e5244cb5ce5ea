"""One photo sought among those of some results."""

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from faunalens.decode import FileBytes
from faunalens.fragments import visible
from faunalens.linking.index import PhotoIndex
from faunalens.linking.match import are_copies
from faunalens.record import Record

_NEIGHBOURS = 64  # by each measure, at least
_ORDER = {"same file": 0, "copy": 1, "mirrored copy": 1, "looks alike": 2}


@dataclass(frozen=True)
class Found:
    """A photo of the results that is like the one sought.

    Attributes:
        link: `same file`, `copy`, `mirrored copy` or `looks alike`.
        bits: Of 256, in which the hashes differ.
        cosine: Of the embeddings.
    """

    HEADER: ClassVar = ("match", "bits", "cosine", "advert", "verdict", "photo")

    link: str
    bits: int
    cosine: float
    record: Record

    @property
    def is_copy(self) -> bool:
        """Whether it is the same photo, edited or not."""
        return self.link != "looks alike"

    def row(self) -> tuple[str, ...]:
        """For a table under HEADER."""
        record = self.record
        verdict = f"{record.verdict} {record.label}"
        texts = (record.ad or "", verdict, record.source)
        return (self.link, str(self.bits), f"{self.cosine:.3f}", *map(visible, texts))

    def to_dict(self) -> dict[str, Any]:
        """For JSON: the match, and the record as `faunalens scan` wrote it."""
        match = {"link": self.link, "bits": self.bits, "cosine": round(self.cosine, 4)}
        return {"match": match, "record": self.record.to_dict()}


def look_up(
    index: PhotoIndex, file: FileBytes, *, top: int, copies_only: bool = False
) -> list[Found]:
    """The photos most like a file, copies first, then by cosine.

    Raises:
        PhotoError: The file cannot be decoded.
    """
    query = index.fingerprinter(file.data)
    pairs = index.neighbours.of_fingerprint(query, max(top, _NEIGHBOURS))
    copies = are_copies(pairs)
    same = index.store.number(file.sha256)
    links: dict[int, tuple[str, int, float]] = {}
    for number, bits, mirrored, cosine, copy in zip(
        pairs.found, pairs.bits, pairs.mirrored, pairs.cosine, copies, strict=True
    ):
        kind = ("mirrored copy" if mirrored else "copy") if copy else "looks alike"
        links[int(number)] = (kind, int(bits), float(cosine))
    if same is not None:
        links[same] = ("same file", 0, 1.0)
    if copies_only:
        links = {number: link for number, link in links.items() if link[0] != "looks alike"}
    # The store may hold photos of other results: rows, not fingerprints, are counted.
    wanted = np.isin(index.rows.fingerprint, list(links))
    found = [
        Found(*links[int(index.rows.fingerprint[row])], record)
        for row, record in index.records(wanted)
    ]
    found.sort(key=lambda one: (_ORDER[one.link], -one.cosine))
    return found[:top]
