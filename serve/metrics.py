"""Metrics: what a replica counts, and what all processes told of late, in the words of Prometheus. No ids in labels."""

from collections.abc import Iterable, Iterator, Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest
from prometheus_client.parser import text_string_to_metric_families

SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)  # upper bounds of latencies
Values = Mapping[str, tuple[float, str]]  # gauges by name: what they are now, and what it says
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """What one process counts; `process` tells it from others."""

    def __init__(self, process: str) -> None:
        self.process = process
        self._registry = CollectorRegistry()
        self._gauges: dict[str, Gauge] = {}
        self._seconds = Histogram(
            "liveshelf_request_seconds", "Time until a request was answered.", ("process", "method", "route", "status"),
            buckets=SECONDS, registry=self._registry,
        )  # fmt: skip
        self._events = self._counter("liveshelf_events", "Events by what became of them.", "status")
        self._slates = self._counter("liveshelf_slates", "Slates by what they fell back on.", "fallback")
        self._capped = self._counter("liveshelf_capped", "Requests and events refused as too many, by whose.", "whose")
        self._degraded = self._counter("liveshelf_degraded_slates", "Slates by what was left out.", "what")

    def request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request; route: as it was declared."""
        self._seconds.labels(self.process, method, route, str(status)).observe(seconds)

    def events(self, statuses: Iterable[str]) -> None:
        """Count events."""
        for status in statuses:
            self._events.labels(self.process, status).inc()

    def slate(self, fallback: str, degraded: Iterable[str]) -> None:
        """Count a slate."""
        self._slates.labels(self.process, fallback).inc()
        for what in degraded:
            self._degraded.labels(self.process, what).inc()

    def capped(self, whose: str) -> None:
        """Count a refusal of what one caller had too much of."""
        self._capped.labels(self.process, whose).inc()

    def text(self, now: Values) -> str:
        """Return all of it, with values of this moment."""
        for name, (value, meaning) in now.items():
            if name not in self._gauges:
                self._gauges[name] = Gauge(name, meaning, ("process",), registry=self._registry)
            self._gauges[name].labels(self.process).set(value)
        return generate_latest(self._registry).decode()

    def _counter(self, name: str, meaning: str, label: str) -> Counter:
        return Counter(name, meaning, ("process", label), registry=self._registry)


def refusals(balancer: str, how_many: int) -> str:
    """Return, as text, how many requests a balancer refused since it began, because no replica could answer."""
    registry, meaning = (
        CollectorRegistry(),
        "Requests refused before any replica: too many, too late, or none was ready.",
    )
    Counter("liveshelf_refused", meaning, ("balancer",), registry=registry).labels(balancer).inc(how_many)
    return generate_latest(registry).decode()


class _Told:
    """What several processes told, as one collector."""

    def __init__(self, texts: Iterable[tuple[str, str]]) -> None:
        self._families: dict[str, Metric] = {}
        for tenant, text in texts:
            more = {"tenant": tenant} if tenant else {}
            for family in text_string_to_metric_families(text):
                known = self._families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
                known.samples += [sample._replace(labels=sample.labels | more) for sample in family.samples]

    def collect(self) -> Iterator[Metric]:
        yield from self._families.values()


def together(texts: Iterable[tuple[str, str]]) -> str:
    """Return what `text` of several processes says, each with the tenant that it is of, each metric said once."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Told(texts))  # pyright: ignore[reportArgumentType]
    return generate_latest(registry).decode()
