"""What `compress` saves and costs, in a few of its ways, by the command of a user.

    python -m bench.compress data=<folder or loader's name> [bundle=<folder>] [key=value … for fit]

Without `bundle`, one is fitted first. Writes bench/results/compress.json.
"""

import json
import sys
import tempfile
from pathlib import Path

from pydantic import Field

from bench.commands import split_words, train_command
from bench.report import keep, show
from cluster.config import Config

WAYS = {
    "default": (),
    "float16 vectors alone": ("vectors=float16", "fold=false", "linear=float32", "embeddings=float32"),
    "a quarter pruned": ("prune=0.25",),
    "half pruned": ("prune=0.5",),
    "pq vectors": ("vectors=pq",),
}
MIB = 2**20


class CompressBench(Config):
    """What is compressed."""

    data: str = Field(description="what it is measured on, and fitted on where no bundle is given")
    bundle: str = Field("", description="folder of a bundle")


def main(words: list[str]) -> int:
    mine, passed = split_words(words, CompressBench)
    config = CompressBench.parse(mine)
    data = f"data={Path(config.data).resolve() if Path(config.data).exists() else config.data}"
    with tempfile.TemporaryDirectory() as place:
        bundle = config.bundle or train_command(Path(place), "fit", data, "workers=0", *passed).named("bundle")
        source = (data, f"bundle={Path(place, bundle).resolve()}", "promote=false", "max_loss=1", "out=report.json")
        reports = {}
        for name, way in WAYS.items():
            print(f"— {name}", flush=True)
            print(train_command(Path(place), "compress", *source, *way).output, flush=True)
            reports[name] = json.loads(Path(place, "report.json").read_text())
    show("Smaller bundles", [_row(name, report) for name, report in reports.items()])
    keep("compress", {"passed": passed, "ways": reports})
    return 0


def _row(name: str, report: dict) -> dict[str, str]:
    first, last = report["stages"][0], report["stages"][-1]
    before, after = (sum(stage["bytes"].values()) / MIB for stage in (first, last))
    whole = {when: size / MIB for when, size in report["whole_bytes"].items()}
    return {
        "": name, "model and vectors, MiB": f"{before:.2f} → {after:.2f}",
        "whole bundle, MiB": "{before:.2f} → {after:.2f}".format(**whole),
        "one history, ms": f"{first['encoder_one_ms']:.2f} → {last['encoder_one_ms']:.2f}",
        "32, ms": f"{first['encoder_32_ms']:.2f} → {last['encoder_32_ms']:.2f}",
        "NDCG lost": f"{report['loss']:.2%}",
    }  # fmt: skip


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
