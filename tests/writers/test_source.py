"""net.py: a file that needs torch alone, computes what the module does bit for bit, and reads as a person would write it."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bridge
from bridge.arrays.lazy import Array
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Network
from bridge.options.options import training_options
from fixtures import mat, networks
from fixtures.layers import Net
from tests.modules.cases import CASES, Case, one_of_each, outputs
from tests.readers.test_structs import NETS
from tests.writers.test_matlab import with_own_layer
from tests.writers.test_onnx import renamed

ROOT = Path(__file__).parents[2]
FILES = ROOT / "fixtures" / "files"


def read(folder: Path, net: Net) -> Network:
    mat.write(folder / "read.mat", {"net": net})
    return bridge.load(folder / "read.mat")


def written(folder: Path, network: Network, name: str = "net") -> Path:
    bridge.export(network, folder / f"{name}.py", tell=lambda text: None)
    return folder / f"{name}.py"


def model_of(path: Path) -> tuple[torch.nn.Module, dict[str, Any]]:
    held = runpy.run_path(str(path))
    model = held["Network"]()
    held["load_weights"](model)
    return model.eval(), held


def require_bit_equal(path: Path, network: Network, inputs: tuple[torch.Tensor, ...]) -> None:
    with torch.no_grad():
        for ours, theirs in zip(outputs(network.to_torch(), inputs), outputs(model_of(path)[0], inputs), strict=True):
            np.testing.assert_array_equal(theirs.numpy(), ours.numpy(), strict=True)


EVERY = [
    pytest.param(case, id=case.name, marks=[] if case.name in one_of_each() else pytest.mark.slow)
    for case in CASES.values()
]


@pytest.mark.parametrize("case", EVERY)
def test_every_layer_is_bit_equal(case: Case, tmp_path: Path) -> None:
    """Oracle: the module, which tests/modules holds against MATLAB's formulas."""
    network = read(tmp_path, case.net)
    require_bit_equal(written(tmp_path, network), network, case.inputs(network.inputs))


@pytest.mark.parametrize("make", NETS, ids=[make.__name__ for make in NETS])
def test_networks_are_bit_equal(make: Callable[[], Net], tmp_path: Path) -> None:
    """Also in training mode, where batch normalisation and dropout do what the module's do."""
    network = read(tmp_path, make())
    inputs = tuple(torch.from_numpy(each).repeat(2, *(1,) * (each.ndim - 1)) for each in observations(network))
    path = written(tmp_path, network)
    require_bit_equal(path, network, inputs)
    found = []
    for model in (network.to_torch(), model_of(path)[0]):
        torch.manual_seed(0)
        model.train()
        found.append(outputs(model, inputs))
    for ours, theirs in zip(*found, strict=True):
        assert torch.equal(ours, theirs)


def observations(network: Network) -> list[Any]:
    from bridge.writers.trial import observations

    return list(observations(network))


def test_the_source_reads_well(tmp_path: Path) -> None:
    """What a person would write for a chain: the class, in full."""
    text = written(tmp_path, bridge.load(FILES / "signs.mat")).read_text()
    assert text[text.index("class Network") : text.index("def load_weights")] == CLASS
    assert 'CLASSES: tuple[str, ...] = ("blue", "green", "red", "white", "yellow")\n' in text
    assert (
        '    (10.0, 1.0): ["fc.weight"],\n' in text and 'FROZEN: list[str] = ["conv_1.weight", "conv_1.bias"]\n' in text
    )


CLASS = """class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.imageinput_mean = nn.Buffer(torch.zeros(3, 1, 1))
        self.conv_1 = nn.Conv2d(3, 8, 3, padding=1)
        self.batchnorm_1 = nn.BatchNorm2d(8)
        self.relu_1 = nn.ReLU()
        self.maxpool_1 = nn.MaxPool2d(2, stride=2)
        self.conv_2 = nn.Conv2d(8, 16, 3, padding=1)
        self.batchnorm_2 = nn.BatchNorm2d(16)
        self.relu_2 = nn.ReLU()
        self.maxpool_2 = nn.MaxPool2d(2, stride=2)
        self.fc = nn.Linear(1024, 5)
        self.softmax = nn.Softmax(dim=1)

    def forward(self, x: Tensor) -> Tensor:
        x = x - self.imageinput_mean  # imageinput
        x = self.conv_1(x)
        x = self.batchnorm_1(x)
        x = self.relu_1(x)
        x = self.maxpool_1(x)
        x = self.conv_2(x)
        x = self.batchnorm_2(x)
        x = self.relu_2(x)
        x = self.maxpool_2(x)
        x = self.fc(x.flatten(1))
        x = self.softmax(x)
        return x


"""


def test_ruff_passes(tmp_path: Path) -> None:
    """With its own defaults and with this project's rules: every layer class and network."""
    for name, case in one_of_each().items():
        written(tmp_path, read(tmp_path, case.net), name.replace("-", "_"))
    for make in NETS:
        written(tmp_path, read(tmp_path, make()), make.__name__)
    for command in (["ruff", "check", "--isolated"], ["ruff", "check", "--config", str(ROOT / "pyproject.toml")]):
        done = subprocess.run(
            [sys.executable, "-m", *command, "."], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout


@pytest.mark.slow
def test_mypy_passes(tmp_path: Path) -> None:
    """Strict, as this project: torch has functions without types, which may be called."""
    test_ruff_passes(tmp_path)
    files = sorted(map(str, tmp_path.glob("*.py")))
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        str(ROOT / "pyproject.toml"),
        "--cache-dir",
        str(ROOT / ".mypy_cache"),
        *files,
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_it_needs_torch_alone(tmp_path: Path) -> None:
    """Run where neither bridge nor numpy, safetensors or onnx can be imported."""
    network = bridge.load(FILES / "segnet.mat")
    path = written(tmp_path, network)
    imported = {
        each.name
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import)
        for each in node.names
    }
    imported |= {node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)}
    assert imported <= {
        "__future__",
        "collections.abc",
        "hashlib",
        "json",
        "math",
        "os",
        "pathlib",
        "torch",
        "torch.nn",
        "typing",
    }
    (inputs,) = observations(network)
    torch.save(
        {"x": torch.from_numpy(inputs), "y": network.to_torch()(torch.from_numpy(inputs)).detach()},
        tmp_path / "values.pt",
    )
    code = """
import sys, importlib.abc
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("bridge", "safetensors", "onnx", "scipy"):
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import torch
from net import Network, load_weights
torch.set_num_threads(1)
values = torch.load("values.pt", weights_only=True)
model = Network()
load_weights(model)
print(torch.equal(model.eval()(values["x"]), values["y"]))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "True\n", done.stderr


def test_names_are_identifiers_with_the_map_beside(tmp_path: Path) -> None:
    names = {
        "conv_1": "a-b",
        "relu_1": "a_b",
        "conv_2": "1st",
        "maxpool_2": "forward",
        "fc": "x",
        "softmax": "class",
        "relu_2": "torch",
        "batchnorm_2": "float",
        "imageinput": 'in "quoted"\\',
        "maxpool_1": "self",
    }
    network = renamed(bridge.load(FILES / "signs.mat"), names)
    path = written(tmp_path, network)
    model, held = model_of(path)
    assert held["LAYERS"] == {"a_b_": "a-b", "layer_1st": "1st", "forward_": "forward", "x_": "x", "class_": "class", "torch_": "torch", "float_": "float", "self_": "self",
                              "in__quoted__": 'in "quoted"\\'}  # fmt: skip
    assert set(dict(model.named_children())) == {
        "a_b",
        "batchnorm_1",
        "a_b_",
        "self_",
        "layer_1st",
        "float_",
        "torch_",
        "forward_",
        "x_",
        "class_",
    }
    require_bit_equal(path, network, tuple(map(torch.from_numpy, observations(network))))


HOSTILE = (
    "\\\"+str(__import__('os').system('touch injected')),#",
    "\n__import__('os').system('touch injected')\n#",
    '"""+__import__("os").system("touch injected")+"""',
    "{__import__('os').system('touch injected')}",
    "\\N{BULLET}\\",
)


def calls(text: str) -> set[str]:
    """Return what a source calls, the modules of layers as one."""
    called = (ast.unparse(node.func) for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    return {re.sub(r"self\.\w+", "self.layer", each) for each in called}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_and_classes_stay_text(hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Oracle: the same network with plain names calls the same functions, and what is run reads the names back equal."""
    monkeypatch.chdir(tmp_path)
    plain = bridge.load(FILES / "signs.mat")
    classes = tuple(f"{hostile}{index}" for index in range(5))
    network = renamed(replace(plain, classes=classes), {"conv_1": hostile, "fc": f"{hostile} "})
    path = written(tmp_path, network)
    assert calls(path.read_text()) == calls(written(tmp_path, plain, "plain").read_text())
    _, held = model_of(path)
    assert held["CLASSES"] == classes and set(held["LAYERS"].values()) == {hostile, f"{hostile} "}
    assert not (tmp_path / "injected").exists()


def test_a_port_is_no_source(tmp_path: Path) -> None:
    """Ports of pooling with indices become names of values, beside a layer that has such a name already."""
    network = bridge.load(FILES / "segnet.mat")
    pool = next(layer.name for layer in network.layers if len(layer.outputs) > 1)
    other = next(layer.name for layer in network.layers if layer.kind == "ReLULayer")
    port = network.layers[pool].outputs[1]
    network = renamed(network, {other: f"{pool}_{port}"})
    require_bit_equal(written(tmp_path, network), network, tuple(map(torch.from_numpy, observations(network))))


def test_names_that_python_would_change_in_a_class(tmp_path: Path) -> None:
    """Alone, as "__x" becomes "_Network__x", and with what an input layer adds: "_" becomes "__mean"."""
    names = {
        "imageinput": "_",
        "conv_1": "__x",
        "relu_1": "<b>b",
        "batchnorm_1": "../../x",
        "conv_2": "__init__",
        "fc": "_y",
    }
    network = renamed(bridge.load(FILES / "signs.mat"), names)
    path = written(tmp_path, network)
    model, held = model_of(path)
    assert held["LAYERS"] == {
        "layer__": "_",
        "layer___x": "__x",
        "_b_b": "<b>b",
        "layer_______x": "../../x",
        "layer___init__": "__init__",
    }
    assert not any(name.startswith("_Network") for name, _ in model.named_children())
    require_bit_equal(path, network, tuple(map(torch.from_numpy, observations(network))))


@pytest.mark.parametrize("length", [60, 84, 85, 100, 300])
def test_long_names(length: int, tmp_path: Path) -> None:
    """Lines are broken within brackets; a call without arguments stays whole."""
    network = bridge.load(FILES / "signs.mat")
    network = renamed(network, {layer.name: f"{layer.name}_".ljust(length, "a") for layer in network.layers})
    require_bit_equal(written(tmp_path, network), network, tuple(map(torch.from_numpy, observations(network))))


@pytest.mark.parametrize("make", [networks.residual, networks.lstm_classifier])
def test_the_groups_are_those_of_param_groups(make: Callable[[], Net], tmp_path: Path) -> None:
    """Oracle: `bridge.param_groups` of the module, by rate and decay."""
    network = read(tmp_path, make()).freeze("fc")
    layer, name, _ = next(network.learnables())
    network = network.set_l2_factor(layer.name, name, 3)
    model, held = model_of(written(tmp_path, network))
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    ours = {
        (group["lr"], group["weight_decay"]): {names[id(each)] for each in group["params"]}
        for group in held["param_groups"](model, 0.1, 0.01)
    }
    options = training_options("sgdm", InitialLearnRate=0.1, L2Regularization=0.01)
    theirs = {
        (group["lr"], group["weight_decay"]): set(group["param_names"])
        for group in bridge.param_groups(network.to_torch(), options)
    }
    assert ours == theirs
    assert {name for name, each in model.named_parameters() if not each.requires_grad} == set(held["FROZEN"])


def test_losses_are_told_first_and_refused_if_strict(tmp_path: Path) -> None:
    network = replace(bridge.load(FILES / "signs.mat"), training_info={"TrainingLoss": (1.0,)})
    with pytest.raises(UnsupportedError, match="its output layers: classoutput"):
        bridge.export(network, tmp_path / "net.py", strict=True)
    assert not list(tmp_path.iterdir())
    lines: list[str] = []
    done = bridge.export(network, tmp_path / "net.py", tell=lines.append)
    assert (
        [line.removeprefix("lost: ") for line in lines]
        == list(done.losses)
        == ["its output layers: classoutput (ClassificationOutputLayer)", "its training log"]
    )
    by_gate = read(tmp_path, CASES["lstm_gate_factors"].net)
    assert bridge.export(by_gate, tmp_path / "gates.py", tell=lines.append).losses == (
        "the factors of single gates, of which the first counts for all: r/InputWeights, r/Bias",
    )


def test_strict_writes_what_loses_nothing(tmp_path: Path) -> None:
    bridge.export(read(tmp_path, CASES["conv2d"].net), tmp_path / "net.py", strict=True)
    assert (tmp_path / "net.py").exists()


def test_nan_is_kept_and_noted(tmp_path: Path) -> None:
    network = bridge.load(FILES / "signs.mat")
    layer = network.layers["fc"]
    weights = np.array(layer.Weights)
    weights[0, 0] = np.nan
    broken = network.with_layers(
        {
            "fc": replace(
                layer,
                learnables={
                    **layer.learnables,
                    "Weights": replace(layer.learnables["Weights"], array=Array.of(weights)),
                },
            )
        }
    )
    assert bridge.export(broken, tmp_path / "net.py", tell=lambda text: None).notes == ("NaN is kept in fc.weight",)


def test_foreign_and_own_layers_are_refused_together(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError, match="is a"):
        bridge.export(with_own_layer(tmp_path), tmp_path / "net.py")
    assert not (tmp_path / "net.py").exists()


def test_either_existing_file_is_kept(tmp_path: Path) -> None:
    (tmp_path / "net.safetensors").write_text("mine")
    with pytest.raises(UsageError, match=r"net\.safetensors exists"):
        bridge.export(bridge.load(FILES / "signs.mat"), tmp_path / "net.py")
    assert [each.name for each in tmp_path.iterdir()] == ["net.safetensors"] and (
        tmp_path / "net.safetensors"
    ).read_text() == "mine"


def test_text_of_a_file_is_never_code(tmp_path: Path) -> None:
    """Names, classes and paths may hold anything; none of it leaves its literal, comment or docstring."""
    evil = "x\"\"\"'''\n\r\u2028import os; raise SystemExit('run')\\"
    network = renamed(bridge.load(FILES / "signs.mat"), {"imageinput": evil, "conv_1": f"{evil}2"})
    network = replace(
        network,
        classes=(evil, *(network.classes or ())[1:]),
        source=replace(network.source, path=evil, producer=evil, release=evil),
    )
    path = tmp_path / 'quo"ted.py'
    bridge.export(network, path, tell=lambda text: None)
    model, held = model_of(path)
    assert held["CLASSES"][0] == evil and evil in held["LAYERS"].values()
    assert len(dict(model.named_children())) == 10
