from pathlib import Path

from serve.state.store import Store
from tests.serve.state.state_world import FAST, event, run, send


def test_an_acknowledged_event_is_in_the_history_after_a_restart(bundle: Path, tmp_path: Path) -> None:
    async def first() -> tuple[int, str]:
        store = Store.open(bundle, tmp_path / "data", bootstrap=True, config=FAST)
        result = await send(store, [event("e1", "new", 3), event("e2", "new", 5)])
        assert [(ack.status, ack.version) for ack in result.acks] == [("applied", 1), ("applied", 2)]
        assert result.version == 2
        hashed = await store.state_hash()
        await store.close()
        return hashed

    async def second() -> tuple[int, str]:
        store = Store.open(bundle, tmp_path / "data", config=FAST)
        shopper = await store.user("new", store.position)
        assert shopper.history.item_idx.tolist() == [3, 5]
        assert shopper.version == 2
        hashed = await store.state_hash()
        await store.close()
        return hashed

    assert run(first()) == run(second())
