"""Shoppers' tokens: what a key's holder gives away for a while, and nobody else can make."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.errors import UnauthorizedError
from cluster.keys import Key, Keyring
from cluster.tokens import LONGEST_S, MAX_LENGTH, SKEW_S, issue, shopper_of

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
ALPHABET = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."


@pytest.fixture
def ring(tmp_path: Path) -> Keyring:
    return Keyring(tmp_path / "keys.json")


def key_of(ring: Keyring, name: str = "shop") -> Key:
    """Return a new key as the file holds it."""
    made = ring.holder(ring.create(name, ["read", "events"]))
    assert made is not None
    return made


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> tuple[Keyring, Key]:
    """A ring with one key, for many examples."""
    ring = Keyring(tmp_path_factory.mktemp("ring") / "keys.json")
    return ring, key_of(ring)


def test_a_token_tells_its_shopper_and_the_key_that_it_was_given_with(ring: Keyring) -> None:
    key = key_of(ring)
    for user_id in ("u1", "a.b_c-d/e", "Ünï", "\U0001f6d2" * 128):
        token = issue(key, user_id, 3_600, NOW)
        assert len(token) <= MAX_LENGTH
        assert shopper_of(token, ring, NOW) == (key, user_id)


def test_another_process_knows_it_from_the_hashes_alone(ring: Keyring) -> None:
    token = issue(key_of(ring), "u1", 3_600, NOW)
    assert shopper_of(token, Keyring(ring.path), NOW)[1] == "u1"


@pytest.mark.parametrize(
    ("later_s", "is_good"),
    [(-SKEW_S - 1, False), (-SKEW_S, True), (0, True), (599, True), (600, False), (LONGEST_S, False)],
)
def test_a_token_is_good_for_as_long_as_it_says(ring: Keyring, later_s: int, is_good: bool) -> None:
    token, then = issue(key_of(ring), "u1", 600, NOW), NOW + timedelta(seconds=later_s)
    if is_good:
        assert shopper_of(token, ring, then)[1] == "u1"
    else:
        with pytest.raises(UnauthorizedError, match="good no longer"):
            shopper_of(token, ring, then)


def test_a_token_ends_with_its_key_and_with_no_other(ring: Keyring) -> None:
    old, new = (key_of(ring, name) for name in ("old", "new"))
    tokens = [issue(key, "u1", 3_600, NOW) for key in (old, new)]
    ring.revoke(old.id)
    with pytest.raises(UnauthorizedError):
        shopper_of(tokens[0], ring, NOW)
    assert shopper_of(tokens[1], ring, NOW) == (new, "u1")


@given(place=st.integers(0, 10_000), letter=st.sampled_from(ALPHABET))
def test_whoever_changes_a_letter_has_no_token(lasting: tuple[Keyring, Key], place: int, letter: str) -> None:
    ring, key = lasting
    token = issue(key, "u1", 3_600, NOW)
    place %= len(token)
    changed = token[:place] + letter + token[place + 1 :]
    if changed == token:
        assert shopper_of(changed, ring, NOW) == (key, "u1")
    else:
        with pytest.raises(UnauthorizedError):
            shopper_of(changed, ring, NOW)


@pytest.mark.parametrize(
    "token", ["", "lst_", "lst_.", "lst_....", "lst_{id}", "lst_{id}.", "lst_{id}....", "lst_{id}.é.é.é.é", "." * 9_999]
)
def test_what_was_never_a_token_is_refused_in_one_sentence(ring: Keyring, token: str) -> None:
    key = key_of(ring)
    with pytest.raises(UnauthorizedError, match="none of ours"):
        shopper_of(token.replace("{id}", key.id), ring, NOW)


def test_a_token_passes_for_no_key_and_tells_nothing_of_one(ring: Keyring) -> None:
    key = key_of(ring)
    token = issue(key, "u1", 3_600, NOW)
    assert ring.holder(token) is None
    assert key.sha256 not in token
