"""How soon an item that nobody had yet is found: a tenth of the items is unknown to training, and then described.

    python -m bench.cold_items data=<folder or loader's name> [content=tfidf …  key=value for fit]

Asks, wherever a shopper took a hidden item after a known one, at which place among all items it stood. Writes
bench/results/cold_items.json.
"""

import json
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from bench.commands import ROOT, print_rows, split_words, train_command
from bench.score import half_way_rank, score_queries
from cluster.config import Config
from cluster.errors import DataError
from cluster.storage import write_whole
from train.bundle import Bundle, read_bundle
from train.data.load import load
from train.data.schema import Tables
from train.data.steps.catalogue import plain_items
from train.encoders.pictures import image_files

DEPTHS = (10, 50)


class ColdConfig(Config):
    """What is hidden, and how much is asked."""

    data: str = Field(description="a folder, a file, or a loader's name; its items need titles or pictures")
    share: float = Field(0.1, gt=0, lt=0.9, description="of the items, hidden from training")
    queries: int = Field(6_000, ge=1, description="sampled questions")
    seed: int = Field(0, ge=0, description="of what is hidden and what is asked")


@dataclass(frozen=True)
class Query:
    """A shopper's known items, oldest first, and the hidden one taken next; all as positions among all items."""

    history: np.ndarray
    truth: int


def write_without(tables: Tables, hidden: set[str], folder: Path) -> None:
    """Write a shop that has never heard of the hidden items."""
    folder.mkdir()
    events = tables.events[~tables.events["item_id"].astype(str).isin(hidden)]
    if not tables.has_clock:
        events = events.rename(columns={"timestamp": "position"})
    events.reset_index(drop=True).to_parquet(folder / "events.parquet")
    items = tables.items[~tables.items["item_id"].astype(str).isin(hidden)]
    items.reset_index(drop=True).to_parquet(folder / "items.parquet")
    for file in image_files(plain_items(items), tables.folder):
        place = folder / file.path.relative_to(Path(tables.folder or ".").resolve())
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file.path, place)


def find_queries(tables: Tables, position: dict[str, int], n_known: int, config: ColdConfig) -> list[Query]:
    """Return a sample of the moments at which a hidden item followed a known one."""
    events = tables.events.assign(position=tables.events["item_id"].astype(str).map(position))
    events = events.dropna(subset="position").sort_values(["user_id", "timestamp"], kind="stable")
    found = []
    for _, taken in events.groupby("user_id", sort=False)["position"]:
        items = taken.to_numpy(dtype=np.int64)
        for place in np.flatnonzero(items >= n_known):
            history = items[:place][items[:place] < n_known]
            if len(history):
                found.append(Query(history, int(items[place])))
    if not found:
        raise DataError("no shopper took a hidden item after a known one; hide a larger share")
    chosen = np.random.default_rng(config.seed).permutation(len(found))[: config.queries]
    return [found[number] for number in chosen]


def ranks(bundle: Bundle, new: np.ndarray, queries: list[Query]) -> dict[str, list[list[float]]]:
    """Return each answer's place among all items but the shopper's own, by method."""
    vectors = np.vstack([bundle.state.vectors, new])
    popularity = np.concatenate([bundle.state.popularity, np.zeros(len(new))])
    shoppers = bundle.model.encode_histories([query.history for query in queries])
    found: dict[str, list[list[float]]] = {"content": [], "popularity": []}
    for query, shopper in zip(queries, shoppers, strict=True):
        for name, scores in (("content", vectors @ shopper), ("popularity", popularity.copy())):
            scores[query.history] = -np.inf
            found[name].append([half_way_rank(scores, scores[query.truth])])
    return found


def fit_without(tables: Tables, hidden: set[str], passed: list[str]) -> tuple[Bundle, float]:
    """Return the bundle of a shop that has never heard of the hidden items, and the CPU seconds it took."""
    with tempfile.TemporaryDirectory() as place:
        write_without(tables, hidden, Path(place) / "known")
        fit = train_command(Path(place), "fit", "data=known", "workers=0", *passed)
        return read_bundle(next((Path(place) / "var/registry").glob("*/manifest.json")).parent), fit.cpu_s


def describe_hidden(tables: Tables, hidden: set[str], bundle: Bundle) -> tuple[list[str], np.ndarray]:
    """Return the hidden items' ids and vectors."""
    if bundle.features is None:
        raise DataError("this bundle cannot describe items; pass content=tfidf or another encoder")
    items = tables.items.assign(item_id=tables.items["item_id"].astype(str)).drop_duplicates("item_id", keep="last")
    frame = plain_items(items[items["item_id"].isin(hidden)])
    return frame["item_id"].tolist(), bundle.model.content_vectors(bundle.features.of(frame, folder=tables.folder))


def main(words: list[str]) -> int:
    mine, passed = split_words(words, ColdConfig)
    config = ColdConfig.parse(mine)
    passed = ["content=tfidf", *passed]
    tables = load(config.data)
    item_ids = np.sort(tables.items["item_id"].astype(str).unique())
    n_hidden = max(1, round(config.share * len(item_ids)))
    hidden = set(np.random.default_rng(config.seed).choice(item_ids, n_hidden, replace=False))
    bundle, fit_cpu_s = fit_without(tables, hidden, passed)
    new_ids, new = describe_hidden(tables, hidden, bundle)
    position = {item_id: number for number, item_id in enumerate([*bundle.items["item_id"], *new_ids])}
    queries = find_queries(tables, position, len(bundle.items), config)
    rows = {name: _metrics(found) for name, found in ranks(bundle, new, queries).items()}
    rows["random"] = {f"recall@{k}": k / len(position) for k in DEPTHS}
    print_rows(f"{len(hidden):,} hidden items, {len(queries):,} questions", rows, tuple(rows["content"]))
    facts = {"rows": rows, "hidden": len(hidden), "queries": len(queries), "fit_cpu_s": fit_cpu_s, "passed": passed}
    write_whole(ROOT / "bench/results/cold_items.json", json.dumps(facts, indent=1))
    return 0


def _metrics(found: list[list[float]]) -> dict[str, float]:
    return {name: value for k in DEPTHS for name, value in score_queries(k, found).items()}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
