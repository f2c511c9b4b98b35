"""What compressing brought and what it cost, step by step: to print, as JSON, and for the model card."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from rich.box import SIMPLE_HEAD
from rich.table import Table

from train.evaluation.bootstrap import BootstrapConfig, Comparison, compare
from train.evaluation.outcome import Outcome
from train.evaluation.summary import headline

MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """A bundle after a step."""

    name: str
    part_bytes: dict[str, int]  # of model and item vectors
    one_ms: float  # for the encoder to answer one history, p50
    batch_ms: float  # and 32 at once
    outcome: Outcome

    @property
    def size(self) -> int:
        """Bytes of model and item vectors."""
        return sum(self.part_bytes.values())


@dataclass(frozen=True, slots=True, kw_only=True)
class CompressionReport:
    """The bundle as it was published, and after each step."""

    stages: list[Stage]
    other_bytes: dict[str, int]  # files that stay as they are
    user_idx: np.ndarray  # (q,) who asks
    k: int
    bootstrap: BootstrapConfig

    @property
    def loss(self) -> float:
        """Share of NDCG@k that is lost; negative where some was won."""
        before, after = (self._mean(stage, headline(self.k)[0]) for stage in (self.stages[0], self.stages[-1]))
        return 0.0 if before == after else 1 - after / before if before else -1.0

    @property
    def whole_bytes(self) -> tuple[int, int]:
        """Bytes of the whole bundle before and after."""
        others = sum(self.other_bytes.values())
        return self.stages[0].size + others, self.stages[-1].size + others

    def change(self, stage: Stage, metric: str, since: Stage | None = None) -> Comparison:
        """Return how much a metric changed on the same queries since another stage, by default the first."""
        before = (since or self.stages[0]).outcome.values[metric]
        return compare(stage.outcome.values[metric], before, self.user_idx, self.bootstrap)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
        return {
            "queries": len(self.user_idx), "loss": self.loss, "other_bytes": self.other_bytes,
            "whole_bytes": dict(zip(("before", "after"), self.whole_bytes, strict=True)),
            "stages": [self._values(stage, before) for stage, before in self._pairs()],
        }  # fmt: skip

    def table(self) -> Table:
        """Return a table of 80 columns."""
        ndcg, recall = headline(self.k)
        table = Table(title=f"{len(self.user_idx):,} held-out queries", title_justify="left", box=SIMPLE_HEAD,
                      pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
        table.add_column(no_wrap=True)
        metrics = (name.replace("@", "\n@") for name in (ndcg, recall))
        for name in ("model\nMiB", "vectors\nMiB", "one\nms", "32\nms", *metrics, f"{ndcg}\nby the step"):
            table.add_column(name, justify="right", no_wrap=True)
        for stage, before in self._pairs():
            table.add_row(*self._cells(stage, before))
        return table

    def sentence(self) -> str:
        """Return the whole in a line or two."""
        first, last = self.stages[0], self.stages[-1]
        (whole_before, whole_after), ndcg = self.whole_bytes, headline(self.k)[0]
        found = self.change(last, ndcg).difference
        return (
            f"model and vectors {first.size / MIB:.2f} → {last.size / MIB:.2f} MiB ({first.size / last.size:.1f}× "
            f"smaller), whole bundle {whole_before / MIB:.2f} → {whole_after / MIB:.2f} MiB\n"
            f"{ndcg} {found.mean:+.5f} ({found.low:+.5f} to {found.high:+.5f}), {-self.loss:+.2%}"
        )

    def section(self) -> str:
        """Return the same for a model card."""
        ndcg, recall = headline(self.k)
        names = ["", "model, MiB", "vectors, MiB", "one, ms", "32, ms", ndcg, recall, f"{ndcg} by the step"]
        lines = [names, ["---"] * len(names), *(self._cells(*pair) for pair in self._pairs())]
        rows = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        return f"{rows}\n\n{self.sentence()}\n"

    def _pairs(self) -> list[tuple[Stage, Stage | None]]:
        return list(zip(self.stages, [None, *self.stages], strict=False))

    def _cells(self, stage: Stage, before: Stage | None) -> list[str]:
        ndcg, recall = headline(self.k)
        model, vectors = (f"{size / MIB:.2f}" for size in stage.part_bytes.values())
        own = self.change(stage, ndcg, before).difference if before else None
        whole = self._mean(self.stages[0], ndcg)
        return [
            stage.name, model, vectors, f"{stage.one_ms:.2f}", f"{stage.batch_ms:.2f}",
            f"{self._mean(stage, ndcg):.4f}", f"{self._mean(stage, recall):.4f}",
            f"{own.mean / whole:+.2%} ± {own.half_width / whole:.2%}" if own and whole else "",
        ]  # fmt: skip

    def _values(self, stage: Stage, before: Stage | None) -> dict[str, Any]:
        metrics = headline(self.k)
        values: dict[str, Any] = {
            "step": stage.name, "bytes": stage.part_bytes, "encoder_one_ms": stage.one_ms,
            "encoder_32_ms": stage.batch_ms, **{metric: self._mean(stage, metric) for metric in metrics},
        }  # fmt: skip
        if before:
            values["by_the_step"] = {metric: _plain(self.change(stage, metric, before)) for metric in metrics}
            values["since_published"] = {metric: _plain(self.change(stage, metric)) for metric in metrics}
        return values

    @staticmethod
    def _mean(stage: Stage, metric: str) -> float:
        return float(np.nanmean(stage.outcome.values[metric]))


def _plain(change: Comparison) -> dict[str, float]:
    found = change.difference
    return {"mean": found.mean, "low": found.low, "high": found.high, "p": change.p}
