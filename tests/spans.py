"""Spans as a test sees them."""

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanContext


def context_of(span: ReadableSpan) -> SpanContext:
    """Return the ids of a span."""
    found = span.get_span_context()
    assert found is not None
    return found


def parents(kept: InMemorySpanExporter) -> dict[str, str]:
    """Return the name of each span's parent by its own; "elsewhere" where the parent is of another process."""
    finished = kept.get_finished_spans()
    names = {context_of(span).span_id: span.name for span in finished}
    return {span.name: names.get(span.parent.span_id, "elsewhere") if span.parent else "" for span in finished}
