"""A small shop behind a real HTTP server, which runs in this process and in the shop's own event loop."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

from tests.serve.shop import Shop


class Server(uvicorn.Server):
    """Says when it listens, and leaves the signals to the tests."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


@contextmanager
def over_http(shop: Shop, app: ASGIApp | None = None) -> Iterator[str]:
    """Serve what the shop's client asks, or another surface of the same engine; yield its address."""
    config = uvicorn.Config(app or shop.client.app, log_level="warning", lifespan="off", timeout_graceful_shutdown=1)
    server = Server(config)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        running = shop.portal.start_task_soon(server._serve, [listener])  # `serve` would take the signals
        assert server.listens.wait(timeout=10)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            running.result(timeout=10)
