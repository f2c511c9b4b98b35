"""A server of our own for one measurement, started and stopped as a user would."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.haproxy import free_port

ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Server:
    """Where it listens and what it keeps."""

    port: int
    home: Path
    data: Path
    root: Path = ROOT  # of the code
    settings: dict[str, Any] = field(default_factory=dict)  # more of `start`
    variables: dict[str, str] = field(default_factory=dict)  # more of its environment

    def start(self, **more: Any) -> None:
        """Start it, or change it where it runs."""
        settings = self.settings | more | {"data": self.data, "port": self.port}
        self.python("serve/run.py", "start", *(f"{name}={value}" for name, value in settings.items()))

    @property
    def head_pid(self) -> int:
        """The process from which all others of the server descend."""
        return json.loads((self.home / "head.json").read_text())["pid"]

    def python(self, *words: str) -> str:
        """Return what a Python process of the server's own home prints."""
        done = subprocess.run(
            [sys.executable, *words], cwd=self.root, text=True, stdout=subprocess.PIPE, check=True, timeout=180,
            env=os.environ | self.variables | {"LIVESHELF_HOME": str(self.home)},
        )  # fmt: skip
        return done.stdout


@contextmanager
def serving(
    registry: Path, topology: str, replicas: int = 2, data: Path | None = None,
    variables: dict[str, str] | None = None, root: Path = ROOT, **more: Any,
) -> Iterator[Server]:  # fmt: skip
    """Serve the current bundle of `registry` over an empty log, until the block ends; more: settings of `start`.

    data: where the log is begun; by default in a folder of its own; variables: more of its environment; root: of its
    code.
    """
    with tempfile.TemporaryDirectory(prefix="lsb-") as folder:  # short, for the sockets below it
        server = Server(
            root=root, port=free_port(), home=Path(folder) / "home", data=data or Path(folder) / "data",
            settings={"registry": registry, "topology": topology, "replicas": replicas, **more},
            variables=variables or {},
        )  # fmt: skip
        try:
            server.start()
            yield server
        finally:
            server.python("serve/run.py", "stop")
