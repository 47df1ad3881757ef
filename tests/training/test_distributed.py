"""Two processes that share each mini-batch, against one that has it alone."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import savemat

import bridge
from bridge.errors import UsageError
from bridge.files.run import CHECKPOINT
from bridge.recipes.recipe import Recipe
from bridge.training.train import train
from tests.training import nets, shared
from tests.training.test_loop import images

ROOT = Path(__file__).parents[2]
HANGING = 600  # seconds after which a process is taken to wait for ever
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.shared"])  # torch is imported once, not by every process


def together(case: str, folder: Path) -> list[dict[str, Any]]:
    """Train in two processes; return what each found."""
    running = [PROCESSES.Process(target=shared.run, args=(case, folder, rank, 2), daemon=True) for rank in range(2)]
    for process in running:
        process.start()
    try:
        for process in running:
            process.join(HANGING)
        assert [process.exitcode for process in running] == [0, 0]
    finally:
        for process in running:
            process.kill()
    return [torch.load(folder.with_suffix(f".{rank}"), weights_only=True) for rank in range(2)]


@pytest.mark.parametrize("case", ["images", "responses"])
def test_two_processes_give_the_numbers_of_one(tmp_path: Path, case: str) -> None:
    """Oracle: the same training in one process, to single-precision rounding. Mini-batches of 5 are shared as 3 and 2."""
    network, data, validation = shared.cases()[case]
    alone = train(network, data, shared.options(), validation=validation)
    first, second = together(case, tmp_path / "run")
    for name, value in alone.model.state_dict().items():
        assert torch.equal(first["state"][name], second["state"][name]), name
        torch.testing.assert_close(first["state"][name], value, rtol=1e-5, atol=1e-6, msg=name)
    for row, other, expected in zip(first["rows"], second["rows"], alone.rows, strict=True):
        assert row.keys() == other.keys() == expected.keys()
        for name in set(row) - {"TimeElapsed"}:
            assert row[name] == other[name]
            np.testing.assert_allclose(row[name], expected[name], rtol=1e-5)


def test_batch_norm_statistics_are_those_of_each_process(tmp_path: Path) -> None:
    """Documented: each worker normalises with its own part of the mini-batch, so that the numbers differ from those of one process."""
    network, data, validation = shared.cases()["batch norm"]
    alone = train(network, data, shared.options(), validation=validation)
    first, second = together("batch norm", tmp_path / "run")
    assert all(torch.equal(value, second["state"][name]) for name, value in first["state"].items())
    assert not np.allclose([row["TrainingLoss"] for row in first["rows"]], alone.TrainingLoss)


def test_only_the_first_process_writes_and_its_checkpoint_is_for_two(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    together("images", folder)
    assert {path.name for path in folder.iterdir()} == {
        "checkpoint.safetensors",
        "history.json",
        "info.mat",
        "network",
        "run.json",
    }
    network, data, validation = shared.cases()["images"]
    with pytest.raises(UsageError, match="processes differs"):
        train(network, data, shared.options(), validation=validation, output=folder, resume=folder)


def four(folder: Path, meeting: str, lost: int = -1) -> list[int]:
    """Train in four processes; where one ends the others are ended, as torchrun does. Return the exit codes."""
    arguments = [(folder, folder.with_suffix(f".{meeting}"), rank, 4, lost) for rank in range(4)]
    running = [PROCESSES.Process(target=shared.lose, args=each, daemon=True) for each in arguments]
    for process in running:
        process.start()
    try:
        running[max(lost, 0)].join(HANGING)
        for process in running:
            if lost < 0:
                process.join(HANGING)
    finally:
        for process in running:
            process.kill()
            process.join()
    return [process.exitcode for process in running]


def test_a_training_of_four_processes_goes_on_where_one_was_killed(tmp_path: Path) -> None:
    """Oracle: the same training that nobody killed, bit for bit: dropout, validation, mini-batches of 6 shared as 2, 2, 1 and 1."""
    assert four(tmp_path / "whole", "first") == [0] * 4
    assert four(tmp_path / "run", "first", lost=2)[2] == -signal.SIGKILL
    assert (tmp_path / "run" / CHECKPOINT).is_file() and not (tmp_path / "run" / "network").exists()
    assert four(tmp_path / "run", "again") == [0] * 4
    found = [(tmp_path / name / "network" / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert found[0] == found[1]
    logs = [
        json.loads((tmp_path / name / "history.json").read_text(encoding="utf-8"))["rows"] for name in ("run", "whole")
    ]
    assert len(logs[0]) == 10
    for row, other in zip(*logs, strict=True):
        assert {**row, "TimeElapsed": 0} == {**other, "TimeElapsed": 0}


def test_torchrun_trains_a_recipe(tmp_path: Path) -> None:
    """Oracle: the same recipe in this process. The real launcher and the real command."""
    pixels, labels = images(17)
    savemat(tmp_path / "data.mat", {"X": pixels.transpose(2, 3, 1, 0), "Y": np.array(labels, dtype=object)[:, None]})
    nets.cnn().save(tmp_path / "net")
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(
        'schema = "bridge.recipe/1"\n[network]\nfile = "net"\n[options]\nsolver = "sgdm"\nMaxEpochs = 3\nMiniBatchSize = 5\nInitialLearnRate = 0.001\n',
        encoding="utf-8",
    )
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command = ["-m", "bridge", "train", str(recipe), "--data", str(tmp_path / "data.mat"), "-o", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*launcher, *command], env=environment, capture_output=True, text=True, timeout=HANGING)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("saved to") == 1
    read = Recipe.load(recipe)
    alone = train(read.network(), tmp_path / "data.mat", read.options)
    together = bridge.load(tmp_path / "run" / "network").to_torch().state_dict()
    for key, value in alone.model.state_dict().items():
        torch.testing.assert_close(together[key], value, rtol=1e-5, atol=1e-6, msg=key)
