"""The card of a smaller bundle: what was done to it, before the card of the one it was made from."""

import json
from pathlib import Path

from train.bundle_state import COMPRESSION, Manifest
from train.compression.report import CompressionReport
from train.compression.steps import StepsConfig
from train.evaluation.card import CARD

FACTS = Path(COMPRESSION).name


def smaller_card(
    original: Path, manifest: Manifest, report: CompressionReport, config: StepsConfig
) -> dict[str, bytes]:
    """Return the card's files; `original` is the folder of the other card, which may be missing."""
    files = {path.name: path.read_bytes() for path in sorted(original.glob("*"))}
    head = f"# {manifest.version}\n\nMade smaller from {manifest.parent}; that one's card follows.\n\n"
    facts = {"parent": manifest.parent, "version": manifest.version, "steps": config.model_dump()} | report.to_json()
    return files | {
        CARD: (head + report.section()).encode() + b"\n" + files.get(CARD, b""),
        FACTS: json.dumps(facts, indent=1).encode(),
    }
