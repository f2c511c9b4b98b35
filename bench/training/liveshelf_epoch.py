"""Our transformer for an epoch, timed.

    python -m bench.training.liveshelf_epoch <folder of prepared data> [key=value … of fit]

Prints one line of JSON: the sequences of the second epoch, and the processor's seconds for them.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
import torch

from train.data.prepared import Prepared
from train.loop import FitConfig, train_epochs
from train.models.neural.transformer import TransformerConfig
from train.session import new_model
from train.training_set import TrainingSet

WARM_UP = 1  # epochs


def main(folder: str, words: list[str]) -> None:
    torch.set_num_threads(1)
    prepared, config = Prepared.load(Path(folder)), FitConfig.parse(words)
    model = new_model(TransformerConfig.parse([]), TrainingSet.of(prepared.catalogue, prepared.interactions, None), 0)
    epochs = train_epochs(model, prepared.interactions, config)
    for _ in range(WARM_UP):
        next(epochs)
    began = time.process_time()
    next(epochs)
    sequences = int((np.diff(prepared.interactions.offsets) > 1).sum())
    print(json.dumps({"sequences": sequences, "cpu_s": time.process_time() - began}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
