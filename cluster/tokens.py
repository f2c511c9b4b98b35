"""Tokens: what a key's holder gives to the browser of one shopper, and any gateway knows without asking anybody.

`lst_<key>.<issued>.<expires>.<shopper>.<signature>`: both times in seconds of the epoch, the shopper's id as base64url.
The signature is HMAC-SHA256 (RFC 2104) under a secret that follows from the hash of the key, which gateways have and
tell nobody. So a token ends with its key, and nothing of it is read before its signature was found right: it is one
format under one algorithm, which is less to go wrong than the choices that a JWT brings.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import datetime

from cluster.errors import UnauthorizedError
from cluster.keys import Key, Keyring

PREFIX = "lst_"
LABEL = b"liveshelf: tokens of shoppers, 1"  # nothing else that might ever be signed with a key can pass for one
LONGEST_S = 86_400
USUAL_S = 3_600
MAX_LENGTH = 1_000  # characters, for the longest of ids takes 684 of them
SKEW_S = 60  # by which the clocks of gateways may differ


def issue(key: Key, user_id: str, life_s: int, now: datetime) -> str:
    """Return a token of a shopper, good from `now` on for `life_s` seconds, or until its key is revoked."""
    begin = int(now.timestamp())
    told = f"{key.id}.{begin}.{begin + life_s}.{_encoded(user_id.encode())}"
    return f"{PREFIX}{told}.{_signature(key, told)}"


def shopper_of(token: str, keyring: Keyring, now: datetime) -> tuple[Key, str]:
    """Return the key that a token was given with, and whose it is; raises UnauthorizedError."""
    told, _, signature = token[:MAX_LENGTH].removeprefix(PREFIX).rpartition(".")
    key = keyring.named(told.partition(".")[0])
    if key is None or not hmac.compare_digest(_signature(key, told).encode(), signature.encode()):
        raise UnauthorizedError("this token is none of ours, or its key was revoked; ask the shop's server for another")
    _, begin, end, user = told.split(".")  # we wrote it
    if not int(begin) - SKEW_S <= now.timestamp() < int(end):
        raise UnauthorizedError("this token is good no longer, or not yet; ask the shop's server for another")
    return key, urlsafe_b64decode(user + "=" * (-len(user) % 4)).decode()


def _signature(key: Key, told: str) -> str:
    secret = hmac.digest(bytes.fromhex(key.sha256), LABEL, "sha256")
    return _encoded(hmac.digest(secret, told.encode(), "sha256"))


def _encoded(content: bytes) -> str:
    return urlsafe_b64encode(content).decode().rstrip("=")
