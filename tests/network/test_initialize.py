"""Values of new layers. Oracles: numpy's MT19937 and QR under documented formulas; values, sizes and initializers in MATLAB's own files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

import bridge
from bridge import layers
from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError
from bridge.network import Layer, Network
from bridge.network.initialize import drawn, shape_of, told
from bridge.network.initializers import INITIALIZERS, initializer_name
from bridge.network.tensors import given_sizes
from bridge.random import MatlabStream
from bridge.tables.layers import layer_mappings, table
from tests.real import REAL, needs_real
from tests.recipes.nets import facts, residual


def behind(given: Layer, layer: Layer, seed: int = 0) -> Layer:
    """Return `layer` initialised behind an input layer."""
    return Network.assemble([given, layer]).initialize(seed).layers[layer.name]


def image(channels: int = 16) -> Layer:
    return layers.image_input([8, 8, channels], name="in", normalization="none")


def flat(values: NDArray) -> NDArray:
    return values.reshape(-1).astype(np.float64)


def test_the_tables_name_initializers_and_learnables_that_there_are() -> None:
    rows = table("random")
    assert set(rows["initializers"]) == set(INITIALIZERS)
    assert all(row["evidence"] in ("P", "L", "U") for row in rows["initializers"].values())
    for kind, names in rows["drawn"].items():
        assert set(names) <= set(layer_mappings().rows[kind].learnables)


def test_recurrent_weights_are_orthogonal_and_the_forget_gate_starts_open() -> None:
    made = behind(layers.sequence_input(3, name="in"), layers.lstm(5, name="x"))
    assert np.allclose(made.RecurrentWeights.T @ made.RecurrentWeights, np.eye(5), atol=1e-6)  # single precision
    assert made.Bias.reshape(4, 5).tolist() == [[0] * 5, [1] * 5, [0] * 5, [0] * 5]
    both = behind(layers.sequence_input(3, name="in"), layers.bilstm(2, name="x"))
    assert both.Bias.reshape(-1).tolist() == [0, 0, 1, 1, 0, 0, 0, 0] * 2
    gru = behind(
        layers.sequence_input(3, name="in"),
        layers.gru(2, name="x", ResetGateMode="recurrent-bias-after-multiplication"),
    )
    assert gru.Bias.shape == (12, 1)


def test_constants_statistics_and_sizes_told_by_the_input() -> None:
    made = behind(image(6), layers.batch_normalization(name="x"))
    assert {name: set(flat(made.learnables[name].value)) for name in ("Scale", "Offset")} == {
        "Scale": {1},
        "Offset": {0},
    }
    assert (set(flat(made.TrainedMean)), set(flat(made.TrainedVariance)), made.TrainedMean.shape) == (
        {0},
        {1},
        (1, 1, 6),
    )
    assert made.NumChannels == 6
    assert flat(behind(image(6), layers.prelu(name="x")).Alpha).tolist() == [0.25]
    assert behind(image(6), layers.fully_connected(2, name="x")).InputSize == 8 * 8 * 6


def uniform(start: int, *shape: int) -> NDArray:
    """2*rand(shape)-1 of rng(0), `start` doubles on, by numpy alone."""
    numbers = np.random.RandomState(5489).random_sample(start + math.prod(shape))[start:]
    return (2 * numbers - 1).reshape(shape, order="F")


def single(values: NDArray) -> NDArray:
    return values.astype(np.float32)


@pytest.mark.parametrize(
    ("layer", "shape", "fans"),
    [
        (layers.fully_connected(20, name="x"), (20, 1024), 1044),
        (layers.convolution2d((3, 5), 32, name="x"), (3, 5, 16, 32), 15 * 48),
        (layers.transposed_conv2d(4, 8, name="x"), (4, 4, 8, 16), 16 * 24),
        (layers.grouped_convolution2d(3, 8, 4, name="x"), (3, 3, 4, 8, 4), 9 * 12),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_glorot_is_the_stream_of_rng_0_column_by_column(layer: Layer, shape: tuple[int, ...], fans: int) -> None:
    assert np.array_equal(behind(image(), layer).Weights, single(math.sqrt(6 / fans) * uniform(0, *shape)))


def test_normal_initializers_are_scaled_randn() -> None:
    normal = MatlabStream(0).randn(3, 3, 16, 32)
    for name, deviation in {"he": math.sqrt(2 / 144), "narrow-normal": 0.01}.items():
        made = behind(image(), layers.convolution2d(3, 32, name="x", WeightsInitializer=name))
        assert np.array_equal(made.Weights, single(deviation * normal))


@pytest.mark.parametrize("kind", ["lstm", "gru", "bilstm"])
def test_a_recurrent_layer_draws_input_weights_then_one_orthogonal_matrix(kind: str) -> None:
    """Oracle: numpy's QR decomposition of the normals that follow the input weights in the stream."""
    made = behind(layers.sequence_input(6, name="in"), getattr(layers, kind)(5, name="x"))
    rows = len(made.InputWeights)
    assert np.array_equal(made.InputWeights, single(math.sqrt(6 / (6 + rows)) * uniform(0, rows, 6)))
    q, r = np.linalg.qr(MatlabStream(0, position=6 * rows).randn(rows, 5))
    np.testing.assert_allclose(made.RecurrentWeights, q * np.sign(np.diag(r)), atol=1e-7)  # single precision


def test_layers_are_drawn_in_topological_order_not_in_that_of_the_list() -> None:
    """Oracle: positions in the stream, as in networks whose second recurrent layer is last in MATLAB's Layers."""
    made = [
        layers.feature_input(4, name="in"),
        layers.fully_connected(3, name="first"),
        layers.fully_connected(2, name="last"),
        layers.fully_connected(5, name="middle"),
    ]
    net = Network.assemble(made, [("in", "first"), ("first", "middle"), ("middle", "last")])
    assert [each.layer for each in drawn(net)] == ["first", "middle", "last"]
    found = net.initialize(0)
    for name, start, shape in (("first", 0, (3, 4)), ("middle", 12, (5, 3)), ("last", 27, (2, 5))):
        assert np.array_equal(found.layers[name].Weights, single(math.sqrt(6 / sum(shape)) * uniform(start, *shape)))


def test_what_has_values_or_constants_draws_nothing() -> None:
    """A new head in a network with values is drawn alone, from wherever the stream is."""
    whole = residual().with_classes(["a", "b", "c"])
    stream = MatlabStream(0, position=100)
    head = whole.initialize(stream).layers[whole.head().layer.name]
    assert np.array_equal(
        head.Weights, single(math.sqrt(6 / sum(head.Weights.shape)) * uniform(100, *head.Weights.shape))
    )
    assert stream.position == 100 + head.Weights.size
    constant = Network.assemble([image(), layers.batch_normalization(name="bn"), layers.prelu(name="p")])
    constant.initialize(stream)
    assert stream.position == 100 + head.Weights.size and not drawn(constant)


def test_a_seed_begins_a_stream_and_a_stream_goes_on() -> None:
    assert facts(residual(1)) == facts(residual(1))
    assert facts(residual(1)) != facts(residual(2))
    net = Network.assemble([image(), layers.convolution2d(3, 4, name="conv")])
    stream = MatlabStream(0)
    first, second = (net.initialize(stream).layers["conv"].Weights for _ in range(2))
    assert np.array_equal(first, net.initialize(0).layers["conv"].Weights) and not np.array_equal(first, second)
    assert stream.position == 2 * first.size


def test_where_initial_values_come_from_is_told_with_its_evidence() -> None:
    net = Network.assemble([image(), layers.convolution2d(3, 4, name="conv"), layers.fully_connected(2, name="fc")])
    assert told(drawn(net), 0) == "initial weights: rng(0), proven"
    assert told(drawn(net), MatlabStream(3, position=1200)) == "initial weights: rng(3) from double 1,200, proven"
    assert told(drawn(net.initialize()), 0) == "initial weights: none drawn"
    likely = Network.assemble([image(), layers.convolution2d(3, 4, name="conv", WeightsInitializer="he")])
    assert told(drawn(likely), 0) == "initial weights: rng(0), likely (conv/Weights)"
    rows = [layers.sequence_input(1, name="in"), layers.word_embedding(3, 5, name="words"), layers.gru(3, name="gru")]
    assert told(drawn(Network.assemble(rows)), 0) == (
        "initial weights: rng(0), unconfirmed (words/Weights, gru/InputWeights, gru/RecurrentWeights)"
    )
    attention = [layers.sequence_input(8, name="in"), layers.self_attention(2, 8, name="sa")]
    assert told(drawn(Network.assemble(attention)), 0) == (
        "initial weights: rng(0), likely (sa/QueryWeights, sa/KeyWeights, sa/ValueWeights and 1 more)"
    )
    wide = layers.lstm(2, name="x", InputWeightsInitializer="orthogonal")
    given = drawn(Network.assemble([layers.sequence_input(30, name="in"), wide]))
    assert [each.evidence for each in given] == ["U", "P"]


def test_the_order_of_branches_is_unconfirmed() -> None:
    """What lies before and behind them is not: branches of uniform weights take as many doubles in any order."""
    made = [
        layers.feature_input(4, name="in"),
        layers.fully_connected(3, name="stem"),
        layers.fully_connected(3, name="left"),
        layers.fully_connected(3, name="right"),
        layers.addition(2, name="add"),
        layers.fully_connected(2, name="head"),
    ]
    links = [
        ("in", "stem"),
        ("stem", "left"),
        ("stem", "right"),
        ("left", "add/in1"),
        ("right", "add/in2"),
        ("add", "head"),
    ]
    net = Network.assemble(made, links)
    assert {each.layer: each.evidence for each in drawn(net)} == {"stem": "P", "left": "U", "right": "U", "head": "P"}
    assert told(drawn(net), 0) == "initial weights: rng(0), unconfirmed (left/Weights, right/Weights)"
    alone = net.replace("right", layers.relu(name="right"))  # which draws nothing
    assert {each.evidence for each in drawn(alone)} == {"P"}


@needs_real
def test_a_network_that_matlab_saved_untrained_is_rng_0_value_by_value() -> None:
    """Oracle: MATLAB's file, made after rng(0); bit for bit but for the orthogonal matrices (another LAPACK)."""
    saved = bridge.load(REAL / "mat" / "untrained_lstm_dlnetwork_rng0.mat")
    made = Network.assemble(
        [
            layers.sequence_input(1, name="sequence"),
            layers.lstm(200, name="lstm", OutputMode="sequence", BiasInitializer="narrow-normal"),
            layers.dropout(0.2, name="dropout_1"),
            layers.lstm(100, name="lstm_1", OutputMode="sequence"),
            layers.fully_connected(10, name="fc"),
        ]
    ).initialize(0)
    compared = 0
    for layer, name, each in saved.learnables():
        found = made.layers[layer.name].learnables[name].value
        np.testing.assert_allclose(found, each.value, rtol=0, atol=1e-7 if name == "RecurrentWeights" else 0)
        compared += each.value.size
    assert compared == 282_600 + 410  # drawn, and constant


def test_values_that_are_there_stay() -> None:
    net = residual()
    assert net.initialize(9) is net


def test_a_word_embedding_has_a_column_for_unknown_words() -> None:
    assert behind(layers.sequence_input(1, name="in"), layers.word_embedding(3, 5, name="x")).Weights.shape == (3, 6)


def test_what_cannot_be_told_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is no initializer"):
        initializer_name("my.function")
    row = """[Swirl]
matlab = "my.Swirl"
constructor = "swirlLayer"
[Swirl.learnables.Turns]
torch = "turns"
matlab_axes = "c"
torch_axes = "c"
learn_rate = "TurnsLearnRateFactor"
l2 = "TurnsL2Factor"
"""
    (tmp_path / "mine.toml").write_text(row)
    swirl = layers.constructor(layer_mappings().extended(tmp_path / "mine.toml").rows["Swirl"])
    with pytest.raises(UsageError, match="Turns of layer 'x'"):
        behind(image(), swirl(name="x"))
    assert behind(image(2), swirl(name="x", Turns=[1, 2])).Turns.tolist() == [1, 2]


NETWORKS = (
    "bilstm_layers_untrained_2022", "fault_lstm_R2020a", "lstm_projected_with_options_R2022b", "recycling_R2024b", "segnet_R2020b",
    "squeezenet_transfer_with_info_2022",
)  # fmt: skip


@needs_real
@pytest.mark.parametrize("name", NETWORKS)
def test_sizes_and_initializers_are_those_of_files_that_matlab_wrote(name: str) -> None:
    """Oracle: the size of every learnable in the file, and the initializer it names for each."""
    net = bridge.load(REAL / "mat" / f"{name}.mat")
    for layer, learnable, each in net.learnables():
        assert each.array.size == 0 or shape_of(layer, learnable, given_sizes(net, layer)) == each.shape
        assert initializer_name(each.initializer or "") == layer.row.learnables[learnable].initializer


@needs_real
def test_untrained_layers_from_matlab_become_a_network() -> None:
    net = bridge.load(REAL / "mat" / "bilstm_layers_untrained_2022.mat").initialize(0)
    channels = net.sizes[net.inputs[0]][0].channels
    out = net.to_torch()(torch.zeros(2, 5, channels or 1))
    assert out.shape[-1] == net.sizes[net.outputs[0]][0].channels


@needs_real
@pytest.mark.parametrize(
    ("file", "layer", "deviation"),
    [
        ("recycling_R2024b", "conv_3", math.sqrt(2 / (9 * (16 + 32)))),
        ("yolov2_detector_2022", "yolov2Conv2", 0.01),
    ],
)
def test_little_trained_weights_keep_the_deviation_they_began_with(file: str, layer: str, deviation: float) -> None:
    """Oracle: weights that MATLAB initialised by glorot and narrow-normal and trained little; training moved the deviation by under 5 %."""
    assert bridge.load(REAL / "mat" / f"{file}.mat").layers[layer].Weights.std() == pytest.approx(deviation, rel=0.05)
