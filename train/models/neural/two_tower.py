"""Two towers: one for the history, one for the item's content, that meet in an inner product."""

from typing import Literal

import numpy as np
import torch
from pydantic import Field
from scipy.sparse import csr_matrix
from torch import Tensor, nn

from cluster.config import Config
from train.data.schema import NO_ITEM
from train.data.told import NOTHING, Told
from train.encoders.features import Features
from train.models.base import Examples, SequenceModel
from train.models.neural.dropout import Dropout
from train.models.neural.embedded import EmbeddedModel, left_aligned
from train.models.neural.moments import Moments
from train.models.neural.pooling import CausalPooling


class TwoTowerConfig(Config):
    """The shape of both towers."""

    kind: Literal["two_tower"] = Field(default="two_tower", description="pooled history against item content")
    embedding_dim: int = Field(default=64, ge=4, le=1024, description="width of h_u and h_i")
    hidden_dim: int = Field(default=128, ge=4, le=4096, description="inner width of each tower")
    max_length: int = Field(default=50, ge=2, le=4096, description="newest items of a history that are read")
    dropout: float = Field(default=0.2, ge=0, lt=1, description="dropout inside the towers")
    embedding_dropout: float = Field(default=0.5, ge=0, lt=1, description="dropout of the input vectors")
    moment_dropout: float = Field(
        default=0.1, ge=0, le=1, description="how often training does not say when a question is asked"
    )
    history_dropout: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="how often training hides a history where traits are known",
    )


class TwoTower(EmbeddedModel, SequenceModel):
    """A pooled history (Covington et al., 2016) against a tower of item content (Yi et al., 2019).

    An item enters as its own embedding and those of its attributes, so one that nobody had yet is told by them. A
    shopper enters as a history and, where they are known, as traits; training hides histories at random, so that
    a shopper without one is told by traits (DropoutNet; Volkovs et al., 2017, section 3). A question enters with its
    hour and weekday, which training leaves out at random, too.
    """

    hears = True
    traits: nn.Linear | None

    def __init__(self, config: TwoTowerConfig, n_items: int, attributes: csr_matrix | None = None) -> None:
        super().__init__(config, n_items, attributes)
        self.input_dropout = Dropout(config.embedding_dropout)
        self.pooling = CausalPooling(config.embedding_dim, config.max_length)
        self.history_tower, self.item_tower = Tower(config), Tower(config)
        self.moments = Moments(config.embedding_dim, config.moment_dropout)
        self.traits = None
        self.register_load_state_dict_pre_hook(_as_it_was)

    def listen(self, n_traits: int) -> None:
        """Make room for traits."""
        self.traits = nn.Linear(n_traits, self.embedding_dim, bias=False)
        nn.init.normal_(self.traits.weight, std=0.02)

    def hidden(self, item_idx: Tensor, told: Told[Tensor] = NOTHING) -> Tensor:
        """As SequenceModel.hidden; told: traits (B, n_traits), and moments (B, L) of what follows each position."""
        aligned = left_aligned(item_idx, self.known(item_idx))
        pooled = self.pooling(self.input_dropout(self.inputs(aligned.item_idx)), self.known(aligned.item_idx))
        shopper = aligned.back(pooled)
        if self.traits is not None and told.traits is not None:
            shopper = shopper * self._shown(item_idx, told.traits) + self.traits(told.traits)[:, None]
        if told.moments is not None:
            shopper = shopper + self.moments(told.moments)
        return self.history_tower(shopper)

    def encode(self, item_idx: Tensor, told: Told[Tensor] = NOTHING) -> Tensor:
        last = None if told.moments is None else told.moments[:, None]  # no other position is asked about
        return self.hidden(item_idx, told._replace(moments=last))[:, -1]

    def examples(self, item_idx: Tensor, target: Tensor, weight: Tensor, told: Told[Tensor] = NOTHING) -> Examples:
        trained = target != NO_ITEM
        return Examples(self.hidden(item_idx, told)[trained], target[trained], weight[trained])

    def item_vectors(self) -> Tensor:
        return self.item_tower(self.items.table())

    def vectors(self, item_idx: Tensor) -> Tensor:
        return self.item_tower(self.items(item_idx))

    @torch.inference_mode()
    def content_vectors(self, features: Features) -> np.ndarray:
        return self.item_tower(self.items.content(features)).cpu().numpy()

    @torch.inference_mode()
    def content_steps(self, item_idx: np.ndarray, before: Features, after: Features) -> np.ndarray:
        known = self.items.table()[torch.from_numpy(item_idx)]
        changed = known + self.items.content(after) - self.items.content(before)
        return (self.item_tower(changed) - self.item_tower(known)).cpu().numpy()

    def _shown(self, item_idx: Tensor, traits: Tensor) -> Tensor:
        """Return 1 where the history counts and 0 where it is hidden, (B, L, 1); never where nothing else is known."""
        shown = torch.ones(item_idx.shape, dtype=torch.bool, device=item_idx.device)
        if self.training:
            shown = torch.rand(item_idx.shape, device=item_idx.device) >= self.config.history_dropout
        return (shown | ~traits.any(1, keepdim=True)).unsqueeze(-1).to(traits.dtype)


def _as_it_was(model: TwoTower, state: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Make room for the traits that a state knows before its weights are loaded; one without moments says nothing."""
    weight = state.get(f"{prefix}traits.weight")
    if weight is not None and model.traits is None:
        model.listen(weight.shape[1])
    for name, silent in model.moments.state_dict(prefix=f"{prefix}moments.").items():
        state.setdefault(name, torch.zeros_like(silent))


class Tower(nn.Module):
    """x + a network of one hidden layer."""

    def __init__(self, config: TwoTowerConfig) -> None:
        super().__init__()
        d, inner = config.embedding_dim, config.hidden_dim
        self.network = nn.Sequential(nn.Linear(d, inner), nn.ReLU(), Dropout(config.dropout), nn.Linear(inner, d))

    def forward(self, x: Tensor) -> Tensor:
        """(..., d) → (..., d)."""
        return x + self.network(x)
