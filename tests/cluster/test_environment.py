"""What a cluster finds in its environment."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from cluster.environment import ROOT, cluster_mark, cluster_variables, local_environment, scratch, token_path
from cluster.haproxy import install_haproxy

LONGEST_SOCKET = 107
RAY_ADDS = len("/0123456789abcdef0123456789abcdef0123456789abcdef01234567")
HAPROXY_ADDS = len(".4194304.tmp")


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment as a user's shell has it."""
    for name in [name for name in os.environ if name.startswith("RAY_")]:
        monkeypatch.delenv(name)
    return monkeypatch


def test_token_authentication_is_on_unless_the_user_says_otherwise(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("LIVESHELF_HOME", "/somewhere")
    assert cluster_variables()["RAY_AUTH_MODE"] == "token"
    assert cluster_variables()["RAY_AUTH_TOKEN_PATH"] == "/somewhere/token"


@pytest.mark.parametrize("given", [{"RAY_AUTH_MODE": "disabled"}, {"RAY_AUTH_TOKEN": "0" * 64}])
def test_a_token_of_the_users_own_is_left_alone(bare: pytest.MonkeyPatch, given: dict[str, str]) -> None:
    for name, value in given.items():
        bare.setenv(name, value)
    assert token_path() is None
    assert given.items() <= local_environment().items()


def test_what_the_user_has_set_stays(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("RAY_SERVE_ENABLE_HA_PROXY", "0")
    bare.setenv("PYTHONPATH", "/theirs")
    assert local_environment()["RAY_SERVE_ENABLE_HA_PROXY"] == "0"
    assert local_environment()["PYTHONPATH"] == f"{ROOT}{os.pathsep}/theirs"


def test_every_haproxy_socket_fits_into_a_unix_address(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("LIVESHELF_HOME", "/a" * 100)
    bare.setattr(os, "getuid", lambda: 99_999)
    sockets = [value for name, value in cluster_variables().items() if name.endswith("SOCKET_PATH")]
    assert len(sockets) == 2
    assert max(map(len, sockets)) + RAY_ADDS + HAPROXY_ADDS <= LONGEST_SOCKET


def test_two_homes_have_two_scratch_folders(bare: pytest.MonkeyPatch) -> None:
    bare.setenv("LIVESHELF_HOME", "/one")
    first = scratch()
    bare.setenv("LIVESHELF_HOME", "/two")
    assert scratch() != first


def test_haproxy_starts_with_its_side_doors_alone_on_loopback(tmp_path: Path) -> None:
    config = tmp_path / "haproxy.cfg"
    config.write_text("frontend prometheus\n    bind :9101\nlisten stats\n  bind *:8404\nfrontend http\n bind *:8000\n")
    install_haproxy(tmp_path, "")
    ports = {"RAY_SERVE_HAPROXY_METRICS_PORT": "9101", "RAY_SERVE_HAPROXY_STATS_PORT": "8404"}
    subprocess.run(
        [tmp_path / "ha" / "haproxy", "-c", "-f", config], capture_output=True, check=False, env=os.environ | ports
    )
    assert [line.strip() for line in config.read_text().splitlines() if "bind" in line] == [
        "bind 127.0.0.1:9101", "bind 127.0.0.1:8404", "bind *:8000",
    ]  # fmt: skip


def test_a_shell_can_evaluate_the_variables(tmp_path: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "cluster.environment"], capture_output=True, text=True, check=True, cwd=ROOT,
        env={"PATH": os.environ["PATH"], "LIVESHELF_HOME": str(tmp_path / "a home")},
    ).stdout  # fmt: skip
    shell = f'{printed}\ncat "$RAY_AUTH_TOKEN_PATH" | wc -c'
    assert subprocess.run(["sh", "-c", shell], capture_output=True, text=True, check=True).stdout.strip() == "64"


def test_two_clusters_of_a_machine_give_their_replicas_no_port_in_common(bare: pytest.MonkeyPatch) -> None:
    def ends(kind: str) -> tuple[int, int]:
        told = cluster_variables()
        return int(told[f"RAY_SERVE_DIRECT_INGRESS_MIN_{kind}_PORT"]), int(
            told[f"RAY_SERVE_DIRECT_INGRESS_MAX_{kind}_PORT"]
        )

    first, last = ends("HTTP")
    with socket.create_server(("127.0.0.1", first)):  # as the first replica of a cluster that runs
        others = [ends("HTTP") for _ in range(200)]
    assert all(end < first or start > last for start, end in others)
    assert len(set(others)) > 10
    assert ends("GRPC")[0] > max(end for _, end in others)


def test_clusters_are_told_apart_by_their_tokens(bare: pytest.MonkeyPatch, tmp_path: Path) -> None:
    marks = []
    for token in ("one", "other", "one"):
        bare.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / token))
        (tmp_path / token).write_text(token)
        marks.append(cluster_mark())
    bare.setenv("RAY_AUTH_TOKEN", "one")
    assert cluster_mark() == marks[0] == marks[2] != marks[1]
    assert "one" not in marks[0]
    bare.delenv("RAY_AUTH_TOKEN")
    bare.setenv("RAY_AUTH_MODE", "disabled")
    assert cluster_mark() == ""


@pytest.mark.parametrize(("believed", "client"), [(None, "203.0.113.9"), ("ours", "127.0.0.1")])
def test_uvicorn_believes_no_client_about_its_address(
    monkeypatch: pytest.MonkeyPatch, believed: str | None, client: str
) -> None:
    monkeypatch.delenv("FORWARDED_ALLOW_IPS", raising=False)
    if believed:
        monkeypatch.setenv("FORWARDED_ALLOW_IPS", cluster_variables()["FORWARDED_ALLOW_IPS"])
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    config = uvicorn.Config(app)  # as Serve makes it, but for where it listens
    config.load()
    loaded: Any = config.loaded_app
    headers = [(b"x-forwarded-for", b"203.0.113.9")]
    asyncio.run(loaded({"type": "http", "client": ("127.0.0.1", 1), "headers": headers}, None, None))
    assert seen == [client]
