"""What cannot be built is refused by name, with its cause and what to do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bridge.errors import BridgeError, UnreadableError, UnsupportedError
from fixtures import layers as L
from fixtures.layers import Layer, Net
from fixtures.objects import row
from tests.modules.cases import IMAGE, chain, features, graph, image, learned, saved, sequence
from tests.modules.conftest import Read

RNG = np.random.default_rng(3)
Make = Callable[[], Net]


def conv(**fields: object) -> Layer:
    return saved(L.convolution2dLayer(RNG, "conv", (3, 3), 4, 6), **fields)


def lstm(**fields: object) -> Layer:
    return saved(L.lstmLayer(RNG, "lstm", 3, 4), **fields)


def resize(**fields: object) -> Layer:
    return saved(L.resize2dLayer("resize", scale=(2.0, 2.0)), **fields)


def attention(**fields: object) -> Layer:
    return saved(L.selfAttentionLayer(RNG, "attention", 6, 2, 4), **fields)


def up(filter_size: int, stride: int, **more: object) -> Layer:
    return L.transposedConv2dLayer(RNG, "up", (filter_size,) * 2, 4, 3, stride=(stride,) * 2, **more)  # type: ignore[arg-type]


def cropping(reference: tuple[int, int, int]) -> Net:
    inputs = (L.imageInputLayer(IMAGE, "a", "none"), L.imageInputLayer(reference, "b", "none"))
    return graph((*inputs, L.crop2dLayer("crop")), "a>crop/in", "b>crop/ref")


def joining(layer: Layer, *inputs: Layer) -> Net:
    return graph((*inputs, layer), *(f"{each.name}>{layer.name}/in{i}" for i, each in enumerate(inputs, 1)))


def attending(layer: Layer) -> Net:
    return graph((sequence(4), layer), *(f"in>{layer.name}/{port}" for port in ("query", "key", "value")))


# What MATLAB itself refuses: files that contradict themselves.
CONTRADICTIONS: dict[str, tuple[Make, str]] = {
    "convolution of features": (
        lambda: chain(features(4), conv()),
        "'conv'.*slides over 2 dimensions, its input has the format CB",
    ),
    "convolution of vectors": (
        lambda: chain(sequence(4), conv()),
        "'conv'.*slides over 2 dimensions, its input has the format CBT",
    ),
    "transposed convolution of features": (lambda: chain(features(4), up(3, 2)), "'up'.*format CB"),
    "pooling of features": (lambda: chain(features(4), L.maxPooling2dLayer("pool", (2, 2))), "'pool'.*format CB"),
    "global pooling of sequences": (
        lambda: chain(sequence(4), L.globalMaxPooling2dLayer("pool")),
        "'pool'.*format CBT",
    ),
    "folding images": (lambda: chain(image(), L.sequenceFoldingLayer("fold")), "'fold'.*folds sequences"),
    "depth to space": (lambda: chain(image(), L.depthToSpace2dLayer("d2s", (2, 3))), "'d2s'.*no multiple"),
    "space to depth of features": (lambda: chain(features(4), L.spaceToDepthLayer("s2d")), "'s2d'.*takes images"),
    "crop to a larger reference": (lambda: cropping((9, 9, 1)), "'crop'.*larger than its input"),
    "filter larger than its image": (lambda: chain(image((2, 2, 4)), conv()), "'conv'.*would put out 0×0×6"),
    "filter for other channels": (lambda: chain(image((6, 5, 3)), conv()), "Weights of layer 'conv'.*has shape"),
    "index of images": (lambda: chain(image(), L.indexing1dLayer("index")), "'index'.*format SSCB"),
    "quadratic of images": (lambda: chain(image(), L.quadraticLayer("square")), "'square'.*takes vectors.*SSCB"),
    "concatenation along nothing": (
        lambda: joining(
            saved(L.concatenationLayer("cat", 3), Dim=np.empty((0, 0))),
            L.sequenceInputLayer(4, "a"),
            L.sequenceInputLayer(4, "b"),
        ),
        "'cat'.*cannot be read.*Dim",
    ),
    "weights for another image": (
        lambda: chain(image(), L.fullyConnectedLayer(RNG, "fc", (6, 5, 3), 2)),
        "'fc'.*take 90 values.*has 120",
    ),
}

# What MATLAB can do and bridge cannot, or what nobody has seen.
UNSUPPORTED: dict[str, tuple[Make, str]] = {
    "lstm of images": (lambda: chain(image(), lstm()), "'lstm'.*format SSCB"),
    "lstm of image sequences": (lambda: chain(sequence(IMAGE), lstm()), "'lstm'.*format SSCBT"),
    "attention of features": (lambda: chain(features(6), attention()), "'attention'.*gets an input of format"),
    "words of images": (
        lambda: chain(image((1, 1, 1)), L.wordEmbeddingLayer(RNG, "words", 4, 7)),
        "'words'.*gets an input of format",
    ),
    "addition of two formats": (
        lambda: joining(L.additionLayer("add"), L.sequenceInputLayer(4, "a"), L.featureInputLayer(4, "b")),
        "'add'.*different formats, CBT and CB",
    ),
    "state outputs": (lambda: chain(sequence(3), lstm(HasStateOutputs=True)), "'lstm'.*has HasStateOutputs"),
    "scores output": (lambda: chain(sequence(6), attention(HasScoresOutput=True)), "'attention'.*has HasScoresOutput"),
    "mask of an index": (
        lambda: graph(
            (sequence(4), saved(L.indexing1dLayer("index"), HasPaddingMaskInput=True)),
            "in>index/in",
            "in>index/mask",
        ),
        "'index'.*has HasPaddingMaskInput",
    ),
    "another index": (
        lambda: chain(sequence(4), saved(L.indexing1dLayer("index", "last"), Index="middle")),
        "'index'.*has the index 'middle'",
    ),
    "scores of attention": (
        lambda: attending(saved(L.attentionLayer("dot", 2), HasScoresOutput=True)),
        "'dot'.*has HasScoresOutput",
    ),
    "another mask of attention": (
        lambda: attending(L.attentionLayer("dot", 2, mask="custom")),
        "'dot' has the attention mask 'custom'",
    ),
    "positions in the data": (
        lambda: chain(sequence(3), saved(L.sinusoidalPositionEncodingLayer("waves", 4), Positions="data-values")),
        "'waves'.*encodes 'data-values' in 4 channels",
    ),
    "projected GRU with the gate before": (
        lambda: chain(sequence(3), L.gruProjectedLayer(RNG, "gru", 3, 4, 2, 2, reset_gate="before-multiplication")),
        "'gru'.*reset-gate mode 'before-multiplication'",
    ),
    "scales of images": (
        lambda: chain(image(), L.scalingLayer("scale", (1.0, 2.0, 3.0))),
        "'scale'.*scales by 3 numbers an input of 6×5×4",
    ),
    "an ordinary differential equation": (
        lambda: chain(features(3), Layer("ode", "nnet.cnn.layer.NeuralODELayer"), L.reluLayer("behind")),
        "'ode' is a nnet.cnn.layer.NeuralODELayer.*differential equation",
    ),
    "complex numbers": (
        lambda: chain(features(3), Layer("complex", "nnet.cnn.layer.ComplexReLULayer"), L.reluLayer("behind")),
        "'complex' is a nnet.cnn.layer.ComplexReLULayer.*complex numbers",
    ),
    "function layer": (
        lambda: chain(image(), L.functionLayer("square", "@(X) X.^2")),
        r"'square' is a nnet\.cnn\.layer\.FunctionLayer with PredictFcn = @\(X\) X\.\^2 .*MATLAB code",
    ),
    "custom layer": (
        lambda: chain(sequence(3), Layer("own", "peepholeLSTMLayer", saveobj=False), L.tanhLayer("behind")),
        "'own' is a peepholeLSTMLayer.*no table knows",
    ),
    "padding value": (lambda: chain(image(), conv(PaddingValue="replicate")), "'conv' pads with replicate"),
    "padding mode": (lambda: chain(image(), conv(PaddingMode="circular")), "'conv'.*pads in mode 'circular'"),
    "mean of another padding": (
        lambda: chain(image(), L.averagePooling2dLayer("pool", (2, 2), padding_value=5.0)),
        "'pool' pads with 5",
    ),
    "output offset": (
        lambda: chain(image(), saved(up(3, 2), OutputSizeOffset=row(1, 0))),
        "'up' has an OutputSizeOffset",
    ),
    "stride above the filter": (
        lambda: chain(image(), up(2, 3, cropping="same")),
        "'up' crops to 'same' with a stride above",
    ),
    "indices of asymmetric padding": (
        lambda: graph((image(), L.maxPooling2dLayer("pool", (2, 2), padding=(0, 1, 0, 1), unpooling=True)), "in>pool"),
        "'pool' puts out indices",
    ),
    "indices of sequences": (
        lambda: graph((sequence(IMAGE), L.maxPooling2dLayer("pool", (2, 2), unpooling=True)), "in>pool"),
        "'pool' puts out indices of .*sequences",
    ),
    "slope of each element": (
        lambda: chain(image(), learned(L.preluLayer(RNG, "prelu", 4), Alpha=np.ones((6, 5, 4)))),
        "'prelu' has an Alpha of 6×5×4 for an input of 6×5×4",
    ),
    "slopes along the batch": (
        lambda: chain(sequence(4), learned(L.preluLayer(RNG, "prelu", 4), Alpha=np.ones((1, 4)))),
        "'prelu' has an Alpha of 1×4",
    ),
    "normalisation": (
        lambda: chain(image(), L.layerNormalizationLayer(RNG, "norm", 4, operation="spatial-only")),
        "'norm' normalises over",
    ),
    "input normalisation": (
        lambda: chain(saved(image(), Normalization={"Type": "@(x) x / 2"})),
        "'in' normalises by '@",
    ),
    "activation": (lambda: chain(sequence(3), lstm(StateActivationFunction="cos")), "'lstm' uses the activation 'cos'"),
    "activation of both directions": (
        lambda: chain(sequence(3), saved(L.bilstmLayer(RNG, "bilstm", 3, 4), StateActivationFunction="softsign")),
        "'bilstm'.*other activations than tanh",
    ),
    "output mode": (lambda: chain(sequence(3), lstm(ReturnSequence="first")), "'lstm'.*has the output mode 'first'"),
    "reset gate": (
        lambda: chain(sequence(3), L.gruLayer(RNG, "gru", 3, 4, reset_gate="never")),
        "'gru' has the reset-gate mode 'never'",
    ),
    "positions in space": (
        lambda: chain(sequence(6), saved(L.positionEmbeddingLayer(RNG, "p", 4, 9), PositionDimension="spatial")),
        "'p' embeds positions of dimension 'spatial'",
    ),
    "attention mask": (
        lambda: chain(sequence(6), attention(AttentionMask="window")),
        "'attention' has the attention mask 'window'",
    ),
    "resize method": (lambda: chain(image(), resize(Method="bicubic")), "'resize' resizes by 'bicubic'"),
    "resize rounding": (
        lambda: chain(image(), resize(NearestRoundingMode="onnx-10")),
        "'resize' resizes by 'nearest'.*'onnx-10'",
    ),
    "aspect ratio": (
        lambda: chain(image(), resize(Scale=np.empty((0, 0)), OutputSize=row(7, np.nan))),
        "'resize' keeps the aspect ratio",
    ),
    "joining in time": (
        lambda: joining(L.concatenationLayer("cat", 3), L.sequenceInputLayer(4, "a"), L.sequenceInputLayer(4, "b")),
        "'cat' joins along dimension 3 of CBT",
    ),
    "untrained": (
        lambda: chain(image(), L.untrained(conv())),
        "'conv' is not trained: its Weights, Bias hold no values .*network.initialize",
    ),
    "preprocessing up to R2019a": (
        lambda: chain(image(), Layer("scale", "nnet.shufflenet.layer.ShuffleNetPreprocessingLayer"), L.reluLayer("r")),
        "'scale' is a nnet.shufflenet.layer.ShuffleNetPreprocessingLayer .*newer than R2019a have Normalization 'zscore'",
    ),
    "statistics of an unfinished training": (
        lambda: chain(image(), saved(L.batchNormalizationLayer(RNG, "bn", 4), TrainedVariance=np.empty((0, 0)))),
        "'bn'.*holds no running_var",
    ),
    "normalisation of an untrained input": (
        lambda: chain(L.imageInputLayer(IMAGE, "in", "zerocenter")),
        "'in' normalises.*holds no Mean",
    ),
}


def refusal(net: Net, read: Read, **more: Any) -> BridgeError:
    network = read(net)
    with pytest.raises(BridgeError) as caught:
        network.to_torch(**more)
    assert caught.value.error and caught.value.cause and caught.value.hint
    return caught.value


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_a_contradiction_is_told(name: str, read: Read) -> None:
    make, text = CONTRADICTIONS[name]
    error = refusal(make(), read)
    assert isinstance(error, UnreadableError)
    assert re.search(text, f"{error.error} {error.cause}"), str(error)


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_the_unsupported_is_refused(name: str, read: Read) -> None:
    make, text = UNSUPPORTED[name]
    error = refusal(make(), read)
    assert isinstance(error, UnsupportedError)
    assert re.search(text, f"{error.error} {error.cause} {error.hint}"), str(error)


def test_everything_that_fails_is_told_at_once(read: Read) -> None:
    error = refusal(
        chain(image(), conv(PaddingValue=1.0), L.functionLayer("square", "@(X) X"), L.untrained(conv(Name="late"))),
        read,
    )
    assert isinstance(error, UnsupportedError)
    assert "'conv'" in error.error and "'square'" in error.error and error.cause.startswith("3 of 4 layers")


def test_attention_puts_out_what_its_weights_give(read: Read) -> None:
    """An OutputSize of "auto" says no number."""
    network = read(chain(sequence(6), attention(OutputSize="auto")))
    assert str(network.sizes["attention"][0]) == "6×T"
    assert network.to_torch()(torch.rand(2, 5, 6)).shape == (2, 5, 6)


def test_an_own_module_takes_the_place_of_an_unknown_layer(read: Read) -> None:
    """Oracle: the same two operations in torch."""
    net = chain(image(), L.functionLayer("square", "@(X) X.^2"), conv())

    class Square(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.square()

    model = read(net).to_torch(modules={"nnet.cnn.layer.FunctionLayer": lambda layer: Square()})
    x = torch.randn(2, 4, 6, 5)
    weight = torch.from_numpy(net.layers[-1].params["Weights"].value.transpose(3, 2, 0, 1).copy())
    bias = torch.from_numpy(net.layers[-1].params["Bias"].value.ravel())
    with torch.no_grad():
        torch.testing.assert_close(model(x), nn.functional.conv2d(x.square(), weight, bias))


def test_weights_whose_order_is_unknown_are_refused(read: Read) -> None:
    net = chain(image(), L.functionLayer("square", "@(X) X.^2"), L.fullyConnectedLayer(RNG, "fc", IMAGE, 5))
    error = refusal(net, read, modules={"FunctionLayer": lambda layer: nn.Identity()})
    assert "'fc' follows images of unknown size" in error.error
