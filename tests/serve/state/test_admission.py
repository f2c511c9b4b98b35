import hashlib
import json

from hypothesis import given
from hypothesis import strategies as st

from serve.state.admission import fingerprint
from tests.serve.state.state_world import event

TEXTS = st.text(max_size=9)


@given(
    user_id=TEXTS, item_id=st.none() | TEXTS, order_key=TEXTS, payload=TEXTS,
    value=st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(),
)  # fmt: skip
def test_a_fingerprint_is_that_of_the_json_as_in_logs_of_all_times(
    user_id: str, item_id: str | None, order_key: str, payload: str, value: float | None
) -> None:
    found = fingerprint(event("e", user_id, order_key=order_key, payload=payload, value=value), item_id)
    content = json.dumps([user_id, item_id, "click", order_key, value, payload])
    assert found == hashlib.sha256(content.encode()).digest()[:16]
