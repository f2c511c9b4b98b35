"""A generated shop of any size as a published bundle: its weights are random, its costs are those of a real one."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from train.bundle import Bundle
from train.bundle_state import Manifest
from train.data.schema import Interactions
from train.models.candidates import SourcesConfig
from train.models.features import FEATURES
from train.models.item_state import ItemStateConfig, fit_item_state
from train.models.neural.transformer import Transformer, TransformerConfig
from train.models.ranker import Ranker
from train.registry import Registry

HIDDEN, ROWS_PER_USER = 32, 30
DAY_MS = 86_400_000


def publish_shop(registry: Path, n_items: int, n_users: int, seed: int = 0, version: str = "") -> Path:
    """Publish a bundle with default settings, make it current, and return its folder.

    seed: of weights and histories; two of the same size sell the same items, whatever their seeds.
    """
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    model = Transformer(TransformerConfig.parse([]), n_items).eval()
    with torch.inference_mode():
        vectors = model.item_vectors().numpy().copy()
    histories = _histories(rng, n_items, n_users)
    manifest = _manifest(version or f"generated-{n_items}")
    bundle = Bundle(
        manifest=manifest, model=model, items=_items(n_items), ranker=_ranker(rng), histories=histories,
        state=fit_item_state(vectors, histories, True, ItemStateConfig.parse([])), sources=SourcesConfig.parse([]),
    )  # fmt: skip
    return Registry(registry).publish(bundle)


def _histories(rng: np.random.Generator, n_items: int, n_users: int) -> Interactions:
    """Return shoppers with ROWS_PER_USER rows each, a few items far more often than most."""
    n = n_users * ROWS_PER_USER
    item_idx = np.minimum((n_items * rng.random(n) ** 3).astype(np.int64), n_items - 1)
    now_ms = int(datetime.now(UTC).timestamp() * 1e3)
    return Interactions(
        user_ids=np.array([f"u{index}" for index in range(n_users)], dtype=object),
        offsets=np.arange(0, n + 1, ROWS_PER_USER), item_idx=item_idx, order_idx=np.arange(n),
        timestamp_ms=now_ms - DAY_MS * np.tile(np.arange(ROWS_PER_USER, 0, -1), n_users),
        weight=np.ones(n, np.float32),
    )  # fmt: skip


def _items(n_items: int) -> pd.DataFrame:
    index = np.arange(n_items)
    return pd.DataFrame({
        "item_id": [f"i{i}" for i in index], "title": [f"Thing {i}" for i in index],
        "category_path": [f"Shop > Aisle {i % 50}" for i in index], "brand": [f"Brand {i % 300}" for i in index],
        "price": 1.0 + index % 100,
    })  # fmt: skip


def _ranker(rng: np.random.Generator) -> Ranker:
    n = len(FEATURES)
    values = {
        "mean": np.zeros(n), "deviation": np.ones(n), "low": np.full(n, -10), "high": np.full(n, 10),
        "inner": rng.normal(scale=0.3, size=(n, HIDDEN)), "inner_bias": np.zeros(HIDDEN),
        "outer": rng.normal(scale=0.3, size=HIDDEN),
    }  # fmt: skip
    return Ranker(**{name: array.astype(np.float32) for name, array in values.items()})


def _manifest(version: str) -> Manifest:
    created = datetime.now(UTC)
    return Manifest(
        name="generated", version=version, created=created, keep_seen=True, code_version="0",
        data_cutoff_ms=int(created.timestamp() * 1e3), config={}, metrics={},
    )  # fmt: skip
