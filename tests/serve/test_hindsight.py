"""Slates of the past: what a stopped server's log says that was shown."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from cluster.errors import ConfigError
from serve.config import ReplayArgs
from serve.run import main
from tests.serve.shop import item_ids, open_shop

GUEST, BEGIN_MS = "guest", 1_700_000_000_000


@pytest.fixture
def shown(registry: Path, tmp_path: Path) -> list[list[str]]:
    """Slates of a guest before and after each of four clicks, a second apart; the server is stopped."""
    with open_shop(registry, tmp_path / "data") as shop:
        slates = [item_ids(shop.slate(user=GUEST, count=5))]
        for second, item in enumerate(shop.engine.item_ids[:4]):
            version = shop.click(GUEST, item, time=BEGIN_MS + 1_000 * second)
            slates.append(item_ids(shop.slate(user=GUEST, count=5, minVersion=version)))
        return slates


def told(registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], *words: str) -> str:
    where = [f"registry={registry}", f"data={tmp_path / 'data'}"]
    assert main(["replay", *where, f"user={GUEST}", "count=5", *words]) == 0
    return capsys.readouterr().out


def test_a_slate_of_the_past_is_the_one_that_was_shown(
    registry: Path, tmp_path: Path, shown: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert len({tuple(slate) for slate in shown}) > 2
    for version, slate in enumerate(shown):
        assert f"would have been shown {', '.join(slate)}\n" in told(registry, tmp_path, capsys, f"until={version}")


def test_a_time_means_the_last_event_that_is_not_younger(
    registry: Path, tmp_path: Path, shown: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    for version, slate in enumerate(shown):
        moment = datetime.fromtimestamp(BEGIN_MS / 1e3 + version - 0.5, UTC).isoformat()
        found = told(registry, tmp_path, capsys, f"as_of={moment}")
        assert f"version {version}, " in found
        assert ", ".join(slate) in found


def test_a_slate_of_the_past_holds_products_as_that_of_a_request_that_names_nothing(
    registry: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with open_shop(registry, tmp_path / "data") as shop:
        assert shop.client.put("/v1/catalogues/ads/items/ad", json={"title": "Ad"}).status_code == 200
        shop.post("/v1/events", events=[{"type": "view", "user": f"u{one}", "item": "ad"} for one in range(300)])
        assert item_ids(shop.slate(user=GUEST, count=1, catalogue="ads")) == ["ad"]
        slate = item_ids(shop.slate(user=GUEST, count=5))
    assert f"would have been shown {', '.join(slate)}\n" in told(registry, tmp_path, capsys)


def test_two_ends_are_refused() -> None:
    with pytest.raises(ConfigError, match="give one of them"):
        ReplayArgs.parse(["until=3", "as_of=2026-11-27T18:00:00Z"])
    with pytest.raises(ConfigError, match="as_of"):
        ReplayArgs.parse(["as_of=2026-11-27T18:00:00"])  # of which place?
