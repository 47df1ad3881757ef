"""Training on a folder of images: the same bits however they are loaded, kept in memory or not, stopped or not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bridge.data import files, kept
from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.images import augmentedImageDatastore, imageDataAugmenter, imageDatastore
from bridge.options.options import TrainingOptions, training_options
from bridge.training.history import Row, TrainingInfo
from bridge.training.train import train
from tests.training import nets
from tests.training.test_loop import bits


def options(**more: Any) -> TrainingOptions:
    given = {"MaxEpochs": 3, "MiniBatchSize": 4, "Verbose": False, "InitialLearnRate": 1e-3, "Shuffle": "every-epoch"}
    return training_options("sgdm", **{**given, "ValidationFrequency": 2, **more})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Six images a class, larger than the network takes."""
    rng = np.random.default_rng(0)
    for name in nets.CLASSES:
        (tmp_path / "images" / name).mkdir(parents=True)
        for number in range(6):
            pixels = rng.integers(0, 256, (12, 10, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{number}.png")
    return tmp_path / "images"


def same(one: TrainingInfo, other: TrainingInfo) -> bool:
    logs = [[{**row, "TimeElapsed": 0} for row in info.rows] for info in (one, other)]
    return bits(one) == bits(other) and logs[0] == logs[1] and one.final == other.final


@pytest.mark.parametrize("frozen", [True, False])  # with features of the frozen part, too
@pytest.mark.parametrize("background", [False, True])
def test_images_in_memory_and_worker_processes_change_no_bit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool, frozen: bool
) -> None:
    """Oracle: the same training without either. A stopped one goes on to the same bits."""
    network, more = nets.cnn(frozen=frozen), {"DispatchInBackground": background}
    found = train(network, folder, options(**more), validation=folder)
    assert any(note == "images are kept in memory once they are read: 1 MB" for note in found.notes)
    with monkeypatch.context() as patched:
        patched.setattr(kept, "MEMORY_SHARE", 0.0)
        expected = train(network, folder, options(), validation=folder)
    assert not any("kept in memory" in note for note in expected.notes)
    assert same(found, expected)

    def stop(row: Row) -> bool:
        return bool(row["Iteration"] == 6)

    output = tmp_path / "run"
    train(network, folder, options(OutputFcn=stop, **more), validation=folder, output=output)
    resumed = train(network, folder, options(**more), validation=folder, output=output, resume=output)
    assert same(resumed, expected)


def test_augmented_images_are_read_anew(folder: Path) -> None:
    store = imageDatastore(folder, IncludeSubfolders=True, LabelSource="foldernames")
    data = augmentedImageDatastore((8, 8, 3), store, DataAugmentation=imageDataAugmenter(RandXTranslation=(-3, 3)))
    serial, background = (train(nets.cnn(), data, options(DispatchInBackground=each)) for each in (False, True))
    assert same(serial, background) and not any("kept in memory" in note for note in serial.notes)


def test_images_of_one_pass_are_not_kept(folder: Path) -> None:
    info = train(nets.cnn(), folder, options(MaxEpochs=1, ResetInputNormalization=False))
    assert not any("kept in memory" in note for note in info.notes)


def unreadable(path: Path) -> None:
    path.write_bytes(b"\x89PNG and no more")


def gray(path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(path)


def deep(path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint16)).save(path)


@pytest.mark.parametrize(("make", "color", "kind", "message"), [
    (unreadable, "none", UnreadableError, "cannot read the image .*3.png"),
    (gray, "none", UsageError, "3.png has 1 channels, expected are 3"),
    (deep, "gray2rgb", UnsupportedError, "3.png has 16 bits or more a channel"),
])  # fmt: skip
def test_of_many_images_some_are_looked_at_before_and_the_others_when_they_are_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch, make: Any, color: str, kind: Any, message: str
) -> None:
    """Oracle: the file that was spoilt, which is none of the two that are looked at."""
    monkeypatch.setattr(files, "LOOKED_AT", 2)
    make(folder / nets.CLASSES[0] / "3.png")
    store = imageDatastore(folder, IncludeSubfolders=True, LabelSource="foldernames")
    with pytest.raises(kind, match=message) as caught:
        train(nets.cnn(), augmentedImageDatastore((8, 8, 3), store, ColorPreprocessing=color), options())
    assert caught.value.cause and caught.value.hint
