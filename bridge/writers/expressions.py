"""What a layer is in source code: an expression that makes its module, and one that calls it.

Modules of torch are written as they are. Of bridge's own, those that add padding, cropping or a turn of axes become
torch's module and the expression around it; the others are pasted, with `bridge.writers.paste`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from bridge.files import python
from bridge.modules import activation, attention, normalization, recurrent, shape, windows
from bridge.network.activations import Activation
from bridge.network.windows import same_padding
from bridge.writers.state import Part


@dataclass(frozen=True)
class Code:
    """The code of a layer.

    Attributes:
        call: an expression of "{0}", "{1}", ... (its inputs), "{self}" (its attribute) and the names of its buffers.
        last: of several outputs, the expression of the last one; `call` gives the others.
        make: what makes the module, "" where the call needs none; of a user's own module, words.
        buffers: locals of the module that become attributes of the network.
        setup: what is done with the module then: "register_buffer(...)".
        pasted: a class of bridge's that the expression needs.
        dropped: entries of the module's state dict that the code does not have.
    """

    call: str
    make: str = ""
    last: str = ""
    buffers: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    pasted: type | None = None
    dropped: tuple[str, ...] = ("num_batches_tracked",)


def code_of(part: Part, given: Sequence[Activation], out: Activation) -> Code:
    """Return the code of a layer whose module is known; `given` and `out` are the activations it sees and makes."""
    module = part.module
    inputs = ", ".join(f"{{{index}}}" for index in range(len(part.layer.inputs)))
    if part.own:
        return Code(f"{{self}}({inputs})", "an argument")
    for kind, write in WRITERS.items():
        if isinstance(module, kind):
            return write(module, part, given, out)
    if type(module).__module__.startswith("torch."):
        return Code("{self}({0})", construct(module, f"nn.{type(module).__name__}"))
    return Code(
        f"{{self}}({inputs})", construct(module, type(module).__name__), setup=setup_of(part), pasted=type(module)
    )


def construct(module: Any, name: str, base: type | None = None, **instead: Any) -> str:
    """Return the call that makes a module, without the arguments that are the constructor's defaults.

    Args:
        module: whose attributes have the names of the arguments, as torch's modules do.
        name: what to call.
        base: the class whose constructor it is, where the module's own is another.
        instead: arguments that the attributes do not tell.
    """
    positional, named = [], []
    kind = base or type(module)
    for key, parameter in inspect.signature(kind).parameters.items():
        if key in ("device", "dtype") or parameter.kind == parameter.VAR_POSITIONAL:
            continue
        if parameter.kind == parameter.VAR_KEYWORD:
            named += [f"{each}={python.literal(value)}" for each, value in instead.items()]
            continue
        value = instead.pop(key) if key in instead else attribute(module, key, parameter.default)
        value = short(value) if kind.__module__.startswith("torch.") else value
        if parameter.default is parameter.empty and not named:
            positional.append(python.literal(value))
        elif value != parameter.default:
            named.append(f"{key}={python.literal(value)}")
    return f"{name}({', '.join((*positional, *named))})"


def attribute(module: Any, key: str, default: Any) -> Any:
    value = getattr(module, key, default)
    return value is not None if key == "bias" and (value is None or isinstance(value, nn.Parameter)) else value


def short(value: Any) -> Any:
    """Return one number for a tuple of the same ones, as torch takes them."""
    value = tuple(value) if isinstance(value, (list, tuple)) else value
    return value[0] if isinstance(value, tuple) and len(set(value)) == 1 and isinstance(value[0], int) else value


def setup_of(part: Part) -> tuple[str, ...]:
    """Return what gives a module the buffers that its constructor does not make."""
    buffers = {name: array.shape for name, array in part.arrays.items() if name in dict(part.module.named_buffers())}
    return tuple(
        f"register_buffer({python.literal(name)}, {python.call('torch.zeros', shape)})"
        for name, shape in buffers.items()
    )


# What pads, crops or turns axes around a module of torch's


def padded(rule: windows.Padding | None, at: Activation) -> tuple[str, type | None]:
    """Return the expression of a padded input, and the class it needs: "same" of a known size is worked out, of time it
    is not.
    """
    if rule is None:
        return "{0}", None
    w, pairs = rule.window, rule.window.padding
    if pairs is None and not at.over_time and None not in at.spatial:
        lengths = zip(at.spatial, w.kernel, w.stride, w.dilation, strict=True)
        pairs = tuple(same_padding(n or 0, *each) for n, *each in lengths)
    value = python.literal(rule.value) if rule.value else ""
    if pairs is None:
        window = python.call("Window", w.kernel, w.stride, w.dilation, None)
        return f"Padding({window}{f', {value}' if value else ''})({{0}})", windows.Padding
    flat = tuple(n for pair in reversed(pairs) for n in pair)
    filled = f", value={value}" if value else ""
    return (f"F.pad({{0}}, {python.literal(flat)}{filled})" if any(flat) else "{0}"), None


def around(call: str, over_time: bool) -> str:
    """Let a call slide over time as the last dimension."""
    return f"{in_brackets(call).replace('{0}', '{0}.movedim(1, -1)')}.movedim(-1, 1)" if over_time else call


def in_brackets(call: str) -> str:
    """Return an expression behind which a method may be called."""
    return f"({call})" if " / " in call else call


def padded_convolution(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    base = next(each for each in (nn.Conv1d, nn.Conv2d, nn.Conv3d) if isinstance(module, each))
    source, pasted = padded(module.padding_rule, given[0])
    return Code(
        around(f"{{self}}({source})", module.over_time), construct(module, f"nn.{base.__name__}", base), pasted=pasted
    )


def cropped_convolution(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    base = next(
        each for each in (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d) if isinstance(module, each)
    )
    pairs = module.crops or tuple(
        ((k - s) // 2, k - s - (k - s) // 2) for k, s in zip(module.kernel_size, module.stride, strict=True)
    )
    cuts = slices((before or None, -after or None) for before, after in pairs)
    call = around(f"{{self}}({{0}})[:, :, {cuts}]", module.over_time)
    return Code(call, construct(module, f"nn.{base.__name__}", base))


def pooling(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    kind = "Max" if module.kind == "max" else "Avg"
    source, pasted = padded(module.padding, given[0])
    call = f"{{self}}({source})"
    if not module.count_padding:
        call = f"{call} / {call.replace('{0}', 'torch.ones_like({0}[:1, :1])')}"
    make = python.call(f"nn.{kind}Pool{len(module.kernel)}d", short(module.kernel), short(module.stride))
    return Code(around(call, module.over_time), make, pasted=pasted)


def pooling_with_indices(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code("{self}({0})", construct(module, "nn.MaxPool2d", nn.MaxPool2d, return_indices=True), last="{0}.shape")


def fully_connected(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code(f"{{self}}({python.call('{0}.flatten', module.first)})", construct(module, "nn.Linear", nn.Linear))


def channels_last(name: str, base: type) -> Callable[..., Code]:
    def write(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
        return Code("{self}({0}.movedim(1, -1)).movedim(-1, 1)", construct(module, name, base))

    return write


def prelu_over_time(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code("{self}({0}.transpose(1, 2)).transpose(1, 2)", construct(module, "nn.PReLU", nn.PReLU))


# What needs no module


def between(operator: str) -> Callable[..., Code]:
    def write(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
        return Code(operator.join(f"{{{index}}}" for index in range(len(given))))

    return write


def concatenation(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    joined = ", ".join(f"{{{index}}}" for index in range(len(given)))
    return Code(f"torch.cat([{joined}], {python.literal(module.dim)})")


def flatten(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    turned = "{0}" if list(module.order) == sorted(module.order) else python.call("{0}.permute", *module.order)
    return Code(python.call(f"{turned}.flatten", module.first))


def global_pooling(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code("{0}.mean(1)" if module.kind == "average" else "{0}.amax(1)")


def crop(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    corner = module.corner or tuple(
        ((a or 0) - (b or 0)) // 2 for a, b in zip(given[0].spatial, out.spatial, strict=True)
    )
    cuts = slices((start, start + (n or 0)) for start, n in zip(corner, out.spatial, strict=True))
    return Code(f"{{0}}[:, :, {cuts}]")


def slices(ends: Iterable[tuple[int | None, int | None]]) -> str:
    """Return what stands between brackets to cut from each dimension."""
    return ", ".join(":".join("" if each is None else python.literal(each) for each in pair) for pair in ends)


def folding(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code("{0}.flatten(0, 1)", last="{0}.shape[0]")


def unfolding(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code("{0}.unflatten(0, ({1}, -1))")


FORMULAS = {  # of bridge.modules.normalization
    "none": "{0}",
    "zerocenter": "{0} - {mean}",
    "zscore": "({0} - {mean}) / {std}",
    "rescale-zero-one": "({0} - {min}) / ({max} - {min})",
    "rescale-symmetric": "2 * ({0} - {min}) / ({max} - {min}) - 1",
}


def input_normalization(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code(FORMULAS[module.kind], buffers=tuple(name for name, _ in module.named_buffers()))


# Embeddings, attention, recurrent layers


def word_embedding(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    setup = () if module.map_to_last else ("map_to_last = False",)
    return Code(
        "{self}({0})", construct(module, "WordEmbedding", nn.Embedding), setup=setup, pasted=attention.WordEmbedding
    )


def position_embedding(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    make = construct(module, "nn.Embedding", nn.Embedding)
    return Code("{self}.weight[: {0}.shape[1]].expand({0}.shape[0], -1, -1)", make)


def layer_normalization(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    make = construct(module, "LayerNormalization", channels=module.weight.numel())
    return Code("{self}({0})", make, pasted=normalization.LayerNormalization)


def spatial_dropout(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code(
        "{self}({0})", construct(module, "SpatialDropout", over_time=module.channel == 2), pasted=shape.SpatialDropout
    )


def self_attention(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    return Code("{self}({0})", construct(module, "SelfAttention", **shapes_of(module)), pasted=attention.SelfAttention)


def shapes_of(module: nn.Module) -> dict[str, Any]:
    return {name: tuple(parameter.shape) for name, parameter in module.named_parameters()}


def recurrent_layer(module: Any, part: Part, given: Sequence[Activation], out: Activation) -> Code:
    """torch's own LSTM or GRU where it begins at zero and ends at one step, else the class that begins with the layer's
    own state.
    """
    states = tuple(name for name, _ in module.named_buffers())
    kind = next((each for each in (nn.LSTM, nn.GRU) if isinstance(module, each)), None)
    sizes = (module.input_size, module.hidden_size) if kind else ()
    options = {"batch_first": True, **({"bidirectional": True} if module.directions == 2 else {})}
    if kind is not None and not any(part.arrays[name].read().any() for name in states):
        last = (
            "[1][0].transpose(0, 1).flatten(1)" if module.directions == 2 else "[0][:, -1]"
        )  # the backward direction ends at the first step
        make = python.call(f"nn.{kind.__name__}", *sizes, **options)
        return Code("{self}({0})" + (last if module.last_only else "[0]"), make, dropped=states)
    name, inputs = type(module).__name__, part.layer.learnables["InputWeights"].shape[1]
    shapes = (
        {"sizes": (inputs, int(part.layer.properties["NumHiddenUnits"]))}
        if hasattr(module, "state_activation")
        else shapes_of(module)
    )
    made = python.call(name, *sizes, **options) if kind else construct(module, name, **shapes)
    more = (
        f"last_only = {python.literal(module.last_only)}",
        *(["directions = 2"] if module.directions == 2 else []),
    )
    return Code("{self}({0})", made, setup=(*setup_of(part), *more), pasted=type(module))


WRITERS: Mapping[type, Callable[[Any, Part, Sequence[Activation], Activation], Code]] = {
    windows._PaddedConvolution: padded_convolution,
    windows._CroppedConvolution: cropped_convolution,
    windows.Pooling: pooling,
    windows.PoolingWithIndices: pooling_with_indices,
    windows.GlobalPooling: global_pooling,
    shape.FullyConnected: fully_connected,
    shape.Addition: between(" + "),
    shape.Multiplication: between(" * "),
    shape.Concatenation: concatenation,
    shape.Flatten: flatten,
    shape.Crop: crop,
    shape.SequenceFolding: folding,
    shape.SequenceUnfolding: unfolding,
    shape.SpatialDropout: spatial_dropout,
    activation.PReLUOverTime: prelu_over_time,
    normalization.BatchNormOverTime: channels_last("nn.BatchNorm1d", nn.BatchNorm1d),
    normalization.GroupNormOverTime: channels_last("nn.GroupNorm", nn.GroupNorm),
    normalization.InputNormalization: input_normalization,
    normalization.LayerNormalization: layer_normalization,
    attention.WordEmbedding: word_embedding,
    attention.PositionEmbedding: position_embedding,
    attention.SelfAttention: self_attention,
    recurrent.Recurrent: recurrent_layer,
}
