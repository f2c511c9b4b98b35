"""What a comparison of a new bundle with the served one comes to."""

from dataclasses import dataclass

from train.evaluation.bootstrap import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """How a new bundle did beside the one that is served."""

    k: int
    n_queries: int
    served: float  # NDCG@k
    new: float
    found: Comparison  # new − served, paired by query
    max_loss: float

    @property
    def is_good(self) -> bool:
        """Whether the new one is not shown to be worse, and does not look much worse either."""
        return self.found.difference.high >= 0 and self.new >= (1 - self.max_loss) * self.served

    def sentence(self) -> str:
        """Return what was found and what follows."""
        difference = self.found.difference
        said = f"new − served: {difference.mean:+.4f} ({difference.low:+.4f} to {difference.high:+.4f})"
        return f"{said}; {'good enough to be served' if self.is_good else 'refused, the served one stays'}"
