"""What items say of themselves, as numbers."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix


@dataclass(frozen=True, slots=True, kw_only=True)
class Features:
    """The content of n items, described in one and the same way."""

    dense: np.ndarray  # (n, D) float32: unit vectors of texts, then scaled numbers
    attributes: csr_matrix  # (n, n_attributes) 0/1 float32

    def __len__(self) -> int:
        return len(self.dense)
