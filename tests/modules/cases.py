"""Small networks, one for each thing a layer class can say, and the inputs they are run on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from bridge.modules import activation
from bridge.modules import shape as own_shapes
from bridge.tables.layers import layer_mappings
from fixtures import layers as L
from fixtures.layers import Layer, Net, Param
from fixtures.objects import row
from tests.modules.oracle import NDArray, Value

OBSERVATIONS, STEPS = 2, 5
IMAGE, VOLUME = (6, 5, 4), (5, 4, 3, 2)


@dataclass(frozen=True)
class Case:
    """A network and, for each observation, the value of every input layer."""

    name: str
    net: Net
    feeds: tuple[dict[str, Value], ...]

    @property
    def classes(self) -> tuple[str, ...]:
        return tuple(layer.cls for layer in self.net.layers)

    def inputs(self, names: Sequence[str]) -> tuple[torch.Tensor, ...]:
        """The input of each named layer as torch takes it, in single precision."""
        return tuple(torch_layout([feed[name] for feed in self.feeds]).float() for name in names)


def feeds(net: Net, rng: np.random.Generator) -> tuple[dict[str, Value], ...]:
    """Random inputs: normal, or in the range of the statistics of `fixtures.layers.input_statistics`."""
    return tuple(
        {layer.name: _feed(layer, rng) for layer in net.layers if "InputLayer" in layer.cls}
        for _ in range(OBSERVATIONS)
    )


def _feed(layer: Layer, rng: np.random.Generator) -> Value:
    size = [int(n) for n in layer.saved["InputSize"].ravel()]
    over_time = "Sequence" in layer.cls
    shape = [*size, STEPS] if over_time else size
    data = rng.uniform(30, 70, shape) if isinstance(layer.saved["Normalization"], dict) else rng.standard_normal(shape)
    return Value("S" * (len(size) - 1) + "C" + "T" * over_time, data.astype(np.float32).astype(np.float64))


def torch_layout(values: Sequence[Value]) -> torch.Tensor:
    """One MATLAB value for each observation, H x W x C, C x T, ..., as one tensor N,C,H,W or N,T,C, in double precision."""
    tensors = []
    for value in values:
        data = np.moveaxis(value.data, value.channel, 0)
        tensors.append(np.moveaxis(data, -1, 0) if value.form.endswith("T") else data)
    return torch.tensor(np.stack(tensors))


def outputs(model: torch.nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    result = model(*inputs)
    return result if isinstance(result, tuple) else (result,)


def words(values: NDArray) -> tuple[dict[str, Value], ...]:
    """Sequences of word indices, one row an observation."""
    return tuple({"in": Value("CT", each[None].astype(float))} for each in values)


def image(size: tuple[int, ...] = IMAGE) -> Layer:
    return (L.image3dInputLayer if len(size) == 4 else L.imageInputLayer)(size, "in", "none")


def sequence(size: int | tuple[int, ...]) -> Layer:
    return L.sequenceInputLayer(size, "in")


def features(size: int) -> Layer:
    return L.featureInputLayer(size, "in")


def chain(*layers: Layer) -> Net:
    return Net("SeriesNetwork", layers)


def graph(layers: tuple[Layer, ...], *connections: str) -> Net:
    """A DAGNetwork; connections are written "source>destination"."""
    pairs = [tuple(each.split(">")) for each in connections]
    return Net("DAGNetwork", layers, tuple((a, b) for a, b in pairs))


def saved(layer: Layer, **fields: Any) -> Layer:
    """The layer with fields of its saved struct replaced; None takes one away."""
    changed = layer.saved | fields
    return replace(layer, saved={name: value for name, value in changed.items() if value is not None})


def learned(layer: Layer, **values: NDArray) -> Layer:
    return replace(
        layer, params=layer.params | {name: Param(value.astype(np.float32)) for name, value in values.items()}
    )


def with_states(layer: Layer, rng: np.random.Generator) -> Layer:
    """The layer with initial states that are not zero."""
    names = [name for name in ("CellState", "HiddenState") if name in layer.saved]
    states = {name: rng.standard_normal(layer.saved[name]["Value"].shape).astype(np.float32) for name in names}
    return saved(layer, **{name: {"Value": value, "Remember": True} for name, value in states.items()})


def every_case() -> tuple[Case, ...]:
    """All cases, the same at every call."""
    rng = np.random.default_rng(11)
    found = []
    for group in (
        convolutions,
        poolings,
        dense,
        normalizations,
        recurrent,
        attention,
        activations,
        combinations,
        shapes,
        inputs,
    ):
        for name, net, *given in group(rng):
            found.append(Case(name, net, given[0] if given else feeds(net, rng)))
    return tuple(found)


Found = Iterator[tuple[Any, ...]]


def convolutions(rng: np.random.Generator) -> Found:
    conv = L.convolution2dLayer
    yield "conv2d", chain(image(), conv(rng, "c", (3, 3), 4, 6, padding=(1, 1, 1, 1)))
    yield (
        "conv2d_asymmetric",
        chain(image(), conv(rng, "c", (3, 2), 4, 6, stride=(2, 1), dilation=(1, 2), padding=(0, 1, 2, 3))),
    )
    yield "conv2d_same", chain(image(), conv(rng, "c", (3, 5), 4, 6, padding="same"))
    yield "conv2d_same_even", chain(image(), conv(rng, "c", (2, 4), 4, 6, padding="same"))
    yield "conv2d_same_strided", chain(image(), conv(rng, "c", (3, 2), 4, 6, stride=(2, 3), padding="same"))
    yield "conv2d_same_wide_stride", chain(image(), conv(rng, "c", (1, 1), 4, 6, stride=(2, 3), padding="same"))
    yield "conv2d_same_dilated", chain(image(), conv(rng, "c", (3, 2), 4, 6, dilation=(2, 3), padding="same"))
    yield "conv2d_one_filter", chain(image(), conv(rng, "c", (3, 3), 4, 1))
    yield "conv2d_one_channel", chain(image((6, 5, 1)), conv(rng, "c", (3, 3), 1, 1))
    yield "conv2d_factors", chain(image(), conv(rng, "c", (3, 3), 4, 6, weight_factor=0.0, bias_factor=10.0))
    yield "conv2d_image_sequence", chain(sequence(IMAGE), conv(rng, "c", (3, 3), 4, 6, padding=(0, 1, 2, 3)))
    yield "conv2d_space_and_time", chain(sequence((6, 4)), conv(rng, "c", (3, 2), 4, 6, padding=(1, 1, 0, 1)))
    yield "conv1d", chain(sequence(4), L.convolution1dLayer(rng, "c", 3, 4, 6, stride=2, padding=(1, 0)))
    yield "conv1d_same", chain(sequence(4), L.convolution1dLayer(rng, "c", 4, 4, 6, padding="same"))
    yield "conv1d_same_strided", chain(sequence(4), L.convolution1dLayer(rng, "c", 3, 4, 6, stride=2, padding="same"))
    yield (
        "conv1d_causal",
        chain(sequence(4), saved(L.convolution1dLayer(rng, "c", 3, 4, 6, dilation=2), PaddingMode="causal")),
    )
    yield (
        "conv1d_image_sequence",
        chain(sequence((7, 4)), L.convolution1dLayer(rng, "c", 3, 4, 6, stride=2, padding=(1, 1))),
    )
    yield (
        "conv3d",
        chain(image(VOLUME), L.convolution3dLayer(rng, "c", (3, 2, 1), 2, 4, padding=((1, 0, 2), (1, 1, 0)))),
    )
    yield (
        "conv3d_same",
        chain(image(VOLUME), L.convolution3dLayer(rng, "c", (3, 2, 3), 2, 4, stride=(1, 2, 1), padding="same")),
    )
    yield (
        "conv3d_symmetric",
        chain(image(VOLUME), L.convolution3dLayer(rng, "c", (2, 2, 2), 2, 1, padding=((1, 0, 1), (1, 0, 1)))),
    )
    yield "conv3d_space_and_time", chain(sequence(IMAGE), L.convolution3dLayer(rng, "c", (3, 2, 2), 4, 3))
    grouped = L.groupedConvolution2dLayer
    yield "grouped", chain(image((6, 5, 6)), grouped(rng, "c", (3, 3), 2, 4, 3, padding="same"))
    yield (
        "grouped_strided",
        chain(image((6, 5, 6)), grouped(rng, "c", (3, 2), 3, 1, 2, stride=(2, 2), padding=(0, 1, 0, 0))),
    )
    yield "grouped_one", chain(image(), grouped(rng, "c", (3, 3), 4, 5, 1))
    yield "channel_wise", chain(image(), grouped(rng, "c", (3, 3), 4, 2, "channel-wise", padding=(1, 1, 1, 1)))
    yield (
        "channel_wise_text",
        chain(image(), saved(grouped(rng, "c", (3, 3), 4, 1, "channel-wise"), NumGroups="channel-wise")),
    )
    up = L.transposedConv2dLayer
    yield "transposed2d", chain(image(), up(rng, "u", (4, 3), 4, 3, stride=(2, 1), cropping=(1, 1, 0, 0)))
    yield "transposed2d_asymmetric", chain(image(), up(rng, "u", (4, 3), 4, 3, stride=(2, 2), cropping=(0, 1, 2, 0)))
    yield "transposed2d_same", chain(image(), up(rng, "u", (4, 4), 4, 3, stride=(2, 2), cropping="same"))
    yield "transposed2d_same_odd", chain(image(), up(rng, "u", (3, 4), 4, 3, stride=(2, 1), cropping="same"))
    yield "transposed2d_one_filter", chain(image(), up(rng, "u", (2, 2), 4, 1, stride=(2, 2)))
    yield (
        "transposed2d_image_sequence",
        chain(sequence(IMAGE), up(rng, "u", (3, 3), 4, 3, stride=(2, 2), cropping=(0, 1, 0, 1))),
    )
    line = L.transposedConv1dLayer
    yield "transposed1d", chain(sequence(4), line(rng, "u", 3, 4, 2, stride=2, cropping=(1, 0)))
    yield "transposed1d_same", chain(sequence(4), line(rng, "u", 4, 4, 2, stride=3, cropping="same"))
    yield "transposed1d_symmetric", chain(sequence(4), line(rng, "u", 3, 4, 2, stride=2, cropping=(1, 1)))
    yield "transposed1d_image_sequence", chain(sequence((7, 4)), line(rng, "u", 3, 4, 2, stride=2))
    yield "transposed3d", chain(image(VOLUME), L.transposedConv3dLayer(rng, "u", (2, 3, 2), 2, 3, stride=(2, 2, 1)))
    yield (
        "transposed3d_cropped",
        chain(
            image(VOLUME),
            L.transposedConv3dLayer(rng, "u", (3, 3, 2), 2, 3, stride=(2, 2, 1), cropping=((1, 0, 0), (0, 1, 1))),
        ),
    )
    yield (
        "transposed3d_same",
        chain(image(VOLUME), L.transposedConv3dLayer(rng, "u", (3, 2, 4), 2, 1, stride=(2, 2, 2), cropping="same")),
    )


def poolings(rng: np.random.Generator) -> Found:
    most, mean = L.maxPooling2dLayer, L.averagePooling2dLayer
    yield "max2d", chain(image(), most("p", (2, 2), stride=(2, 2)))
    yield "max2d_padded", chain(image(), most("p", (3, 2), stride=(2, 1), padding=(1, 1, 1, 1)))
    yield "max2d_asymmetric", chain(image(), most("p", (3, 3), stride=(2, 2), padding=(0, 1, 0, 1)))
    yield "max2d_wide_padding", chain(image(), most("p", (2, 3), padding=(1, 1, 2, 2)))
    yield "max2d_same", chain(image(), most("p", (3, 2), stride=(2, 2), padding="same"))
    yield "max2d_image_sequence", chain(sequence(IMAGE), most("p", (3, 3), stride=(2, 2), padding=(0, 1, 0, 1)))
    yield "max2d_space_and_time", chain(sequence((6, 4)), most("p", (2, 3), stride=(2, 1)))
    yield "max1d", chain(sequence(4), L.maxPooling1dLayer("p", 2, stride=2, padding=(0, 1)))
    yield "max1d_image_sequence", chain(sequence((7, 4)), L.maxPooling1dLayer("p", 3, stride=2))
    yield "max3d", chain(image(VOLUME), L.maxPooling3dLayer("p", (2, 2, 2), stride=(2, 1, 1), padding="same"))
    yield "max3d_padded", chain(image(VOLUME), L.maxPooling3dLayer("p", (3, 2, 2), padding=((1, 0, 1), (1, 0, 1))))
    yield "average2d", chain(image(), mean("p", (2, 3), stride=(2, 1), padding=(1, 1, 1, 1)))
    yield "average2d_mean", chain(image(), mean("p", (3, 3), padding=(1, 1, 1, 1), padding_value="mean"))
    yield "average2d_asymmetric", chain(image(), mean("p", (3, 3), stride=(2, 2), padding=(0, 1, 0, 2)))
    yield (
        "average2d_asymmetric_mean",
        chain(image(), mean("p", (3, 3), stride=(2, 2), padding=(0, 1, 0, 2), padding_value="mean")),
    )
    yield "average2d_same", chain(image(), mean("p", (2, 3), stride=(2, 2), padding="same"))
    yield "average2d_same_mean", chain(image(), mean("p", (2, 3), stride=(1, 2), padding="same", padding_value="mean"))
    yield (
        "average2d_image_sequence",
        chain(sequence(IMAGE), mean("p", (3, 3), padding=(1, 1, 1, 1), padding_value="mean")),
    )
    yield "average1d", chain(sequence(4), L.averagePooling1dLayer("p", 3, padding="same"))
    yield (
        "average1d_mean",
        chain(sequence(4), L.averagePooling1dLayer("p", 3, stride=2, padding=(2, 0), padding_value="mean")),
    )
    yield "average3d", chain(image(VOLUME), L.averagePooling3dLayer("p", (2, 2, 2), stride=(2, 2, 2)))
    yield (
        "average3d_mean",
        chain(image(VOLUME), L.averagePooling3dLayer("p", (2, 3, 2), padding="same", padding_value="mean")),
    )
    for kind in ("Average", "Max"):
        pool = {n: getattr(L, f"global{kind}Pooling{n}dLayer") for n in (1, 2, 3)}
        yield f"global_{kind.lower()}1d", chain(sequence(4), pool[1]("p"))
        yield f"global_{kind.lower()}1d_image_sequence", chain(sequence((7, 4)), pool[1]("p"))
        yield f"global_{kind.lower()}2d", chain(image(), pool[2]("p"))
        yield (
            f"global_{kind.lower()}2d_image_sequence",
            chain(sequence(IMAGE), pool[2]("p"), L.fullyConnectedLayer(rng, "fc", (1, 1, 4), 3)),
        )
        yield f"global_{kind.lower()}3d", chain(image(VOLUME), pool[3]("p"))
    for name, padding in (("unpooling", (0, 0, 0, 0)), ("unpooling_padded", (1, 1, 1, 1))):
        layers = (
            image(),
            most("p", (2, 2), stride=(2, 2), padding=padding, unpooling=True),
            L.reluLayer("r"),
            L.maxUnpooling2dLayer("u"),
        )
        yield name, graph(layers, "in>p", "p/out>r", "r>u/in", "p/indices>u/indices", "p/size>u/size")


def dense(rng: np.random.Generator) -> Found:
    fc = L.fullyConnectedLayer
    yield "fc_image", chain(image(), fc(rng, "fc", IMAGE, 5))
    yield "fc_image_one_output", chain(image(), fc(rng, "fc", IMAGE, 1))
    yield "fc_image_one_channel", chain(image((6, 5, 1)), fc(rng, "fc", (6, 5, 1), 3))
    yield (
        "fc_image_dlnetwork",
        chain(image(), fc(rng, "fc", IMAGE, 5, dlnetwork=True), fc(rng, "fc2", 5, 2, dlnetwork=True)),
    )
    yield "fc_volume", chain(image(VOLUME), fc(rng, "fc", VOLUME, 5))  # type: ignore[arg-type]
    yield "fc_features", chain(features(4), fc(rng, "fc", 4, 5))
    yield "fc_sequence", chain(sequence(4), fc(rng, "fc", 4, 5))
    yield "fc_image_sequence", chain(sequence(IMAGE), fc(rng, "fc", IMAGE, 5))
    yield "fc_after_flatten", chain(image(), L.flattenLayer("f"), fc(rng, "fc", 120, 5))


def normalizations(rng: np.random.Generator) -> Found:
    bn, ln, gn, inorm = (
        L.batchNormalizationLayer,
        L.layerNormalizationLayer,
        L.groupNormalizationLayer,
        L.instanceNormalizationLayer,
    )
    kinds: dict[str, tuple[Layer, int, int]] = {
        "image": (image(), 4, 3),
        "volume": (image(VOLUME), 2, 4),
        "sequence": (sequence(4), 4, 1),
        "image_sequence": (sequence(IMAGE), 4, 3),
        "line_sequence": (sequence((7, 4)), 4, 2),
        "features": (features(4), 4, 1),
    }
    for kind, (source, channels, dim) in kinds.items():
        yield f"batchnorm_{kind}", chain(source, bn(rng, "n", channels, epsilon=1e-3, channel_dim=dim))
        for operation in ("auto", "channel-only", "spatial-channel", "batch-excluded"):
            yield (
                f"layernorm_{kind}_{operation}",
                chain(source, ln(rng, "n", channels, channel_dim=dim, operation=operation)),
            )
        if kind != "features":
            yield f"instancenorm_{kind}", chain(source, inorm(rng, "n", channels, channel_dim=dim))
            yield f"groupnorm_{kind}", chain(source, gn(rng, "n", channels, 2, channel_dim=dim))
        yield (
            f"layernorm_{kind}_before_R2023a",
            chain(source, saved(ln(rng, "n", channels, channel_dim=dim), OperationDimension=None)),
        )
    yield "batchnorm_one_channel", chain(image((6, 5, 1)), bn(rng, "n", 1))
    yield "groupnorm_all_channels", chain(image(), saved(gn(rng, "n", 4, 1), NumGroups="all-channels"))
    yield "groupnorm_channel_wise", chain(image(), saved(gn(rng, "n", 4, 1), NumGroups="channel-wise"))
    for window in (1, 2, 4, 5, 16):
        yield (
            f"cross_channel_{window}",
            chain(image((3, 2, 7)), L.crossChannelNormalizationLayer("n", window, alpha=0.3, k=1.0)),
        )
    yield (
        "cross_channel_image_sequence",
        chain(sequence((3, 2, 7)), L.crossChannelNormalizationLayer("n", 4, alpha=0.3)),
    )


def recurrent(rng: np.random.Generator) -> Found:
    modes = ("after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication")
    for last in (False, True):
        tail = "_last" if last else ""
        made = {
            "lstm": L.lstmLayer(rng, "r", 3, 4, last=last),
            "bilstm": L.bilstmLayer(rng, "r", 3, 4, last=last),
            "lstm_projected": L.lstmProjectedLayer(rng, "r", 3, 4, 2, 3, last=last),
            "gru_projected": L.gruProjectedLayer(rng, "r", 3, 4, 2, 3, last=last),
            "gru_projected_two_biases": L.gruProjectedLayer(
                rng, "r", 3, 4, 2, 3, last=last, reset_gate="recurrent-bias-after-multiplication"
            ),
            **{f"gru_{mode}": L.gruLayer(rng, "r", 3, 4, last=last, reset_gate=mode) for mode in modes},
        }
        for name, layer in made.items():
            yield name + tail, chain(sequence(3), layer)
            yield f"{name}{tail}_with_states", chain(sequence(3), with_states(layer, rng))
    other = {"StateActivationFunction": "softsign", "GateActivationFunction": "hard-sigmoid"}
    yield "lstm_softsign", chain(sequence(3), saved(L.lstmLayer(rng, "r", 3, 4), **other))
    yield "lstm_relu", chain(sequence(3), saved(L.lstmLayer(rng, "r", 3, 4, last=True), StateActivationFunction="relu"))
    for mode in modes:
        yield f"gru_softsign_{mode}", chain(sequence(3), saved(L.gruLayer(rng, "r", 3, 4, reset_gate=mode), **other))
    gates: dict[str, tuple[Any, Any]] = {
        "InputWeights": (row(1, 2, 1, 0), 1.0),
        "RecurrentWeights": (row(0, 0, 0, 0), 1.0),
        "Bias": (2.0, row(0, 1, 0, 0)),
    }
    yield "lstm_gate_factors", chain(sequence(3), L.with_factors(L.lstmLayer(rng, "r", 3, 4), **gates))
    yield (
        "bilstm_gate_factors",
        chain(sequence(3), L.with_factors(L.bilstmLayer(rng, "r", 3, 4), Bias=(row(1, 2, 3, 4, 5, 6, 7, 8), 0.0))),
    )
    yield "lstm_one_unit", chain(sequence(1), L.lstmLayer(rng, "r", 1, 1))


def attention(rng: np.random.Generator) -> Found:
    self_attention = L.selfAttentionLayer
    yield "attention", chain(sequence(6), self_attention(rng, "a", 6, 2, 4))
    yield "attention_causal", chain(sequence(6), self_attention(rng, "a", 6, 2, 4, values=8, mask="causal"))
    queries = (L.sequenceInputLayer(6, "in0"), L.sequenceInputLayer(6, "in1"), L.sequenceInputLayer(4, "in2"))
    for name, layer in (
        ("two", L.attentionLayer("a", 2)),
        ("scaled", L.attentionLayer("a", 1, scale=0.3)),
        ("causal", L.attentionLayer("a", 2, mask="causal")),
    ):
        yield f"dot_attention_{name}", graph((*queries, layer), "in0>a/query", "in1>a/key", "in2>a/value")
    yield "sinusoids", chain(sequence(3), L.sinusoidalPositionEncodingLayer("a", 8))
    yield "attention_one_head", chain(sequence(6), self_attention(rng, "a", 6, 1, 3))
    yield (
        "words",
        chain(sequence(1), L.wordEmbeddingLayer(rng, "w", 4, 7)),
        words(np.array([[1, 7, 3, 2, 5], [6, 6, 1, 4, 2]])),
    )
    unknown = np.array([[0, 7, 8, 9, 1], [np.nan, -3, 2, 100, 0]])
    yield "words_unknown", chain(sequence(1), L.wordEmbeddingLayer(rng, "w", 4, 7)), words(unknown)
    known = saved(learned(L.wordEmbeddingLayer(rng, "w", 4, 7), Weights=rng.standard_normal((4, 7))), OOVMode="error")
    yield "words_error", chain(sequence(1), known), words(np.array([[1, 7, 3], [2, 2, 7]]))
    yield "positions", chain(sequence(6), L.positionEmbeddingLayer(rng, "p", 4, 9))


def activations(rng: np.random.Generator) -> Found:
    made = {
        "relu": L.reluLayer("a"),
        "leaky_relu": L.leakyReluLayer("a", 0.1),
        "clipped_relu": L.clippedReluLayer("a", 0.8),
        "elu": L.eluLayer("a", 0.7),
        "gelu": L.geluLayer("a"),
        "gelu_tanh": L.geluLayer("a", "tanh"),
        "swish": L.swishLayer("a"),
        "rl_softplus": L.softplusLayer("a", package="rl.layer."),
        "softplus": L.softplusLayer("a"),
        "tanh": L.tanhLayer("a"),
        "sigmoid": L.sigmoidLayer("a"),
        "softmax": L.softmaxLayer("a"),
        "identity": L.identityLayer("a"),
        "dropout": L.dropoutLayer("a", 0.2),
        "spatial_dropout": L.spatialDropoutLayer("a", 0.2),
        "scaling_factor": L.scalingFactorLayer("a", 0.17),
        "xception_preprocessing": replace(L.identityLayer("a"), cls="nnet.xception.layer.XceptionPreprocessingLayer"),
    }
    sources = {
        "": image(),
        "_volume": image(VOLUME),
        "_sequence": sequence(4),
        "_image_sequence": sequence(IMAGE),
        "_features": features(4),
    }
    for name, layer in made.items():
        for tail, source in sources.items():
            if tail == "" or name in ("softmax", "spatial_dropout"):
                yield name + tail, chain(source, layer)
    yield "relu_in_place", chain(image(), L.convolution2dLayer(rng, "c", (3, 3), 4, 6), L.reluLayer("a"))
    prelu = L.preluLayer(rng, "a", 4)
    alpha = prelu.params["Alpha"].value
    yield "prelu", chain(image(), prelu)
    yield "prelu_scalar", chain(image(), learned(prelu, Alpha=np.array([[0.25]])))
    yield "prelu_sequence", chain(sequence(4), learned(prelu, Alpha=alpha.reshape(4, 1)))
    yield "prelu_features", chain(features(4), learned(prelu, Alpha=alpha.reshape(4, 1)))
    yield "prelu_scalar_sequence", chain(sequence(4), learned(prelu, Alpha=np.array([[0.25]])))
    yield "prelu_image_sequence", chain(sequence(IMAGE), prelu)
    yield "yolov2", chain(image((3, 2, 21)), L.yolov2TransformLayer("a", 3))


def combinations(rng: np.random.Generator) -> Found:
    conv = L.convolution2dLayer
    branches = (image(), conv(rng, "a", (1, 1), 4, 4), conv(rng, "b", (1, 1), 4, 4))
    yield (
        "addition",
        graph((*branches, L.additionLayer("add", 3)), "in>a", "in>b", "in>add/in1", "a>add/in2", "b>add/in3"),
    )
    gate = (image(), L.globalAveragePooling2dLayer("a"), L.multiplicationLayer("mul"))
    yield "multiplication_expanding", graph(gate, "in>a", "in>mul/in1", "a>mul/in2")
    yield (
        "multiplication",
        graph((*branches, L.multiplicationLayer("mul", 2)), "in>a", "in>b", "b>mul/in1", "a>mul/in2"),
    )
    yield (
        "depth_concatenation",
        graph((*branches, L.depthConcatenationLayer("cat", 3)), "in>a", "in>b", "b>cat/in1", "in>cat/in2", "a>cat/in3"),
    )
    for dim in (1, 2, 3):
        sizes = [tuple(n + (axis == dim - 1) * more for axis, n in enumerate(IMAGE)) for more in (0, 2)]
        layers = tuple(L.imageInputLayer(size, f"in{i}", "none") for i, size in enumerate(sizes))
        yield f"concatenation_{dim}", graph((*layers, L.concatenationLayer("cat", dim)), "in0>cat/in1", "in1>cat/in2")
    for name, inputs, dim in (
        ("volumes", (L.image3dInputLayer(VOLUME, "in0", "none"), L.image3dInputLayer(VOLUME, "in1", "none")), 4),
        ("volume_depth", (L.image3dInputLayer(VOLUME, "in0", "none"), L.image3dInputLayer(VOLUME, "in1", "none")), 3),
        ("sequences", (L.sequenceInputLayer(3, "in0"), L.sequenceInputLayer(2, "in1")), 1),
        ("image_sequences", (L.sequenceInputLayer(IMAGE, "in0"), L.sequenceInputLayer(IMAGE, "in1")), 3),
        ("image_sequence_rows", (L.sequenceInputLayer(IMAGE, "in0"), L.sequenceInputLayer(IMAGE, "in1")), 1),
        ("features", (L.featureInputLayer(3, "in0"), L.featureInputLayer(2, "in1")), 1),
    ):
        yield f"concatenation_{name}", graph((*inputs, L.concatenationLayer("cat", dim)), "in0>cat/in1", "in1>cat/in2")
    yield "two_outputs", graph((*branches, L.reluLayer("r")), "in>a", "in>b", "a>r")


def shapes(rng: np.random.Generator) -> Found:
    yield "flatten", chain(image(), L.flattenLayer("f"))
    yield "flatten_volume", chain(image(VOLUME), L.flattenLayer("f"))
    yield "flatten_image_sequence", chain(sequence(IMAGE), L.flattenLayer("f"))
    yield "flatten_sequence", chain(sequence(4), L.flattenLayer("f"))
    yield "flatten_features", chain(features(4), L.flattenLayer("f"))
    folding = (
        sequence(IMAGE), L.sequenceFoldingLayer("fold"), L.convolution2dLayer(rng, "c", (3, 3), 4, 2), L.batchNormalizationLayer(rng, "n", 2),
        L.sequenceUnfoldingLayer("unfold"), L.flattenLayer("f"), L.lstmLayer(rng, "r", 24, 3),
    )  # fmt: skip
    yield (
        "folding",
        graph(
            folding,
            "in>fold",
            "fold/out>c",
            "c>n",
            "n>unfold/in",
            "fold/miniBatchSize>unfold/miniBatchSize",
            "unfold>f",
            "f>r",
        ),
    )
    yield "space_to_depth", chain(image((4, 6, 3)), L.spaceToDepthLayer("s", (2, 3)))
    yield "space_to_depth_remainder", chain(image((5, 7, 3)), L.spaceToDepthLayer("s", (2, 3)))
    yield "space_to_depth_image_sequence", chain(sequence((4, 6, 3)), L.spaceToDepthLayer("s", (2, 2)))
    for index in ("first", "last"):
        yield f"indexing_{index}", chain(sequence(4), L.indexing1dLayer("i", index))
    yield "indexing_image_sequence", chain(sequence(IMAGE), L.indexing1dLayer("i", "last"))
    yield "quadratic", chain(features(4), L.quadraticLayer("q"))
    yield "quadratic_sequence", chain(sequence(3), L.quadraticLayer("q"))
    yield "scaling", chain(image(), L.scalingLayer("s", 0.5, 2.0))
    yield "scaling_features", chain(features(3), L.scalingLayer("s", (0.5, 2.0, -1.0), 0.25))
    yield "channel_shuffle", chain(image((3, 2, 12)), Layer("s", "channelShuffleLayer", {"NumGroups": 3.0}))
    yield (
        "channel_shuffle_image_sequence",
        chain(sequence((3, 2, 12)), Layer("s", "channelShuffleLayer", {"NumGroups": 3.0})),
    )
    yield (
        "zero_padding",
        chain(
            image(),
            Layer("p", "nnet.nasnetmobile.layer.NASNetMobileZeroPadding2dLayer", {"PaddingSize": row(0, 1, 2, 3)}),
        ),
    )
    for mode in ("dcr", "crd"):
        yield f"depth_to_space_{mode}", chain(image((3, 2, 12)), L.depthToSpace2dLayer("d", (2, 3), mode))
    resize = L.resize2dLayer
    yield "resize_scale", chain(image(), resize("z", scale=(2.0, 3.0)))
    yield "resize_down", chain(image(), resize("z", scale=(0.5, 0.4)))
    yield "resize_size", chain(image(), resize("z", size=(7, 9)))
    yield "resize_bilinear", chain(image(), resize("z", size=(7, 9), method="bilinear"))
    yield "resize_bilinear_down", chain(image(), resize("z", scale=(0.5, 2.0), method="bilinear"))
    asymmetric = {"GeometricTransformMode": "asymmetric", "NearestRoundingMode": "floor"}
    yield "resize_asymmetric", chain(image(), saved(resize("z", size=(9, 4)), **asymmetric))
    yield "resize_image_sequence", chain(sequence(IMAGE), resize("z", scale=(2.0, 2.0), method="bilinear"))
    two = (L.imageInputLayer(IMAGE, "in0", "none"), L.imageInputLayer((9, 3, 1), "in1", "none"))
    yield "resize_reference", graph((*two, resize("z", reference=True, method="bilinear")), "in0>z/in", "in1>z/ref")
    yield "resize3d", chain(image(VOLUME), L.resize3dLayer("z", size=(7, 2, 5), method="trilinear"))
    yield "resize3d_nearest", chain(image(VOLUME), L.resize3dLayer("z", scale=(2.0, 1.0, 3.0)))
    small = (L.imageInputLayer((7, 6, 3), "in0", "none"), L.imageInputLayer((4, 3, 1), "in1", "none"))
    yield "crop", graph((*small, L.crop2dLayer("z")), "in0>z/in", "in1>z/ref")
    yield "crop_at", graph((*small, L.crop2dLayer("z", (3, 2))), "in0>z/in", "in1>z/ref")
    solid = (L.image3dInputLayer((7, 6, 5, 3), "in0", "none"), L.image3dInputLayer((4, 3, 2, 1), "in1", "none"))
    yield "crop3d", graph((*solid, L.crop3dLayer("z")), "in0>z/in", "in1>z/ref")
    yield "crop3d_at", graph((*solid, L.crop3dLayer("z", (3, 2, 1))), "in0>z/in", "in1>z/ref")


def inputs(rng: np.random.Generator) -> Found:
    for kind in ("none", "zerocenter", "zscore", "rescale-symmetric", "rescale-zero-one"):
        for label, shape in (("element", IMAGE), ("channel", (1, 1, 4)), ("all", (1, 1))):
            yield (
                f"image_{kind}_{label}",
                chain(L.imageInputLayer(IMAGE, "in", kind, None, **L.input_statistics(rng, kind, shape))),
            )
        grey = (6, 5, 1)
        yield f"grey_{kind}", chain(L.imageInputLayer(grey, "in", kind, None, **L.input_statistics(rng, kind, grey)))
        for label, size in (("element", VOLUME), ("channel", (1, 1, 1, 2)), ("all", (1, 1))):
            yield (
                f"volume_{kind}_{label}",
                chain(L.image3dInputLayer(VOLUME, "in", kind, **L.input_statistics(rng, kind, size))),
            )
        yield f"sequence_{kind}", chain(L.sequenceInputLayer(3, "in", kind, **L.input_statistics(rng, kind, (3, 1))))
        yield (
            f"sequence_{kind}_all",
            chain(L.sequenceInputLayer(3, "in", kind, **L.input_statistics(rng, kind, (1, 1)))),
        )
        for label, shape in (("element", IMAGE), ("channel", (1, 1, 4)), ("all", (1, 1))):
            yield (
                f"image_sequence_{kind}_{label}",
                chain(L.sequenceInputLayer(IMAGE, "in", kind, **L.input_statistics(rng, kind, shape))),
            )
        yield f"features_{kind}", chain(L.featureInputLayer(3, "in", kind, **L.input_statistics(rng, kind, (3, 1))))


CASES = {case.name: case for case in every_case()}

# Cases of a class that come as another module, or take another way through it, than its first one.
OTHER_WAYS = (
    "conv2d_asymmetric", "conv2d_same_strided", "conv2d_image_sequence", "conv1d_image_sequence", "transposed2d_asymmetric",
    "transposed2d_same", "transposed3d_same", "max2d_asymmetric", "average2d_asymmetric_mean", "average2d_same", "global_max1d",
    "layernorm_sequence_batch-excluded", "cross_channel_4", "lstm_last", "lstm_with_states", "lstm_softsign", "bilstm_last",
    "gru_before-multiplication", "gru_softsign_after-multiplication", "attention_causal", "words_error", "prelu_scalar",
    "concatenation_1", "resize_bilinear", "resize_scale", "crop_at", "image_zscore_channel", "sequence_rescale-symmetric",
)  # fmt: skip


def one_of_each() -> dict[str, Case]:
    """The first case of each chain of classes, and those of OTHER_WAYS."""
    found: dict[tuple[str, ...], Case] = {}
    for case in CASES.values():
        found.setdefault(case.classes, case)
    return {case.name: case for case in (*found.values(), *(CASES[name] for name in OTHER_WAYS))}


def one_of_each_builder() -> dict[str, Case]:
    """The first case of each chain of builders, and those of OTHER_WAYS: modules that torch alone has made are alike."""
    found: dict[tuple[object, ...], Case] = {}
    for case in one_of_each().values():
        found.setdefault(tuple(map(_builder, case.classes)), case)
    return {case.name: case for case in (*found.values(), *(CASES[name] for name in OTHER_WAYS))}


def _builder(cls: str) -> object:
    """What makes the module of a class: its builder, and the module where it is one of bridge's own; what follows a
    sequence may be another module than what follows an image."""
    row = layer_mappings().by_class(cls)
    assert row is not None
    own = hasattr(own_shapes, row.torch or "") or hasattr(activation, row.torch or "")
    return row.build, row.dimensions, row.torch if own else None, "Sequence" in cls
