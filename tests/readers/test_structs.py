"""Networks exported as plain structs: what is read back equals the network it was made of, bit for bit."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

import bridge
from bridge.arrays.lazy import Array
from bridge.errors import UnreadableError, UnsupportedError
from bridge.network import Connection, Layer, LayerList, Learnable, Network, make_layer
from bridge.options.options import saved_training_options
from bridge.options.values import schedule
from bridge.readers.join import mangled
from bridge.tables.layers import unknown_row
from fixtures import layers as L
from fixtures import mat, networks, onnx
from fixtures.layers import Net
from fixtures.objects import cell

ROOT = Path(__file__).parents[2]


# A maker of the layout of docs/mat-structs.md


def texts(names: Any, *dims: int) -> Any:
    return cell(list(names), *(dims or (1, len(names))))


def value(item: Any) -> Any:
    """A property as bridgeExport.m writes it: text, numbers as a double row, texts as a cellstr."""
    if isinstance(item, bool):
        return np.bool_(item)
    if isinstance(item, tuple) and any(isinstance(each, str) for each in item):
        return texts(item)
    return item if isinstance(item, str) else np.array([item], np.float64) if isinstance(item, tuple) else float(item)


def struct_of_layer(layer: Layer) -> dict[str, Any]:
    learnables = {
        name: {
            "Value": mat.trimmed(each.value),
            "LearnRateFactor": factor(each.learn_rate_factor),
            "L2Factor": factor(each.l2_factor),
        }
        for name, each in layer.learnables.items()
    }
    return {
        "Name": layer.name,
        "Class": layer.row.matlab[0],
        "Properties": {name: value(each) for name, each in layer.properties.items()},
        "Learnables": learnables,
        "State": {name: mat.trimmed(each.read()) for name, each in layer.state.items()},
        "InputNames": texts(layer.inputs),
        "OutputNames": texts(layer.outputs),
        "Skipped": texts(()),
    }


def factor(each: Any) -> Any:
    return np.array([each], np.float64) if isinstance(each, tuple) else each


def struct_of(network: Network, **more: Any) -> dict[str, Any]:
    def end(layer: str, port: str, side: str) -> str:
        return layer if len(getattr(network.layers[layer], side)) == 1 else f"{layer}/{port}"

    pairs = [
        (end(c.source, c.source_port, "outputs"), end(c.destination, c.destination_port, "inputs"))
        for c in network.connections
    ]
    read = {c.source for c in network.connections}
    return {
        "Format": "bridge.network/1",
        "Release": "2024b",
        "Toolbox": "24.2",
        "Kind": network.kind,
        "Layers": cell([struct_of_layer(layer) for layer in network.layers]),
        "Connections": texts([a for a, _ in pairs] + [b for _, b in pairs], len(pairs), 2),
        "InputNames": texts(network.inputs),
        "OutputNames": texts(
            [layer.name for layer in network.layers if layer.name not in read]
        ),  # output layers, in MATLAB
        "Classes": texts(network.classes or (), len(network.classes or ()), 1),
        "TrainingOptions": np.empty((0, 0)),
        "TrainingInfo": np.empty((0, 0)),
        **more,
    }


def exported(path: Path, network: Network, **more: Any) -> Network:
    """The network, written by scipy in the layout of bridgeExport.m and read back."""
    savemat(path / "net.bridge.mat", {"bridge": struct_of(network, **more)}, long_field_names=True)
    return bridge.load(path / "net.bridge.mat")


def original(path: Path, net: Net) -> Network:
    mat.write(path / "net.mat", {"net": net})
    return bridge.load(path / "net.mat")


def require_equal(found: Network, expected: Network) -> None:
    assert found.kind == expected.kind and found.classes == expected.classes
    assert found.connections == expected.connections
    assert found.inputs == expected.inputs and found.outputs == expected.outputs
    assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
    for a, b in zip(found.layers, expected.layers, strict=True):
        assert (a.kind, a.row, a.inputs, a.outputs) == (b.kind, b.row, b.inputs, b.outputs)
        assert dict(a.properties) == dict(b.properties), a.name
        assert list(a.learnables) == list(b.learnables) and list(a.state) == list(b.state)
        for name, each in a.learnables.items():
            other = b.learnables[name]
            assert (each.learn_rate_factor, each.l2_factor, each.assumed) == (
                other.learn_rate_factor,
                other.l2_factor,
                other.assumed,
            )
            np.testing.assert_array_equal(each.value, other.value, strict=True)
        for name, array in a.state.items():
            np.testing.assert_array_equal(array.read(), b.state[name].read(), strict=True)


NETS: list[Callable[[], Net]] = [
    networks.chain_cnn,
    networks.residual,
    networks.squeeze,
    networks.unet,
    networks.segnet,
    networks.lstm_classifier,
    networks.bilstm_regression,
    networks.gru_classifier,
    networks.feature_mlp,
    networks.yolov2_network,
]


@pytest.mark.parametrize("make", NETS, ids=[make.__name__ for make in NETS])
def test_reads_back_equal(tmp_path: Path, make: Callable[[], Net]) -> None:
    """Oracle: the network as its own objects were read."""
    expected = original(tmp_path, make())
    found = exported(tmp_path, expected)
    require_equal(found, expected)
    assert found.notes == expected.notes
    assert (found.source.producer, found.source.release) == ("MATLAB Deep Learning Toolbox 24.2", "R2024b")


def test_dlnetwork(tmp_path: Path) -> None:
    expected = original(tmp_path, networks.as_dlnetwork(networks.residual()))
    found = exported(tmp_path, expected, Classes=texts(["a", "b", "c", "d"], 4, 1))
    require_equal(replace(found, classes=None), expected)
    assert found.classes == ("a", "b", "c", "d")


def test_a_factor_for_each_gate(tmp_path: Path) -> None:
    expected = original(tmp_path, networks.lstm_classifier())
    name = next(layer.name for layer in expected.layers if layer.kind == "LSTMLayer")
    expected = expected.set_learn_rate_factor(name, "InputWeights", (1.0, 2.0, 0.0, 0.5))
    found = exported(tmp_path, expected)
    require_equal(found, expected)
    assert found.layers[name].InputWeightsLearnRateFactor == (1.0, 2.0, 0.0, 0.5)


def test_untrained_layers(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    layers = (
        L.imageInputLayer((8, 8, 1), "in", "none"),
        L.untrained(L.convolution2dLayer(rng, "conv", (3, 3), 1, 4)),
        L.reluLayer("relu"),
    )
    expected = original(tmp_path, Net("Layers", layers))
    found = exported(tmp_path, expected)
    require_equal(found, expected)
    assert found.layers["conv"].learnables["Weights"].array.size == 0


def test_a_class_of_the_users_own(tmp_path: Path) -> None:
    """It keeps its properties, learnables, state and ports, and the network can be shown."""
    base = original(tmp_path, networks.as_dlnetwork(networks.feature_mlp()))
    last = base.layers[-1]
    arrays = {"Alpha": Learnable(Array.of(np.arange(3, dtype=np.float32).reshape(1, 3)), 2.0, 0.0)}
    own = make_layer(
        unknown_row("my.pkg.GateLayer"),
        "gate",
        {"Rate": 3, "Mode": "soft"},
        arrays,
        {"TrainedMean": Array.of(np.eye(2))},
    )
    own = replace(own, inputs=("in1", "in2"), outputs=("out", "mask"))
    wired = [Connection(last.name, "gate", last.outputs[0], port) for port in own.inputs]
    layers, connections = LayerList([*base.layers, own]), (*base.connections, *wired)
    network = replace(base, layers=layers, connections=connections, outputs=("gate/out", "gate/mask"))
    found = exported(tmp_path, network, OutputNames=texts(["gate/out", "gate/mask"]))
    require_equal(found, network)
    assert found.notes == ("layer 'gate' has the class my.pkg.GateLayer, which no table knows",)


def test_properties_matlab_would_not_give(tmp_path: Path) -> None:
    expected = original(tmp_path, networks.chain_cnn())
    struct = struct_of(expected)
    struct["Layers"].ravel()[1]["Skipped"] = texts(["Stride", "Description"])
    savemat(tmp_path / "net.bridge.mat", {"bridge": struct}, long_field_names=True)
    assert bridge.load(tmp_path / "net.bridge.mat").notes == ("layer 'Conv1': MATLAB did not give its Stride",)


def test_v73(tmp_path: Path) -> None:
    """Above 2^31 bytes bridgeExport.m writes -v7.3, whose arrays stay in the file until asked for."""
    expected = original(tmp_path, networks.segnet())
    mat.write(tmp_path / "net.bridge.mat", {"bridge": struct_of(expected)}, container="v7.3")
    require_equal(bridge.load(tmp_path / "net.bridge.mat"), expected)


def test_beside_an_onnx(tmp_path: Path) -> None:
    """net.bridge.mat gives net.onnx its names and factors, proven by equal arrays."""
    expected = original(tmp_path, networks.squeeze())
    onnx.write(tmp_path / "net.onnx", networks.squeeze(), "24.2.0")
    exported(tmp_path, expected)
    found = bridge.load(tmp_path / "net.onnx")
    assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
    assert any(mangled(layer.name) != layer.name for layer in found.layers)
    assert found.layers["conv"].WeightLearnRateFactor == 10
    assert "weights equal bit for bit" in found.notes[-1]


# Options and log


OPTIONS: Mapping[str, tuple[dict[str, Any], str]] = {
    "sgdm": ({"Momentum": 0.5}, "nnet.cnn.TrainingOptionsSGDM"),
    "adam": ({"GradientDecayFactor": 0.8, "SquaredGradientDecayFactor": 0.99}, "nnet.cnn.TrainingOptionsADAM"),
    "rmsprop": ({"SquaredGradientDecayFactor": 0.9}, "nnet.cnn.TrainingOptionsRMSProp"),
}


@pytest.mark.parametrize("solver", OPTIONS)
def test_training_options(tmp_path: Path, solver: str) -> None:
    own, class_name = OPTIONS[solver]
    saved = {
        **own,
        "InitialLearnRate": 0.003,
        "Shuffle": "every-epoch",
        "LearnRateSchedule": "none",
        "Verbose": np.bool_(True),
    }
    found = exported(tmp_path, original(tmp_path, networks.feature_mlp()), TrainingOptions=saved).training_options
    assert found is not None
    assert found == {"class": class_name, **saved}
    options = saved_training_options(found["class"], {key: each for key, each in found.items() if key != "class"})
    assert options.solver == solver and options.InitialLearnRate == 0.003


def test_schedules(tmp_path: Path) -> None:
    warmup = {"Class": "deep.schedule.WarmupLearnRate", "Properties": {"NumSteps": 3.0, "FrequencyUnit": "epoch"}}
    saved = {"Momentum": 0.9, "LearnRateSchedule": cell([warmup, "cosine"], 1, 2)}
    found = exported(tmp_path, original(tmp_path, networks.feature_mlp()), TrainingOptions=saved).training_options
    assert found is not None
    assert found["LearnRateSchedule"] == (
        {"schedule": "WarmupLearnRate", "NumSteps": 3, "FrequencyUnit": "epoch"},
        "cosine",
    )
    options = saved_training_options(found["class"], {"LearnRateSchedule": found["LearnRateSchedule"]})
    assert options.schedules == (schedule("warmupLearnRate", NumSteps=3, FrequencyUnit="epoch"), "cosine")


def test_training_log(tmp_path: Path) -> None:
    log = {"TrainingLoss": np.array([[2.0, 1.0]]), "TrainingHistory": {"Iteration": np.array([[1.0], [2.0]])}}
    found = exported(tmp_path, original(tmp_path, networks.feature_mlp()), TrainingInfo=log).training_info
    assert found is not None and list(found) == list(log)
    np.testing.assert_array_equal(found["TrainingLoss"], [[2.0, 1.0]])
    np.testing.assert_array_equal(found["TrainingHistory"]["Iteration"], [[1.0], [2.0]])


# Refusals


BROKEN: Mapping[str, tuple[dict[str, Any], type[bridge.BridgeError], str]] = {
    "later format": ({"Format": "bridge.network/2"}, UnsupportedError, "bridge.network/2"),
    "no layers": ({"Layers": np.empty((0, 0))}, UnreadableError, "no layers"),
    "half a connection": ({"Connections": texts(["a", "b", "c"])}, UnreadableError, "3 names"),
    "a connection to nowhere": ({"Connections": texts(["input_2", "nowhere"], 1, 2)}, UnreadableError, "nowhere"),
    "an output that is no layer": ({"OutputNames": texts(["nowhere"])}, UnreadableError, "'nowhere' among its outputs"),
    "an input that is no layer": ({"InputNames": texts(["nowhere"])}, UnreadableError, "'nowhere' among its inputs"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken(tmp_path: Path, name: str) -> None:
    change, error, part = BROKEN[name]
    network = original(tmp_path, networks.feature_mlp())
    with pytest.raises(error, match=part):
        exported(tmp_path, network, **change)


def test_a_learnable_the_tables_do_not_know(tmp_path: Path) -> None:
    struct = struct_of(original(tmp_path, networks.feature_mlp()))
    layer = next(each for each in struct["Layers"].ravel() if each["Class"].endswith("FullyConnectedLayer"))
    layer["Learnables"]["Gain"] = {"Value": np.ones((1, 2), np.float32), "LearnRateFactor": 1.0, "L2Factor": 1.0}
    savemat(tmp_path / "net.bridge.mat", {"bridge": struct}, long_field_names=True)
    with pytest.raises(UnsupportedError, match="Gain"):
        bridge.load(tmp_path / "net.bridge.mat")


# bridgeExport.m itself


SCRIPT = """
    addpath('{functions}', '{standins}');
    x = load('{folder}/arrays.mat');
    layers = [nnet.cnn.layer.ImageInputLayer('Name', 'data', 'InputSize', [6, 5, 2], 'Mean', x.mean)
              nnet.cnn.layer.Convolution2DLayer('Name', 'conv-1', 'Weights', x.conv, 'Bias', x.convBias, ...
                                                'WeightLearnRateFactor', 10, 'BiasLearnRateFactor', 0, 'BiasL2Factor', 0.5)
              nnet.cnn.layer.BatchNormalizationLayer('Name', 'bn', 'Scale', x.scale, 'Offset', x.offset, ...
                                                     'TrainedMean', x.offset, 'TrainedVariance', x.variance, 'OffsetL2Factor', 0)
              nnet.cnn.layer.LSTMLayer('Name', 'lstm', 'InputWeights', x.input, 'RecurrentWeights', x.recurrent, ...
                                       'Bias', x.lstmBias, 'RecurrentWeightsLearnRateFactor', [1, 2, 3, 4])
              nnet.cnn.layer.FullyConnectedLayer('Name', 'fc', 'OutputSize', 3, 'Weights', x.fc, 'Bias', x.fcBias)
              nnet.cnn.layer.ClassificationOutputLayer('Name', 'out', 'Classes', categorical({{'b', 'a', 'c'}}, {{'b', 'a', 'c'}}))];
    log = struct('TrainingLoss', [2, 1]);
    warning('off', 'bridge:skipped');
    bridgeExport(SeriesNetwork(layers), '{folder}/net.onnx', 'Options', nnet.cnn.TrainingOptionsSGDM(), 'Info', log);
"""
ARRAYS = {
    "mean": ("data", "Mean", (1, 1, 2)),
    "conv": ("conv-1", "Weights", (3, 3, 2, 4)),
    "convBias": ("conv-1", "Bias", (1, 1, 4)),
    "scale": ("bn", "Scale", (1, 1, 4)),
    "offset": ("bn", "TrainedMean", (1, 1, 4)),
    "variance": ("bn", "TrainedVariance", (1, 1, 4)),
    "input": ("lstm", "InputWeights", (8, 4)),
    "recurrent": ("lstm", "RecurrentWeights", (8, 2)),
    "lstmBias": ("lstm", "Bias", (8, 1)),
    "fc": ("fc", "Weights", (3, 2)),
    "fcBias": ("fc", "Bias", (3, 1)),
}


def test_a_file_of_bridge_export(tmp_path: Path) -> None:
    """Oracle: the arrays given to the stand-in layers under GNU Octave, and their factors as set in the script."""
    octave = shutil.which("octave-cli") or shutil.which("octave")
    if octave is None:
        pytest.skip("GNU Octave is not installed: octave-cli runs bridgeExport.m")
    rng = np.random.default_rng(3)
    arrays = {name: rng.standard_normal(size).astype(np.float32) for name, (_, _, size) in ARRAYS.items()}
    savemat(tmp_path / "arrays.mat", arrays)
    script = SCRIPT.format(
        functions=ROOT / "bridge" / "matlab", standins=ROOT / "tests" / "matlab" / "standins", folder=tmp_path
    )
    run = subprocess.run(
        [octave, "--no-gui", "--quiet", "--norc", "--eval", script], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr

    net = bridge.load(tmp_path / "net.bridge.mat")
    assert net.kind == "SeriesNetwork" and net.classes == ("b", "a", "c")
    assert [layer.name for layer in net.layers] == ["data", "conv-1", "bn", "lstm", "fc", "out"]
    assert [(c.source, c.destination) for c in net.connections] == list(pairwise(layer.name for layer in net.layers))
    assert net.inputs == ("data",) and net.outputs == ("fc",)
    for name, (layer, array, size) in ARRAYS.items():
        found = getattr(net.layers[layer], array)
        assert found.shape == size
        np.testing.assert_array_equal(found, arrays[name], strict=True)
    factors = {
        f"{layer.name}/{name}": (each.learn_rate_factor, each.l2_factor) for layer, name, each in net.learnables()
    }
    assert factors == {
        "conv-1/Weights": (10, 1),
        "conv-1/Bias": (0, 0.5),
        "bn/Offset": (1, 0),
        "bn/Scale": (1, 1),
        "lstm/InputWeights": (1, 1),
        "lstm/RecurrentWeights": ((1, 2, 3, 4), 1),
        "lstm/Bias": (1, 0),
        "fc/Weights": (1, 1),
        "fc/Bias": (1, 0),
    }
    assert not any(each.assumed for _, _, each in net.learnables())
    assert net.training_options is not None and net.training_info is not None
    assert (
        net.training_options["class"] == "nnet.cnn.TrainingOptionsSGDM"
        and net.training_options["InitialLearnRate"] == 0.003
    )
    assert net.training_options["LearnRateSchedule"] == (
        {"schedule": "Schedule", "DropFactor": 0.1, "FrequencyUnit": "epoch"},
        "none",
    )
    np.testing.assert_array_equal(net.training_info["TrainingLoss"], [[2, 1]])
