"""From a network's name to the network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from bridge.errors import UsageError, nearest
from bridge.network import Network
from bridge.networks.alexnet import alexnet
from bridge.networks.darknet import darknet19, darknet53
from bridge.networks.densenet import densenet201
from bridge.networks.efficientnet import efficientnetb0
from bridge.networks.googlenet import googlenet
from bridge.networks.graph import Classes, Graph
from bridge.networks.inception import inceptionresnetv2, inceptionv3
from bridge.networks.mobilenet import mobilenetv2
from bridge.networks.nasnet import nasnetlarge, nasnetmobile
from bridge.networks.resnet import resnet18, resnet50, resnet101
from bridge.networks.shufflenet import shufflenet
from bridge.networks.squeezenet import squeezenet
from bridge.networks.vgg import vgg16, vgg19
from bridge.networks.xception import xception
from bridge.random import MatlabStream
from bridge.tables.pretrained import catalogue, without_weights

StateDict: TypeAlias = Mapping[str, Any]

BUILDERS: Mapping[str, Callable[[Classes], Graph]] = MappingProxyType(
    {
        builder.__name__: builder
        for builder in (
            alexnet, darknet19, darknet53, densenet201, efficientnetb0, googlenet, inceptionresnetv2, inceptionv3,
            mobilenetv2, nasnetlarge, nasnetmobile, resnet18, resnet50, resnet101, shufflenet, squeezenet, vgg16, vgg19,
            xception,
        )
    } | {"googlenet-places365": googlenet}
)  # fmt: skip


def build(
    name: str, *, classes: Classes | None = None, weights: str | Path | StateDict = "none", rng: int | MatlabStream = 0
) -> Network:
    """Return one of MATLAB's networks, with MATLAB's layer names, order, connections, sizes and factors.

    Args:
        name: "squeezenet", "googlenet", ...; `BUILDERS` has them all.
        classes: their number or their names; without, as many as MATLAB's weights, or the given ones, are for.
        weights: "none" for an untrained network (MATLAB's Weights="none"); a .mat, .onnx or saved folder of the same
            network; or the state dict of the torchvision or timm model of the same structure (squeezenet1_1, vgg16,
            vgg19).
        rng: seed or stream of the values of an untrained network: those that MATLAB draws after rng(seed).

    Returns:
        The network. The statistics of an untrained input layer are neutral (a mean of 0, say) until training computes
        them, as MATLAB's ResetInputNormalization does; a note says so.

    Raises:
        UsageError: there is no network of that name, or the weights do not fit; the first layer that differs is named.
        UnsupportedError: torchvision's has another structure.
    """
    if isinstance(weights, str) and weights == "none":
        network = architecture(name, classes=classes).initialize(rng)
        return replace(network, notes=(*network.notes, without_weights(name)))
    from bridge.networks.weights import with_file, with_state_dict

    if isinstance(weights, Mapping):
        return with_state_dict(architecture(name, classes=classes), weights, catalogue()[name])
    return with_file(lambda found: architecture(name, classes=found if classes is None else classes), weights)


def architecture(name: str, *, classes: Classes | None = None) -> Network:
    """Return a network as `build` does, its learnables without values.

    Raises:
        UsageError: there is no network of that name.
    """
    if name in BUILDERS:
        return BUILDERS[name](catalogue()[name].classes if classes is None else classes).network()
    raise UsageError(f"there is no network '{name}'", nearest(name, BUILDERS), "`bridge models` lists them")
