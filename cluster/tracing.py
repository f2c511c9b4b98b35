"""Spans of OpenTelemetry: which stage of which request took how long, and whose other work it belongs to.

Off unless the environment says where spans go. Then nothing is imported, and a stage is called as it is.
"""

import os
import sys
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Literal, ParamSpec, TypeVar

from cluster.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import SpanProcessor
    from opentelemetry.trace import Span, Tracer

VARIABLE = "LIVESHELF_TRACING"  # in the environment, as that of logs
CONSOLE = "console"
NO_SPAN = nullcontext[None](None)

Kind = Literal["INTERNAL", "SERVER"]
P = ParamSpec("P")
T = TypeVar("T")

_tracer: "Tracer | None" = None


def configure_tracing(process: str) -> None:
    """Send spans where the environment says, from now on; process: what they call this one.

    Raises ConfigError where it names no place, or OpenTelemetry is not installed.
    """
    if (wanted := wanted_tracing()) is not None:
        trace_to(wanted(), process)


def wanted_tracing() -> "Callable[[], SpanProcessor] | None":
    """Return what makes the way out of spans, None where nobody wants any; raises as `configure_tracing`."""
    where = os.environ.get(VARIABLE, "")
    if not where:
        return None
    if where != CONSOLE and not where.startswith(("http://", "https://")):
        raise ConfigError(
            f"{VARIABLE}={where!r} is no place for spans; give {CONSOLE}, or the URL of a collector, such as "
            "http://127.0.0.1:4318"
        )
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
    except ImportError:
        raise ConfigError(f"{VARIABLE} needs OpenTelemetry: pip install 'liveshelf[tracing]'") from None
    if where == CONSOLE:
        out = sys.__stderr__ or sys.stderr
        lines = ConsoleSpanExporter(out=out, formatter=lambda span: f"{span.to_json(indent=None)}\n")
        return lambda: SimpleSpanProcessor(lines)
    return lambda: BatchSpanProcessor(OTLPSpanExporter(f"{where.rstrip('/')}/v1/traces"))


def trace_to(way_out: "SpanProcessor", process: str) -> None:
    """Make spans from now on; what samples them, OTEL_TRACES_SAMPLER says."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    global _tracer
    name = os.environ.get("OTEL_SERVICE_NAME", "liveshelf")
    provider = TracerProvider(resource=Resource.create({"service.name": name, "service.instance.id": process}))
    provider.add_span_processor(way_out)
    _tracer = provider.get_tracer("liveshelf")  # of our own: Serve has one for what it does


def trace_to_nobody() -> None:
    """Make no more spans."""
    global _tracer
    _tracer = None


def is_tracing() -> bool:
    """Tell whether spans are made."""
    return _tracer is not None


def traced(name: str, work: Callable[P, Awaitable[T]]) -> Callable[P, Awaitable[T]]:
    """Return the same work with a span around each call; the work itself where nobody wants spans."""
    if _tracer is None:
        return work

    async def in_a_span(*args: P.args, **kwargs: P.kwargs) -> T:
        with span(name):
            return await work(*args, **kwargs)

    return in_a_span


def span(name: str, kind: Kind = "INTERNAL", beside: Sequence[str] = ()) -> "AbstractContextManager[Span | None]":
    """Return a block whose work a span tells of; beside: traceparents of others whom the work is done for."""
    return NO_SPAN if _tracer is None else _span(_tracer, name, kind, beside)


def traceparent() -> str:
    """Return the span at hand as another process understands it (W3C Trace Context), empty where there is none."""
    if _tracer is None:
        return ""
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier.get("traceparent", "")


def trace_id() -> str:
    """Return the id of the trace at hand, 32 digits of hex, empty where there is none."""
    return traceparent()[3:35]


@contextmanager
def within(traceparent: str) -> Iterator[None]:
    """Let spans of the block belong to one of another process; what is no traceparent changes nothing."""
    if _tracer is None or not traceparent:
        yield
        return
    from opentelemetry.context import attach, detach

    token = attach(_context(traceparent))
    try:
        yield
    finally:
        detach(token)


@contextmanager
def _span(tracer: "Tracer", name: str, kind: Kind, beside: Sequence[str]) -> "Iterator[Span]":
    from opentelemetry.trace import Link, SpanKind, get_current_span

    links = [Link(get_current_span(_context(one)).get_span_context()) for one in beside if one]
    with tracer.start_as_current_span(
        name, kind=SpanKind[kind], links=links, record_exception=False, set_status_on_exception=False
    ) as current:
        try:
            yield current
        except Exception as error:  # by its kind alone: what it says may name a shopper
            fail(current, type(error).__name__)
            raise


def fail(current: "Span", kind: str) -> None:
    """Mark a span as one of work that failed."""
    from opentelemetry.trace import StatusCode

    current.set_attribute("error.type", kind)
    current.set_status(StatusCode.ERROR)


def _context(traceparent: str) -> "Context":
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    return TraceContextTextMapPropagator().extract({"traceparent": traceparent})
