"""Rows of a user's TOML file reach everything that a built-in row reaches, with a module for what torch lacks and no code else.

Four layers that no table knows: one with a learnable, one like a built-in one, one elementwise, one output layer. Oracle of numbers:
torch's functions on the arrays that the maker of the file put into it.
"""

from __future__ import annotations

import runpy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import bridge
from bridge.arrays.lazy import NDArray
from bridge.data.expected import own_loss
from bridge.errors import UnsupportedError
from bridge.network import Network
from bridge.network.initialize import drawn
from fixtures import layers as L
from fixtures import mat

ROWS = """
[ScaleLayer]
matlab = "my.ScaleLayer"
constructor = "my.ScaleLayer"
torch = "ScaleLayer"
[ScaleLayer.properties]
Negate = { default = false }
[ScaleLayer.learnables.Scale]
torch = "scale"
matlab_axes = "c 1"
torch_axes = "c"
learn_rate = "ScaleLearnRateFactor"
l2 = "ScaleL2Factor"
initializer = "ones"

[CausalConvolutionLayer]
like = "Convolution1DLayer"
matlab = "my.CausalConvolutionLayer"
constructor = "my.CausalConvolutionLayer"

[SoftsignLayer]
matlab = "my.SoftsignLayer"
constructor = "my.SoftsignLayer"
onnx = "Softsign"
torch = "Softsign"
traits = ["elementwise"]

[WeightedOutputLayer]
matlab = "my.WeightedOutputLayer"
constructor = "my.WeightedOutputLayer"
outputs = []
loss = { trainNetwork = "classification", trainnet = "crossentropy" }
[WeightedOutputLayer.properties]
Classes = { saved = "Categories" }
ClassWeights = {}
"""
CHANNELS, HIDDEN, CLASSES, STEPS = 4, 5, ("ant", "bee", "cat"), 7
OWN = ("my.CausalConvolutionLayer", "my.SoftsignLayer", "my.ScaleLayer", "my.WeightedOutputLayer")
FACTORS = (3.0, 0.5)


class Scale(nn.Module):
    """MATLAB's my.ScaleLayer, for sequences N,T,C."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(layer.Scale).reshape(-1))
        self.sign = -1.0 if layer.Negate else 1.0

    def forward(self, x: Tensor) -> Tensor:
        return self.sign * self.scale * x


MODULES = {"my.ScaleLayer": Scale}


@dataclass(frozen=True)
class Own:
    """A network of such layers, the arrays that lie in its file and the file of rows."""

    network: Network
    arrays: dict[str, NDArray]
    rows: Path

    def scores(self, x: Tensor, scale: Tensor | None = None) -> Tensor:
        """Return what comes before the softmax, by torch's functions alone; N,T,C."""
        held = {name: torch.tensor(array) for name, array in self.arrays.items()}
        filters = held["conv/Weights"].permute(2, 1, 0)  # k in out -> out in k
        x = functional.conv1d(x.mT, filters, held["conv/Bias"].reshape(-1), padding="same").mT
        x = -(held["scale/Scale"].reshape(-1) if scale is None else scale) * functional.softsign(x)
        return functional.linear(x, held["fc/Weights"], held["fc/Bias"].reshape(-1))


def layers_of(*, scaled: bool = True) -> tuple[L.Layer, ...]:
    rng = np.random.default_rng(0)
    plain = L.classificationLayer("output", CLASSES, weights=(1.0, 2.0, 4.0), sequences=True)
    scale = L.Param(rng.standard_normal((HIDDEN, 1)).astype(np.float32), *FACTORS)
    return (
        L.sequenceInputLayer(CHANNELS, "in"),
        replace(L.convolution1dLayer(rng, "conv", 3, CHANNELS, HIDDEN, padding="same"), cls=OWN[0]),
        L.Layer("softsign", OWN[1], {}, saveobj=False),
        *([L.Layer("scale", OWN[2], {"Negate": True}, {"Scale": scale})] if scaled else []),
        L.fullyConnectedLayer(rng, "fc", HIDDEN, len(CLASSES)),
        L.softmaxLayer("softmax"),
        replace(plain, cls=OWN[3]),
    )


def made(folder: Path, layers: tuple[L.Layer, ...]) -> Own:
    mat.write(folder / "net.mat", {"net": L.Net("SeriesNetwork", layers)})
    (folder / "rows.toml").write_text(ROWS, encoding="utf-8")
    arrays = {f"{layer.name}/{name}": param.value for layer in layers for name, param in layer.params.items()}
    return Own(bridge.load(folder / "net.mat", mappings=folder / "rows.toml"), arrays, folder / "rows.toml")


@pytest.fixture
def own(tmp_path: Path) -> Own:
    return made(tmp_path, layers_of())


def sequences() -> tuple[list[NDArray], list[NDArray]]:
    """Return sequences C x T, as trainNetwork takes them, and the class index of each step."""
    rng = np.random.default_rng(1)
    return [rng.standard_normal((CHANNELS, STEPS)).astype(np.float32) for _ in range(4)], [
        rng.integers(0, len(CLASSES), STEPS) for _ in range(4)
    ]


def batch() -> Tensor:
    return torch.tensor(np.stack(sequences()[0])).mT


def require_same(found: Network, own: Own) -> None:
    """The same layers, factors, classes and values, bit for bit."""
    assert [(each.name, each.kind, dict(each.properties)) for each in found.layers] == [
        (each.name, each.kind, dict(each.properties)) for each in own.network.layers
    ]
    assert found.classes == CLASSES
    learnables = {f"{layer.name}/{name}": each for layer, name, each in found.learnables()}
    assert learnables.keys() == own.arrays.keys()
    for name, each in learnables.items():
        np.testing.assert_array_equal(each.value, own.arrays[name])
    assert (learnables["scale/Scale"].learn_rate_factor, learnables["scale/Scale"].l2_factor) == FACTORS


def test_they_are_read_with_their_sizes(own: Own) -> None:
    network = own.network
    assert not network.notes
    assert [layer.row.matlab[0] for layer in network.layers if layer.row.matlab[0].startswith("my.")] == list(OWN)
    sizes = [str(network.sizes[name][0]) for name in ("conv", "softsign", "scale", "fc")]
    assert sizes == [f"{HIDDEN}×T"] * 3 + [f"{len(CLASSES)}×T"]
    assert network.layers["output"].ClassWeights == (1.0, 2.0, 4.0)
    require_same(network, own)


def test_the_module_computes_what_torch_does(own: Own) -> None:
    model = own.network.to_torch(modules=MODULES)
    with torch.no_grad():
        torch.testing.assert_close(model(batch()), own.scores(batch()).softmax(-1), rtol=1e-6, atol=1e-7)
    assert {each.name for each in bridge.learnables(model)} == {
        "conv.weight", "conv.bias", "scale.scale", "fc.weight", "fc.bias",
    }  # fmt: skip


def test_what_has_no_module_is_named(own: Own) -> None:
    with pytest.raises(UnsupportedError, match=r"layer 'scale' \(ScaleLayer\)") as caught:
        own.network.to_torch()
    assert "--modules" in caught.value.hint


def test_factors_are_edited_and_reach_the_parameters(own: Own) -> None:
    network = own.network.set_learn_rate_factor("scale", "Scale", 0)
    network = network.freeze([network.layers["conv"]])
    model = network.to_torch(modules=MODULES)
    assert [name for name, each in model.named_parameters() if not each.requires_grad] == [
        "conv.weight", "conv.bias", "scale.scale",
    ]  # fmt: skip
    assert network.layers["scale"].ScaleLearnRateFactor == 0
    assert network.layers["conv"].WeightLearnRateFactor == 0


def test_values_are_drawn_for_a_row_that_says_how(tmp_path: Path) -> None:
    """Those of a layer that is like another by that one's initializer, others by their row's; ones are not drawn."""
    fresh = [L.untrained(layer) if layer.name in ("conv", "scale") else layer for layer in layers_of()]
    network = made(tmp_path, tuple(fresh)).network
    assert [(each.layer, each.initializer, each.evidence) for each in drawn(network)] == [("conv", "glorot", "U")]
    network = network.initialize(0)
    np.testing.assert_array_equal(network.layers["scale"].learnables["Scale"].value, np.ones((HIDDEN, 1), np.float32))
    bound = np.sqrt(6 / (3 * CHANNELS + 3 * HIDDEN))  # Glorot's, of filters 3 x 4 x 5
    weights = network.layers["conv"].learnables["Weights"].value
    expected = bound * (2 * np.random.RandomState(5489).random_sample(weights.size) - 1)
    np.testing.assert_array_equal(weights, expected.reshape(weights.shape, order="F").astype(np.float32))


@pytest.mark.parametrize(("trainer", "divided"), [("trainNetwork", 4), ("trainnet", 4 * STEPS)])
def test_they_are_trained(own: Own, trainer: str, divided: int) -> None:
    """One step of sgdm without momentum: scale - rate * 3 (gradient + L2 * 0.5 * scale), the gradient by torch's autograd of the
    cross entropy, weighted by class, over `divided` observations or steps."""
    assert own_loss(own.network, trainer) == ("classification" if trainer == "trainNetwork" else "crossentropy")
    inputs, targets = sequences()
    options = bridge.training_options(
        "sgdm", trainer=trainer, InitialLearnRate=0.1, Momentum=0, L2Regularization=0.01, MaxEpochs=1, MiniBatchSize=4,
        Verbose=False, Shuffle="never",
    )  # fmt: skip
    given = inputs if trainer == "trainNetwork" else [each.T for each in inputs]
    info = bridge.train(own.network, (given, targets), options, modules=MODULES)

    scale = torch.tensor(own.arrays["scale/Scale"]).reshape(-1).requires_grad_()
    scores = own.scores(batch(), scale).flatten(0, 1)
    weights = torch.tensor([1.0, 2.0, 4.0])
    loss = functional.cross_entropy(scores, torch.tensor(np.concatenate(targets)), weights, reduction="sum") / divided
    loss.backward()
    assert scale.grad is not None
    expected = scale - 0.1 * FACTORS[0] * (scale.grad + 0.01 * FACTORS[1] * scale)
    assert info.network is not None
    found = info.network.layers["scale"].learnables["Scale"].value.reshape(-1)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=2e-6)
    logged = loss.item() / (STEPS if trainer == "trainNetwork" else 1)
    assert info.rows[0]["TrainingLoss"] == pytest.approx(logged, rel=1e-6)
    assert info.network.layers["output"].kind == "WeightedOutputLayer"


def test_a_mat_and_a_folder_hold_them(own: Own, tmp_path: Path) -> None:
    bridge.export(own.network, tmp_path / "back.mat", modules=MODULES, tell=lambda text: None)
    require_same(bridge.load(tmp_path / "back.mat", mappings=own.rows), own)
    own.network.save(tmp_path / "saved")
    require_same(bridge.load(tmp_path / "saved", mappings=own.rows), own)


def test_source_takes_the_module_as_an_argument(own: Own, tmp_path: Path) -> None:
    bridge.export(own.network, tmp_path / "program.py", modules=MODULES, tell=lambda text: None)
    held = runpy.run_path(str(tmp_path / "program.py"))
    module = Scale(own.network.layers["scale"])
    nn.init.zeros_(module.scale)
    model = held["Network"](scale=module)
    held["load_weights"](model)
    with torch.no_grad():
        assert torch.equal(model.eval()(batch()), own.network.to_torch(modules=MODULES)(batch()))
    assert held["FACTORS"][FACTORS] == ["scale.scale"]
    assert "scale: your module of my.ScaleLayer" in held["__doc__"]


@pytest.mark.parametrize("ending", [".onnx", ".py"])
def test_what_a_form_cannot_hold_is_named(own: Own, tmp_path: Path, ending: str) -> None:
    with pytest.raises(UnsupportedError, match="ScaleLayer"):
        bridge.export(own.network, tmp_path / f"program{ending}")


def test_a_program_and_a_state_dict_hold_the_module(own: Own, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    for ending in (".pt2", ".safetensors"):
        bridge.export(own.network, tmp_path / f"all{ending}", modules=MODULES, tell=lambda text: None)
    model = own.network.to_torch(modules=MODULES)
    with torch.no_grad():
        program = torch.export.load(tmp_path / "all.pt2").module()
        torch.testing.assert_close(program(batch()), model(batch()), rtol=1e-6, atol=1e-7)
    state = load_file(tmp_path / "all.safetensors")
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in model.state_dict().items())


def test_an_onnx_holds_what_has_an_operator(tmp_path: Path) -> None:
    """The layer that is like a convolution is written and read as one, the elementwise one by its row; oracle: onnxruntime."""
    import onnxruntime

    own = made(tmp_path, layers_of(scaled=False))
    bridge.export(own.network, tmp_path / "net.onnx", tell=lambda text: None)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {session.get_inputs()[0].name: batch().movedim(1, 0).numpy()})  # T,N,C as MATLAB's
    with torch.no_grad():
        expected = own.network.to_torch()(batch()).movedim(1, 0)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-6)
    read = bridge.load(tmp_path / "net.onnx", mappings=own.rows)
    assert [layer.kind for layer in read.layers] == [layer.kind for layer in own.network.layers]
    assert read.classes == CLASSES
