"""A training that several processes share."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # the first optimizer imports it, and it takes seconds
import torch.distributed

from bridge.options.options import TrainingOptions, training_options
from bridge.training.history import Row
from bridge.training.train import train
from tests.training import nets
from tests.training.test_loop import images, observations

MINI_BATCH = 5  # two processes get 3 and 2 of it


def options(**more: Any) -> TrainingOptions:
    given = {
        "MaxEpochs": 3,
        "MiniBatchSize": MINI_BATCH,
        "Verbose": False,
        "InitialLearnRate": 1e-3,
        "Shuffle": "every-epoch",
        "ValidationFrequency": 3,
    }
    return training_options("sgdm", **{**given, **more})


def cases() -> dict[str, Any]:
    """Return network, data and validation data: images with a frozen part and a cache, responses, an unequal number of labelled steps."""
    return {
        "images": (nets.cnn(), images(17), images(7, 1)),
        "responses": (nets.regression(batch_norm=False), observations(17, False, 1), observations(7, False, 2)),
        "batch norm": (nets.classifier(), observations(17, True, 1), observations(7, True, 2)),
    }


KILLED = 5  # the iteration after which a process is killed, between two checkpoints


def meet(meeting: Path, rank: int, processes: int) -> None:
    """Join the others in a file: no port can be taken meanwhile."""
    os.environ["LOCAL_RANK"] = str(rank)
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", init_method=meeting.as_uri(), rank=rank, world_size=processes)


def lose(folder: Path, meeting: Path, rank: int, processes: int, lost: int) -> None:
    """Train with checkpoints; process `lost` is killed (kill -9) in the middle. A folder with a checkpoint goes on."""
    numbers = meeting.with_suffix(".processes")
    numbers.mkdir(exist_ok=True)
    (numbers / str(rank)).write_text(str(os.getpid()), encoding="utf-8")

    def kill(row: Row) -> None:  # process 0 alone is asked
        if lost >= 0 and row["Iteration"] == KILLED:
            os.kill(int((numbers / str(lost)).read_text(encoding="utf-8")), signal.SIGKILL)

    meet(meeting, rank, processes)
    network, data, validation = nets.cnn(dropout=True), images(17), images(7, 1)
    more = {"CheckpointFrequency": 2, "CheckpointFrequencyUnit": "iteration", "OutputFcn": kill, "MiniBatchSize": 6}
    train(network, data, options(MaxEpochs=5, **more), validation=validation, output=folder, resume=folder)
    torch.distributed.destroy_process_group()


def run(case: str, folder: Path, rank: int, processes: int) -> None:
    """Train as process `rank` of several, which meet in a file beside the folder."""
    meet(folder.with_suffix(".meeting"), rank, processes)
    network, data, validation = cases()[case]
    info = train(network, data, options(), validation=validation, output=folder)
    torch.distributed.destroy_process_group()
    torch.save(
        {"state": info.model.state_dict(), "rows": info.rows, "final": dict(info.final)}, folder.with_suffix(f".{rank}")
    )
