"""Constructors of layers: MATLAB's names, arguments, defaults and factors; bad input. Oracle of the defaults: layers that MATLAB made."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bridge
from bridge import layers
from bridge.errors import UsageError
from bridge.network import Layer
from bridge.networks import BUILDERS, architecture
from bridge.tables.layers import LayerRow, layer_mappings
from tests.real import REAL, needs_real

FILES = Path(__file__).parents[2] / "fixtures" / "files"
ROWS = [row for row in layer_mappings() if row.constructor]


def arguments(row: LayerRow) -> list[Any]:
    """Return values for the arguments of a constructor."""
    values: dict[str, Any] = {
        "Mode": "centercrop",
        "Index": "last",
        "Probability": 0.3,
        "Ceiling": 6,
        "Scale": 0.1,
        "Alpha": 1,
        "AnchorBoxes": [[16, 16], [32, 16]],
    }
    return [values.get(name, 2) for name in row.arguments]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_its_constructor(row: LayerRow) -> None:
    made = getattr(layers, layers.python_name(row))(*arguments(row), name="one")
    assert (made.name, made.kind, made.row) == ("one", row.name, row)
    assert all(made.learnables[name].array.size == 0 for name in row.learnables)
    factors = {name: (each.learn_rate_factor, each.l2_factor) for name, each in made.learnables.items()}
    assert factors == {name: (1, 0 if name.endswith("Bias") else 1) for name in row.learnables}  # documented


DOCUMENTED: dict[str, tuple[Callable[[], Layer], dict[str, Any]]] = {
    "convolution2dLayer": (lambda: layers.convolution2d(3, 8), {"Stride": (1, 1), "DilationFactor": (1, 1), "PaddingSize": (0, 0, 0, 0)}),
    "transposedConv2dLayer": (lambda: layers.transposed_conv2d(3, 8), {"Stride": (1, 1), "CroppingSize": (0, 0, 0, 0)}),
    "batchNormalizationLayer": (layers.batch_normalization, {"Epsilon": 1e-5, "MeanDecay": 0.1, "VarianceDecay": 0.1}),
    "layerNormalizationLayer": (layers.layer_normalization, {"Epsilon": 1e-5}),
    "groupNormalizationLayer": (lambda: layers.group_normalization(2), {"Epsilon": 1e-5}),
    "instanceNormalizationLayer": (layers.instance_normalization, {"Epsilon": 1e-5}),
    "crossChannelNormalizationLayer": (lambda: layers.cross_channel_normalization(5), {"Alpha": 1e-4, "Beta": 0.75, "K": 2}),
    "leakyReluLayer": (layers.leaky_relu, {"Scale": 0.01}),
    "eluLayer": (layers.elu, {"Alpha": 1}),
    "dropoutLayer": (layers.dropout, {"Probability": 0.5}),
    "maxPooling2dLayer": (lambda: layers.max_pooling2d(2), {"Stride": (1, 1), "HasUnpoolingOutputs": False}),
    "averagePooling2dLayer": (lambda: layers.average_pooling2d(2), {"Stride": (1, 1), "PaddingValue": 0}),
    "lstmLayer": (lambda: layers.lstm(3), {"OutputMode": "sequence"}),
    "gruLayer": (lambda: layers.gru(3), {"OutputMode": "sequence", "ResetGateMode": "after-multiplication"}),
    "imageInputLayer": (lambda: layers.image_input([4, 4, 1]), {"Normalization": "zerocenter"}),
    "sequenceInputLayer": (lambda: layers.sequence_input(3), {"Normalization": "none"}),
    "featureInputLayer": (lambda: layers.feature_input(3), {"Normalization": "none"}),
}  # fmt: skip


@pytest.mark.parametrize("constructor", DOCUMENTED)
def test_defaults_are_those_of_matlabs_documentation(constructor: str) -> None:
    """Oracle: the pages of the constructors; K of crossChannelNormalizationLayer and the Scale of leakyReluLayer from files too."""
    make, expected = DOCUMENTED[constructor]
    made = make()
    assert {name: made.properties[name] for name in expected} == expected


def test_names_are_matlabs_in_snake_case() -> None:
    names = {row.constructor: layers.python_name(row) for row in ROWS}
    assert names["fullyConnectedLayer"] == "fully_connected"
    assert names["convolution2dLayer"] == "convolution2d"
    assert names["globalAveragePooling2dLayer"] == "global_average_pooling2d"
    assert names["transposedConv2dLayer"] == "transposed_conv2d"
    assert len(set(names.values())) == len(names)
    assert {"relu", "softmax", "classification", "batch_normalization"} <= set(dir(layers))


def test_properties_take_any_case_and_matlabs_order() -> None:
    made = layers.fully_connected(
        5, name="fc_new", weightlearnratefactor=20, BIASLEARNRATEFACTOR=10, Weightl2Factor=0.5
    )
    assert (made.name, made.OutputSize) == ("fc_new", 5)
    assert (made.WeightLearnRateFactor, made.BiasLearnRateFactor, made.WeightL2Factor, made.BiasL2Factor) == (
        20,
        10,
        0.5,
        0,
    )
    assert layers.fully_connected(OutputSize=5, Name="fc").name == "fc"
    grouped = layers.grouped_convolution2d(3, 8, 2)
    assert (grouped.FilterSize, grouped.NumFiltersPerGroup, grouped.NumGroups) == ((3, 3), 8, 2)


@pytest.mark.parametrize(
    ("padding", "mode", "size"),
    [
        ("same", "same", (0, 0, 0, 0)),
        (1, "manual", (1, 1, 1, 1)),
        ([1, 2], "manual", (1, 1, 2, 2)),
        ([0, 1, 0, 1], "manual", (0, 1, 0, 1)),
        ([[0, 2], [1, 3]], "manual", (0, 1, 2, 3)),
    ],
)
def test_padding_has_matlabs_forms(padding: Any, mode: str, size: tuple[int, ...]) -> None:
    """[a b] pads top and bottom by a, left and right by b; a matrix has top and left in its first row (documented)."""
    made = layers.convolution2d(3, 8, Padding=padding)
    assert (made.PaddingMode, made.PaddingSize) == (mode, size)
    assert layers.transposed_conv2d(4, 8, Cropping=padding).properties["CroppingMode"] == mode


def test_scalars_count_for_every_dimension() -> None:
    made = layers.convolution3d(3, 4, Stride=2)
    assert (made.FilterSize, made.Stride, made.DilationFactor) == ((3, 3, 3), (2, 2, 2), (1, 1, 1))
    assert layers.max_pooling1d(2, stride=2).Stride == 2
    assert layers.convolution1d(3, 4, padding="causal").PaddingMode == "causal"


def test_arrays_and_numpy_numbers_become_plain_ones_column_by_column() -> None:
    """A matrix is flat as in a network that was read, so that it is written and saved alike."""
    made = layers.yolov2_output([[16, 32], [8, 24]], name="out", LossFactors=np.array([5, 1, 1, 1]))
    assert (made.AnchorBoxes, made.LossFactors) == ((16, 8, 32, 24), (5, 1, 1, 1))
    conv = layers.convolution2d(np.array([3, 5]), np.int64(4), Stride=np.int32(2), Padding=np.array([[1, 2], [3, 4]]))
    assert (conv.FilterSize, conv.NumFilters, conv.Stride, conv.PaddingSize) == ((3, 5), 4, (2, 2), (1, 3, 2, 4))
    assert all(type(n) is int for n in (*conv.FilterSize, conv.NumFilters, *conv.Stride, *made.LossFactors))


@pytest.mark.parametrize(("groups", "count"), [("all-channels", 1), ("channel-wise", 6), (3, 3)])
def test_groups_of_a_normalization_by_their_word(groups: str | int, count: int) -> None:
    input_layer = layers.image_input([4, 4, 6], name="in", Normalization="none")
    model = bridge.Network.assemble([input_layer, layers.group_normalization(groups, name="g")]).initialize().to_torch()
    assert model.get_submodule("g").num_groups == count


def test_ports_follow_the_properties() -> None:
    assert layers.addition(3).inputs == ("in1", "in2", "in3")
    assert layers.depth_concatenation().inputs == ("in1", "in2")
    assert layers.max_pooling2d(2, HasUnpoolingOutputs=True).outputs == ("out", "indices", "size")


def test_arrays_get_the_size_matlab_gives_them() -> None:
    made = layers.convolution2d(1, 2, Weights=np.ones((1, 1, 3, 2)), Bias=[4, 5])
    assert (made.Weights.shape, made.Bias.shape, made.Weights.dtype) == ((1, 1, 3, 2), (1, 1, 2), np.float32)
    assert made.Bias.reshape(-1).tolist() == [4, 5]
    assert layers.image_input([8, 8, 3], Mean=np.zeros((1, 1, 3))).state["Mean"].shape == (1, 1, 3)


def test_gates_have_a_factor_each() -> None:
    made = layers.lstm(3, InputWeightsLearnRateFactor=[1, 2, 3, 4], BiasLearnRateFactor=2)
    assert made.InputWeightsLearnRateFactor == (1, 2, 3, 4)
    assert made.BiasLearnRateFactor == 2
    assert len(layers.bilstm(3, BiasL2Factor=[1] * 8).BiasL2Factor) == 8


def test_constructors_document_themselves() -> None:
    text = layers.lstm.__doc__ or ""
    assert "lstmLayer(NumHiddenUnits)" in text
    assert "RecurrentWeightsInitializer = orthogonal" in text
    assert layers.lstm.__name__ == "lstm"


def test_a_row_of_ones_own_gets_a_constructor(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(
        '[Swirl]\nmatlab = "my.Swirl"\nconstructor = "swirlLayer"\narguments = ["Turns"]\n[Swirl.properties]\nTurns = {}\n'
    )
    made = layers.constructor(layer_mappings().extended(tmp_path / "mine.toml").rows["Swirl"])(3, name="swirl")
    assert (made.kind, made.Turns) == ("Swirl", 3)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: layers.fully_connected(), "needs OutputSize"),
        (lambda: layers.fully_connected("five"), "whole numbers"),
        (lambda: layers.fully_connected(0), "whole numbers"),
        (lambda: layers.fully_connected(True), "whole numbers"),
        (lambda: layers.fully_connected(2.5), "whole numbers"),
        (lambda: layers.fully_connected(5, 6), "2 arguments by position"),
        (lambda: layers.fully_connected(5, outputsize=6), "OutputSize of fullyConnectedLayer is given twice"),
        (lambda: layers.fully_connected(5, Bias=[1], bias=[1]), "Bias of fullyConnectedLayer is given twice"),
        (lambda: layers.fully_connected(5, WeightLearnRateFctor=2), "WeightLearnRateFactor"),
        (lambda: layers.fully_connected(5, WeightLearnRateFactor=-1), "is no factor"),
        (lambda: layers.fully_connected(5, WeightLearnRateFactor="fast"), "is no factor"),
        (lambda: layers.fully_connected(5, WeightLearnRateFactor=float("nan")), "is no factor"),
        (lambda: layers.fully_connected(5, WeightLearnRateFactor=[1, 2]), "it takes one number"),
        (lambda: layers.lstm(5, BiasLearnRateFactor=[1, 2, 3]), "one for each gate"),
        (lambda: layers.fully_connected(5, WeightsInitializer="glorott"), "glorot"),
        (lambda: layers.fully_connected(5, Weights="many"), "array of numbers"),
        (lambda: layers.convolution2d(3, 8, Padding=[1, 2, 3]), "one number, 2 or 4"),
        (lambda: layers.convolution2d(3, 8, Padding=-1), "whole numbers from 0"),
        (lambda: layers.convolution2d(3, 8, Stride=0), "whole numbers from 1"),
        (lambda: layers.grouped_convolution2d(3, 8, "each"), "channel-wise"),
        (lambda: layers.relu(3), "names only"),
    ],
)
def test_bad_input_is_refused(make: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        make()
    assert caught.value.cause and caught.value.hint


def test_an_unknown_constructor_names_the_nearest() -> None:
    with pytest.raises(AttributeError, match="fully_connected"):
        layers.fully_conected(5)
    assert bridge.layers is layers


def same_layer(made: Layer, read: Layer) -> dict[str, tuple[Any, Any]]:
    """Return the properties and factors in which two layers differ; what only training fills in is left out."""
    filled = {"NumChannels", "NumTrainingSamples", "IsMovingAverageMode", "InputSize", "OutputSize", "ResponseNames"}
    found = {
        key: (made.properties.get(key), value)
        for key, value in read.properties.items()
        if key not in filled and made.properties.get(key) != value
    }
    for name, each in read.learnables.items():
        mine = made.learnables[name]
        if (mine.learn_rate_factor, mine.l2_factor) != (each.learn_rate_factor, each.l2_factor):
            found[name] = (mine.learn_rate_factor, each.learn_rate_factor)
    return found


@needs_real
@pytest.mark.parametrize(
    ("file", "name", "make"),
    [
        ("traffic_light_R2020b", "Conv1", lambda: layers.convolution2d(3, 8, Padding="same")),
        ("traffic_light_R2020b", "BN1", lambda: layers.batch_normalization()),
        ("traffic_light_R2020b", "MaxPool1", lambda: layers.max_pooling2d(2, Stride=2)),
        ("traffic_light_R2020b", "FC", lambda: layers.fully_connected(5)),
        ("fault_lstm_R2020a", "lstm_1", lambda: layers.lstm(100)),
        ("regression_cnn_2026", "regressionoutput", lambda: layers.regression()),
    ],
)
def test_defaults_are_those_of_layers_that_matlab_made(file: str, name: str, make: Any) -> None:
    """Oracle: the layer in a file that MATLAB wrote, made with these arguments and nothing else."""
    read = bridge.load(REAL / "mat" / f"{file}.mat").layers[name]
    ignored = {"PaddingSize"} if read.properties.get("PaddingMode") == "same" else set()
    assert {key: value for key, value in same_layer(make(), read).items() if key not in ignored} == {}


@pytest.mark.parametrize("name", sorted(BUILDERS))
def test_a_layer_as_a_recipe_holds_it_makes_the_same_layer(name: str) -> None:
    """`from_mapping` turns `to_mapping` back: kind, properties, factors and initializers, whatever the layer."""
    for layer in architecture(name).layers:
        back = layers.from_mapping(layers.to_mapping(layer))
        sides = {key: value for key, value in layer.properties.items() if key not in ("NumClasses", "Classes")}
        assert {key: back.properties[key] for key in sides} == sides, layer
        told = (
            {key: (each.learn_rate_factor, each.l2_factor, each.initializer) for key, each in made.learnables.items()}
            for made in (layer, back)
        )
        assert next(told) == next(told) and (back.name, back.kind) == (layer.name, layer.kind)


SET = {
    "a number": ("Stride", 2, {"Stride": (2, 2)}),
    "a word for the sides": ("Padding", "same", {"PaddingMode": "same"}),
    "numbers for the sides": ("Padding", 1, {"PaddingMode": "manual", "PaddingSize": (1, 1, 1, 1)}),
}


@pytest.mark.parametrize("form", SET)
def test_a_property_set_later(form: str) -> None:
    name, value, properties = SET[form]
    layer = layers.with_property(layers.convolution2d(3, 8, name="conv"), name, value)
    assert {key: layer.properties[key] for key in properties} == properties
    assert layers.shown(layer, name) in (value, (value,) * 2, (value,) * 4)


def test_ports_follow_a_property() -> None:
    added = layers.with_property(layers.addition(2, name="add"), "NumInputs", 3)
    assert added.inputs == ("in1", "in2", "in3")


def test_factors_and_initializers_set_later() -> None:
    layer = layers.convolution2d(3, 8, name="conv")
    layer = layers.with_property(layer, "BiasL2Factor", 2)
    layer = layers.with_property(layer, "WeightsInitializer", "he")
    assert layer.learnables["Bias"].l2_factor == 2 and layer.learnables["Weights"].initializer == "he"
    with pytest.raises(UsageError, match="no factor"):
        layers.with_property(layer, "WeightLearnRateFactor", -1)
    with pytest.raises(UsageError, match="Stride"):
        layers.with_property(layer, "Stride", 1.5)
