"""Log lines: text for people, JSON for what collects them, each naming the request that it is about."""

import io
import json
import logging
import math
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from cluster.errors import ConfigError
from cluster.requests import Carried, arriving
from cluster.telemetry import JsonLines, TextLines, configure_logging

log = logging.getLogger("tests.telemetry")


@pytest.fixture
def as_before() -> Iterator[None]:
    """Logging as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = handlers, level


def record(message: str, *arguments: object, exc_info: Any = None) -> logging.LogRecord:
    return logging.LogRecord("serve.x", logging.WARNING, "x.py", 1, message, arguments, exc_info)


def line(message: str, *arguments: object, exc_info: Any = None) -> dict[str, Any]:
    text = JsonLines("store").format(record(message, *arguments, exc_info=exc_info))
    assert "\n" not in text
    return json.loads(text)


def test_a_line_of_json_says_who_says_what_when() -> None:
    said = line("wrote snapshot version=%d path=%s", 7, "/a b")
    assert said.pop("time").endswith("Z")
    assert isinstance(said.pop("pid"), int)
    assert said == {
        "level": "WARNING", "logger": "serve.x", "process": "store",
        "message": "wrote snapshot version=7 path=/a b", "facts": {"version": 7, "path": "/a b"},
    }  # fmt: skip


@pytest.mark.parametrize(
    ("message", "arguments", "facts"),
    [
        ("ndcg@10=%.4f of=%-8s", (0.25, "b1"), {"ndcg@10": 0.25, "of": "b1"}),
        ("100%% of %s n=%d", ("all", 3), {"n": 3}),
        ("view=%d starts again: %s", (3, ValueError("x")), {"view": 3}),
        ("error=%s open=%s rate=%.1f", (KeyError("x"), True, math.nan), {"error": "'x'", "open": True, "rate": "nan"}),
        ("nothing=1", (), None),
    ],
)  # fmt: skip
def test_the_facts_of_a_message_are_values(message: str, arguments: tuple[Any, ...], facts: dict[str, Any]) -> None:
    assert line(message, *arguments).get("facts") == facts


@pytest.mark.parametrize("hostile", ["two\nlines", '"}\r{"level":"INFO"', "\ud800", "\x00", "\u2028"])
def test_whatever_is_said_is_one_line(hostile: str) -> None:
    assert line("error=%s", hostile)["facts"] == {"error": hostile}


def test_a_failure_is_told_with_its_trace_in_the_same_line() -> None:
    try:
        raise ValueError("what went\nwrong")
    except ValueError:
        said = line("failed", exc_info=sys.exc_info())
    assert said["exception"].startswith("Traceback")
    assert "what went\nwrong" in said["exception"]


def test_both_kinds_of_line_name_the_request_at_hand() -> None:
    assert "requestId" not in line("alone")
    assert not TextLines().format(record("alone")).endswith("request=")
    with arriving([Carried("r1")]):
        assert line("asked")["requestId"] == "r1"
        assert TextLines().format(record("asked")).endswith("asked request=r1")


def test_the_environment_says_which_kind_is_written(
    as_before: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, is_json in (("", False), ("text", False), ("json", True)):
        monkeypatch.setenv("LIVESHELF_LOGS", kind)
        stream = io.StringIO()
        monkeypatch.setattr(sys, "__stderr__", stream)
        configure_logging("INFO", "gateway 1")
        log.info("count=%d", 2)
        said = stream.getvalue()
        assert ('"process": "gateway 1"' in said) is is_json
        assert said.count("\n") == 1


def test_a_replaced_stream_does_not_swallow_lines(as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    kept, swallowed = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "__stderr__", kept)
    monkeypatch.setattr(sys, "stderr", swallowed)
    configure_logging("INFO")
    log.info("heard")
    assert "heard" in kept.getvalue()
    assert not swallowed.getvalue()


def test_an_unknown_kind_is_refused(as_before: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESHELF_LOGS", "xml")
    with pytest.raises(ConfigError, match=r"LIVESHELF_LOGS='xml' .* give text or json"):
        configure_logging()
