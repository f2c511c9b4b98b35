"""Packed item vectors unpack to what FAISS itself would restore."""

import faiss
import numpy as np
import pytest

from cluster.errors import BundleError, ConfigError
from train.compression.vectors import VectorKind, pack_vectors
from train.models.packed import Packed, unpacked

ROWS = np.random.default_rng(0).standard_normal((300, 16)).astype(np.float32)


def test_halves_are_off_by_a_thousandth_at_most() -> None:
    np.testing.assert_allclose(unpacked(pack_vectors(ROWS, "float16", None)), ROWS, rtol=1e-3, atol=1e-6)


def test_sq8_unpacks_to_what_faiss_decodes() -> None:
    packed = pack_vectors(ROWS, "sq8", None)
    quantiser = faiss.ScalarQuantizer(16, faiss.ScalarQuantizer.QT_8bit)
    quantiser.train(ROWS)
    np.testing.assert_allclose(unpacked(packed), quantiser.decode(packed["codes"]), atol=1e-6)
    assert np.abs(unpacked(packed) - ROWS).max() <= 0.51 * packed["step"].max()
    assert packed["codes"].nbytes * 4 == ROWS.nbytes


@pytest.mark.parametrize(("code_bytes", "expected"), [(None, 8), (4, 4), (16, 16), (1, 1)])
def test_pq_unpacks_to_the_nearest_centroids(code_bytes: int | None, expected: int) -> None:
    packed = pack_vectors(ROWS, "pq", code_bytes)
    codes, centroids = packed["codes"], packed["centroids"]
    assert codes.shape == (300, expected)
    parts = ROWS.reshape(300, expected, -1)
    for item in range(0, 300, 37):
        for part in range(expected):
            nearest = np.square(centroids[part] - parts[item, part]).sum(1).argmin()
            np.testing.assert_array_equal(
                unpacked(packed).reshape(300, expected, -1)[item, part], centroids[part, nearest]
            )


def test_more_bytes_of_code_restore_more() -> None:
    errors = [np.square(unpacked(pack_vectors(ROWS, "pq", m)) - ROWS).mean() for m in (1, 4, 16)]
    assert errors[0] > errors[1] > errors[2]


@pytest.mark.parametrize("kind", ["float16", "sq8"])
def test_one_item_that_is_all_zeros_can_be_packed(kind: VectorKind) -> None:
    np.testing.assert_allclose(unpacked(pack_vectors(np.zeros((1, 4), np.float32), kind, None)), 0, atol=1e-6)


REFUSED = {
    "few": (ROWS[:255], "pq", None, "vectors=pq needs 256 items to learn from, not 255; take vectors=sq8"),
    "odd": (ROWS, "pq", 5, "code_bytes=5 does not divide vectors of 16 coordinates; take one of 1, 2, 4, 8, 16"),
    "large": (1e6 * ROWS, "float16", None, "float16 cannot hold coordinates beyond 65,504; take vectors=sq8"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_packed_is_said(case: str) -> None:
    rows, kind, code_bytes, sentence = REFUSED[case]
    with pytest.raises(ConfigError, match=sentence):
        pack_vectors(rows, kind, code_bytes)


BROKEN: dict[str, Packed] = {
    "not finite": {"half": np.full((2, 2), np.inf, np.float16)},
    "one row": {"half": np.zeros(3, np.float16)},
    "other type": {"codes": np.zeros((2, 2), np.uint8), "low": np.zeros(2), "step": np.ones(2)},
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_arrays_that_are_no_vectors_are_refused(case: str) -> None:
    with pytest.raises(BundleError, match="not to finite float32 rows"):
        unpacked(BROKEN[case])
