"""What is written of hostile texts reads back equal, and what is source does nothing that plain texts do not."""

from __future__ import annotations

import json
import re
import runpy
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch

import bridge
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Network
from bridge.options.options import TRAINERS, training_options
from bridge.parity.calibration import Answer, Calibration
from bridge.recipes.parts import Base, Data, Loss, Rng
from bridge.recipes.recipe import Recipe
from bridge.recipes.verbs import Edit
from bridge.writers.folder import to_json
from bridge.writers.matlab import matlab_names
from tests.hostile.texts import HOSTILE, NETWORKS, PLAIN, filled, signs
from tests.writers.test_source import calls

EVERY = pytest.mark.parametrize("text", HOSTILE.values(), ids=[*HOSTILE])
MAKERS = pytest.mark.parametrize("make", NETWORKS)


def export(network: Network, path: Path) -> Path:
    bridge.export(network, path, force=True, tell=lambda text: None)
    return path


def is_text(text: str) -> bool:
    """Whether UTF-8 can hold it: half of a character it cannot."""
    return text.encode(errors="replace").decode() == text


def is_source(text: str) -> bool:
    """Whether a terminal shows it as it is."""
    return all(letter.isprintable() or letter == "\n" for letter in text)


def readable(network: Network) -> dict[str, Any]:
    """Return all that is known of a network, but for what tells of its file."""
    return {name: value for name, value in to_json(network).items() if name not in ("source", "bridge")}


@EVERY
@MAKERS
def test_python(make: Callable[[], Network], text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracles: the source of the network with plain texts; the module of the network, bit for bit."""
    monkeypatch.chdir(tmp_path)
    network = filled(make(), text)
    path, plain = export(network, tmp_path / "net.py"), export(filled(make(), PLAIN), tmp_path / "plain.py")
    source = path.read_text(encoding="utf-8")
    assert calls(source) == calls(plain.read_text(encoding="utf-8")) and is_source(source)
    held = runpy.run_path(str(path))
    assert held["CLASSES"] == (network.classes or ())
    outputs = {layer.name for layer in network.layers if layer.row.is_output}
    assert {*held["LAYERS"].values()} <= {layer.name for layer in network.layers} - outputs
    model = held["Network"]()
    held["load_weights"](model)
    size = network.sizes[network.inputs[0]][0]
    x = torch.zeros(1, size.channels or 1, *(n or 1 for n in size.spatial))
    assert torch.equal(model.eval()(x), network.to_torch()(x))
    assert {each.suffix for each in tmp_path.iterdir()} <= {".py", ".safetensors"}


@EVERY
@MAKERS
def test_folder(make: Callable[[], Network], text: str, tmp_path: Path) -> None:
    network = filled(make(), text)
    if not is_text(text):
        with pytest.raises(UnsupportedError, match="half of a character"):
            network.save(tmp_path / "net")
        return
    network.save(tmp_path / "net")
    assert readable(bridge.load(tmp_path / "net")) == readable(network)
    assert [each.name for each in tmp_path.iterdir()] == ["net"]


@EVERY
def test_onnx(text: str, tmp_path: Path) -> None:
    """All of it lies in the metadata; the graph's own names are plain."""
    network = filled(signs(), text)
    path = export(network, tmp_path / "net.onnx")
    nodes = onnx.load(path).graph.node
    names = {name for node in nodes for name in (node.name, *node.input, *node.output)}
    assert all(re.fullmatch(r"\w+", name, re.ASCII) for name in names)
    assert readable(bridge.load(path)) == readable(network)


@EVERY
def test_program(text: str, tmp_path: Path) -> None:
    """Oracle: torch, which reads names and code from the file."""
    network = filled(signs(), text)
    extra = {"network.json": ""}
    program = torch.export.load(export(network, tmp_path / "net.pt2"), extra_files=extra)
    assert json.loads(extra["network.json"])["classes"] == list(network.classes or ())
    x = torch.zeros(1, 3, 32, 32)
    assert torch.allclose(program.module()(x), network.to_torch()(x), atol=1e-6)  # sums in another order


@EVERY
@MAKERS
def test_structs(make: Callable[[], Network], text: str, tmp_path: Path) -> None:
    """A name that MATLAB refuses comes back under the other one that is told; half of a character as U+FFFD."""
    network = replace(filled(make(), text), kind="DAGNetwork")
    back = bridge.load(export(network, tmp_path / "net.mat"))
    renamed = matlab_names(network)
    names = [renamed.get(layer.name, layer.name) for layer in network.layers]
    assert [layer.name for layer in back.layers] == [whole(name) for name in names]
    assert back.classes == (network.classes and tuple(map(whole, network.classes)))


def whole(text: str) -> str:
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# Recipes and profiles


def recipe(text: str, folder: Path) -> Recipe:
    """A recipe with a text in every place for one."""
    new = {"layer": "fullyConnectedLayer", "OutputSize": 5, "Name": text}
    edits = (
        Edit("freeze", f"{text}0"),
        Edit("freeze", [f"{text}1", f"{text}2"]),
        Edit("set_learn_rate_factor", f"{text}1/Weights", {"factor": 0.5}),
        Edit("replace", f"{text}9", {"layers": new}),
        Edit("with_classes", [f"{text}{index}" for index in range(5)], {"name": f"{text} new"}),
    )
    base = Base(file="net", classes=tuple(f"{text}c{index}" for index in range(5)), layers=(f"{text}0",))
    options = training_options("adam", Verbose=False, MaxEpochs=2, CheckpointPath=text)
    data = Data(path=text, validation=text, labels=text, label_values={text: 1, f"{text}2": [1, 2, 3]}, ignored=text)
    return Recipe(base, options, edits, Loss("crossentropy"), data, Rng(3), text, folder)


@EVERY
def test_recipe(text: str, tmp_path: Path) -> None:
    """Oracle: tomllib; comments of hostile texts beside the entries change nothing."""
    made = recipe(text, tmp_path)
    if not is_text(text):
        with pytest.raises(UsageError, match="half a character"):
            made.to_toml()
        return
    comments: dict[Any, str] = {("edits", 0): text, ("options", "MaxEpochs"): text, ("data", "path"): text}
    assert tomllib.loads(made.to_toml(comments)) == made.to_mapping()
    assert Recipe.load(made.save(tmp_path / "recipe.toml", comments=comments)) == made


@EVERY
def test_recipe_as_python(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the recipe itself; what runs calls what the source of a plain recipe calls."""
    monkeypatch.chdir(tmp_path)
    made = recipe(text, tmp_path)
    source = made.python()
    assert calls(source) == calls(recipe(PLAIN, tmp_path).python()) and is_source(source)
    if not is_text(text):
        return  # a network with such names cannot be saved
    replace(filled(signs(), text), classes=None).save(tmp_path / "net")
    held: dict[str, Any] = {}
    exec(source, held)
    assert (held["options"], held["loss"], held["data"], held["rng"].seed) == (made.options, made.loss, made.data, 3)
    assert readable(held["net"]) == readable(made.network())
    assert [each.name for each in tmp_path.iterdir()] == ["net"]


@EVERY
def test_profile(text: str) -> None:
    """A probe of a release that calls itself anything."""
    answers = tuple(Answer("adam_epsilon", (trainer,), "A", text, text) for trainer in TRAINERS)
    made = Calibration(text, {"release": text, "environment": text}, answers, {text: text})
    if not is_text(text):
        with pytest.raises(UsageError, match="half a character"):
            made.to_toml()
        return
    read = tomllib.loads(made.to_toml())
    assert (read["name"], read["release"], read["environment"]) == (text, text, text)
    assert all(read[trainer] == {"adam_epsilon": "A"} for trainer in TRAINERS)
