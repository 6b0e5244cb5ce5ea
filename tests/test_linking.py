"""The parts of `faunalens link`: fingerprints, their store, and the search among them."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import ImageOps
from test_link import picture

from faunalens.errors import FileError, MissingExtraError
from faunalens.linking import search
from faunalens.linking.clusters import STOCK, Cluster, Member, join, shared, ties
from faunalens.linking.fingerprint import Fingerprint, Fingerprinter
from faunalens.linking.match import Pairs, are_copies
from faunalens.linking.search import Neighbours
from faunalens.linking.store import Store
from faunalens.pipeline import Classifier
from faunalens.record import Record


def pairs_of(bits: int, cosine: float, contrast: int = 50) -> Pairs:
    zero = np.zeros(1, np.int64)
    figures = np.array([bits]), np.zeros(1, np.bool_), np.array([cosine], np.float32)
    return Pairs(zero, zero, *figures, np.array([contrast], np.uint8))


def test_what_is_a_copy() -> None:
    assert not are_copies(pairs_of(0, 1.0, contrast=0))[0], "flat photos are alike without it"
    assert are_copies(pairs_of(0, 1.0))[0] and not are_copies(pairs_of(128, 0.5))[0]


def test_a_store_survives_a_crash(tmp_path: Path) -> None:
    one = Fingerprint(np.full((2, 32), 7, np.uint8), 9, np.full(3, 1 / 3, np.float32))
    names = [f"{n:062x}00" for n in range(1, 4)]  # numpy strips zero bytes at the end
    store = Store(tmp_path / "index", "model", 3)
    store.add([(names[0], one), (names[1], one)])
    with (tmp_path / "index" / "fingerprints.bin").open("ab") as handle:
        handle.write(b"half a row")
    store = Store(tmp_path / "index", "model", 3)
    store.add([(names[2], one)])
    store = Store(tmp_path / "index", "model", 3)
    assert [store.number(name) for name in names] == [0, 1, 2]
    assert store.number("ff" * 32) is None
    assert (store.hashes == 7).all() and (store.contrasts == 9).all()
    assert np.allclose(store.embeddings, 1 / 3, atol=1e-3)
    assert len(Store(tmp_path / "index", "another model", 3)) == 0


def test_many_photos(tmp_path: Path, monkeypatch: Any) -> None:
    """The inverted files find what comparing all would, and are kept."""
    monkeypatch.setattr(search, "_EXACT", 100)
    rng = np.random.default_rng(0)
    count, copies = 3000, 100
    embeddings = rng.standard_normal((count, 64)).astype(np.float32)
    hashes = rng.integers(0, 256, (count, 2, 32), np.uint8)
    embeddings[-copies:] = embeddings[:copies] + 0.3 * embeddings[copies : 2 * copies]
    hashes[-copies:] = hashes[:copies]
    hashes[-copies:, 0, :2] ^= 255  # 16 bits
    embeddings /= np.linalg.norm(embeddings, axis=1, keepdims=True)
    store = Store(tmp_path / "index", "model", 64)
    store.add((f"{n:064x}", Fingerprint(hashes[n], 50, embeddings[n])) for n in range(count))
    for again in (False, True):
        if again:
            monkeypatch.setattr(search.Neighbours, "_add", None)
        found = [p.where(are_copies(p)) for p in Neighbours(store, threads=2, quiet=True).of_all()]
        links = join(count, found)
        same = links.component[:copies] == links.component[-copies:]
        assert same.mean() > 0.97
        assert len(set(links.component.tolist())) == count - same.sum()
        assert set(links.bits[:copies][same].tolist()) == {16}
    wanted = shared(np.arange(-1, count), links.component)
    assert wanted.sum() == 2 * same.sum() and not wanted[0]


def test_an_index_that_is_damaged_is_made_again(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(search, "_EXACT", 10)
    store = Store(tmp_path / "index", "model", 8)
    rng = np.random.default_rng(0)
    for n in range(600):
        embedding = rng.standard_normal(8).astype(np.float32)
        hashes = rng.integers(0, 256, (2, 32), np.uint8)
        store.add([(f"{n:064x}", Fingerprint(hashes, 50, embedding))])
    before = next(Neighbours(store, threads=1, quiet=True).of_all()).query
    (tmp_path / "index" / "embedding.faiss").write_bytes(b"IwFl" + b"\1" * 99)
    after = next(Neighbours(store, threads=1, quiet=True).of_all()).query
    assert after.size > 20 and after.tolist() == before.tolist()


def test_stock_photos_tie_nobody() -> None:
    record = Record("a.jpg", {}, verdict="clear")  # type: ignore[arg-type]

    def cluster(*groups: str) -> Cluster:
        return Cluster(1, tuple(Member(group, record, "copy", 0, 1.0) for group in groups))

    stock = cluster(*(f"s{n}" for n in range(STOCK + 1)))
    assert ties([stock, cluster("b", "a", "b"), cluster("a", "b", "")]) == [("a", "b", 2)]


def test_hash_and_mirror() -> None:
    fingerprinter = Fingerprinter(Classifier())
    image = picture(4)
    plain_hashes, contrast = fingerprinter.hashes(np.asarray(image))
    mirrored, _ = fingerprinter.hashes(np.asarray(ImageOps.mirror(image)))
    assert (plain_hashes[0] == mirrored[1]).all() and (plain_hashes[1] == mirrored[0]).all()
    assert 10 < contrast < 128
    assert np.unpackbits(plain_hashes[0]).mean() == pytest.approx(0.5, abs=0.01)


def test_full_disk(tmp_path: Path, monkeypatch: Any) -> None:
    store = Store(tmp_path / "index", "model", 3)
    (tmp_path / "index" / "fingerprints.bin").unlink()
    (tmp_path / "index" / "fingerprints.bin").mkdir()
    one = Fingerprint(np.zeros((2, 32), np.uint8), 9, np.ones(3, np.float32))
    with pytest.raises(FileError, match="run the same command again"):
        store.add([("aa" * 32, one)])


def test_missing_extra_is_an_import_error(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(MissingExtraError, match="faunalens\\[link\\]"):
        Neighbours(Store(tmp_path / "index", "model", 3), threads=1)
