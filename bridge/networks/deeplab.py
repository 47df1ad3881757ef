"""DeepLab v3+: a classifier whose last stage keeps its size, convolutions of several dilations side by side, and a
decoder that takes over features of a quarter of the image's size.

ResNet-18, ResNet-50 and Xception follow code that MATLAB generated from such networks; of ResNet-50 also the indices
that a public script gives to 27 layers. Derived, by what those three share: the form of MobileNet-v2 and
Inception-ResNet-v2, and all networks with a DownsamplingFactor of 8. The output layer has the name by which public
scripts replace it; the generated code has the replacement's, 'labels'. Unconfirmed: the values of the two upsamplings,
which do not learn; here they interpolate bilinearly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np

from bridge import layers
from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UsageError, nearest
from bridge.network import Layer, Network
from bridge.networks.build import architecture
from bridge.networks.graph import Classes, Graph, count, up_to

NEW: dict[str, Any] = {"WeightLearnRateFactor": 10, "BiasLearnRateFactor": 0}
FIXED: dict[str, Any] = {"WeightLearnRateFactor": 0, "BiasLearnRateFactor": 0}
DILATIONS = {16: (1, 6, 12, 18), 8: (1, 12, 24, 36)}  # of the parallel convolutions, by the downsampling factor
FILTERS, LOW_FILTERS = 256, 48


@dataclass(frozen=True)
class _Backbone:
    """How a classifier becomes an encoder.

    Attributes:
        end: the layer whose output the parallel convolutions take.
        low: the layer whose output the decoder takes, a quarter as high and wide as the image.
        halving: the layers that halve height and width for the fourth and for the fifth time.
        dilated: patterns of the layers behind them, whose filters reach as far as before where the halving is gone.
        padded: layers that get 'same' padding.
        separable: whether the new convolutions are separable ones.
        seen: whether code of MATLAB's was.
    """

    end: str
    low: str
    halving: tuple[tuple[str, ...], tuple[str, ...]]
    dilated: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
    padded: tuple[str, ...] = ()
    separable: bool = False
    seen: bool = True


RESNET = ("res4a_branch2a", "res4a_branch1"), ("res5a_branch2a", "res5a_branch1")
BACKBONES = {
    "resnet18": _Backbone("res5b_relu", "res2b_relu", RESNET, (("res4*_branch2?",), ("res5*_branch2?",))),
    "resnet50": _Backbone(
        "activation_49_relu", "activation_10_relu", RESNET, (("res4*_branch2b",), ("res5*_branch2b",))
    ),
    "xception": _Backbone(
        "block14_sepconv2_act",
        "add_1",
        (("block4_pool", "conv2d_3"), ("block13_pool", "conv2d_4")),
        padded=("block1_conv1", "block1_conv2"),
        separable=True,
    ),
    "mobilenetv2": _Backbone(
        "out_relu",
        "block_2_add",
        (("block_6_depthwise",), ("block_13_depthwise",)),
        (("block_[7-9]_depthwise", "block_1[0-2]_depthwise"), ("block_1[4-6]_depthwise",)),
        seen=False,
    ),
    "inceptionresnetv2": _Backbone(
        "conv_7b_ac",
        "activation_5",
        (
            ("conv2d_73", "conv2d_76", "max_pooling2d_3"),
            ("conv2d_158", "conv2d_160", "conv2d_163", "max_pooling2d_4"),
        ),
        padded=("conv2d_1", "conv2d_2", "max_pooling2d_1", "conv2d_4", "conv2d_5", "max_pooling2d_2"),
        seen=False,
    ),
}


def deeplabv3plus_layers(
    image_size: Sequence[int], classes: Classes, network: str | Network, *, DownsamplingFactor: int = 16
) -> Network:
    """Return what MATLAB's deeplabv3plusLayers(imageSize, numClasses, network) does.

    New learnables have no values yet (`initialize`), but those of the upsamplings.

    Args:
        image_size: [height, width], or [height, width, 3].
        classes: the number of classes, or their names.
        network: "resnet18", "resnet50", "mobilenetv2", "xception" or "inceptionresnetv2"; or one of these networks,
            whose layers stay with their values.
        DownsamplingFactor: how many times smaller than the image the encoder's output is, 16 or 8.

    Raises:
        UsageError: it is another network, or another factor.
    """
    graph = _deeplab(image_size, classes, network, DownsamplingFactor)
    graph.ending(classes, "softmax-out", "classification", layers.pixel_classification)
    return graph.network()


def deeplabv3plus(
    image_size: Sequence[int], classes: Classes, network: str | Network, *, DownsamplingFactor: int = 16
) -> Network:
    """Return what MATLAB's deeplabv3plus(imageSize, numClasses, network) does since R2024a: as `deeplabv3plus_layers`,
    a dlnetwork that ends in its softmax. That its layers have the names of that function is unconfirmed.
    """
    graph = _deeplab(image_size, classes, network, DownsamplingFactor)
    graph.add(layers.softmax(name="softmax-out"))
    return graph.network(classes)


def _deeplab(image_size: Sequence[int], classes: Classes, network: str | Network, factor: int) -> Graph:
    name, base = _base(network)
    backbone = BACKBONES[name]
    if factor not in DILATIONS:
        raise UsageError(f"DownsamplingFactor is {factor!r}", "it is 8 or 16", "give 16, say")
    size = tuple(image_size) if len(image_size) > 2 else (*image_size, 3)
    kept = up_to(base, backbone.end)
    cut = base.remove([layer for layer in base.layers if layer.name not in kept])
    graph = Graph.of(cut.with_layers(_encoding(cut, backbone, factor)).with_input_size(size), *base.notes)
    if not backbone.seen or factor != 16:
        graph.note(f"how DownsamplingFactor = {factor} changes {name} is derived, not seen")
    _parallel(graph, backbone, DILATIONS[factor])
    _decode(graph, classes, base.inputs[0], backbone, factor)
    return graph


def _base(network: str | Network) -> tuple[str, Network]:
    """Return the name of a backbone, and the classifier itself."""
    if isinstance(network, str):
        name, what, cause = network, network, nearest(network, BACKBONES)
    else:
        has = network.layers.has
        name = next((name for name, each in BACKBONES.items() if has(each.end) and has(each.low)), "")
        what, cause = network.source.path or network.kind, "it has the layers of none of its backbones"
    if name not in BACKBONES:
        raise UsageError(f"DeepLab v3+ is not built on '{what}'", cause, f"it takes {', '.join(BACKBONES)}")
    return name, architecture(name) if isinstance(network, str) else network


def _encoding(network: Network, backbone: _Backbone, factor: int) -> dict[str, Layer]:
    """Return the layers that change: the last ones that halve the size pad to 'same'; those beyond the factor do not
    halve it, and the filters behind them are dilated.
    """
    changed = {name: _same(network.layers[name]) for name in backbone.padded}
    dilation = 1
    for stage, (halving, patterns) in enumerate(zip(backbone.halving, backbone.dilated, strict=True)):
        halves = stage == 0 and factor == 16
        for name in halving:
            layer = network.layers[name]
            changed[name] = _same(layer) if halves else _spread(layer, dilation, Stride=(1, 1))
        if halves:
            continue
        dilation *= 2
        for layer in network.layers:
            if layer.name not in halving and any(fnmatchcase(layer.name, each) for each in patterns):
                changed[layer.name] = _spread(layer, dilation)
    return changed


def _same(layer: Layer, **properties: Any) -> Layer:
    padding = {"PaddingMode": "same", "PaddingSize": (0, 0, 0, 0)}
    return replace(layer, properties={**layer.properties, **padding, **properties})


def _spread(layer: Layer, dilation: int, **properties: Any) -> Layer:
    """Dilate a layer of more than one pixel; one of a single pixel needs no padding."""
    if layer.properties.get("FilterSize") == (1, 1):
        return _same(layer, PaddingMode="manual", **properties)
    if dilation > 1 and "DilationFactor" in layer.row.properties:
        properties["DilationFactor"] = (dilation, dilation)
    return _same(layer, **properties)


def _parallel(graph: Graph, backbone: _Backbone, dilations: Sequence[int]) -> None:
    """Append the convolutions side by side."""
    ends = []
    for number, dilation in enumerate(dilations, 1):
        size = 1 if dilation == 1 else 3
        _conv(graph, f"aspp_Conv_{number}", size, backbone.separable, backbone.end, DilationFactor=dilation)
        graph.batch_norm(f"aspp_BatchNorm_{number}")
        ends.append(graph.relu(f"aspp_Relu_{number}"))
    graph.concat("catAspp", *ends)


def _decode(graph: Graph, classes: Classes, image: str, backbone: _Backbone, factor: int) -> None:
    graph.conv("dec_c1", 1, FILTERS, **NEW)
    _normalized(graph, 1)
    enlarged = _upsample(graph, "dec_upsample1", factor // 4, FILTERS)
    cropped = graph.add(layers.crop2d("centercrop", name="dec_crop1"), enlarged, "dec_relu2")
    graph.conv("dec_c2", 1, LOW_FILTERS, backbone.low, **NEW)
    graph.concat("dec_cat1", _normalized(graph, 2), cropped)
    for number in (3, 4):
        _conv(graph, f"dec_c{number}", 3, backbone.separable)
        _normalized(graph, number)
    graph.conv("scorer", 1, count(classes), **NEW)
    scores = _upsample(graph, "dec_upsample2", 4, count(classes))
    graph.add(layers.crop2d("centercrop", name="dec_crop2"), scores, image)


def _conv(graph: Graph, name: str, size: int, separable: bool, *source: str, **properties: Any) -> None:
    if not separable:
        graph.conv(name, size, FILTERS, *source, Padding="same", **NEW, **properties)
        return
    apart = layers.grouped_convolution2d(
        size, 1, "channel-wise", name=f"{name}_depthwise", Padding="same", **NEW, **properties
    )
    graph.add(apart, *source)
    graph.conv(f"{name}_pointwise", 1, FILTERS, **NEW)


def _normalized(graph: Graph, number: int) -> str:
    graph.batch_norm(f"dec_bn{number}")
    return graph.relu(f"dec_relu{number}")


def _upsample(graph: Graph, name: str, factor: int, channels: int) -> str:
    """Append a transposed convolution of each channel by itself, whose weights interpolate and do not learn."""
    shapes = {"Weights": (2 * factor, 2 * factor, channels, channels), "Bias": (1, 1, channels)}

    def interpolating() -> NDArray:
        weights = np.zeros(shapes["Weights"], np.float32)
        weights[:, :, range(channels), range(channels)] = bilinear(factor)[:, :, None]
        return weights

    loads = {"Weights": interpolating, "Bias": lambda: np.zeros(shapes["Bias"], np.float32)}
    made = layers.transposed_conv2d(2 * factor, channels, name=name, Stride=factor, Cropping=factor // 2, **FIXED)
    values = {
        key: replace(each, array=Array(shapes[key], np.dtype(np.float32), loads[key], shapes[key]))
        for key, each in made.learnables.items()
    }
    return graph.add(replace(made, learnables=values))


def bilinear(factor: int) -> NDArray:
    """Return the weights that interpolate an image bilinearly to `factor` times its size, `factor` even:
    (2 factor) x (2 factor), a pyramid whose values at the distance of `factor` sum to 1.
    """
    distances = np.abs(np.arange(2 * factor) - factor + 0.5) / factor
    return np.outer(1 - distances, 1 - distances)
