"""Where a script's random numbers begin: its rng, what it draws before the training, and why that is not known.

Oracle: the doubles counted by hand, as MATLAB's functions draw them.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.random import MatlabStream
from bridge.recipes.parts import Rng
from bridge.recipes.recipe import Recipe
from bridge.scripts import Reading, read

IMAGES = "imds = imageDatastore('images','IncludeSubfolders',true,'LabelSource','foldernames');\n"
SPLIT = "[a,b] = splitEachLabel(imds,0.7,'randomized');\n"
LAYERS = "layers = [imageInputLayer([8 8 3]); fullyConnectedLayer(3); softmaxLayer];\n"
OPTIONS = "options = trainingOptions('sgdm');\n"
TRAIN = "net = trainNetwork({},[layers; classificationLayer],options);\n"
TRAINNET = "net = trainnet(a,net,'crossentropy',options);\n"


def reading(folder: Path, *lines: str) -> Reading:
    path = folder / "script.m"
    path.write_text("\n".join(lines), encoding="utf-8")
    return read(path)


def after_normals(count: int) -> int:
    """How many doubles of rng(0) so many normal numbers draw; tests/random holds the stream to MATLAB's."""
    stream = MatlabStream(0)
    stream.randn(count, 1)
    return stream.position


def said(found: Reading) -> str:
    return "\n".join(entry.what for entry in (*found.facts, *found.reports) if "r" in entry.what)


@pytest.mark.parametrize(
    ("seeding", "rng"),
    [
        ("rng(0)", Rng()),
        ("rng default", Rng()),
        ("rng('default')", Rng()),
        ("rng(42,'twister')", Rng(42)),
        ("rng(7);", Rng(7)),
        ("seed = 3; rng(seed)", Rng(3)),
        ("rng(1); x = rand(100,3);", Rng(1, 300)),
        ("rng(1); x = randi(10,1,5); k = randperm(20);", Rng(1, 25)),
        ("rng(1); k = randperm(20,4);", Rng(1, 4)),
        ("rng(1); x = rand(2,3,4);", Rng(1, 24)),
        ("rng(1); x = rand(3); rng(2); y = rand;", Rng(2, 1)),
        ("s = rng(4); x = rand(5); rng(s); y = rand(1,2);", Rng(0, 2)),
        ("rng(0); x = randn(84,2);", Rng(0, after_normals(168))),
    ],
)
def test_the_seed_and_what_was_drawn_before(seeding: str, rng: Rng, tmp_path: Path) -> None:
    found = reading(tmp_path, seeding, IMAGES, LAYERS, OPTIONS, TRAIN.format("imds"))
    assert found.recipe is not None
    assert found.recipe.rng == rng
    assert f"random numbers of rng({rng.seed})" in said(found) or "fresh session" in said(found)
    assert Recipe.load(found.save(tmp_path / "recipe.toml")).rng == rng


def test_what_is_drawn_becomes_a_value(tmp_path: Path) -> None:
    """MATLAB prints rng(0); randi(10,1,5) as 9 10 2 10 7."""
    found = reading(
        tmp_path, "rng(0); n = randi(10,1,5);", IMAGES, LAYERS, "options = trainingOptions('sgdm','MaxEpochs',n(3));", TRAIN.format("imds")
    )  # fmt: skip
    assert found.recipe is not None and found.recipe.options.MaxEpochs == 2 and found.recipe.rng == Rng(0, 5)


def test_a_script_without_rng_is_a_fresh_session(tmp_path: Path) -> None:
    found = reading(tmp_path, "x = rand(1,9);", IMAGES, LAYERS, OPTIONS, TRAIN.format("imds"))
    assert found.recipe is not None and found.recipe.rng == Rng(0, 9)
    assert "no rng: a fresh session is assumed, rng(0) after 9 doubles" in said(found)


@pytest.mark.parametrize(
    ("lines", "rng"),
    [
        (("rng(1); x = rand(1,4);", IMAGES, SPLIT, LAYERS, OPTIONS, TRAIN.format("a")), Rng(1, 4)),
        (("rng(1);", IMAGES, SPLIT, LAYERS, OPTIONS, "net = dlnetwork(layers);", TRAINNET), Rng(1)),
        (("rng(1);", IMAGES, "a = imds;", LAYERS, OPTIONS, "x = rand; net = dlnetwork(layers);", TRAINNET), Rng(1, 1)),
        (("rng(1);", IMAGES, "a = imds;", LAYERS, OPTIONS, "net = dlnetwork(layers,Initialize=false); net = initialize(net);", TRAINNET), Rng(1)),
        (("rng(1);", IMAGES, "[a,b] = splitEachLabel(imds,0.7); x = rand;", LAYERS, OPTIONS, TRAIN.format("a")), Rng(1, 1)),
    ],
)  # fmt: skip
def test_splits_and_initial_values_are_drawn_by_the_recipe(lines: tuple[str, ...], rng: Rng, tmp_path: Path) -> None:
    found = reading(tmp_path, *lines)
    assert found.recipe is not None and found.recipe.rng == rng
    assert "not reproducible" not in said(found)


@pytest.mark.parametrize(
    ("lines", "why"),
    [
        (("rng('shuffle')", IMAGES, "a = imds;", LAYERS), "it takes its seed from the clock"),
        (("rng(1,'philox')", IMAGES, "a = imds;", LAYERS), "'philox' are not known"),
        (("rng(datenum(x))", IMAGES, "a = imds;", LAYERS), "the seed of rng(datenum(x)) is not known"),
        (("rng(1); x = rand(n);", IMAGES, "a = imds;", LAYERS), "how much rand(n)"),
        (("rng(1); k = randperm(4,4);", IMAGES, "a = imds;", LAYERS), "how much randperm(4,4)"),
        (("rng(1); c = cvpartition(y,'HoldOut',0.2);", IMAGES, "a = imds;", LAYERS), "cvpartition"),
        (("rng(1); x = rand(3,'single');", IMAGES, "a = imds;", LAYERS), "how much rand(3,'single')"),
        (("rng(1)", IMAGES, SPLIT, "x = rand;", LAYERS), "draws after what draws as much as the data tell"),
        (("rng(1)", IMAGES, SPLIT, "rng(1);", LAYERS), "rng, or something that draws, stands between"),
        (("rng(1)", IMAGES, SPLIT, "a = imds;", LAYERS), "a split or a network that it does not train draws before it"),
    ],
)
def test_what_cannot_be_reproduced_is_told(lines: tuple[str, ...], why: str, tmp_path: Path) -> None:
    found = reading(tmp_path, *lines, OPTIONS, TRAIN.format("a"))
    assert found.recipe is not None and found.recipe.rng == Rng()
    assert f"not reproducible: its random numbers are not MATLAB's: {why}" in said(found) or why in said(found)


def test_a_network_that_is_changed_after_its_values_were_drawn(tmp_path: Path) -> None:
    end = "net = replaceLayer(net,'fc',fullyConnectedLayer(3,Name='new'));"
    found = reading(tmp_path, "rng(1)", IMAGES, "a = imds;", LAYERS, OPTIONS, "net = dlnetwork(layers);", end, TRAINNET)
    assert "layers are changed after the network was initialised" in said(found)
    found = reading(tmp_path, "rng(1)", IMAGES, LAYERS, OPTIONS, "net = dlnetwork(layers);", SPLIT, TRAINNET)
    assert "not reproducible" in said(found)


def test_a_second_training_begins_where_nobody_knows(tmp_path: Path) -> None:
    text = ("rng(1)", IMAGES, LAYERS, OPTIONS, TRAIN.format("imds"), "options.MaxEpochs = 2;", TRAIN.format("imds"))
    found = reading(tmp_path, *text)
    assert found.count == 2 and "how much the training of line" in said(found)
