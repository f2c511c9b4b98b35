"""A background cluster: joined by other processes, closed to the network, ended whole."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from subprocess import PIPE

import pytest

from bench.chaos.redis import missing, redis
from cluster.environment import ROOT, scratch
from cluster.errors import ConfigError, RuntimeStartError
from cluster.head import MARK, REDIS, Head, end_orphans, head_address, redis_of, running_head, start_head, stop_head
from cluster.keeper import GCS, newest
from cluster.processes import descendants, started_at
from tests.cluster.launched import wait_until
from tests.listening import LOOPBACK, listening_addresses

JOIN = """
from cluster.runtime import RuntimeConfig, connect, disconnect
print(connect(RuntimeConfig(address="head")))
import ray

@ray.remote
def where() -> str:
    from cluster.environment import ROOT, scratch
    return str(ROOT)

print(ray.get(where.remote()))
disconnect()
"""

COUNT = """
from cluster.runtime import RuntimeConfig, connect, disconnect
connect(RuntimeConfig(address="head"))
import ray

@ray.remote
class Counter:
    def __init__(self) -> None:
        self.count = 0

    def up(self) -> int:
        self.count += 1
        return self.count

options = {"name": "counter", "lifetime": "detached", "get_if_exists": True, "num_cpus": 0}
print(ray.get(Counter.options(**options).remote().up.remote()))
disconnect()
"""


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LIVESHELF_HOME", str(tmp_path_factory.mktemp("home")))
        yield start_head(num_cpus=1)
        stop_head()
        shutil.rmtree(scratch())


def run_elsewhere(code: str) -> list[str]:
    """Run code in another process of this machine, in another folder; return its lines."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/", timeout=120
    )
    return done.stdout.split()


@pytest.mark.ray
def test_another_process_joins_and_its_workers_find_our_packages(head: Head) -> None:
    assert run_elsewhere(f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{JOIN}") == [head.address, str(ROOT)]


@pytest.mark.ray
def test_starting_again_returns_the_same_cluster(head: Head) -> None:
    assert start_head() == head == running_head()


@pytest.mark.ray
def test_nothing_listens_beyond_loopback(head: Head) -> None:
    family = descendants(head.pid)
    assert len(family) >= 3
    addresses = listening_addresses(family)
    assert addresses
    assert addresses <= LOOPBACK


@pytest.mark.ray
def test_stopping_ends_every_process_and_no_other(head: Head) -> None:
    family = descendants(head.pid)
    bystander = subprocess.Popen(["sleep", "60"])
    try:
        assert stop_head()
        assert [pid for pid, tick in family.items() if started_at(pid) == tick] == []
        assert bystander.poll() is None
        assert running_head() is None
        assert not stop_head()
    finally:
        bystander.kill()
        bystander.wait()


@pytest.mark.ray
@pytest.mark.skipif(bool(missing()), reason=missing())
def test_what_the_gcs_knew_is_known_to_the_one_after_it_where_redis_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    with redis() as url:
        monkeypatch.setenv(REDIS, url)
        head = start_head(num_cpus=1)
        try:
            join = f"import sys; sys.path.insert(0, {str(ROOT)!r})\n{COUNT}"
            assert run_elsewhere(join) == ["1"]
            killed = newest(GCS, head.pid)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            assert run_elsewhere(join) == ["2"]  # Ray's clients wait for the one that is to come
            assert newest(GCS, head.pid) not in (None, killed)
        finally:
            stop_head()
            shutil.rmtree(scratch())


@pytest.mark.ray
def test_without_redis_all_ends_with_the_gcs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    head = start_head(num_cpus=1)
    try:
        family, gcs = descendants(head.pid), newest(GCS, head.pid)
        assert gcs is not None
        os.kill(gcs, signal.SIGKILL)
        wait_until(lambda: not head.alive, 30)
        assert [pid for pid, tick in family.items() if started_at(pid) == tick] == []
    finally:
        stop_head()
        shutil.rmtree(scratch())


@pytest.mark.parametrize("url", ["10.0.0.5:6379", "postgresql://:secret@h/d", "redis://:secret@h:port"])
def test_what_is_no_redis_is_refused_without_telling_the_password(url: str) -> None:
    with pytest.raises(ConfigError, match=r"LIVESHELF_REDIS .*redis://user:password@host:6379") as raised:
        redis_of(url, "n")
    assert "secret" not in str(raised.value)


def test_redis_is_told_to_ray_in_its_own_words() -> None:
    words, variables = redis_of("rediss://ray:a%40b@10.0.0.5", "n")
    assert words == ["--redis-username=ray", "--redis-password=a@b"]
    assert variables == {"RAY_REDIS_ADDRESS": "rediss://10.0.0.5:6379", "RAY_external_storage_namespace": "n"}
    assert redis_of("", "n") == ([], {})


@pytest.mark.ray
@pytest.mark.parametrize("then", [start_head, stop_head, end_orphans])
def test_what_is_left_of_a_cluster_whose_supervisor_was_killed_is_ended(
    then: Callable[[], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    orphan = subprocess.Popen(["cat"], stdin=PIPE, stdout=PIPE, bufsize=0, env={**os.environ, MARK: "a mark"})
    assert orphan.stdin and orphan.stdout
    orphan.stdin.write(b"\n")
    assert orphan.stdout.readline()  # before, its environment may not be there to read yet
    record = Head(pid=orphan.pid, start_tick=1, address="127.0.0.1:1", mark="a mark")  # a pid that was given again
    (tmp_path / "head.json").write_text(json.dumps(asdict(record)))
    try:
        then()
        assert orphan.wait(timeout=30) != 0
        assert running_head() != record
    finally:
        orphan.kill()
        stop_head()
        shutil.rmtree(scratch(), ignore_errors=True)


def test_without_a_cluster_the_address_is_one_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    with pytest.raises(RuntimeStartError, match=r"no cluster runs in .*serve/run.py start"):
        head_address()


def test_a_recycled_pid_is_not_taken_for_the_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_HOME", str(tmp_path))
    record = {"pid": os.getpid(), "start_tick": 1, "address": "127.0.0.1:1", "mark": "none"}
    (tmp_path / "head.json").write_text(json.dumps(record))
    assert running_head() is None
    assert not stop_head()
