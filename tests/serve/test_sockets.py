"""What listens after a default start is what docs/operations.md says."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from cluster.environment import ROOT
from cluster.haproxy import free_port
from cluster.head import running_head
from cluster.processes import descendants
from tests.listening import LOOPBACK, listening_addresses

pytestmark = [pytest.mark.ray, pytest.mark.slow]

EVERYWHERE = "every interface"


def documented() -> dict[str, str]:
    """Return where each process listens, by the first word of its command."""
    text = (ROOT / "docs/operations.md").read_text().partition("## What listens")[2].partition("\n## ")[0]
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| `")]
    return {name.strip(" `"): where.strip() for row in rows for name in row[1].split(",") for where in [row[3]]}


def program(pid: int) -> str:
    """Return the first word of a command, without a folder and without what Serve and Ray append to a class."""
    try:
        first = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").split(" ")[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""
    if first.startswith("ray::"):
        return "ray::" + first.removeprefix("ray::").split(":")[0].split(".")[0]
    return "python" if Path(first).name.startswith("python") else Path(first).name


def test_what_listens_is_what_is_documented(home: Path, registry: Path, tmp_path: Path) -> None:
    words = ["start", f"registry={registry}", f"data={tmp_path / 'data'}", f"port={free_port()}"]
    # The variables that this process made for its own cluster would lead there.
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    subprocess.run([sys.executable, ROOT / "serve/run.py", *words], check=True, env=clean, timeout=240)
    head = running_head()
    assert head is not None
    found = [(program(pid), listening_addresses({pid: tick})) for pid, tick in descendants(head.pid).items()]
    listening = {name for name, addresses in found if addresses}
    open_to_all = {name for name, addresses in found if addresses - LOOPBACK}
    known = documented()
    assert listening <= set(known)
    assert open_to_all == {name for name, where in known.items() if where == EVERYWHERE}
