"""The ranking stage: a small network turns a candidate's features into the fused score."""

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import nn

from cluster.config import Config
from cluster.errors import BundleError
from train.data.schema import Goal
from train.models.features import FEATURES


class RankerConfig(Config):
    """How the ranker is fitted on validation queries."""

    hidden: int = Field(default=32, ge=1, le=512, description="hidden units")
    epochs: int = Field(default=8, ge=1, le=100, description="passes over the validation queries")
    learning_rate: float = Field(default=1e-2, gt=0, le=1, description="AdamW step, falling to zero by a cosine")
    weight_decay: float = Field(default=1e-2, ge=0, le=1, description="AdamW decay")
    batch_lists: int = Field(default=64, ge=1, description="lists per step")
    seed: int = Field(default=0, ge=0, description="initial weights and order of queries")
    open_orders: bool = Field(default=True, description="ask in the middle of orders, too: which item comes next?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranker:
    """score = w₂ · relu(W₁ · clip((x − mean) / deviation) + b₁), plain numpy so that a replica pays microseconds.

    Features are clipped to what fitting saw: a shopper or a state unlike any before is read as the nearest known one.
    """

    mean: np.ndarray  # (F,)
    deviation: np.ndarray  # (F,)
    low: np.ndarray  # (F,), of the normalised feature
    high: np.ndarray  # (F,)
    inner: np.ndarray  # (F, H)
    inner_bias: np.ndarray  # (H,)
    outer: np.ndarray  # (H,)

    def score(self, features: np.ndarray) -> np.ndarray:
        """Return fused scores (n,) float32 of features (n, F); only differences within one shopper mean anything."""
        x = features.T - self.mean[:, None]
        x /= self.deviation[:, None]
        np.maximum(x, self.low[:, None], out=x)  # np.clip would take three times as long
        hidden = self.inner.T @ np.minimum(x, self.high[:, None], out=x)
        hidden += self.inner_bias[:, None]
        return self.outer @ np.maximum(hidden, 0, out=hidden)

    def to_json(self) -> dict[str, Any]:
        """Return plain lists, with the feature names they belong to."""
        return {"features": list(FEATURES)} | {name: getattr(self, name).tolist() for name in _ARRAYS}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Ranker":
        """Return the ranker that `to_json` wrote; a feature that came later says nothing to it."""
        read = values.get("features", ())
        if not set(read) <= set(FEATURES) or not len(set(read)) == len(read) == len(values["mean"]):
            raise BundleError("the bundle's ranker reads other features than this code; fit and publish a new bundle")
        place = [FEATURES.index(name) for name in read]
        arrays = {name: np.asarray(values[name], dtype=np.float32) for name in _ARRAYS}
        for name in _OF_FEATURES:
            known, fill = arrays[name], np.float32(name == "deviation")
            arrays[name] = np.full((len(FEATURES), *known.shape[1:]), fill)
            arrays[name][place] = known
        return cls(**arrays)


IS_REPEAT = FEATURES.index("is_repeat")
_OF_FEATURES = ("mean", "deviation", "low", "high", "inner")
_ARRAYS = (*_OF_FEATURES, "inner_bias", "outer")


@dataclass(frozen=True, slots=True, kw_only=True)
class RankingExamples:
    """Candidates of many queries side by side; query q owns rows offsets[q]:offsets[q + 1]."""

    features: np.ndarray  # (n, F) float32
    relevant: np.ndarray  # (n,) bool
    offsets: np.ndarray  # (q + 1,) int64
    reached: dict[Goal, np.ndarray] = field(default_factory=dict)  # goal → (n,) bool; `relevant` alone when empty

    def beside(self, other: "RankingExamples") -> "RankingExamples":
        """Return the queries of both; which goal was reached is known of neither."""
        return RankingExamples(
            features=np.concatenate((self.features, other.features)),
            relevant=np.concatenate((self.relevant, other.relevant)),
            offsets=np.concatenate((self.offsets, self.offsets[-1] + other.offsets[1:])),
        )


def fit_ranker(examples: RankingExamples, config: RankerConfig) -> Ranker:
    """Return the ranker that minimises −Σ over relevant items of log softmax(score) / their number.

    This is ListNet's top-one loss (Cao et al., 2007, equation 10), over the lists that hold a relevant item.
    """
    mean, deviation = examples.features.mean(axis=0), examples.features.std(axis=0) + 1e-6
    normalised = (examples.features - mean) / deviation
    low, high = np.quantile(normalised, 0.001, axis=0), np.quantile(normalised, 0.999, axis=0)
    torch.manual_seed(config.seed)
    inner, outer = nn.Linear(len(mean), config.hidden), nn.Linear(config.hidden, 1, bias=False)
    network = nn.Sequential(inner, nn.ReLU(), outer)
    _descend(network, torch.from_numpy(np.clip(normalised, low, high).astype(np.float32)), examples, config)
    arrays = {
        "mean": mean, "deviation": deviation, "low": low, "high": high,
        "inner": inner.weight.detach().numpy().T, "inner_bias": inner.bias.detach().numpy(),
        "outer": outer.weight.detach().numpy()[0],
    }  # fmt: skip
    return Ranker(**{name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()})


def lists_of(examples: RankingExamples) -> list[np.ndarray]:
    """Return the rows of each list to learn: all candidates of a query and, where some are repeats, the others alone.

    Repeats take nearly all of the loss of a whole list, so that it hardly says in which order new items belong.
    """
    new = examples.features[:, IS_REPEAT] == 0
    found = []
    for start, end in pairwise(examples.offsets.tolist()):
        rows = np.arange(start, end)
        of_new = rows[new[start:end]]
        found += [rows] if len(of_new) == len(rows) else [rows, of_new]
    return [rows for rows in found if examples.relevant[rows].any()]


def _descend(network: nn.Module, x: torch.Tensor, examples: RankingExamples, config: RankerConfig) -> None:
    lists = lists_of(examples)
    steps = max(1, config.epochs * -(-len(lists) // config.batch_lists))
    optimiser = torch.optim.AdamW(network.parameters(), config.learning_rate, weight_decay=config.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    relevant, rng = torch.from_numpy(examples.relevant), np.random.default_rng(config.seed)
    for _ in range(config.epochs):
        order = rng.permutation(len(lists))
        for start in range(0, len(order), config.batch_lists):
            loss = _listwise(network, x, relevant, [lists[one] for one in order[start : start + config.batch_lists]])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()


def _listwise(network: nn.Module, x: torch.Tensor, relevant: torch.Tensor, lists: list[np.ndarray]) -> torch.Tensor:
    rows = torch.from_numpy(np.concatenate(lists))
    owner = torch.from_numpy(np.repeat(np.arange(len(lists)), [len(one) for one in lists]))
    hit = relevant[rows].float()
    score = network(x[rows])[:, 0]
    score = score - score.max().detach()
    zeros = torch.zeros(len(lists))
    log_share = score - zeros.index_add(0, owner, score.exp()).clamp_min(1e-30).log()[owner]
    return -(log_share * hit / zeros.index_add(0, owner, hit)[owner]).sum() / len(lists)
