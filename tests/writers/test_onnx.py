"""net.onnx: onnxruntime computes what the module does, MATLAB's names are in it, and our own reader gets the same network back."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

import bridge
from bridge import layers
from bridge.arrays.lazy import Array, NDArray
from bridge.errors import BridgeError, UnreadableError, UnsupportedError, UsageError
from bridge.network import Network
from bridge.parity.onnx_runtime import accepted, sample_inputs
from bridge.parity.proof import prove
from bridge.readers.onnx.stored import CHANGED, KEY
from bridge.writers.losses import Written
from bridge.writers.onnx import IR_VERSIONS, OPSETS, file
from fixtures import mat, networks
from fixtures import onnx as matlab_onnx
from fixtures.layers import Net
from tests.modules.cases import CASES, Case, one_of_each, outputs
from tests.readers.test_structs import NETS, require_equal
from tests.real import REAL, needs_real

CLOSE = 1e-6  # of the largest value of an output: two orders of adding up single-precision numbers


def read(folder: Path, net: Net) -> Network:
    mat.write(folder / "net.mat", {"net": net})
    return bridge.load(folder / "net.mat")


def exported(folder: Path, network: Network, **options: Any) -> Path:
    bridge.export(network, folder / "net.onnx", force=True, tell=lambda text: None, **options)
    return folder / "net.onnx"


def time_first(value: NDArray) -> NDArray:
    """Sequences of vectors run T,N,C in the file and N,T,C in torch."""
    return np.ascontiguousarray(value.swapaxes(0, 1)) if value.ndim == 3 else value


def run(model: Any, inputs: Sequence[torch.Tensor]) -> list[NDArray]:
    """What onnxruntime, without optimisation, makes of a model."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads, options.log_severity_level = 1, 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    given = {each.name: time_first(value.numpy()) for each, value in zip(session.get_inputs(), inputs, strict=True)}
    return [time_first(each) for each in session.run(None, given)]


def require_same_outputs(path: Path, network: Network, inputs: tuple[torch.Tensor, ...], within: float = CLOSE) -> None:
    """Oracle: onnxruntime, for the batch it is given and for a larger one."""
    model, module = accepted(onnx.load(path)), network.to_torch()
    for given in (inputs, tuple(torch.cat([x, x.flip(0), x[:1]]) for x in inputs)):
        with torch.no_grad():
            expected = outputs(module, given)
        for ours, theirs in zip(expected, run(model, given), strict=True):
            np.testing.assert_allclose(theirs, ours.numpy(), rtol=0, atol=within * float(ours.abs().max()))


# What it computes, and what comes back


EVERY = [
    pytest.param(case, id=case.name, marks=[] if case.name in one_of_each() else pytest.mark.slow)
    for case in CASES.values()
]


@pytest.mark.parametrize("case", EVERY)
def test_every_layer_goes_there_and_back_bit_for_bit(case: Case, tmp_path: Path) -> None:
    """Oracle of the numbers: onnxruntime; of the network: itself, factors, properties, initializers, states and ports included."""
    network = read(tmp_path, case.net)
    written = bridge.export(network, tmp_path / "net.onnx", tell=pytest.fail)
    assert not written.losses
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    require_equal(bridge.load(tmp_path / "net.onnx"), network)
    require_same_outputs(tmp_path / "net.onnx", network, case.inputs(network.inputs))


NOT_YOLO = [make for make in NETS if make is not networks.yolov2_network]


@pytest.mark.parametrize("make", NETS, ids=[make.__name__ for make in NETS])
def test_networks_come_back_equal(make: Callable[[], Net], tmp_path: Path) -> None:
    network = read(tmp_path, make())
    path = exported(tmp_path, network)
    onnx.checker.check_model(str(path), full_check=True)
    require_equal(bridge.load(path), network)
    inputs = tuple(torch.from_numpy(each) for each in sample_inputs(network))
    require_same_outputs(path, network, inputs, max(CLOSE, 2 * own_rounding(network, inputs)))


def own_rounding(network: Network, inputs: tuple[torch.Tensor, ...]) -> float:
    """How far single precision takes the module itself from double, of the largest value: 2e-6 in the SegNet, whose batch
    normalisations divide by small deviations; another order of adding up may be as far off on the other side."""
    module = network.to_torch()
    with torch.no_grad():
        single, double = outputs(module, inputs), outputs(module.double(), tuple(x.double() for x in inputs))
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(single, double, strict=True))


@pytest.mark.parametrize("make", NOT_YOLO, ids=[make.__name__ for make in NOT_YOLO])
def test_networks_are_written_as_matlab_writes_them(make: Callable[[], Net], tmp_path: Path) -> None:
    """Oracle: a maker of files in the form of MATLAB's exports, which shares no code with this one: names and arrays are the same.

    Of a recurrent layer no export of MATLAB's was found, so there the names are the makers'. Shapes and ranges are the makers' alone.
    """
    net = make()
    network = read(tmp_path, net)
    matlab_onnx.write(tmp_path / "matlab.onnx", net, "20.2.2")
    ours, theirs = (weights(path) for path in (exported(tmp_path, network), tmp_path / "matlab.onnx"))
    arrays = {
        name: value
        for name, value in theirs.items()
        if name.endswith(("_W", "_R", "_B", "_Mean", "_scale", "_mean", "_var"))
    }
    assert arrays.keys() <= ours.keys() and arrays
    for name, value in arrays.items():
        np.testing.assert_array_equal(ours[name].reshape(value.shape), value, strict=True, err_msg=name)


def weights(path: Path) -> dict[str, NDArray]:
    return {each.name: onnx.numpy_helper.to_array(each) for each in onnx.load(path).graph.initializer}


@pytest.mark.parametrize("make", NOT_YOLO, ids=[make.__name__ for make in NOT_YOLO])
def test_the_graph_alone_is_read_as_the_same_layers(make: Callable[[], Net], tmp_path: Path) -> None:
    """Without metadata, as any other program sees it. Oracle: the network's own module."""
    network = read(tmp_path, make())
    path = exported(tmp_path, network, unpooling="mathworks")
    model = onnx.load(path)
    del model.metadata_props[:]
    onnx.save(model, path)
    bare = bridge.load(path)
    assert [layer.kind for layer in bare.layers] == [layer.kind for layer in network.layers if not layer.row.is_output]
    assert all(each.assumed for _, _, each in bare.learnables())
    inputs = [torch.from_numpy(each) for each in sample_inputs(network)]
    with torch.no_grad():
        for ours, theirs in zip(
            outputs(network.to_torch(), tuple(inputs)), outputs(bare.to_torch(), tuple(inputs)), strict=True
        ):
            assert torch.equal(ours, theirs)


@pytest.mark.parametrize("opset", [opset for opset in OPSETS if opset != 14])
def test_every_opset(opset: int, tmp_path: Path) -> None:
    """Oracle: onnxruntime, and onnx's own checker, which knows what each opset has."""
    chosen = [
        case
        for index, case in enumerate(one_of_each().values())
        if index % len(OPSETS) == opset - OPSETS[0] or case.name in OPSET_CASES
    ]
    for case in chosen:
        network = read(tmp_path, case.net)
        path = exported(tmp_path, network, opset=opset)
        onnx.checker.check_model(str(path), full_check=True)
        model = onnx.load(path)
        assert model.opset_import[0].version == opset and model.ir_version == IR_VERSIONS[opset]
        require_same_outputs(path, network, case.inputs(network.inputs))


@pytest.mark.parametrize("case", [name for name in CASES if name.startswith("resize")])
def test_a_written_resize_rounds_as_the_layer_does(case: str, tmp_path: Path) -> None:
    """Oracle: onnxruntime. Halves and fifths of a pixel: some centres lie between two."""
    network = read(tmp_path, CASES[case].net)
    require_same_outputs(exported(tmp_path, network), network, CASES[case].inputs(network.inputs))


OPSET_CASES = ("gelu", "gelu_tanh", "softmax", "dropout", "clipped_relu", "lstm", "bilstm_last", "global_average1d", "layernorm_sequence_auto", "resize_bilinear",
               "depth_to_space_crd", "attention_causal", "words")  # fmt: skip


def test_opsets_have_the_ir_version_that_came_with_them() -> None:
    """Oracle: onnx's own table of its releases."""
    table = {opset: ir for ir, opset in ((ir, opset) for _, ir, opset, *_ in onnx.helper.VERSION_TABLE)}
    assert {opset: table[opset] for opset in IR_VERSIONS} == IR_VERSIONS and list(IR_VERSIONS) == list(OPSETS)


@needs_real
@pytest.mark.parametrize(
    ("name", "genuine"),
    [("segnet_R2020b", "_op8_com_mathworks"), ("traffic_light_R2020b", "_op8"), ("object_recognition_R2019a", "_op8")],
)
def test_real_networks_are_written_as_matlab_wrote_them(name: str, genuine: str, tmp_path: Path) -> None:
    """Oracle: MATLAB's own export of the same .mat: names and values of all initializers, and the operators in their order.

    Up to R2019a the mean was called AvgImg.
    """
    network = bridge.load(REAL / "mat" / f"{name}.mat")
    path, theirs = exported(tmp_path, network, unpooling="mathworks"), REAL / "onnx" / f"{name}{genuine}.onnx"
    assert [node.op_type for node in onnx.load(path).graph.node] == [
        node.op_type for node in onnx.load(theirs).graph.node
    ]
    mine, its = weights(path), {key.replace("_AvgImg", "_Mean"): value for key, value in weights(theirs).items()}
    assert mine.keys() == its.keys()
    for key, value in its.items():
        np.testing.assert_array_equal(mine[key], value, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted(REAL.glob("mat/*.mat")) if REAL.is_dir() else [], ids=lambda path: path.stem)
def test_every_real_network_comes_back_equal(path: Path, tmp_path: Path) -> None:
    """Also what a file holds in double, as the mean of one does."""
    try:
        network = bridge.load(path)
    except BridgeError:
        pytest.skip("it holds no network")
    if any(each.array.size == 0 for _, _, each in network.learnables()):
        pytest.skip("it is not trained")
    require_equal(bridge.load(exported(tmp_path, network, strict=True)), network)


@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_of_sequences_with_dilation(stride: int, tmp_path: Path) -> None:
    """Without a stride the padding is known whatever the length; with one, onnxruntime refuses to work it out, which is told."""
    conv = layers.convolution1d(3, 6, name="c", DilationFactor=2, Stride=stride, Padding="same")
    network = Network.assemble([layers.sequence_input(4, name="in"), conv]).initialize()
    notes = bridge.export(network, tmp_path / "net.onnx", tell=lambda text: None).notes
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    require_equal(bridge.load(tmp_path / "net.onnx"), network)
    assert ["onnxruntime does not run layer 'c'" in note for note in notes] == [True] * (stride - 1)
    if stride == 1:
        require_same_outputs(tmp_path / "net.onnx", network, (torch.randn(2, 7, 4),))


# Names


def renamed(network: Network, names: dict[str, str]) -> Network:
    from bridge.writers.matlab import with_names

    return with_names(network, names)


def test_names_are_identifiers_in_the_graph_and_true_in_the_metadata(tmp_path: Path) -> None:
    names = {"conv_1": "a-b", "relu_1": "a_b", "fc": "a_b_W", "softmax": "ä/ö"}
    network = renamed(bridge.load("fixtures/files/signs.mat"), names)
    lines: list[str] = []
    written = bridge.export(network, tmp_path / "net.onnx", tell=lines.append)
    assert (
        lines == [f"note: {each}" for each in written.notes]
        and "3 layer name(s) are identifiers in the graph: a-b as a_b, a_b as a_b_, ä/ö as ___" in lines[0]
    )
    assert not written.losses
    require_equal(bridge.load(tmp_path / "net.onnx"), network)
    model = onnx.load(tmp_path / "net.onnx")
    made = [name for node in model.graph.node for name in node.output] + [
        each.name for each in (*model.graph.initializer, *model.graph.input)
    ]
    assert len(made) == len(set(made)) and len({node.name for node in model.graph.node}) == len(model.graph.node)
    require_same_outputs(
        tmp_path / "net.onnx", network, tuple(torch.from_numpy(each) for each in sample_inputs(network))
    )


def test_a_layer_without_a_name(tmp_path: Path) -> None:
    """In ONNX an empty name means that an output is left out."""
    network = renamed(bridge.load("fixtures/files/signs.mat"), {"imageinput": "", "conv_1": "_"})
    path = exported(tmp_path, network)
    onnx.checker.check_model(str(path), full_check=True)
    require_equal(bridge.load(path), network)


def test_the_decay_of_statistics_is_written(tmp_path: Path) -> None:
    network = bridge.load("fixtures/files/signs.mat")
    normalization = next(layer for layer in network.layers if layer.kind == "BatchNormalizationLayer")
    slower = replace(normalization, properties={**normalization.properties, "MeanDecay": 0.01, "VarianceDecay": 0.01})
    read_back = bridge.load(exported(tmp_path, network.with_layers({slower.name: slower}))).layers[slower.name]
    assert (read_back.MeanDecay, read_back.VarianceDecay) == (0.01, 0.01)


# Unpooling


def test_unpooling_as_onnx_or_as_mathworks_has_it(tmp_path: Path) -> None:
    """onnxruntime refuses MathWorks' operator; the least change that it accepts (`accepted`) is the other form."""
    network = bridge.load("fixtures/files/segnet.mat")
    domains = {}
    for unpooling in ("onnx", "mathworks"):
        path = exported(tmp_path, network, unpooling=unpooling)
        domains[unpooling] = {node.domain for node in onnx.load(path).graph.node if node.op_type == "MaxUnpool"}
        require_equal(bridge.load(path), network)
        inputs = tuple(torch.from_numpy(each) for each in sample_inputs(network))
        require_same_outputs(path, network, inputs, max(CLOSE, 2 * own_rounding(network, inputs)))
    assert domains == {"onnx": {""}, "mathworks": {"com.mathworks"}}


# What the metadata carry


def test_factors_classes_options_and_logs_come_back(tmp_path: Path) -> None:
    network = bridge.load("fixtures/files/signs.mat")
    network = network.set_learn_rate_factor("conv_1", "Weights", 0)
    network = replace(
        network,
        training_options={"class": "nnet.cnn.TrainingOptionsSGDM", "InitialLearnRate": 0.01},
        training_info={"TrainingLoss": (2.0, float("nan"))},
    )
    back = bridge.load(exported(tmp_path, network))
    assert back.layers["conv_1"].WeightLearnRateFactor == 0 and back.layers["fc"].WeightLearnRateFactor == 10
    assert not any(each.assumed for _, _, each in back.learnables()) and back.classes == network.classes
    assert back.training_options == network.training_options and str(back.training_info) == str(network.training_info)
    assert (
        back.source.format == "onnx" and back.source.producer == network.source.producer and back.source.batch is None
    )


def test_changed_nodes_leave_the_metadata_aside(tmp_path: Path) -> None:
    """Another program's optimiser may have removed layers; changed weights alone do not matter."""
    network = bridge.load("fixtures/files/signs.mat")
    path = exported(tmp_path, network)
    model = onnx.load(path)
    weight = next(each for each in model.graph.initializer if each.name == "conv_1_W")
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 2, weight.name))
    onnx.save(model, path)
    np.testing.assert_array_equal(bridge.load(path).layers["conv_1"].Weights, 2 * network.layers["conv_1"].Weights)
    assert bridge.load(path).classes == network.classes
    model.graph.node[-1].name = "renamed"
    onnx.save(model, path)
    assert CHANGED in bridge.load(path).notes and bridge.load(path).classes is None


@pytest.mark.parametrize("damage", ["{", "[]", '{"schema": 1}', "arrays", "place"])
def test_damaged_metadata_are_refused(damage: str, tmp_path: Path) -> None:
    path = exported(tmp_path, bridge.load("fixtures/files/signs.mat"))
    model = onnx.load(path)
    (entry,) = (each for each in model.metadata_props if each.key == KEY)
    entry.value = {
        "arrays": entry.value.replace('"conv_1": {"Weights"', '"other": {"Weights"'),
        "place": entry.value.replace("conv_1_W", "conv_9_W"),
    }.get(damage, damage)
    onnx.save(model, path)
    with pytest.raises(UnreadableError) as caught:
        bridge.load(path)
    assert "Traceback" not in str(caught.value) and caught.value.cause and caught.value.hint


def test_our_own_check_proves_the_file(tmp_path: Path) -> None:
    """`bridge import` compares layer by layer with onnxruntime, where the metadata name the values."""
    network = read(tmp_path, networks.lstm_classifier())
    path = exported(tmp_path, network)
    back = bridge.load(path)
    proof = prove(back, back.to_torch())
    assert (
        proof.holds
        and proof.comparison is not None
        and [each.layer for each in proof.comparison.layers]
        == [layer.name for layer in network.layers if not layer.row.is_output][1:]
    )


# What cannot be held


def test_layers_without_operators_are_refused_together(tmp_path: Path) -> None:
    from tests.writers.test_matlab import with_own_layer

    network = with_own_layer(tmp_path)
    with pytest.raises(UnsupportedError, match="'gate' is a GateLayer"):
        bridge.export(network, tmp_path / "net.onnx")
    assert not (tmp_path / "net.onnx").exists()


@pytest.mark.parametrize("dtype", [np.float16, np.float64])
def test_other_precisions_are_kept(dtype: Any, tmp_path: Path) -> None:
    """The graph, which runs in single as the module, casts them."""
    network = bridge.load("fixtures/files/signs.mat")
    layer, source = network.layers["fc"], network.layers["imageinput"]
    other = replace(layer.learnables["Weights"], array=Array.of(layer.Weights.astype(dtype)))
    mean = {"Mean": Array.of(source.Mean.astype(dtype))}
    network = network.with_layers(
        {
            "fc": replace(layer, learnables={**layer.learnables, "Weights": other}),
            "imageinput": replace(source, state=mean),
        }
    )
    bridge.export(network, tmp_path / "net.onnx", strict=True)
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    require_equal(bridge.load(tmp_path / "net.onnx"), network)
    require_same_outputs(
        tmp_path / "net.onnx", network, tuple(torch.from_numpy(each) for each in sample_inputs(network))
    )


def test_nan_is_kept_and_noted(tmp_path: Path) -> None:
    network = bridge.load("fixtures/files/signs.mat")
    layer = network.layers["fc"]
    weights = np.array(layer.Weights)
    weights[0, 0] = np.nan
    broken = replace(layer.learnables["Weights"], array=Array.of(weights))
    network = network.with_layers({"fc": replace(layer, learnables={**layer.learnables, "Weights": broken})})
    written = bridge.export(network, tmp_path / "net.onnx", tell=lambda text: None)
    assert written.notes == ("NaN is kept in fc_W",)
    np.testing.assert_array_equal(bridge.load(tmp_path / "net.onnx").layers["fc"].Weights, weights)


@pytest.mark.parametrize("options", [{"opset": 8}, {"opset": 99}, {"unpooling": "caffe"}])
def test_wrong_options(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        bridge.export(bridge.load("fixtures/files/signs.mat"), tmp_path / "net.onnx", **options)
    assert not list(tmp_path.iterdir())


# The file


def test_large_networks_lie_in_two_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Protobuf's limit is lowered here. Oracle: onnxruntime and onnx's checker read both."""
    monkeypatch.setattr(file, "LARGEST", 1000)
    network = bridge.load("fixtures/files/signs.mat")
    written: Written = bridge.export(network, tmp_path / "net.onnx", tell=lambda text: None)
    digest = hashlib.sha256(written.paths[1].read_bytes()).hexdigest()
    assert [path.name for path in written.paths] == ["net.onnx", f"net.onnx-{digest[:16]}.data"]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(path.name for path in written.paths)
    onnx.checker.check_model(str(tmp_path / "net.onnx"), full_check=True)
    require_equal(bridge.load(tmp_path / "net.onnx"), network)
    require_same_outputs(
        tmp_path / "net.onnx", network, tuple(torch.from_numpy(each) for each in sample_inputs(network))
    )


def test_arrays_are_read_once_and_none_before_it_is_written(tmp_path: Path) -> None:
    network = bridge.load("fixtures/files/signs.mat")
    reads: list[str] = []

    def watched(name: str, array: Array) -> Array:
        return Array(array.shape, array.dtype, lambda: reads.append(name) or array.read(), array.shape)

    layers = {
        layer.name: replace(
            layer,
            learnables={
                name: replace(each, array=watched(f"{layer.name}/{name}", each.array))
                for name, each in layer.learnables.items()
            },
        )
        for layer in network.layers
    }
    bridge.export(network.with_layers(layers), tmp_path / "net.onnx", tell=lambda text: None)
    assert sorted(reads) == sorted(f"{layer.name}/{name}" for layer, name, _ in network.learnables())


def test_existing_files_are_kept_and_nothing_is_half_written(tmp_path: Path) -> None:
    network = bridge.load("fixtures/files/signs.mat")
    (tmp_path / "net.onnx").write_text("mine")
    with pytest.raises(UsageError, match="exists"):
        bridge.export(network, tmp_path / "net.onnx")
    assert (tmp_path / "net.onnx").read_text() == "mine"
    layer = network.layers["fc"]
    shape = layer.Weights.shape
    fails = replace(layer.learnables["Weights"], array=Array(shape, np.dtype(np.float32), full_disk, shape))
    broken = network.with_layers({"fc": replace(layer, learnables={**layer.learnables, "Weights": fails})})
    with pytest.raises(BridgeError, match="full"):
        bridge.export(broken, tmp_path / "net.onnx", force=True, tell=lambda text: None)
    assert [path.name for path in tmp_path.iterdir()] == ["net.onnx"] and (tmp_path / "net.onnx").read_text() == "mine"


def full_disk() -> NDArray:
    raise OSError("full")


@pytest.mark.parametrize("seed", range(40))
def test_damaged_metadata_never_escape(seed: int, tmp_path: Path) -> None:
    """One value of the JSON is replaced by another of its kind, or by none: the file is refused, or its arrays are read."""
    path = exported(tmp_path, read(tmp_path, networks.lstm_classifier()))
    model = onnx.load(path)
    (entry,) = (each for each in model.metadata_props if each.key == KEY)
    facts, rng = json.loads(entry.value), np.random.default_rng(seed)
    places = list(places_of(facts))
    holder, key = places[rng.integers(len(places))]
    holder[key] = [None, -1, 10**12, "gates", "transposed", [], {}, "lstm_1_W"][rng.integers(8)]
    entry.value = json.dumps(facts)
    onnx.save(model, path)
    with contextlib.suppress(BridgeError):
        for _, _, each in bridge.load(path).learnables():
            assert each.value.shape == each.shape


def places_of(value: Any) -> Iterator[tuple[Any, Any]]:
    for key, item in list(value.items() if isinstance(value, dict) else enumerate(value)):
        yield value, key
        if isinstance(item, (dict, list)):
            yield from places_of(item)


@pytest.mark.parametrize("name", sorted(networks.SMALL))
def test_the_sizes_that_are_declared_are_those_of_what_runs(tmp_path: Path, name: str) -> None:
    """Of every value inside of the graph, as Netron shows them. Oracle: onnxruntime."""
    network = read(tmp_path, networks.SMALL[name](0))
    model = onnx.load(exported(tmp_path, network))
    sizes = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in model.graph.value_info}
    onnx.checker.check_model(model, full_check=True)
    inputs = [torch.from_numpy(each) for each in sample_inputs(network)]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=value) for value in sizes)
    for (value, declared), found in zip(sizes.items(), run(accepted(model), inputs), strict=True):
        assert len(declared) == found.ndim, value
        assert all(size in (0, real) for size, real in zip(declared, found.shape, strict=True)), value
    assert len(sizes) >= len(network.layers) // 2
