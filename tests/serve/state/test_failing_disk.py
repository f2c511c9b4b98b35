"""A disk that fails to flush: strace makes the kernel answer EIO to a running store."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cluster.errors import LogError
from serve.state.events import Event
from serve.state.folder import begin
from serve.state.store import Store
from tests.serve.state.state_world import FAST, N_ITEMS, event, opened, run, send

ROOT = Path(__file__).resolve().parents[3]
CALLERS = 4
LOAD = "import sys; from tests.serve.state.test_failing_disk import load; load(*sys.argv[1:])"


def load(bundle: str, data: str) -> None:
    """Open a store and wait for a line; print each ack, `failed` per caller whose ack will not come, then `refused`."""

    async def work() -> None:
        store = Store.open(Path(bundle), Path(data), config=FAST)
        print("open", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*(call(store, caller) for caller in range(CALLERS)))
        try:
            await send(store, [event("0-0", "caller0")])
        except LogError:
            print("refused", flush=True)
        os._exit(0)  # as the actor does: closing the log would flush it

    asyncio.run(work())


async def call(store: Store, caller: int) -> None:
    """Send one event after the other until an answer is an error."""
    for count in range(1_000):
        try:
            result = await send(store, [sent(f"{caller}-{count}")])
        except LogError:
            print("failed", flush=True)
            return
        print(result.acks[0].event_id, result.acks[0].version, flush=True)


def sent(event_id: str) -> Event:
    """Return the event of an id."""
    caller, _, count = event_id.partition("-")
    return event(event_id, f"caller{caller}", int(count) % N_ITEMS)


@contextmanager
def failing_flush(pid: int, number: int) -> Iterator[None]:
    """Let the `number`-th flush of each thread of a process fail, while the block runs."""
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed: apt-get install strace")
    inject = ["-e", "trace=fsync,fdatasync", "-e", f"inject=fsync,fdatasync:error=EIO:when={number}"]
    command = [strace, "-f", "-p", str(pid), *inject]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        if "attached" not in (said := tracer.stderr.readline()):
            pytest.skip(f"strace may not look into a process here: {said.strip()}")
        yield
        _, told = tracer.communicate()
    assert told.count("(INJECTED)") == 1


@pytest.mark.parametrize("number", [1, 2, 9])
def test_after_a_failed_flush_acks_fail_and_what_was_acknowledged_is_there_when_reopened(
    bundle: Path, data: Path, number: int
) -> None:
    begin(data, "b1")
    command = [sys.executable, "-c", LOAD, str(bundle), str(data)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as store:
        assert store.stdin is not None
        assert store.stdout is not None
        assert store.stdout.readline() == "open\n"
        with failing_flush(store.pid, number):
            store.stdin.write("\n")
            store.stdin.flush()
            said = store.stdout.read().splitlines()
    assert said.count("failed") == CALLERS
    assert said[-1] == "refused"
    acks = {event_id: int(version) for event_id, version in (line.split() for line in said if " " in line)}
    assert len(acks) >= number - 1

    async def sent_again() -> None:
        reopened = opened(bundle, data)
        for event_id, version in acks.items():
            [ack] = (await send(reopened, [sent(event_id)])).acks
            assert (ack.status, ack.version) == ("duplicate", version)
        assert (await send(reopened, [event("new")])).acks[0].status == "applied"
        await reopened.close()

    run(sent_again())
