"""`python -m tests.audit.advisories`: known vulnerabilities of what constraints.txt pins, and what was not looked up.

pip-audit itself says "no known vulnerabilities" and exits with 0 where it reached no advisories at all.
"""

import json
import subprocess
import sys
from typing import Any

from cluster.environment import ROOT

COMMAND = ["--format=json", "--progress-spinner=off", "--no-deps", "--disable-pip", "-r", "constraints.txt"]
CLEAN, FOUND, NOT_LOOKED_UP = 0, 1, 2


def told(dependencies: list[dict[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit code and the lines that say what pip-audit's answer means."""
    lines = [
        f"{one['name']} {one['version']}: {flaw['id']}, mended in {', '.join(flaw['fix_versions']) or 'no version yet'}"
        for one in dependencies for flaw in one.get("vulns", ())
    ]  # fmt: skip
    skipped = [one["name"] for one in dependencies if "skip_reason" in one]
    code = FOUND if lines else NOT_LOOKED_UP if skipped or not dependencies else CLEAN
    if skipped and len(skipped) == len(dependencies):
        lines.append(f"NOT LOOKED UP: PyPI tells no advisories here; nothing is known of {len(skipped)} packages")
    elif skipped:
        lines.append(f"NOT LOOKED UP: {', '.join(skipped)}")
    if code == CLEAN:
        lines.append(f"no known vulnerability in {len(dependencies)} packages")
    return code, lines


def main() -> int:
    """Print what is known; return the exit code."""
    asked = subprocess.run([sys.executable, "-m", "pip_audit", *COMMAND], cwd=ROOT, capture_output=True, text=True)
    try:
        code, lines = told(json.loads(asked.stdout)["dependencies"])
    except ValueError:
        code, lines = NOT_LOOKED_UP, ["NOT LOOKED UP: pip-audit gave no answer", *asked.stderr.splitlines()[-1:]]
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
