"""Linear layers and embeddings in eight bits: a quarter of the bytes, and products of whole numbers."""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LARGEST = 127
WHOLE_FROM = 2**17  # weights; with fewer, rounding x (30 µs a call) takes longer than products of whole numbers save
SMALLEST = torch.finfo(torch.float32).tiny  # so that a row of zeros is divided by something


def rounded(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return x (n, m) as int8 and the scale (n, 1) that restores it; the largest value of each row becomes ±127."""
    scale = x.abs().amax(1, keepdim=True) / LARGEST + SMALLEST
    return (x / scale).round().to(torch.int8), scale


class Int8Weight(nn.Module):
    """A matrix whose rows are int8 with a scale of their own; it does not learn any more."""

    def __init__(self, weight: Tensor) -> None:
        """weight: (n, m)."""
        super().__init__()
        rows, scale = rounded(weight.detach().float())
        self.rows, self.scale = nn.Parameter(rows, requires_grad=False), nn.Parameter(scale, requires_grad=False)

    @property
    def weight(self) -> Tensor:
        """The matrix in float32, (n, m), made anew each time."""
        return self.rows * self.scale


class Int8Linear(Int8Weight):
    """x Wᵀ + b, where W is int8 by output and, in a large layer, each x is rounded to int8 as it comes.

    Both have a scale per row, so that no shopper's rounding depends on who else is in the batch (vector-wise
    quantisation; Dettmers et al., 2022, section 3.1). Products are summed exactly, in int32. A small layer restores
    its weights once and computes in float32.
    """

    restored: Tensor | None

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__(weight)
        self.bias = None if bias is None else nn.Parameter(bias.detach().float(), requires_grad=False)
        self.register_buffer("restored", None, persistent=False)
        self.register_load_state_dict_post_hook(lambda layer, _: layer.restore())
        self.restore()

    def restore(self) -> None:
        """Restore a small layer's weights, because they are new."""
        self.restored = self.weight if self.rows.numel() < WHOLE_FROM else None

    @classmethod
    def of(cls, layer: nn.Linear) -> Self:
        """Return the layer in eight bits."""
        return cls(layer.weight, layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """(..., m) → (..., n)."""
        if self.restored is not None:
            return F.linear(x, self.restored, self.bias)
        rows, scale = rounded(x.reshape(-1, x.shape[-1]))
        # The kernel below torchao, whose own layers cost more than an encoder of this size; torch.ao is being removed.
        y = torch.ops.aten._int_mm(rows, self.rows.T) * scale * self.scale.T
        return (y if self.bias is None else y + self.bias).view(*x.shape[:-1], -1)


class Int8Embedding(Int8Weight):
    """Rows of an embedding, restored as they are looked up."""

    @classmethod
    def of(cls, layer: nn.Embedding) -> Self:
        """Return the layer in eight bits."""
        return cls(layer.weight)

    @property
    def embedding_dim(self) -> int:
        """Width of a row."""
        return self.rows.shape[1]

    def forward(self, index: Tensor) -> Tensor:
        """(...) → (..., m)."""
        return self.rows[index] * self.scale[index]
