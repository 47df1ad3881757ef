"""U-Net: a contracting path, a bridge, and an expanding path that takes over the contracting one's features."""

from __future__ import annotations

from collections.abc import Sequence

from bridge import layers
from bridge.network import Network
from bridge.networks.graph import Classes, Graph, count


def unet_layers(
    image_size: Sequence[int],
    classes: Classes,
    *,
    EncoderDepth: int = 4,
    NumFirstEncoderFilters: int = 64,
    FilterSize: int = 3,
) -> Network:
    """Return what MATLAB's unetLayers(imageSize, numClasses) does, its learnables without values.

    Args:
        image_size: [height, width, channels]; height and width are multiples of 2 ^ EncoderDepth.
        classes: the number of classes, or their names.
        EncoderDepth: how often the size is halved.
        NumFirstEncoderFilters: in the first stage; each stage doubles them.
        FilterSize: of all convolutions but the last.

    Raises:
        UsageError: the size cannot be halved that often.
    """
    graph = Graph()
    graph.image_input("ImageInputLayer", image_size)
    skips = []
    for stage in range(1, EncoderDepth + 1):
        skip = _pair(graph, f"Encoder-Stage-{stage}", NumFirstEncoderFilters * 2 ** (stage - 1), FilterSize)
        if stage == EncoderDepth:
            skip = graph.add(layers.dropout(0.5, name=f"Encoder-Stage-{stage}-DropOut"))
        skips.append(skip)
        graph.max_pool(f"Encoder-Stage-{stage}-MaxPool", 2, 2)
    _pair(graph, "Bridge", NumFirstEncoderFilters * 2**EncoderDepth, FilterSize)
    graph.add(layers.dropout(0.5, name="Bridge-DropOut"))
    for stage, skip in enumerate(reversed(skips), 1):
        name, filters = f"Decoder-Stage-{stage}", NumFirstEncoderFilters * 2 ** (EncoderDepth - stage)
        graph.add(layers.transposed_conv2d(2, filters, name=f"{name}-UpConv", Stride=2, WeightsInitializer="he"))
        graph.concat(f"{name}-DepthConcatenation", graph.relu(f"{name}-UpReLU"), skip)
        _pair(graph, name, filters, FilterSize)
    graph.conv("Final-ConvolutionLayer", 1, count(classes), Padding="same", WeightsInitializer="he")
    graph.ending(classes, "Softmax-Layer", "Segmentation-Layer", layers.pixel_classification)
    return graph.network()


def _pair(graph: Graph, name: str, filters: int, size: int) -> str:
    for index in (1, 2):
        graph.conv(f"{name}-Conv-{index}", size, filters, Padding="same", WeightsInitializer="he")
        graph.relu(f"{name}-ReLU-{index}")
    return graph.last
