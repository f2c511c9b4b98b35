"""The only place that configures logging: lines of text for people, or of JSON for what collects them."""

import json
import logging
import math
import os
import re
import sys
from datetime import UTC, datetime
from typing import Any

from cluster.errors import ConfigError
from cluster.requests import request_id
from cluster.tracing import trace_id

VARIABLE = "LIVESHELF_LOGS"  # in the environment: processes that Ray starts write before they have any setting
KINDS = ("text", "json")
CHATTY = ("fsspec", "matplotlib", "urllib3", "pandera", "ray.serve")  # Serve comments on each step of a start
FACT = re.compile(r"%%|(?:([A-Za-z_][\w@.]*)=)?%[-#0 +]*\d*(?:\.\d+)?[a-z]")  # `name=%s` in a message not filled yet


def configure_logging(level: str = "INFO", process: str = "command") -> None:
    """Send log lines of every package to standard error, once; process: what lines of JSON call this one.

    Raises ConfigError where the environment asks for an unknown kind of line.
    """
    # Serve puts a stream in the place of sys.stderr in its replicas, which would drop what is written there.
    handler = logging.StreamHandler(sys.__stderr__)
    handler.setFormatter(JsonLines(process) if are_json() else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for chatty in CHATTY:
        logging.getLogger(chatty).setLevel(logging.WARNING)
    logging.getLogger("ray.tune").setLevel(logging.ERROR)  # it comments on each checkpoint


def are_json() -> bool:
    """Tell whether lines are JSON."""
    kind = os.environ.get(VARIABLE) or "text"
    if kind not in KINDS:
        raise ConfigError(f"{VARIABLE}={kind!r} is no kind of log lines; give {' or '.join(KINDS)}")
    return kind == "json"


class TextLines(logging.Formatter):
    """A line for people, with the request's id at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """As logging.Formatter.formatMessage."""
        asked = request_id()
        return super().formatMessage(record) + (f" request={asked}" if asked else "")


class JsonLines(logging.Formatter):
    """A line of JSON: who says what when, about which request, and the facts of the message as values."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """As logging.Formatter.format; whatever it holds, it is one line of ASCII."""
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, Any] = {
            "time": moment.replace("+00:00", "Z"), "level": record.levelname, "logger": record.name,
            "process": self._process, "pid": record.process, "message": record.getMessage(),
        }  # fmt: skip
        if asked := request_id():
            line["requestId"] = asked
        if trace := trace_id():
            line["traceId"] = trace
        if facts := facts_of(record):
            line["facts"] = facts
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return what a message says as `name=value`, by name."""
    given = record.args if isinstance(record.args, tuple) else ()
    names = [found[1] for found in FACT.finditer(str(record.msg)) if found[0] != "%%"]
    return {name: _plain(value) for name, value in zip(names, given, strict=False) if name}


def _plain(value: object) -> Any:
    is_number = isinstance(value, int) or (isinstance(value, float) and math.isfinite(value))
    return value if value is None or is_number else str(value)
