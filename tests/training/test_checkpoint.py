"""Checkpoints: a training that was killed goes on to the same bits; what does not belong to it is refused; nothing is lost."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.files.locks import sole_writer
from bridge.files.run import CHECKPOINT
from bridge.options.options import TrainingOptions, training_options
from bridge.training import checkpoint
from bridge.training.history import Row, TrainingInfo
from bridge.training.train import train
from tests.files.stopping import FINISHED, MOST, forks, run_until
from tests.training import nets, resumed
from tests.training.test_loop import bits, images

MOMENTS = random.Random(7)  # at which trainings are killed
HANGING = 600  # seconds after which a process is taken to wait for ever
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["tests.training.resumed"])  # torch is imported once, not by every process


def options(**more: Any) -> TrainingOptions:
    return training_options(
        "sgdm",
        **{
            "MaxEpochs": 6,
            "MiniBatchSize": 4,
            "Verbose": False,
            "InitialLearnRate": 1e-3,
            "Shuffle": "every-epoch",
            **more,
        },
    )


def weights(folder: Path) -> bytes:
    return (folder / "network" / "model.safetensors").read_bytes()


def log(folder: Path) -> Any:
    facts = json.loads((folder / "history.json").read_text(encoding="utf-8"))
    return [{name: value for name, value in row.items() if name != "TimeElapsed"} for row in facts["rows"]], facts[
        "FinalValidationLoss"
    ]


@dataclass
class Running:
    """A training in a process of its own."""

    process: Any
    iterations: Connection

    def reach(self, iteration: int) -> Running:
        """Let it go on until it has finished an iteration; there it waits."""
        while self.iterations.recv() < iteration:
            self.iterations.send(True)
        return self

    def send(self, number: signal.Signals) -> int:
        """Let it begin the next iteration, send a signal at any moment of that, and return the exit code."""
        self.iterations.send(True)
        time.sleep(MOMENTS.random() * 0.02)
        os.kill(self.process.pid, number)
        return self.end()

    def end(self) -> int:
        """Let it go on to its end and return the exit code."""
        with suppress(EOFError, ConnectionError):
            while True:
                self.iterations.recv()
                self.iterations.send(True)
        self.process.join(HANGING)
        return int(self.process.exitcode)


def start(folder: Path, resume: bool = False) -> Running:
    ours, theirs = PROCESSES.Pipe()
    process = PROCESSES.Process(target=resumed.run, args=(folder, resume, theirs), daemon=True)
    process.start()
    theirs.close()
    return Running(process, ours)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training that nobody stops."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert start(folder).end() == 0
    return folder


def test_a_killed_training_goes_on_to_the_same_bits(tmp_path: Path, whole: Path) -> None:
    """Oracle: the same training that nobody killed. kill -9 at random iterations, twice; dropout, Adam, the best validation, a cache."""
    moments = sorted(MOMENTS.sample(range(1, resumed.ITERATIONS - 1), 2))
    assert start(tmp_path).reach(moments[0]).send(signal.SIGKILL) == -signal.SIGKILL
    assert start(tmp_path, resume=True).reach(moments[1]).send(signal.SIGKILL) == -signal.SIGKILL
    assert start(tmp_path, resume=True).end() == 0
    assert weights(tmp_path) == weights(whole), f"killed at {moments}"
    assert log(tmp_path) == log(whole)
    assert not list(tmp_path.glob(".bridge*"))


def test_ctrl_c_ends_with_the_network_so_far_and_can_be_continued(tmp_path: Path, whole: Path) -> None:
    """Oracle: the same training without Ctrl-C."""
    running = start(tmp_path).reach(7)
    os.kill(running.process.pid, signal.SIGINT)
    running.iterations.send(True)
    assert running.end() == 0
    facts = json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))
    assert facts["StopReason"] == "Stopped manually" and len(facts["rows"]) in (
        7,
        8,
    )  # where in an iteration it is seen
    assert weights(tmp_path)
    assert start(tmp_path, resume=True).end() == 0
    assert weights(tmp_path) == weights(whole) and log(tmp_path) == log(whole)


def interrupted(folder: Path, after: int, **more: Any) -> TrainingInfo:
    """Train until an OutputFcn stops it; what it leaves is a checkpoint."""

    def stop(row: Row) -> bool:
        return bool(row["Iteration"] == after)

    return train(nets.cnn(), images(12), options(OutputFcn=stop), output=folder, **more)


def test_resuming_twice_and_a_finished_training_changes_nothing(tmp_path: Path) -> None:
    expected = train(nets.cnn(), images(12), options())
    interrupted(tmp_path, 4)
    for _ in range(2):
        info = train(nets.cnn(), images(12), options(), output=tmp_path, resume=tmp_path)
        assert bits(info) == bits(expected) and info.iterations == 18


def test_a_new_solver_begins_anew_with_the_learnables_of_the_checkpoint(tmp_path: Path) -> None:
    """MATLAB restarts its solver. Oracle: a training that begins with the network so far."""
    first = interrupted(tmp_path, 4)
    info = train(nets.cnn(), images(12), options(MaxEpochs=2), output=tmp_path, resume=tmp_path, solver="restart")
    assert first.network is not None and info.iterations == 6
    assert bits(info) == bits(train(first.network, images(12), options(MaxEpochs=2)))


def test_patience_that_had_run_out_is_not_forgotten(tmp_path: Path) -> None:
    given: dict[str, Any] = {
        "InitialLearnRate": 1e-30,
        "ValidationFrequency": 1,
        "ValidationPatience": 3,
        "CheckpointFrequencyUnit": "iteration",
    }
    for resume in (None, tmp_path):
        info = train(nets.cnn(), images(12), options(**given), validation=images(6), output=tmp_path, resume=resume)
        assert info.StopReason == "Met validation criterion" and info.iterations == 4


def test_where_there_is_no_checkpoint_yet_training_begins(tmp_path: Path) -> None:
    info = train(nets.cnn(), images(12), options(), output=tmp_path, resume=tmp_path)
    assert bits(info) == bits(train(nets.cnn(), images(12), options()))
    assert any("holds no checkpoint yet" in note for note in info.notes)


@pytest.mark.parametrize(
    ("change", "difference"),
    [
        ({"options": options(InitialLearnRate=2e-3)}, "options InitialLearnRate differs"),
        ({"options": options(MaxEpochs=7)}, "options MaxEpochs differs"),
        ({"model": nets.cnn(frozen=False)}, "network conv1.weight differs"),
        ({"model": nets.cnn(seed=1)}, "frozen values differs"),
        ({"data": images(13)}, "observations differs"),
        ({"data": (255 - images(12)[0], images(12)[1])}, "first observation differs"),
        ({"validation": images(6)}, "validation observations differs"),
        ({"class_weights": [1, 2, 3]}, "class weights differs"),
        ({"rng": 1}, "order differs"),
    ],
)
def test_a_checkpoint_of_another_recipe_is_refused_and_the_difference_named(
    tmp_path: Path, change: dict[str, Any], difference: str
) -> None:
    interrupted(tmp_path, 4)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.*")}
    given = {"model": nets.cnn(), "data": images(12), "options": options(), **change}
    with pytest.raises(UsageError, match=f"is a checkpoint of another recipe: {difference}"):
        train(**given, output=tmp_path, resume=tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.glob("*.*")} == before


def test_options_that_change_no_number_may_differ(tmp_path: Path) -> None:
    interrupted(tmp_path, 4)
    shown = options(Plots="training-progress", CheckpointFrequency=3)
    info = train(nets.cnn(), images(12), shown, output=tmp_path, resume=tmp_path)
    assert bits(info) == bits(train(nets.cnn(), images(12), options()))


def test_another_number_of_threads_is_mentioned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interrupted(tmp_path, 4)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 99)
    info = train(nets.cnn(), images(12), options(), output=tmp_path, resume=tmp_path)
    assert any("here are" in note and "99 thread(s)" in note for note in info.notes)


@pytest.mark.parametrize(
    "content", [b"", b"\x10" + b"\0" * 7 + b"{}", b"no checkpoint at all, but some text that is long enough"]
)
def test_what_is_no_checkpoint_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CHECKPOINT).write_bytes(content)
    with pytest.raises(UnreadableError, match="is no checkpoint"):
        train(nets.cnn(), images(12), options(), resume=tmp_path)
    with pytest.raises(UnreadableError, match="is no checkpoint"):
        train(nets.cnn(), images(12), options(), resume=tmp_path / "missing.safetensors")


def test_a_folder_that_holds_a_training_is_left_as_it_is(tmp_path: Path) -> None:
    interrupted(tmp_path, 4)
    with pytest.raises(UsageError, match="holds a training already"):
        train(nets.cnn(), images(12), options(), output=tmp_path)


def test_a_full_disk_loses_nothing_that_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second checkpoint does not fit: the first is still there, whole, and training goes on from it to the same bits."""
    import safetensors.torch

    save, written = safetensors.torch.save_file, []

    def full(tensors: Any, path: Any, metadata: Any = None) -> None:
        save(tensors, path, metadata)
        written.append(path)
        if len(written) == 2:
            content = Path(path).read_bytes()
            Path(path).write_bytes(content[: len(content) // 2])
            raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(safetensors.torch, "save_file", full)
    with pytest.raises(BridgeError, match=r"cannot write .*checkpoint.safetensors") as caught:
        train(nets.cnn(), images(12), options(), output=tmp_path)
    assert "No space left" in caught.value.cause
    assert checkpoint.load(tmp_path).facts["iteration"] == 3
    assert json.loads((tmp_path / "history.json").read_text(encoding="utf-8"))["StopReason"].startswith("cannot write")
    monkeypatch.undo()
    info = train(nets.cnn(), images(12), options(), output=tmp_path, resume=tmp_path)
    assert bits(info) == bits(train(nets.cnn(), images(12), options()))


@forks
def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    """Killed at every call of the file system while a checkpoint is written."""
    interrupted(tmp_path, 4)
    saved, before = checkpoint.load(tmp_path), sorted(tmp_path.rglob("*"))
    for number in range(MOST):
        reached, code = run_until(lambda: saved.save(tmp_path), number, tmp_path, fails=False)
        assert checkpoint.load(tmp_path).facts == saved.facts
        saved.save(tmp_path)
        assert sorted(tmp_path.rglob("*")) == before
        if not reached:
            break
    assert (code, reached) == (FINISHED, False) and number > 10


def test_a_folder_takes_one_training_at_a_time(tmp_path: Path, whole: Path) -> None:
    """The second is told who has it; the first ends as if it had been alone. A killed training holds nothing."""
    running = start(tmp_path).reach(3)
    with pytest.raises(UsageError, match=f"in use by process {running.process.pid} on "):
        train(nets.cnn(), images(12), options(), output=tmp_path, resume=tmp_path)
    running.iterations.send(True)
    assert running.end() == 0
    assert weights(tmp_path) == weights(whole) and log(tmp_path) == log(whole)
    assert not list(tmp_path.glob(".bridge*"))


def test_the_folder_of_CheckpointPath_takes_one_training_too(tmp_path: Path) -> None:
    module, data = nets.cnn().to_torch(), (torch.from_numpy(images(12)[0]), torch.arange(12) % 3)
    with sole_writer(tmp_path), pytest.raises(UsageError, match=f"in use by process {os.getpid()} on "):
        train(module, data, options(CheckpointPath=str(tmp_path)), loss="ClassificationOutputLayer")


def test_a_checkpoint_without_one_of_its_parts_is_refused(tmp_path: Path) -> None:
    """Or with one of another size: whatever a run that goes on takes of it."""
    interrupted(tmp_path, 4)
    sound = checkpoint.load(tmp_path)
    taken = []
    for name in sound.tensors:
        rest = {key: value for key, value in sound.tensors.items() if key != name}
        for tensors in (rest, {**rest, name: torch.zeros(3, 2, 1)}):
            replace(sound, tensors=tensors).save(tmp_path)
            try:
                train(nets.cnn(), images(12), options(), resume=tmp_path)
                taken.append((name, len(tensors) > len(rest)))
            except UnreadableError:
                pass
    assert not taken


def test_frozen_values_are_not_in_the_checkpoint(tmp_path: Path) -> None:
    """They do not change: a head on a large network has small checkpoints."""
    interrupted(tmp_path, 4)
    saved = checkpoint.load(tmp_path)
    assert not any("conv1" in name for name in saved.tensors)
    assert {"model/fc.weight", "model/input.mean", "solver/0/velocity", "random"} <= set(saved.tensors)


def test_CheckpointPath_holds_checkpoints_where_there_is_no_output_folder(tmp_path: Path) -> None:
    module = nets.cnn().to_torch()
    given = options(CheckpointPath=str(tmp_path))
    x, _y = images(12)
    data = (torch.from_numpy(x), torch.arange(12) % 3)
    info = train(module, data, given, loss="ClassificationOutputLayer")
    assert checkpoint.load(tmp_path).facts["iteration"] == info.iterations
    again = nets.cnn().to_torch()
    assert bits(train(again, data, given, loss="ClassificationOutputLayer", resume=tmp_path)) == bits(info)
    np.testing.assert_array_equal(again.fc.weight.detach(), module.fc.weight.detach())
