"""bridge train, as its user meets it: recipes and data in files, what is printed where, what is written, exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import loadmat, savemat

import bridge
from bridge.parity.logs import check_log
from tests.data.test_observations import cells, write_images
from tests.shell import THREE_PARTS, Command, Ran
from tests.training import nets
from tests.training.test_loop import images

RECIPE = """
schema = "bridge.recipe/1"
[network]
file = "net"
[[edits]]
with_classes = "data"
[options]
solver = "sgdm"
InitialLearnRate = 0.001
MaxEpochs = 3
MiniBatchSize = 4
[data]
path = "images"
split = [0.75]
randomized = true
validate_each_epoch = true
[data.augmentation]
RandXReflection = true
[rng]
seed = 3
"""
PLAIN = 'schema = "bridge.recipe/1"\n[network]\nfile = "net"\n[options]\nsolver = "sgdm"\nMaxEpochs = 3\nMiniBatchSize = 4\nInitialLearnRate = 0.001\n'
CLASSES = ("dew", "fog", "hail", "rain")


class Shell:
    """Runs `bridge train` in a folder with a network, images of four new classes and a recipe."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.folder, self._command = folder, command
        nets.cnn().save(folder / "net")
        write_images(folder / "images", CLASSES)
        (folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
        (folder / "plain.toml").write_text(PLAIN, encoding="utf-8")

    def __call__(self, *arguments: str) -> Ran:
        return self._command("train", *arguments)


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, command)


def test_a_recipe_trains_from_its_own_data(shell: Shell) -> None:
    """12 of 16 images train (splitEachLabel(0.75)), in mini-batches of 4: 9 iterations in 3 epochs, validated every 3."""
    ran = shell("recipe.toml", "-o", "run")
    assert ran.code == 0 and re.fullmatch(
        r"Max epochs completed after 9 iterations; .*FinalValidationAccuracy .*\nsaved to run\n", ran.out
    )
    assert "|  Epoch  |" in ran.err and "Training finished: Max epochs completed." in ran.err
    assert {path.name for path in (shell.folder / "run").iterdir()} == {
        "network",
        "history.json",
        "info.mat",
        "checkpoint.safetensors",
        "recipe.toml",
        "run.json",
    }
    saved = loadmat("run/info.mat", squeeze_me=True)["info"]
    assert np.flatnonzero(~np.isnan(saved["ValidationLoss"].item())).tolist() == [0, 2, 5, 8]
    trained, before = bridge.load("run/network"), bridge.load("net")
    assert trained.classes == CLASSES and trained.head().layer.Weights.shape[0] == 4
    assert np.array_equal(trained.layers["conv1"].Weights, before.layers["conv1"].Weights)
    assert not np.array_equal(trained.layers["conv2"].Weights, before.layers["conv2"].Weights)


def test_json_holds_the_outcome(shell: Shell) -> None:
    ran = shell("recipe.toml", "-o", "run", "--json")
    facts = json.loads(ran.out)
    assert ran.code == 0 and facts["schema"] == "bridge.train/1"
    assert (
        facts["iterations"] == 9
        and facts["OutputNetworkIteration"] == 9
        and facts["StopReason"] == "Max epochs completed"
    )
    assert facts["last"]["Iteration"] == 9 and 0 <= facts["FinalValidationAccuracy"] <= 100 and facts["notes"]


def test_a_profile_is_used_and_named(shell: Shell) -> None:
    """The log of the run and the check of that log name the profile."""
    Path("profile.toml").write_text(
        'schema = "bridge.profile/1"\nname = "R2024b"\n[trainNetwork]\nl2_before_clipping = false\n', encoding="utf-8"
    )
    ran = shell("recipe.toml", "-o", "run", "--profile", "profile.toml", "--json")
    facts = json.loads(ran.out) if not ran.code else {}
    assert facts.get("profile") == "R2024b", ran.err
    assert "note: the profile R2024b has settled l2_before_clipping" in ran.err
    assert json.loads(Path("run/history.json").read_text(encoding="utf-8"))["profile"] == "R2024b"
    assert check_log("run", "run/info.mat").require().facts["training profile"] == "R2024b"
    assert shell("recipe.toml", "-o", "other", "--profile", "recipe.toml").code == 2


def test_going_on_and_starting_anew(shell: Shell) -> None:
    assert shell("recipe.toml", "-o", "run").code == 0
    first = (shell.folder / "run" / "network" / "model.safetensors").read_bytes()
    again = shell("recipe.toml", "-o", "run")
    assert again.code == 2 and "holds a training already" in again.err and "--resume" in again.err
    assert shell("recipe.toml", "-o", "run", "--resume").code == 0
    assert (shell.folder / "run" / "network" / "model.safetensors").read_bytes() == first
    assert shell("recipe.toml", "-o", "run", "--restart").code == 0
    assert (shell.folder / "run" / "network" / "model.safetensors").read_bytes() != first


def test_a_mat_file_and_an_order(shell: Shell) -> None:
    """Oracle: the untrained network in plain torch, on the four images that come first in the order; the file counts from 0."""
    pixels, names = images(8)
    savemat("data.mat", {"X": pixels.transpose(2, 3, 1, 0), "Y": cells(list(names))})
    (shell.folder / "order.txt").write_text("7 6 5 4 3 2 1 0\n", encoding="utf-8")
    assert shell("plain.toml", "--data", "data.mat", "-o", "one").code == 0
    assert shell("plain.toml", "--data", "data.mat", "-o", "two", "--order", "order.txt").code == 0
    one, two = (json.loads(Path(name, "history.json").read_text(encoding="utf-8"))["rows"] for name in ("one", "two"))
    assert len(one) == len(two) == 6 and one[0]["TrainingLoss"] != two[0]["TrainingLoss"]
    model = bridge.load("net").to_torch()
    model.input.mean.copy_(bridge.load("two/network").to_torch().input.mean)
    first = (
        torch.from_numpy(pixels[:3:-1].copy()).float(),
        torch.tensor([nets.CLASSES.index(name) for name in names[:3:-1]]),
    )
    expected = torch.nn.functional.nll_loss(model(first[0]).log(), first[1])
    assert two[0]["TrainingLoss"] == pytest.approx(expected.item(), rel=1e-5)
    assert shell("plain.toml", "--data", "data.mat", "-o", "three", "--order", "plain.toml").code == 2
    refused = shell("recipe.toml", "--data", "data.mat", "-o", "three")
    assert refused.code == 2 and "[data] has split and augmentation" in refused.err


def test_split_and_order_of_bridgeData(shell: Shell) -> None:
    """Oracle: the untrained network in plain torch, on the four training images of the first positions; the lines lie in another
    order, and every fourth image validates.
    """
    write_images(shell.folder / "own")
    files = [f"own/{name}/{index}.png" for index in range(4) for name in nets.CLASSES]
    positions = np.random.default_rng(0).permutation(len(files)) + 1
    lines = [
        f'"{file}","{file.split("/")[1]}",{"train" if at % 4 else "validation"},{position}'
        for at, (file, position) in enumerate(zip(files, positions, strict=True))
    ]
    Path("data.csv").write_text("path,label,split,position\n" + "\n".join(lines) + "\n", encoding="utf-8")
    Path("plain.toml").write_text(f'{PLAIN}Shuffle = "never"\n', encoding="utf-8")
    assert shell("plain.toml", "--data", "data.csv", "-o", "run").code == 0
    rows = json.loads(Path("run/history.json").read_text(encoding="utf-8"))["rows"]
    first = sorted(
        (position, file) for at, (position, file) in enumerate(zip(positions, files, strict=True)) if at % 4
    )[:4]
    pixels = np.stack([np.asarray(Image.open(file)) for _, file in first]).transpose(0, 3, 1, 2)
    model = bridge.load("net").to_torch()
    model.input.mean.copy_(bridge.load("run/network").to_torch().input.mean)
    labels = torch.tensor([nets.CLASSES.index(file.split("/")[1]) for _, file in first])
    expected = torch.nn.functional.nll_loss(model(torch.from_numpy(pixels.copy()).float()).log(), labels)
    assert len(rows) == 3 * 2 and rows[0]["TrainingLoss"] == pytest.approx(expected.item(), rel=1e-5)
    assert [row["Iteration"] for row in rows if "ValidationLoss" in row] == [1, 6]


def test_a_split_beside_validation_images(shell: Shell) -> None:
    """The first part trains, 12 of 16 images in mini-batches of 4; the other folder validates."""
    write_images(shell.folder / "others", CLASSES)
    text = RECIPE.replace("[data]\n", '[data]\nvalidation = "others"\n').replace("MaxEpochs = 3", "MaxEpochs = 1")
    Path("recipe.toml").write_text(text, encoding="utf-8")
    ran = shell("recipe.toml", "--data", "images", "-o", "run", "--json")
    assert ran.code == 0 and json.loads(ran.out)["iterations"] == 3


def test_the_images_left_for_testing_are_predicted(shell: Shell) -> None:
    """Half trains, a quarter validates, a quarter is left: one image of each class. Oracle: `bridge predict` on these."""
    from bridge.prediction import Predictor
    from bridge.recipes.preparation import test_images as left_for_testing

    text = RECIPE.replace("split = [0.75]", "split = [0.5, 0.25]")
    (shell.folder / "recipe.toml").write_text(text, encoding="utf-8")
    ran = shell("recipe.toml", "-o", "run", "--json")
    found = json.loads(ran.out)["test"]
    left = left_for_testing(bridge.Recipe.load("recipe.toml"))
    assert left is not None and left.Labels == CLASSES and found["observations"] == 4
    predictions = list(Predictor(bridge.load("run")).predict(left.Files))
    right = [each.found.facts()["label"] == true for each, true in zip(predictions, CLASSES, strict=True)]
    assert found["accuracy"] == sum(right) / 4
    assert "test images: accuracy" in shell("recipe.toml", "-o", "again").out
    (shell.folder / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    assert left_for_testing(bridge.Recipe.load("recipe.toml")) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plain.toml", "-o", "run"), "the recipe names no data"),
        (("squeezenet-transfer", "-o", "run", "--data", "images"), "squeezenet has random weights here"),
        (("plain.toml", "--data", "nowhere", "-o", "run"), "nowhere does not exist"),
        (("plain.toml", "--data", "images", "-o", "run"), "the network has no such class"),
        (("plain.tom", "--data", "images", "-o", "run"), "there is no recipe"),
        (("recipe.toml", "-o", "net"), "net holds other files"),
        (("recipe.toml", "-o", "recipe.toml"), "cannot make the folder"),
        (("recipe.toml", "-o", "run", "--cache-features"), "the images are changed at random in every epoch"),
        (("recipe.toml", "-o", "run", "--order", "missing.txt"), "cannot read the order"),
        (("recipe.toml", "-o", "run", "--resume", "--restart"), "--resume and --restart"),
        (("recipe.toml", "-o", "run", "--network", "missing.mat"), "missing.mat"),
        (
            ("googlenet-transfer", "-o", "run", "--network", "net", "--data", "images"),
            "the recipe is for another network",
        ),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_written(
    shell: Shell, arguments: tuple[str, ...], message: str
) -> None:
    ran = shell(*arguments)
    assert ran.code == 2 and message in ran.err
    assert THREE_PARTS.search(ran.err)
    assert not any((shell.folder / "run").glob("*"))


def test_the_head_of_any_classifier_is_retrained_by_a_recipe_that_ships(shell: Shell) -> None:
    """retrain-head: everything frozen but a new head; its features are computed once."""
    ran = shell("retrain-head", "--network", "net", "--data", "images", "-o", "run", "--json")
    assert ran.code == 0, ran.err
    assert any("computed once" in note for note in json.loads(ran.out)["notes"])
    trained, before = bridge.load("run/network"), bridge.load("net")
    assert all(np.array_equal(trained.layers[name].Weights, before.layers[name].Weights) for name in ("conv1", "conv2"))
