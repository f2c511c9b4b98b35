"""A Redis of one's own, in which a cluster's GCS keeps what it knows."""

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cluster.haproxy import free_port

READY = "Ready to accept connections"
SETTINGS = "bind {host}\nport {port}\nrequirepass {password}\ndir {folder}\nappendonly yes\n"


def missing() -> str:
    """Return why there can be no Redis here, nothing where there can."""
    return "" if shutil.which("redis-server") else "redis-server is not installed; `apt-get install redis-server`"


@contextmanager
def redis(host: str = "127.0.0.1") -> Iterator[str]:
    """Have one that asks for a password until the block ends; yield its URL."""
    port, password = free_port(), secrets.token_hex(16)
    with (
        tempfile.TemporaryDirectory(prefix="lsr-") as folder,
        subprocess.Popen(["redis-server", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running,
    ):
        assert running.stdin and running.stdout
        running.stdin.write(SETTINGS.format(host=host, port=port, password=password, folder=folder))
        running.stdin.close()
        try:
            if not any(READY in line for line in running.stdout):
                raise RuntimeError(f"redis-server ended with {running.wait()}")
            yield f"redis://:{password}@{host}:{port}"
        finally:
            running.terminate()
