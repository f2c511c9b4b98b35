"""A refresh: what happened since the served bundle becomes a new one, if the gate lets it."""

from collections.abc import Iterable
from pathlib import Path

from rich.console import Console

from cluster.command import say
from cluster.runtime import disconnect
from serve.config import RefreshArgs
from serve.state.catalogue import LiveCatalogue
from serve.state.event_log import LoggedEvent
from serve.state.history_file import LIVE, LIVE_ITEMS, write_events, write_items
from train.bundle import Bundle, read_bundle
from train.config import FitRun
from train.data.source import prepare_data
from train.evaluation.printed import verdict_table
from train.gate import fit_newest, judge, refreshing
from train.registry import Registry


def refresh(
    args: RefreshArgs, served: Path, pages: Iterable[list[LoggedEvent]], catalogue: LiveCatalogue
) -> str | None:
    """Return the version of a new bundle, published and not promoted yet, or None where the served one shall stay."""
    count = write_events(pages, Path(args.shop) / LIVE)
    say(f"{count:,} events of the log: {Path(args.shop) / LIVE}")
    n_items = write_items(catalogue, Path(args.shop) / LIVE_ITEMS)
    say(f"{n_items:,} items that were written: {Path(args.shop) / LIVE_ITEMS}")
    bundle = read_bundle(served)
    config = settings_of(args, bundle, served)
    prepared = prepare_data(config)
    verdict = judge(bundle, config, prepared, args.gate)
    Console(highlight=False).print(verdict_table(verdict, bundle.manifest.version))
    say(verdict.sentence())
    if not (verdict.is_good and args.promote):
        return None
    published = fit_newest(bundle, config, prepared, args.gate)
    disconnect()  # from a cluster that it may have been trained on
    return published.bundle.manifest.version


def settings_of(args: RefreshArgs, bundle: Bundle, served: Path) -> FitRun:
    """Return how the new bundle is made; one that was made smaller learns no more, so its parent goes on."""
    start = served
    if bundle.manifest.is_compressed and bundle.manifest.parent:
        start = Registry(args.registry).find(bundle.manifest.parent)
    return refreshing(bundle, start, args.shop, args.registry, args.fit_words())
