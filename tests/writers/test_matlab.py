"""back.mat: what is read back equals the network that was written, and what a file cannot hold is told first."""

from __future__ import annotations

import os
import resource
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat
from torch import nn

import bridge
from bridge.arrays.lazy import Array
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Connection, LayerList, Learnable, Network, make_layer
from bridge.tables.layers import layer_mappings, table, unknown_row
from bridge.training.history import TrainingInfo
from bridge.writers import mat5, mat73, matlab, trial
from bridge.writers.losses import Written
from bridge.writers.values import lowered, number, row
from fixtures import layers as L
from fixtures import mat, networks, onnx
from fixtures.layers import Net
from tests.modules.cases import Case, every_case
from tests.readers.test_structs import NETS, OPTIONS, require_equal

FILES = Path(__file__).parents[2] / "fixtures" / "files"
CASES = every_case()


def read(folder: Path, net: Net) -> Network:
    mat.write(folder / "net.mat", {"net": net})
    return bridge.load(folder / "net.mat")


def back(folder: Path, network: Network, **options: Any) -> Network:
    """The network, written and read back."""
    bridge.export(network, folder / "back.mat", force=True, **{"tell": lambda text: None, "test": False, **options})
    return bridge.load(folder / "back.mat")


def told(folder: Path, network: Network, **options: Any) -> tuple[list[str], Written]:
    """Everything that is told when a network is written, and what was returned."""
    lines: list[str] = []
    written = bridge.export(network, folder / "back.mat", **{"tell": lines.append, "test": False, **options})
    assert lines == [*(f"lost: {each}" for each in written.losses), *(f"note: {each}" for each in written.notes)]
    return [*written.losses, *written.notes], written


# Lossless


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_layer_comes_back_bit_for_bit(case: Case, tmp_path: Path) -> None:
    """Oracle: the network as it was read from MATLAB-shaped objects; factors, initializers, properties, state and ports included.

    Nothing is lost but what bridgeRebuild could make of a class that no function of MATLAB's makes.
    """
    network = read(tmp_path, case.net)
    lines = told(tmp_path, network)[0]
    without = [
        layer
        for layer in network.layers
        if not (layer.row.constructor and layer.row.matlab[0].startswith(("nnet.", "rl.layer.")))
    ]
    assert len(lines) == len(without) and all("refuses its class" in line for line in lines)
    found = bridge.load(tmp_path / "back.mat")
    require_equal(found, network)
    assert [each.initializer for _, _, each in found.learnables()] == [
        each.initializer for _, _, each in network.learnables()
    ]


@pytest.mark.parametrize("make", NETS, ids=[make.__name__ for make in NETS])
def test_networks_come_back_equal(make: Callable[[], Net], tmp_path: Path) -> None:
    network = read(tmp_path, make())
    found = back(tmp_path, network, test=True)
    require_equal(found, network)
    assert found.source.format == "mat v5"


@pytest.mark.parametrize("make", [networks.segnet, networks.lstm_classifier])
def test_networks_come_back_equal_from_version_73(
    make: Callable[[], Net], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The form above MATLAB's limit for version 7, which is lowered here."""
    monkeypatch.setattr(matlab, "LARGEST", 1000)
    network = read(tmp_path, make())
    found = back(tmp_path, network, test=True)
    require_equal(found, network)
    assert found.source.format == "mat v7.3"


@pytest.mark.parametrize(("count", "version"), [(2**29 - 16_000, "v7"), (2**29, "v7.3"), (2**31, "v7.3")])
def test_the_size_is_known_before_anything_is_written(
    count: int, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """2^31 bytes are 2^29 numbers in single precision; none of them is read to tell."""
    called = []
    monkeypatch.setattr(mat5, "write", lambda path, variable: called.append("v7") or path.touch())
    monkeypatch.setattr(mat73, "write", lambda path, variables, size: called.append("v7.3") or path.touch())
    network = read(tmp_path, networks.feature_mlp())
    huge = replace(
        network.layers["fc_"].learnables["Weights"],
        array=Array((16, count // 16), np.dtype(np.float32), pytest.fail, (16, count // 16)),
    )
    told(tmp_path, network.with_layers({"fc_": replace(network.layers["fc_"], learnables={"Weights": huge})}))
    assert called == [version]


def test_a_file_of_bridge_export_keeps_where_it_came_from(tmp_path: Path) -> None:
    network = replace(read(tmp_path, networks.chain_cnn()))
    network = replace(
        network, source=replace(network.source, producer="MATLAB Deep Learning Toolbox 24.2", release="R2024b")
    )
    source = back(tmp_path, network).source
    assert (source.producer, source.release) == ("MATLAB Deep Learning Toolbox 24.2", "R2024b")


EXPORTED = [make for make in NETS if make is not networks.yolov2_network]  # MATLAB exports no detectors


@pytest.mark.parametrize("make", EXPORTED, ids=[make.__name__ for make in EXPORTED])
def test_an_onnx_comes_back_in_matlabs_dimensions(make: Callable[[], Net], tmp_path: Path) -> None:
    """Vectors get the ones that MATLAB puts around them, and a list of one number becomes the number; then nothing changes any more."""
    onnx.write(tmp_path / "net.onnx", make(), "24.2.0")
    network = bridge.load(tmp_path / "net.onnx")
    found = back(tmp_path, network)
    assert found.connections == network.connections and (found.inputs, found.outputs) == (
        network.inputs,
        network.outputs,
    )
    for layer, other in zip(network.layers, found.layers, strict=True):
        assert {
            key: value if value != (other.properties[key],) else value[0] for key, value in layer.properties.items()
        } == dict(other.properties)
        for name, each in layer.learnables.items():
            known = other.learnables[name]
            assert (known.learn_rate_factor, known.l2_factor, known.assumed) == (
                each.learn_rate_factor,
                each.l2_factor,
                each.assumed,
            )
            np.testing.assert_array_equal(known.value.ravel("F"), each.value.ravel("F"), strict=True)
        for name, array in layer.state.items():
            np.testing.assert_array_equal(other.state[name].read().ravel("F"), array.read().ravel("F"), strict=True)
    require_equal(back(tmp_path, found), found)


def test_vectors_lie_along_the_channels(tmp_path: Path) -> None:
    """[1 1 C] among images, [C 1] behind sequences, as MathWorks documents Offset, Scale and Bias."""
    for make, layer, name, size in (
        (networks.chain_cnn, "BN1", "Scale", (1, 1, 8)),
        (networks.lstm_classifier, "lstm_1", "Bias", (32, 1)),
    ):
        onnx.write(tmp_path / "net.onnx", make(), "24.2.0")
        assert back(tmp_path, bridge.load(tmp_path / "net.onnx")).layers[layer].learnables[name].shape == size


def test_layers_made_here_and_not_trained(tmp_path: Path) -> None:
    network = read(tmp_path, networks.chain_cnn())
    network = network.replace(
        "FC", bridge.layers.fully_connected(3, name="new", WeightLearnRateFactor=20, WeightsInitializer="he")
    )
    found = back(tmp_path, network)
    new = found.layers["new"]
    assert (
        new.learnables["Weights"].array.size == 0
        and new.WeightLearnRateFactor == 20
        and new.learnables["Weights"].initializer == "he"
    )


def test_a_class_of_the_users_own_comes_back(tmp_path: Path) -> None:
    network = with_own_layer(tmp_path)
    found = back(tmp_path, network)
    require_equal(found, network)


def with_own_layer(folder: Path) -> Network:
    base = read(folder, networks.feature_mlp())
    last = base.layers[-1]
    arrays = {"Alpha": Learnable(Array.of(np.arange(3, dtype=np.float32).reshape(1, 3)), 2.0, 0.0)}
    own = make_layer(
        unknown_row("my.pkg.GateLayer"),
        "gate",
        {"Rate": 3, "Mode": "soft"},
        arrays,
        {"TrainedMean": Array.of(np.eye(2))},
    )
    return replace(
        base,
        layers=LayerList([*base.layers, own]),
        connections=(*base.connections, Connection(last.name, "gate")),
        outputs=("gate",),
    )


# Options and log


@pytest.mark.parametrize("solver", OPTIONS)
def test_training_options_come_back(solver: str, tmp_path: Path) -> None:
    own, class_name = OPTIONS[solver]
    network = read(tmp_path, networks.feature_mlp())
    schedules = ({"schedule": "WarmupLearnRate", "NumSteps": 3, "FrequencyUnit": "epoch"}, "cosine")
    for schedule in ("none", schedules, schedules[0]):
        options = {
            "class": class_name,
            **own,
            "InitialLearnRate": 0.003,
            "Verbose": True,
            "LearnRateSchedule": schedule,
            "ValidationData": None,
        }
        assert back(tmp_path, replace(network, training_options=options)).training_options == options


ROWS = tuple(
    {"Iteration": k, "Epoch": 1, "BaseLearnRate": 0.1, "TrainingLoss": 2.0 / k, "TrainingRMSE": 2.0} for k in (1, 2, 3)
)
VALIDATED = ({**ROWS[0], "ValidationLoss": 3.0, "ValidationRMSE": 2.5}, *ROWS[1:])


def run_of(network: Network | None, trainer: str) -> TrainingInfo:
    final = {"FinalValidationLoss": 1.5, "FinalValidationRMSE": 1.7}
    return TrainingInfo(
        trainer, ("RMSE",), VALIDATED if network else ROWS, final, 3, "Max epochs completed", (), nn.Identity(), network
    )


def require_same_log(found: Any, expected: Any) -> None:
    assert list(found) == list(expected)
    for name, value in expected.items():
        if isinstance(value, dict):
            require_same_log(found[name], value)
        elif isinstance(value, str):
            assert found[name] == value
        else:
            np.testing.assert_array_equal(found[name], np.atleast_2d(value))


@pytest.mark.parametrize("trainer", ["trainNetwork", "trainnet"])
def test_a_run_goes_with_its_log(trainer: str, tmp_path: Path) -> None:
    """Under MATLAB's field names and in MATLAB's dimensions: rows of trainNetwork, columns of trainnet's tables."""
    info = run_of(read(tmp_path, networks.feature_mlp()), trainer)
    bridge.export(info, tmp_path / "back.mat", tell=print)
    require_same_log(bridge.load(tmp_path / "back.mat").training_info, info.to_matlab())


@pytest.mark.parametrize("trainer", ["trainNetwork"])
def test_a_log_keeps_its_dimensions_through_a_saved_folder(trainer: str, tmp_path: Path) -> None:
    info = run_of(None, trainer)
    network = replace(read(tmp_path, networks.feature_mlp()), training_info=info.to_matlab())
    network.save(tmp_path / "saved")
    require_same_log(back(tmp_path, bridge.load(tmp_path / "saved")).training_info, info.to_matlab())


def test_a_run_without_a_network_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a module alone"):
        bridge.export(run_of(None, "trainnet"), tmp_path / "back.mat")


# What is lost, and what is noted


def test_names_matlab_refuses_are_mapped(tmp_path: Path) -> None:
    network = read(tmp_path, networks.segnet())
    first = network.layers[1]
    renamed = {"inputImage": "block/in", "encoder1_maxpool": "encoder1/pool", first.name: "block_in", "softmax": ""}
    layers = LayerList(replace(layer, name=renamed.get(layer.name, layer.name)) for layer in network.layers)
    connections = tuple(
        replace(c, source=renamed.get(c.source, c.source), destination=renamed.get(c.destination, c.destination))
        for c in network.connections
    )
    outputs = tuple(renamed.get(name, name) for name in network.outputs)
    network = replace(network, layers=layers, connections=connections, inputs=("block/in",), outputs=outputs)
    lines, _ = told(tmp_path, network, test=True)
    new = {"block/in": "block_in_", "encoder1/pool": "encoder1_pool", "": "_"}
    assert [line.partition(":")[0] for line in lines] == [
        f"layer '{old}' becomes '{name}'" for old, name in new.items()
    ]
    found = bridge.load(tmp_path / "back.mat")
    assert found.inputs == ("block_in_",) and found.layers[1].name == "block_in"
    assert Connection("encoder1_pool", "decoder1_unpool", "indices", "indices") in found.connections
    struct = loadmat(tmp_path / "back.mat", struct_as_record=False)["bridge"][0, 0]
    assert [[str(text[0]) for text in pair] for pair in struct.RenamedLayers[:2]] == [
        ["block_in_", "block/in"],
        ["encoder1_pool", "encoder1/pool"],
    ]
    assert struct.TestInput[0, 0][0, 0].Name[0] == "block_in_"


def test_what_is_lost_is_told_before_anything_is_written(tmp_path: Path) -> None:
    class Stop(Exception):
        pass

    def stop(text: str) -> None:
        raise Stop(text)

    with pytest.raises(Stop, match=r"refuses its class my\.pkg\.GateLayer"):
        bridge.export(with_own_layer(tmp_path), tmp_path / "back.mat", tell=stop)
    assert not (tmp_path / "back.mat").exists()


def test_losses(tmp_path: Path) -> None:
    network = read(tmp_path, networks.chain_cnn())
    floor = make_layer(layer_mappings().rows["ClippedReLULayer"], "Relu1", {"Ceiling": 6, "Floor": -1})
    half = replace(
        network.layers["Conv1"], learnables={"Weights": Learnable(Array.of(np.ones((3, 3, 3, 8), np.float16)))}
    )
    odd = replace(network.layers["FC"], properties={**network.layers["FC"].properties, "a.b": 1})
    network = network.with_layers({"Relu1": floor, "Conv1": half, "FC": odd})
    network = replace(
        network,
        detector={"class": "yolov2ObjectDetector", "AnchorBoxes": ((1.0, 2.0),)},
        training_info={"Monitor": object()},
    )
    assert told(tmp_path, network)[0] == [
        "layer 'Conv1' (Convolution2DLayer): the half precision of Weights, which becomes single",
        "layer 'Relu1' (ClippedReLULayer): clippedReluLayer takes no Floor, which is -1",
        "layer 'FC' (FullyConnectedLayer): its property a.b",
        "Monitor of the training log",
        "what the detector has beside its network: AnchorBoxes",
    ]
    found = bridge.load(tmp_path / "back.mat")
    np.testing.assert_array_equal(found.layers["Conv1"].Weights, np.ones((3, 3, 3, 8), np.float32), strict=True)
    with pytest.raises(UnsupportedError, match="Floor, which is -1; .*AnchorBoxes"):
        bridge.export(network, tmp_path / "strict.mat", strict=True)
    assert not (tmp_path / "strict.mat").exists()


def test_strict_writes_what_loses_nothing(tmp_path: Path) -> None:
    require_equal(back(tmp_path, network := read(tmp_path, networks.unet()), strict=True), network)


def test_nodes_that_are_no_matlab_layers_are_refused_together(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "crop")
    onnx.write(tmp_path / "net.onnx", case.net, "24.2.0")
    network = bridge.load(tmp_path / "net.onnx")
    foreign = [layer.name for layer in network.layers if layer.kind.startswith("onnx:")]
    with pytest.raises(UnsupportedError, match=f"{len(foreign)} layer.*'{foreign[0]}' is a onnx:"):
        bridge.export(network, tmp_path / "back.mat")


def test_nan_is_kept_and_noted(tmp_path: Path) -> None:
    network = read(tmp_path, networks.chain_cnn())
    weights = network.layers["FC"].Weights.copy()
    weights[2, 3] = np.nan
    layer = network.layers["FC"]
    learnables = {**layer.learnables, "Weights": replace(layer.learnables["Weights"], array=Array.of(weights))}
    network = network.with_layers({"FC": replace(layer, learnables=learnables)})
    lines, written = told(tmp_path, network, test=True)
    assert lines == ["NaN is kept in Weights of layer 'FC'"] and not written.losses
    np.testing.assert_array_equal(bridge.load(tmp_path / "back.mat").layers["FC"].Weights, weights)


def test_a_network_that_cannot_run_goes_without_a_test(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    layers = (L.imageInputLayer((8, 8, 1), "in", "none"), L.untrained(L.convolution2dLayer(rng, "conv", (3, 3), 1, 4)))
    lines, written = told(tmp_path, read(tmp_path, Net("Layers", layers)), test=True)
    assert (
        len(lines) == 1
        and lines[0].startswith("there is no test input in it: layer 'conv' is not trained")
        and not written.losses
    )


# The test input


def test_the_test_input_is_in_the_range_of_the_statistics(tmp_path: Path) -> None:
    """A mean between 1 and 255 implies pixels 0..255, none of the kind 0..1."""
    (pixels,) = trial.observations(bridge.load(FILES / "signs.mat"))
    assert (
        pixels.shape == (1, 3, 32, 32)
        and pixels.dtype == np.float32
        and 250 < pixels.max() <= 255
        and pixels.min() >= 0
    )
    (steps,) = trial.observations(read(tmp_path, networks.lstm_classifier()))
    assert steps.shape == (1, 7, 4) and 0 <= steps.min() <= steps.max() <= 1


def test_words_are_whole_numbers_of_the_vocabulary(tmp_path: Path) -> None:
    (words,) = trial.observations(read(tmp_path, next(case.net for case in CASES if case.name == "words")))
    assert words.shape == (1, 7, 1) and set(np.unique(words)) <= set(range(1, 8))


def test_a_sequence_is_as_long_as_its_layer_wants(tmp_path: Path) -> None:
    layer = replace(L.sequenceInputLayer(2, "in"), saved=L.sequenceInputLayer(2, "in").saved | {"MinLength": 9.0})
    (steps,) = trial.observations(read(tmp_path, Net("SeriesNetwork", (layer, L.reluLayer("r")))))
    assert steps.shape == (1, 9, 2)


def test_modules_of_the_user_are_run(tmp_path: Path) -> None:
    lines, _ = told(
        tmp_path, with_own_layer(tmp_path), test=True, modules={"my.pkg.GateLayer": lambda layer: nn.Identity()}
    )
    assert len(lines) == 1 and "my.pkg.GateLayer" in lines[0]
    struct = loadmat(tmp_path / "back.mat", struct_as_record=False)["bridge"][0, 0]
    assert struct.TestOutput[0, 0][0, 0].Value.shape == (1, 1)


def test_a_module_that_does_not_run_leaves_the_test_out(tmp_path: Path) -> None:
    lines, _ = told(
        tmp_path, with_own_layer(tmp_path), test=True, modules={"my.pkg.GateLayer": lambda layer: nn.Linear(5, 5)}
    )
    assert "its torch module does not run (mat1 and mat2 shapes cannot be multiplied" in lines[-1]
    assert loadmat(tmp_path / "back.mat", struct_as_record=False)["bridge"][0, 0].TestInput.size == 0


# Constructors


def test_the_exceptions_name_what_the_rows_have() -> None:
    rows, facts = layer_mappings().rows, table("constructors")
    known = {name for row in rows.values() for name in row.properties}
    assert {
        *facts["derived"],
        *facts["later"],
        *facts["columns"],
        *(name for pair in facts["sides"].values() for name in pair),
    } <= known
    for name, own in facts.items():
        if name not in ("derived", "later", "sides", "columns"):
            named = {
                *own.get("derived", ()),
                *own.get("fixed", ()),
                *own.get("last", ()),
                *own.get("instead", {}).values(),
            }
            assert named <= set(rows[name].properties) and set(own) <= {
                "derived",
                "fixed",
                "last",
                "instead",
                "factors",
            }


def test_class_names_given_to_the_network_reach_its_output_layer(tmp_path: Path) -> None:
    network = read(tmp_path, networks.chain_cnn())
    properties = {name: value for name, value in network.layers["Output"].properties.items() if name != "Classes"}
    network = network.with_layers({"Output": replace(network.layers["Output"], properties=properties)})
    back(tmp_path, replace(network, classes=tuple("abcde")))
    struct = loadmat(tmp_path / "back.mat", struct_as_record=False)["bridge"][0, 0]
    arguments = struct.Layers.ravel()[-1][0, 0].Arguments.ravel()
    assert str(arguments[0][0]) == "Classes" and [str(each[0]) for each in arguments[1].ravel()] == list("abcde")


# The containers


TEXTS = st.text(st.characters(min_codepoint=32, max_codepoint=0xD7FF, exclude_characters="\x7f"), max_size=8)
NUMBERS = st.one_of(  # below, a list of anything ends in a text: of numbers alone it would be a row
    st.floats(width=64), st.booleans(), st.lists(st.floats(width=32), min_size=1, max_size=5).map(tuple)
)
TREES = st.recursive(
    st.one_of(TEXTS, NUMBERS),
    lambda inner: st.one_of(
        st.dictionaries(st.sampled_from(["A", "Bc", "D_1", "X" * 63]), inner, max_size=4),
        st.lists(inner, max_size=3).map(lambda items: (*items, "end")),
    ),
    max_leaves=12,
)


def require_as_scipy(found: Any, value: Any, *, tall: bool = False) -> None:
    """Compare a value that scipy read with the plain value that was written."""
    if isinstance(value, dict):
        names = found[0, 0]._fieldnames if value else []
        assert found.shape == (1, 1) and names == list(value)
        for name in names:
            require_as_scipy(getattr(found[0, 0], name), value[name], tall=True)
    elif isinstance(value, str):
        assert (str(found[0]) if found.size else "") == value.rstrip("\0")
    elif isinstance(value, tuple) and not all(isinstance(each, (float, bool)) for each in value):
        assert found.shape == (1, len(value)) and found.dtype == object
        for item, expected in zip(found.ravel(), value, strict=True):
            require_as_scipy(item, expected)
    else:
        expected = np.atleast_2d(np.asarray(value, bool if isinstance(value, bool) else np.float64))
        np.testing.assert_array_equal(
            found.astype(expected.dtype), expected.T if tall and isinstance(value, tuple) else expected
        )


@settings(max_examples=60)
@given(value=st.dictionaries(st.sampled_from(["A", "Bc", "D_1"]), TREES, min_size=1))
def test_scipy_reads_what_version_7_holds(value: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("v7") / "any.mat"
    held = lowered(value)
    assert held is not None
    pieces = mat5.encoded("held", held)
    mat5.write(path, pieces)
    assert path.stat().st_size == len(mat5.HEADER) + mat5.size_of(pieces)
    require_as_scipy(loadmat(path, struct_as_record=False)["held"], value)


@pytest.mark.parametrize("dtype", mat5.NUMERIC)
@pytest.mark.parametrize("shape", [(0, 0), (1, 1), (3, 1), (1, 3), (2, 3, 4), (2, 3, 1, 1), (5,), ()])
def test_numbers_of_every_class_and_size(dtype: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    """Oracle: scipy; read at once or later, in rows, in columns or big-endian."""
    values = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(np.dtype(dtype[0] + dtype[1:]))
    for name, value in {
        "now": values,
        "later": Array.of(values),
        "columns": Array.of(np.asfortranarray(values)),
        "big": Array.of(values.astype(values.dtype.newbyteorder(">"))),
    }.items():
        mat5.write(tmp_path / "n.mat", mat5.encoded(name, value))
        found = loadmat(tmp_path / "n.mat")[name]
        assert found.shape == mat5.dims(shape) and found.dtype == (np.uint8 if dtype == "b1" else np.dtype(dtype))
        np.testing.assert_array_equal(found.ravel("F"), values.ravel("F").astype(found.dtype))


def test_text_beyond_the_first_plane(tmp_path: Path) -> None:
    """Two units of UTF-16 a character, as MATLAB counts; oracle: our own reader, as scipy counts characters."""
    for write in (
        lambda path, value: mat5.write(path, mat5.encoded("t", value)),
        lambda path, value: mat73.write(path, {"t": value}, 0),
    ):
        write(tmp_path / "t.mat", {"A": "a😀ü"})
        from bridge.readers.mat.file import variables

        assert dict(variables(tmp_path / "t.mat")) == {"t": {"A": "a😀ü"}}


def test_version_73_has_the_attributes_of_matlabs_files(tmp_path: Path) -> None:
    """Oracle: the maker of the fixtures, whose layout was held against genuine files; every object has the same attributes."""
    tree = {
        "Text": "ü", "None": "", "Number": np.array([[1.5]]), "Flag": number(True), "Cell": row(["a", "bc"]), "Empty": np.empty((0, 0)), "NoCell": row([]),
        "Struct": {}, "Single": np.ones((2, 3, 4), np.float32), "Inner": {"Layers": row([{"Name": "x"}]).T},
    }  # fmt: skip
    mat73.write(tmp_path / "ours.mat", {"bridge": tree}, 0)  # type: ignore[dict-item]
    mat.write(tmp_path / "fixture.mat", {"bridge": tree}, "v7.3", compress=False)
    ours, expected = described(tmp_path / "ours.mat"), described(tmp_path / "fixture.mat")
    assert ours == expected
    head = (tmp_path / "ours.mat").read_bytes()[:520]
    assert head.startswith(b"MATLAB 7.3 MAT-file") and head[124:128] == b"\0\2IM" and head[512:] == b"\x89HDF\r\n\x1a\n"


def described(path: Path) -> dict[str, Any]:
    """Type, size and attributes of every object below the variable; what references lead to in their place."""
    found: dict[str, Any] = {}

    def add(name: str, item: Any) -> None:
        attributes = {
            key: np.asarray(value).tolist() if key != "MATLAB_fields" else [b"".join(each) for each in value]
            for key, value in item.attrs.items()
        }
        is_data = isinstance(item, h5py.Dataset)
        found[name] = (attributes, (item.shape, str(item.dtype)) if is_data else sorted(item))
        if is_data and item.dtype == h5py.ref_dtype:
            for index, reference in enumerate(item[()].ravel()):
                add(f"{name}{{{index}}}", item.file[reference])
        for key in () if is_data else item:
            add(f"{name}/{key}", item[key])

    with h5py.File(path) as file:
        add("bridge", file["bridge"])
    return found


def test_arrays_are_read_once_and_one_at_a_time(tmp_path: Path) -> None:
    alive: weakref.WeakSet[Any] = weakref.WeakSet()
    most, reads = 0, 0

    def lazy(shape: tuple[int, ...]) -> Array:
        def load() -> Any:
            nonlocal most, reads
            value = np.ones(shape, np.float32).view(Watched)
            alive.add(value)
            most, reads = max(most, len(alive)), reads + 1
            return value

        return Array(shape, np.dtype(np.float32), load, shape)

    network = read(tmp_path, networks.segnet())
    layers = {
        layer.name: replace(
            layer, learnables={name: replace(each, array=lazy(each.shape)) for name, each in layer.learnables.items()}
        )
        for layer in network.layers
    }
    told(tmp_path, network.with_layers(layers))
    assert most <= 2 and reads == len(list(network.learnables()))


class Watched(np.ndarray[Any, Any]):
    """An array that can be weakly referred to and counted."""

    __hash__ = object.__hash__


# Files


def test_existing_files_are_kept(tmp_path: Path) -> None:
    network = read(tmp_path, networks.feature_mlp())
    (tmp_path / "back.mat").write_text("years")
    with pytest.raises(UsageError, match=r"back\.mat exists"):
        bridge.export(network, tmp_path / "back.mat", test=False)
    assert (tmp_path / "back.mat").read_text() == "years" and not (tmp_path / "bridgeRebuild.m").exists()
    assert told(tmp_path, network, force=True)[1].paths == (tmp_path / "back.mat", tmp_path / "bridgeRebuild.m")


def test_the_function_beside_is_written_once(tmp_path: Path) -> None:
    network, function = read(tmp_path, networks.feature_mlp()), tmp_path / "bridgeRebuild.m"
    assert told(tmp_path, network)[1].paths == (tmp_path / "back.mat", function)
    assert function.read_bytes() == (Path(bridge.__file__).parent / "matlab" / "bridgeRebuild.m").read_bytes()
    assert bridge.export(network, tmp_path / "second.mat", test=False) == Written(
        (tmp_path / "second.mat",), "in MATLAB: net = bridgeRebuild('second.mat')"
    )
    function.write_text("% mine")
    lines: list[str] = []
    bridge.export(network, tmp_path / "third.mat", test=False, tell=lines.append)
    assert function.read_text() == "% mine" and len(lines) == 1 and "--force" in lines[0]
    bridge.export(network, tmp_path / "third.mat", test=False, force=True)
    assert function.read_text() != "% mine"


@contextmanager
def full_disk(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as a full disk would."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [100, 4000, 20_000])
def test_a_full_disk_leaves_nothing_behind(size: int, tmp_path: Path) -> None:
    network = read(tmp_path, networks.chain_cnn())
    before = sorted(tmp_path.iterdir())
    with full_disk(size), pytest.raises(UsageError, match=r"cannot write .*back\.mat"):
        bridge.export(network, tmp_path / "back.mat", test=False)
    assert sorted(tmp_path.iterdir()) == before


def test_version_73_asks_for_its_space_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HDF5 cannot close a file once a write has failed."""
    monkeypatch.setattr(matlab, "LARGEST", 1000)
    network = read(tmp_path, networks.chain_cnn())
    before = sorted(tmp_path.iterdir())
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=20_000))
    with pytest.raises(UsageError, match="No space left"):
        bridge.export(network, tmp_path / "back.mat", test=False)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("where", ["nowhere/back.mat", "net.mat/back.mat"])
def test_a_folder_that_is_none(where: str, tmp_path: Path) -> None:
    network = read(tmp_path, networks.feature_mlp())
    with pytest.raises(UsageError, match="cannot write"):
        bridge.export(network, tmp_path / where, test=False)


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="permissions do not bind root, nor on Windows")
def test_a_read_only_folder(tmp_path: Path) -> None:
    network, folder = read(tmp_path, networks.feature_mlp()), tmp_path / "locked"
    folder.mkdir(mode=0o500)
    with pytest.raises(UsageError, match="cannot write"):
        bridge.export(network, folder / "back.mat", test=False)
    assert not list(folder.iterdir())


def test_a_network_may_replace_the_file_it_is_read_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for largest in (2**31, 2000):
        monkeypatch.setattr(matlab, "LARGEST", largest)
        network = back(tmp_path, read(tmp_path, networks.chain_cnn()))
        frozen = network.freeze("Conv1")
        assert back(tmp_path, frozen).layers["Conv1"].WeightLearnRateFactor == 0


def test_the_ending_tells_the_form(tmp_path: Path) -> None:
    network = read(tmp_path, networks.feature_mlp())
    assert bridge.export(network, tmp_path / "BACK.MAT").paths[0] == tmp_path / "BACK.MAT"
    with pytest.raises(UsageError, match="no ending that tells its form"):
        bridge.export(network, tmp_path / "back")
    with pytest.raises(UsageError, match=r"a \.mat file takes no option opset"):
        bridge.export(network, tmp_path / "other.mat", opset=14)
