"""Why a network differs: every known cause is named, with what it agrees to, and nothing else is.

The faults are put into the network or the reference here; the oracle of each test is the fault itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bridge
from bridge.arrays.lazy import Array
from bridge.network import Network, make_layer
from bridge.parity.causes.hypotheses import matching
from bridge.parity.check import Check, check
from bridge.parity.references import Labels, Names, Reference
from bridge.tables.layers import layer_mappings
from fixtures import layers as L
from fixtures.layers import Layer, Net

Make = Callable[..., Any]
FILES = Path(__file__).parents[2] / "fixtures" / "files"


def properties(network: Network, layer: str, **changed: Any) -> Network:
    held = network.layers[layer]
    return network.with_layers({layer: replace(held, properties={**held.properties, **changed})})


def learnable(network: Network, layer: str, name: str, change: Callable[[Any], Any]) -> Network:
    held = network.layers[layer]
    value = np.ascontiguousarray(change(held.learnables[name].value))
    return network.with_layers(
        {
            layer: replace(
                held, learnables={**held.learnables, name: replace(held.learnables[name], array=Array.of(value))}
            )
        }
    )


def kind(network: Network, layer: str, name: str, **given: Any) -> Network:
    return network.with_layers({layer: make_layer(layer_mappings().rows[name], layer, given)})


def gates(network: Network, order: tuple[int, ...]) -> Network:
    for name in ("InputWeights", "RecurrentWeights", "Bias"):
        network = learnable(
            network, "lstm_1", name, lambda value: np.concatenate([np.split(value, 4)[gate] for gate in order])
        )
    return network


def flattened(network: Network) -> Network:
    """Columns that count width, height, channel where MATLAB counts height, width, channel."""
    return learnable(
        network,
        "FC",
        "Weights",
        lambda value: value.reshape(-1, 6, 2, 8, order="F").transpose(0, 2, 1, 3).reshape(len(value), -1, order="F"),
    )


def joined_in_reverse(network: Network) -> Network:
    name = "fire2-concat"
    swapped = {"in1": "in2", "in2": "in1"}
    pairs = [
        replace(c, destination_port=swapped[c.destination_port]) if c.destination == name else c
        for c in network.connections
    ]
    return replace(network, connections=tuple(pairs))


FAULTS: dict[str, tuple[str | Net, Callable[[Network], Network], str, str]] = {
    # fault: network, what is done to it, the layer, what must be said
    "same padding on the other side": (
        "chain_cnn", lambda n: properties(properties(n, "Conv1", PaddingMode="manual", PaddingSize=(2, 0, 2, 0)), "Conv1"), "Conv1", "Conv1 pads [1 1 1 1] instead of [2 0 2 0]"
    ),
    "epsilon": ("residual", lambda n: properties(n, "bn_conv1", Epsilon=1e-5), "bn_conv1", "the Epsilon of bn_conv1 is 1e-03"),
    "softmax missing": ("residual", lambda n: kind(n, "softmax", "IdentityLayer"), "softmax", "softmax is a softmax"),
    "another activation": ("residual", lambda n: kind(n, "relu2", "LeakyReLULayer", Scale=0.1), "relu2", "relu2 is a ReLU"),
    "cross-channel window": (
        "squeeze", lambda n: properties(n, "pool1|norm1", WindowChannelSize=3), "pool1|norm1", "the WindowChannelSize of pool1|norm1 is 5"
    ),
    "cross-channel alpha": ("squeeze", lambda n: properties(n, "pool1|norm1", K=2.0), "pool1|norm1", "the K of pool1|norm1 is 1"),
    "gate order": ("lstm_classifier", lambda n: gates(n, (0, 2, 1, 3)), "lstm_1", "the gates of lstm_1 are in the order i,g,f,o"),
    "doubled bias": ("lstm_classifier", lambda n: learnable(n, "lstm_2", "Bias", lambda v: 2 * v), "lstm_2", "the Bias of lstm_2 counts half"),
    "reset gate": (
        "gru_classifier", lambda n: properties(n, "gru", ResetGateMode="before-multiplication"), "gru", "the ResetGateMode of gru is 'after-multiplication'"
    ),
    "flatten order": ("chain_cnn", flattened, "FC", "FC flattens its input in the order C,H,W and not C,W,H"),
    "weights transposed": (
        "unet", lambda n: learnable(n, "Bridge-Conv-1", "Weights", lambda v: v.swapaxes(0, 1)), "Bridge-Conv-1",
        "height and width of the Weights of Bridge-Conv-1 are swapped",
    ),
    "class order": (
        "residual", lambda n: learnable(learnable(n, "fc", "Weights", lambda v: v[[1, 0, 3, 2]]), "fc", "Bias", lambda v: v[[1, 0, 3, 2]]), "fc",
        "the classes that fc puts out are in the order 2 1 4 3",
    ),
    "one element": (
        "segnet", lambda n: learnable(n, "decoder2_conv1", "Weights", lambda v: np.where(np.arange(v.size).reshape(v.shape) == 17, v + 1, v)),
        "decoder2_conv1", "decoder2_conv1 has the reference's Weights (different by up to 1.0e+00 in 1 of 144 values)",
    ),
    "joined in reverse": ("squeeze", joined_in_reverse, "fire2-concat", "fire2-concat joins its inputs in reverse"),
    "mean missing": (
        "chain_cnn", lambda n: n.with_layers({"Input": replace(n.layers["Input"], properties={**n.layers["Input"].properties, "Normalization": "none"}, state={})}),
        "Input", "the input is normalised by 'zerocenter' with the reference's Mean",
    ),
    "mean per channel": (
        "residual", lambda n: n.with_layers({"input": replace(n.layers["input"], state={"Mean": Array.of(n.layers["input"].Mean.mean((0, 1), keepdims=True))})}),
        "input", "the input is normalised by 'zerocenter' with the reference's Mean",
    ),
}  # fmt: skip


AVERAGED = Net(
    "SeriesNetwork",
    (
        L.imageInputLayer((8, 8, 2), "in", "none"),
        L.averagePooling2dLayer("mean", (3, 3), stride=(2, 2), padding=(1, 1, 1, 1)),
        L.regressionLayer("out"),
    ),
)
FAULTS |= {
    "padding in the means": (AVERAGED, lambda n: properties(n, "mean", PaddingValue="mean"), "mean", "mean counts padding in its means"),
    "padding out of the means": (
        Net("SeriesNetwork", tuple(replace(each, saved={**each.saved, "PaddingValue": "mean"}) if each.name == "mean" else each for each in AVERAGED.layers)),
        lambda n: properties(n, "mean", PaddingValue=0.0), "mean", "mean leaves padding out of its means",
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("profile", ["matlab", "float32"])
def test_a_fault_of_the_network_is_named(fault: str, profile: str, load: Make, recorded: Make, inputs: Make) -> None:
    shape, break_it, layer, text = FAULTS[fault]
    network = load(shape)
    found = check(break_it(network), recorded(network, inputs(network, 4)), profile=profile)
    assert found.first_divergence is not None and found.first_divergence.layer == layer
    assert found.cause is not None and found.cause.text.startswith(text), found.explanation
    assert found.cause.agrees_to is not None and found.cause.agrees_to < 1e-5 and not found.cause.remaining


INPUTS: dict[str, tuple[str, Callable[[Any], Any], str]] = {
    "divided by 255": ("residual", lambda x: x / 255, "the input is divided by 255"),
    "multiplied by 255": ("residual", lambda x: x * 255, "the input is multiplied by 255"),
    "BGR": ("residual", lambda x: x[:, ::-1], "the channels of the input are BGR and not RGB"),
    "height and width": ("squeeze", lambda x: x.swapaxes(2, 3), "height and width of the input are swapped"),
    "row by row": (
        "residual",
        lambda x: x.reshape(len(x), 3, 12, 16).swapaxes(2, 3),
        "the pixels of the input are read row by row",
    ),
    "channels last": (
        "residual",
        lambda x: x.reshape(len(x), 16, 12, 3).transpose(0, 3, 1, 2),
        "the input is read as N,H,W,C",
    ),
    "observations": ("residual", lambda x: np.roll(x, 5, 0), "the observations are put in the reference's order"),
    "backwards": ("lstm_classifier", lambda x: x[:, ::-1], "the sequences run backwards"),
}


def unsaturated(network: Network) -> Network:
    """A network whose probabilities are not all 0 and 1: its last scores are small."""
    return (
        learnable(network, "fc", "Weights", lambda value: value * np.float32(0.02))
        if network.layers.has("conv1")
        else network
    )


@pytest.mark.parametrize("fault", INPUTS)
@pytest.mark.parametrize("way", ["layers", "outputs"])
@pytest.mark.parametrize("profile", ["matlab", "float32"])
def test_a_fault_of_the_input_is_named(
    fault: str, way: str, profile: str, load: Make, recorded: Make, activations: Make, inputs: Make
) -> None:
    shape, change, text = INPUTS[fault]
    network = unsaturated(load(shape))
    x = inputs(network, 12)
    seen = np.ascontiguousarray(change(x), np.float32)
    if way == "layers":
        found = check(network, recorded(network, seen, x), profile=profile)
    else:
        stored = list(x[:, None]) if x.ndim == 3 else x
        found = check(
            network,
            Reference("data", (stored,), (activations(network.to_torch(), seen)[network.outputs[0]],)),
            profile=profile,
        )
    assert found.cause is not None and text in (found.cause.text, *found.cause.alternatives), found.explanation
    assert found.cause.agrees_to is not None and found.cause.agrees_to < 1e-5


@pytest.mark.parametrize("fault", ["divided by 255", "BGR"])
def test_a_cause_is_seen_through_another_librarys_rounding(
    fault: str, load: Make, recorded: Make, activations: Make, inputs: Make
) -> None:
    """Under float32 numbers that another order of sums moved by a fifth of what is allowed still agree."""
    shape, change, text = INPUTS[fault]
    network = unsaturated(load(shape))
    x, rng = inputs(network, 4), np.random.default_rng(0)
    seen = np.ascontiguousarray(change(x), np.float32)
    held = {
        name: (value + 2e-6 * np.abs(value).max() * rng.uniform(-1, 1, value.shape)).astype(np.float32)
        for name, value in activations(network.to_torch(), seen).items()
    }
    found = check(network, recorded(network, seen, x, held), profile="float32")
    assert found.cause is not None and text in (found.cause.text, *found.cause.alternatives), found.explanation


def without(network: Network, x: Any, change: Callable[[nn.Module], None], activations: Make, recorded: Make) -> Check:
    """Check a network against what a changed module of it computes."""
    model = network.to_torch()
    change(model)
    return check(network, recorded(network, x, held=activations(model, x)))


def test_a_cause_that_spoils_a_layer_before_is_none(load: Make) -> None:
    """Two branches of which one differs as if the input were divided by 255; the other, compared before it, shows it is not."""
    rng = np.random.default_rng(0)
    first, second = (L.convolution2dLayer(rng, name, (3, 3), 3, 4) for name in ("conv1", "conv2"))
    weights = replace(second.params["Weights"], value=second.params["Weights"].value / np.float32(255))
    other = replace(second, name="another", params={**second.params, "Weights": weights})

    def net(entry: str, branch: Layer) -> Net:
        made = (
            L.imageInputLayer((8, 8, 3), entry, "none"),
            first,
            L.reluLayer("relu1"),
            branch,
            L.reluLayer("relu2"),
            L.additionLayer("add"),
            L.regressionLayer("out"),
        )
        pairs = (
            (entry, "conv1"),
            ("conv1", "relu1"),
            (entry, branch.name),
            (branch.name, "relu2"),
            ("relu1", "add/in1"),
            ("relu2", "add/in2"),
            ("add", "out"),
        )
        return Net("DAGNetwork", made, pairs)

    found = check(load(net("in", second)), against=load(net("entry", other)))
    assert found.first_divergence is not None and found.first_divergence.layer == "relu2"
    assert found.cause is None, found.explanation


def test_training_mode_is_named(load: Make, recorded: Make, activations: Make, inputs: Make) -> None:
    network = load("residual")

    def train(model: nn.Module) -> None:
        for part in model.modules():
            part.train(isinstance(part, nn.BatchNorm2d))

    found = without(network, inputs(network, 4), train, activations, recorded)
    assert found.cause is not None and found.cause.name == "training mode" and not found.cause.remaining
    assert found.cause.text.endswith("and so in every layer of its kind")


def test_a_normalisation_done_twice_or_not_at_all_is_named(
    load: Make, recorded: Make, activations: Make, inputs: Make
) -> None:
    network = load("residual")
    x = inputs(network, 2)
    for wrong, text in (
        (nn.Identity(), "not normalised"),
        (nn.Sequential(network.to_torch().input, network.to_torch().input), "normalised twice"),
    ):
        found = without(
            network, x, lambda model, wrong=wrong: model.set_submodule("input", wrong), activations, recorded
        )
        assert found.cause is not None and text in found.cause.text and not found.cause.remaining


def test_a_softmax_done_twice_is_named(load: Make, recorded: Make, activations: Make, inputs: Make) -> None:
    network = load("residual")
    twice = nn.Sequential(nn.Softmax(1), nn.Softmax(1))
    found = without(
        network, inputs(network, 2), lambda model: model.set_submodule("softmax", twice), activations, recorded
    )
    assert str(found.cause).startswith("agrees to") and "softmax is applied twice" in str(found.cause)


def test_double_precision_is_named(load: Make, inputs: Make) -> None:
    network = load("feature_mlp")
    x = inputs(network, 50)
    with torch.no_grad():
        y = network.to_torch().double()(torch.from_numpy(x).double()).numpy()
    found = check(network, Reference("double", (x,), (y,)), profile="exact", tolerances={"layer": 1e-10})
    assert (
        found.cause is not None
        and found.cause.text == "it is computed in double precision"
        and found.cause.agrees_to is not None
    )
    assert found.cause.agrees_to < 1e-15


def test_another_kernel_of_resizing_is_named(load: Make, activations: Make, tmp_path: Path) -> None:
    from bridge.images import imresize

    network = unsaturated(load("residual"))
    images = np.random.default_rng(0).uniform(0, 255, (12, 40, 30, 3)).astype(np.float32)
    x = np.stack([imresize(image, (16, 12), "bicubic") for image in images]).transpose(0, 3, 1, 2)
    np.savez(tmp_path / "data.npz", X=images, Y=activations(network.to_torch(), np.ascontiguousarray(x))["softmax"])
    found = check(network, tmp_path / "data.npz", data=Names("X", "Y", input_dims="NHWC", resize="bilinear"))
    assert found.cause is not None and found.cause.text == "the images are resized by 'bicubic'"


def test_the_resize_layers_kernel_is_named(load: Make, recorded: Make, inputs: Make) -> None:
    made = (
        L.imageInputLayer((6, 5, 2), "in", "none"),
        L.resize2dLayer("up", scale=(2, 2), method="nearest"),
        L.regressionLayer("out"),
    )
    network = load(Net("SeriesNetwork", made))
    found = check(properties(network, "up", Method="bilinear"), recorded(network, inputs(network, 2)))
    assert found.cause is not None and found.cause.text.startswith("up resizes by 'nearest")


def test_a_mistake_in_every_layer_of_a_kind_is_said_so(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    wrong = network
    for layer in network.layers:
        if layer.kind == "BatchNormalizationLayer":
            wrong = properties(wrong, layer.name, Epsilon=1e-5)
    found = check(wrong, recorded(network, inputs(network, 2)))
    assert found.cause is not None and found.cause.layer == "bn_conv1"
    assert (
        found.cause.text == "the Epsilon of bn_conv1 is 1e-03, and so in every layer of its kind"
        and not found.cause.remaining
    )


def test_one_of_two_mistakes_leaves_the_other(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    wrong = learnable(properties(network, "bn_conv1", Epsilon=1e-5), "res2_branch2a", "Bias", lambda value: value + 1)
    found = check(wrong, recorded(network, inputs(network, 2)))
    assert found.cause is not None and found.cause.text == "the Epsilon of bn_conv1 is 1e-03"
    assert found.cause.remaining.startswith("FIRST DIVERGENCE res2_branch2a")


def test_a_retrained_network_is_told_by_its_learnables(load: Make) -> None:
    network = load("residual")
    wrong = network
    for layer, name in (("conv1", "Weights"), ("res1_branch2a", "Bias"), ("fc", "Weights")):
        wrong = learnable(wrong, layer, name, lambda value: value + np.float32(0.1))
    found = check(wrong, against=network)
    assert (
        found.cause is not None
        and "as are learnables of 3 layers in all" in found.cause.text
        and not found.cause.remaining
    )


def test_a_learnable_known_by_samples_is_named_without_agreement(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    wrong = learnable(network, "res1_branch2b", "Weights", lambda value: value * np.float32(1.01))
    found = check(wrong, recorded(network, inputs(network, 2), samples=100))
    assert found.cause is not None and found.cause.agrees_to is None
    assert found.cause.text.startswith("the Weights of res1_branch2b differ from the reference's by up to")
    rng = np.random.default_rng(0)
    position = int(rng.integers(16 * 16 * 9))
    hidden = learnable(
        network,
        "res1_branch2b",
        "Weights",
        lambda v: np.where(np.arange(v.size).reshape(v.shape, order="F") == position, v + 5, v),
    )
    found = check(hidden, recorded(network, inputs(network, 2), samples=5))
    assert found.cause is not None and "in their mean, and in none of 5 samples" in found.cause.text


def test_a_layer_of_the_other_network_is_named_by_what_it_is(load: Make) -> None:
    network = load("residual")
    found = check(kind(network, "bn_conv1", "IdentityLayer"), against=network)
    assert (
        found.cause is not None and found.cause.text == "bn_conv1 is a BatchNormalizationLayer and not a IdentityLayer"
    )


@pytest.mark.parametrize("ending", ["mat", "onnx"])
def test_a_module_without_normalization_is_told_from_the_other_network(ending: str) -> None:
    network = bridge.load(FILES / "signs.mat")
    found = check(network.to_torch(include_normalization=False), against=FILES / f"signs.{ending}")
    assert (
        found.cause is not None
        and found.cause.layer == "imageinput"
        and "which normalises by zerocenter" in found.cause.text
    )


def test_a_module_that_was_changed_is_told_from_its_network(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    path, model = recorded(network, inputs(network, 2), samples=20), network.to_torch()
    model.set_submodule("relu1", nn.Sequential(nn.ReLU(), nn.Tanh()))
    found = check(model, path, network=network)
    assert found.cause is not None and found.cause.text == "relu1 computes what the network says"


def test_an_unknown_cause_is_not_invented(load: Make, recorded: Make, activations: Make, inputs: Make) -> None:
    network = load("residual")
    rng = np.random.default_rng(0)

    class Noise(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.relu() + torch.from_numpy(rng.normal(0, 1, tuple(x.shape)).astype(np.float32))

    found = without(
        network, inputs(network, 4), lambda model: model.set_submodule("relu2", Noise()), activations, recorded
    )
    assert (
        found.cause is None
        and found.tried > 10
        and found.explanation.startswith(f"cause: none of the {found.tried} known ones")
    )


@pytest.mark.parametrize("count", [1, 2])
def test_a_few_labels_tell_no_cause(count: int, load: Make, activations: Make, inputs: Make) -> None:
    network = load("residual")
    x = inputs(network, count)
    labels = (activations(network.to_torch(), x)["softmax"].argmax(1) + 1) % 4
    found = check(network, Reference("labels", (x,), (Labels(labels),)))
    assert not found.passed and found.cause is None and "too few numbers" in found.explanation


def test_rows_are_matched_only_where_one_order_fits() -> None:
    rows = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    order = matching(rows, rows[[2, 0, 1]], 1e-6)
    assert order is not None and order.tolist() == [2, 0, 1]
    assert matching(rows, rows, 1e-6) is None and matching(rows, rows + 1, 1e-6) is None
    twice = torch.tensor([[1.0, 2.0], [1.0, 2.0], [5.0, 6.0]])
    assert matching(twice, twice[[2, 0, 1]], 1e-6) is None


def test_a_bidirectional_layer_and_a_transposed_convolution(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("bilstm_regression")
    swapped = network
    for name in ("InputWeights", "RecurrentWeights", "Bias"):
        swapped = learnable(swapped, "bilstm", name, lambda value: np.roll(value, len(value) // 2, 0))
    found = check(swapped, recorded(network, inputs(network, 2)))
    assert found.cause is not None and found.cause.text == "the directions of bilstm are swapped"
    rng = np.random.default_rng(0)
    made = (
        L.imageInputLayer((6, 5, 1), "in", "none"), L.transposedConv2dLayer(rng, "up", (3, 3), 1, 2, stride=(2, 2), cropping=(1, 1, 1, 1)),
        L.regressionLayer("out"),
    )  # fmt: skip
    network = load(Net("SeriesNetwork", made))
    found = check(properties(network, "up", CroppingSize=(0, 2, 0, 2)), recorded(network, inputs(network, 2)))
    assert found.cause is not None and found.cause.name == "padding" and found.cause.layer == "up"
