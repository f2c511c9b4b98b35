"""Three ways to change a history without changing whose it is (CL4SRec; Xie et al., 2022, section 3.2)."""

import torch
from torch import Tensor

from train.data.schema import NO_ITEM

CROPPED, HIDDEN, REORDERED = 0.6, 0.3, 0.6  # shares of a history: what a crop keeps, what is hidden, what is shuffled


def view(item_idx: Tensor, known: Tensor) -> Tensor:
    """Return histories (B, L), each cropped, thinned or partly reordered; known: (B, L) bool, its items."""
    ways = torch.stack(
        [crop(item_idx, known, CROPPED), hide(item_idx, known, HIDDEN), reorder(item_idx, known, REORDERED)]
    )
    chosen = torch.randint(len(ways), (len(item_idx),), device=item_idx.device)
    return ways[chosen, torch.arange(len(item_idx), device=item_idx.device)]


def crop(item_idx: Tensor, known: Tensor, share: float) -> Tensor:
    """Return histories of which a run of items is left, at least one; the others give way to NO_ITEM."""
    return torch.where(_run(known, share), item_idx, NO_ITEM)


def hide(item_idx: Tensor, known: Tensor, share: float) -> Tensor:
    """Return histories without a random share of their items, never without all of them."""
    hidden = known & (torch.rand(item_idx.shape, device=item_idx.device) < share)
    hidden &= (hidden != known).any(1, keepdim=True)
    return torch.where(hidden, NO_ITEM, item_idx)


def reorder(item_idx: Tensor, known: Tensor, share: float) -> Tensor:
    """Return histories of which a run of items is shuffled; known items must stand side by side."""
    run = _run(known, share)
    place = torch.arange(item_idx.shape[1], device=item_idx.device).expand(item_idx.shape)
    first = torch.where(run, place, item_idx.shape[1]).amin(1, keepdim=True)
    within = first + torch.rand(item_idx.shape, device=item_idx.device) * (run.sum(1, keepdim=True) - 1)
    return item_idx.gather(1, torch.where(run, within, place.to(within.dtype)).argsort(1))


def _run(known: Tensor, share: float) -> Tensor:
    """Return where a random run of ⌊share · n⌋ of a history's n items stands, at least of one, (B, L) bool."""
    place, n = known.cumsum(1) - 1, known.sum(1, keepdim=True)
    length = (share * n).floor().clamp(min=1)
    start = (torch.rand(n.shape, device=n.device) * (n - length + 1)).floor()
    return known & (place >= start) & (place < start + length)
