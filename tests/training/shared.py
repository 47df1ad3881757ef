"""A training that several processes share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
import torch._dynamo  # the first optimizer imports it, and it takes seconds
import torch.distributed

from bridge.options.options import TrainingOptions, training_options
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


def run(case: str, folder: Path, rank: int, processes: int) -> None:
    """Train as process `rank` of several, which meet in a file beside the folder: no port can be taken meanwhile."""
    os.environ["LOCAL_RANK"] = str(rank)
    torch.set_num_threads(1)
    meeting = folder.with_suffix(".meeting").as_uri()
    torch.distributed.init_process_group("gloo", init_method=meeting, rank=rank, world_size=processes)
    network, data, validation = cases()[case]
    info = train(network, data, options(), validation=validation, output=folder)
    torch.distributed.destroy_process_group()
    torch.save(
        {"state": info.model.state_dict(), "rows": info.rows, "final": dict(info.final)}, folder.with_suffix(f".{rank}")
    )
