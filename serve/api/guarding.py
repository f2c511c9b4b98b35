"""What holds of every answer, whoever gives it: a path that is text, and headers that let a browser do nothing else."""

import base64
import hashlib
import re
from importlib.resources import files
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Request, Response
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cluster.errors import NotFoundError, RequestError, UnavailableError
from cluster.front_door import CLUSTER
from serve.api.problems import SAFE, problem_response

ELSEWHERE = "this request was meant for another server; send it again"
SWAGGER = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css", "favicon-32x32.png": "image/png"}
SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)


class Guarded:
    """Refuses what is not meant for us, and gives every answer the headers that it has not by itself.

    A balancer that has not heard yet that a replica is gone sends requests to its port, where a replica of another
    cluster may listen by now. That one must not keep the events of a shop that is not its own.
    """

    def __init__(self, app: ASGIApp, mark: str) -> None:
        """Let requests of this cluster pass, and those that came through no balancer; mark: as `cluster_mark`."""
        self._app, self._mark = app, mark.encode()

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

        if dict(scope["headers"]).get(CLUSTER.encode(), self._mark) != self._mark:
            await problem_response(Request(scope), UnavailableError.status, ELSEWHERE)(scope, receive, safe)
            return
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
    """Serve the page that tries the API out, with Swagger's files beside it: a browser asks nobody but this server."""
    script, style, icon = (f"/docs/{name}" for name in SWAGGER)
    page = bytes(get_swagger_ui_html(
        openapi_url="/openapi.json", title=api.title, swagger_js_url=script, swagger_css_url=style,
        swagger_favicon_url=icon,
    ).body)  # fmt: skip
    digests = [hashlib.sha256(script.encode()).digest() for script in SCRIPT.findall(page.decode())]
    hashes = " ".join(f"'sha256-{base64.b64encode(digest).decode()}'" for digest in digests)
    policy = (
        f"default-src 'none'; script-src 'self' {hashes}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'"
    )

    async def docs(request: Request) -> Response:
        return Response(page, media_type="text/html", headers={"content-security-policy": policy})

    async def file(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in SWAGGER:
            raise NotFoundError(f"/docs has no {name[:128]!r}")
        content = files("fastapi_swagger.resources").joinpath(name).read_bytes()
        return Response(content, media_type=SWAGGER[name], headers={"cache-control": "max-age=86400"})

    api.add_route("/docs", docs, include_in_schema=False)
    api.add_route("/docs/{name}", file, include_in_schema=False)
