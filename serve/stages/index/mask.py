"""Which items a base shall pass over."""

import faiss
import numpy as np


class Mask:
    """Hidden items, as an array of booleans and as the bitmap that FAISS reads; hiding one costs no copy."""

    def __init__(self, hidden: np.ndarray) -> None:
        """Start from hidden (n_items,) bool."""
        self.hidden = hidden.copy()
        self.n_hidden = int(hidden.sum())
        self._shown = np.packbits(~hidden, bitorder="little")
        # It reads this array, not a copy.
        self.selector = faiss.IDSelectorBitmap(self._shown)  # pyright: ignore[reportCallIssue]

    @property
    def shown_share(self) -> float:
        """What is not hidden, above 0."""
        return max(1.0, len(self.hidden) - self.n_hidden) / max(1, len(self.hidden))

    def within(self, shown: np.ndarray) -> "Mask":
        """Return what is hidden beside all that is not in shown (m,) bool, m ≥ n_items."""
        return Mask(self.hidden | ~shown[: len(self.hidden)])

    def hide(self, item_idx: np.ndarray) -> None:
        """Hide items (m,), each given once."""
        self.n_hidden += int(np.count_nonzero(~self.hidden[item_idx]))
        self.hidden[item_idx] = True
        np.bitwise_and.at(self._shown, item_idx >> 3, ~(1 << (item_idx & 7)).astype(np.uint8))
