"""Built networks as MATLAB would save them, with random weights, and thin copies of them that compute quickly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from bridge.network import Layer, Network
from bridge.network.activations import Activation
from bridge.networks import (
    BUILDERS,
    architecture,
    deeplabv3plus_layers,
    segnet_layers,
    unet,
    unet3d_layers,
    unet_layers,
    yolov2_layers,
)
from bridge.networks.nasnet import nasnet
from fixtures import layers as L
from fixtures.layers import Net
from fixtures.onnx_graph import Activation as Value
from fixtures.onnx_graph import Graph, known, mangled

CLASSES = ["cap", "cube", "torch"]
SHUFFLE, PADDING = (
    "nnet.shufflenet.layer.ChannelShufflingLayer",
    "nnet.nasnetmobile.layer.NASNetMobileZeroPadding2dLayer",
)
NARROWER = {"shufflenet": 2}  # how many times fewer channels a thin copy has; 8 where nothing is said
SIZES = {
    "alexnet": 67,
    "squeezenet": 35,
    "inceptionv3": 75,
    "inceptionresnetv2": 75,
}  # height and width of the input of a thin copy; 32 where nothing is said


def saved(net: Network, seed: int = 0) -> Net:
    """Return the network as MATLAB would save it, with random weights of its own."""
    rng = np.random.default_rng(seed)
    pairs = tuple(
        (
            c.source + (f"/{c.source_port}" if len(net.layers[c.source].outputs) > 1 else ""),
            c.destination + (f"/{c.destination_port}" if len(net.layers[c.destination].inputs) > 1 else ""),
        )
        for c in net.connections
    )
    return Net(
        net.kind,
        tuple(saved_layer(net, layer, rng) for layer in net.layers),
        None if net.kind == "SeriesNetwork" else pairs,
    )


def saved_layer(net: Network, layer: Layer, rng: np.random.Generator) -> L.Layer:
    incoming = net.incoming[layer.name]
    given = net.sizes[incoming[0].source][0] if incoming else Activation("SSCB", layer.InputSize)
    made: L.Layer = MAKERS[layer.kind](layer, given, rng)
    return L.with_factors(
        made, **{name: (each.learn_rate_factor, each.l2_factor) for name, each in layer.learnables.items()}
    )


def _window(layer: Layer) -> dict[str, Any]:
    return {"stride": layer.Stride, "padding": "same" if layer.PaddingMode == "same" else layer.PaddingSize}


def _convolution(layer: Layer, given: Activation, rng: np.random.Generator) -> L.Layer:
    make: Any = L.convolution3dLayer if len(layer.FilterSize) == 3 else L.convolution2dLayer
    size, channels, window = layer.FilterSize, given.channels or 0, _window(layer)
    return make(rng, layer.name, size, channels, layer.NumFilters, dilation=layer.DilationFactor, **window)


def _transposed(layer: Layer, given: Activation, rng: np.random.Generator) -> L.Layer:
    name, size, channels = layer.name, layer.FilterSize, given.channels or 0
    if len(size) == 3:
        return L.transposedConv3dLayer(rng, name, size, channels, layer.NumFilters, stride=layer.Stride)
    return L.transposedConv2dLayer(
        rng, name, size, channels, layer.NumFilters, stride=layer.Stride, cropping=layer.CroppingSize
    )


def _yolov2_output(layer: Layer, given: Activation, rng: np.random.Generator) -> L.Layer:
    half = len(layer.AnchorBoxes) // 2
    return L.yolov2OutputLayer(
        layer.name, list(zip(layer.AnchorBoxes[:half], layer.AnchorBoxes[half:], strict=True)), layer.Classes
    )


MAKERS: dict[str, Callable[[Layer, Activation, np.random.Generator], L.Layer]] = {
    "ImageInputLayer": lambda layer, given, rng: L.imageInputLayer(
        layer.InputSize,
        layer.name,
        layer.Normalization,
        **L.input_statistics(rng, layer.Normalization, (1, 1, layer.InputSize[2])),
    ),
    "Image3DInputLayer": lambda layer, given, rng: L.image3dInputLayer(
        layer.InputSize,
        layer.name,
        layer.Normalization,
        **L.input_statistics(rng, layer.Normalization, (1, 1, 1, layer.InputSize[3])),
    ),
    "Convolution2DLayer": _convolution,
    "Convolution3DLayer": _convolution,
    "GroupedConvolution2DLayer": lambda layer, given, rng: L.groupedConvolution2dLayer(
        rng,
        layer.name,
        layer.FilterSize,
        (given.channels or 0) // layer.NumGroups,
        layer.NumFiltersPerGroup,
        layer.NumGroups,
        **_window(layer),
    ),
    "TransposedConvolution2DLayer": _transposed,
    "TransposedConvolution3DLayer": _transposed,
    "BatchNormalizationLayer": lambda layer, given, rng: L.batchNormalizationLayer(
        rng, layer.name, given.channels or 0, epsilon=layer.Epsilon
    ),
    "CrossChannelNormalizationLayer": lambda layer, given, rng: L.crossChannelNormalizationLayer(
        layer.name, layer.WindowChannelSize, k=layer.K
    ),
    "MaxPooling2DLayer": lambda layer, given, rng: L.maxPooling2dLayer(
        layer.name, layer.PoolSize, unpooling=layer.properties.get("HasUnpoolingOutputs", False), **_window(layer)
    ),
    "MaxPooling3DLayer": lambda layer, given, rng: L.maxPooling3dLayer(layer.name, layer.PoolSize, stride=layer.Stride),
    "AveragePooling2DLayer": lambda layer, given, rng: L.averagePooling2dLayer(
        layer.name, layer.PoolSize, **_window(layer)
    ),
    "GlobalAveragePooling2DLayer": lambda layer, given, rng: L.globalAveragePooling2dLayer(layer.name),
    "MaxUnpooling2DLayer": lambda layer, given, rng: L.maxUnpooling2dLayer(layer.name),
    "FullyConnectedLayer": lambda layer, given, rng: L.fullyConnectedLayer(
        rng, layer.name, (*(given.spatial or (1, 1)), given.channels or 0), layer.OutputSize
    ),
    "ReLULayer": lambda layer, given, rng: L.reluLayer(layer.name),
    "LeakyReLULayer": lambda layer, given, rng: L.leakyReluLayer(layer.name, layer.Scale),
    "ClippedReLULayer": lambda layer, given, rng: L.clippedReluLayer(layer.name, layer.Ceiling),
    "SigmoidLayer": lambda layer, given, rng: L.sigmoidLayer(layer.name),
    "MultiplicationLayer": lambda layer, given, rng: L.multiplicationLayer(layer.name, len(layer.inputs)),
    "ScalingFactorLayer": lambda layer, given, rng: L.scalingFactorLayer(layer.name, layer.Scale),
    "DropoutLayer": lambda layer, given, rng: L.dropoutLayer(layer.name, layer.Probability),
    "AdditionLayer": lambda layer, given, rng: L.additionLayer(layer.name, len(layer.inputs)),
    "DepthConcatenationLayer": lambda layer, given, rng: L.depthConcatenationLayer(layer.name, len(layer.inputs)),
    "ConcatenationLayer": lambda layer, given, rng: L.concatenationLayer(layer.name, layer.Dim, len(layer.inputs)),
    "ChannelShuffleLayer": lambda layer, given, rng: L.Layer(
        layer.name, SHUFFLE, {"NumGroups": float(layer.NumGroups)}
    ),
    "ZeroPadding2DLayer": lambda layer, given, rng: L.Layer(
        layer.name, PADDING, {"PaddingSize": L.row(*layer.PaddingSize)}
    ),
    "Crop2DLayer": lambda layer, given, rng: L.crop2dLayer(layer.name, layer.properties.get("Location")),
    "Crop3DLayer": lambda layer, given, rng: L.crop3dLayer(layer.name, layer.properties.get("Location")),
    "SoftmaxLayer": lambda layer, given, rng: L.softmaxLayer(layer.name),
    "ClassificationOutputLayer": lambda layer, given, rng: L.classificationLayer(layer.name, layer.Classes),
    "PixelClassificationLayer": lambda layer, given, rng: L.pixelClassificationLayer(
        layer.name, layer.Classes, given.spatial
    ),  # type: ignore[arg-type]
    "YOLOv2TransformLayer": lambda layer, given, rng: L.yolov2TransformLayer(layer.name, layer.NumAnchorBoxes),
    "YOLOv2OutputLayer": _yolov2_output,
}


def channel_shuffle(graph: Graph, layer: L.Layer, x: Value) -> Value:
    """The nodes that the layer of this network came from: it is named shuffle_8to10 after a Reshape, a Transpose and a Reshape."""
    name, groups, (_, channels, height, width) = (
        mangled(layer.name),
        int(layer.saved["NumGroups"]),
        map(known, (1, *x.shape[1:])),
    )
    shapes = ((1, groups, channels // groups, height, width), (1, channels, height, width))
    split, joined = (
        graph.weight(f"{name}_{key}", shape, np.int64) for key, shape in zip(("split", "joined"), shapes, strict=True)
    )
    graph.node("Reshape", f"{name}_Split", [x.name, split])
    graph.node("Transpose", f"{name}_Transpose", [f"{name}_Split"], perm=[0, 2, 1, 3, 4])
    graph.node("Reshape", name, [f"{name}_Transpose", joined])
    return replace(x, name=name)


def zero_padding(graph: Graph, layer: L.Layer, x: Value) -> Value:
    """What the ONNX standard says the layer means; the form of MATLAB's exporters is not known."""
    name, (top, bottom, left, right) = mangled(layer.name), map(int, layer.saved["PaddingSize"].ravel())
    sides = [0, 0, top, left, 0, 0, bottom, right]
    if graph.opset < 11:
        graph.node("Pad", name, [x.name], pads=sides)
    else:
        graph.node("Pad", name, [x.name, graph.weight(f"{name}_pads", sides, np.int64)])
    height, width = map(known, x.spatial)
    return Value(name, x.axes, (*x.shape[:2], height + top + bottom, width + left + right))


def scaling_factor(graph: Graph, layer: L.Layer, x: Value) -> Value:
    """A product with a number; the form of MATLAB's exporters is not known."""
    name = mangled(layer.name)
    graph.node("Mul", name, [x.name, graph.weight(f"{name}_scale", [layer.saved["Scale"]])])
    return replace(x, name=name)


def yolov2_transform(graph: Graph, layer: L.Layer, x: Value) -> Value:
    """The documented formula, anchor by anchor; the form of MATLAB's exporters is not known."""
    name, anchors, (channels, height, width) = (
        mangled(layer.name),
        int(layer.saved["NumAnchorBoxes"]),
        map(known, x.shape[1:]),
    )
    sizes, parts = [3, 2, channels // anchors - 5], [f"{name}_{part}" for part in ("Place", "Size", "Class")]
    by_anchor = graph.weight(f"{name}_by_anchor", (0, channels // anchors, anchors, height, width), np.int64)
    image = graph.weight(f"{name}_image", (0, channels, height, width), np.int64)
    rows = [graph.node("Reshape", f"{name}_Rows", [x.name, by_anchor])]
    if graph.opset < 13:
        graph.node("Split", f"{name}_Split", rows, outputs=parts, axis=1, split=sizes)
    else:
        graph.node(
            "Split", f"{name}_Split", [*rows, graph.weight(f"{name}_sizes", sizes, np.int64)], outputs=parts, axis=1
        )
    bent = [graph.node(op, f"{name}_{op}", [part]) for op, part in zip(("Sigmoid", "Exp"), parts[:2], strict=True)]
    last = graph.node("Transpose", f"{name}_Transpose1", [parts[2]], perm=[0, 2, 3, 4, 1])
    soft = graph.node("Softmax", f"{name}_Softmax", [last], axis=4)
    bent.append(graph.node("Transpose", f"{name}_Transpose2", [soft], perm=[0, 4, 1, 2, 3]))
    graph.node("Reshape", name, [graph.node("Concat", f"{name}_Concat", bent, axis=1), image])
    return replace(x, name=name)


OWN_LAYERS = {
    "ChannelShufflingLayer": channel_shuffle,
    "NASNetMobileZeroPadding2dLayer": zero_padding,
    "YOLOv2TransformLayer": yolov2_transform,
    "ScalingFactorLayer": scaling_factor,
}


NASNETS: dict[str, dict[str, Any]] = {
    "nasnetmobile": {"blocks": 4},
    "nasnetlarge": {"blocks": 6, "skips_reduction": True, "instance": 2},
}


def thin(name: str) -> Network:
    """Return a network with all its layers, but fewer channels and a small input, its learnables without values."""
    if name in OTHERS:
        return OTHERS[name]()
    if name in NASNETS:  # their widths are no multiples of one number
        return nasnet(CLASSES, 32, stem=8, filters=8, **NASNETS[name]).network()
    net, narrower, size = architecture(name, classes=CLASSES), NARROWER.get(name, 8), SIZES.get(name, 32)
    head = net.head().layer.name
    return net.with_layers({layer.name: _thinned(layer, narrower, size) for layer in net.layers if layer.name != head})


def _thinned(layer: Layer, narrower: int, size: int) -> Layer:
    properties = dict(layer.properties)
    if layer.kind == "ImageInputLayer":
        properties["InputSize"] = (size, size, 3)
    width = {
        "Convolution2DLayer": "NumFilters",
        "FullyConnectedLayer": "OutputSize",
        "GroupedConvolution2DLayer": "NumFiltersPerGroup",
    }.get(layer.kind, "")
    if width and properties[width] == 1:
        width = "NumGroups"
    if width:
        properties[width] = -(-properties[width] // narrower)
    return replace(layer, properties=properties)


def detector(base: str, feature: str) -> Network:
    return yolov2_layers((32, 32, 3), ["car", "bus"], [(8, 16), (16, 8)], thin(base), feature)


OTHERS: dict[str, Callable[[], Network]] = {
    "segnetLayers(3)": lambda: segnet_layers((16, 24, 3), CLASSES, 3),
    "segnetLayers('vgg16')": lambda: _narrow(segnet_layers((32, 32, 3), CLASSES, "vgg16")),
    "segnetLayers('vgg19')": lambda: _narrow(segnet_layers((32, 32, 3), CLASSES, "vgg19")),
    "unetLayers": lambda: unet_layers((16, 32, 3), CLASSES, NumFirstEncoderFilters=4),
    "unet": lambda: unet((18, 33, 3), CLASSES, EncoderDepth=2, NumFirstEncoderFilters=4),
    "unet3dLayers": lambda: unet3d_layers((8, 12, 4, 2), CLASSES, EncoderDepth=2, NumFirstEncoderFilters=4),
    "deeplabv3plusLayers": lambda: deeplabv3plus_layers((37, 48, 3), CLASSES, thin("resnet18")),
    "yolov2Layers": lambda: detector("resnet18", "res3b_relu"),
}


def _narrow(net: Network) -> Network:
    wide = [layer for layer in net.layers if layer.properties.get("NumFilters", 0) > 8]
    return net.with_layers(
        {
            layer.name: replace(layer, properties={**layer.properties, "NumFilters": layer.NumFilters // 8})
            for layer in wide
        }
    )


NAMES: Sequence[str] = (*sorted(BUILDERS), *OTHERS)
