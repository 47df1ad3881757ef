"""MATLAB's layers in float64 numpy: one observation at a time, in MATLAB's own order of dimensions.

This is the named oracle of the tests of `bridge/modules`. It shares no code with bridge: it reads the saved fields of
the layers in `fixtures/` and follows the formulas of MathWorks' documentation, element by element where that is
clearer than fast. `run` computes every activation of a network.

A value has a form that names its dimensions: S space, C channels, T time. Time that a sequence folding layer took
away is F. So "SSC" is an image H x W x C, "CT" a sequence C x T, and "SSCF" the images of a folded sequence.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import Any

import numpy as np

from fixtures.layers import Layer, Net

NDArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Value:
    """An activation of one observation: `data` has the dimensions that `form` names."""

    form: str
    data: NDArray

    @property
    def channel(self) -> int:
        return self.form.index("C")

    @property
    def space(self) -> tuple[int, ...]:
        return tuple(range(self.channel))

    def like(self, data: NDArray) -> Value:
        return Value(self.form, data)


Result = Value | dict[str, Value]
Oracle = Callable[..., Result]
ORACLES: dict[str, Oracle] = {}


def oracle(*classes: str, package: str = "nnet.cnn.layer.") -> Callable[[Oracle], Oracle]:
    """Register a function (layer, *inputs) -> output, or outputs by port name."""

    def register(function: Oracle) -> Oracle:
        ORACLES.update(dict.fromkeys((package + name for name in classes), function))
        return function

    return register


def run(net: Net, inputs: Mapping[str, Value]) -> dict[str, Value]:
    """Compute a network of layers in an order in which they can run.

    Args:
        net: the network.
        inputs: by name of the input layer.

    Returns:
        Every activation, by "layer" or "layer/port".

    Raises:
        KeyError: a class has no oracle.
    """
    pairs = net.connections if net.connections is not None else tuple(pairwise(layer.name for layer in net.layers))
    entering: dict[str, list[tuple[str, str]]] = {}
    for source, destination in pairs:
        name, _, port = destination.partition("/")
        entering.setdefault(name, []).append((port, source))
    values: dict[str, Value] = {}
    for layer in net.layers:
        if layer.cls.endswith(("OutputLayer", "ClassificationLayer")):
            continue
        arguments = [
            values[source]
            for _, source in sorted(entering.get(layer.name, []), key=lambda each: PORTS.get(each[0], each[0]))
        ]
        result = ORACLES[layer.cls](layer, *([inputs[layer.name]] if layer.name in inputs else arguments))
        made = result if isinstance(result, dict) else {"out": result}
        values.update({f"{layer.name}/{port}": value for port, value in made.items()}, **{layer.name: made["out"]})
    return values


PORTS = {
    "query": "0",
    "key": "1",
    "value": "2",
    "in": "0",
    "indices": "1",
    "ref": "1",
    "miniBatchSize": "1",
    "size": "2",
}  # the order of named ports


def weights(layer: Layer, name: str) -> NDArray:
    return np.asarray(layer.params[name].value, np.float64)


def field(layer: Layer, name: str) -> list[int]:
    return [int(n) for n in np.asarray(layer.saved[name]).ravel()]


def each_time(x: Value, function: Callable[[Value], Value]) -> Value:
    """Apply a function of one time step to every step; the result keeps its last dimension."""
    if x.form[-1] not in "TF":
        return function(x)
    steps = [function(Value(x.form[:-1], x.data[..., t])) for t in range(x.data.shape[-1])]
    return Value(steps[0].form + x.form[-1], np.stack([step.data for step in steps], -1))


def along_channels(x: Value, vector: NDArray) -> NDArray:
    """Shape a vector of C elements so that it runs along the channels of x."""
    return np.asarray(vector, np.float64).reshape([-1 if axis == x.channel else 1 for axis in range(x.data.ndim)])


# Input layers


@oracle("ImageInputLayer", "Image3DInputLayer", "SequenceInputLayer", "FeatureInputLayer")
def normalised(layer: Layer, x: Value) -> Value:
    saved = layer.saved["Normalization"]
    if not isinstance(saved, dict):
        return x

    def statistic(name: str) -> NDArray:
        """[H W C], [1 1 C], [C 1] or one number, as they broadcast in MATLAB against one observation."""
        value = np.asarray(saved[name], np.float64)
        lacking = x.data.ndim - value.ndim
        return value[(..., *[None] * lacking)] if lacking >= 0 else value.reshape(value.shape[: x.data.ndim])

    data = x.data
    match saved["Type"]:
        case "zerocenter":
            data = data - statistic("AverageImage")
        case "zscore":
            data = (data - statistic("AverageImage")) / statistic("StandardDeviation")
        case "rescale-zero-one":
            data = (data - statistic("Min")) / (statistic("Max") - statistic("Min"))
        case "rescale-symmetric":
            data = -1 + 2 * (data - statistic("Min")) / (statistic("Max") - statistic("Min"))
    return x.like(data)


# Windows


def window_padding(
    layer: Layer, lengths: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> list[tuple[int, int]]:
    """(before, after) of each dimension; PaddingSize is [l r], [t b l r] or [t l f; b r k]."""
    mode = layer.saved["PaddingMode"]
    if mode == "causal":
        return [((k - 1) * d, 0) for k, d in zip(kernel, dilation, strict=True)]
    if mode == "same":  # enough that the output has ceil(length / stride) elements; the odd one at the end
        totals = [
            max((math.ceil(n / s) - 1) * s + (k - 1) * d + 1 - n, 0)
            for n, k, s, d in zip(lengths, kernel, stride, dilation, strict=True)
        ]
        return [(total // 2, total - total // 2) for total in totals]
    return ends(layer.saved["PaddingSize"])


def ends(size: Any) -> list[tuple[int, int]]:
    size = np.asarray(size, int)
    if size.shape == (2, 3):
        return [(int(a), int(b)) for a, b in size.T]
    return [(int(a), int(b)) for a, b in size.reshape(-1, 2)]


def sliding(x: Value, count: int, function: Callable[[NDArray], NDArray]) -> Value:
    """Apply a function of an array (count window dimensions, C) over space, or over space and time where count asks for it."""
    if count == len(x.space):
        return each_time(x, lambda step: step.like(function(step.data)))
    assert x.form.endswith("T") and count == len(x.space) + 1
    out = function(np.moveaxis(x.data, -1, x.channel))  # S.. C T -> S.. T C
    return x.like(np.moveaxis(out, x.channel, -1))


def patches(
    x: NDArray, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]
) -> dict[tuple[int, ...], NDArray]:
    """The window at every output position of an array (window dimensions, C) that is padded already."""
    lengths = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape, kernel, stride, dilation, strict=False)]
    found = {}
    for at in product(*(range(n) for n in lengths)):
        found[at] = x[
            tuple(
                slice(a * s, a * s + (k - 1) * d + 1, d)
                for a, k, s, d in zip(at, kernel, stride, dilation, strict=True)
            )
        ]
    return found


def gathered(found: Mapping[tuple[int, ...], NDArray]) -> NDArray:
    shape = tuple(max(at) + 1 for at in zip(*found, strict=True))
    out = np.empty((*shape, *next(iter(found.values())).shape))
    for at, value in found.items():
        out[at] = value
    return out


@oracle("Convolution1DLayer", "Convolution2DLayer", "Convolution3DLayer", "GroupedConvolution2DLayer")
def convolution(layer: Layer, x: Value) -> Value:
    """Weights [k.. Cin Cout] or [kh kw Cin Cout G]; group g takes the g-th run of input channels."""
    kernel, stride, dilation = (field(layer, name) for name in ("FilterSize", "Stride", "DilationFactor"))
    w = weights(layer, "Weights")
    w = w if layer.cls.endswith("GroupedConvolution2DLayer") else w[..., None]
    inputs, outputs, groups = w.shape[len(kernel) :]
    bias = weights(layer, "Bias").reshape(-1, order="F")  # [1 1 Cout G]: the channels of a group run fastest

    def slide(data: NDArray) -> NDArray:
        pads = window_padding(layer, data.shape[:-1], kernel, stride, dilation)
        out = {}
        for at, patch in patches(np.pad(data, [*pads, (0, 0)]), kernel, stride, dilation).items():
            parts = [
                np.tensordot(patch[..., g * inputs : (g + 1) * inputs], w[..., g], len(kernel) + 1)
                for g in range(groups)
            ]
            out[at] = np.concatenate(parts) + bias
            assert out[at].shape == (outputs * groups,)
        return gathered(out)

    return sliding(x, len(kernel), slide)


@oracle("TransposedConvolution1DLayer", "TransposedConvolution2DLayer", "TransposedConvolution3DLayer")
def transposed_convolution(layer: Layer, x: Value) -> Value:
    """Every input element adds its multiple of the filter [k.. Cout Cin] at its place; then the ends are cropped.

    'same' crops to input x stride, the odd element at the end.
    """
    kernel, stride, w = field(layer, "FilterSize"), field(layer, "Stride"), weights(layer, "Weights")

    def slide(data: NDArray) -> NDArray:
        full = np.zeros([s * (n - 1) + k for n, k, s in zip(data.shape, kernel, stride, strict=False)] + [w.shape[-2]])
        for at in product(*(range(n) for n in data.shape[:-1])):
            full[tuple(slice(a * s, a * s + k) for a, k, s in zip(at, kernel, stride, strict=True))] += w @ data[at]
        crops = ends(layer.saved["CroppingSize"])
        if layer.saved["CroppingMode"] == "same":
            crops = [((k - s) // 2, k - s - (k - s) // 2) for k, s in zip(kernel, stride, strict=True)]
        kept = tuple(slice(a, n - b) for n, (a, b) in zip(full.shape, crops, strict=False))
        return full[kept] + weights(layer, "Bias").ravel()

    return sliding(x, len(kernel), slide)


@oracle("MaxPooling1DLayer", "MaxPooling2DLayer", "MaxPooling3DLayer")
def max_pooling(layer: Layer, x: Value) -> Result:
    kernel, stride = field(layer, "PoolSize"), field(layer, "Stride")
    ones = [1] * len(kernel)

    def slide(data: NDArray) -> NDArray:
        padded = np.pad(
            data, [*window_padding(layer, data.shape[:-1], kernel, stride, ones), (0, 0)], constant_values=-np.inf
        )
        return gathered(
            {at: patch.max(tuple(range(len(kernel)))) for at, patch in patches(padded, kernel, stride, ones).items()}
        )

    out = sliding(x, len(kernel), slide)
    if not layer.saved.get("HasUnpoolingOutputs"):
        return out
    numbered = np.arange(x.data.size, dtype=float).reshape(x.data.shape)
    pads = [*window_padding(layer, x.data.shape[:-1], kernel, stride, ones), (0, 0)]
    padded, places = np.pad(x.data, pads, constant_values=-np.inf), np.pad(numbered, pads, constant_values=-1)
    chosen = {}
    for (at, patch), place in zip(
        patches(padded, kernel, stride, ones).items(), patches(places, kernel, stride, ones).values(), strict=True
    ):
        flat = patch.reshape(-1, patch.shape[-1])
        chosen[at] = np.take_along_axis(place.reshape(flat.shape), flat.argmax(0)[None], 0)[0]
    return {"out": out, "indices": Value("SSC", gathered(chosen)), "size": Value("size", np.array(x.data.shape))}


@oracle("MaxUnpooling2DLayer")
def max_unpooling(layer: Layer, x: Value, indices: Value, size: Value) -> Value:
    out = np.zeros(size.data)
    out.ravel()[indices.data.astype(int).ravel()] = x.data.ravel()
    return x.like(out)


@oracle("AveragePooling1DLayer", "AveragePooling2DLayer", "AveragePooling3DLayer")
def average_pooling(layer: Layer, x: Value) -> Value:
    """PaddingValue 0: the mean of the whole window, padding included; "mean": of the elements that are no padding."""
    kernel, stride = field(layer, "PoolSize"), field(layer, "Stride")
    ones = [1] * len(kernel)
    fill = np.nan if layer.saved.get("PaddingValue") == "mean" else 0.0

    def slide(data: NDArray) -> NDArray:
        padded = np.pad(
            data, [*window_padding(layer, data.shape[:-1], kernel, stride, ones), (0, 0)], constant_values=fill
        )
        return gathered(
            {
                at: np.nanmean(patch, tuple(range(len(kernel))))
                for at, patch in patches(padded, kernel, stride, ones).items()
            }
        )

    return sliding(x, len(kernel), slide)


@oracle(*(f"Global{kind}Pooling{n}DLayer" for kind in ("Average", "Max") for n in (1, 2, 3)))
def global_pooling(layer: Layer, x: Value) -> Value:
    reduce = np.mean if "Average" in layer.cls else np.max
    if x.form == "CT":
        return Value("C", reduce(x.data, 1))
    return x.like(reduce(x.data, x.space, keepdims=True))


# Fully connected


@oracle("FullyConnectedLayer")
def fully_connected(layer: Layer, x: Value) -> Value:
    """Weights [H W C Out] after images, [Out In] after features and sequences; after 3-D images [H W D C Out]."""
    w, bias = weights(layer, "Weights"), weights(layer, "Bias").ravel()

    def step(at: Value) -> Value:
        if w.ndim == 2 and at.form == "C":
            return Value("C", w @ at.data + bias)
        return Value("C", np.tensordot(at.data, w.reshape(*at.data.shape, -1), at.data.ndim) + bias)

    return each_time(x, step)


# Normalisation


def scaled(layer: Layer, x: Value, normal: NDArray) -> Value:
    return x.like(normal * along_channels(x, weights(layer, "Scale")) + along_channels(x, weights(layer, "Offset")))


def standardised(x: NDArray, axes: tuple[int, ...], epsilon: float) -> NDArray:
    return np.asarray((x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + epsilon))


@oracle("BatchNormalizationLayer")
def batch_normalization(layer: Layer, x: Value) -> Value:
    mean, variance = (along_channels(x, layer.saved[name]) for name in ("TrainedMean", "TrainedVariance"))
    return scaled(layer, x, (x.data - mean) / np.sqrt(variance + layer.saved["Epsilon"]))


@oracle("LayerNormalizationLayer")
def layer_normalization(layer: Layer, x: Value) -> Value:
    """Over channels and space; "batch-excluded", the only way before R2023a, over time too."""
    time = (x.data.ndim - 1,) if x.form.endswith("T") else ()
    axes = {
        "auto": (*x.space, x.channel),
        "channel-only": (x.channel,),
        "spatial-channel": (*x.space, x.channel),
        "batch-excluded": (*x.space, x.channel, *time),
    }[layer.saved.get("OperationDimension", "batch-excluded")]
    return scaled(layer, x, standardised(x.data, axes, layer.saved["Epsilon"]))


@oracle("InstanceNormalizationLayer", "GroupNormalizationLayer")
def group_normalization(layer: Layer, x: Value) -> Value:
    """Over the channels of a group, space and time."""
    channels = x.data.shape[x.channel]
    groups = layer.saved.get("NumGroups", "channel-wise")
    parts = np.split(x.data, int({"all-channels": 1, "channel-wise": channels}.get(groups, groups)), x.channel)
    normal = [standardised(part, tuple(range(part.ndim)), layer.saved["Epsilon"]) for part in parts]
    return scaled(layer, x, np.concatenate(normal, x.channel))


@oracle("CrossChannelNormalizationLayer")
def cross_channel_normalization(layer: Layer, x: Value) -> Value:
    """x / (K + Alpha * ss / window) ^ Beta; an even window reaches floor((w-1)/2) channels back and floor(w/2) on."""
    size, alpha, beta, k = (layer.saved[name] for name in ("WindowChannelSize", "Alpha", "Beta", "K"))
    moved = np.moveaxis(x.data, x.channel, 0)
    out = np.empty_like(moved)
    for c in range(len(moved)):
        near = moved[max(c - math.floor((size - 1) / 2), 0) : c + math.floor(size / 2) + 1]
        out[c] = moved[c] / (k + alpha * np.square(near).sum(0) / size) ** beta
    return x.like(np.moveaxis(out, 0, x.channel))


# Recurrent layers


def sigmoid(x: NDArray) -> NDArray:
    return 1 / (1 + np.exp(-x))


SQUASH: dict[str, Callable[[NDArray], NDArray]] = {
    "tanh": np.tanh,
    "softsign": lambda x: x / (1 + np.abs(x)),
    "relu": lambda x: np.maximum(x, 0),
    "sigmoid": sigmoid,
    "hard-sigmoid": lambda x: np.where(x < -2.5, 0, np.where(x > 2.5, 1, 0.2 * x + 0.5)),
}


def last_or_all(layer: Layer, steps: Sequence[NDArray], last: NDArray) -> Value:
    return Value("CT", np.stack(steps, 1)) if layer.saved["ReturnSequence"] else Value("C", last)


def state(layer: Layer, name: str) -> NDArray:
    return np.asarray(layer.saved[name]["Value"], np.float64).ravel()


def lstm_steps(
    layer: Layer, x: NDArray, w: NDArray, r: NDArray, b: NDArray, hidden: NDArray, cell: NDArray
) -> list[NDArray]:
    """i, f, o = gate(W x + R h + b), g = squash(...); c = f * c + i * g; h = o * squash(c). Rows: i, f, g, o."""
    squash, gate = SQUASH[layer.saved["StateActivationFunction"]], SQUASH[layer.saved["GateActivationFunction"]]
    steps, n = [], len(hidden)
    for t in range(x.shape[1]):
        z = w @ x[:, t] + r @ hidden + b
        i, f, g, o = gate(z[:n]), gate(z[n : 2 * n]), squash(z[2 * n : 3 * n]), gate(z[3 * n :])
        cell = f * cell + i * g
        hidden = o * squash(cell)
        steps.append(hidden)
    return steps


@oracle("LSTMLayer")
def lstm(layer: Layer, x: Value) -> Value:
    w, r, b = (weights(layer, name) for name in ("InputWeights", "RecurrentWeights", "Bias"))
    steps = lstm_steps(layer, x.data, w, r, b.ravel(), state(layer, "HiddenState"), state(layer, "CellState"))
    return last_or_all(layer, steps, steps[-1])


@oracle("LSTMProjectedLayer")
def projected_lstm(layer: Layer, x: Value) -> Value:
    """The input and the hidden state are projected before the weights see them."""
    w = weights(layer, "InputWeights") @ weights(layer, "InputProjector").T
    r = weights(layer, "RecurrentWeights") @ weights(layer, "OutputProjector").T
    steps = lstm_steps(
        layer, x.data, w, r, weights(layer, "Bias").ravel(), state(layer, "HiddenState"), state(layer, "CellState")
    )
    return last_or_all(layer, steps, steps[-1])


@oracle("BiLSTMLayer")
def bilstm(layer: Layer, x: Value) -> Value:
    """The second half of the rows reads the sequence backwards; 'last' is the last step of each in its own direction."""
    w, r, b = (np.split(weights(layer, name), 2) for name in ("InputWeights", "RecurrentWeights", "Bias"))
    hidden, cell = (np.split(state(layer, name), 2) for name in ("HiddenState", "CellState"))
    forward = lstm_steps(layer, x.data, w[0], r[0], b[0].ravel(), hidden[0], cell[0])
    backward = lstm_steps(layer, x.data[:, ::-1], w[1], r[1], b[1].ravel(), hidden[1], cell[1])
    steps = [np.concatenate(pair) for pair in zip(forward, backward[::-1], strict=True)]
    return last_or_all(layer, steps, np.concatenate([forward[-1], backward[-1]]))


@oracle("GRULayer", "GRUProjectedLayer")
def gru(layer: Layer, x: Value) -> Value:
    """r, z = gate(W x + R h + b); h = (1 - z) * candidate + z * h. Rows: r, z, candidate.

    The reset gate multiplies the hidden state before its weights, or what they make of it, with or without a bias.
    """
    squash, gate = SQUASH[layer.saved["StateActivationFunction"]], SQUASH[layer.saved["GateActivationFunction"]]
    w, rec, b = (weights(layer, name) for name in ("InputWeights", "RecurrentWeights", "Bias"))
    if "InputProjector" in layer.params:  # the input and the hidden state are projected before the weights see them
        w, rec = w @ weights(layer, "InputProjector").T, rec @ weights(layer, "OutputProjector").T
    hidden, mode = state(layer, "HiddenState"), layer.saved["ResetGateMode"]
    n = len(hidden)
    b = b.ravel() if b.size == 6 * n else np.concatenate([b.ravel(), np.zeros(3 * n)])
    reset, update, candidate = (slice(k * n, (k + 1) * n) for k in range(3))
    steps = []
    for t in range(x.data.shape[1]):
        wx, rb = w @ x.data[:, t] + b[: 3 * n], b[3 * n :]
        r = gate(wx[reset] + rec[reset] @ hidden + rb[reset])
        z = gate(wx[update] + rec[update] @ hidden + rb[update])
        if mode == "before-multiplication":
            h = squash(wx[candidate] + rec[candidate] @ (r * hidden))
        else:
            h = squash(wx[candidate] + r * (rec[candidate] @ hidden + rb[candidate]))
        hidden = (1 - z) * h + z * hidden
        steps.append(hidden)
    return last_or_all(layer, steps, steps[-1])


# Attention and embeddings


@oracle("SelfAttentionLayer")
def self_attention(layer: Layer, x: Value) -> Value:
    """Head by head over runs of channels: V softmax(K' Q / sqrt(d)), then the output weights. Time runs along columns."""
    q, k, v = (
        weights(layer, f"{name}Weights") @ x.data + weights(layer, f"{name}Bias") for name in ("Query", "Key", "Value")
    )
    heads, merged = int(layer.saved["NumHeads"]), []
    for qh, kh, vh in zip(*(np.split(each, heads) for each in (q, k, v)), strict=True):
        scores = kh.T @ qh / math.sqrt(len(kh))  # keys x queries
        if layer.saved["AttentionMask"] == "causal":
            scores = np.where(np.arange(len(scores))[:, None] <= np.arange(len(scores))[None], scores, -np.inf)
        merged.append(vh @ softmaxed(scores, 0))
    return x.like(weights(layer, "OutputWeights") @ np.concatenate(merged) + weights(layer, "OutputBias"))


@oracle("AttentionLayer")
def attention(layer: Layer, query: Value, key: Value, value: Value) -> Value:
    """V softmax(scale K' Q), head by head over runs of channels; "auto" is 1 / sqrt(channels of a head of the keys)."""
    heads, merged = int(layer.saved["NumHeads"]), []
    for q, k, v in zip(*(np.split(each.data, heads) for each in (query, key, value)), strict=True):
        scale = 1 / math.sqrt(len(k)) if layer.saved["Scale"] == "auto" else layer.saved["Scale"]
        scores = scale * (k.T @ q)  # keys x queries
        if layer.saved["AttentionMask"] == "causal":
            scores = np.where(np.tri(*scores.shape).T, scores, -np.inf)
        merged.append(v @ softmaxed(scores, 0))
    return query.like(np.concatenate(merged))


@oracle("SinusoidalPositionEncodingLayer")
def sinusoids(layer: Layer, x: Value) -> Value:
    """Vaswani et al., with steps from 1 on: that MATLAB counts and orders so is unconfirmed."""
    size = int(layer.saved["OutputSize"])
    out = np.empty((size, x.data.shape[1]))
    for channel, step in np.ndindex(out.shape):
        angle = (step + 1) / 10000 ** (channel // 2 * 2 / size)
        out[channel, step] = math.cos(angle) if channel % 2 else math.sin(angle)
    return x.like(out)


@oracle("WordEmbeddingLayer")
def word_embedding(layer: Layer, x: Value) -> Value:
    """Column i of the weights for word i; with "map-to-last" the last column for what is no word."""
    w = weights(layer, "Weights")
    words = [int(i) if i in range(1, int(layer.saved["NumWords"]) + 1) else w.shape[1] for i in x.data[0]]
    return x.like(np.stack([w[:, i - 1] for i in words], 1))


@oracle("PositionEmbeddingLayer")
def position_embedding(layer: Layer, x: Value) -> Value:
    return x.like(weights(layer, "Weights")[:, : x.data.shape[1]])


# Activations


@oracle("ReLULayer")
def relu(layer: Layer, x: Value) -> Value:
    return x.like(np.maximum(x.data, 0))


@oracle("LeakyReLULayer")
def leaky_relu(layer: Layer, x: Value) -> Value:
    return x.like(np.where(x.data >= 0, x.data, layer.saved["Scale"] * x.data))


@oracle("ClippedReLULayer")
def clipped_relu(layer: Layer, x: Value) -> Value:
    return x.like(np.minimum(np.maximum(x.data, 0), layer.saved["Ceiling"]))


@oracle("PReLULayer")
def prelu(layer: Layer, x: Value) -> Value:
    """Alpha expands as MATLAB's arrays do: dimensions are matched from the first on."""
    alpha = weights(layer, "Alpha")
    alpha = alpha.reshape([*alpha.shape, *[1] * x.data.ndim][: x.data.ndim])
    return x.like(np.where(x.data > 0, x.data, alpha * x.data))


@oracle("ELULayer")
def elu(layer: Layer, x: Value) -> Value:
    return x.like(np.where(x.data >= 0, x.data, layer.saved["Alpha"] * (np.exp(np.minimum(x.data, 0)) - 1)))


@oracle("GELULayer")
def gelu(layer: Layer, x: Value) -> Value:
    if layer.saved["Approximation"] == "tanh":
        return x.like(x.data / 2 * (1 + np.tanh(math.sqrt(2 / math.pi) * (x.data + 0.044715 * x.data**3))))
    return x.like(x.data / 2 * (1 + np.vectorize(math.erf)(x.data / math.sqrt(2))))


@oracle("SwishLayer")
def swish(layer: Layer, x: Value) -> Value:
    return x.like(x.data * sigmoid(x.data))


@oracle("SoftplusLayer", package="rl.layer.")
@oracle("SoftplusLayer")
def softplus(layer: Layer, x: Value) -> Value:
    return x.like(np.log(1 + np.exp(x.data)))


@oracle("TanhLayer")
def tanh(layer: Layer, x: Value) -> Value:
    return x.like(np.tanh(x.data))


@oracle("SigmoidLayer")
def sigmoid_layer(layer: Layer, x: Value) -> Value:
    return x.like(sigmoid(x.data))


def softmaxed(x: NDArray, axis: int) -> NDArray:
    raised = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(raised / raised.sum(axis, keepdims=True))


@oracle("SoftmaxLayer")
def softmax(layer: Layer, x: Value) -> Value:
    return x.like(softmaxed(x.data, x.channel))


@oracle("YOLOv2TransformLayer")
def yolov2_transform(layer: Layer, x: Value) -> Value:
    """Channels: iou, x, y (sigmoid), w, h (exp) of each anchor, then class by class those of each anchor (softmax)."""
    a = int(layer.saved["NumAnchorBoxes"])
    out, classes = np.empty_like(x.data), (x.data.shape[-1] - 5 * a) // a
    for row, column in np.ndindex(x.data.shape[:2]):
        at, to = x.data[row, column], out[row, column]
        for anchor in range(a):
            for quantity in range(5):
                c = quantity * a + anchor
                to[c] = sigmoid(at[c]) if quantity < 3 else np.exp(at[c])
            chosen = [5 * a + k * a + anchor for k in range(classes)]
            to[chosen] = softmaxed(at[chosen], 0)
    return x.like(out)


# Combination and shape


@oracle("AdditionLayer")
def addition(layer: Layer, *inputs: Value) -> Value:
    total = inputs[0].data
    for each in inputs[1:]:
        total = total + each.data
    return inputs[0].like(total)


@oracle("MultiplicationLayer")
def multiplication(layer: Layer, *inputs: Value) -> Value:
    total = inputs[0].data
    for each in inputs[1:]:
        total = total * each.data
    return inputs[0].like(total)


@oracle("ConcatenationLayer", "DepthConcatenationLayer")
def concatenation(layer: Layer, *inputs: Value) -> Value:
    axis = int(layer.saved["Dim"]) - 1 if "Dim" in layer.saved else inputs[0].channel
    return inputs[0].like(np.concatenate([each.data for each in inputs], axis))


@oracle("DropoutLayer", "SpatialDropoutLayer", "IdentityLayer")
def unchanged(layer: Layer, x: Value) -> Value:
    return x


@oracle("XceptionPreprocessingLayer", package="nnet.xception.layer.")
def symmetric_pixels(layer: Layer, x: Value) -> Value:
    """Keras's preprocessing for Xception: from 0..255 to -1..1."""
    return Value(x.form, 2 * x.data / 255 - 1)


@oracle("FlattenLayer")
def flatten(layer: Layer, x: Value) -> Value:
    return each_time(x, lambda step: Value("C", step.data.reshape(-1, order="F")))


@oracle("SequenceFoldingLayer")
def fold(layer: Layer, x: Value) -> Result:
    return {"out": Value(x.form[:-1] + "F", x.data), "miniBatchSize": Value("size", np.array(1))}


@oracle("SequenceUnfoldingLayer")
def unfold(layer: Layer, x: Value, observations: Value) -> Value:
    return Value(x.form[:-1] + "T", x.data)


@oracle("SpaceToDepthLayer")
def space_to_depth(layer: Layer, x: Value) -> Value:
    """Channel ((row in block) * width + column in block) * C + c, as in the documented example of spaceToDepth."""
    height, width = field(layer, "BlockSize")

    def step(at: Value) -> Value:
        rows, columns, channels = at.data.shape
        out = np.empty((rows // height, columns // width, channels * height * width))
        for row, column, a, b in np.ndindex(*out.shape[:2], height, width):
            first = (a * width + b) * channels
            out[row, column, first : first + channels] = at.data[row * height + a, column * width + b]
        return at.like(out)

    return each_time(x, step)


@oracle("channelShuffleLayer", package="")
def channel_shuffle(layer: Layer, x: Value) -> Value:
    """The first channel of every group, then the second of every group, and so on."""
    groups = np.split(np.arange(x.data.shape[x.channel]), int(layer.saved["NumGroups"]))
    return x.like(np.take(x.data, [group[i] for i in range(len(groups[0])) for group in groups], x.channel))


@oracle("DepthToSpace2DLayer")
def depth_to_space(layer: Layer, x: Value) -> Value:
    """ "dcr": channel ((row in block) * width + column in block) * C + c; "crd": (c * height + row) * width + column."""
    (height, width), (rows, columns, depth) = field(layer, "BlockSize"), x.data.shape
    channels = depth // (height * width)
    out = np.empty((rows * height, columns * width, channels))
    for row, column, a, b, c in np.ndindex(rows, columns, height, width, channels):
        source = (a * width + b) * channels + c if layer.saved["Mode"] == "dcr" else (c * height + a) * width + b
        out[row * height + a, column * width + b, c] = x.data[row, column, source]
    return x.like(out)


@oracle("Resize2DLayer", "Resize3DLayer")
def resize(layer: Layer, x: Value, reference: Value | None = None) -> Value:
    """Axis by axis: nearest takes the pixel at the rounded place, linear weighs the two beside it, the edge repeated."""
    saved, old = layer.saved, x.data.shape[: len(x.space)]
    if reference is not None:
        new = reference.data.shape[: len(old)]
    elif np.size(saved["OutputSize"]):
        new = tuple(field(layer, "OutputSize"))
    else:
        new = tuple(math.floor(n * s) for n, s in zip(old, np.ravel(saved["Scale"]), strict=True))
    out = x.data
    for axis, (n, m) in enumerate(zip(old, new, strict=True)):
        half = 0.5 if saved["GeometricTransformMode"] == "half-pixel" else 0.0
        places = (np.arange(m) + half) * n / m - half
        if saved["Method"] == "nearest":
            rounded = np.floor(places + 0.5) if saved["NearestRoundingMode"] == "round" else np.floor(places)
            out = np.take(out, np.clip(rounded, 0, n - 1).astype(int), axis)
        else:
            low = np.floor(places).astype(int)
            share = (places - low).reshape([-1 if a == axis else 1 for a in range(out.ndim)])
            left, right = (np.take(out, np.clip(i, 0, n - 1), axis) for i in (low, low + 1))
            out = left * (1 - share) + right * share
    return x.like(out)


@oracle("NASNetMobileZeroPadding2dLayer", package="nnet.nasnetmobile.layer.")
def zero_padding(layer: Layer, x: Value) -> Value:
    top, bottom, left, right = field(layer, "PaddingSize")
    return x.like(np.pad(x.data, ((top, bottom), (left, right), (0, 0))))


@oracle("Crop2DLayer", "Crop3DLayer")
def crop(layer: Layer, x: Value, reference: Value) -> Value:
    """From Location [x y] or [x y z] on, or around the centre, to the size of the reference."""
    size, whole = (value.data.shape[: len(value.space)] for value in (reference, x))
    if layer.saved["Mode"] == "custom":
        column, line, *plane = (n - 1 for n in field(layer, "Location"))
        starts = [line, column, *plane]
    else:
        starts = [(n - m) // 2 for n, m in zip(whole, size, strict=True)]
    return x.like(x.data[tuple(slice(start, start + n) for start, n in zip(starts, size, strict=True))])


@oracle("ScalingFactorLayer", package="nnet.inceptionresnetv2.layer.")
def scaling_factor(layer: Layer, x: Value) -> Value:
    return x.like(x.data * layer.saved["Scale"])


@oracle("ScalingLayer", package="rl.layer.")
def scaling(layer: Layer, x: Value) -> Value:
    scale, bias = (np.ravel(layer.saved.get(name, default)) for name, default in (("Scale", 1.0), ("Bias", 0.0)))
    return x.like(scale * x.data + bias)


@oracle("QuadraticLayer", package="rl.layer.")
def quadratic(layer: Layer, x: Value) -> Value:
    """u1*u1, u1*u2, u2*u2, u1*u3, u2*u3, u3*u3, ..., as the page of quadraticLayer prints it."""
    u = x.data
    return x.like(np.stack([u[i] * u[j] for j in range(len(u)) for i in range(j + 1)]))


@oracle("Indexing1DLayer")
def indexing(layer: Layer, x: Value) -> Value:
    """Time is the last dimension."""
    return Value(x.form[:-1], x.data[..., -1 if "Index" in layer.saved else 0])
