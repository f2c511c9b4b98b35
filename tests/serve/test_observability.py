"""Dashboard and alerts: each query can be read and asks for what `GET /metrics` tells; each alert says what to do."""

import json
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from cluster.environment import ROOT
from serve.metrics import refusals
from tests.serve.shop import KNOWN, Shop

FOLDER = ROOT / "cluster/observability"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
PANELS: list[dict[str, Any]] = json.loads((FOLDER / "dashboard.json").read_text())["panels"]
QUERIES = [rule["expr"] for rule in RULES] + [
    target["expr"].replace("$__rate_interval", "1m") for panel in PANELS for target in panel["targets"]
]
RECORDED = {rule["record"] for rule in RULES if "record" in rule}


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """Return what a query asks for."""
    found: list[promql_parser.VectorSelector] = []

    def see(node: promql_parser.Expr) -> bool:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        return True

    promql_parser.walk(promql_parser.parse(query), see)
    return found


@pytest.fixture
def told(shop: Shop) -> dict[str, set[str]]:
    """The labels of each metric that is told after a request of each kind."""
    shop.client.post("/v1/events", json={"type": "click", "user": KNOWN, "item": "i0003", "id": "e1"})
    shop.client.post("/v1/recommendations", json={"user": KNOWN})
    shop.client.post("/v1/recommendations", json={"user": KNOWN, "minVersion": 10**9})
    shop.engine.metrics.capped("key")
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(shop.client.get("/metrics").text + refusals("balancer", 1)):
        names = (
            [family.name] if family.type == "gauge" else [family.name + end for end in ("_total", "_count", "_bucket")]
        )
        for name in names:
            found.setdefault(name, set())
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def test_every_query_asks_for_what_is_told(told: dict[str, set[str]]) -> None:
    assert len(QUERIES) > 25
    for query in QUERIES:
        assert selectors(query), query
        for selector in selectors(query):
            if selector.name in RECORDED:
                continue
            assert selector.name in told, query
            asked = {matcher.name for matcher in selector.matchers.matchers}
            assert asked <= told[selector.name], query


def test_a_query_for_what_is_not_told_would_be_found(told: dict[str, set[str]]) -> None:
    [selector] = selectors("sum(rate(liveshelf_no_such_total[5m]))")
    assert selector.name not in told


@pytest.mark.parametrize("bound", ["0.25"])
def test_the_bound_of_the_objective_is_one_that_is_counted(shop: Shop, bound: str) -> None:
    shop.client.post("/v1/recommendations", json={"user": KNOWN})
    samples = (
        sample
        for family in text_string_to_metric_families(shop.client.get("/metrics").text)
        for sample in family.samples
    )
    assert bound in {sample.labels.get("le") for sample in samples}


def rows() -> Iterator[str]:
    text = (ROOT / "docs/operations.md").read_text()
    yield from (line for line in text.partition("## Alerts")[2].partition("\n## ")[0].splitlines() if "| `" in line)


def test_each_alert_has_its_entry_in_the_runbook_and_no_entry_is_of_none() -> None:
    entries = [row.split("`")[1] for row in rows()]
    assert entries == [rule["alert"] for rule in ALERTS]
    assert all({"summary"} == set(rule["annotations"]) for rule in ALERTS)


def test_panels_have_a_place_each() -> None:
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in PANELS}
    assert len(places) == len({panel["id"] for panel in PANELS}) == len(PANELS)
