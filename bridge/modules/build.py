"""Network -> torch module: one nn.Module for each MATLAB layer, called exactly once.

A row of the tables names its builder, a function here. A builder makes the module without weights (on the meta
device); `fill` then moves every learnable and statistic of the layer into it, turned as the row says.
"""

from __future__ import annotations

import keyword
import operator
import re
import runpy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from bridge.arrays import Array
from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.modules import factors, normalization, recurrent, shape, windows
from bridge.sizes import Activation, numbers, padding_pairs, window_dimensions
from bridge.tensors import given_sizes, tensors

if TYPE_CHECKING:
    from bridge.network import Layer, Network

Given = Sequence[Activation]
Builder = Callable[["Layer", Given], nn.Module]
FRESH = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.modules.batchnorm._BatchNorm, shape.Addition)  # never hand on their input's memory


def to_torch(
    network: Network,
    *,
    include_normalization: bool = True,
    include_softmax: bool = True,
    modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
) -> fx.GraphModule:
    """Build the PyTorch module of a network.

    Args:
        network: what to build.
        include_normalization: whether input layers normalise; else the module takes normalised data.
        include_softmax: whether a softmax that the network ends in stays; leave it out for torch's own losses.
        modules: for classes of your own, what makes the torch module of a layer: {"my.Layer": MyLayer}.

    Returns:
        An ordinary module in eval mode. Images are N,C,H,W, sequences N,T,C. Submodules carry MATLAB's layer names
        (`meta["layers"]` maps them back where a name had to change); frozen learnables do not require gradients.

    Raises:
        UnsupportedError: every layer that cannot be built, with its reason.
        UnreadableError: a learnable whose shape does not fit its layer.
    """
    names = module_names(layer.name for layer in network.layers)
    made = build_modules(network, modules or {}, include_normalization)
    if not include_softmax:
        for output in network.outputs:
            if output in made and network.layers[output].kind == "SoftmaxLayer":
                made[output] = nn.Identity()
    _relu_in_place(network, made)
    graph = _graph(network, made, names)
    model = fx.GraphModule({names[name]: module for name, module in made.items()}, graph, "Network")
    model.meta["layers"] = {names[name]: name for name in made}
    return model.eval()


def build_modules(network: Network, modules: Mapping[str, Callable[[Layer], nn.Module]], include_normalization: bool = True) -> dict[str, nn.Module]:
    """Build the module of every layer that has one, by layer name, in run order."""
    made: dict[str, nn.Module] = {}
    problems: list[str] = []
    for layer in network.order:
        if layer.row.is_output:
            continue
        try:
            made[layer.name] = build_layer(layer, given_sizes(network, layer), modules, include_normalization)
        except UnsupportedError as error:
            problems.append(f"{error.error} ({error.cause})" if error.cause else error.error)
    if problems:
        raise UnsupportedError(
            "; ".join(problems), f"{len(problems)} of {len(network.layers)} layers cannot be built", "pass modules for them: --modules mine.py"
        )
    return made


def build_layer(layer: Layer, given: Given, modules: Mapping[str, Callable[[Layer], nn.Module]], include_normalization: bool = True) -> nn.Module:
    """Build one layer's module with its weights."""
    made = _build(layer, given, modules, include_normalization)
    setattr(made, factors.LAYER_ATTRIBUTE, layer.name)
    return made


def _build(layer: Layer, given: Given, modules: Mapping[str, Callable[[Layer], nn.Module]], include_normalization: bool) -> nn.Module:
    own = next((modules[name] for name in (*layer.row.matlab, layer.kind) if name in modules), None)
    if own is not None:
        return own(layer)
    if layer.row.build == "input_normalization" and not include_normalization:
        return normalization.InputNormalization("none")
    empty = [name for name, learnable in layer.learnables.items() if learnable.array.size == 0]
    if empty:
        raise UnsupportedError(f"layer '{layer.name}' is not trained: its {', '.join(empty)} hold no values")
    with torch.device("meta"):
        module = BUILDERS[layer.row.build](layer, given)
    fill(module, layer, given)
    return module


def fill(module: nn.Module, layer: Layer, given: Given) -> None:
    """Move a layer's learnables and statistics into its module, with their factors.

    Raises:
        UnsupportedError: a parameter of the module got no values.
        UnreadableError: an array does not fit.
    """
    known: dict[str, factors.Factors] = {}
    for each in tensors(layer, given):
        if not each.learnable and each.local not in module._buffers:
            continue
        expected = getattr(module, each.local, None)
        if expected is not None and tuple(expected.shape) != each.array.shape and layer.row.build != "input_normalization":
            raise UnreadableError(
                f"{each.name} of layer '{layer.name}' ({layer.kind}) has shape {each.array.shape} in torch's order",
                f"the layer's other properties ask for {tuple(expected.shape)}",
                "the file is damaged or of an unknown form",
            )
        tensor = as_tensor(each.array)
        if not each.learnable:
            module._buffers[each.local] = tensor
            continue
        learnable = layer.learnables[each.name]
        setattr(module, each.local, nn.Parameter(tensor, requires_grad=not learnable.frozen))
        path = f"{layer.name}/{each.name}"
        known[each.local] = factors.Factors(path, learnable.learn_rate_factor, learnable.l2_factor, learnable.assumed)
    _zero_the_rest(module, layer)
    setattr(module, factors.ATTRIBUTE, known)


def as_tensor(array: Array) -> Tensor:
    """Read an array into a single-precision tensor of its own: copied at most once between the file and the tensor.

    MATLAB computes in single precision, so what a file holds in double (a mean, say) is rounded to single here too.
    """
    value = array.read()
    owned = value.flags.writeable and value.flags.c_contiguous and value.dtype == np.float32
    return torch.from_numpy(value if owned else np.array(value, np.float32, order="C"))


def _zero_the_rest(module: nn.Module, layer: Layer) -> None:
    """Give parameters MATLAB does not have (torch's second LSTM bias) and empty states zeros, frozen."""
    for local, parameter in list(module.named_parameters()):
        if parameter.is_meta:
            if local.startswith(("weight", "input_", "query")) or not local.startswith("bias"):
                raise UnsupportedError(f"layer '{layer.name}' ({layer.kind}) has no {local}")
            setattr(module, local, nn.Parameter(torch.zeros(parameter.shape), requires_grad=False))
    for local, buffer in list(module.named_buffers()):
        if buffer is not None and buffer.is_meta:
            module._buffers[local] = torch.zeros(buffer.shape, dtype=buffer.dtype)


# Names and the graph


def module_names(layers: Any) -> dict[str, str]:
    """Return the submodule name of each layer name: the same, wherever torch can take it.

    Dots, quotes, backslashes and control characters become "_" (torch.fx writes names into code); names that a
    module already has, and Python's keywords, get a trailing "_".
    """
    taken: set[str] = set()
    names = {}
    for layer in layers:
        name = "".join("_" if c in '."\\' or not c.isprintable() else c for c in layer) or "_"
        while name in taken or hasattr(fx.GraphModule, name) or name in RESERVED or keyword.iskeyword(name):
            name += "_"
        taken.add(name)
        names[layer] = name
    return names


RESERVED = ("graph", "training", "meta")


def _graph(network: Network, made: Mapping[str, nn.Module], names: Mapping[str, str]) -> fx.Graph:
    graph = fx.Graph()
    values: dict[tuple[str, str], Any] = {}
    entries = {name: graph.placeholder(re.sub(r"\W", "_", f"x_{name}" if len(network.inputs) > 1 else "x", flags=re.ASCII)) for name in network.inputs}
    for layer in network.order:
        if layer.name not in made:
            continue
        arguments = tuple(values[c.source, c.source_port] for c in network.incoming[layer.name])
        if layer.name in entries:
            arguments = (entries[layer.name], *arguments)
        node = graph.call_module(names[layer.name], arguments)
        if len(layer.outputs) == 1:
            values[layer.name, layer.outputs[0]] = node
            continue
        read = {c.source_port for c in network.connections if c.source == layer.name}
        read |= {output.rpartition("/")[2] for output in network.outputs if output.startswith(layer.name)} | {layer.outputs[0]}
        for index, port in enumerate(layer.outputs):
            if port in read:
                values[layer.name, port] = graph.call_function(operator.getitem, (node, index))
    outputs = tuple(_output_value(graph, network, output, values) for output in network.outputs)
    graph.output(outputs[0] if len(outputs) == 1 else outputs)
    return graph


def _output_value(graph: fx.Graph, network: Network, output: str, values: Mapping[tuple[str, str], Any]) -> Any:
    """Return the node of a network output; images of 1 x 1 pixels come out as N,C, as MATLAB's predict gives them."""
    name, port = (output, network.layers[output].outputs[0]) if network.layers.has(output) else output.rpartition("/")[::2]
    if (name, port) not in values:
        raise UnreadableError(f"the network's output '{output}' does not exist", "no layer has that name or port")
    size = network.sizes[name][network.layers[name].outputs.index(port)]
    value = values[name, port]
    return graph.call_function(torch.flatten, (value, 1)) if size.spatial and set(size.spatial) == {1} and not size.over_time else value


def _relu_in_place(network: Network, made: Mapping[str, nn.Module]) -> None:
    """Let a ReLU work in place where its producer makes fresh memory that nothing else reads."""
    readers: dict[str, int] = {}
    for connection in network.connections:
        readers[connection.source] = readers.get(connection.source, 0) + 1
    for name, module in made.items():
        if type(module) is nn.ReLU:
            source = network.incoming[name][0].source
            alone = readers[source] == 1 and source not in network.outputs
            module.inplace = alone and isinstance(made[source], FRESH)


# Builders


def module(layer: Layer, given: Given) -> nn.Module:
    """Make the row's module with the properties the row maps onto arguments."""
    made = getattr(shape, layer.row.torch or "", None) or getattr(nn, layer.row.torch or "")
    arguments = {row.torch: layer.properties[name] for name, row in layer.row.properties.items() if row.torch and name in layer.properties}
    built: nn.Module = made(**arguments)
    return built


def unknown(layer: Layer, given: Given) -> nn.Module:
    raise UnsupportedError(
        f"layer '{layer.name}' is a {layer.row.matlab[0]}", "no table knows this class", "pass a torch module for it with --modules mine.py"
    )


def input_normalization(layer: Layer, given: Given) -> nn.Module:
    kind = layer.properties.get("Normalization", "none")
    if kind not in normalization.STATISTICS:
        raise UnsupportedError(f"layer '{layer.name}' normalises by '{kind}'", "that is a function of the user or unknown")
    missing = [name for name in normalization.STATISTICS[kind] if name not in layer.state]
    if missing:
        raise UnsupportedError(f"layer '{layer.name}' normalises by '{kind}' and holds no {', '.join(missing)}", "the network was not trained yet")
    made = normalization.InputNormalization(kind)
    for name in normalization.STATISTICS[kind]:
        made.register_buffer(layer.row.state[name].torch, torch.empty(0))
    return made


def _padding(layer: Layer, value: float = 0.0) -> windows.Padding:
    count, properties = window_dimensions(layer), layer.properties
    kernel = numbers(properties["FilterSize"] if "FilterSize" in properties else properties["PoolSize"], count)
    stride, dilation = numbers(properties.get("Stride", 1), count), numbers(properties.get("DilationFactor", 1), count)
    if properties.get("PaddingMode") != "same":
        return windows.Padding(padding_pairs(properties.get("PaddingSize", 0), count), kernel, stride, dilation, value)
    odd = all((k - 1) * d % 2 == 0 for k, d in zip(kernel, dilation, strict=True))
    if odd and set(stride) == {1}:  # then 'same' does not depend on the input's size
        return windows.Padding(tuple(((k - 1) * d // 2,) * 2 for k, d in zip(kernel, dilation, strict=True)), kernel, stride, dilation, value)
    return windows.Padding(None, kernel, stride, dilation, value)


def convolution(layer: Layer, given: Given) -> nn.Module:
    count, padding = window_dimensions(layer), _padding(layer)
    groups = int(layer.properties.get("NumGroups") or 1)
    weights = layer.learnables["Weights"].shape
    inputs = weights[count] * groups if len(weights) > count else int(layer.properties["NumChannels"])
    outputs = int(layer.properties["NumFilters"]) * groups
    bias = "Bias" in layer.learnables
    over_time = given[0].format == "CBT"
    value = layer.properties.get("PaddingValue", 0)
    symmetric = padding.pairs is not None and all(a == b for a, b in padding.pairs)
    if symmetric and not over_time and value == 0:
        plain: type[nn.Module] = getattr(nn, f"Conv{count}d")
        pads = tuple(a for a, _ in padding.pairs or ())
        return plain(inputs, outputs, padding.kernel, padding.stride, pads, padding.dilation, groups, bias)
    made = getattr(windows, f"PaddedConv{count}d")(inputs, outputs, padding.kernel, padding.stride, 0, padding.dilation, groups, bias)
    if value != 0:
        raise UnsupportedError(f"layer '{layer.name}' pads with {value}", "only zero padding has been seen")
    made.padding_rule, made.channels_last = padding, over_time
    return made  # type: ignore[no-any-return]


def transposed_convolution(layer: Layer, given: Given) -> nn.Module:
    count = window_dimensions(layer)
    kernel, stride = numbers(layer.properties["FilterSize"], count), numbers(layer.properties.get("Stride", 1), count)
    inputs, outputs = given[0].channels or layer.learnables["Weights"].shape[count + 1], int(layer.properties["NumFilters"])
    same = layer.properties.get("CroppingMode") == "same"
    crops = None if same else padding_pairs(layer.properties.get("CroppingSize", 0), count)
    bias = "Bias" in layer.learnables
    if crops is not None and all(a == b for a, b in crops):
        plain: type[nn.Module] = getattr(nn, f"ConvTranspose{count}d")
        return plain(inputs, outputs, kernel, stride, tuple(a for a, _ in crops), bias=bias)
    made = getattr(windows, f"CroppedConvTranspose{count}d")(inputs, outputs, kernel, stride, bias=bias)
    made.crops = crops
    return made  # type: ignore[no-any-return]


def fully_connected(layer: Layer, given: Given) -> nn.Module:
    outputs, inputs = layer.learnables["Weights"].shape
    bias = "Bias" in layer.learnables
    if not given[0].spatial:
        return nn.Linear(inputs, outputs, bias)
    made = shape.FullyConnected(inputs, outputs, bias)
    made.first = 2 if given[0].over_time else 1
    return made


def batch_normalization(layer: Layer, given: Given) -> nn.Module:
    channels = layer.learnables["Scale"].array.size
    kind = normalization.BatchNormOverTime if given[0].format == "CBT" else (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[len(given[0].spatial)]
    made: nn.Module = kind(channels, eps=layer.properties["Epsilon"], momentum=layer.properties["MeanDecay"])
    return made


def group_normalization(layer: Layer, given: Given) -> nn.Module:
    channels = layer.learnables["Scale"].array.size
    groups = layer.properties.get("NumGroups", "channel-wise")
    count = {"channel-wise": channels, "all-channels": 1}.get(groups, groups) if isinstance(groups, str) else groups
    kind = normalization.GroupNormOverTime if given[0].format == "CBT" else nn.GroupNorm
    return kind(int(count), channels, eps=layer.properties["Epsilon"])


def layer_normalization(layer: Layer, given: Given) -> nn.Module:
    """Dimensions by OperationDimension; 'auto' (R2023a on) is the channels of a sequence, space and channels of an image."""
    at, chosen = given[0], layer.properties["OperationDimension"]
    spatial, channel_axis = len(at.spatial), -1 if at.format == "CBT" else -1 - len(at.spatial)
    space = tuple(range(-spatial, 0)) if spatial else ()
    axes = {
        "auto": (channel_axis, *space),
        "channel-only": (channel_axis,),
        "spatial-channel": (channel_axis, *space),
        "batch-excluded": (channel_axis, *space, *((1,) if at.over_time else ())),
    }
    if chosen not in axes or (spatial and at.over_time):
        raise UnsupportedError(f"layer '{layer.name}' normalises over '{chosen}' of format {at.format}", "it is not known how")
    return normalization.LayerNormalization(layer.learnables["Scale"].array.size, channel_axis, axes[chosen], layer.properties["Epsilon"])


def cross_channel_normalization(layer: Layer, given: Given) -> nn.Module:
    p = layer.properties
    return normalization.CrossChannelNormalization(int(p["WindowChannelSize"]), p["Alpha"], p["Beta"], p["K"])


def relu(layer: Layer, given: Given) -> nn.Module:
    return nn.ReLU()


def softmax(layer: Layer, given: Given) -> nn.Module:
    return nn.Softmax(-1 if given[0].format == "CBT" else 1)


def prelu(layer: Layer, given: Given) -> nn.Module:
    return (shape.PReLUOverTime if given[0].format == "CBT" else nn.PReLU)(layer.learnables["Alpha"].array.size)


def max_pooling(layer: Layer, given: Given) -> nn.Module:
    count, padding = window_dimensions(layer), _padding(layer, float("-inf"))
    over_time = given[0].format == "CBT"
    symmetric = padding.pairs is not None and all(a == b <= k // 2 for (a, b), k in zip(padding.pairs, padding.kernel, strict=True))
    pads = tuple(a for a, _ in padding.pairs or ())
    if len(layer.outputs) > 1:
        if not symmetric:
            raise UnsupportedError(f"layer '{layer.name}' pads asymmetrically and puts out indices", "indices of padded images have not been seen")
        return windows.PoolingWithIndices(tuple(padding.kernel), tuple(padding.stride), pads)
    if symmetric and not over_time:
        plain: type[nn.Module] = getattr(nn, f"MaxPool{count}d")
        return plain(padding.kernel, padding.stride, pads)
    return windows.Pooling("max", padding, padding.kernel, padding.stride, True, over_time)


def average_pooling(layer: Layer, given: Given) -> nn.Module:
    count, padding = window_dimensions(layer), _padding(layer)
    over_time, counted = given[0].format == "CBT", layer.properties.get("PaddingValue", 0) == 0
    symmetric = padding.pairs is not None and all(a == b <= k // 2 for (a, b), k in zip(padding.pairs, padding.kernel, strict=True))
    if symmetric and not over_time:
        plain: type[nn.Module] = getattr(nn, f"AvgPool{count}d")
        return plain(padding.kernel, padding.stride, tuple(a for a, _ in padding.pairs or ()), count_include_pad=counted)
    return windows.Pooling("avg", padding, padding.kernel, padding.stride, counted, over_time)


def global_pooling(layer: Layer, given: Given) -> nn.Module:
    if given[0].format == "CBT":
        return windows.GlobalPooling("average" if "Average" in layer.kind else "max")
    plain: type[nn.Module] = getattr(nn, layer.row.torch or "")
    return plain(1)


def max_unpooling(layer: Layer, given: Given) -> nn.Module:
    return windows.MaxUnpooling()


def concatenation(layer: Layer, given: Given) -> nn.Module:
    """Dim counts MATLAB's order (S.., C); the channels where the layer has none."""
    at = given[0]
    spatial, dim = len(at.spatial), int(layer.properties.get("Dim") or len(at.size))
    if dim == spatial + 1:
        return shape.Concatenation(-1 if at.format == "CBT" else 1 + at.over_time)
    return shape.Concatenation(1 + at.over_time + dim)


def spatial_dropout(layer: Layer, given: Given) -> nn.Module:
    names = {0: "Dropout1d", 1: "Dropout1d", 2: "Dropout2d", 3: "Dropout3d"}
    plain: type[nn.Module] = getattr(nn, names[len(given[0].spatial)])
    return plain(layer.properties["Probability"])


def flatten(layer: Layer, given: Given) -> nn.Module:
    return shape.Flatten(len(given[0].spatial), given[0].over_time)


def blocks(layer: Layer, given: Given) -> nn.Module:
    rows, columns = numbers(layer.properties["BlockSize"], 2)
    if layer.row.torch == "SpaceToDepth":
        return shape.SpaceToDepth((rows, columns))
    return shape.DepthToSpace((rows, columns), str(layer.properties["Mode"]).lower())


def resize(layer: Layer, given: Given) -> nn.Module:
    count, p = len(given[0].spatial), layer.properties
    if p["GeometricTransformMode"] != "half-pixel":
        raise UnsupportedError(f"layer '{layer.name}' resizes in mode '{p['GeometricTransformMode']}'", "only 'half-pixel' is known")
    scale = p.get("Scale")
    scales = None if scale is None else tuple(float(s) for s in (scale if isinstance(scale, tuple) else (scale,) * count))
    size = numbers(p["OutputSize"], count) if p.get("OutputSize") else None
    return shape.Resize(size, scales, str(p["Method"]), count)


def crop(layer: Layer, given: Given) -> nn.Module:
    """Location is [x y], counted from 1."""
    location = layer.properties.get("Location")
    if layer.properties.get("Mode") == "custom" and isinstance(location, tuple):
        return shape.Crop((int(location[1]) - 1, int(location[0]) - 1))
    return shape.Crop(None)


def word_embedding(layer: Layer, given: Given) -> nn.Module:
    dimension, words = layer.learnables["Weights"].shape
    return shape.WordEmbedding(words, dimension)


def position_embedding(layer: Layer, given: Given) -> nn.Module:
    dimension, positions = layer.learnables["Weights"].shape
    return shape.PositionEmbedding(positions, dimension)


def self_attention(layer: Layer, given: Given) -> nn.Module:
    p = layer.properties
    shapes: dict[str, tuple[int, ...]] = {}
    for name, learnable in layer.learnables.items():
        local = layer.row.learnables[name].torch[0]
        shapes[local] = learnable.shape if local.endswith("weight") else (learnable.array.size,)
    return shape.SelfAttention(int(p["NumHeads"]), p["AttentionMask"] == "causal", float(p["DropoutProbability"]), **shapes)


def _recurrent_sizes(layer: Layer) -> tuple[int, int]:
    return layer.learnables["InputWeights"].shape[1], int(layer.properties["NumHiddenUnits"])


def _with_state(made: recurrent.Recurrent, layer: Layer, names: Sequence[str], directions: int = 1) -> nn.Module:
    for name in names:
        made.register_buffer(name, torch.empty(int(layer.properties["NumHiddenUnits"]) * directions))
    made.last_only, made.directions = layer.properties["OutputMode"] == "last", directions
    return made


def _activations(layer: Layer) -> tuple[str, str]:
    pair = layer.properties["StateActivationFunction"], layer.properties["GateActivationFunction"]
    unknown_names = [name for name in pair if name not in recurrent.ACTIVATIONS]
    if unknown_names:
        raise UnsupportedError(f"layer '{layer.name}' uses the activation '{unknown_names[0]}'", "recurrent layers know " + ", ".join(recurrent.ACTIVATIONS))
    return pair


def lstm(layer: Layer, given: Given) -> nn.Module:
    sizes = _recurrent_sizes(layer)
    state, gate = _activations(layer)
    if (state, gate) == ("tanh", "sigmoid"):
        return _with_state(recurrent.LSTM(*sizes, batch_first=True), layer, ("hidden_state", "cell_state"))
    return _with_state(recurrent.LSTMCellLoop(sizes, False, state, gate), layer, ("hidden_state", "cell_state"))


def bilstm(layer: Layer, given: Given) -> nn.Module:
    if _activations(layer) != ("tanh", "sigmoid"):
        raise UnsupportedError(f"layer '{layer.name}' is a BiLSTM with other activations than tanh and sigmoid", "torch has no kernel for it")
    made = recurrent.LSTM(*_recurrent_sizes(layer), batch_first=True, bidirectional=True)
    return _with_state(made, layer, ("hidden_state", "cell_state"), 2)


def gru(layer: Layer, given: Given) -> nn.Module:
    sizes, mode = _recurrent_sizes(layer), layer.properties["ResetGateMode"]
    state, gate = _activations(layer)
    if mode not in ("after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication"):
        raise UnsupportedError(f"layer '{layer.name}' has the reset-gate mode '{mode}'", "it is not known")
    if mode != "before-multiplication" and (state, gate) == ("tanh", "sigmoid"):
        return _with_state(recurrent.GRU(*sizes, batch_first=True), layer, ("hidden_state",))
    return _with_state(recurrent.GRUCellLoop(sizes, False, state, gate, mode), layer, ("hidden_state",))


def projected_lstm(layer: Layer, given: Given) -> nn.Module:
    if _activations(layer) != ("tanh", "sigmoid"):
        raise UnsupportedError(f"layer '{layer.name}' is a projected LSTM with other activations than tanh and sigmoid", "torch has no kernel for it")
    shapes = {row.torch[0]: layer.learnables[name].shape for name, row in layer.row.learnables.items()}
    shapes["bias"] = (layer.learnables["Bias"].array.size,)
    return _with_state(recurrent.ProjectedLSTM(False, **shapes), layer, ("hidden_state", "cell_state"))


BUILDERS: Mapping[str, Builder] = {
    builder.__name__: builder
    for builder in (
        average_pooling, batch_normalization, bilstm, blocks, concatenation, convolution, crop, cross_channel_normalization, flatten,
        fully_connected, global_pooling, group_normalization, gru, input_normalization, layer_normalization, lstm, max_pooling,
        max_unpooling, module, position_embedding, prelu, projected_lstm, relu, resize, self_attention, softmax, spatial_dropout,
        transposed_convolution, unknown, word_embedding,
    )
}  # fmt: skip


def modules_from(path: Path) -> Mapping[str, Callable[[Layer], nn.Module]]:
    """Run a Python file the user named and return its MODULES: MATLAB class -> what makes the module of a layer.

    Raises:
        UsageError: the file cannot be run, or has no such mapping.
    """
    try:
        found = runpy.run_path(str(path)).get("MODULES")
    except Exception as error:  # whatever the user's own file raises
        raise UsageError(f"cannot run {path}", f"{type(error).__name__}: {error}", "it is a Python file of yours") from error
    if not isinstance(found, Mapping) or not all(callable(each) for each in found.values()):
        raise UsageError(f"{path} defines no MODULES", "that is a dict of MATLAB class names and callables", "MODULES = {'my.Layer': MyLayer}")
    return found
