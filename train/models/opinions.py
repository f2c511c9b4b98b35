"""What shoppers said of the items they had, from −1 to 1, and what to think of an item that few spoke of."""

from dataclasses import dataclass

import numpy as np

from train.data.schema import Interactions


@dataclass(slots=True, kw_only=True)
class Opinions:
    """Sums over item_idx; adding is a plain sum in the order of events, so a replay gives the same bits."""

    total: np.ndarray  # (n_items,) float64, Σ share · opinion
    count: np.ndarray  # (n_items,) float64, Σ share
    shop: np.ndarray  # (2,) float64, the sums of both over all items

    def add(self, item_idx: np.ndarray, opinion: np.ndarray, share: np.ndarray) -> None:
        """Count opinions, or shares of them, (n,) each; to the same bits as one after the other."""
        for sums, place, terms in ((self.total, 0, share * opinion), (self.count, 1, share)):
            np.add.at(sums, item_idx, terms)
            np.add.at(self.shop, np.full(len(terms), place), terms)

    def means(self, item_idx: np.ndarray, prior: float) -> np.ndarray:
        """Return the Bayesian mean of each item (n,), which begins at the shop's own; 0 where nobody said anything.

        prior: how many opinions the shop's mean is worth.
        """
        total, count = self.shop.tolist()
        usual = total / count if count else 0.0
        return (prior * usual + self.total[item_idx]) / (prior + self.count[item_idx])

    def copy(self) -> "Opinions":
        """Return sums that adding moves apart from these."""
        return Opinions(total=self.total.copy(), count=self.count.copy(), shop=self.shop.copy())


def fit_opinions(interactions: Interactions, n_items: int) -> Opinions:
    """Return the sums of what a history says."""
    if interactions.opinion is None:
        return Opinions(total=np.zeros(n_items), count=np.zeros(n_items), shop=np.zeros(2))
    said = ~np.isnan(interactions.opinion)
    item_idx, opinion = interactions.item_idx[said], interactions.opinion[said]
    total, count = np.bincount(item_idx, opinion, n_items), np.bincount(item_idx, minlength=n_items).astype(float)
    return Opinions(total=total, count=count, shop=np.array([total.sum(), count.sum()]))
