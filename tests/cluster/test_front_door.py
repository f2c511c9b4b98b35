"""What HAProxy answers in the place of replicas is a problem like theirs, and no client switches a limit off."""

import http.client
import json
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from cluster.front_door import MAX_BODY_BYTES, ROOM, SAFE
from cluster.haproxy import free_port, install_haproxy
from serve.api import bodies, problems
from tests.cluster.balanced import Replica, balancer, replica

# What of Ray's template the lines are put beside; `nobody` is a server that does not listen.
CONFIG = """global
    maxconn 200
defaults
    mode http
    timeout connect 1s
    timeout client 9s
    timeout server 9s
    timeout http-request 1s
    errorfile 502 {folder}/500.http
    errorfile 503 {folder}/500.http
    errorfile 504 {folder}/500.http
frontend http_frontend
    bind 127.0.0.1:{port}
    use_backend gone if {{ path_beg /gone }}
    use_backend pair if {{ path_beg /pair /readyz }}
    use_backend shop if {{ path_beg /shop /metrics }}
    default_backend default_backend
backend default_backend
    http-request return status 404 content-type text/plain lf-string "Path '%[path]' not found."
backend shop
    server replica 127.0.0.1:{replica}
backend pair
    server first 127.0.0.1:{replica}
    server second 127.0.0.1:{other}
backend gone
    server replica 127.0.0.1:{nobody}
backend far
    server replica 10.0.0.1:80
"""


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    folder, port = tmp_path_factory.mktemp("door"), free_port()
    install_haproxy(folder, "ours")
    (folder / "500.http").write_text("HTTP/1.1 500 Internal Server Error\r\n\r\n")
    with replica() as ours, replica() as other:
        places = {"folder": folder, "port": port, "replica": ours, "other": other, "nobody": free_port()}
        (folder / "haproxy.cfg").write_text(CONFIG.format(**places))
        with balancer([folder / "ha" / "haproxy", "-db", "-f", folder / "haproxy.cfg"], port):
            yield port


def ask(port: int, path: str, **headers: str) -> tuple[int, dict[str, str], Any]:
    """Return status, headers and body of an answer."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, json.loads(answer.read())


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/shop/408/text", {}, 503), ("/shop/503/text", {}, 503), ("/shop/500/text", {}, 500), ("/gone", {}, 503),
        ("/elsewhere", {}, 503), ("/shop/200/text", {"content_length": str(MAX_BODY_BYTES + 1)}, 413),
    ],
)  # fmt: skip
def test_what_replicas_do_not_answer_is_a_problem(port: int, path: str, headers: dict[str, str], status: int) -> None:
    found, told, body = ask(port, path, **headers)
    assert (found, told["content-type"]) == (status, "application/problem+json")
    assert (body["status"], body["type"], set(body)) == (status, "about:blank", {"type", "title", "status", "detail"})
    assert told.get("retry-after") == ("1" if status == 503 else None)
    assert SAFE.items() <= told.items()


@pytest.mark.parametrize(
    ("path", "status"), [("/shop/200/text", 200), ("/shop/503/problem", 503), ("/shop/404/x", 404)]
)
def test_what_replicas_answer_by_themselves_passes_as_it_is(port: int, path: str, status: int) -> None:
    found, told, body = ask(port, path, x_request_id="r1")
    assert (found, told["content-type"]) == (status, f"{path.split('/')[-1]}/plain")
    assert body["x-request-id"] == "r1"


@pytest.mark.parametrize(
    "name", ["x-request-timeout-seconds", "X-Request-Timeout-Seconds", "x-request-disconnect-disabled"]
)
def test_no_replica_hears_of_a_switched_off_limit(port: int, name: str) -> None:
    _, _, heard = ask(port, "/shop/200/text", **{name: "0"})
    assert name.lower() not in {header.lower() for header in heard}


@pytest.mark.parametrize(("given", "heard"), [("order-17", True), ("a b", False), ("x" * 129, False), ("é", False)])
def test_a_request_id_that_is_not_safe_to_repeat_goes_no_further(port: int, given: str, heard: bool) -> None:
    _, _, told = ask(port, "/shop/200/text", x_request_id=given)
    assert (told.get("x-request-id") == given) is heard
    assert ("x-request-id" in told) is heard


def test_a_configuration_is_completed_once(tmp_path: Path) -> None:
    install_haproxy(tmp_path, "")
    config = tmp_path / "haproxy.cfg"
    config.write_text(CONFIG.format(folder=tmp_path, port=free_port(), replica=1, other=1, nobody=1))
    found = []
    for _ in range(2):
        done = subprocess.run([tmp_path / "ha" / "haproxy", "-c", "-f", config], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        found.append(config.read_text())
    assert found[0] == found[1]
    backends = {text.partition("\n")[0]: text for text in found[0].split("\nbackend ")}
    assert "use-server" in backends["pair"] and "use-server" not in backends["far"]
    assert "500.http" not in found[0]


def test_rays_template_has_the_lines_that_ours_stand_beside() -> None:
    package = find_spec("ray")
    assert package is not None and package.origin is not None
    template = (Path(package.origin).parent / "serve" / "_private" / "haproxy_templates.py").read_text()
    for lines in (
        "\ndefaults\n",
        "\nfrontend http_frontend\n    bind ",
        "\nbackend default_backend\n    http-request return ",
    ):
        assert template.count(lines) == 1
    assert template.count("    errorfile 50") == 3


def test_the_balancer_and_the_replicas_say_and_bound_the_same() -> None:
    assert (MAX_BODY_BYTES, SAFE) == (bodies.MAX_BODY_BYTES, problems.SAFE)


def test_a_replica_hears_from_where_a_request_came_and_no_client_says_it_instead(port: int) -> None:
    for headers in ({}, {"x_liveshelf_address": "10.0.0.1"}):
        _, _, body = ask(port, "/shop/200/text", **headers)
        assert body["x-liveshelf-address"] == "127.0.0.1"


def test_every_request_says_through_whose_balancer_it_came(port: int) -> None:
    for headers in ({}, {"x_liveshelf_cluster": "theirs"}):
        _, _, body = ask(port, "/shop/200/text", **headers)
        assert body["x-liveshelf-cluster"] == "ours"


def test_what_a_replica_has_no_room_for_is_refused_and_what_it_has_in_hand_answered(port: int) -> None:
    with ThreadPoolExecutor(ROOM) as callers:
        waiting = [callers.submit(ask, port, "/shop/200/waits") for _ in range(ROOM)]
        try:
            for _ in waiting:
                assert Replica.came.acquire(timeout=30)
            status, told, body = ask(port, "/shop/200/text")
            assert (status, body["status"], told["retry-after"]) == (503, 503, "1")
            assert ask(port, "/metrics")[0] == 200  # who watches is answered
        finally:
            Replica.held.release(ROOM)
        assert [answer.result()[0] for answer in waiting] == [200] * ROOM
    assert ask(port, "/shop/200/text")[0] == 200


def test_a_body_that_does_not_come_takes_no_room_and_is_given_up(port: int) -> None:
    head = b"POST /shop/200/text HTTP/1.1\r\nhost: shop\r\ncontent-length: 10\r\n\r\n"
    with socket.create_connection(("127.0.0.1", port)) as slow:
        slow.sendall(head + b"half")
        with slow.makefile("rb") as answer:
            assert answer.readline().split()[1] == b"408"
    assert not Replica.came.acquire(blocking=False)  # no replica heard of it
    with socket.create_connection(("127.0.0.1", port)) as whole:
        whole.sendall(head + b"half")
        whole.sendall(b"a dozen"[:6])
        assert Replica.came.acquire(timeout=30)


def test_a_request_that_is_alone_finds_the_replica_that_answered_the_last_and_others_are_spread(port: int) -> None:
    assert len({ask(port, "/pair/200/text")[2]["port"] for _ in range(4)}) == 1
    assert len({ask(port, "/readyz")[2]["port"] for _ in range(4)}) == 2  # who watches hears of each
    with ThreadPoolExecutor(4) as callers:
        together = [callers.submit(ask, port, "/pair/200/waits") for _ in range(4)]
        try:
            for _ in together:
                assert Replica.came.acquire(timeout=30)
        finally:
            Replica.held.release(4)
        assert len({answer.result()[2]["port"] for answer in together}) == 2


def test_a_replica_hears_how_many_were_refused_before_it(port: int) -> None:
    def refused() -> int:
        _, _, heard = ask(port, "/metrics", x_liveshelf_refused="elsewhere 7")
        balancer, _, how_many = heard["x-liveshelf-refused"].partition(" ")
        assert balancer == socket.gethostname()
        return int(how_many)

    before = refused()
    for path in ("/gone", "/shop/503/text", "/shop/500/text", "/shop/503/problem", "/shop/404/x"):
        ask(port, path)
    assert refused() == before + 3
