"""Every layer that MATLAB's exporters write, in every dialect: back as its MATLAB layer, with its arrays, properties and numbers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import bridge
from bridge.arrays.lazy import NDArray
from bridge.errors import UnsupportedError
from bridge.network import Layer, Network
from bridge.parity import onnx_runtime
from fixtures import layers as L
from fixtures import mat
from fixtures.__main__ import shapes, signs, traffic_light_like
from fixtures.layers import Net
from fixtures.networks import SMALL
from fixtures.onnx import DIALECTS, export
from tests.fixtures.test_onnx import CASES, IMAGE, SEQUENCE, STATISTICS
from tests.readers.onnx.graphs import Read, model, node, proven

# Each exporter's own opset, and newer ones in which operators changed: attributes became inputs, defaults moved.
VARIANTS = [*((dialect, None) for dialect in DIALECTS), ("18.2.5", 13), ("20.2.2", 11), ("24.2.0", 18), ("24.2.0", 20)]
# What the file cannot tell: the projections are multiplied out, normalising all of an image is a group of all channels,
# and inference drops nothing. Notes say the first; the numbers of the others are the same.
OTHERWISE = {
    "lstm projected": "LSTMLayer",
    "layer norm image": "GroupNormalizationLayer",
    "spatial dropout": "DropoutLayer",
}
PROPERTIES = (
    "Alpha", "Approximation", "Beta", "BlockSize", "Ceiling", "DilationFactor", "Epsilon", "FilterSize", "K", "Mode", "NumHiddenUnits",
    "PoolSize", "Probability", "ResetGateMode", "Scale", "Stride", "WindowChannelSize",
)  # fmt: skip


def exported(net: Net, dialect: str, opset: int | None = None) -> onnx.ModelProto | None:
    """The model, or None where the opset has no operator for a layer."""
    try:
        return export(net, dialect, opset=opset)
    except ValueError as refusal:
        assert "needs opset" in str(refusal)
        return None


def variants(net: Net) -> dict[str, tuple[str, onnx.ModelProto]]:
    """The files of a network that differ in more than the exporter's version: id -> (dialect, model)."""
    found: dict[bytes, tuple[str, str, onnx.ModelProto]] = {}
    for dialect, opset in VARIANTS:
        file = exported(net, dialect, opset)
        if file is not None:
            same = file.graph.SerializeToString(deterministic=True) + bytes([file.opset_import[0].version])
            found.setdefault(same, (f"{dialect}/{opset or 'own'}", dialect, file))
    return {name: (dialect, file) for name, dialect, file in found.values()}


@pytest.mark.parametrize("case", CASES)
def test_each_layer_comes_back(case: str, read: Read) -> None:
    """Oracles: onnxruntime for the numbers, the maker's arrays in MATLAB's layout for the weights, bit for bit."""
    first, layer, _ = CASES[case]
    files = variants(Net("SeriesNetwork", (first, layer)))
    assert len(files) >= 2
    for name, (dialect, file) in files.items():
        network = read(file)
        flattened_softmax = (
            case == "softmax pixels" and DIALECTS[dialect].dense == "gemm"
        )  # before opset 13 it runs over the pixels too
        wanted = "onnx:Softmax" if flattened_softmax else OTHERWISE.get(case, layer.cls.rpartition(".")[2])
        assert [each.kind for each in network.layers] == [first.cls.rpartition(".")[2], wanted], name
        assert any(note.startswith("1 layer(s) are LSTM layers or projected ones") for note in network.notes) == (
            wanted == "LSTMLayer"
        )
        proven(network)
        assert_same_properties(network.layers["l"], layer)
        if case != "lstm projected":
            assert_same_arrays(network.layers["l"], layer)


IN_NUMBERS = {
    "conv transposed same",
    "max pool same",
    "resize nearest",
}  # the file has the numbers that 'same' or OutputSize came to


@pytest.mark.parametrize("case", sorted(set(CASES) - set(OTHERWISE) - IN_NUMBERS))
def test_each_layer_becomes_the_module_of_its_mat(case: str, read: Read, tmp_path: Path) -> None:
    """So what tests/modules shows of a .mat's modules, in training, export and compilation too, holds in every dialect."""
    net = Net("SeriesNetwork", CASES[case][:2])
    mat.write(tmp_path / "net.mat", {"net": net})
    wanted = module_text(bridge.load(tmp_path / "net.mat"))
    for name, (_, file) in variants(net).items():
        network = read(file)
        if not network.layers["l"].kind.startswith("onnx:"):
            assert module_text(network) == wanted, name


def module_text(network: Network) -> str:
    """The module with its arguments, numbers as far as single precision tells."""
    return re.sub(
        r"\d+\.\d+(e-?\d+)?|\d+e-?\d+",
        lambda number: f"{float(number[0]):.6g}",
        str(network.to_torch().get_submodule("l")),
    )


def assert_same_properties(back: Layer, layer: L.Layer) -> None:
    """Numbers are in single precision in the file."""
    for name, value in properties_of(layer).items():
        if name in back.properties:
            assert back.properties[name] == (value if isinstance(value, str) else pytest.approx(value, rel=1e-7)), name


def properties_of(layer: L.Layer) -> dict[str, object]:
    """The saved properties that an ONNX file can tell, in Python's types."""
    found: dict[str, object] = {}
    for name in PROPERTIES:
        value = layer.saved.get(name)
        if isinstance(value, (str, float)):
            found[name] = value
        elif isinstance(value, np.ndarray) and value.size:
            found[name] = tuple(float(n) for n in value.ravel())
    return {name: value[0] if isinstance(value, tuple) and len(value) == 1 else value for name, value in found.items()}


def assert_same_arrays(back: Layer, layer: L.Layer) -> None:
    arrays = {name: each.array.read() for name, each in back.learnables.items()} | {
        name: each.read() for name, each in back.state.items()
    }
    statistics = {name: layer.saved[name] for name in ("TrainedMean", "TrainedVariance") if name in layer.saved}
    made = {name: param.value for name, param in layer.params.items()} | statistics
    assert arrays.keys() == made.keys()
    for name, value in made.items():
        np.testing.assert_array_equal(arrays[name].reshape(-1), in_order(value, arrays[name]).reshape(-1), name)


def in_order(value: NDArray, like: NDArray) -> NDArray:
    """A fully connected layer's [H W C out] as [out, C W H], in which the network keeps it; others as they are."""
    return value.reshape(-1, like.shape[0], order="F").T if value.ndim == 4 and like.ndim == 2 else value


@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if DIALECTS[dialect].batch != 1])
@pytest.mark.parametrize(
    "case",
    [
        "conv 1-D",
        "lstm",
        "lstm last",
        "bilstm last",
        "gru two biases",
        "group norm sequence",
        "softmax sequence",
        "conv same",
    ],
)
def test_several_observations(case: str, dialect: str, read: Read) -> None:
    """Oracle: onnxruntime. Three sequences of five steps: the module takes N, T, C where the file takes T, N, C."""
    first, layer, _ = CASES[case]
    file = exported(Net("SeriesNetwork", (first, layer)), dialect)
    assert file is not None
    network = read(file)
    x = onnx_runtime.sample_inputs(network, batch=3)[0]
    value = network.source.values["l"]
    wanted = onnx_runtime.run(Path(network.source.path), [x], [value])[value]
    with torch.no_grad():
        y = network.to_torch()(torch.from_numpy(x)).numpy()
    assert y.shape == wanted.shape and y.shape[0] == 3
    np.testing.assert_allclose(y, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", STATISTICS)
@pytest.mark.parametrize("dialect", [dialect for dialect in DIALECTS if dialect != "19.2.1"])
@pytest.mark.parametrize("whole", [False, True], ids=["each channel", "each pixel"])
def test_input_normalisation(kind: str, dialect: str, whole: bool, read: Read) -> None:
    """Oracle: onnxruntime. A file holds x - a or (x - a) / b: rescaling comes back as zscore, and a note says so."""
    kept = L.input_statistics(np.random.default_rng(0), kind, (4, 5, 3) if whole else (1, 1, 3))
    first = L.imageInputLayer(
        (4, 5, 3), "in", kind, kept.get("AverageImage"), **{k: v for k, v in kept.items() if k != "AverageImage"}
    )
    file = exported(Net("SeriesNetwork", (first, L.reluLayer("r"))), dialect)
    assert file is not None
    network = read(file)
    assert network.layers["in"].Normalization == ("zerocenter" if kind == "zerocenter" else "zscore")
    assert any("cannot tell them apart" in note for note in network.notes) == (kind != "zerocenter")
    proven(network, layers=2)
    if kind in ("zerocenter", "zscore"):
        np.testing.assert_array_equal(
            network.layers["in"].Mean, np.broadcast_to(kept["AverageImage"], network.layers["in"].Mean.shape)
        )


@pytest.mark.parametrize("kind", STATISTICS)
def test_normalised_sequences_and_features(kind: str, read: Read) -> None:
    """Oracle: onnxruntime."""
    kept = L.input_statistics(np.random.default_rng(0), kind, (6, 1))
    for first in (L.sequenceInputLayer(6, "in", kind, **kept), L.featureInputLayer(6, "in", kind, **kept)):
        file = exported(Net("SeriesNetwork", (first, L.tanhLayer("t"))), "20.2.2")
        assert file is not None
        network = read(file)
        assert network.layers["in"].kind == first.cls.rpartition(".")[2]
        proven(network, layers=2)


def branched(layer: L.Layer, *more: tuple[str, str], first: L.Layer = IMAGE) -> Net:
    """Two ways from one input to `layer`: as it is, and through a ReLU."""
    pairs = (("in", "relu"), ("in", f"{layer.name}/in1"), ("relu", f"{layer.name}/in2"), *more)
    return Net("DAGNetwork", (first, L.reluLayer("relu"), layer), pairs)


SEVERAL = {
    "addition": (branched(L.additionLayer("l")), {"NumInputs": 2}),
    "addition of three": (branched(L.additionLayer("l", 3), ("relu", "l/in3")), {"NumInputs": 3}),
    "addition of sequences": (branched(L.additionLayer("l"), first=SEQUENCE), {"NumInputs": 2}),
    "multiplication": (branched(L.multiplicationLayer("l")), {"NumInputs": 2}),
    "multiplication of three": (branched(L.multiplicationLayer("l", 3), ("relu", "l/in3")), {"NumInputs": 3}),
    "depth concatenation": (branched(L.depthConcatenationLayer("l")), {"NumInputs": 2}),
    "concatenation of heights": (branched(L.concatenationLayer("l", 1)), {"Dim": 1}),
    "concatenation of widths": (branched(L.concatenationLayer("l", 2)), {"Dim": 2}),
}


@pytest.mark.parametrize("case", SEVERAL)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_layers_with_several_inputs(case: str, dialect: str, read: Read) -> None:
    """Oracle: onnxruntime."""
    net, properties = SEVERAL[case]
    file = exported(net, dialect)
    assert file is not None
    network = read(file)
    back = network.layers["l"]
    assert back.kind == net.layers[-1].cls.rpartition(".")[2]
    assert {name: back.properties[name] for name in properties} == properties
    assert [connection.source for connection in network.incoming["l"]] == ["in", "relu", "relu"][: len(back.inputs)]
    proven(network, layers=2)


@pytest.mark.parametrize("first", [IMAGE, SEQUENCE], ids=["images", "sequences"])
def test_concatenated_channels_are_a_depth_concatenation(first: L.Layer, read: Read) -> None:
    """Oracle: onnxruntime. Both layers of MATLAB's write the same node."""
    dim = 3 if first is IMAGE else 1
    file = exported(branched(L.concatenationLayer("l", dim), first=first), "20.2.2")
    assert file is not None
    network = read(file)
    assert network.layers["l"].kind == "DepthConcatenationLayer"
    proven(network, layers=2)


def test_joined_time_stays_foreign(read: Read) -> None:
    """Oracle: onnxruntime, on the layer before. Concatenation over time is no MATLAB layer here; its value is T, N, C as in the file."""
    nodes = [node("Relu", "x", "relu"), node("Concat", "x relu", "l", axis=0)]
    network = read(model(nodes, ["T", "N", 6], producer="MATLAB Deep Learning Toolbox Converter for ONNX Model Format"))
    kinds = [layer.kind for layer in network.layers]
    assert kinds == ["SequenceInputLayer", "ReLULayer", "onnx:Transpose", "onnx:Transpose", "onnx:Concat"]
    proven(network)
    x = onnx_runtime.sample_inputs(network)[0]
    with torch.no_grad():
        y = network.to_torch()(torch.from_numpy(x)).numpy()
    np.testing.assert_array_equal(y, np.concatenate([x, np.maximum(x, 0)], 1).swapaxes(0, 1))


@pytest.mark.parametrize("location", [None, (3, 2)])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_crop_comes_back_as_the_slice_it_is(location: tuple[int, int] | None, dialect: str, read: Read) -> None:
    """Oracle: onnxruntime. The file does not name the reference that gave the size."""
    layers = (IMAGE, L.maxPooling2dLayer("pool", (2, 2), stride=(2, 2)), L.crop2dLayer("crop", location))
    file = exported(Net("DAGNetwork", layers, (("in", "pool"), ("in", "crop/in"), ("pool", "crop/ref"))), dialect)
    assert file is not None
    network = read(file)
    assert network.layers["crop"].kind == "onnx:Slice"
    proven(network)


def test_resizing_from_the_corner(read: Read) -> None:
    """Oracle: onnxruntime. Before opset 11 there was no other way to resize."""
    asymmetric = {"GeometricTransformMode": "asymmetric", "NearestRoundingMode": "floor"}
    resize = L.resize2dLayer("l", scale=(2, 3))
    layer = L.Layer("l", resize.cls, {**resize.saved, **asymmetric})
    for dialect in ("18.2.5", "24.2.0"):  # Upsample, Resize
        file = exported(Net("SeriesNetwork", (IMAGE, layer)), dialect)
        assert file is not None
        network = read(file)
        assert network.layers["l"].kind == "Resize2DLayer" and network.layers["l"].Scale == (2, 3)
        assert {name: network.layers["l"].properties[name] for name in asymmetric} == asymmetric
        proven(network)


NETWORKS = {
    **{name: made(0) for name, made in SMALL.items()},
    "signs": signs(),
    "traffic": traffic_light_like(),
    "shapes": shapes(),
}
NOT_WRITTEN = ("max pooling with indices", "normalisation of vectors", "YOLOv2TransformLayer")


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", NETWORKS)
def test_whole_networks(name: str, dialect: str, read: Read) -> None:
    """Oracle: onnxruntime, every layer."""
    net = NETWORKS[name]
    try:
        file = export(net, dialect)
    except ValueError as refusal:
        assert any(reason in str(refusal) for reason in NOT_WRITTEN)
        return
    network = read(file)
    computing = [layer for layer in net.layers if not layer.cls.endswith(("OutputLayer", "PixelClassificationLayer"))]
    kinds = [layer.cls.rpartition(".")[2] for layer in computing]
    if name == "unet" and DIALECTS[dialect].dense == "gemm":
        kinds[kinds.index("SoftmaxLayer")] = "onnx:Softmax"  # over all pixels too
    if name != "squeeze":  # where the layers stand in another order
        assert [layer.kind for layer in network.layers] == kinds
    proven(network, layers=len(computing) - 3)


def test_a_head_of_single_pixels_is_ambiguous(read: Read) -> None:
    """A 1-by-1 convolution on single pixels is what MATLAB writes for a fully connected layer: the note says that either may be meant."""
    file = exported(SMALL["residual"](0), "20.2.2")
    assert file is not None
    network = read(file)
    assert network.layers["fc"].kind == "FullyConnectedLayer"
    assert any("cannot tell them apart" in note and note.endswith(": fc") for note in network.notes)


def test_placeholders_are_kept_and_refused_all_at_once(read: Read) -> None:
    layers = (IMAGE, L.Layer("my-layer", "my.pkg.Layer"), L.reluLayer("r"), L.Layer("other", "my.pkg.Other"))
    file = exported(Net("SeriesNetwork", layers), "20.2.2")
    assert file is not None
    network = read(file)
    placeholder = "com.mathworks::Placeholder"
    assert [layer.kind for layer in network.layers] == ["ImageInputLayer", placeholder, "ReLULayer", placeholder]
    with pytest.raises(UnsupportedError, match=rf"'my_layer' is a {placeholder}.*'other' is a {placeholder}"):
        network.to_torch()
    doubled = network.to_torch(modules={"com.mathworks::Placeholder": lambda layer: torch.nn.Threshold(0.5, 0.0)})
    x = torch.rand(1, 6, 9, 12)
    torch.testing.assert_close(doubled(x), torch.where(x > 0.5, x, 0.0))
