"""A client that keeps its connection, as a shop's server would."""

import http.client
import json
from typing import Any, NamedTuple


class Answer(NamedTuple):
    """What came back; status 0 when nothing did, or no JSON."""

    status: int
    body: Any


class Client:
    """One connection, opened again after a failure."""

    def __init__(self, port: int, host: str = "127.0.0.1", timeout_s: float = 10, key: str = "") -> None:
        self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        self._headers = {"content-type": "application/json"} | ({"authorization": f"Bearer {key}"} if key else {})

    def post(self, path: str, body: Any) -> Answer:
        """Return the answer to a JSON body."""
        return self._ask("POST", path, json.dumps(body))

    def get(self, path: str) -> Answer:
        """Return the answer."""
        return self._ask("GET", path, None)

    def close(self) -> None:
        """Let go of the connection."""
        self._connection.close()

    def _ask(self, method: str, path: str, content: str | None) -> Answer:
        try:
            self._connection.request(method, path, content, self._headers)
            response = self._connection.getresponse()
            return Answer(response.status, json.loads(response.read()))
        except (OSError, http.client.HTTPException, ValueError):
            self._connection.close()
            return Answer(0, None)
