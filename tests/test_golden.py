"""Stored results for the freely licensed photos: a change here is a change for every embedder."""

import sys

import numpy as np
import pytest
from conftest import PHOTOS, ROOT

from faunalens import Classifier, ResizeRule
from faunalens.preprocess import preprocess
from faunalens.record import read_records

sys.path.insert(0, str(ROOT / "tests" / "golden"))
import renew


def test_preprocess_is_exact() -> None:
    with np.load(renew.TENSORS, allow_pickle=False) as stored:
        now = renew.tensors()
        assert set(stored.files) == set(now)
        for key in stored.files:
            difference = np.abs(stored[key].astype(int) - now[key])
            assert not difference.any(), f"{key} differs by up to {difference.max()} grey levels"


def test_records_of_the_shipped_model() -> None:
    """Probabilities within 1e-3 (other CPUs round otherwise), the same verdict, label and rule."""
    wanted = list(read_records(renew.RECORDS))
    paths = renew.photos()
    assert [record.source for record in wanted] == [path.name for path in paths]
    judged = Classifier().classify_batch(paths, sources=[path.name for path in paths])
    for golden, now in zip(wanted, (one.record for one in judged), strict=True):
        assert golden.model["sha256"] == now.model["sha256"], "renew the golden records"
        for field in ("sha256", "bytes", "width", "height", "verdict", "label", "family", "rule"):
            assert getattr(golden, field) == getattr(now, field), (golden.source, field)
        assert golden.probabilities is not None
        assert now.probabilities == pytest.approx(golden.probabilities, abs=1e-3)


def test_every_photo_has_its_credit() -> None:
    credits = (PHOTOS / "CREDITS.md").read_text(encoding="utf-8")
    for path in renew.photos():
        assert path.name in credits


@pytest.mark.parametrize("padding", ["none", "grey"])
@pytest.mark.parametrize("size", [(1, 1), (1, 500), (500, 1), (64, 64), (33, 1000)])
def test_any_size_becomes_the_square(padding: str, size: tuple[int, int]) -> None:
    out = preprocess(np.full((*size, 3), 200, np.uint8), ResizeRule(64, padding=padding))
    assert out.shape == (64, 64, 3)
    assert out.dtype == np.uint8
    assert (out == 200).all(axis=2).any()
    assert padding == "grey" or (out == 200).all()


@pytest.mark.parametrize(
    "pixels",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_refuses_what_is_no_photo(pixels: np.ndarray) -> None:
    with pytest.raises(ValueError, match="expected \\(H, W, 3\\) uint8"):
        preprocess(pixels, ResizeRule(64))
