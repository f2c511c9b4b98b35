"""Draining: what it waits for, and what it says when that does not happen. The rest is in test_ray_up."""

import pytest

from cluster.drain import await_none
from cluster.errors import RuntimeStartError


def test_it_waits_until_something_is_there_no_more() -> None:
    looks = iter([True, True, False])
    await_none(lambda: next(looks), timeout_s=30, otherwise="")
    assert next(looks, None) is None


def test_what_stays_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(RuntimeStartError, match="after 0 s somebody is still connected"):
        await_none(lambda: True, timeout_s=0, otherwise="somebody is still connected")
