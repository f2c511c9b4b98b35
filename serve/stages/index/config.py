"""The settings of the item index."""

from typing import Literal

from pydantic import Field

from cluster.config import Config

Kind = Literal["flat", "card", "ivf", "ivfpq"]  # card: a copy of every vector on a GPU, read whole
TRAINABLE = 1_000  # fewer items fill neither lists nor codebooks


class IndexConfig(Config):
    """How items are found; the defaults choose by how many there are and by what the machine has."""

    kind: Literal["auto", "flat", "ivf", "ivfpq"] = Field(
        default="auto",
        description="flat: exact; ivf: a byte a coordinate; ivfpq: one for four. Few items: flat",
    )
    ivf_from: int = Field(default=100_000, ge=1, description="auto: items from which exact search costs too much")
    ivfpq_from: int = Field(default=10_000_000, ge=1, description="auto: items from which memory binds")
    recall_at: int = Field(default=100, ge=1, le=300, description="length of the lists that recall is measured on")
    recall: float = Field(default=0.97, gt=0, le=1, description="share of the exact list, else search stays exact")
    queries: int = Field(default=256, ge=1, le=10_000, description="shoppers that recall is measured with")
    nprobe: int = Field(default=0, ge=0, description="lists read by a search; 0: the fewest that reach `recall`")
    drift: float = Field(
        default=0.2,
        ge=0,
        le=1,
        description="way after which an item is searched exactly, in mean lengths of a vector",
    )
    exact_below: int = Field(
        default=15_000, ge=0, description="items that a filter shows, up to which all of them are read"
    )
    rebuild: float = Field(
        default=0.02, gt=0, le=1, description="share of such items after which the index is built anew"
    )

    def kind_for(self, n_items: int, cards: int) -> Kind:
        """Return what to build for so many items; cards: GPUs that FAISS can use."""
        if n_items < TRAINABLE:
            return "flat"
        if self.kind != "auto":
            return self.kind
        if n_items < self.ivf_from:
            return "flat"
        if n_items >= self.ivfpq_from:
            return "ivfpq"
        return "card" if cards else "ivf"
