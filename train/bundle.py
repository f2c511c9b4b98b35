"""The bundle: an immutable folder that holds everything serving needs, each file under its checksum."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from safetensors.numpy import load_file as load_arrays
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import load_file as load_tensors
from safetensors.torch import save_file as save_tensors

from cluster.errors import BundleError
from cluster.storage import sha256, whole_folder, write_whole
from train.bundle_state import MANIFEST, UNREADABLE, BundleState, read_bundle_state, write_bundle_state
from train.critic import FILE as CRITIC
from train.critic import Critic
from train.encoders.items import FILE as FEATURES
from train.encoders.items import ItemFeatures
from train.models.base import VectorModel
from train.models.calibration import Calibration
from train.models.candidates import SourcesConfig
from train.models.ranker import Ranker
from train.models.registered import build_model, describe_model, served

CARD = "card"  # the folder of a bundle's model card
NO_CARD: Mapping[str, bytes] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Bundle(BundleState):
    """A trained engine in memory."""

    model: VectorModel
    ranker: Ranker
    sources: SourcesConfig
    features: ItemFeatures | None = None  # how to describe items that are not among `items`
    critic: Critic = field(default_factory=Critic)  # who reads what shoppers say of items
    calibration: Calibration | None = None  # of the ranker's scores; bundles of earlier versions have none


def write_bundle(bundle: Bundle, folder: Path, card: Mapping[str, bytes] = NO_CARD) -> None:
    """Write a bundle as the new folder `folder`, whole or not at all; `card` holds the files of its model card."""
    with whole_folder(folder) as aside:
        write_bundle_state(
            bundle.items, bundle.state, bundle.histories, aside, packed=bundle.packed, traits=bundle.traits
        )
        save_tensors({k: v.detach().cpu().contiguous() for k, v in bundle.model.state_dict().items()},
                     aside / "model.safetensors")  # fmt: skip
        _write_json(aside / "encoder.json", describe_model(bundle.model))
        _write_json(aside / "calibration.json", {
            "ranker": bundle.ranker.to_json(),
            "sources": bundle.sources.model_dump(),
            "item_state": bundle.state.config.model_dump(),
            "probability": bundle.calibration.to_json() if bundle.calibration else None,
        })  # fmt: skip
        save_arrays(bundle.critic.arrays(), aside / CRITIC)
        if bundle.features is not None:
            bundle.features.save(aside)
        _write_card(aside / CARD, card)
        files = {path.relative_to(aside).as_posix(): sha256(path) for path in files_of(aside)}
        manifest = bundle.manifest.model_copy(update={"files": files}).sealed()
        write_whole(aside / MANIFEST, manifest.model_dump_json(indent=1))


def read_bundle(folder: Path) -> Bundle:
    """Return a bundle after checking it; nothing in it is executed, so a hostile one can only be refused."""
    known = read_bundle_state(folder)
    try:
        calibration = json.loads((folder / "calibration.json").read_text())
        probability = calibration.get("probability")
        model = build_model(
            json.loads((folder / "encoder.json").read_text()), load_tensors(folder / "model.safetensors")
        )
        if not len(known.items) == model.n_items == known.state.n_items:
            raise BundleError(
                f"{folder} lists {len(known.items)} items, but its model knows {model.n_items} and its vectors "
                f"{known.state.n_items}; fit a new bundle"
            )
        return Bundle(
            manifest=known.manifest, items=known.items, state=known.state, histories=known.histories,
            packed=known.packed, traits=known.traits, model=served(model),
            ranker=Ranker.from_json(calibration["ranker"]),
            sources=SourcesConfig.checked(calibration["sources"]),
            features=ItemFeatures.load(folder) if FEATURES in known.manifest.files else None,
            critic=Critic.from_arrays(load_arrays(folder / CRITIC)) if CRITIC in known.manifest.files else Critic(),
            calibration=Calibration.from_json(probability) if probability else None,
        )  # fmt: skip
    except UNREADABLE as error:
        raise BundleError(f"{folder} holds a part that this code cannot read: {error}; fit a new bundle") from error


def files_of(folder: Path) -> list[Path]:
    """Return every file of a bundle's folder, its card's among them."""
    return sorted(path for path in folder.rglob("*") if path.is_file())


def _write_card(folder: Path, card: Mapping[str, bytes]) -> None:
    for name, content in card.items():
        folder.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, ensure_ascii=False))
