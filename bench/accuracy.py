"""All families of models side by side, and the engine made of them, by the literature's protocol.

    python -m bench.accuracy data=<folder or loader's name> [families=all|none|a,b] [engine=all|none|a,b] [seeds=1]

Leave-one-out, full ranking: each shopper's last item is the test, the one before it validation, and everything is
chosen on validation. Writes bench/results/accuracy_<data>.json after each row; the same command goes on from there.
"""

import sys
from pathlib import Path

if not __package__:  # started as a file: let `bench.…` be found whatever the working directory
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import re
import tempfile
import traceback
from typing import Any

from rich.console import Console

from bench.commands import FailedCommand
from bench.comparison.held_out import counts, fingerprint, hide_last
from bench.comparison.ledger import Ledger, Result
from bench.comparison.plan import AccuracyConfig, Measurement, plan
from bench.comparison.published import published
from bench.comparison.table import best_first, comparison_table, failures
from bench.report import RESULTS
from cluster.command import run_command, say
from cluster.errors import LiveshelfError
from train.data.source import prepare_data

GROUPS = ("families", "engine", "peers")
WIDTH = 110  # columns that the table needs, also where nobody looks at a terminal


def compare(config: AccuracyConfig) -> None:
    """Measure what is missing of a comparison, then print all of it."""
    prepared = prepare_data(config)
    held = hide_last(prepared, config.max_users, config.sample_seed)
    about = {"data": prepared.name, "fingerprint": fingerprint(prepared)} | counts(prepared) | held.facts()
    ledger = Ledger.open(result_path(config, prepared.name), about)
    with tempfile.TemporaryDirectory() as place:
        measurements = list(plan(config, held, Path(place)))
        held.save(Path(place))
        for number, one in enumerate(measurements, start=1):
            if config.again or not ledger.is_finished(one.group, one.name, one.seed, one.fingerprint):
                result = attempt(one)
                ledger.add(one.group, one.name, one.seed, one.fingerprint, result)
                say(f"[{number}/{len(measurements)}] {one.group} {one.name} seed={one.seed}: {in_short(result)}")
    show(ledger, measurements)


def attempt(one: Measurement) -> Result:
    """Return what a measurement gives, or why it gives nothing: the other rows go on."""
    try:
        return one.measure()
    except (LiveshelfError, FailedCommand) as error:
        return {"failed": str(error)}
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {error}"}


def show(ledger: Ledger, measurements: list[Measurement]) -> None:
    """Print the table, and a sentence about each row without figures."""
    groups: dict[str, dict[str, list[Result]]] = {group: {} for group in GROUPS}
    for one in measurements:
        groups[one.group].setdefault(one.name, []).extend(ledger.results(one.group, one.name, [one.seed]))
    groups["families"] = best_first(groups["families"])
    about = ledger.about
    table = comparison_table(title(about), groups, published(about["users"], about["items"], about["events"]))
    console = Console()
    console.width = max(console.width, WIDTH)
    console.print(table)
    for sentence in failures(groups):
        say(sentence)
    say(f"results: {ledger.path}")


def title(about: dict[str, Any]) -> str:
    """Return what the table is about."""
    sizes = "{users:,} users, {items:,} items, {events:,} events".format(**about)
    asked = "the last item of {asked:,} users, {had_before:.0%} of them had it before".format(**about)
    return f"{about['data']}: {sizes}; {asked}"


def in_short(result: Result) -> str:
    """Return a result in a few words."""
    if "failed" in result:
        return result["failed"]
    return f"N@10 {result['ndcg@10']:.4f} in {result['fit_cpu_s'] + result['evaluate_cpu_s']:.0f} CPU seconds"


def result_path(config: AccuracyConfig, name: str) -> Path:
    """Return the file of results."""
    return Path(config.out) if config.out else RESULTS / f"accuracy_{re.sub(r'[^A-Za-z0-9_-]+', '_', name)}.json"


def main(words: list[str]) -> int:
    return run_command(lambda: compare(AccuracyConfig.parse(words)))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
