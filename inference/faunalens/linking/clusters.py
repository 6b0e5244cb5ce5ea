"""Copies to clusters, clusters to what they tie together: adverts, sellers."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from faunalens.linking.match import Pairs
from faunalens.record import Record

STOCK = 50
"""A photo that more sellers than this use (a catalogue's, a platform's logo) ties none of them."""


class Member(NamedTuple):
    """A photo of a cluster.

    Attributes:
        group: What photos are tied by, such as the advert; empty if its row says none.
        link: `same file` as another of the cluster, else `copy` or `mirrored copy` of its nearest.
        bits: Of 256, in which its hash differs from its nearest copy's; 0 for the same file.
        cosine: Of its embedding and its nearest copy's.
    """

    group: str
    record: Record
    link: str
    bits: int
    cosine: float


@dataclass(frozen=True)
class Cluster:
    """Photos that are copies of one another.

    Attributes:
        number: From 1, most telling first.
        members: In the order of the results.
    """

    number: int
    members: tuple[Member, ...]

    @property
    def groups(self) -> list[str]:
        """The distinct groups, in order of appearance."""
        return list(dict.fromkeys(member.group for member in self.members if member.group))

    @property
    def strength(self) -> tuple[int, float]:
        """Of its strongest verdict, with the probability."""
        return max(
            (record.verdict.strength if record.verdict else 0, record.probability or 0.0)
            for record in (member.record for member in self.members)
        )


class Links(NamedTuple):
    """Which fingerprints belong together.

    Attributes:
        component: `(N,)` int64, per fingerprint the number of its cluster.
        bits: `(N,)` int64, to its nearest copy; -1 where it has none.
        cosine: `(N,)` float32, likewise.
        mirrored: `(N,)` bool, likewise.
    """

    component: npt.NDArray[np.int64]
    bits: npt.NDArray[np.int64]
    cosine: npt.NDArray[np.float32]
    mirrored: npt.NDArray[np.bool_]


def join(count: int, copies: Iterable[Pairs]) -> Links:
    """Put copies, and the copies of copies, into one cluster.

    Args:
        count: Fingerprints in the store.
        copies: Pairs of photos that are copies.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    parts = list(copies)
    heads = np.concatenate([np.zeros(0, np.int64), *(part.query for part in parts)])
    tails = np.concatenate([np.zeros(0, np.int64), *(part.found for part in parts)])
    graph = coo_array((np.ones(len(heads), np.int8), (heads, tails)), shape=(count, count))
    component = connected_components(graph, directed=False)[1].astype(np.int64)
    links = Links(
        component,
        np.full(count, -1, np.int64),
        np.zeros(count, np.float32),
        np.zeros(count, np.bool_),
    )
    if parts:
        bits, cosine, mirrored = (
            np.concatenate([values, values])
            for values in (
                np.concatenate([part.bits for part in parts]),
                np.concatenate([part.cosine for part in parts]),
                np.concatenate([part.mirrored for part in parts]),
            )
        )
        # The nearest copy first, of which `unique` then takes each photo's first.
        order = np.lexsort((-cosine, bits))
        ends, first = np.unique(np.concatenate([heads, tails])[order], return_index=True)
        best = order[first]
        links.bits[ends], links.cosine[ends] = bits[best], cosine[best]
        links.mirrored[ends] = mirrored[best]
    return links


def shared(
    fingerprint: npt.NDArray[np.int64], component: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """`(R,)`: which rows of the results are in a cluster with another row.

    Args:
        fingerprint: `(R,)`, per row its fingerprint, -1 where it has none.
        component: `(N,)`, per fingerprint its cluster.
    """
    has = fingerprint >= 0
    cluster = component[fingerprint[has]]
    wanted = np.zeros(len(fingerprint), np.bool_)
    wanted[has] = np.bincount(cluster)[cluster] > 1
    return wanted


def clusters_of(
    rows: Iterable[tuple[int, Record]],
    fingerprint: npt.NDArray[np.int64],
    links: Links,
    group_of: Callable[[Record], str],
    *,
    at_least: int,
) -> list[Cluster]:
    """Clusters of at least two photos and at least `at_least` groups.

    Args:
        rows: Rows of the results, with their numbers: those that `shared` names.

    Returns:
        Those that tie most groups first, then by the strongest verdict.
    """
    files = Counter(fingerprint.tolist())
    found: dict[int, list[Member]] = {}
    for row, record in rows:
        number = int(fingerprint[row])
        if files[number] > 1:
            member = Member(group_of(record), record, "same file", 0, 1.0)
        else:
            link = "mirrored copy" if links.mirrored[number] else "copy"
            figures = int(links.bits[number]), float(links.cosine[number])
            member = Member(group_of(record), record, link, *figures)
        found.setdefault(int(links.component[number]), []).append(member)
    clusters = [Cluster(0, tuple(members)) for members in found.values() if len(members) > 1]
    clusters = [cluster for cluster in clusters if len(cluster.groups) >= at_least]
    clusters.sort(key=lambda c: (len(c.groups), c.strength, len(c.members)), reverse=True)
    return [Cluster(number, one.members) for number, one in enumerate(clusters, 1)]


def ties(clusters: Sequence[Cluster]) -> list[tuple[str, str, int]]:
    """Pairs of groups and how many clusters they share, most first.

    Clusters of more than STOCK groups tie nobody.
    """
    counts: Counter[tuple[str, str]] = Counter()
    for cluster in clusters:
        if len(cluster.groups) <= STOCK:
            counts.update(combinations(sorted(cluster.groups), 2))
    return [(*pair, count) for pair, count in sorted(counts.items(), key=lambda i: (-i[1], i[0]))]
