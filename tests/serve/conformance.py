"""Every answer is held against the document that the server gives of itself."""

import json
import re
from typing import Any

from fastapi.testclient import TestClient
from jsonschema import Draft202012Validator

JSON, LINES, PROBLEM, TEXT = "application/json", "application/x-ndjson", "application/problem+json", "text/plain"


class Conformance:
    """Called with each answer; fails the test when the answer is not what /openapi.json promises."""

    def __init__(self, client: TestClient) -> None:
        self.document: dict[str, Any] = client.get("/openapi.json").json()
        self._paths = {re.compile(re.sub(r"{\w+}", ".+", path)): path for path in self.document["paths"]}

    def __call__(self, response: Any) -> None:
        """Check one answer."""
        response.read()
        operation = self._operation(response.request)
        if response.status_code >= 400:
            assert response.headers["content-type"] == PROBLEM
            assert response.json()["status"] == response.status_code
            assert response.json()["requestId"]
            self._check(response.json(), {"$ref": "#/components/schemas/ProblemBody"})
            assert "Traceback" not in response.text
            if operation is not None:
                assert PROBLEM in operation["responses"][str(response.status_code)]["content"]
        elif operation is not None:
            promised = operation["responses"][str(response.status_code)]["content"]
            if response.headers["content-type"] == LINES:
                for line in response.text.splitlines():
                    self._check(json.loads(line), promised[LINES]["schema"])
            elif response.headers["content-type"].startswith(TEXT):
                assert TEXT in promised
            else:
                self._check(response.json(), promised[JSON]["schema"])

    def _operation(self, request: Any) -> dict[str, Any] | None:
        declared = [path for pattern, path in self._paths.items() if pattern.fullmatch(request.url.path)]
        found = [self.document["paths"][path].get(request.method.lower()) for path in declared]
        return next((operation for operation in found if operation), None)

    def _check(self, body: Any, schema: dict[str, Any]) -> None:
        Draft202012Validator(schema | {"components": self.document["components"]}).validate(body)
