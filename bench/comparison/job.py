"""One family in a process of its own, so that its time is its own and its failure, too.

    python -m bench.comparison.job <file with a job as JSON>

Writes what came of it, or the reason why nothing did, to the file that the job names.
"""

import json
import sys
import tempfile
import time
import traceback
from pathlib import Path
from typing import Any

import torch
from pydantic import Field
from torch import nn

from bench.comparison.choosing import fit_and_choose
from bench.comparison.families import FamilyRow
from bench.comparison.held_out import HeldOut
from bench.comparison.ranks import metrics, rank_all
from cluster.config import Config
from cluster.errors import DataError, LiveshelfError
from cluster.storage import write_whole
from cluster.telemetry import configure_logging
from train.content import describe
from train.data.split import SplitConfig, make_split
from train.models.base import Model
from train.pipeline import buys_again
from train.training_set import TrainingSet
from train.validation import ValidationSet

SOLVED_QUERIES = 10_000  # validation queries where they are asked once per point of a grid, not after every epoch
LEAVE_ONE_OUT = SplitConfig.checked({"split": "leave_one_out"})


class Job(Config):
    """What to fit, on what, and where to say how it went."""

    held: str = Field(description="folder of the held-out data")
    out: str = Field(description="file for the result")
    row: FamilyRow


def measure_family(row: FamilyRow, held: HeldOut) -> dict[str, Any]:
    """Fit a family on what came before the validation items, choose on those, and look at the test once."""
    split = make_split(held.visible.interactions, LEAVE_ONE_OUT, held.visible.has_clock)
    n_valid = max(row.training.valid_queries, 0 if row.has_epochs else SOLVED_QUERIES)
    valid = ValidationSet.sample(split, n_valid, not buys_again(split.train), row.training.seed)
    if valid is None:
        raise DataError("nothing to choose by: no user has three events, or valid_queries=0")
    content = describe(held.visible, split.train, row.features).content
    data = TrainingSet.of(held.visible.catalogue, split.train, valid, content, split.wanted)
    with tempfile.TemporaryDirectory() as place:
        began = time.process_time()
        chosen = fit_and_choose(row, data, valid, Path(place))
        fitted = time.process_time()
    ranks = rank_all(chosen.model, held.histories, held.truth)
    return metrics(ranks) | {
        "valid_ndcg@10": chosen.valid, "chosen": chosen.settings, "fit_cpu_s": round(fitted - began, 1),
        "evaluate_cpu_s": round(time.process_time() - fitted, 1), "parameters": n_parameters(chosen.model),
    }  # fmt: skip


def n_parameters(model: Model) -> int:
    """Return how many numbers were learned."""
    if isinstance(model, nn.Module):
        return sum(parameter.numel() for parameter in model.parameters())
    return sum(tensor.numel() for tensor in model.state_dict().values() if tensor.is_floating_point())


def main(words: list[str]) -> int:
    job = Job.checked(json.loads(Path(words[0]).read_text()))
    torch.set_num_threads(1)
    configure_logging("WARNING")
    try:
        result = measure_family(job.row, HeldOut.load(Path(job.held)))
    except LiveshelfError as error:
        result = {"failed": str(error)}
    except Exception as error:  # a defect of one family must not cost the others their rows
        traceback.print_exc()
        result = {"failed": f"{type(error).__name__}: {error}"}
    write_whole(Path(job.out), json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
