"""`python -m tests.audit.lock`: writes requirements.lock, the files that an installation is made of, by their SHA-256.

One file of each package, for Linux on x86-64 and Python 3.11 without a GPU: `make setup LOCKED=1` takes these and no
others.
"""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cluster.environment import ROOT

LOCK, PINS = ROOT / "requirements.lock", ROOT / "constraints.txt"
EXTRAS = ("cpu", "demo", "dev", "postgres", "tracing")  # as `make setup` installs them
BUILDS = ("editables", "hatchling>=1.27")  # what installs liveshelf itself, which pip would fetch unlocked
NOT_LOCKED = {"pip"}  # which comes with the environment
HEAD = "# Made by `make lock`: Linux, x86-64, Python 3.11, no GPU. torch is PyTorch's own build without CUDA.\n"


def locked(report: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each package of pip's report, but for ours and pip itself."""
    for one in report["install"]:
        name, version, come_from = one["metadata"]["name"], one["metadata"]["version"], one["download_info"]
        if "archive_info" in come_from and name not in NOT_LOCKED:
            digest = come_from["archive_info"]["hashes"]["sha256"]
            yield f"{canonicalize_name(name)}=={version} --hash=sha256:{digest}"


def read(path: Path) -> dict[str, str]:
    """Return the versions that a file pins, without what tells builds of one version apart, by name."""
    lines = (line.split(" --hash=")[0] for line in path.read_text().splitlines() if line and not line.startswith("#"))
    pins = [Requirement(line) for line in lines]
    return {canonicalize_name(pin.name): str(pin.specifier).removeprefix("==").split("+")[0] for pin in pins}


def main() -> None:
    """Ask pip what it would install, and write it."""
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.json"
        wanted = [f"{ROOT}[{','.join(EXTRAS)}]", *BUILDS]
        command = [
            "install",
            "-q",
            "--dry-run",
            "--ignore-installed",
            "--report",
            str(report),
            "-c",
            str(PINS),
            *wanted,
        ]
        subprocess.run([sys.executable, "-m", "pip", *command], check=True)
        lines = sorted(locked(json.loads(report.read_text())))
    LOCK.write_text(HEAD + "".join(f"{line}\n" for line in lines))


if __name__ == "__main__":
    main()
