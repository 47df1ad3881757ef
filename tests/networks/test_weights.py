"""Weights from MATLAB's files and from torchvision, and the recipes that start from a name."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torchvision import models
from torchvision.transforms.functional import normalize

import bridge
from bridge.errors import UnsupportedError, UsageError
from bridge.networks import build, catalogue
from bridge.networks.weights import DEVIATION, MEAN
from bridge.recipes.recipe import Recipe
from fixtures import mat, onnx
from tests.networks.saved import CLASSES, saved


@pytest.mark.parametrize("name", ["squeezenet", "resnet18"])
def test_weights_come_from_a_mat_of_the_same_network(name: str, tmp_path: Path) -> None:
    """Oracle: the file, loaded by itself; outputs bit for bit."""
    path = tmp_path / f"{name}.mat"
    mat.write(path, {"net": saved(build(name, classes=CLASSES), 1)})
    loaded, built = bridge.load(path), build(name, weights=path)
    assert built.classes == loaded.classes == tuple(CLASSES)
    assert built.connections == loaded.connections
    x = torch.rand(1, 3, *built.layers[0].InputSize[:2]) * 255
    with torch.no_grad():
        assert torch.equal(built.to_torch()(x), loaded.to_torch()(x))
    assert len(built.notes) == 1 and "matched by layer name and size" in built.notes[0]


@pytest.mark.parametrize("dialect", ["19.2.1", "24.2.0"])
def test_weights_come_from_an_onnx_of_the_same_network(dialect: str, tmp_path: Path) -> None:
    """Oracle: onnxruntime, through the reader's own proof of the file's module."""
    path = tmp_path / "resnet18.onnx"
    onnx.write(path, saved(build("resnet18", classes=CLASSES), 2), dialect)
    loaded, built = bridge.load(path), build("resnet18", weights=path)
    x = torch.rand(1, 3, 224, 224) * 255
    with torch.no_grad():
        torch.testing.assert_close(built.to_torch()(x), loaded.to_torch()(x).reshape(1, 3), rtol=0, atol=1e-6)
    assert built.layers["res2a_branch2a"].BiasLearnRateFactor == 0, "factors are the network's: the file holds none"


def test_other_networks_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    mat.write(path, {"net": saved(build("squeezenet", classes=CLASSES), 1)})
    with pytest.raises(UsageError, match=r"another network: it has no layer 'conv1-7x7_s2'"):
        build("googlenet", weights=path)
    with pytest.raises(UsageError, match="Weights of layer 'conv10' is 1x1x512x3") as caught:
        build("squeezenet", weights=path, classes=5)
    assert "with_classes" in caught.value.hint


@pytest.mark.parametrize("name", ["squeezenet", "vgg16", pytest.param("vgg19", marks=pytest.mark.slow)])
def test_torchvisions_weights_give_torchvisions_outputs(name: str) -> None:
    """Oracle: torchvision's module with random weights, on normalised pixels.

    Single precision: layers are the same operators on the same numbers, but for the input, which is normalised in another
    order, and for fc6, which sums in another order.
    """
    entry = catalogue()[name]
    theirs = getattr(models, entry.torchvision)(
        weights=None, **({} if name == "squeezenet" else {"init_weights": False})
    ).eval()
    ours = build(name, weights=theirs.state_dict())
    x = torch.rand(1, 3, *entry.input_size[:2])
    with torch.no_grad():
        found, expected = ours.to_torch(include_softmax=False)(255 * x), theirs(normalize(x, MEAN, DEVIATION))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))
    assert "52 of 52" in ours.notes[0] or name != "squeezenet"


def test_timms_weights_give_timms_outputs() -> None:
    """Oracle: timm's module with random weights; its fully connected layers are convolutions. Tolerance as above."""
    timm = pytest.importorskip(
        "timm",
        reason="timm is not installed: it is no test tool, as it brings the client of a model hub for this one test",
    )
    theirs = timm.create_model("vgg16", pretrained=False).eval()
    ours = build("vgg16", weights=theirs.state_dict())
    x = torch.rand(1, 3, 224, 224)
    with torch.no_grad():
        found, expected = ours.to_torch(include_softmax=False)(255 * x), theirs(normalize(x, MEAN, DEVIATION))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5 * float(expected.abs().max()))


def test_other_structures_are_told() -> None:
    with pytest.raises(UnsupportedError, match="resnet50 is not torchvision's resnet50") as caught:
        build("resnet50", weights={})
    assert "strides" in caught.value.cause and "epsilon" in caught.value.cause
    for name, entry in catalogue().items():
        if not entry.same_as_torchvision:
            with pytest.raises(UnsupportedError, match=f"{name} is not") as refused:
                build(name, weights={}, classes=2)
            assert refused.value.cause == ("; ".join(entry.differences) or "torchvision has no such network")
            assert f"net = {entry.call};" in refused.value.hint
    with pytest.raises(UsageError, match="holds 0 tensors"):
        build("squeezenet", weights={})
    state = models.squeezenet1_1(weights=None, num_classes=7).state_dict()
    with pytest.raises(UsageError, match="do not fit layer 'conv10'"):
        build("squeezenet", weights=state)
    assert build("squeezenet", weights=state, classes=7).layers["conv10"].NumFilters == 7


@pytest.mark.parametrize(
    ("recipe", "head", "rate", "frozen"),
    [
        ("squeezenet-transfer", "new_conv", 10, 0),
        ("googlenet-transfer", "new_fc", 10, 6),
        ("alexnet-transfer", "fc", 20, 0),
    ],
)
def test_recipes_start_from_a_name(recipe: str, head: str, rate: float, frozen: int) -> None:
    """Oracle: the documented recipes, three convolutions with weights and biases in GoogLeNet's first ten layers."""
    net = Recipe.load(recipe).untrained().network(classes=CLASSES)
    assert net.classes == tuple(CLASSES)
    layer = net.head().layer
    assert (layer.name, layer.WeightLearnRateFactor, layer.BiasLearnRateFactor) == (head, rate, rate)
    assert all(each.array.size for _, _, each in net.learnables())
    assert sum(each.frozen for _, _, each in net.learnables()) == frozen
