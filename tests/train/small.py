"""A run on the tiny world that takes two seconds: its files, its settings, its bundle."""

from pathlib import Path

from tests.world import tiny_world, write_world
from train.config import FitRun, RecommendRun
from train.data.prepared import Prepared
from train.data.source import prepare_data
from train.pipeline import Published, fit_bundle

SMALL = (
    "workers=0", "split=leave_one_out", "epochs=6", "embedding_dim=16", "feedforward_dim=16", "max_length=10",
    "negatives=64", "learning_rate=0.01", "warmup_steps=2", "batch_tokens=200", "dropout=0", "embedding_dropout=0.1",
    "ranker.epochs=20",
)  # fmt: skip


def write_ring(folder: Path, **changes: float) -> Path:
    """Write a world where nobody has an item twice, unless told otherwise."""
    settings = {"n_users": 120, "orders_per_user": 5} | changes
    return write_world(tiny_world(**settings), folder)  # pyright: ignore[reportArgumentType]


def small_words(data: Path, folder: Path, *words: str) -> list[str]:
    """Return the words of a `fit` that keeps everything it writes in `folder`."""
    return [
        f"data={data}", f"registry={folder / 'registry'}", f"checkpoints={folder / 'checkpoints'}",
        f"rejects={folder / 'rejects'}", *SMALL, *words,
    ]  # fmt: skip


def small_fit(data: Path, folder: Path, *words: str) -> tuple[Published, Prepared]:
    """Fit and publish, and return the prepared data too."""
    config = FitRun.parse(small_words(data, folder, *words))
    prepared = prepare_data(config)
    return fit_bundle(config, prepared), prepared


def small_recommend(data: Path, folder: Path, *words: str) -> RecommendRun:
    """Return the settings of a `recommend` from the registry that `small_fit` published in."""
    return RecommendRun.parse([
        f"data={data}", f"registry={folder / 'registry'}", f"rejects={folder / 'rejects'}",
        f"out={folder / 'recs.parquet'}", *words,
    ])  # fmt: skip


def left_in(folder: Path) -> list[str]:
    """Return the files of unfinished writing and of published bundles."""
    return [path.name for path in folder.rglob("*") if path.name.endswith(".part") or path.name == "manifest.json"]
