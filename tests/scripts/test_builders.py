"""Functions of MATLAB's that build networks; the oracle is the builder itself, whose own tests have MATLAB's counts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bridge.network import Network
from bridge.networks import (
    architecture,
    deeplabv3plus,
    deeplabv3plus_layers,
    resnet_layers,
    resnet_network,
    unet,
    unet3d,
    unet3d_layers,
    unet_layers,
)
from tests.networks.test_networks import connections, require_same
from tests.scripts.test_forms import reading

TRAIN = """
options = trainingOptions("sgdm", MaxEpochs=2);
net = trainNetwork(data, {}, options);
"""
BUILT: dict[str, Callable[[], Network]] = {
    "unetLayers([32 32 3], 2, EncoderDepth=2)": lambda: unet_layers((32, 32, 3), 2, EncoderDepth=2),
    "unet([32 32 3], 2, EncoderDepth=2, ConvolutionPadding='same')": lambda: unet((32, 32, 3), 2, EncoderDepth=2),
    "unet3dLayers([132 132 116 1], 2, 'ConvolutionPadding', 'valid')": lambda: unet3d_layers(
        (132, 132, 116, 1), 2, ConvolutionPadding="valid"
    ),
    "unet3d([16 16 16 1], 2, NumFirstEncoderFilters=4)": lambda: unet3d((16, 16, 16, 1), 2, NumFirstEncoderFilters=4),
    "resnetLayers([64 64 3], 2, StackDepth=[2 1], NumFilters=[8 16], BottleneckType='none')": lambda: resnet_layers(
        (64, 64, 3), 2, StackDepth=(2, 1), NumFilters=(8, 16), BottleneckType="none"
    ),
    "resnetNetwork([28 28 1], 2, InitialStride=[1 1], InitialPoolingLayer='average')": lambda: resnet_network(
        (28, 28, 1), 2, InitialStride=(1, 1), InitialPoolingLayer="average"
    ),
}


def require_equal(built: Network, expected: Network) -> None:
    assert (built.kind, list(connections(built))) == (expected.kind, list(connections(expected)))
    for one, other in zip(built.layers, expected.layers, strict=True):
        require_same(one, other)


def applied(folder: Path, call: str) -> tuple[Network, list[str]]:
    """Return the network of a script's recipe, and what was not understood."""
    found = reading(folder, f"lgraph = {call};{TRAIN.format('lgraph')}")
    assert found.recipe is not None, found.not_understood
    (edit,) = found.recipe.edits
    return edit.apply(architecture("squeezenet"), None), [entry.what for entry in found.not_understood]


@pytest.mark.parametrize("call", BUILT)
def test_a_script_builds_the_builders_network(call: str, tmp_path: Path) -> None:
    built, unknown = applied(tmp_path, call)
    require_equal(built, BUILT[call]())
    assert unknown == []


@pytest.mark.parametrize("function", ["deeplabv3plusLayers", "deeplabv3plus"])
def test_values_that_a_builder_sets_are_told(function: str, tmp_path: Path) -> None:
    """The weights of DeepLab's upsamplings, which never learn, and of its encoder: a recipe holds neither."""
    built, unknown = applied(tmp_path, f"{function}([64 64 3], 2, 'resnet18', DownsamplingFactor=8)")
    make = deeplabv3plus_layers if function == "deeplabv3plusLayers" else deeplabv3plus
    require_equal(built, make((64, 64, 3), 2, "resnet18", DownsamplingFactor=8))
    assert any("the weights of resnet18" in each for each in unknown), unknown
    assert any("dec_upsample1, dec_upsample2" in each for each in unknown), unknown
