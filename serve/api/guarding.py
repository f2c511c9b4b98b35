"""What holds of every answer, whoever gives it: a path that is text, and headers that let a browser do nothing else."""

import base64
import hashlib
import re
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import RequestError
from serve.api.problems import SAFE, problem_response

SWAGGER = "https://cdn.jsdelivr.net"
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class Guarded:
    """Refuses paths that are no UTF-8, and gives every answer the headers that it has not by itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def safe(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SAFE.items():
                    headers.setdefault(name, value)
            await send(message)

        if found := path_problem(scope["path"], scope.get("raw_path") or b""):
            await problem_response(Request(scope), RequestError.status, found)(scope, receive, safe)
            return
        await self._app(scope, receive, safe)


def path_problem(path: str, raw_path: bytes) -> str | None:
    """Return why nobody can mean a path, or None."""
    if "\n" in path:  # a route's pattern would end there
        return "the path holds a line break, which no id has"
    if "\ufffd" in path:  # put by the server for what it cannot read, so that many paths would mean one id
        try:
            unquote_to_bytes(raw_path).decode()
        except UnicodeDecodeError:
            return "the path is not UTF-8; percent-encode the bytes of each id in it"
    return None


def install_docs(api: FastAPI) -> None:
    """Serve the page that tries the API out, whose scripts are Swagger's and the one that it holds, and no others."""
    page = bytes(get_swagger_ui_html(openapi_url="/openapi.json", title=api.title).body)
    digests = [hashlib.sha256(script.encode()).digest() for script in SCRIPT.findall(page.decode())]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = (
        f"default-src 'none'; script-src {SWAGGER} {hashes}; style-src {SWAGGER} 'unsafe-inline'; "
        "img-src 'self' data: https://fastapi.tiangolo.com; connect-src 'self'; frame-ancestors 'none'"
    )

    async def docs(request: Request) -> Response:
        return Response(page, media_type="text/html", headers={"content-security-policy": policy})

    api.add_route("/docs", docs, include_in_schema=False)
