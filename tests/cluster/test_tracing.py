"""Spans: who is whose child, in another process too; where they go; and that without a wish for them there are none."""

import json
import logging
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from cluster.environment import ROOT
from cluster.errors import ConfigError
from cluster.requests import Carried, arriving, carried
from cluster.telemetry import JsonLines
from cluster.tracing import (
    NO_SPAN,
    configure_tracing,
    is_tracing,
    span,
    trace_to,
    trace_to_nobody,
    traced,
    wanted_tracing,
)
from tests.spans import context_of, parents

CALLER = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


async def work(value: int) -> int:
    return value


def test_when_nobody_wants_spans_work_is_called_as_it_is() -> None:
    assert traced("work", work) is work
    assert span("work") is NO_SPAN
    with arriving([Carried("r1", CALLER)]):
        assert carried() == Carried("r1", "")
    configure_tracing("test")
    assert not is_tracing()


def test_when_nobody_wants_spans_nothing_is_imported() -> None:
    listed = "print(*(name for name in sys.modules if 'telemetry' in name))"
    told = f"import sys, serve.state.actor, serve.api.tracing; {listed}"
    done = subprocess.run([sys.executable, "-c", told], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "cluster.telemetry\n"


def test_spans_within_spans_are_their_children(spans: InMemorySpanExporter) -> None:
    with span("a"):
        with span("b"), span("c"):
            pass
        with span("d"):
            pass
    assert parents(spans) == {"a": "", "b": "a", "c": "b", "d": "a"}


def test_what_arrives_from_elsewhere_goes_on_the_same_trace(spans: InMemorySpanExporter) -> None:
    with arriving([Carried("r1", CALLER)]), span("here"):
        along = carried()
    with arriving([along]), span("there"):
        pass
    assert parents(spans) == {"here": "elsewhere", "there": "here"}
    assert {f"{context_of(one).trace_id:032x}" for one in spans.get_finished_spans()} == {CALLER[3:35]}


def test_what_is_done_for_several_belongs_to_the_first_and_names_the_others(spans: InMemorySpanExporter) -> None:
    along = []
    for name in ("first", "second", "third"):
        with span(name):
            along.append(carried())
    with arriving(along), span("commit", beside=[one.traceparent for one in along[1:]]):
        pass
    made = {one.name: one for one in spans.get_finished_spans()}
    assert parents(spans)["commit"] == "first"
    linked = [link.context.span_id for link in made["commit"].links]
    assert linked == [context_of(made[name]).span_id for name in ("second", "third")]


def test_a_failure_marks_its_span_and_those_around_it_and_is_told_by_its_kind(spans: InMemorySpanExporter) -> None:
    with pytest.raises(ValueError), span("around"):
        with span("sound"):
            pass
        with span("failing"):
            raise ValueError("a shopper's name")
    made = {one.name: one for one in spans.get_finished_spans()}
    failed = {name for name, one in made.items() if one.status.status_code is StatusCode.ERROR}
    assert failed == {"around", "failing"}
    assert dict(made["failing"].attributes or {}) == {"error.type": "ValueError"}
    assert "shopper" not in "".join(one.to_json() for one in made.values())


def test_lines_of_json_name_the_trace(spans: InMemorySpanExporter) -> None:
    record = logging.LogRecord("x", logging.INFO, "x.py", 1, "said", (), None)
    with arriving([Carried("r1", CALLER)]), span("here"):
        assert json.loads(JsonLines("p").format(record))["traceId"] == CALLER[3:35]
    assert "traceId" not in json.loads(JsonLines("p").format(record))


def test_a_collector_gets_the_spans(monkeypatch: pytest.MonkeyPatch) -> None:
    got: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        threading.Thread(target=collector.serve_forever, daemon=True).start()
        monkeypatch.setenv("LIVESHELF_TRACING", f"http://127.0.0.1:{collector.server_port}/")
        wanted = wanted_tracing()
        assert wanted is not None
        way_out = wanted()
        trace_to(way_out, "gateway 1")
        with span("a stage"):
            pass
        way_out.force_flush()
        way_out.shutdown()
        trace_to_nobody()
        collector.shutdown()
    [(path, body)] = got
    assert path == "/v1/traces"
    assert b"a stage" in body
    assert b"gateway 1" in body


def test_the_console_gets_a_line_of_json_for_each_span(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LIVESHELF_TRACING", "console")
    monkeypatch.setattr(sys, "__stderr__", sys.stderr)
    configure_tracing("store")
    with span("a stage"):
        pass
    trace_to_nobody()
    [line] = capsys.readouterr().err.splitlines()
    assert json.loads(line)["name"] == "a stage"


@pytest.mark.parametrize("where", ["on", "127.0.0.1:4318", "ftp://x"])
def test_what_is_no_place_for_spans_is_refused(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    monkeypatch.setenv("LIVESHELF_TRACING", where)
    with pytest.raises(ConfigError, match=r"LIVESHELF_TRACING=.* is no place for spans; give console, or the URL"):
        configure_tracing("test")


def test_where_opentelemetry_is_missing_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_TRACING", "http://127.0.0.1:4318")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    with pytest.raises(ConfigError, match=r"pip install 'liveshelf\[tracing\]'"):
        configure_tracing("test")
