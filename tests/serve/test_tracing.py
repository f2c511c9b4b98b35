"""One request, one tree of spans: from the caller's, through the stages, to the commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from cluster.errors import UnavailableError
from cluster.tracing import traced
from tests.serve.shop import KNOWN, Shop, open_shop
from tests.spans import context_of, parents

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
ASK, EVENTS = "POST /v1/recommendations", "POST /v1/events"


@pytest.fixture
def shop(spans: InMemorySpanExporter, registry: Path, tmp_path: Path) -> Iterator[Shop]:
    """A server that makes spans."""
    with open_shop(registry, tmp_path / "data") as shop:
        shop.client.get("/healthz")  # with the first answer the document is fetched that answers are held against
        spans.clear()
        yield shop


def made(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    return {span.name: span for span in spans.get_finished_spans()}


def test_a_slate_is_a_tree_of_its_stages(shop: Shop, spans: InMemorySpanExporter) -> None:
    headers = {"traceparent": CALLER, "x-request-id": "r1"}
    shop.client.post("/v1/recommendations", json={"user": KNOWN}, headers=headers)
    stages = ("history", "encode", "retrieve", "rank", "arrange")
    assert parents(spans) == {ASK: "elsewhere"} | dict.fromkeys(stages, ASK)
    request = made(spans)[ASK]
    assert request.kind is SpanKind.SERVER
    assert dict(request.attributes or {}) == {
        "http.request.method": "POST", "http.route": "/v1/recommendations", "http.response.status_code": 200,
        "liveshelf.request_id": "r1",
    }  # fmt: skip
    assert request.parent is not None
    assert f"{request.parent.span_id:016x}" == CALLER[36:52]
    assert {f"{context_of(span).trace_id:032x}" for span in made(spans).values()} == {CALLER[3:35]}


def test_an_event_is_followed_to_its_commit(shop: Shop, spans: InMemorySpanExporter) -> None:
    shop.click(KNOWN, "i0003")
    assert parents(spans) == {EVENTS: "", "encode": EVENTS, "append": EVENTS, "commit": "append"}


@pytest.mark.parametrize("given", ["", "nonsense", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"])
def test_without_a_callers_trace_a_request_begins_its_own(shop: Shop, spans: InMemorySpanExporter, given: str) -> None:
    shop.client.get("/v1/popular", headers={"traceparent": given})
    assert parents(spans)["GET /v1/popular"] == ""


def test_a_failing_stage_is_marked_and_the_request_with_it(shop: Shop, spans: InMemorySpanExporter) -> None:
    async def fail(*_: object) -> None:
        raise UnavailableError("a secret of ours")

    shop.engine._rank = traced("rank", fail)  # pyright: ignore[reportAttributeAccessIssue]
    assert shop.client.post("/v1/recommendations", json={"user": KNOWN}).status_code == 503
    failed = {name for name, span in made(spans).items() if span.status.status_code is StatusCode.ERROR}
    assert failed == {ASK, "rank"}
    assert dict(made(spans)["rank"].attributes or {}) == {"error.type": "UnavailableError"}
    assert (made(spans)[ASK].attributes or {})["error.type"] == "503"


def test_a_defect_marks_its_request(shop: Shop, spans: InMemorySpanExporter) -> None:
    shop.broken.append(RuntimeError("a secret of ours"))
    shop.client.post("/v1/recommendations", json={})
    assert made(spans)[ASK].status.status_code is StatusCode.ERROR


def test_what_a_client_does_wrong_marks_nothing(shop: Shop, spans: InMemorySpanExporter) -> None:
    shop.client.post("/v1/recommendations", json={"count": 0})
    assert made(spans)[ASK].status.status_code is StatusCode.UNSET


def test_no_span_names_a_shopper(shop: Shop, spans: InMemorySpanExporter) -> None:
    who = "shopper-whom-nobody-shall-find"
    shop.click(who, "i0003")
    shop.slate(user=who)
    shop.client.get(f"/v1/users/{who}/export")
    shop.client.get(f"/v1/nothing/{who}")
    shop.client.delete(f"/v1/users/{who}")
    told = [span.to_json() for span in spans.get_finished_spans()]
    assert len(told) > 8
    assert [one for one in told if who in one] == []
