"""A balancer of a test, and the server that it stands before."""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest


class Replica(BaseHTTPRequestHandler):
    """Answers with the status that its path names, in plain text, and says which headers came, and to whom."""

    held = threading.Semaphore(0)  # how many of those that wait may be answered
    came = threading.Semaphore(0)  # how many of them have come

    def do_GET(self) -> None:
        if self.path in ("/metrics", "/readyz"):
            status, kind = "200", "text"
        else:
            _, _, status, kind = self.path.split("/")
        if kind == "waits":
            self.came.release()
            self.held.acquire()
        port = self.connection.getsockname()[1]
        body = json.dumps(dict(self.headers.items()) | {"port": port}).encode()
        self.send_response(int(status))
        self.send_header("content-type", f"{kind}/plain")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.came.release()
        self.do_GET()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Replicas(ThreadingHTTPServer):
    """Takes as many at once as come."""

    request_queue_size = 256  # by default 5, beyond which a connection waits for a second and more


@contextmanager
def replica() -> Iterator[int]:
    """Have a server of one's own; yield its port."""
    with Replicas(("127.0.0.1", 0), Replica) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_port
        finally:
            server.shutdown()


@contextmanager
def balancer(command: Sequence[str | Path], port: int, **variables: str) -> Iterator[None]:
    """Have HAProxy run until the block ends, which begins when somebody listens on the port."""
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | variables)
    try:
        await_listener(running, port)
        yield
    finally:
        running.terminate()
        running.wait(timeout=10)


def await_listener(running: subprocess.Popen[str], port: int) -> None:
    """Return when somebody listens."""
    for _ in range(1_000):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except ConnectionRefusedError:
            if running.poll() is not None:
                pytest.fail(running.stderr.read() if running.stderr else "HAProxy ended")
            threading.Event().wait(0.02)
    pytest.fail("HAProxy never listened")
