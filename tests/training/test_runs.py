"""The folder of a run keeps all that is needed to go on with it, and is a network wherever one is named."""

from __future__ import annotations

import json
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import PIL
import pytest
import torch
from scipy.io import savemat

import bridge
from bridge.errors import UnreadableError, UsageError
from bridge.recipes.kept import started
from bridge.recipes.recipe import Recipe
from bridge.recipes.running import train as train_recipe
from tests.data.test_observations import cells, write_images
from tests.files.stopping import forks
from tests.shell import THREE_PARTS, Command, Ran
from tests.training import nets
from tests.training.test_checkpoint import interrupted
from tests.training.test_loop import images
from tests.training.test_train_command import CLASSES, PLAIN, RECIPE

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads((ROOT / "docs" / "run.schema.json").read_text(encoding="utf-8"))
Shell = Callable[..., Ran]


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Shell:
    """Runs `bridge` in a folder with a network, images of four new classes and recipes."""
    monkeypatch.chdir(tmp_path)
    nets.cnn().save(tmp_path / "net")
    write_images(tmp_path / "images", CLASSES)
    (tmp_path / "recipe.toml").write_text(RECIPE, encoding="utf-8")
    (tmp_path / "plain.toml").write_text(PLAIN, encoding="utf-8")
    return command


def weights(folder: str) -> bytes:
    return (Path(folder) / "network" / "model.safetensors").read_bytes()


def stopped(folder: str, after: int) -> None:
    """Make of a finished run what it was after an iteration: it goes on from there."""
    recipe, _ = started(folder)
    shutil.rmtree(folder)
    train_recipe(recipe.with_options(OutputFcn=lambda row: row["Iteration"] == after), output=folder)


def starts(folder: str) -> list[dict[str, Any]]:
    facts = json.loads((Path(folder) / "run.json").read_text(encoding="utf-8"))
    jsonschema.validate(facts, SCHEMA, jsonschema.Draft202012Validator)
    return facts["starts"]  # type: ignore[no-any-return]


# What is kept


def test_a_run_keeps_how_it_was_started(shell: Shell) -> None:
    assert shell("train", "recipe.toml", "-o", "run", "--set", "MaxEpochs=2").code == 0
    (start,) = starts("run")
    assert start["command"] == ["train", "recipe.toml", "-o", "run", "--set", "MaxEpochs=2"]
    assert start["versions"] | {"system": ""} == {
        "bridge": bridge.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
        "system": "",
    }
    assert (start["observations"], start["validation observations"], start["device"]) == (12, 4, "cpu")
    assert (start["resumes"], start["factors"], start["order"], start["cache_features"]) == (False, None, None, None)
    kept, given = Recipe.load("run/recipe.toml"), Recipe.load("recipe.toml")
    assert kept == given.with_options(MaxEpochs=2).absolute()
    assert kept.base.file == Path("net").absolute().as_posix() == start["network"]
    assert kept.data.path == Path("images").absolute().as_posix() == start["data"]


def test_what_was_given_beside_the_recipe_is_kept(shell: Shell) -> None:
    pixels, names = images(8)
    savemat("data.mat", {"X": pixels.transpose(2, 3, 1, 0), "Y": cells(list(names))})
    Path("order.txt").write_text("7 6 5 4 3 2 1 0\n", encoding="utf-8")
    nets.cnn(seed=1).save("other")
    ran = shell("train", "plain.toml", "--data", "data.mat", "--network", "other", "--order", "order.txt", "-o", "run")
    assert ran.code == 0, ran.err
    first = weights("run")
    kept = Recipe.load("run/recipe.toml")
    assert kept.base.file.endswith("/other") and kept.data.path.endswith("/data.mat")
    assert starts("run")[0]["order"] == Path("order.txt").absolute().as_posix()
    stopped_at = shell("train", "--restart", "run")
    assert stopped_at.code == 0 and weights("run") != first
    shutil.rmtree("run/network")
    shutil.copytree("run", "again")
    assert [each["resumes"] for each in starts("again")] == [False, True]


# Going on


def test_resume_and_the_folder_are_all_that_is_needed(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Oracle: the same run that nobody stopped. From another folder, twice."""
    assert shell("train", "recipe.toml", "-o", "whole").code == 0
    assert shell("train", "recipe.toml", "-o", "run").code == 0
    stopped("run", 4)
    assert weights("run") != weights("whole")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    for arguments in (("--resume", "../run"), ("../run", "--resume")):
        ran = shell("train", *arguments)
        assert ran.code == 0 and weights("../run") == weights("../whole"), ran.err
    assert [each["resumes"] for each in starts("../run")] == [False, True, True]


def test_going_on_in_python(shell: Shell) -> None:
    recipe = Recipe.load("recipe.toml")
    whole = train_recipe(recipe, output="whole")
    train_recipe(recipe.with_options(OutputFcn=lambda row: row["Iteration"] == 4), output="run")
    assert bridge.train("run", resume=True).iterations == whole.iterations and weights("run") == weights("whole")
    with pytest.raises(UsageError, match="nowhere holds no training"):
        bridge.train(recipe, output="nowhere", resume=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--resume", "empty"), "empty holds no training"),
        (("--resume", "net"), "net holds no training"),
        (("recipe.toml", "-o", "empty", "--resume"), "empty holds no training to go on with"),
        (("recipe.toml", "-o", "nowhere", "--resume"), "nowhere holds no training to go on with"),
        (("recipe.toml", "-o", "nowhere", "--restart"), "nowhere holds no training to go on with"),
        (("empty", "-o", "run"), "empty is a folder"),
        (("--resume", "run", "-o", "other"), "-o other beside the run run"),
        (("--resume", "--restart", "run"), "--resume and --restart"),
        (("--resume", "python"), "python keeps no recipe"),
        (("--resume", "damaged"), "run.json"),
        (("--resume", "moved"), "gone does not exist"),
    ],
)
def test_what_cannot_go_on_is_told(shell: Shell, arguments: tuple[str, ...], message: str) -> None:
    Path("empty").mkdir()
    interrupted(Path("python"), 4)
    for name in ("run", "damaged", "moved"):
        Path(name).mkdir()
        Recipe.load("recipe.toml").absolute().save(Path(name) / "recipe.toml")
        (Path(name) / "run.json").write_text('{"schema": "bridge.run/1", "starts": []}', encoding="utf-8")
    Path("damaged", "run.json").write_text("{", encoding="utf-8")
    text = Path("moved", "recipe.toml").read_text(encoding="utf-8")
    Path("moved", "recipe.toml").write_text(text.replace("/images", "/gone"), encoding="utf-8")
    before = sorted(Path().rglob("*"))
    ran = shell("train", *arguments)
    assert ran.code == 2 and message in ran.err and THREE_PARTS.search(ran.err), ran.err
    assert sorted(Path().rglob("*")) == before


@forks
def test_a_run_killed_before_its_first_checkpoint_begins_anew(shell: Shell) -> None:
    """It has a record and nothing else. Oracle: the run that nobody stopped."""
    assert shell("train", "recipe.toml", "-o", "whole").code == 0
    child = os.fork()
    if not child:
        train_recipe(Recipe.load("recipe.toml").with_options(OutputFcn=lambda row: os._exit(9)), output="run")
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert {path.name for path in Path("run").iterdir()} >= {"recipe.toml", "run.json"}
    ran = shell("train", "--resume", "run")
    assert ran.code == 0 and "holds no checkpoint yet" in ran.err and weights("run") == weights("whole")


# A run is a network


def test_a_run_is_named_where_a_network_is(shell: Shell) -> None:
    assert shell("train", "recipe.toml", "-o", "run").code == 0
    network, inner = bridge.load("run"), bridge.load("run/network")
    assert network.training_info is not None and inner.training_info is None
    assert network.classes == inner.classes and np.array_equal(
        network.layers["conv2"].Weights, inner.layers["conv2"].Weights
    )
    facts = json.loads(shell("inspect", "run", "--json").out)
    assert len(facts["layers"]) == len(network.layers) and facts["training_info"]
    picture = next(Path("images").rglob("*.png"))
    assert json.loads(shell("predict", "run", str(picture), "--json").out)["predictions"][0]["label"] in CLASSES
    assert shell("export", "run", "-o", "back.mat").code == 0 and shell("import", "run").code == 0
    assert shell("check", "run", "--against", "run/network").code == 0
    assert shell("recipe", "show", "run").code == 0
    assert (
        shell(
            "train", "retrain-head", "--network", "run", "--data", "images", "-o", "next", "--set", "MaxEpochs=1"
        ).code
        == 0
    )


def test_a_run_without_a_network_says_so(shell: Shell) -> None:
    Path("run").mkdir()
    Path("run", "run.json").write_text("{}", encoding="utf-8")
    ran = shell("inspect", "run")
    assert ran.code == 2 and "holds a training that has no network yet" in ran.err and "--resume run" in ran.err
    with pytest.raises(UnreadableError):
        bridge.load("run")


# Options from outside, and scripts


def test_options_are_set_from_outside(shell: Shell) -> None:
    ran = shell(
        "train",
        "recipe.toml",
        "-o",
        "run",
        "--set",
        "MaxEpochs=1",
        "--set",
        "InitialLearnRate=1e-4",
        "--set",
        "Shuffle=never",
        "--json",
    )
    assert ran.code == 0 and json.loads(ran.out)["iterations"] == 3
    options = Recipe.load("run/recipe.toml").options
    assert (options.MaxEpochs, options.InitialLearnRate, options.Shuffle) == (1, 1e-4, "never")
    shown = json.loads(
        shell(
            "recipe", "show", "recipe.toml", "--set", "GradientThreshold=inf", "--set", "L2Regularization=0", "--json"
        ).out
    )
    assert shown["recipe"]["options"]["L2Regularization"] == 0


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("MaxEpoch=3", "--set: "),
        ("MaxEpochs", "--set MaxEpochs sets nothing"),
        ("=3", "--set =3 sets nothing"),
        ("MaxEpochs=many", "--set: MaxEpochs"),
        ("MaxEpochs=", "--set: MaxEpochs"),
        ("MaxEpochs=" + "[" * 5000, "--set: MaxEpochs"),
    ],
)
def test_options_that_make_no_sense(shell: Shell, setting: str, message: str) -> None:
    ran = shell("train", "recipe.toml", "-o", "run", "--set", setting)
    assert ran.code == 2 and message in ran.err and THREE_PARTS.search(ran.err), ran.err
    assert not Path("run").exists()


def test_a_recipe_is_written_to_be_changed(shell: Shell) -> None:
    """One that ships, and one that names files: from its new place it names the same ones."""
    assert shell("recipe", "show", "retrain-head", "-o", "own.toml", "--set", "MaxEpochs=2").out.endswith(
        "wrote own.toml\n"
    )
    assert Recipe.load("own.toml") == Recipe.load("retrain-head").with_options(MaxEpochs=2)
    Path("deep").mkdir()
    assert shell("recipe", "show", "recipe.toml", "-o", "deep/own.toml", "--json").code == 0
    assert Recipe.load("deep/own.toml").absolute() == Recipe.load("recipe.toml").absolute()
    assert Recipe.load("deep/own.toml").data.path == "../images"
    refused = shell("recipe", "show", "retrain-head", "-o", "own.toml")
    assert refused.code == 2 and "own.toml exists" in refused.err
    assert shell("recipe", "show", "retrain-head", "-o", "own.toml", "--force").code == 0


SCRIPT = """
imds = imageDatastore('images', 'IncludeSubfolders', true, 'LabelSource', 'foldernames');
layers = [imageInputLayer([8 8 3], 'Normalization', 'none', 'Name', 'in')
    convolution2dLayer(3, 4, 'Name', 'conv')
    reluLayer('Name', 'relu')
    fullyConnectedLayer(4, 'Name', 'fc')
    softmaxLayer('Name', 'prob')
    classificationLayer('Name', 'out')];
options = trainingOptions('sgdm', 'MaxEpochs', 2, 'MiniBatchSize', 4, 'InitialLearnRate', 1e-3);
{more}
net = trainNetwork(imds, layers, options);
"""


def test_a_script_is_read_and_trained(shell: Shell) -> None:
    """As the recipe that `bridge recipe read` writes, to the same bits."""
    Path("train.m").write_text(SCRIPT.replace("{more}", ""), encoding="utf-8")
    ran = shell("train", "train.m", "-o", "run", "--set", "Verbose=false")
    assert ran.code == 0 and "facts in train.m" in ran.err, ran.err
    assert shell("recipe", "read", "train.m", "-o", "read.toml").code == 0
    assert shell("train", "read.toml", "-o", "other").code == 0
    assert weights("run") == weights("other")


def test_a_script_that_is_not_understood_is_not_trained(shell: Shell) -> None:
    Path("train.m").write_text(SCRIPT.replace("{more}", "options.MaxEpochs = myOwnChoice(imds);"), encoding="utf-8")
    ran = shell("train", "train.m", "-o", "run")
    assert ran.code == 3 and "not understood" in ran.err and "line 10" in ran.err and not Path("run").exists(), ran.err
    assert "bridge recipe read train.m" in ran.err


def test_the_device_is_told(shell: Shell) -> None:
    ran = shell("train", "recipe.toml", "-o", "run", "--device", "cpu")
    assert ran.code == 0 and ran.err.startswith(f"training on CPU, {torch.get_num_threads()} thread")
    assert shell("train", "recipe.toml", "-o", "other", "--device", "gpu").code == 2
