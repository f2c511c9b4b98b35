"""`make bench`: every measurement that needs no data of the user's, one after the other.

python bench/run.py [name …]
"""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BENCHES = (
    "freshness", "serve", "ingest", "overload", "scaling", "durability", "kill_store", "store", "retention", "index",
    "decisions", "next_basket", "diversity", "explain", "judging", "train_scale",
)  # fmt: skip


def main(names: list[str]) -> int:
    """Run benches by name, all of them when none is named; return 1 when one of them failed."""
    failed = []
    for name in names or BENCHES:
        print(f"— {name}", flush=True)
        if subprocess.run([sys.executable, "-m", f"bench.{name}"], cwd=ROOT, check=False).returncode:
            failed.append(name)
    print(f"results: {ROOT / 'bench' / 'results'}" + (f"; failed: {', '.join(failed)}" if failed else ""))
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
