"""Values of new layers. Oracles: documented formulas, scipy's Kolmogorov-Smirnov test, sizes and initializers in MATLAB's own files."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

import bridge
from bridge import layers
from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError
from bridge.network import Layer, Network
from bridge.network.initialize import initializer_name, shape_of
from bridge.network.tensors import given_sizes
from bridge.tables.layers import layer_mappings
from tests.real import REAL, needs_real
from tests.recipes.nets import facts, residual

UNLIKELY = 1e-3  # of a sample that follows its distribution; the samples are fixed by their seeds


def behind(given: Layer, layer: Layer, seed: int = 0) -> Layer:
    """Return `layer` initialised behind an input layer."""
    return Network.assemble([given, layer]).initialize(seed).layers[layer.name]


def image(channels: int = 16) -> Layer:
    return layers.image_input([8, 8, channels], name="in", normalization="none")


def flat(values: NDArray) -> NDArray:
    return values.reshape(-1).astype(np.float64)


@pytest.mark.parametrize(
    ("layer", "inputs", "outputs"),
    [
        (layers.convolution2d((3, 5), 32, name="x"), 15 * 16, 15 * 32),
        (layers.transposed_conv2d(4, 8, name="x"), 16 * 16, 16 * 8),
        (layers.grouped_convolution2d(3, 8, 4, name="x"), 9 * 4, 9 * 8),
        (layers.fully_connected(20, name="x"), 8 * 8 * 16, 20),
    ],
    ids=lambda value: getattr(value, "kind", str(value)),
)
def test_glorot_is_uniform_within_its_bound(layer: Layer, inputs: int, outputs: int) -> None:
    """sqrt(6 / (inputs + outputs)), a convolution counting its filter size in both (documented)."""
    bound = math.sqrt(6 / (inputs + outputs))
    values = flat(behind(image(), layer).Weights)
    assert np.abs(values).max() <= bound
    assert stats.kstest(values, stats.uniform(-bound, 2 * bound).cdf).pvalue > UNLIKELY


def test_he_and_narrow_normal_are_normal() -> None:
    he = flat(behind(image(), layers.convolution2d(3, 32, name="x", WeightsInitializer="he")).Weights)
    narrow = flat(behind(image(), layers.convolution2d(3, 32, name="x", WeightsInitializer="narrow-normal")).Weights)
    assert stats.kstest(he, stats.norm(0, math.sqrt(2 / (9 * 16))).cdf).pvalue > UNLIKELY
    assert stats.kstest(narrow, stats.norm(0, 0.01).cdf).pvalue > UNLIKELY


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


def test_values_are_a_function_of_seed_and_name_alone() -> None:
    assert facts(residual(1)) == facts(residual(1))
    assert facts(residual(1)) != facts(residual(2))
    alone = Network.assemble([image(), layers.convolution2d(3, 4, name="conv")]).initialize(0)
    among = Network.assemble(
        [image(), layers.convolution2d(3, 16, name="other"), layers.convolution2d(3, 4, name="conv")]
    ).initialize(0)
    assert np.array_equal(alone.layers["conv"].Weights, among.layers["conv"].Weights)
    assert not np.array_equal(among.layers["other"].Weights[..., :4], among.layers["conv"].Weights)


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
