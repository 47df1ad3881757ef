"""net.pt2 and net.safetensors: what torch and safetensors read back, without bridge."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import nn

import bridge
from bridge.arrays.lazy import Array
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Layer, Network
from bridge.writers import program
from fixtures import mat
from fixtures.layers import Net
from tests.modules.cases import CASES, Case, one_of_each, outputs
from tests.writers.test_matlab import with_own_layer

FILES = Path(__file__).parents[2] / "fixtures" / "files"


def read(folder: Path, net: Net) -> Network:
    mat.write(folder / "read.mat", {"net": net})
    return bridge.load(folder / "read.mat")


# .pt2


CHOSEN = (
    "conv2d_same_strided",
    "fc_image",
    "conv1d",
    "conv1d_same_strided",
    "unpooling",
    "lstm_last",
    "words",
    "folding",
)


@pytest.mark.parametrize("case", [CASES[name] for name in CHOSEN], ids=CHOSEN)
def test_a_program_runs_with_any_batch(case: Case, tmp_path: Path) -> None:
    """Oracle: the module itself. tests/modules/test_export.py exports every layer class."""
    network = read(tmp_path, case.net)
    steps = next((x.shape[1] for x in case.inputs(network.inputs) if x.dim() == 3), 5)
    written = bridge.export(network, tmp_path / "net.pt2", steps=steps, tell=lambda text: None)
    loaded = torch.export.load(tmp_path / "net.pt2").module()
    for inputs in (
        case.inputs(network.inputs),
        tuple(torch.cat([x, x.flip(0), x[:1]]) for x in case.inputs(network.inputs)),
    ):
        with torch.no_grad():
            for ours, theirs in zip(outputs(network.to_torch(), inputs), outputs(loaded, inputs), strict=True):
                torch.testing.assert_close(theirs, ours, rtol=1e-5, atol=1e-6)
    fixed = [loss for loss in written.losses if "sequences of any length" in loss]
    assert bool(fixed) == any(name in case.name for name in ("lstm", "gru", "folding"))


@pytest.mark.parametrize("steps", [-1, 0, program.LONGEST + 1, 10**14])
def test_the_length_of_sequences_is_bounded(steps: int, tmp_path: Path) -> None:
    network = read(tmp_path, CASES["lstm_last"].net)
    with pytest.raises(UsageError, match=r"1 to 10,000"):
        bridge.export(network, tmp_path / "net.pt2", steps=steps)


def test_torch_warns_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its logger writes to stderr of streams that it takes for no files."""
    monkeypatch.setattr(logging.getLogger("torch.export.pt2_archive._package"), "warning", pytest.fail)
    bridge.export(bridge.load(FILES / "signs.mat"), tmp_path / "net.pt2")


def test_the_length_of_sequences_is_free_where_it_can_be(tmp_path: Path) -> None:
    network = read(tmp_path, CASES["conv1d"].net)
    bridge.export(network, tmp_path / "net.pt2", strict=True)
    loaded = torch.export.load(tmp_path / "net.pt2").module()
    x = torch.randn(3, 19, 4)
    torch.testing.assert_close(loaded(x), network.to_torch()(x))


def test_the_size_of_images_is_free_where_the_file_leaves_it_free(tmp_path: Path) -> None:
    """Oracle: the module itself, at a size that the program was not made with."""
    weights = onnx.numpy_helper.from_array(np.ones((2, 3, 3, 3), np.float32), "w")
    value = onnx.helper.make_tensor_value_info
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])], "g",
        [value("x", 1, ["N", 3, "H", "W"])], [value("y", 1, ["N", 2, "H", "W"])], [weights],
    )  # fmt: skip
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 14)], ir_version=8),
        tmp_path / "free.onnx",
    )
    network = bridge.load(tmp_path / "free.onnx")
    bridge.export(network, tmp_path / "net.pt2", strict=True)
    x = torch.rand(3, 3, 11, 20)
    torch.testing.assert_close(torch.export.load(tmp_path / "net.pt2").module()(x), network.to_torch()(x))


def test_what_torch_export_refuses_is_told(tmp_path: Path) -> None:
    """A module whose path depends on its values."""

    class Branching(Gate):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x * self.Alpha if x.sum() > 0 else x

    with pytest.raises(UnsupportedError, match=r"torch\.export cannot write this network"):
        bridge.export(with_own_layer(tmp_path), tmp_path / "net.pt2", modules={"my.pkg.GateLayer": Branching})
    assert not (tmp_path / "net.pt2").exists()


def test_a_program_runs_where_bridge_is_not_installed(tmp_path: Path) -> None:
    network = bridge.load(FILES / "segnet.mat")
    bridge.export(network, tmp_path / "net.pt2", strict=True)
    x = torch.rand(3, 3, *network.layers[0].InputSize[:2]) * 255
    torch.save({"x": x, "y": network.to_torch()(x).detach()}, tmp_path / "values.pt")
    code = """
import sys, importlib.abc
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "bridge":
            raise ImportError(name)
sys.meta_path.insert(0, Absent())
import json, torch
torch.set_num_threads(1)
values = torch.load("values.pt", weights_only=True)
extra = {"network.json": ""}
found = torch.export.load("net.pt2", extra_files=extra).module()(values["x"])
torch.testing.assert_close(found, values["y"], rtol=0, atol=1e-6)
print(json.loads(extra["network.json"])["classes"])
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == f"{list(network.classes or ())}\n", done.stderr


class Gate(nn.Module):
    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.Alpha = nn.Parameter(torch.tensor(layer.Alpha))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.Alpha


def test_modules_of_the_user_are_written(tmp_path: Path) -> None:
    network = with_own_layer(tmp_path)
    for ending in ("pt2", "safetensors"):
        with pytest.raises(UnsupportedError):
            bridge.export(network, tmp_path / f"net.{ending}")
        bridge.export(network, tmp_path / f"net.{ending}", modules={"my.pkg.GateLayer": Gate}, tell=lambda text: None)
    assert load_file(tmp_path / "net.safetensors")["gate.Alpha"].tolist() == [[0.0, 1.0, 2.0]]


# .safetensors


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in one_of_each().items()])
def test_the_state_dict_is_the_modules_bit_for_bit(case: Case, tmp_path: Path) -> None:
    """Oracle: the safetensors library reads it, and the module's own state dict."""
    network = read(tmp_path, case.net)
    bridge.export(network, tmp_path / "net.safetensors", tell=lambda text: None)
    found, expected = load_file(tmp_path / "net.safetensors"), network.to_torch().state_dict()
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key
    network.to_torch().load_state_dict(found)


def test_what_a_state_dict_loses_is_told(tmp_path: Path) -> None:
    network = replace(bridge.load(FILES / "signs.mat"), training_info={"TrainingLoss": (1.0,)})
    with pytest.raises(UnsupportedError, match="class names"):
        bridge.export(network, tmp_path / "net.safetensors", strict=True)
    assert not list(tmp_path.iterdir())
    lines: list[str] = []
    written = bridge.export(network, tmp_path / "net.safetensors", tell=lines.append)
    assert (
        [line.removeprefix("lost: ") for line in lines]
        == list(written.losses)
        == [
            "its layers, their properties and connections: a state dict holds arrays alone",
            "its 5 class names",
            "the learn-rate and L2 factors of 10 learnables",
            "its training log",
        ]
    )


# Both


def broken(network: Network, weights: Array) -> Network:
    layer = network.layers["fc"]
    return network.with_layers(
        {
            "fc": replace(
                layer, learnables={**layer.learnables, "Weights": replace(layer.learnables["Weights"], array=weights)}
            )
        }
    )


@pytest.mark.parametrize("ending", ["pt2", "safetensors"])
def test_nan_is_kept_and_noted(ending: str, tmp_path: Path) -> None:
    network = bridge.load(FILES / "signs.mat")
    weights = np.array(network.layers["fc"].Weights)
    weights[0, 0] = np.nan
    written = bridge.export(broken(network, Array.of(weights)), tmp_path / f"net.{ending}", tell=lambda text: None)
    assert written.notes == ("NaN is kept in fc.weight",)


@pytest.mark.parametrize("ending", ["pt2", "safetensors"])
def test_precision_that_is_lost_is_told(ending: str, tmp_path: Path) -> None:
    network = bridge.load(FILES / "signs.mat")
    half = broken(network, Array.of(network.layers["fc"].Weights.astype(np.float64)))
    written = bridge.export(half, tmp_path / f"net.{ending}", tell=lambda text: None)
    assert written.losses[0] == "layer 'fc' (FullyConnectedLayer): the precision of Weights, which becomes single"
    with pytest.raises(UnsupportedError):
        bridge.export(half, tmp_path / f"strict.{ending}", strict=True)


@pytest.mark.parametrize("ending", ["onnx", "pt2", "py", "safetensors"])
def test_options_of_other_forms_are_refused(ending: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="takes no option test"):
        bridge.export(bridge.load(FILES / "signs.mat"), tmp_path / f"net.{ending}", test=True)


def test_the_facts_in_a_program_are_those_of_a_saved_folder(tmp_path: Path) -> None:
    network = bridge.load(FILES / "signs.mat")
    bridge.export(network, tmp_path / "net.pt2", strict=True)
    extra = {program.FACTS: ""}
    torch.export.load(tmp_path / "net.pt2", extra_files=extra)
    network.save(tmp_path / "net")
    folder = json.loads((tmp_path / "net" / "network.json").read_text())
    facts = json.loads(extra[program.FACTS])
    assert facts["layers"] == folder["layers"] and facts["connections"] == folder["connections"]
