"""Nearest neighbours among fingerprints, with faiss.

Why faiss: a self-join asks a million queries at once, and faiss answers them as matrix products
over inverted lists, for float vectors and for bit strings alike; it is kept, one wheel, and needs
only numpy. usearch was tried: its HNSW graph took 62 to 103 vectors of 1280 dimensions per second
on two busy cores, where faiss took 700.
LanceDB brings a database with pyarrow for what is a cache here.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from tqdm import tqdm

from faunalens.errors import FileError, MissingExtraError
from faunalens.linking.fingerprint import HASH_BITS, Fingerprint
from faunalens.linking.match import Pairs, may_be_copies
from faunalens.linking.store import Store

_EXACT = 20_000  # up to here every pair is compared, and nothing is trained
_REDUCED = 128  # dimensions that embeddings are reduced to (PCA), a byte each
_PROBES = 12  # inverted lists that a query looks into
_TRAIN_PER_LIST = 40  # vectors; faiss warns below 39
_BATCH = 4096  # vectors per call


class Neighbours:
    """Two indexes over a store: hashes by Hamming distance, embeddings by Euclidean distance,
    which orders vectors of length 1 as the cosine does.

    Above some 20,000 photos both are inverted files (Jegou et al. 2011, "Product quantization for
    nearest neighbor search"), kept in the store's folder; what the store has gained is added.

    Args:
        threads: Cores to use.
        quiet: No progress on stderr.

    Raises:
        MissingExtraError: The extra `link` is not installed.
        FileError: An index cannot be written.
    """

    def __init__(self, store: Store, *, threads: int, quiet: bool = False) -> None:
        try:
            import faiss
        except ImportError as error:
            raise MissingExtraError("link", "finding copies of photos (faiss-cpu)") from error
        self._faiss = faiss
        faiss.omp_set_num_threads(threads)
        self._store = store
        self._hidden = True if quiet else None
        self._hashes = self._index("hash", store.hashes[:, 0], binary=True)
        self._embeddings = self._index("embedding", store.embeddings, binary=False)

    def of_fingerprint(self, query: Fingerprint, count: int) -> Pairs:
        """Up to `count` neighbours by each measure of a photo that need not be in the store."""
        return self._pairs(
            np.zeros(1, np.int64),
            query.hashes[None],
            query.embedding[None],
            np.array([query.contrast], np.uint8),
            count,
            only_near=False,
        )

    def of_all(self, count: int = 16) -> Iterator[Pairs]:
        """What may be copies among the neighbours, up to `count` by each measure, of every row of
        the store."""
        store = self._store
        with tqdm(
            desc="comparing", total=len(store), unit=" photos", disable=self._hidden
        ) as progress:
            for start in range(0, len(store), _BATCH):
                numbers = np.arange(start, min(start + _BATCH, len(store)))
                pairs = self._pairs(
                    numbers,
                    store.hashes[numbers],
                    store.embeddings[numbers].astype(np.float32),
                    store.contrasts[numbers],
                    count + 1,
                    only_near=True,
                )
                yield pairs.where(pairs.query != pairs.found)
                progress.update(len(numbers))

    def _pairs(
        self,
        numbers: npt.NDArray[np.int64],
        hashes: npt.NDArray[np.uint8],
        embeddings: npt.NDArray[np.float32],
        contrasts: npt.NDArray[np.uint8],
        count: int,
        *,
        only_near: bool,
    ) -> Pairs:
        store = self._store
        queries, founds, nearness = [], [], []
        for index, vectors in (
            (self._hashes, hashes[:, 0]),
            (self._hashes, hashes[:, 1]),
            (self._embeddings, embeddings),
        ):
            apart, keys = index.search(np.ascontiguousarray(vectors), min(count, len(store)))
            query, rank = np.nonzero(keys >= 0)  # -1: the lists held fewer
            queries.append(query)
            founds.append(keys[query, rank])
            # Of vectors of length 1, a squared distance d is a cosine of 1 - d / 2; reduced, they
            # are nearer than they were.
            cosine = 1 - apart[query, rank] / 2 if index is self._embeddings else -1.0
            nearness.append(np.broadcast_to(np.float32(cosine), query.shape))
        query, found = np.concatenate(queries), np.concatenate(founds)
        stored = store.hashes[found, 0]
        plain, mirror = (
            np.bitwise_count(hashes[query, view] ^ stored).sum(1, np.int64) for view in (0, 1)
        )
        bits, mirrored = np.minimum(plain, mirror), mirror < plain
        keep = np.ones(len(query), np.bool_)
        if only_near:  # before the embeddings are fetched, which are 80 times as long as a hash
            keep = may_be_copies(bits, np.concatenate(nearness))
        keep[keep] = _first_of_each(query[keep], found[keep])
        query, found, bits, mirrored = query[keep], found[keep], bits[keep], mirrored[keep]
        cosine = np.einsum("pd,pd->p", embeddings[query], store.embeddings[found], dtype=np.float32)
        contrast = np.minimum(contrasts[query], store.contrasts[found])
        return Pairs(numbers[query], found, bits, mirrored, cosine, contrast)

    def _index(self, name: str, vectors: npt.NDArray[Any], *, binary: bool) -> Any:
        faiss, count = self._faiss, len(vectors)
        dimensions = HASH_BITS if binary else vectors.shape[1]
        if count <= _EXACT:
            index = faiss.IndexBinaryFlat(dimensions) if binary else faiss.IndexFlatL2(dimensions)
            self._add(index, name, vectors)
            return index
        path = self._store.folder / f"{name}.faiss"
        index = self._kept(path, binary, count)
        if index is None:
            lists = 2 ** round(math.log2(4 * math.sqrt(count)))
            if binary:
                index = faiss.index_binary_factory(dimensions, f"BIVF{lists}")
            else:
                reduced = min(_REDUCED, dimensions)
                index = faiss.index_factory(dimensions, f"PCA{reduced},IVF{lists},SQ8")
            sample = np.random.default_rng(0).choice(
                count, min(count, lists * _TRAIN_PER_LIST), replace=False
            )
            index.train(_dense(vectors[np.sort(sample)]))
        if index.ntotal < count:
            self._add(index, name, vectors)
            part = Path(f"{path}.part")
            try:
                (faiss.write_index_binary if binary else faiss.write_index)(index, str(part))
                part.replace(path)
            except (OSError, RuntimeError) as error:
                raise FileError(f"cannot write {path}: {error}") from error
        inverted = index if binary else faiss.extract_index_ivf(index)
        inverted.nprobe = _PROBES
        return index

    def _kept(self, path: Path, binary: bool, count: int) -> Any:
        """The index of an earlier run, if it is of use: it was trained on at least half of this."""
        if not path.exists():
            return None
        try:
            index = (self._faiss.read_index_binary if binary else self._faiss.read_index)(str(path))
        except RuntimeError:  # cut short, or of another version; it is only a cache
            return None
        return index if count // 2 <= index.ntotal <= count else None

    def _add(self, index: Any, name: str, vectors: npt.NDArray[Any]) -> None:
        with tqdm(
            desc=f"indexing by {name}",
            initial=index.ntotal,
            total=len(vectors),
            unit=" photos",
            disable=self._hidden,
        ) as progress:
            for start in range(index.ntotal, len(vectors), _BATCH):
                some = _dense(vectors[start : start + _BATCH])
                index.add(some)
                progress.update(len(some))


def _first_of_each(
    query: npt.NDArray[np.int64], found: npt.NDArray[np.int64]
) -> npt.NDArray[np.bool_]:
    """`(P,)`: true for the first of pairs that occur more than once."""
    first = np.zeros(len(query), np.bool_)
    first[np.unique(np.stack([query, found]), axis=1, return_index=True)[1]] = True
    return first


def _dense(vectors: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """As faiss takes them: bits as bytes, numbers as float32, one after the other in memory."""
    kind = np.uint8 if vectors.dtype == np.uint8 else np.float32
    return np.ascontiguousarray(vectors, kind)
