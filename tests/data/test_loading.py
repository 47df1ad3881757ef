"""Mini-batches from worker processes: the same as without them, from processes that stay, however they start."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import Dataset, get_worker_info

from bridge.data import loading, sources
from bridge.data.kept import Kept
from bridge.data.loading import Loader
from bridge.data.sources import DatasetSource, ImageSource, Request, workers_for
from bridge.errors import UsageError
from bridge.images import augmentedImageDatastore, imageDataAugmenter, imageDatastore

COUNT = 24


class Told(Dataset[Any]):
    """Items: (number, process, a number drawn at random in a worker process), and a target."""

    def __len__(self) -> int:
        return COUNT

    def __getitem__(self, index: int) -> Any:
        if index == COUNT - 1 and get_worker_info() is not None and os.environ.get("BRIDGE_TEST_KILLED"):
            time.sleep(1)  # until it is waited for: torch tells of a process that ends wherever its parent is then
            os.kill(os.getpid(), signal.SIGKILL)
        drawn = torch.rand(1).item() + random.random() + np.random.rand()
        return torch.tensor([index, os.getpid(), drawn], dtype=torch.float64), 0


def requests(epoch: int, size: int = 4, start: int = 0) -> list[Request]:
    numbers = np.random.default_rng(epoch).permutation(COUNT)
    return [Request(epoch, part) for part in np.split(numbers, range(size, COUNT, size))][start:]


def loaded(loader: Loader, wanted: list[Request]) -> torch.Tensor:
    return torch.cat([batch.inputs[0] for batch in loader.load(wanted)])


def image_source(folder: Path, augmenter: imageDataAugmenter | None = None, background: bool = False) -> ImageSource:
    pixels = np.random.default_rng(0).integers(0, 256, (COUNT, 20, 24, 3), dtype=np.uint8)
    for number, image in enumerate(pixels):
        Image.fromarray(image).save(folder / f"{number:02}.png")
    store = augmentedImageDatastore((12, 9, 3), imageDatastore(folder), DataAugmentation=augmenter)
    return ImageSource(store, 5, (), torch.arange(COUNT), background)


def test_worker_processes_stay_from_epoch_to_epoch() -> None:
    loader = Loader(DatasetSource(Told(), workers=2))
    epochs = [loaded(loader, requests(epoch)) for epoch in (1, 2, 3)]
    processes = [set(epoch[:, 1].tolist()) for epoch in epochs]
    assert len(processes[0]) == 2 and os.getpid() not in processes[0]
    assert processes[0] == processes[1] == processes[2]
    for epoch, found in enumerate(epochs, 1):
        assert found[:, 0].tolist() == np.concatenate([each.indices for each in requests(epoch)]).tolist()
    loader.close()
    assert set(loaded(loader, requests(1))[:, 1].tolist()).isdisjoint(processes[0])
    loader.close()


def test_what_is_left_of_an_epoch_does_not_reach_the_next() -> None:
    loader = Loader(DatasetSource(Told(), workers=2))
    begun = loader.load(requests(1))
    next(begun)
    begun.close()
    assert loaded(loader, requests(2))[:, 0].tolist() == np.concatenate([each.indices for each in requests(2)]).tolist()
    loader.close()


def test_what_a_dataset_draws_in_worker_processes_depends_on_epoch_and_mini_batch_alone() -> None:
    """Also where a training goes on in the middle of an epoch, with another number of processes."""
    drawn = []
    for workers, start in ((2, 0), (1, 0), (2, 3)):
        loader = Loader(DatasetSource(Told(), workers=workers))
        drawn.append([loaded(loader, requests(epoch, start=start))[:, 2] for epoch in (1, 2)])
        loader.close()
    assert all(torch.equal(*pair) for pair in zip(drawn[0], drawn[1], strict=True))
    assert all(torch.equal(whole[12:], rest) for whole, rest in zip(drawn[0], drawn[2], strict=True))
    assert len(set(torch.cat(drawn[0]).tolist())) == 2 * COUNT


def test_the_random_numbers_of_the_training_are_left_alone() -> None:
    before = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    loader = Loader(DatasetSource(Told(), workers=1))
    loaded(loader, requests(1))
    loader.close()
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1:] == (np.random.get_state()[1].tolist(), random.getstate())


def test_a_worker_process_that_is_killed_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRIDGE_TEST_KILLED", "1")
    loader = Loader(DatasetSource(Told(), workers=1))
    with pytest.raises(UsageError, match="a process that loads observations ended") as caught:
        loaded(loader, requests(1))
    assert caught.value.cause and "DispatchInBackground" in caught.value.hint
    loader.close()


# Kept in memory


@pytest.mark.parametrize("background", [False, True])
def test_images_are_read_once_and_kept_as_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, background: bool
) -> None:
    source = image_source(tmp_path, background=background)
    anew, kept = Loader(source), Loader(source, keeps=True)
    expected = [loaded(anew, requests(epoch)) for epoch in (1, 2, 3)]
    assert expected[0].dtype == torch.uint8
    partial = requests(1)[:4]  # what epoch 1 leaves out, epoch 2 reads
    assert torch.equal(loaded(kept, partial), expected[0][:16])
    assert torch.equal(loaded(kept, requests(2)), expected[1])
    for path in tmp_path.iterdir():
        path.unlink()
    assert torch.equal(loaded(kept, requests(3)), expected[2])
    anew.close(), kept.close()


def test_loaders_keep_what_fits_and_never_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folders = [tmp_path / name for name in ("plain", "random")]
    for folder in folders:
        folder.mkdir()
    plain, changed = image_source(folders[0]), image_source(folders[1], imageDataAugmenter(RandXReflection=True))
    size = COUNT * (3 * 12 * 9 + 8)  # a byte for each value, eight for the target
    assert loading.loaders([changed, plain], False, again=True)[1] == size
    assert loading.loaders([changed, plain], False, again=False)[1] == 0
    monkeypatch.setattr(loading, "is_free", lambda needed: needed <= size)
    assert loading.loaders([plain, plain], False, again=True)[1] == size  # the second does not fit as well
    monkeypatch.setattr(loading, "is_free", lambda needed: needed < size)
    assert loading.loaders([plain], False, again=True)[1] == 0
    assert loading.loaders([DatasetSource(Told())], False, again=True)[1] == 0


def test_kept_observations_are_those_of_their_mini_batch() -> None:
    kept = Kept(5)
    assert not kept.holds([0])
    first = DatasetSource(Told()).load(Request(1, np.array([3, 1])))
    kept.keep([3, 1], first)
    assert kept.holds([1]) and not kept.holds([1, 2])
    assert torch.equal(kept.get([1, 3]).inputs[0], first.inputs[0].flip(0))


# However processes start

SCRIPT = """
import logging, sys, torch
from pathlib import Path
import tests.data.test_loading as here
from bridge.data.loading import Loader
from bridge.images import imageDataAugmenter

def main():
    torch.multiprocessing.set_start_method("{method}", force=True)
    logging.basicConfig(level=logging.WARNING)
    rotation = (lambda: 30.0) if {closure} else (-90, 90)
    source = here.image_source(Path(sys.argv[1]), imageDataAugmenter(RandRotation=rotation), background=True)
    assert source.workers > 0
    loader = Loader(source)
    found = [here.loaded(loader, here.requests(epoch)) for epoch in (1, 2)]
    loader.close()
    source.workers = 0
    assert all(torch.equal(each, here.loaded(Loader(source), here.requests(epoch))) for epoch, each in enumerate(found, 1))
    print("equal")

if __name__ == "__main__":
    main()
"""


def run_script(folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    script, images = folder / "script.py", folder / "images"
    images.mkdir()
    script.write_text(textwrap.dedent(text), encoding="utf-8")
    root = str(Path(__file__).parents[2])
    return subprocess.run(
        [sys.executable, str(script), str(images)],
        capture_output=True,
        text=True,
        check=False,
        cwd=root,
        env={**os.environ, "PYTHONPATH": root},
    )


def test_spawned_processes_give_the_same_images(tmp_path: Path) -> None:
    done = run_script(tmp_path, SCRIPT.format(method="spawn", closure=False))
    assert done.stdout == "equal\n", done.stderr


def test_what_spawned_processes_cannot_be_given_is_loaded_by_the_training(tmp_path: Path) -> None:
    done = run_script(tmp_path, SCRIPT.format(method="spawn", closure=True))
    assert done.stdout == "equal\n", done.stderr
    assert done.stderr.count("cannot be handed to worker processes") == 1


def test_processes_start_unasked_only_where_they_do_not_run_a_script_again(monkeypatch: pytest.MonkeyPatch) -> None:
    assert workers_for(sources.FILES_WORTH_WORKERS - 1, None) == 0 == workers_for(10_000, False)
    assert 1 <= workers_for(1, True) <= sources.MOST_WORKERS
    monkeypatch.setattr("multiprocessing.get_start_method", lambda: "fork")
    assert workers_for(10_000, None) == workers_for(10_000, True)
    monkeypatch.setattr("multiprocessing.get_start_method", lambda: "spawn")
    script = type(sys)("__main__")
    monkeypatch.setitem(sys.modules, "__main__", script)
    assert workers_for(10_000, None) > 0  # a notebook
    script.__file__ = "script.py"
    assert workers_for(10_000, None) == 0
    from bridge import commands

    script.main = commands.main  # type: ignore[attr-defined]
    assert workers_for(10_000, None) > 0
