"""RecTools' SASRec for a few batches, timed; runs in an environment of its own, see requirements.txt.

    python rectools_sasrec.py <csv of user_id, item_id, weight, datetime> <settings as JSON>

Prints one line of JSON: the sequences that were trained after the warm-up, and the processor's seconds for them.
"""

import json
import sys
import time

import pandas as pd
import torch
from pytorch_lightning import Callback, LightningModule, Trainer  # pyright: ignore[reportMissingImports]
from rectools.dataset import Dataset  # pyright: ignore[reportMissingImports]
from rectools.models import SASRecModel  # pyright: ignore[reportMissingImports]

WARM_UP = 2  # batches


class Clock(Callback):
    """Notes the processor's time before the first batch that counts, and after the last."""

    started = ended = 0.0

    def on_train_batch_start(self, trainer: Trainer, module: LightningModule, batch: object, number: int) -> None:
        if number == WARM_UP:
            Clock.started = time.process_time()

    def on_train_end(self, trainer: Trainer, module: LightningModule) -> None:
        Clock.ended = time.process_time()


def one_short_epoch(batches: int) -> Trainer:
    return Trainer(
        max_epochs=1, limit_train_batches=WARM_UP + batches, accelerator="cpu", devices=1, logger=False,
        callbacks=[Clock()], enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
    )  # fmt: skip


def main(events: str, settings: dict) -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    batches = settings.pop("batches")
    model = SASRecModel(**settings, get_trainer_func=one_short_epoch, get_trainer_func_kwargs={"batches": batches})
    model.fit(Dataset.construct(pd.read_csv(events, parse_dates=["datetime"])))
    sequences = batches * model.batch_size
    print(json.dumps({"sequences": sequences, "cpu_s": Clock.ended - Clock.started}))


if __name__ == "__main__":
    main(sys.argv[1], json.loads(sys.argv[2]))
