"""A recipe that trains a segmentation network on a folder of images and a folder of label images."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge.commands import main
from bridge.networks import unet_layers
from bridge.recipes.recipe import Recipe

RECIPE = """\
schema = "bridge.recipe/1"

[network]
file = "net"

[options]
solver = "adam"
MaxEpochs = 2
MiniBatchSize = 3
InitialLearnRate = 0.01
Verbose = false

[data]
path = "images"
labels = "labels"
label_values = { sky = [[0, 0, 255], [0, 0, 128]], road = [[64, 64, 64]] }
ignored = [[0, 0, 0]]
split = [0.6]
randomized = true

[data.augmentation]
RandXReflection = true

[loss]
class_weights = [1.0, 2.5]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    unet_layers((8, 8, 3), ["sky", "road"], EncoderDepth=1, NumFirstEncoderFilters=2).initialize().save(
        tmp_path / "net"
    )
    rng, colors = np.random.default_rng(0), np.array([[0, 0, 255], [0, 0, 128], [64, 64, 64], [0, 0, 0]], np.uint8)
    for name, pixels in (
        ("images", rng.integers(0, 256, (5, 8, 8, 3), np.uint8)),
        ("labels", colors[rng.integers(0, 4, (5, 8, 8))]),
    ):
        (tmp_path / name).mkdir()
        for number, each in enumerate(pixels):
            Image.fromarray(each).save(tmp_path / name / f"{number}.png")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    return tmp_path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["bridge", "train", *arguments])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


def test_it_trains(folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Oracle: the split, floor(0.6 * 5) = 3 images in one mini-batch of an epoch."""
    assert run(monkeypatch, str(folder / "recipe.toml"), "-o", str(folder / "out"), "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["iterations"] == 2 and "ValidationLoss" in facts["last"]
    assert (folder / "out" / "network.json").is_file() or (folder / "out" / "network" / "network.json").is_file()


def test_the_recipe_is_written_as_it_was_read(folder: Path) -> None:
    read = Recipe.load(folder / "recipe.toml")
    read.save(folder / "again.toml")
    assert Recipe.load(folder / "again.toml") == read


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("ignored = [[0, 0, 0]]\n", "", "values that are no class: (0, 0, 0)"),
        ('labels = "labels"\n', "", "label_values is"),
        ("split = [0.6]", "split = [3]", "validation images with label images"),
        ("road =", "rod =", "have the label 'rod'"),
        ('labels = "labels"', 'labels = "images"', "values that are no class"),
    ],
)
def test_mistakes_are_told(
    old: str, new: str, message: str, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "recipe.toml").write_text(RECIPE.replace(old, new))
    assert run(monkeypatch, str(folder / "recipe.toml"), "-o", str(folder / "out")) == 2
    assert message in capsys.readouterr().err
