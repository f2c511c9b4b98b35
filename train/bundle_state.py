"""The bundle's torch-free half: manifest, catalogue, counts and histories, all that the store needs to start."""

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_matrix

from cluster.config import Config
from cluster.errors import BundleError
from cluster.storage import sha256
from train.data.schema import Interactions
from train.encoders.traits import TraitEncoder
from train.models.facets import Facets, no_facets
from train.models.item_state import ItemState, ItemStateConfig
from train.models.opinions import Opinions
from train.models.packed import Packed, unpacked
from train.models.transitions import Transitions

FORMAT = 2  # since counts reach further than training, and the manifest says how far that did
MANIFEST = "manifest.json"
VECTORS, PACKED = "item_vectors.npy", "item_vectors.safetensors"  # a bundle has one of them
COMPRESSION = "card/compression.json"  # what a bundle that was made smaller tells of it
FACETS = "facets.safetensors"  # bundles of earlier versions have none
TRAITS, TRAIT_SPACE = "traits.safetensors", "traits.json"
MEND = "copy the bundle again or promote another"
UNREADABLE = (
    OSError, KeyError, IndexError, TypeError, AttributeError, ValueError, RuntimeError, SafetensorError
)  # fmt: skip


class Manifest(Config):
    """What a bundle is, where it came from, and the sha256 of each of its files."""

    format: int = Field(default=FORMAT, description="layout of the folder")
    name: str = Field(description="what it was trained on")
    version: str = Field(description="its folder's name in the registry")
    parent: str | None = Field(default=None, description="version it was warm-started from")
    created: datetime = Field(description="UTC")
    data_cutoff_ms: int = Field(description="time of the newest event in it")
    learned_until_ms: int = Field(default=0, description="time of the newest event that the model was trained on")
    keep_seen: bool = Field(description="whether items a shopper had before may be shown again")
    code_version: str = Field(description="version of liveshelf that wrote it")
    config: dict[str, Any] = Field(description="settings of the run")
    metrics: dict[str, dict[str, float]] = Field(description="row of the evaluation table → metric → value")
    files: dict[str, str] = Field(default={}, description="file → sha256")
    seal: str = Field(default="", description="sha256 of this manifest without its seal; not checked when empty")

    @property
    def is_compressed(self) -> bool:
        """Whether it was made smaller from its parent, and so learns no more."""
        return COMPRESSION in self.files

    def sealed(self) -> "Manifest":
        """Return the manifest with its seal, after which no byte of it can change unnoticed."""
        open_ = self.model_copy(update={"seal": ""})
        return self.model_copy(update={"seal": hashlib.sha256(open_.model_dump_json().encode()).hexdigest()})


@dataclass(frozen=True, kw_only=True)
class BundleState:
    """What a bundle knows of items and shoppers."""

    manifest: Manifest
    items: pd.DataFrame  # (n_items), the catalogue in order of item_idx
    state: ItemState  # as of the end of training
    histories: Interactions  # every shopper up to the data's cut-off
    packed: Packed | None = None  # what `state.vectors` were unpacked from, where they lie packed
    traits: TraitEncoder | None = None  # how to describe shoppers, where the model asks for more than their histories


def read_manifest(folder: Path) -> Manifest:
    """Return what a bundle says of itself; its files are not looked at."""
    try:
        manifest = Manifest.model_validate_json((folder / MANIFEST).read_text())
    except FileNotFoundError:
        raise BundleError(
            f"{folder} is no bundle: it has no {MANIFEST}; fit one with `python train/run.py fit`"
        ) from None
    except (OSError, ValidationError, ValueError) as error:
        raise BundleError(f"{folder / MANIFEST} cannot be read: {error}") from None
    if manifest.format != FORMAT:
        raise BundleError(f"{folder} has bundle format {manifest.format}, this code reads {FORMAT}; fit a new bundle")
    if manifest.seal and manifest != manifest.sealed():
        raise BundleError(f"{folder / MANIFEST} was altered after it was published; {MEND}")
    return manifest


def check_bundle(folder: Path) -> Manifest:
    """Return the manifest after comparing every file with its checksum."""
    manifest = read_manifest(folder)
    for name, digest in manifest.files.items():
        path = folder / name
        if not path.is_file():
            raise BundleError(f"{folder} lacks {name}; {MEND}")
        if sha256(path) != digest:
            raise BundleError(f"{path} was altered after it was published; {MEND}")
    return manifest


def read_bundle_state(folder: Path) -> BundleState:
    """Return this half of a bundle after checking all of it; nothing in it is executed."""
    manifest = check_bundle(folder)
    try:
        config = json.loads((folder / "calibration.json").read_text())["item_state"]
        packed = load_file(folder / PACKED) if PACKED in manifest.files else None
        vectors = unpacked(packed) if packed else np.load(folder / VECTORS, allow_pickle=False)
        return BundleState(
            manifest=manifest,
            packed=packed,
            items=pd.read_parquet(folder / "items.parquet"),
            state=_item_state(
                vectors,
                load_file(folder / "transitions.safetensors"),
                load_file(folder / "words.safetensors"),
                Facets(**load_file(folder / FACETS)) if FACETS in manifest.files else no_facets(len(vectors)),
                config,
            ),
            histories=_histories(
                pd.read_parquet(folder / "users.parquet"),
                pd.read_parquet(folder / "histories.parquet"),
                _matrix(load_file(folder / TRAITS)) if TRAITS in manifest.files else None,
            ),
            traits=_trait_encoder(folder / TRAIT_SPACE) if TRAIT_SPACE in manifest.files else None,
        )
    except UNREADABLE as error:
        raise BundleError(f"{folder} holds a part that this code cannot read: {error}; fit a new bundle") from error


def write_bundle_state(
    items: pd.DataFrame,
    state: ItemState,
    histories: Interactions,
    folder: Path,
    packed: Packed | None = None,
    traits: TraitEncoder | None = None,
) -> None:
    """Write the files that `read_bundle_state` reads into `folder`, but the manifest and the calibration."""
    if packed is None:
        np.save(folder / VECTORS, state.vectors, allow_pickle=False)
    else:
        save_file(dict(packed), folder / PACKED)
    items.to_parquet(folder / "items.parquet")
    save_file(_arrays(state), folder / "transitions.safetensors")
    save_file(_sparse(state.words), folder / "words.safetensors")
    save_file(state.facets.arrays(), folder / FACETS)
    _history_frame(histories).to_parquet(folder / "histories.parquet")
    pd.DataFrame({"user_id": histories.user_ids}).to_parquet(folder / "users.parquet")
    if traits is not None and histories.traits is not None:
        (folder / TRAIT_SPACE).write_text(traits.to_json())
        save_file(_sparse(histories.traits), folder / TRAITS)


def _arrays(state: ItemState) -> dict[str, np.ndarray]:
    return _sparse(state.transitions.base) | {
        "rows": state.transitions.rows, "columns": state.transitions.columns,
        "popularity": state.popularity, "recent": state.recent, "repeat_rate": state.repeat_rate,
        "totals": np.array([state.n_events, state.recent_total]), "epoch_ms": np.array([state.epoch_ms]),
        "opinion_total": state.opinions.total, "opinion_count": state.opinions.count,
        "opinion_shop": state.opinions.shop,
    }  # fmt: skip


def _sparse(matrix: csr_matrix) -> dict[str, np.ndarray]:
    return {
        "indptr": matrix.indptr.astype(np.int64), "indices": matrix.indices.astype(np.int32), "data": matrix.data,
        "width": np.array([matrix.get_shape()[1]]),
    }  # fmt: skip


def _matrix(arrays: dict[str, np.ndarray]) -> csr_matrix:
    shape = (len(arrays["indptr"]) - 1, int(arrays["width"][0]))
    return csr_matrix((arrays["data"], arrays["indices"], arrays["indptr"]), shape=shape)


def _item_state(
    vectors: np.ndarray, arrays: dict[str, np.ndarray], words: dict[str, np.ndarray], facets: Facets,
    config: dict[str, Any],
) -> ItemState:  # fmt: skip
    parsed = ItemStateConfig.checked(config)
    counts = {"item vectors": len(vectors), "popularity counts": len(arrays["popularity"])}
    counts["texts"] = len(words["indptr"]) - 1
    counts |= {f"{name} facets": len(array) for name, array in facets.arrays().items()}
    if len(set(counts.values())) > 1:
        raise BundleError(f"one bundle holds {', '.join(f'{count} {name}' for name, count in counts.items())}")
    return ItemState(
        config=parsed, vectors=vectors, words=_matrix(words), facets=facets, popularity=arrays["popularity"],
        recent=arrays["recent"], repeat_rate=arrays["repeat_rate"], n_events=float(arrays["totals"][0]),
        recent_total=float(arrays["totals"][1]), epoch_ms=int(arrays["epoch_ms"][0]),
        gone=np.zeros(len(vectors), dtype=bool), opinions=_opinions(arrays, len(vectors)),
        transitions=Transitions(
            config=parsed.transitions, base=_matrix(arrays), rows=arrays["rows"], columns=arrays["columns"]
        ),
    )  # fmt: skip


def _opinions(arrays: dict[str, np.ndarray], n_items: int) -> Opinions:
    """Return what was said of the items; nothing in bundles of before opinions were counted."""
    nothing = {"total": np.zeros(n_items), "count": np.zeros(n_items), "shop": np.zeros(2)}
    return Opinions(**{name: arrays.get(f"opinion_{name}", none) for name, none in nothing.items()})


def _history_frame(histories: Interactions) -> pd.DataFrame:
    known = {} if histories.kept is None else {"kept": histories.kept}
    return pd.DataFrame({
        "user_idx": histories.user_idx, "item_idx": histories.item_idx, "timestamp_ms": histories.timestamp_ms,
        "order_idx": histories.order_idx, "weight": histories.weight, **known,
    })  # fmt: skip


def _trait_encoder(path: Path) -> TraitEncoder:
    return TraitEncoder.from_json(path.read_text())


def _histories(users: pd.DataFrame, rows: pd.DataFrame, traits: csr_matrix | None) -> Interactions:
    counts = np.bincount(rows["user_idx"], minlength=len(users))
    kept = rows["kept"].to_numpy() if "kept" in rows else None  # bundles of earlier versions do not say it
    return Interactions(
        user_ids=users["user_id"].to_numpy(dtype=object),
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        item_idx=rows["item_idx"].to_numpy(), timestamp_ms=rows["timestamp_ms"].to_numpy(),
        order_idx=rows["order_idx"].to_numpy(), weight=rows["weight"].to_numpy(), traits=traits, kept=kept,
    )  # fmt: skip
