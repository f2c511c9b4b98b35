"""Request ids go along with requests, and with nothing else."""

import asyncio
from contextvars import copy_context

import pytest

from cluster.requests import (
    MOST_NAMED,
    Carried,
    accepted,
    arriving,
    begin,
    carried,
    current_tenant,
    enter,
    request_id,
    within_each,
)


@pytest.mark.parametrize("given", ["r1", "4bf92f35-77b3", "Root=1-67891233-abc", "a/b+c:d_e.f", "x" * 128])
def test_a_clients_id_is_taken_as_it_is(given: str) -> None:
    assert accepted(given) == given


@pytest.mark.parametrize("given", ["", "x" * 129, "a b", "a\nb", "a\n", '"', "é", "a;b", "<b>", "\x7f"])
def test_what_is_not_safe_in_a_line_of_a_log_is_replaced(given: str) -> None:
    made = accepted(given)
    assert made != given
    assert made != accepted(given)
    assert accepted(made) == made


def test_an_id_belongs_to_its_task_and_to_the_tasks_that_it_starts() -> None:
    async def work(given: str) -> tuple[str, str]:
        begin(given)
        await asyncio.sleep(0)
        return request_id(), await asyncio.create_task(inner())

    async def inner() -> str:
        return request_id()

    async def both() -> list[tuple[str, str]]:
        return list(await asyncio.gather(work("r1"), work("r2")))

    assert asyncio.run(both()) == [("r1", "r1"), ("r2", "r2")]
    assert request_id() == ""


def test_what_is_done_for_several_names_them_until_it_is_done() -> None:
    with arriving([Carried("r1")]):
        with arriving([Carried("r2"), Carried(), Carried("r3"), Carried("r2")]):
            assert carried() == Carried("r2,r3")
        assert request_id() == "r1"


def test_a_line_names_a_bounded_number_of_requests() -> None:
    with arriving([Carried(f"r{number}") for number in range(MOST_NAMED + 3)]):
        assert request_id().endswith(f",r{MOST_NAMED - 1},+3")


def test_a_request_is_nobodys_until_its_tenant_is_known_and_the_next_one_is_nobodys_again() -> None:
    def two_requests() -> None:
        begin("one")
        enter("acme")
        assert within_each(["", "globex"], current_tenant) == {"": "", "globex": "globex"}
        assert current_tenant() == "acme"
        begin("two")
        assert current_tenant() == ""

    copy_context().run(two_requests)
    assert request_id() == ""
