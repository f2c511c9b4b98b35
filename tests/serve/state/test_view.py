from pathlib import Path

from serve.state.image import digest, item_arrays
from serve.state.store import Store
from serve.state.view import View
from tests.serve.state.state_world import FAST, random_events, run, send
from train.bundle_state import read_bundle_state


def test_a_view_that_follows_equals_the_store(bundle: Path, tmp_path: Path) -> None:
    async def work() -> None:
        store = Store.open(bundle, tmp_path / "data", bootstrap=True, config=FAST)
        view = View(read_bundle_state(bundle), await store.image())
        for round_ in range(5):
            await send(store, random_events(7, round_, f"r{round_}-"), seed=round_)
        view.apply(await store.changes(view.position, 1))
        image = await store.image()
        assert image.position == view.position
        assert digest(item_arrays(view._state)) == digest(image.arrays)
        await store.close()

    run(work())
