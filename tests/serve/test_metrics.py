"""What is counted, told by any replica for all of them."""

from collections.abc import Iterator

import pytest
from prometheus_client.parser import text_string_to_metric_families

from serve.api.routes import make_api
from serve.metrics import Metrics, together
from serve.state import reports
from tests.serve.shop import KNOWN, STRANGER, Shop

Samples = dict[tuple[str, ...], float]


def samples(text: str, name: str) -> Samples:
    """Return the values of a metric by its labels, without those of the process."""
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {
        tuple(value for label, value in sorted(sample.labels.items()) if label != "process"): sample.value
        for sample in found if sample.name == name
    }  # fmt: skip


def told(shop: Shop) -> str:
    answer = shop.client.get("/metrics")
    assert answer.status_code == 200
    return answer.text


def test_requests_are_counted_by_route_and_status_and_never_by_what_was_asked_for(shop: Shop) -> None:
    shop.slate(user=KNOWN)
    shop.slate(user=KNOWN)
    shop.client.post("/v1/recommendations", json={"nonsense": 1})
    shop.client.get(f"/v1/users/{KNOWN}/export")
    shop.client.get("/nothing/here")
    text = told(shop)
    counted = samples(text, "liveshelf_request_seconds_count")
    assert counted["POST", "/v1/recommendations", "200"] == 2
    assert counted["POST", "/v1/recommendations", "400"] == 1
    assert counted["GET", "/v1/users/{user_id}/export", "200"] == 1
    assert counted["GET", "none", "404"] == 1
    assert KNOWN not in text


def test_events_and_slates_are_counted_by_how_they_ended(shop: Shop) -> None:
    shop.click(KNOWN, "i0003", id="e1")
    shop.click(KNOWN, "i0003", id="e1")
    shop.slate(user=STRANGER)
    shop.store.away = True
    shop.engine.view._state.marks.add("elsewhere")  # as by an event that another replica took
    shop.slate(user="elsewhere")
    shop.store.away = False
    text = told(shop)
    assert samples(text, "liveshelf_events_total") == {("applied",): 1, ("duplicate",): 1}
    assert samples(text, "liveshelf_slates_total") == {("popular",): 2}
    assert samples(text, "liveshelf_degraded_slates_total") == {("history",): 1}
    assert samples(text, "liveshelf_state_version") == {(): 1}
    assert samples(text, "liveshelf_store_log_version") == {(): 1}


@pytest.mark.parametrize(
    ("headers", "refused"),
    [
        ({"x-liveshelf-cluster": "ours", "x-liveshelf-refused": "shop-1 7"}, {("shop-1",): 7}),
        ({"x-liveshelf-cluster": "ours"}, {}),
        ({"x-liveshelf-refused": "shop-1 7"}, {}),  # said by a client that came through no balancer
    ],
)
def test_what_the_balancer_refused_is_told_and_no_client_says_it(
    shop: Shop, headers: dict[str, str], refused: Samples
) -> None:
    client = shop.client_of(make_api(lambda: shop.engine, mark="ours"))
    assert samples(client.get("/metrics", headers=headers).text, "liveshelf_refused_total") == refused


def test_without_the_store_a_replica_tells_of_itself(shop: Shop) -> None:
    shop.slate(user=KNOWN)
    shop.store.away = True
    text = told(shop)
    assert samples(text, "liveshelf_slates_total") == {("none",): 1}
    assert samples(text, "liveshelf_store_log_version") == {}


def test_any_replica_tells_what_all_counted_each_metric_said_once(shop: Shop) -> None:
    other = Metrics("another replica")
    other.slate("popular", ["stale"])
    shop.portal.call(shop.store.reports.put, other.process, other.text({}))
    shop.slate(user=KNOWN)
    text = told(shop)
    assert samples(text, "liveshelf_slates_total") == {("none",): 1, ("popular",): 1}
    assert text.count("# TYPE liveshelf_slates_total counter") == 1
    assert 'process="another replica"' in text


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """Yield the monotonic time that reports see."""
    now = [100.0]
    monkeypatch.setattr(reports.time, "monotonic", lambda: now[0])
    yield now


def test_a_process_that_told_nothing_of_late_is_gone(shop: Shop, clock: list[float]) -> None:
    shop.portal.call(shop.store.reports.put, "old", Metrics("old").text({"old": (1.0, "")}))
    clock[0] += reports.STALE_S + 1
    assert 'process="old"' not in told(shop)


def test_what_several_tell_is_summed_nowhere() -> None:
    texts = []
    for process in ("a", "b"):
        metrics = Metrics(process)
        metrics.request("GET", "/healthz", 200, 0.003)
        texts.append(("", metrics.text({})))
    text = together(texts)
    assert text.count("liveshelf_request_seconds_sum{") == 2
    assert samples(text, "liveshelf_request_seconds_count") == {("GET", "/healthz", "200"): 1}
