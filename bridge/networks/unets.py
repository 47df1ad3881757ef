"""U-Net: a contracting path, a bridge, and an expanding path that takes over the contracting one's features.

Names, factors and filters follow code that MATLAB generated from such networks; the counts are those that MATLAB's
documentation prints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bridge import layers
from bridge.errors import UsageError
from bridge.network import Network
from bridge.networks.graph import Classes, Graph, count

PADDINGS = ("same", "valid")


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
    graph = _Unet(_Form(FilterSize, NumFirstEncoderFilters, EncoderDepth))
    graph.image_input("ImageInputLayer", image_size)
    for stage, skip in enumerate(reversed(graph.contract("Bridge")), 1):
        up = graph.up(stage)
        graph.concat(f"Decoder-Stage-{stage}-DepthConcatenation", up, skip)
        graph.decode(stage)
    return _classified(graph, classes)


def unet3d_layers(
    input_size: Sequence[int],
    classes: Classes,
    *,
    EncoderDepth: int = 3,
    NumFirstEncoderFilters: int = 32,
    FilterSize: int = 3,
    ConvolutionPadding: str = "same",
) -> Network:
    """Return what MATLAB's unet3dLayers(inputSize, numClasses) does, its learnables without values.

    Args:
        input_size: [height, width, depth, channels].
        classes: the number of classes, or their names.
        EncoderDepth: how often the size is halved.
        NumFirstEncoderFilters: of the very first convolution; each one behind it in a stage has twice as many.
        FilterSize: of all convolutions but the last.
        ConvolutionPadding: "same"; or "valid", whose features of the contracting path are cropped. The default values
            of these four are unconfirmed.

    Raises:
        UsageError: the size cannot be halved that often, or the padding is neither.
    """
    form = _Form(FilterSize, NumFirstEncoderFilters, EncoderDepth, ConvolutionPadding, True)
    graph = _Unet(replace(form, drops=False))
    graph.image_input("ImageInputLayer", input_size)
    for stage, skip in enumerate(reversed(graph.contract("Bridge")), 1):
        up = graph.up(stage, relu=False)
        if form.padding == "valid":
            skip = graph.add(layers.crop3d(name=f"Crop3d-{stage}"), skip, up)
        graph.add(layers.concatenation(4, 2, name=f"Decoder-Stage-{stage}-Concatenation"), up, skip)
        graph.decode(stage)
    return _classified(graph, classes)


def unet(
    image_size: Sequence[int],
    classes: Classes,
    *,
    EncoderDepth: int = 4,
    NumFirstEncoderFilters: int = 64,
    FilterSize: int = 3,
    ConvolutionPadding: str = "same",
) -> Network:
    """Return what MATLAB's unet(imageSize, numClasses) does since R2024a: a dlnetwork that ends in a softmax, its
    learnables without values.

    Args:
        image_size: [height, width, channels].
        classes: the number of classes, or their names.
        EncoderDepth, NumFirstEncoderFilters, FilterSize: as of `unet_layers`.
        ConvolutionPadding: "same"; with "valid" the output is smaller than the image.

    Raises:
        UsageError: the size cannot be halved that often, or the padding is neither.
    """
    form = _Form(FilterSize, NumFirstEncoderFilters, EncoderDepth, ConvolutionPadding)
    return _encoder_decoder(_Unet(form), image_size, classes)


def unet3d(
    input_size: Sequence[int],
    classes: Classes,
    *,
    EncoderDepth: int = 3,
    NumFirstEncoderFilters: int = 32,
    FilterSize: int = 3,
    ConvolutionPadding: str = "same",
) -> Network:
    """Return what MATLAB's unet3d(inputSize, numClasses) does since R2024a: as `unet`, with the arguments of
    `unet3d_layers`.
    """
    form = _Form(FilterSize, NumFirstEncoderFilters, EncoderDepth, ConvolutionPadding, True)
    return _encoder_decoder(_Unet(form), input_size, classes)


@dataclass(frozen=True)
class _Form:
    """What the paths are made of; volumes are normalised behind each convolution, and double their channels in a stage
    before it is halved, images behind it.
    """

    size: int
    first: int
    depth: int
    padding: str = "same"
    volumes: bool = False
    drops: bool = True

    def __post_init__(self) -> None:
        if self.padding not in PADDINGS:
            raise UsageError(f"ConvolutionPadding is {self.padding!r}", "it is 'same' or 'valid'", "give 'same', say")
        if min(self.size, self.first, self.depth) < 1:
            values = f"{self.depth}, {self.first} and {self.size}"
            raise UsageError(
                f"EncoderDepth, NumFirstEncoderFilters and FilterSize are {values}", "each is at least 1", "give 3, say"
            )


class _Unet(Graph):
    """A graph of convolutions in pairs."""

    def __init__(self, form: _Form) -> None:
        super().__init__()
        self.form = form
        self._dimensions = 3 if form.volumes else 2

    def contract(self, bridge: str) -> list[str]:
        """Append the contracting path and the bridge, and return what each stage hands over."""
        skips = []
        for stage in range(1, self.form.depth + 1):
            name = f"Encoder-Stage-{stage}"
            skip = self._pair(name, self._filters(stage))
            if stage == self.form.depth and self.form.drops:
                skip = self.add(layers.dropout(0.5, name=f"{name}-DropOut"))
            skips.append(skip)
            pooling = layers.max_pooling3d if self.form.volumes else layers.max_pooling2d
            self.add(pooling(2, name=f"{name}-MaxPool", Stride=2))
        self._pair(bridge, self._filters(self.form.depth + 1))
        if self.form.drops:
            self.add(layers.dropout(0.5, name=f"{bridge}-DropOut"))
        return skips

    def up(self, stage: int, *, relu: bool = True) -> str:
        """Append what doubles height and width, in the expanding path's own count of stages."""
        name, below = f"Decoder-Stage-{stage}", self.form.depth + 2 - stage
        filters = self._filters(below)[1] if self.form.volumes else self._filters(below - 1)[1]
        transposed = layers.transposed_conv3d if self.form.volumes else layers.transposed_conv2d
        up = transposed(2, filters, name=f"{name}-UpConv", Stride=2, WeightsInitializer="he", BiasLearnRateFactor=2)
        self.add(up)
        return self.relu(f"{name}-UpReLU") if relu else self.last

    def decode(self, stage: int) -> None:
        filters = self._filters(self.form.depth + 1 - stage)[1]
        self._pair(f"Decoder-Stage-{stage}", (filters, filters))

    def _filters(self, stage: int) -> tuple[int, int]:
        """Of the two convolutions of a stage of the contracting path, the bridge counted as the last one."""
        first = self.form.first * 2 ** (stage - 1)
        return (first, 2 * first) if self.form.volumes else (first, first)

    def _pair(self, name: str, filters: tuple[int, int]) -> str:
        convolution = layers.convolution3d if self.form.volumes else layers.convolution2d
        padding = "same" if self.form.padding == "same" else 0
        for index, width in enumerate(filters, 1):
            conv = f"{name}-Conv-{index}"
            self.add(convolution(self.form.size, width, name=conv, Padding=padding, WeightsInitializer="he"))
            if self.form.volumes:
                self.batch_norm(f"{name}-BN-{index}")
            self.relu(f"{name}-ReLU-{index}")
        return self.last


def _classified(graph: _Unet, classes: Classes) -> Network:
    convolution = layers.convolution3d if graph.form.volumes else layers.convolution2d
    last = convolution(1, count(classes), name="Final-ConvolutionLayer", Padding="same", WeightsInitializer="he")
    graph.add(last)
    graph.ending(classes, "Softmax-Layer", "Segmentation-Layer", layers.pixel_classification)
    return graph.network()


def _encoder_decoder(graph: _Unet, size: Sequence[int], classes: Classes) -> Network:
    volumes = graph.form.volumes
    graph.image_input("encoderImageInputLayer", size)
    for stage, skip in enumerate(reversed(graph.contract("LatentNetwork-Bridge")), 1):
        up, number = graph.up(stage), graph.form.depth + 1 - stage
        make = layers.crop3d if volumes else layers.crop2d
        cropped = graph.add(make("centercrop", name=f"encoderDecoderSkipConnectionCrop{number}"), skip, up)
        merge = f"encoderDecoderSkipConnectionFeatureMerge{number}"
        graph.add(layers.concatenation(4 if volumes else 3, 2, name=merge), cropped, up)
        graph.decode(stage)
    convolution = layers.convolution3d if volumes else layers.convolution2d
    graph.add(convolution(1, count(classes), name="encoderDecoderFinalConvLayer"))
    graph.add(layers.softmax(name="FinalNetworkSoftmax-Layer"))
    return graph.network(classes)
