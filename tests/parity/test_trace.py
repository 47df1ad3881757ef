"""Where first weights came from. Oracles: seeds and positions that networks are drawn from here; places in real files that
follow from one another: arrays in a row, draws in whole permutations."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
import torch

import bridge
from bridge import layers
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Network
from bridge.parity.conclusions import conclusions, span_of
from bridge.parity.trace import FALSE_ALARM, trace
from bridge.random import MatlabStream
from bridge.random.matched import Numbers, deviations
from tests.real import REAL, needs_real
from tests.shell import Command

DOUBLES = 1_200_000  # of each stream that the networks made here are looked for in


def network(classes: int = 3) -> Network:
    """A convolutional and a recurrent network's layers, of all initializers."""
    return Network.assemble(
        [
            layers.sequence_input(12, name="in"),
            layers.convolution1d(5, 16, name="conv", Padding="same"),
            layers.batch_normalization(name="bn"),
            layers.lstm(24, name="lstm", OutputMode="last", BiasInitializer="narrow-normal"),
            layers.fully_connected(20, name="fc1", WeightsInitializer="he"),
            layers.relu(name="relu"),
            layers.fully_connected(classes, name="fc2"),
        ]
    )


def places(found: bridge.parity.trace.Trace) -> dict[str, tuple[int | None, int | None]]:
    return {f"{each.layer}/{each.learnable}": (each.begin, each.end) for each in found.origins}


def trained(net: Network, noise: float, seed: int = 0) -> Network:
    """Return a network whose weights have moved: decayed, and by so much of their deviation in any direction."""
    rng = np.random.default_rng(seed)
    model = net.to_torch()
    with torch.no_grad():
        for parameter in model.parameters():
            moved = torch.from_numpy(rng.normal(size=parameter.shape)).float() * parameter.std(correction=0) * noise
            parameter.mul_(0.97).add_(moved)
    return net.with_weights(model)


@pytest.mark.parametrize(("seed", "position"), [(0, 0), (0, 1_000_003), (5, 777), (42, 12_345)])
def test_seed_and_places_of_a_network_are_found(seed: int, position: int) -> None:
    """Every array lies where it was drawn, to the double, also after random steps as large as the weights."""
    stream = MatlabStream(seed, position=position)
    net = trained(network().initialize(stream), noise=0.5)
    found = trace(net, [1, seed], DOUBLES)
    assert found.seed == seed
    assert [each.place for each in found.origins if each.place != "found"] in ([], ["beside"], ["beside"] * 2)
    ends = [0, *(each.end for each in found.origins)]
    assert [each.begin for each in found.origins] == [position, *ends[1:-1]]
    assert ends[-1] == stream.position
    assert [each.initializer for each in found.origins] == [
        "glorot", "glorot", "orthogonal", "narrow-normal", "he", "glorot",
    ]  # fmt: skip


def test_a_network_that_was_trained_here_is_found() -> None:
    options = bridge.training_options("adam", MaxEpochs=30, MiniBatchSize=16, Verbose=False, InitialLearnRate=0.01)
    rng = np.random.default_rng(1)
    data = [rng.normal(size=(12, 30)).astype(np.float32) for _ in range(32)]
    net = Network.assemble(
        [*network().layers, layers.softmax(name="softmax"), layers.classification(name="out", Classes=["a", "b", "c"])]
    )
    info = bridge.train(net.initialize(3), (data, ["abc"[index % 3] for index in range(32)]), options)
    assert info.network is not None
    found = trace(info.network, [2, 3], DOUBLES)
    assert found.seed == 3 and len(found.placed) >= 5
    assert places(found)["conv/Weights"] == (0, 960)


def test_what_is_too_far_trained_lies_between_others_or_beside_them() -> None:
    net = network().initialize(0)
    other = np.random.default_rng(0).normal(size=(20, 24)).astype(np.float32)
    changed = net.replace("fc1", layers.fully_connected(20, name="fc1", Weights=other, Bias=np.zeros(20)))
    found = {each.layer + each.learnable: each for each in trace(changed, [0], 100_000).origins}
    assert found["fc1Weights"].place == "between"
    assert (found["fc1Weights"].begin, found["fc1Weights"].end) == (found["lstmBias"].end, found["fc2Weights"].begin)


def test_a_new_head_is_found_alone_and_frozen_layers_are_named() -> None:
    pretrained = network().initialize(1)
    stream = MatlabStream(0, position=500)
    whole = pretrained.freeze(pretrained.layers[:4]).replace("fc2", layers.fully_connected(9, name="new"))
    found = trace(whole.initialize(stream), [0], 10_000)
    assert places(found)["new/Weights"] == (500, 680)
    told = conclusions(found)
    assert "frozen, and not of this stream: conv/Weights, lstm/InputWeights, lstm/RecurrentWeights, lstm/Bias" in told
    assert "not of this stream, or trained too far: fc1/Weights" in told
    assert "500 doubles were drawn before the weights: by data, a split (randperm(500) draws as many), or runs" in told


def test_earlier_runs_are_told() -> None:
    """Three runs of one script in a session, with 40 observations that are shuffled once each."""
    chain = Network.assemble(
        [layers.feature_input(30, name="in"), layers.fully_connected(20, name="a"), layers.fully_connected(8, name="b")]
    )
    stream = MatlabStream(0)
    for _ in range(3):
        net = chain.initialize(stream)
        stream.randperm(40)
    found = trace(net, [0], 20_000)
    assert places(found) == {"a/Weights": (2 * 800, 2 * 800 + 600), "b/Weights": (2 * 800 + 600, 3 * 800 - 40)}
    assert (
        "earlier runs of the same script fit: 2 with 40, or 1 with 840 doubles after the weights of each "
        "(Shuffle 'once' draws one for each observation)"
    ) in conclusions(found)
    assert conclusions(trace(chain.initialize(0), [0], 20_000))[2] == "nothing was drawn before the weights"


def test_a_hundred_layers_of_other_numbers_give_no_false_hit() -> None:
    """Uniform, normal, heavy-tailed and constant-sign values of many sizes, and values of another seed."""
    rng = np.random.default_rng(0)
    kinds = [
        lambda shape: rng.uniform(-1, 1, shape), lambda shape: rng.normal(size=shape),
        lambda shape: rng.standard_cauchy(shape), lambda shape: rng.exponential(size=shape),
        lambda shape: 2 * MatlabStream(77).rand(*shape) - 1,
    ]  # fmt: skip
    draw = itertools.cycle(kinds)
    for _ in range(2):  # networks of 50 layers, all of which are looked for everywhere
        made = [layers.feature_input(20, name="in")]
        made += [
            layers.fully_connected(20, name=f"fc{index}", Weights=next(draw)((20, 20)), Bias=np.zeros(20))
            for index in range(50)
        ]
        found = trace(Network.assemble(made), [0], DOUBLES)
        assert found.seed is None and not found.placed and len(found.origins) == 50
        assert "none of 50 arrays is found among the first 1,200,000 doubles" in conclusions(found)[0]


def test_the_limit_is_sure() -> None:
    """Oracle: the tail of the normal distribution lies below the bound that the limit is made of, and so do uniform sums."""
    assert deviations(10**7 * 101, FALSE_ALARM) > 8
    numbers = Numbers(0, 300_000)
    rng = np.random.default_rng(0)
    peaks = numbers.best([rng.standard_cauchy(500) for _ in range(20)])
    assert max(peak.sigma for both in peaks for peak in both) < deviations(300_000 * 40, FALSE_ALARM)


def test_bad_calls_are_told(command: Command, tmp_path: Path) -> None:
    net = network().initialize(0)
    with pytest.raises(UsageError, match="nothing is searched"):
        trace(net, [])
    with pytest.raises(UnsupportedError, match="it has no values"):
        trace(network())
    small = Network.assemble([layers.feature_input(2, name="in"), layers.fully_connected(2, name="fc")])
    with pytest.raises(UnsupportedError, match="cannot be traced"):
        trace(small.initialize(0))
    folder = net.save(tmp_path / "net")
    for wrong in (
        ("--seeds", "3-"),
        ("--seeds", "x"),
        ("--seeds", "5-2"),
        ("--seeds", "4294967296"),
        ("--doubles", "0"),
    ):
        assert command("trace", folder, *wrong).code == 2
    assert command("trace", tmp_path / "nothing.mat").code == 2


def test_the_command_prints_places_and_json(command: Command, tmp_path: Path) -> None:
    folder = network().initialize(MatlabStream(0, position=25)).save(tmp_path / "net")
    ran = command("trace", folder, "--seeds", "0", "--doubles", "100000")
    assert ran.code == 0 and "the stream is that of rng(0): a fresh session, or rng default" in ran.out
    facts = json.loads(command("trace", folder, "--seeds", "0-3", "--doubles", "100000", "--json").out)
    assert (facts["schema"], facts["seed"], facts["seeds"]) == ("bridge.trace/1", 0, [0])
    assert facts["origins"][0] | {"sigma": 0, "correlation": 0, "scale": 0} == {
        "layer": "conv", "learnable": "Weights", "size": [5, 12, 16], "frozen": False, "place": "found", "begin": 25,
        "end": 985, "kind": "rand", "sigma": 0, "correlation": 0, "initializer": "glorot", "scale": 0,
    }  # fmt: skip
    assert facts["origins"][0]["scale"] == pytest.approx(1, abs=1e-6)


# Real files: their places agree with one another, which chance does not give.


@needs_real
@pytest.mark.parametrize(
    ("file", "begin", "end", "count"),
    [
        ("untrained_lstm_dlnetwork_rng0", 0, 287_155, 6),
        ("recycling_R2024b", 4_752, 236_520, 4),
        ("feature_dlnetwork_R2025a", 0, 768, 2),
        ("segnet_R2020b", 0, 381_470, 12),
        ("traffic_light_R2020b", 0, 28_248, 5),
        ("yolov2_detector_2022", 353, 404_243, 7),
    ],
)
def test_real_networks_of_fresh_sessions(file: str, begin: int, end: int, count: int) -> None:
    found = trace(bridge.load(REAL / "mat" / f"{file}.mat"), [0], 1_000_000)
    assert found.seed == 0 and len(found.placed) == count
    span = span_of(found)
    assert span is not None and (span.begin, span.end, span.assumed) == (begin, end, ())


@needs_real
def test_a_real_network_of_rng_12() -> None:
    """Six layers in a row of a script that says rng(12)."""
    found = trace(bridge.load(REAL / "mat" / "conv1d_dlnetwork_categorical_classes.mat"), [0, 12], 2_000_000)
    span = span_of(found)
    assert (
        found.seed == 12 and span is not None and (span.begin, span.end, len(span.arrays)) == (1_916_963, 1_974_915, 6)
    )


@needs_real
def test_a_real_network_tells_its_session() -> None:
    """Two of four layers are found; four earlier runs drew 416 = 16 x 26 doubles after the weights, for 26 images."""
    found = trace(bridge.load(REAL / "mat" / "dice_cnn_v73.mat"), [0], 100_000)
    assert "earlier runs of the same script fit: 4 with 416," in "\n".join(conclusions(found))
    span = span_of(found)
    assert span is not None and span.begin == 4 * (12_976 + 416) and len(span.assumed) == 2


@needs_real
def test_pretrained_layers_are_not_found() -> None:
    found = trace(bridge.load(REAL / "mat" / "squeezenet_transfer_with_info_2022.mat"), [0], 300_000)
    assert found.seed is None
