"""A check: what is compared with what, how far it may differ, and what is said."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch
from torch import Tensor, nn

import bridge
from bridge.arrays.lazy import Array
from bridge.errors import BridgeError, DifferenceError, UnreadableError, UsageError
from bridge.network import Network
from bridge.parity.check import check
from bridge.parity.compare import Batch, Subject, compare
from bridge.parity.differences import Comparison, LayerDifference
from bridge.parity.oracles import Lockstep
from bridge.parity.profiles import Profile
from bridge.parity.references import Labels, Names, Reference, read
from bridge.parity.tally import Pair, Tally
from fixtures import layers as L
from fixtures import mat, networks, onnx, reference
from fixtures.layers import Layer, Net
from tests.shell import Command

Make = Callable[..., Any]
SHAPES = (
    "chain_cnn",
    "residual",
    "squeeze",
    "unet",
    "segnet",
    "lstm_classifier",
    "bilstm_regression",
    "gru_classifier",
    "feature_mlp",
)


def scaled(network: Network, layer: str, name: str, factor: float) -> Network:
    """The network with one learnable scaled."""
    held = network.layers[layer]
    learnable = replace(held.learnables[name], array=Array.of(held.learnables[name].value * np.float32(factor)))
    return network.with_layers({layer: replace(held, learnables={**held.learnables, name: learnable})})


# Metrics


def test_the_metrics_are_those_of_float64_numpy() -> None:
    """Oracle: numpy in double precision, over two batches as one array."""
    rng = np.random.default_rng(0)
    theirs = rng.normal(0, 3, (2, 500)).astype(np.float32)
    ours = (theirs + rng.normal(0, 2e-4, theirs.shape)).astype(np.float32)
    profile = Profile.of("matlab")
    tally = Tally("conv", profile)
    for at in range(2):
        tally.add(Pair(torch.from_numpy(ours[at]), torch.from_numpy(theirs[at]), 12.0), at)
    found = tally.result(0.0)
    a, b = ours.astype(float), theirs.astype(float)
    distance = np.abs(a - b)
    worst = np.unravel_index(distance.argmax(), distance.shape)
    assert found.scale == 12.0 and found.allowed == pytest.approx(1.2e-3)
    assert found.max_abs == pytest.approx(distance.max(), rel=1e-6) and found.batch == worst[0]
    assert found.ulps == pytest.approx(distance.max() / np.spacing(np.abs(theirs[worst])), rel=1e-6)
    assert found.cosine == pytest.approx((a * b).sum() / math.sqrt((a * a).sum() * (b * b).sum()), abs=1e-6)
    assert found.elements == 1000 and found.relative == pytest.approx(distance.max() / 12, rel=1e-6)


def test_the_share_outside_counts_what_is_above_the_tolerance() -> None:
    tally = Tally("conv", Profile.of("matlab"))
    theirs = torch.tensor([1.0, -2.0, 0.5, 0.25])
    tally.add(Pair(theirs + torch.tensor([0.0, 1e-3, 1e-3, 0.0]), theirs), 0)
    assert tally.result(0.0).outside == 0.5


def test_nan_on_one_side_is_named_and_on_both_is_equal() -> None:
    nan, inf = float("nan"), float("inf")
    theirs = torch.tensor([1.0, nan, inf])
    both = Tally("exp", Profile.of("exact"))
    both.add(Pair(theirs.clone(), theirs), 0)
    assert not both.result(0.0).differs
    for ours, theirs, side in (
        (torch.tensor([nan, 1.0]), torch.ones(2), "the model"),
        (torch.ones(2), torch.tensor([inf, 1.0]), "the reference"),
    ):
        with pytest.raises(UnreadableError, match=f"layer 'exp' has 1 .* values of 2 in {side}"):
            Tally("exp", Profile.of("matlab")).add(Pair(ours, theirs), 0)


def test_a_reference_in_half_precision_is_compared_in_single() -> None:
    """Oracle: numpy in double precision. Half precision would round the model's 2050.5 to 2050, and make the squares infinite."""
    theirs, ours = torch.tensor([2050.0, 60000.0, 1.0], dtype=torch.float16), torch.tensor([2050.5, 60000.0, 1.0])
    tally = Tally("fc", Profile.of("float16"))
    tally.add(Pair(ours, theirs), 0)
    found, (a, b) = tally.result(0.0), (each.double().numpy() for each in (ours, theirs))
    assert found.max_abs == 0.5 and found.cosine == pytest.approx(a @ b / math.sqrt((a @ a) * (b @ b)), abs=1e-6)


def test_whole_numbers_are_compared_exactly() -> None:
    tally = Tally("indices", Profile.of("exact"))
    tally.add(Pair(torch.tensor([2**24 + 1]), torch.tensor([2**24])), 0)
    assert tally.result(0.0).max_abs == 1


def test_squares_beyond_single_precision_still_have_an_angle() -> None:
    tally = Tally("fc", Profile.of("exact"))
    tally.add(Pair(torch.full((3,), 1e30), torch.full((3,), 1e30)), 0)
    assert tally.result(0.0).cosine == pytest.approx(1.0, abs=1e-12)


def test_a_layer_of_nothing_but_nan_agrees_with_nothing() -> None:
    with pytest.raises(UnreadableError, match="no finite value"):
        Tally("log", Profile.of("matlab")).add(Pair(torch.full((3,), math.nan), torch.full((3,), math.nan)), 0)


def test_nothing_is_outside_of_a_layer_that_agrees() -> None:
    """The range is known after the last batch: 2e-4 is above 1e-4 of the first one's, and below that of both."""
    tally = Tally("conv", Profile.of("matlab"))
    for number, scale in enumerate((1.0, 10.0)):
        tally.add(Pair(torch.tensor([scale + 2e-4]), torch.tensor([scale])), number)
    found = tally.result(0.0)
    assert not found.differs and found.outside == 0


def row(layer: str, relative: float) -> LayerDifference:
    return LayerDifference(layer, relative, 1.0, 1e-4)


def test_the_first_divergence_is_where_the_difference_rises() -> None:
    """By hand: rounding of 2e-7, a fault of 6e-5 that stays below 1e-4, and a normalisation that makes 2e-3 of it."""
    found = Comparison(
        "net", (row("in", 0.0), row("conv1", 2e-7), row("conv2", 6e-5), row("bn2", 2e-3), row("fc", 1e-2))
    )
    assert found.first_above is found.layers[3] and found.first_divergence is found.layers[2]
    assert (
        found.verdict
        == "FIRST DIVERGENCE conv2: max |d| 6.0e-05 (allowed 1e-04, above it from bn2 on); the 2 layers before it agree to 2.0e-07"
    )
    plain = Comparison("net", (row("in", 0.0), row("conv1", 2e-7), row("conv2", 5e-3), row("fc", 2e-2)))
    assert (
        plain.verdict
        == "FIRST DIVERGENCE conv2: max |d| 5.0e-03 (allowed 1e-04); the 2 layers before it agree to 2.0e-07"
    )
    assert Comparison("net", (row("a", 1e-7), row("b", 3e-6))).verdict == "PASSED 2 layers, worst 3.0e-06 at b"


def test_profiles_have_reasons_and_overrides() -> None:
    for name in ("exact", "float32", "matlab", "float16"):
        assert Profile.of(name).reason
    profile = Profile.of("matlab", {"pool*": 1e-2, "pool5": 1e-3})
    assert [profile.allowed(layer, 2.0) for layer in ("conv", "pool1", "pool5")] == [2e-4, 2e-2, 2e-3]
    with pytest.raises(UsageError, match="no tolerance profile"):
        Profile.of("loose")
    with pytest.raises(UsageError):
        Profile.of("matlab", {"a": -1.0})


@pytest.mark.parametrize(("profile", "far"), [("float32", 1e-5), ("matlab", 1e-4), ("float16", 2e-2)])
def test_a_profile_allows_what_its_reason_says(
    profile: str, far: float, load: Make, recorded: Make, inputs: Make
) -> None:
    """By hand: the last fully connected layer is off by 0.8 and by 1.25 times what is allowed of its range."""
    network = load("bilstm_regression")
    x = inputs(network)
    for times, passes in ((0.8, True), (1.25, False)):
        other = network
        for name in ("Weights", "Bias"):
            other = scaled(other, network.layers[-2].name, name, 1 + times * far)
        assert check(other, recorded(network, x), profile=profile).passed == passes, (profile, times)


# Pairs that agree


@pytest.mark.parametrize("shape", SHAPES)
def test_a_network_equals_itself_through_a_reference(shape: str, load: Make, recorded: Make, inputs: Make) -> None:
    network = load(shape)
    found = check(network, recorded(network, inputs(network, 5)), profile="float32")
    assert found.passed, found.verdict
    assert {each.layer for each in found.layers} == {layer.name for layer in network.layers if not layer.row.is_output}


@pytest.mark.parametrize("shape", SHAPES)
def test_two_networks_of_one_file_are_equal_bit_for_bit(shape: str, load: Make) -> None:
    assert check(load(shape), against=load(shape), profile="exact").require().passed


def test_a_network_equals_its_onnx_and_its_folder(tmp_path: Path) -> None:
    """Oracles: onnxruntime without optimisation; the saved tensors."""
    net = networks.segnet(1)
    mat.write(tmp_path / "net.mat", {"net": net})
    onnx.write(tmp_path / "net.onnx", net, "24.2.0")
    network = bridge.load(tmp_path / "net.mat")
    found = check(network, against=tmp_path / "net.onnx")
    assert found.passed and found.comparison.oracle == "onnxruntime" and len(found.layers) == len(network.layers) - 1
    assert check(network, against=network.save(tmp_path / "saved"), profile="exact").passed
    assert check(bridge.load(tmp_path / "net.onnx")).passed  # against its own file


def test_many_batches_of_a_reference_are_one(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("chain_cnn")
    path = recorded(network, inputs(network, 7), mini_batch=3)
    found = check(network, path, profile="float32")
    assert found.passed and found.layers[-1].elements == 35 and found.layers[-1].agreement == (7, 7)
    assert not check(scaled(network, "Conv3", "Weights", 1.01), path).passed


def test_a_whole_array_and_samples_find_the_same(load: Make, recorded: Make, inputs: Make) -> None:
    network, broken = load("residual"), scaled(load("residual"), "conv1", "Weights", 1.01)
    x = inputs(network, 4)
    whole, samples = (check(broken, recorded(network, x, full=full, samples=300)) for full in (True, False))
    assert whole.first_divergence.layer == samples.first_divergence.layer == "conv1"  # type: ignore[union-attr]
    assert whole.layers[1].elements == 4 * 16 * 12 * 8 and samples.layers[1].elements == 300


def test_a_value_between_the_samples_shows_in_the_statistics(
    load: Make, content: Make, inputs: Make, activations: Make, tmp_path: Path
) -> None:
    network = load("unet")
    x = inputs(network, 2)
    held = activations(network.to_torch(), x)
    path = tmp_path / "reference.mat"
    reference.write(path, content(network, x, held=held, samples=50))
    changed = {name: value.copy() for name, value in held.items()}
    name = "Bridge-Conv-1"
    changed[name][1, 3, 1, 1] += 50
    position = np.ravel_multi_index(
        (1, 3, 1, 1), changed[name].shape
    )  # N,C,W,H count as MATLAB's linear index, backwards
    assert position not in [index - 1 for index in reference.sample_indices(changed[name].size, 50, 1)]
    reference.write(path, content(network, x, held=changed, samples=50))
    first = check(network, path).first_divergence
    assert first is not None and first.layer == name


def test_a_module_alone_is_checked_against_a_reference(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    path = recorded(network, inputs(network, 2))
    model = network.to_torch().train()
    assert bridge.check(model, path).require().passed
    assert model.training, "the mode is what it was"
    with torch.no_grad():
        model.get_parameter("fc.weight").mul_(1.1)
    with pytest.raises(DifferenceError, match=r"FIRST DIVERGENCE fc: .*the 18 layers before it agree"):
        bridge.check(model, path).require()


class Bigger(nn.Module):
    """A network inside another module."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x).log()  # type: ignore[no-any-return]


def test_a_module_inside_a_bigger_one(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    held = read(recorded(network, inputs(network)), network)
    assert check(Bigger(network.to_torch()), replace(held, outputs=()), network=network).passed


class Torch(nn.Module):
    """A network of torch's own modules, written by hand, with the weights of `feature_mlp`."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.first, self.second, self.network = nn.Linear(5, 16), nn.Linear(16, 1), network
        for module, name in ((self.first, "fc_"), (self.second, "fc_1_")):
            layer = network.layers[name]
            module.load_state_dict(
                {"weight": torch.tensor(layer.Weights), "bias": torch.tensor(layer.Bias.reshape(-1))}
            )
        held = network.layers["input_2"].state
        self.mean, self.std = (torch.tensor(held[name].read().reshape(-1)) for name in ("Mean", "StandardDeviation"))

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first((x - self.mean) / self.std).relu()).sigmoid()


NAMES = {"fc_": "first", "fc_1_": "second"}


def test_any_torch_module_by_its_names(load: Make) -> None:
    network = load("feature_mlp")
    own = Torch(network)
    assert check(own, against=network, names=NAMES).passed
    with torch.no_grad():
        own.second.weight.add_(0.1)
    found = check(own, against=network, names=NAMES)
    assert found.first_divergence.layer == "fc_1_"  # type: ignore[union-attr]
    assert check(network, against=own, names=NAMES).first_divergence.layer == "fc_1_"  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="no submodule 'third'"):
        check(own, against=network, names={"fc_": "third"})


def test_any_torch_module_against_a_reference(load: Make, recorded: Make, inputs: Make) -> None:
    """Layers that its names do not map are told; its result is compared with the reference's output."""
    network = load("feature_mlp")
    own, path = Torch(network), recorded(network, inputs(network, 5))
    found = check(own, path, names=NAMES, network=network)
    assert found.passed and [each.layer for each in found.layers] == ["fc_", "fc_1_", "output"]
    assert found.notes == ("not compared, for names maps no submodule to them: input_2, re_lu_1",)
    with torch.no_grad():
        own.second.bias.add_(0.1)
    found = check(own, path, names=NAMES, network=network)
    assert found.first_divergence.layer == "fc_1_" and found.cause is not None and found.cause.name == "learnable"  # type: ignore[union-attr]
    with pytest.raises(UsageError, match="another network"):
        check(own, path, names={"fc1": "first"}, network=network)


def test_a_submodule_that_runs_twice_cannot_be_a_layer(load: Make) -> None:
    network = load("feature_mlp")

    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x: Tensor) -> Tensor:
            return self.relu(self.relu(x))

    with pytest.raises(UsageError, match="runs twice"):
        check(Twice(), against=network, names={"re_lu_1": "relu"})


def test_labels_are_compared_by_class(load: Make, inputs: Make, activations: Make) -> None:
    network = load("residual")
    x = inputs(network, 40)
    scores = activations(network.to_torch(), x)["softmax"]
    labels = scores.argmax(1)
    found = check(network, Reference("labels", (x,), (Labels(labels),)))
    assert found.passed and found.layers[-1].agreement == (40, 40) and "40 of 40 classes equal" in found.verdict
    wrong = labels.copy()
    wrong[3] = (wrong[3] + 1) % 4
    found = check(network, Reference("labels", (x,), (Labels(wrong),)))
    assert not found.passed and found.layers[-1].agreement == (39, 40)
    assert found.layers[-1].max_abs == pytest.approx(scores[3].max() - scores[3, wrong[3]])


def test_sequences_of_different_lengths(load: Make, activations: Make) -> None:
    network = load("lstm_classifier")
    rng = np.random.default_rng(0)
    cells = [rng.normal(size=(1, t, 4)).astype(np.float32) for t in (3, 9, 5)]
    scores = np.concatenate([activations(network.to_torch(), each)["softmax"] for each in cells])
    found = check(network, Reference("data", (cells,), (scores,)), profile="float32")
    assert found.passed and found.layers[-1].elements == 9


# Memory and arithmetic


def test_lockstep_holds_no_second_set_of_activations(load: Make, inputs: Make) -> None:
    """The other network is never further than the layer that is compared, and frees what it has used."""
    network = load("chain_cnn")
    subject, other = Subject.of(network), Subject.of(load("chain_cnn"))
    oracle = Lockstep("other", other, subject)
    most = 0
    plain = oracle.expect

    def counted(layer: str) -> Any:
        nonlocal most
        found = plain(layer)
        most = max(most, len(oracle._waiting))
        return found

    oracle.expect = counted  # type: ignore[method-assign]
    x = torch.from_numpy(inputs(network))
    assert compare(subject, [Batch((x,))], oracle, Profile.of("exact")).first_above is None
    assert most == 0, "each value is taken before the next one is computed"


def test_the_model_is_left_as_it_was(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    model = network.to_torch()
    before = {
        name: (part.training, getattr(part, "inplace", None), len(part._forward_hooks))
        for name, part in model.named_modules()
    }
    torch.backends.cudnn.benchmark = True
    check(scaled_module(model), recorded(network, inputs(network)), network=network)
    assert torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = False
    assert before == {
        name: (part.training, getattr(part, "inplace", None), len(part._forward_hooks))
        for name, part in model.named_modules()
    }
    assert any(inplace for _, inplace, _ in before.values())


def switches() -> dict[str, Any]:
    """What makes products of single precision less exact, or not the same twice."""
    cudnn, mkldnn, matmul = torch.backends.cudnn, torch.backends.mkldnn, torch.backends.cuda.matmul
    parts = {
        "matmul": matmul,
        "cudnn.conv": cudnn.conv,
        "cudnn.rnn": cudnn.rnn,
        "mkldnn.matmul": mkldnn.matmul,
        "mkldnn.conv": mkldnn.conv,
    }
    return {
        "benchmark": cudnn.benchmark,
        "deterministic": cudnn.deterministic,
        **{name: part.fp32_precision for name, part in parts.items()},
    }


@pytest.mark.skipif(not hasattr(torch.backends, "fp32_precision"), reason="torch before 2.9 has one switch for all")
def test_tf32_and_the_choice_of_kernels_are_off_during_a_check(load: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """However the program has set them: it has the same settings afterwards."""
    network = load("chain_cnn")
    model, seen = network.to_torch(), list[dict[str, Any]]()
    model.register_forward_hook(lambda *_: seen.append(switches()))
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    matmul, mkldnn = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul
    own = matmul.fp32_precision, mkldnn.fp32_precision
    matmul.fp32_precision, mkldnn.fp32_precision = "tf32", "bf16"
    try:
        before = switches()
        assert check(model, against=network, network=network, profile="exact").passed
        after = switches()
    finally:
        matmul.fp32_precision, mkldnn.fp32_precision = own
    exact = {name: "ieee" for name in before} | {"benchmark": False, "deterministic": True}
    assert seen and all(each == exact for each in seen)
    assert after == before != exact and before["matmul"] == before["cudnn.conv"] == "tf32"


def scaled_module(model: nn.Module) -> nn.Module:
    with torch.no_grad():
        model.get_parameter("conv1.weight").mul_(1.01)
    return model


# Bad input


@pytest.mark.parametrize("keep", [slice(1, None), slice(None, -1)])
def test_a_missing_layer_is_named(keep: slice, load: Make, content: Make, inputs: Make, tmp_path: Path) -> None:
    network = load("chain_cnn")
    held = content(network, inputs(network))
    held["Activations"] = held["Activations"][keep]
    reference.write(tmp_path / "reference.mat", held)
    if keep.start is None:  # the softmax is whole in the outputs
        assert check(network, tmp_path / "reference.mat").passed
        return
    with pytest.raises(UsageError, match="lacks the layer 'Input'"):
        check(network, tmp_path / "reference.mat")


def test_a_reference_of_another_network_is_named(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("chain_cnn")
    path = recorded(network, inputs(network))
    other = load("residual")
    for model in (other, other.to_torch()):
        with pytest.raises(BridgeError) as raised:
            check(model, path)
        assert raised.value.exit_code == 2
    with pytest.raises(UsageError, match="different networks"):
        check(other, against=network)


OTHERS = {
    "another height": L.imageInputLayer((5, 4, 3), "in", "none"),
    "other channels": L.imageInputLayer((4, 4, 1), "in", "none"),
    "sequences": L.sequenceInputLayer(48, "in"),
    "features": L.featureInputLayer(48, "in"),
}


@pytest.mark.parametrize("ending", [".mat", ".onnx"])
@pytest.mark.parametrize("other", OTHERS)
def test_networks_with_other_inputs_are_refused(other: str, ending: str, load: Make, tmp_path: Path) -> None:
    """Their fully connected layer has the same name; without a common input there is nothing to run both on."""

    def net(entry: Layer) -> Net:
        size = tuple(int(n) for n in np.atleast_1d(entry.saved["InputSize"]).ravel())
        rng = np.random.default_rng(0)
        head = L.fullyConnectedLayer(rng, "fc", size if len(size) == 3 else size[0], 2)
        return Net("SeriesNetwork", (entry, head, L.regressionLayer("y")))

    network, path = load(net(L.imageInputLayer((4, 4, 3), "in", "none"))), tmp_path / f"theirs{ending}"
    mat.write(path, {"net": net(OTHERS[other])}) if ending == ".mat" else onnx.write(path, net(OTHERS[other]), "20.2.1")
    for ours, theirs in ((network, path), (bridge.load(path), network)):
        with pytest.raises(UsageError, match="the two networks take different inputs"):
            check(ours, against=theirs)


def test_another_number_of_observations_is_named(load: Make, content: Make, inputs: Make, tmp_path: Path) -> None:
    network = load("chain_cnn")
    held = content(network, inputs(network, 4))
    held["Outputs"][0, 0]["Value"] = held["Outputs"][0, 0]["Value"][:3]
    reference.write(tmp_path / "reference.mat", held)
    with pytest.raises(UsageError, match="4 observations of the inputs and 3 of the outputs"):
        check(network, tmp_path / "reference.mat")


def test_wrong_class_names_and_a_wrong_order_are_named(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    x = inputs(network)
    with pytest.raises(UsageError, match="only the reference has the class 'bee'"):
        check(network, recorded(network, x, classes=["bee", "dog", "fox", "owl"]))
    with pytest.raises(UsageError, match="class 1 is 'cat' in the network and 'dog' in the reference"):
        check(network, recorded(network, x, classes=["dog", "cat", "fox", "owl"]))


def test_nan_in_a_network_is_named_with_its_layer(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("chain_cnn")
    with pytest.raises(
        UnreadableError,
        match="layer 'Conv2' has 24,000 NaN values of 24,000 in the model|layer 'Conv2' has .* NaN values",
    ):
        check(scaled(network, "Conv2", "Weights", float("nan")), recorded(network, inputs(network)))


def test_a_size_that_differs_is_a_divergence(load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    conv = network.layers["res1_branch2a"]
    wrong = network.with_layers({conv.name: replace(conv, properties={**conv.properties, "Stride": (1, 1)})})
    one = network.layers["res1_branch1"]
    wrong = wrong.with_layers({one.name: replace(one, properties={**one.properties, "Stride": (1, 1)})})
    found = check(wrong, recorded(network, inputs(network)))
    assert "FIRST DIVERGENCE res1_branch2a: size 16×12×16×3, expected 8×6×16×3" in found.verdict


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda n, r: check(n), "nothing to check against"),
        (lambda n, r: check(n, r, against=n), "at once"),
        (lambda n, r: check(n, against=n, seed=-1), "the seed of the inputs is -1"),
        (lambda n, r: check(n, r, profile="loose"), "no tolerance profile"),
        (
            lambda n, r: check(n, r, tolerances={"Conv1": 1e-3, "Conv": 1e-3}),
            "a tolerance for 'Conv', and no such layer is compared\ncause: the nearest are Conv",
        ),
        (lambda n, r: check(n, r, tolerances=1e-3), "tolerances are 0.001"),
        (lambda n, r: check(n, against=n, tolerances={"conf*": 1e-3}), "a tolerance for 'conf"),
        (lambda n, r: check(n, r, tolerances={"Conv1": "1e-3"}), "a tolerance of 1e-3 for 'Conv1'"),
        (lambda n, r: check(n, against=n, data=Names("X", outputs="Y")), "takes the inputs alone"),
        (lambda n, r: check(n, "nothing.mat"), "does not exist"),
        (lambda n, r: check(n, r.parent), "is a folder"),
        (lambda n, r: check(n.to_torch(), "data.npz"), "does not exist"),
    ],
)
def test_calls_without_sense_are_refused(call: Make, message: str, load: Make, recorded: Make, inputs: Make) -> None:
    network = load("chain_cnn")
    with pytest.raises(UsageError, match=message):
        call(network, recorded(network, inputs(network)))


# The command


@pytest.fixture
def run(command: Command) -> Callable[..., tuple[int, str, str]]:
    def ran(*arguments: object) -> tuple[int, str, str]:
        found = command("check", *arguments)
        return found.code, found.out, found.err

    return ran


def test_the_command_ends_in_one_line(run: Make, load: Make, recorded: Make, inputs: Make, tmp_path: Path) -> None:
    network = load("residual")
    path = recorded(network, inputs(network))
    code, out, _ = run(network.source.path, path)
    assert code == 0 and re.fullmatch(
        r"PASSED 20 layers, worst \d\.\de[-+]\d+ at \S+; 3 of 3 classes equal", out.splitlines()[-1]
    )
    broken = networks.residual(1)
    conv = next(at for at, layer in enumerate(broken.layers) if layer.name == "conv1")
    broken.layers[conv].params["Weights"].value[0, 0, 0, 0] += 1
    mat.write(tmp_path / "broken.mat", {"net": broken})
    code, out, _ = run(tmp_path / "broken.mat", path)
    assert code == 1 and re.match(
        r"FIRST DIVERGENCE conv1: max \|d\| .* \(allowed .*\); the layer before it agrees to 0\.0e\+00",
        out.splitlines()[-1],
    )
    assert "cause: agrees to" in out and "Weights" in out
    assert run(tmp_path / "broken.mat", path, "--tolerance", "*=1e9")[0] == 0
    for wrong in ("conv1", "conv1=", "=1", "nothing=1"):
        assert run(tmp_path / "broken.mat", path, "--tolerance", wrong)[0] == 2


SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "check.schema.json").read_text(encoding="utf-8"))


def test_the_json_follows_its_schema(run: Make, load: Make, recorded: Make, inputs: Make, tmp_path: Path) -> None:
    """Passed, with a cause, with sizes that differ (infinities), against targets."""
    network, x = load("residual"), inputs(load("residual"))
    mat.write(tmp_path / "broken.mat", {"net": networks.residual(2)})
    path, source = recorded(network, x), network.source.path
    np.savez(tmp_path / "data.npz", X=x, T=np.array(network.classes)[:3])
    calls = [
        (source, path),
        (tmp_path / "broken.mat", path),
        (source, tmp_path / "data.npz", "--targets", "T"),
        (tmp_path / "broken.mat", "--against", source),
    ]
    codes = []
    for arguments in calls:
        code, out, _ = run(*arguments, "--json")
        codes.append(code)
        jsonschema.validate(json.loads(out), SCHEMA, jsonschema.Draft202012Validator)
    assert codes[:2] == [0, 1]
    stride = network.layers["res1_branch2a"], network.layers["res1_branch1"]
    other = network.with_layers(
        {each.name: replace(each, properties={**each.properties, "Stride": (1, 1)}) for each in stride}
    )
    facts = {"schema": "bridge.check/1", **check(other, path).to_json()}
    jsonschema.validate(json.loads(json.dumps(facts, allow_nan=False)), SCHEMA, jsonschema.Draft202012Validator)
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid({**facts, "schema": "bridge.check/2"})


def test_an_annotation_of_github(run: Make, load: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    network = load("feature_mlp")
    mat.write(tmp_path / "broken.mat", {"net": networks.feature_mlp(2)})
    arguments = tmp_path / "broken.mat", "--against", network.source.path
    monkeypatch.delenv("GITHUB_ACTIONS", raising=False)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert "::" not in run(*arguments)[2]
    flagged = run(*arguments, "--annotate", "--json")
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for code, out, err in (flagged, run(*arguments, "--json")):
        assert code == 1 and not json.loads(out)["passed"]
        assert re.fullmatch(
            r"::error file=broken\.mat,line=1,title=bridge check::FIRST DIVERGENCE .*%0Acause: .*%0Aagainst net0\.mat\n",
            err,
        )
    assert not run(network.source.path, "--against", network.source.path)[2]


def test_the_json_holds_everything(run: Make, load: Make, recorded: Make, inputs: Make) -> None:
    network = load("residual")
    path = recorded(network, inputs(network))
    code, out, _ = run(network.source.path, path, "--json")
    facts = json.loads(out)
    assert code == 0 and facts["schema"] == "bridge.check/1" and facts["passed"] and len(facts["layers"]) == 20
    assert {"layer", "max_abs", "relative", "allowed", "ulps", "cosine", "outside", "agreement", "differs"} <= set(
        facts["layers"][0]
    )
    assert facts["profile"]["reason"] and len(facts["facts"][f"sha256 of {path.name}"]) == 64


def _without(held: dict[str, Any], name: str) -> None:
    held["Activations"] = np.array(
        [[each] for each in held["Activations"][:, 0] if each["Layer"] != name], dtype=object
    )


def _poisoned(held: dict[str, Any], value: float) -> None:
    """One sample of a convolution; the statistics of MATLAB's min and max pass over NaN."""
    at = next(each for each in held["Activations"][:, 0] if each["Layer"] == "res1_branch2a")
    at["Full" if np.size(at["Full"]) else "Value"].flat[5] = value


BAD: dict[str, tuple[Callable[[dict[str, Any]], None], str]] = {
    "a layer is missing": (lambda held: _without(held, "res1_branch2a"), "lacks the layer 'res1_branch2a' (1 such layer(s))"),
    "NaN": (lambda held: _poisoned(held, math.nan), "layer 'res1_branch2a' has 1 NaN values of"),
    "an infinity": (lambda held: _poisoned(held, math.inf), "layer 'res1_branch2a' has 1 infinite values of"),
    "NaN in an input": (lambda held: held["Inputs"][0, 0]["Value"].__setitem__((0, 0, 0, 0), math.nan), "an input of bad.mat holds NaN"),
    "infinity in an output": (lambda held: held["Outputs"][0, 0]["Value"].__setitem__((0, 0), math.inf), "an output of bad.mat holds NaN or infinite"),
    "another batch": (
        lambda held: held["Outputs"][0, 0].__setitem__("Value", held["Outputs"][0, 0]["Value"][:2]), "3 observations of the inputs and 2 of the outputs"
    ),
    "transposed": (lambda held: held["Inputs"][0, 0].__setitem__("Value", held["Inputs"][0, 0]["Value"].swapaxes(0, 1)), "height and width are transposed"),
    "other classes": (lambda held: held.__setitem__("Classes", np.array([["bee"], ["dog"], ["fox"], ["owl"]], object)), "only the reference has the class 'bee'"),
    "fewer classes": (lambda held: held.__setitem__("Classes", np.array([["cat"], ["dog"], ["fox"]], object)), "only the network has the class 'owl'"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_bad_reference_exits_with_2(
    case: str, run: Make, load: Make, content: Make, inputs: Make, tmp_path: Path
) -> None:
    network = load("residual")
    change, message = BAD[case]
    held = content(network, inputs(network))
    reference.write(tmp_path / "good.mat", held)
    assert run(network.source.path, tmp_path / "good.mat")[0] == 0
    change(held)
    reference.write(tmp_path / "bad.mat", held)
    code, out, err = run(network.source.path, tmp_path / "bad.mat")
    assert code == 2 and not out and message in err, err
    assert [line[:6] for line in err.splitlines()] == ["error:", "cause:", "hint: "]


def test_another_network_and_files_cut_short_exit_with_2(
    run: Make, load: Make, recorded: Make, inputs: Make, tmp_path: Path
) -> None:
    network, other = load("residual"), load("chain_cnn")
    path = recorded(network, inputs(network))
    code, out, err = run(other.source.path, path)
    assert code == 2 and not out and err.startswith("error:")
    for file in (path, Path(network.source.path)):
        whole = file.read_bytes()
        for keep in (0, 100, 3000, len(whole) - 50):
            file.write_bytes(whole[:keep])
            code, out, err = run(network.source.path, path)
            assert code == 2 and not out and err.startswith("error:") and file.name in err, (file.name, keep, err)
        file.write_bytes(whole)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--log", "i.mat", "--profile", "exact", "--tolerance", "a=1"], "--profile, --tolerance and --log at once"),
        (["r.mat", "--steps", "s.mat"], "reference and --steps at once"),
        (["r.mat", "--seed", "0"], "--seed and a check against a reference"),
        (["--against", "b.mat", "--training-profile", "p.toml"], "--training-profile and a check against a network"),
        (["r.mat", "--threshold", "0.4"], "--threshold and"),
    ],
)
def test_options_of_another_kind_of_check_are_not_passed_over(options: list[str], message: str, run: Make) -> None:
    code, out, err = run("a.mat", *options)
    assert (code, out) == (2, "") and message in err


def test_a_tolerance_is_for_a_name_with_equals_signs_too(run: Make, load: Make, recorded: Make, inputs: Make) -> None:
    net = replace(fixture := networks.feature_mlp(), layers=tuple(
        replace(each, name="fc=1=a") if each.name == fixture.layers[1].name else each for each in fixture.layers
    ))  # fmt: skip
    network = load(net)
    path = recorded(scaled(network, "fc=1=a", "Weights", 1.001), inputs(network))
    assert run(network.source.path, path)[0] == 1
    found = run(network.source.path, path, "--tolerance", "*=1", "--tolerance", "fc=1=a=1e-9", "--json")
    first = json.loads(found[1])["first_divergence"]
    assert found[0] == 1 and first == "fc=1=a"
    assert run(network.source.path, path, "--tolerance", "*=1e-2", "--tolerance", "fc=1=a=1e-2")[0] == 0
    assert run(network.source.path, path, "--tolerance", "=1e-2")[0] == 2


def test_a_few_targets_tell_no_mistake(load: Make, inputs: Make, tmp_path: Path) -> None:
    """Any input does better than random on some few targets; so does a mistake, undone."""
    network = load("feature_mlp")
    x = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32)
    np.savez(
        tmp_path / "data.npz",
        X=x / 255,
        T=bridge.load(network.source.path).to_torch()(torch.from_numpy(x)).detach().numpy(),
    )
    found = check(network, tmp_path / "data.npz", data=Names("X", targets="T"))
    assert found.passed and found.verdict.endswith("over 7 targets; too few observations to tell a mistake by")


def test_targets_are_told_from_outputs(run: Make, load: Make, inputs: Make, activations: Make, tmp_path: Path) -> None:
    """A network misses its targets by the error it was trained to; inputs in another scale show."""
    network = load("feature_mlp")
    x = np.random.default_rng(0).normal(size=(400, 5)).astype(np.float32)
    y = activations(network.to_torch(), x)["layer"] + np.random.default_rng(1).normal(0, 0.01, (400, 1))
    np.savez(tmp_path / "data.npz", X=x, small=x / 255, T=y)
    code, out, _ = run(network.source.path, tmp_path / "data.npz", "--inputs", "X", "--targets", "T")
    assert (
        code == 0 and re.search(r"PASSED RMSE 9\.\d\de-03 over 400 targets", out) and "not what MATLAB computed" in out
    )
    code, out, _ = run(network.source.path, tmp_path / "data.npz", "--inputs", "small", "--targets", "T")
    assert code == 1 and "when the input is multiplied by 255" in out


def test_inputs_of_ones_own_for_two_networks(run: Make, load: Make, inputs: Make, tmp_path: Path) -> None:
    network = load("residual")
    np.savez(tmp_path / "data.npz", X=inputs(network, 2))
    code, out, _ = run(
        network.source.path,
        "--against",
        network.source.path,
        "--inputs",
        f"{tmp_path / 'data.npz'}:X",
        "--profile",
        "exact",
    )
    assert code == 0 and "2 of 2 classes equal" in out


@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i8", "?", "f2", "f8"])
def test_outputs_of_every_type_are_compared(load: Make, inputs: Make, tmp_path: Path, kind: str) -> None:
    """Oracle: the numbers, which are the same whatever type holds them."""
    network = load("residual")
    x = inputs(network, 5)
    with torch.no_grad():
        scores = network.to_torch()(torch.from_numpy(x)).numpy()
    np.savez(tmp_path / "data.npz", X=x, Y=np.round(scores).astype(kind))
    found = check(network, tmp_path / "data.npz", data=Names("X", outputs="Y"))
    assert found.passed and found.layers


def test_a_network_that_cannot_compute_is_told(load: Make) -> None:
    """Torch's message is passed on, on either side."""
    network = load("feature_mlp")
    broken = network.to_torch()
    broken.get_submodule("fc_").weight = nn.Parameter(torch.zeros(3, 3))
    for one, other in ((broken, network.to_torch()), (network.to_torch(), broken)):
        with pytest.raises(UsageError, match="cannot compute its inputs") as caught:
            check(one, against=other, network=network)
        assert "shapes cannot be multiplied" in caught.value.cause
