"""Shallow networks: the layers against MATLAB's formulas in double precision, written here anew."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import loadmat

import bridge
from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.prediction import closed_loop
from bridge.readers.mat.file import variables
from fixtures import mat
from fixtures.objects import OldObject, cell, empty, shallow_network
from tests.real import REAL, needs_real

MAT = REAL / "mat"
SINGLE = 2e-6  # of the largest output: some thirty roundings of 6e-8
Array = np.ndarray[Any, Any]
Fields = dict[str, Any]


# MATLAB's formulas, on columns as MATLAB has them


def applied(function: str, s: Fields, x: Array) -> Array:
    if function == "fixunknowns":
        y = np.ones((int(s["yrows"]), x.shape[1]))
        y[np.arange(len(x)) + s["shift"].ravel().astype(int)] = x
    elif function == "processpca":
        y = s["transform"] @ x
    elif function == "removeconstantrows":
        y = x[s["keep"].ravel().astype(int) - 1]
    else:
        y = (x - s["xoffset"]) * s["gain"] + s["ymin" if function == "mapminmax" else "ymean"]
    return y


def reversed_(function: str, s: Fields, y: Array) -> Array:
    if function == "processpca":
        x = s["inverseTransform"] @ y
    elif function == "removeconstantrows":
        x = np.empty((int(s["xrows"]), y.shape[1]))
        x[s["keep"].ravel().astype(int) - 1], x[s["remove"].ravel().astype(int) - 1] = y, s["constants"]
    else:
        x = (y - s["ymin" if function == "mapminmax" else "ymean"]) / s["gain"] + s["xoffset"]
    return x


TRANSFER: Mapping[str, Callable[[Array], Array]] = {
    "tansig": lambda n: 2 / (1 + np.exp(-2 * n)) - 1,
    "logsig": lambda n: 1 / (1 + np.exp(-n)),
    "purelin": lambda n: n,
    "poslin": lambda n: np.maximum(n, 0),
    "softmax": lambda n: np.exp(n) / np.exp(n).sum(axis=0),
    "satlin": lambda n: np.minimum(np.maximum(n, 0), 1),
    "satlins": lambda n: np.minimum(np.maximum(n, -1), 1),
    "compet": lambda n: np.eye(len(n))[:, n.argmax(axis=0)],
    "elliotsig": lambda n: n / (1 + np.abs(n)),
    "elliot2sig": lambda n: np.sign(n) * n**2 / (1 + n**2),
    "hardlim": lambda n: np.where(n >= 0, 1.0, 0.0),
    "hardlims": lambda n: np.where(n >= 0, 1.0, -1.0),
    "netinv": lambda n: 1 / n,
    "radbas": lambda n: np.exp(-(n**2)),
    "radbasn": lambda n: np.exp(-(n**2)) / np.exp(-(n**2)).sum(axis=0),
    "tribas": lambda n: np.maximum(1 - np.abs(n), 0),
}


def simulated(net: Mapping[str, Any], *inputs: Array) -> Array:
    """The output of a network with one output and layers in running order, in double precision."""
    processed = []
    for end, x in zip(net["inputs"], inputs, strict=True):
        for function, settings in zip(end["processFcns"], end["processSettings"], strict=True):
            x = applied(function, settings, x)
        processed.append(x)
    values: list[Array] = []
    for row, layer in enumerate(net["layers"].ravel()):
        n: Array = net["b"].ravel()[row] if net["biasConnect"].ravel()[row] else np.zeros((1, 1))
        for field, connect, sources in (("IW", "inputConnect", processed), ("LW", "layerConnect", values)):
            for column in np.flatnonzero(net[connect][row]):
                n = n + net[field][row, column] @ sources[column]
        values.append(TRANSFER[layer["transferFcn"]](n))
    (index,) = np.flatnonzero(net["outputConnect"])
    end, y = net["outputs"][index], values[index]
    for function, settings in list(zip(end["processFcns"], end["processSettings"], strict=True))[::-1]:
        y = reversed_(function, settings, y)
    return y


# Makers


def end(size: int, *steps: tuple[str, Fields], name: str = "End") -> Fields:
    return {
        "name": name,
        "size": float(size),
        "processFcns": [f for f, _ in steps],
        "processSettings": [s for _, s in steps],
    }


def scaling(function: str, rng: np.random.Generator, rows: int, y0: float = -1.0) -> tuple[str, Fields]:
    settings = {
        "xrows": float(rows),
        "yrows": float(rows),
        "no_change": False,
        "ymin" if function == "mapminmax" else "ymean": y0,
    }
    return function, settings | {"gain": rng.uniform(0.1, 3, (rows, 1)), "xoffset": rng.uniform(-9, 9, (rows, 1))}


def constant_rows(rows: int, removed: Sequence[int]) -> tuple[str, Fields]:
    kept = [row for row in range(1, rows + 1) if row not in removed]
    settings = {"keep": np.array([kept], float), "remove": np.array([removed], float).reshape(1, -1)}
    values = {"constants": np.full((len(removed), 1), 7.0)}
    return "removeconstantrows", {"xrows": float(rows), "yrows": float(len(kept)), **settings, **values}


def unknowns(rows: int, shift: Sequence[int], yrows: int) -> tuple[str, Fields]:
    return "fixunknowns", {"xrows": float(rows), "yrows": float(yrows), "shift": np.array([shift], float)}


def weight(delays: Sequence[int] = (0,), learn: bool = True, function: str = "dotprod") -> Fields:
    return {"delays": np.array([delays], float), "learn": learn, "weightFcn": function}


def network(
    inputs: Sequence[Fields],
    layers: Sequence[tuple[str, str]],
    reads: Mapping[tuple[int, int], Array],
    follows: Mapping[tuple[int, int], Array],
    biases: Sequence[Array | None],
    output: Fields | Array,
    **more: Any,
) -> OldObject:
    """A network of (name, transfer function) layers, the last of which is the output; weights by (layer, source)."""
    count, sources = len(layers), len(inputs)

    def grid(held: Mapping[tuple[int, int], Any], width: int) -> Array:
        return cell([held.get((row, column), empty()) for column in range(width) for row in range(count)], count, width)

    return OldObject(
        "network",
        {
            "version": "8",
            "inputs": list(inputs),
            "layers": cell(
                [{"name": name, "netInputFcn": "netsum", "transferFcn": function} for name, function in layers]
            ),
            "outputs": [*[empty()] * (count - 1), output],
            "biasConnect": np.array([[bias is not None] for bias in biases]),
            "inputConnect": np.array([[(row, column) in reads for column in range(sources)] for row in range(count)]),
            "layerConnect": np.array([[(row, column) in follows for column in range(count)] for row in range(count)]),
            "outputConnect": np.array([[False] * (count - 1) + [True]]),
            "biases": cell([{"learn": True} if bias is not None else empty() for bias in biases]),
            "inputWeights": grid({place: weight() for place in reads}, sources),
            "layerWeights": grid({place: weight() for place in follows}, count),
            "IW": grid(reads, sources),
            "LW": grid(follows, count),
            "b": cell([empty() if bias is None else bias for bias in biases]),
            **more,
        },
    )


def column(rng: np.random.Generator, rows: int) -> Array:
    return rng.standard_normal((rows, 1))


def loaded(path: Path, made: OldObject, container: Any = "v5") -> bridge.Network:
    mat.write(path / "shallow.mat", {"net": made}, container=container)
    return bridge.load(path / "shallow.mat")


def require_same(net: bridge.Network, made: OldObject, *inputs: Array) -> None:
    """Oracle: `simulated`, in double precision."""
    expected = simulated(made.fields, *inputs)
    with torch.no_grad():
        found = net.to_torch()(*(torch.tensor(x.T, dtype=torch.float32) for x in inputs)).numpy().T
    np.testing.assert_allclose(found, expected, rtol=0, atol=SINGLE * np.abs(expected).max())


def kinds(net: bridge.Network) -> list[str]:
    return [f"{layer.name} {layer.kind}" for layer in net.layers]


# Tests


@needs_real
def test_a_network_of_matlab() -> None:
    """Oracle: the formulas on the struct as scipy reads it."""
    path = MAT / "old_network_object_2023.mat"
    net = bridge.load(path)
    assert net.kind == "network" and net.inputs == ("Input",) and net.outputs == ("Output_processing",)
    assert kinds(net) == [
        "Input FeatureInputLayer",
        "Hidden FullyConnectedLayer",
        "Hidden_tansig TanhLayer",
        "Output FullyConnectedLayer",
        "Output_processing FullyConnectedLayer",
    ]
    saved = loadmat(path, simplify_cells=True)["net"]
    assert net.layers["Input"].Normalization == "rescale-symmetric"
    np.testing.assert_array_equal(net.layers["Hidden"].Weights.ravel(), saved["IW"][0])
    settings = saved["inputs"]["processSettings"]
    settings = settings[0] if isinstance(settings, (list, np.ndarray)) else settings
    x = np.linspace(settings["xmin"], settings["xmax"], 101)
    hidden = TRANSFER["tansig"](np.outer(saved["IW"][0], applied("mapminmax", settings, x)) + saved["b"][0][:, None])
    expected = reversed_(
        "mapminmax", settings, saved["LW"][1][0] @ hidden + saved["b"][1]
    )  # input and output have the same range
    with torch.no_grad():
        found = net.to_torch()(torch.tensor(x[:, None], dtype=torch.float32)).numpy()[:, 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=SINGLE * np.abs(expected).max())


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_fitnet(tmp_path: Path, container: str) -> None:
    rng = np.random.default_rng(1)
    made = shallow_network(rng, 3, 40, 2)  # 120 weights: v7.3 reads them when asked for
    net = loaded(tmp_path, made, container)
    assert net.layers["Input"].Normalization == "rescale-symmetric"
    np.testing.assert_array_equal(net.layers["Input"].Min, np.full((3, 1), -3.0))
    np.testing.assert_array_equal(net.layers["Input"].Max, np.full((3, 1), 5.0))
    np.testing.assert_array_equal(net.layers["Hidden"].Weights, made.fields["IW"].ravel()[0], strict=True)
    assert any("double precision" in note for note in net.notes)
    require_same(net, made, rng.uniform(-3, 5, (3, 50)))


def test_factors_say_what_learns(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    reads, follows = {(0, 0): rng.standard_normal((4, 2))}, {(1, 0): rng.standard_normal((1, 4))}
    made = network(
        [end(2, scaling("mapstd", rng, 2, 0.0))],
        [("Hidden", "logsig"), ("Output", "purelin")],
        reads,
        follows,
        [column(rng, 4), None],
        end(1, scaling("mapstd", rng, 1, 0.0), name="Output"),
        inputWeights=cell([weight(learn=False), empty()]),
    )
    net = loaded(tmp_path, made)
    assert net.layers["End"].Normalization == "zscore"
    frozen = {(layer.name, name): (each.frozen, each.assumed) for layer, name, each in net.learnables()}
    assert frozen == {
        ("Hidden", "Weights"): (True, False),
        ("Hidden", "Bias"): (False, True),
        ("Output", "Weights"): (False, True),
        ("Output_processing", "Weights"): (True, False),
        ("Output_processing", "Bias"): (True, False),
    }
    require_same(net, made, rng.uniform(-9, 9, (2, 20)))


def test_patternnet_with_rows_removed(tmp_path: Path) -> None:
    """Removing rows and scaling the rest becomes one layer that does not learn; so does the way back."""
    rng = np.random.default_rng(3)
    made = network(
        [end(5, unknowns(5, [0] * 5, 5), constant_rows(5, [2, 5]), scaling("mapminmax", rng, 3), name="Input")],
        [("Hidden 1", "poslin"), ("Hidden 2", "tansig"), ("Output", "softmax")],
        {(0, 0): rng.standard_normal((6, 3))},
        {(1, 0): rng.standard_normal((4, 6)), (2, 1): rng.standard_normal((3, 4))},
        [column(rng, 6), column(rng, 4), column(rng, 3)],
        end(4, constant_rows(4, [4]), scaling("mapminmax", rng, 3, 0.0), name="Output"),
    )
    net = loaded(tmp_path, made)
    assert kinds(net) == [
        "Input FeatureInputLayer",
        "Input_processing FullyConnectedLayer",
        "Hidden 1 FullyConnectedLayer",
        "Hidden 1_poslin ReLULayer",
        "Hidden 2 FullyConnectedLayer",
        "Hidden 2_tansig TanhLayer",
        "Output FullyConnectedLayer",
        "Output_softmax SoftmaxLayer",
        "Output_processing FullyConnectedLayer",
    ]
    assert net.layers["Input"].Normalization == "none"
    assert any("removeconstantrows, mapminmax" in note for note in net.notes)
    assert any("NaN" in note for note in net.notes)
    require_same(net, made, rng.uniform(-9, 9, (5, 20)))


@pytest.mark.parametrize(
    ("function", "y0", "normalization"),
    [("mapminmax", -1, "rescale-symmetric"), ("mapminmax", 0, "zscore"), ("mapstd", 0.5, "zscore")],
)
def test_scaling_is_the_normalization_of_the_input(
    tmp_path: Path, function: str, y0: float, normalization: str
) -> None:
    rng = np.random.default_rng(4)
    weights = {(0, 0): rng.standard_normal((2, 3))}
    made = network(
        [end(3, scaling(function, rng, 3, y0))], [("Layer", "purelin")], weights, {}, [column(rng, 2)], end(2)
    )
    net = loaded(tmp_path, made)
    assert kinds(net) == ["End FeatureInputLayer", "Layer FullyConnectedLayer"]
    assert net.layers["End"].Normalization == normalization and net.outputs == ("Layer",)
    require_same(net, made, rng.uniform(-9, 9, (3, 20)))


def test_unknown_values_are_flagged(tmp_path: Path) -> None:
    """Row 2 of 3 had unknown values in training: a row that says "known" follows it."""
    rng = np.random.default_rng(5)
    steps = (unknowns(3, [0, 0, 1], 4), scaling("mapstd", rng, 4, 0.0))
    weights = {(0, 0): rng.standard_normal((2, 4))}
    made = network([end(3, *steps)], [("Layer", "tansig")], weights, {}, [column(rng, 2)], end(2))
    require_same(loaded(tmp_path, made), made, rng.uniform(-9, 9, (3, 20)))


def test_cascade_with_two_inputs(tmp_path: Path) -> None:
    """Where several weights meet, their products are added; the bias is with the first. Equal names get numbers."""
    rng = np.random.default_rng(6)
    made = network(
        [end(2, scaling("mapminmax", rng, 2)), end(3)],
        [("Layer", "tansig"), ("Layer", "logsig"), ("", "purelin")],
        {(0, 0): rng.standard_normal((4, 2)), (1, 1): rng.standard_normal((5, 3)), (2, 0): rng.standard_normal((2, 2))},
        {(1, 0): rng.standard_normal((5, 4)), (2, 0): rng.standard_normal((2, 4)), (2, 1): rng.standard_normal((2, 5))},
        [column(rng, 4), column(rng, 5), column(rng, 2)],
        end(2, scaling("mapminmax", rng, 2)),
    )
    net = loaded(tmp_path, made)
    assert net.inputs == ("End", "End_2") and net.outputs == ("End_processing",)
    assert [name for name in kinds(net) if "Addition" in name] == [
        "Layer_addition AdditionLayer",
        "layer3_addition AdditionLayer",
    ]
    assert net.layers["layer3_addition"].NumInputs == 3
    assert [name for name, _ in net.layers["layer3_1"].learnables.items()] == ["Weights", "Bias"]
    assert list(net.layers["layer3_2"].learnables) == ["Weights"]
    require_same(net, made, rng.uniform(-9, 9, (2, 20)), rng.uniform(-1, 1, (3, 20)))


def test_layers_need_not_be_in_running_order(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    first, second = rng.standard_normal((3, 2)), rng.standard_normal((1, 3))
    made = network(
        [end(2)], [("a", "purelin"), ("b", "tansig")], {(1, 0): first}, {(0, 1): second}, [None, None], empty()
    )
    made.fields["outputs"] = [end(1, name="Output"), empty()]
    net = loaded(tmp_path, made)
    x = rng.standard_normal((2, 9))
    with torch.no_grad():
        found = net.to_torch()(torch.tensor(x.T, dtype=torch.float32)).numpy().T
    np.testing.assert_allclose(found, second @ np.tanh(first @ x), atol=SINGLE * 3)  # by hand


@pytest.mark.parametrize("function", sorted(set(TRANSFER) - {"purelin"}))
def test_every_transfer_function(tmp_path: Path, function: str) -> None:
    rng = np.random.default_rng(12)
    bias = column(rng, 4) + (20 if function == "netinv" else 0)  # a reciprocal of nearly zero is all rounding
    made = network([end(3)], [("Layer", function)], {(0, 0): rng.standard_normal((4, 3))}, {}, [bias], end(4))
    require_same(loaded(tmp_path, made), made, rng.uniform(-3, 3, (3, 50)))


def test_principal_components(tmp_path: Path) -> None:
    """The settings of no file were seen: a transform, and the way back."""
    rng = np.random.default_rng(13)
    turned = ("processpca", {"transform": rng.standard_normal((2, 4)), "no_change": False})
    back = ("processpca", {"inverseTransform": rng.standard_normal((3, 2)), "no_change": False})
    made = network(
        [end(4, scaling("mapstd", rng, 4, 0.0), turned)],
        [("Layer", "tansig")],
        {(0, 0): rng.standard_normal((2, 2))},
        {},
        [column(rng, 2)],
        end(3, back),
    )
    require_same(loaded(tmp_path, made), made, rng.uniform(-9, 9, (4, 20)))


# Over time


def over_time(net: Mapping[str, Any], *inputs: Array) -> Array:
    """The same of a network with delays, step by step; a step before the first is not computed with."""
    steps, processed = inputs[0].shape[1], []
    for source, x in zip(net["inputs"], inputs, strict=True):
        for function, settings in zip(source["processFcns"], source["processSettings"], strict=True):
            x = applied(function, settings, x)
        processed.append(x)
    values: list[list[Array | None]] = [[] for _ in net["layers"].ravel()]
    for t in range(steps):
        for row, layer in enumerate(net["layers"].ravel()):
            values[row].append(None)
            n: Array | None = net["b"].ravel()[row]
            for settings, field, connect, sources in (
                ("inputWeights", "IW", "inputConnect", [list(x.T[:, :, None]) for x in processed]),
                ("layerWeights", "LW", "layerConnect", values),
            ):
                for column in np.flatnonzero(net[connect][row]):
                    delays = np.ravel(net[settings][row, column]["delays"]).astype(int)
                    past = [sources[column][t - d] if t >= d else None for d in delays]
                    known = [each for each in past if each is not None]
                    n = (
                        None
                        if n is None or len(known) < len(past)
                        else n + net[field][row, column] @ np.concatenate(known)
                    )
            values[row][t] = None if n is None else TRANSFER[layer["transferFcn"]](n)
    (index,) = np.flatnonzero(net["outputConnect"])
    y = np.concatenate([each for each in values[index] if each is not None], 1)
    for function, settings in list(
        zip(net["outputs"][index]["processFcns"], net["outputs"][index]["processSettings"], strict=True)
    )[::-1]:
        y = reversed_(function, settings, y)
    return y


def delayed(rng: np.random.Generator, feedback: bool) -> OldObject:
    """Two inputs with other delays each, a layer with delays behind them, and maybe the output fed back."""
    sizes, delays = {0: 2, 1: 1}, {(0, 0): [0, 2], (0, 1): [1, 3], (1, 0): [0, 1, 4], (0, 1 + 1): [1, 2]}
    reads = {(0, source): rng.standard_normal((3, size * len(delays[0, source]))) for source, size in sizes.items()}
    follows = {(1, 0): rng.standard_normal((1, 9))} | ({(0, 1): rng.standard_normal((3, 2)) / 4} if feedback else {})
    weights = [weight(delays[0, 0]), empty(), weight(delays[0, 1]), empty()]
    behind = [empty(), weight(delays[1, 0]), weight(delays[0, 2]) if feedback else empty(), empty()]
    return network(
        [end(2, scaling("mapminmax", rng, 2), name="u"), end(1, name="v")],
        [("Hidden", "tansig"), ("Output", "purelin")],
        reads,
        follows,
        [column(rng, 3), column(rng, 1)],
        end(1, scaling("mapminmax", rng, 1), name="y"),
        inputWeights=cell(weights, 2, 2),
        layerWeights=cell(behind, 2, 2),
    )


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_delays_of_inputs_and_layers(tmp_path: Path, container: str) -> None:
    """Oracle: `over_time`. The first seven steps are those that the delays reach back to."""
    rng = np.random.default_rng(14)
    made = delayed(rng, feedback=False)
    u, v = rng.uniform(-3, 3, (2, 30)), rng.standard_normal((1, 30))
    expected = over_time(made.fields, u, v)
    with torch.no_grad():
        model = loaded(tmp_path, made, container).to_torch().double()
        found = model(*(torch.tensor(each.T[None]) for each in (u, v)))[0].numpy().T
    assert expected.shape == (1, 23)
    np.testing.assert_allclose(found, expected, rtol=0, atol=SINGLE * np.abs(expected).max())


def test_delays_are_written_as_layers(tmp_path: Path) -> None:
    """Oracle: the module itself, and onnxruntime behind the export."""
    net = loaded(tmp_path, delayed(np.random.default_rng(15), feedback=False))
    bridge.export(net, tmp_path / "net.onnx")
    with pytest.warns(UserWarning, match="no test input"):  # it would have fewer steps than the delays reach back
        bridge.export(net, tmp_path / "back.mat")
    again = bridge.load(tmp_path / "back.mat").to_torch()
    u, v = torch.randn(1, 20, 2), torch.randn(1, 20, 1)
    with torch.no_grad():
        torch.testing.assert_close(again(u, v), net.to_torch()(u, v), rtol=0, atol=0)


def test_a_closed_loop_is_its_open_loop_that_feeds_itself(tmp_path: Path) -> None:
    """Oracle: `over_time` of the open loop, whose input is what it put out; with one delay more than a step of noise."""
    rng = np.random.default_rng(16)
    made = network(
        [end(1, name="x")],
        [("Hidden", "tansig"), ("Output", "purelin")],
        {(0, 0): rng.standard_normal((3, 2))},
        {(1, 0): rng.standard_normal((1, 3)), (0, 1): rng.standard_normal((3, 2)) / 2},
        [column(rng, 3), column(rng, 1)],
        end(1, scaling("mapminmax", rng, 1), name="y"),
        inputWeights=cell([weight([1, 2]), empty()]),
        layerWeights=cell([empty(), weight(), weight([1, 2]), empty()], 2, 2),
    )
    net = loaded(tmp_path, made)
    assert net.inputs == ("x", "y") and any("closed_loop" in note for note in net.notes)
    x, history, settings = (
        rng.standard_normal((1, 14)),
        rng.uniform(-1, 1, 2),
        made.fields["outputs"][1]["processSettings"][0],
    )
    fields, y = made.fields, list(history)
    for t in range(2, 14):
        a = [applied("mapminmax", settings, np.array([[y[t - d]]])).item() for d in (1, 2)]
        n = fields["IW"].ravel()[0] @ x[0, [t - 1, t - 2]] + fields["LW"][0, 1] @ a + fields["b"].ravel()[0].ravel()
        out = fields["LW"][1, 0] @ np.tanh(n) + fields["b"].ravel()[1].ravel()
        y.append(reversed_("mapminmax", settings, out[:, None]).item())
    model = net.to_torch().double()
    others = (torch.tensor(x.T[None]),)
    with torch.no_grad():
        found = closed_loop(model, torch.tensor(history)[None, :, None], 12, *others, at=1).ravel().numpy()
    np.testing.assert_allclose(found, y[2:], rtol=0, atol=1e-5)
    with pytest.raises(UsageError, match="an input of 14 steps"):
        closed_loop(model, torch.tensor(history)[None, :, None], 5, *others, at=1)
    with pytest.raises(UsageError, match="3 steps of history"):
        closed_loop(model, torch.zeros(1, 3, 1).double(), 11, *others, at=1)


def steps_of(value: Any) -> Array:
    return np.concatenate([np.asarray(each, float).ravel() for each in value])


@needs_real
@pytest.mark.parametrize(("name", "x", "before", "y"), [("net", "x", "xi", "y"), ("nets", "xs", "xis", "ys")])
def test_a_narnet_of_matlab_in_open_loop(name: str, x: str, before: str, y: str) -> None:
    """Oracle: what MATLAB put out for 142 and 143 steps; weights are in single precision here."""
    path = MAT / "shallow_network_with_delays.mat"
    held = dict(variables(path))
    data = torch.tensor(np.concatenate([steps_of(held[before]), steps_of(held[x])]))
    with torch.no_grad():
        found = bridge.load(path, variable=name).to_torch().double()(data[None, :, None]).ravel().numpy()
    np.testing.assert_allclose(found, steps_of(held[y]), rtol=0, atol=1e-6)


@needs_real
def test_a_narnet_of_matlab_in_closed_loop() -> None:
    """Oracle: what MATLAB predicted, 142 steps behind the first two and 5 behind the last two."""
    path = MAT / "shallow_network_with_delays.mat"
    held = dict(variables(path))
    model = bridge.load(path, variable="netc").to_torch().double()
    for before, y in (("xi", "yc"), ("xfo", "y2")):
        history, expected = torch.tensor(steps_of(held[before])), steps_of(held[y])
        with torch.no_grad():
            found = closed_loop(model, history[None, :, None], len(expected)).ravel().numpy()
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)


def test_everything_that_is_not_read_is_named_at_once(tmp_path: Path) -> None:
    rng = np.random.default_rng(8)
    weights = {(0, 0): rng.standard_normal((2, 2)), (2, 0): rng.standard_normal((2, 2))}
    made = network(
        [end(2, ("myscale", {}))],
        [("a", "mytransfer"), ("b", "tansig"), ("c", "hardlim")],
        weights,
        {(1, 1): np.eye(2)},
        [None] * 3,
        end(2, unknowns(2, [0, 0], 2)),
        inputWeights=cell([weight(delays=[-1, 2]), empty(), weight(function="dist")]),
        layerWeights=cell([*[empty()] * 4, weight(delays=[1]), *[empty()] * 4], 3, 3),
    )
    with pytest.raises(UnsupportedError) as refused:
        loaded(tmp_path, made)
    for part in (
        "layers{1}.transferFcn 'mytransfer'",
        "inputWeights{1,1}.delays [-1 2]",
        "inputWeights{3,1}.weightFcn 'dist'",
        "feedback through layers 2",
        "inputs{1}.processFcns 'myscale'",
        "outputs{3}.processFcns 'fixunknowns'",
    ):
        assert part in refused.value.error
    assert "genFunction" in refused.value.hint and refused.value.exit_code == 3


def test_a_network_without_sizes(tmp_path: Path) -> None:
    made = shallow_network(np.random.default_rng(9))
    made.fields["inputs"][0]["size"] = 0.0
    with pytest.raises(UnsupportedError, match=r"inputs\{1\}\.size 0"):
        loaded(tmp_path, made)


@pytest.mark.parametrize("field", ["b", "inputConnect", "outputs"])
def test_a_part_that_is_missing(tmp_path: Path, field: str) -> None:
    made = shallow_network(np.random.default_rng(10))
    del made.fields[field]
    with pytest.raises(UnreadableError, match=field):
        loaded(tmp_path, made)


def test_weights_that_are_missing(tmp_path: Path) -> None:
    made = shallow_network(np.random.default_rng(11))
    made.fields["IW"] = cell([empty(), empty()])
    with pytest.raises(UnreadableError, match="a weight holds no values"):
        loaded(tmp_path, made)
