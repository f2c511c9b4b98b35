"""Bundles that went live and are watched."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serve import probation, run
from serve.config import RefreshArgs
from serve.probation import Figure, figure_of, surely_below
from tests.serve.shop import open_shop

OLD = Figure("old", 0.20, 2_000)
WORDS = ["shop=shop", "watch_every_s=1e-6"]

shares, sizes = st.floats(0, 1), st.floats(2, 1e6)


@pytest.fixture
def promoted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The versions that a refresh, which makes "new" out of nothing, promotes on a running server."""
    versions: list[str] = []
    monkeypatch.setattr(run, "refresh", lambda *_: "new")
    monkeypatch.setattr(run, "promote", lambda _, version: versions.append(version))
    monkeypatch.setattr(run, "server_runs", lambda: True)
    for name in ("bundle_of", "pages_of", "catalogue_of"):
        monkeypatch.setattr(run, name, lambda _: None)
    return versions


def tell(monkeypatch: pytest.MonkeyPatch, *figures: Figure | None) -> None:
    """Let the server say one after the other, and the last one for good."""

    def told() -> Iterator[Figure | None]:
        yield from figures
        while True:
            yield figures[-1]

    saying = told()
    for room in (run, probation):
        monkeypatch.setattr(room, "live_figure", lambda _: next(saying))


def test_a_bundle_whose_figure_fell_is_taken_back(
    promoted: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    few, bad = Figure("new", 0.02, 400), Figure("new", 0.12, 600)
    tell(monkeypatch, OLD, OLD, None, few, bad)
    run.refresh_once(RefreshArgs.parse([*WORDS, "watch_hours=1"]))
    assert promoted == ["new", "old"]
    assert "fell from 0.2000 (2000 events) to 0.1200 (600) with bundle new: going back" in capsys.readouterr().out


def test_a_bundle_that_does_as_well_stays(promoted: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    tell(monkeypatch, OLD, OLD, Figure("new", 0.19, 3_000))
    run.refresh_once(RefreshArgs.parse([*WORDS, "watch_hours=1e-6"]))
    assert promoted == ["new"]


def test_nothing_is_watched_where_the_server_had_judged_nothing(
    promoted: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tell(monkeypatch, None, Figure("new", 0.0, 9_000))
    run.refresh_once(RefreshArgs.parse([*WORDS, "watch_hours=1"]))
    assert promoted == ["new"]


def test_a_bundle_is_watched_until_the_next_refresh_if_there_is_one() -> None:
    assert RefreshArgs.parse(WORDS).watch_hours == 0
    assert RefreshArgs.parse([*WORDS, "every_hours=24"]).watch_hours == 24
    assert RefreshArgs.parse([*WORDS, "every_hours=24", "watch_hours=2"]).watch_hours == 2


def test_the_figure_is_what_a_server_tells(registry: Path, tmp_path: Path) -> None:
    with open_shop(registry, tmp_path / "data", judged_share=1.0) as shop:
        asked = partial(shop.client.get, "/v1/evaluations/prequential")
        assert figure_of(asked().json()) is None
        for item in shop.engine.item_ids[:3]:
            shop.click("guest", item)
        found, version = figure_of(asked().json()), shop.bundle.manifest.version
    assert found is not None
    assert found.version == version
    assert found.effective > 1


def test_a_server_that_does_not_answer_tells_no_figure() -> None:
    assert probation.live_figure("http://127.0.0.1:1") is None


@given(ndcg=shares, other=shares, n=sizes, m=sizes)
def test_only_one_of_two_figures_is_surely_below_the_other(ndcg: float, other: float, n: float, m: float) -> None:
    one, two = Figure("one", ndcg, n), Figure("two", other, m)
    assert not (surely_below(one, two) and surely_below(two, one))
    if surely_below(one, two):  # then more events would say so, too
        assert one.ndcg < two.ndcg
        assert surely_below(one._replace(effective=2 * n), two)
