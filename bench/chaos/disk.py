"""A disk of its own for a log, small enough to be filled."""

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(size: str) -> Iterator[Path]:
    """Give a folder that holds so much and no more, as tmpfs writes it: 24m; root alone may make one."""
    with tempfile.TemporaryDirectory(prefix="lsd-") as folder:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", folder], check=True)
