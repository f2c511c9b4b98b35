"""Marks forget nobody, and take few others for marked."""

from hypothesis import given
from hypothesis import strategies as st

from serve.state.marks import N_BYTES, Marks


@given(st.sets(st.text()))
def test_whoever_was_marked_is_marked_and_stays_so_in_a_copy(user_ids: set[str]) -> None:
    marks, copy = Marks(), Marks()
    for user_id in user_ids:
        marks.add(user_id)
    copy.restore(marks.to_array())
    assert all(user_id in marks and user_id in copy for user_id in user_ids)
    assert len(marks.to_array()) == N_BYTES


def test_few_others_are_taken_for_marked() -> None:
    marks = Marks()
    for number in range(100_000):
        marks.add(f"user-{number}")
    assert sum(f"other-{number}" in marks for number in range(100_000)) < 10
