"""A training in a process of its own, to be stopped and resumed."""

from __future__ import annotations

from multiprocessing.connection import Connection
from pathlib import Path

import torch
import torch._dynamo  # the first optimizer imports it, and it takes seconds

from bridge.options.options import training_options
from bridge.training.history import Row
from bridge.training.train import train
from tests.training import nets
from tests.training.test_loop import images

ITERATIONS = 40


def run(folder: Path, resume: bool, iterations: Connection) -> None:
    """Train into a folder; tell every iteration, and wait until the next one is asked for."""

    def tell(row: Row) -> None:
        iterations.send(row["Iteration"])
        iterations.recv()

    torch.set_num_threads(1)
    options = training_options(
        "adam", MaxEpochs=10, MiniBatchSize=4, InitialLearnRate=1e-3, Shuffle="every-epoch", Verbose=False, ValidationFrequency=5,
        OutputNetwork="best-validation-loss", CheckpointFrequency=2, CheckpointFrequencyUnit="iteration", OutputFcn=tell,
    )  # fmt: skip
    train(
        nets.cnn(dropout=True),
        images(18),
        options,
        validation=images(7, 1),
        output=folder,
        resume=folder if resume else None,
    )
