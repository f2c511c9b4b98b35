"""What has been measured, in a file that is whole after every row, so that the same command goes on from there."""

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cluster.storage import write_whole

Result = dict[str, Any]  # figures of a row under one seed, or {"failed": why}; with a fingerprint of its settings


@dataclass
class Ledger:
    """Results by group of rows, name and seed."""

    path: Path
    about: dict[str, Any]  # of the data; results of other data are not gone on with
    rows: dict[str, dict[str, dict[str, Result]]] = field(default_factory=dict)  # group → name → seed → result

    @classmethod
    def open(cls, path: Path, about: dict[str, Any]) -> "Ledger":
        """Return the ledger in a file, with its results where they are of the same data."""
        try:
            found = json.loads(path.read_text())
            return cls(path, about, found["rows"] if found["about"] == about else {})
        except (OSError, ValueError, KeyError, TypeError):
            return cls(path, about)

    def is_finished(self, group: str, name: str, seed: int, fingerprint: str) -> bool:
        """Return whether the row was measured with these settings; what failed is tried again."""
        result = self.rows.get(group, {}).get(name, {}).get(str(seed), {})
        return result.get("fingerprint") == fingerprint and "failed" not in result

    def add(self, group: str, name: str, seed: int, fingerprint: str, result: Result) -> None:
        """Write a result; what was measured with other settings under the same name goes."""
        seeds = self.rows.setdefault(group, {}).setdefault(name, {})
        for other in [key for key, one in seeds.items() if one["fingerprint"] != fingerprint]:
            del seeds[other]
        seeds[str(seed)] = result | {"fingerprint": fingerprint}
        write_whole(self.path, json.dumps({"about": self.about, "rows": self.rows}, indent=1) + "\n")

    def results(self, group: str, name: str, seeds: list[int]) -> list[Result]:
        """Return what there is of a row under these seeds."""
        found = self.rows.get(group, {}).get(name, {})
        return [found[str(seed)] for seed in seeds if str(seed) in found]


def fingerprint_of(settings: Any) -> str:
    """Return what is equal for equal settings, plain values all of them."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:12]
