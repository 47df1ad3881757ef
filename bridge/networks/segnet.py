"""SegNet: the maxima's places, kept by the poolings of the encoder, guide the unpoolings of the decoder."""

from __future__ import annotations

from collections.abc import Sequence

from bridge import layers
from bridge.errors import UsageError
from bridge.network import Network
from bridge.networks.graph import Classes, Graph, count
from bridge.networks.vgg import FILTERS

FORMS = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}  # convolutions in each stage


def segnet_layers(image_size: Sequence[int], classes: Classes, model: int | str = "vgg16") -> Network:
    """Return what MATLAB's segnetLayers(imageSize, numClasses, model) does, its learnables without values.

    Args:
        image_size: [height, width, channels].
        classes: the number of classes, or their names.
        model: an encoder depth, with 64 filters everywhere, or "vgg16" or "vgg19". Of these two forms the names of the
            batch normalisations and ReLUs of the decoder, and the 3 x 3 convolution that ends it, are unconfirmed;
            their weights are not VGG's.

    Raises:
        UsageError: the model is neither.
    """
    graph = Graph()
    graph.image_input("inputImage", image_size)
    if isinstance(model, int) and model > 0:
        _stages(graph, classes, model)
    elif model in FORMS:
        _vgg(graph, classes, FORMS[str(model)])
    else:
        raise UsageError(
            f"the model of segnetLayers is {model!r}", "it is a depth from 1, 'vgg16' or 'vgg19'", "give 4, say"
        )
    size = (image_size[0], image_size[1], count(classes))
    graph.ending(
        classes, "softmax", "pixelLabels", lambda **named: layers.pixel_classification(OutputSize=size, **named)
    )
    return graph.network()


def _stages(graph: Graph, classes: Classes, depth: int) -> None:
    for stage in range(1, depth + 1):
        for index in (1, 2):
            _conv(
                graph, f"encoder{stage}_conv{index}", f"encoder{stage}_bn_{index}", f"encoder{stage}_relu_{index}", 64
            )
        _pool(graph, f"encoder{stage}_maxpool")
    for stage in range(depth, 0, -1):
        _unpool(graph, f"decoder{stage}_unpool", f"encoder{stage}_maxpool", first=stage == depth)
        for index in (2, 1):
            filters = count(classes) if (stage, index) == (1, 1) else 64
            _conv(
                graph,
                f"decoder{stage}_conv{index}",
                f"decoder{stage}_bn_{index}",
                f"decoder{stage}_relu_{index}",
                filters,
            )


def _vgg(graph: Graph, classes: Classes, depths: Sequence[int]) -> None:
    for stage, (depth, filters) in enumerate(zip(depths, FILTERS, strict=True), 1):
        for index in range(1, depth + 1):
            _conv(graph, f"conv{stage}_{index}", f"bn_conv{stage}_{index}", f"relu{stage}_{index}", filters)
        _pool(graph, f"pool{stage}")
    for stage, depth in reversed(list(enumerate(depths, 1))):
        _unpool(graph, f"decoder{stage}_unpool", f"pool{stage}", first=stage == len(depths))
        for index in range(depth, 0, -1):
            filters = FILTERS[stage - 1] if index > 1 else FILTERS[stage - 2] if stage > 1 else count(classes)
            _conv(
                graph,
                f"decoder{stage}_conv{index}",
                f"decoder{stage}_bn_{index}",
                f"decoder{stage}_relu_{index}",
                filters,
            )


def _conv(graph: Graph, conv: str, batch_norm: str, relu: str, filters: int) -> None:
    source = f"{graph.last}/out" if "pool" in graph.last and "unpool" not in graph.last else graph.last
    graph.conv(conv, 3, filters, source, Padding=1, BiasLearnRateFactor=0)
    graph.batch_norm(batch_norm)
    graph.relu(relu)


def _pool(graph: Graph, name: str) -> None:
    graph.max_pool(name, 2, 2, HasUnpoolingOutputs=True)


def _unpool(graph: Graph, name: str, pool: str, first: bool) -> None:
    source = f"{pool}/out" if first else graph.last
    graph.add(layers.max_unpooling2d(name=name), source, f"{pool}/indices", f"{pool}/size")
