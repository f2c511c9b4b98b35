"""What finding the nearest items costs as there are more of them: exactly, by lists, and by lists of short codes.

    python -m bench.index [largest=1000000] [searches=1000]

The items are generated (`bench/vectors.py`). Recall is the share of the exact list, for shoppers that the index was not
chosen with: when it is built; after a hundredth of the items went elsewhere; and after all went about as far as they
may before they are searched exactly, most of them away from a shopper, as the learner pushes them. At last, `filtered`
is what random filters cost and find that show so many of the items. All of it on one thread, in seconds and
milliseconds of the processor.
Writes bench/results/index.json.
"""

import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import faiss
import numpy as np
from pydantic import Field

from bench.report import keep, quantiles, show
from bench.vectors import Held, item_vectors, shopper_vectors
from cluster.config import Config
from serve.stages.index.approximate import ApproximateIndex
from serve.stages.index.base import recall
from serve.stages.index.config import IndexConfig, Kind
from serve.stages.index.exact import FlatIndex, Index, nearest
from serve.state.moves import Moved, Moves

K = 100  # length of the lists whose recall is told
MIB = 2**20
SHARES = (0.003, 0.02, 0.1, 0.5)  # that filters show
APPROXIMATE: tuple[Kind, ...] = ("ivf", "ivfpq")


class IndexBench(Config):
    """How many items, and how often they are searched."""

    largest: int = Field(default=1_000_000, ge=20_000, description="of the largest shop; others have 1/5 and 1/20")
    dim: int = Field(default=64, ge=2, description="coordinates of a vector")
    searches: int = Field(default=1_000, ge=10, description="timed ones")
    width: int = Field(default=300, ge=1, description="items that a timed search asks for")
    seed: int = Field(default=0, ge=0, description="of the generated items and shoppers")
    index: IndexConfig = IndexConfig.parse([])


def main(words: list[str]) -> int:
    bench = IndexBench.parse(words)
    faiss.omp_set_num_threads(1)
    rows: list[dict[str, Any]] = []
    for n_items in (bench.largest // 20, bench.largest // 5, bench.largest):
        rng = np.random.default_rng(bench.seed)
        vectors = item_vectors(n_items, bench.dim, rng)
        known, asked = (shopper_vectors(vectors, n, rng) for n in (bench.index.queries, bench.searches))
        rows.append(
            {"items": n_items, "kind": "flat", **searched(FlatIndex(Held.all_of(vectors)), vectors, asked, bench.width)}
        )
        rows += [{"items": n_items, **measured(kind, vectors.copy(), known, asked, bench)} for kind in APPROXIMATE]
        show(f"{n_items:,} items of {bench.dim} coordinates", printed(rows))
    show("behind filters", behind_filters(rows))
    keep("index", {"rows": rows, "bench": bench.model_dump()})
    return 0


def measured(
    kind: Kind, vectors: np.ndarray, known: np.ndarray, asked: np.ndarray, bench: IndexBench
) -> dict[str, Any]:
    """Return what an approximate index costs and finds, as built and after items moved."""
    moves = Moves(len(vectors))
    with ThreadPoolExecutor(1) as builder:
        began = time.process_time()
        index = ApproximateIndex(Held.all_of(vectors), moves, known, kind, bench.index, builder)
    build_s = round(time.process_time() - began, 1)
    index.search(asked[0], 1)
    if (base := index.base) is None:
        return {"kind": kind, "build_s": build_s}
    as_built = searched(index, vectors, asked, bench.width)
    filtered = [filtered_search(index, vectors, asked, bench.width, share) for share in SHARES]
    rng = np.random.default_rng(bench.seed)
    chosen = rng.choice(len(vectors), len(vectors) // 100, replace=False)
    there = vectors[rng.permutation(chosen)]
    moves.note(Moved(chosen, np.linalg.norm(there - vectors[chosen], axis=1)))
    vectors[chosen] = there
    moved = searched(index, vectors, asked, bench.width)
    way = 0.99 * bench.index.drift * base.scale
    push(vectors, known, way, rng)
    moves.note(Moved(np.arange(len(vectors)), np.full(len(vectors), way, dtype=np.float32)))
    pushed = searched(index, vectors, asked, bench.width)
    return {
        "kind": kind, "build_s": build_s, "mib": round(len(faiss.serialize_index(base.index)) / MIB, 1),
        "lists": base.n_lists, "nprobe": base.nprobe, **as_built,
        **{f"moved_{name}": value for name, value in moved.items()},
        **{f"pushed_{name}": value for name, value in pushed.items()}, "filtered": filtered,
    }  # fmt: skip


def push(vectors: np.ndarray, shoppers: np.ndarray, way: float, rng: np.random.Generator) -> None:
    """Move every item this way, one in eight towards a random shopper and the others away from one."""
    directions = shoppers / np.linalg.norm(shoppers, axis=1, keepdims=True)
    signed = way * np.where(rng.random(len(vectors)) < 1 / 8, 1, -1).astype(np.float32)
    for rows in np.array_split(np.arange(len(vectors)), max(1, len(vectors) // 100_000)):
        vectors[rows] += signed[rows, None] * directions[rng.integers(len(directions), size=len(rows))]


def searched(index: Index, vectors: np.ndarray, asked: np.ndarray, width: int) -> dict[str, float]:
    """Return the latency of searches for asked (s, d), and their recall."""
    latencies_ms = []
    for vector in asked:
        began = (
            time.thread_time()
        )  # a search never waits, so that this is its latency where nothing else wants the core
        index.search(vector, width)
        latencies_ms.append(1e3 * (time.thread_time() - began))
    few = asked[: min(len(asked), 256)]
    found = np.stack([index.search(vector, K) for vector in few])
    return quantiles(latencies_ms) | {f"recall@{K}": round(recall(found, nearest(few, vectors, K)), 4)}


def filtered_search(index: Index, vectors: np.ndarray, asked: np.ndarray, width: int, share: float) -> dict[str, float]:
    """Return the latency of searches among a random share of the items, and their recall."""
    shown = np.random.default_rng(0).random(len(vectors)) < share
    among = np.flatnonzero(shown)
    exact = among[nearest(asked[:256], vectors[among], min(K, len(among)))]
    found, latencies_ms = [], []
    for vector in asked[:256]:
        began = time.thread_time()
        found.append(index.search(vector, width, shown)[:K])
        latencies_ms.append(1e3 * (time.thread_time() - began))
    return {"share": share} | quantiles(latencies_ms) | {f"recall@{K}": round(recall(np.stack(found), exact), 4)}


def behind_filters(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was measured behind filters, a row for each share that they show."""
    return [
        {"items": row["items"], "kind": row["kind"]} | one
        for row in rows if row["items"] >= IndexConfig().ivf_from for one in row.get("filtered", ())
    ]  # fmt: skip


def printed(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows as they are shown."""
    names = (
        "items",
        "kind",
        "build_s",
        "mib",
        "nprobe",
        "p50_ms",
        "p99_ms",
        f"recall@{K}",
        f"moved_recall@{K}",
        f"pushed_recall@{K}",
    )
    return [{name: row.get(name, "") for name in names} for row in rows]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
