"""Log lines as a test sees them."""

import json
import logging
from typing import Any

from cluster.telemetry import JsonLines


class Lines(logging.Handler):
    """What is logged at the level of info and above, as it is written; but for what the test's own client says."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JsonLines("test"))
        self.written: list[dict[str, Any]] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("httpx"):
            self.written.append(json.loads(self.format(record)))
