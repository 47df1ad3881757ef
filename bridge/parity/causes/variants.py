"""Known ways in which one layer may compute something else: each the module that would.

A variant stands in for a layer's module. Where a check differs, `bridge.parity.causes.diagnosis` asks for the variants
of the layer in question and tries them; what is listed here is what it can name.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bridge.modules.normalization import (
    BatchNormOverTime,
    CrossChannelNormalization,
    InputNormalization,
    LayerNormalization,
)
from bridge.modules.recurrent import GRU, GRUCellLoop, LSTMCellLoop, ProjectedLSTM
from bridge.modules.shape import Addition, Concatenation, FullyConnected, Resize
from bridge.modules.windows import PoolingWithIndices
from bridge.parity.causes.changes import Computed, Variant, Wrapped, changed
from bridge.parity.causes.windows import (
    WINDOWS,
    average_variants,
    convolution_variants,
    other_pooling,
    padded_otherwise,
    transposed_variants,
    turned_weights,
)

EPSILONS = (1e-5, 1e-3, 1e-4, 1e-6, 1e-2)
PIXELS = 255.0


def variants(module: nn.Module, x: Tensor, is_output: bool = False) -> Iterator[Variant]:
    """Yield every known variant of a layer's module.

    Args:
        module: the layer's own module; it is not changed.
        x: its first input.
        is_output: whether the network returns the layer's value, which may lack a softmax.
    """
    for kind, make in FAMILIES:
        if isinstance(module, kind):
            yield from make(module)
    if isinstance(module, WINDOWS):
        yield from padded_otherwise(module, x)
    if isinstance(module, FullyConnected):
        yield from _flattening(module, x)
    if is_output and not isinstance(module, (nn.Softmax, nn.Identity)):
        yield Variant("softmax", "a softmax follows {layer}", Wrapped(module, after=lambda y: y.softmax(_channels(y))))
    if not isinstance(module, (nn.Identity, PoolingWithIndices)):
        yield Variant("left out", "{layer} is left out", nn.Identity(), general=True)
    yield Variant(
        "transposed",
        "height and width of what {layer} puts out are swapped",
        Wrapped(module, after=_transposed),
        general=True,
    )


def _channels(y: Tensor) -> int:
    return 2 if y.dim() == 3 else 1


def _transposed(y: Tensor) -> Tensor:
    if y.dim() != 4 or y.shape[2] != y.shape[3]:
        raise ValueError("no square images")
    return y.transpose(2, 3)


# Input layers


def _input(module: InputNormalization) -> Iterator[Variant]:
    if module.kind == "none":
        return
    yield Variant("normalization missing", "the input is not normalised by {layer}", nn.Identity())
    yield Variant(
        "normalization twice", "the input is normalised twice by {layer}", Wrapped(module, before=module.forward)
    )
    held = {name: value for name, value in module._buffers.items() if value is not None}
    if any(value.dim() == 3 and value.shape[-1] * value.shape[-2] > 1 for value in held.values()):
        averaged = {name: value.mean((-2, -1), keepdim=True) for name, value in held.items() if value.dim() == 3}
        yield Variant("mean per channel", "{layer} normalises by channel, not by pixel", changed(module, **averaged))
    for text, factor in (("divided by 255", 1 / PIXELS), ("multiplied by 255", PIXELS)):
        scaled = {name: value * factor for name, value in held.items()}
        yield Variant("units of the mean", f"the statistics of {{layer}} are {text}", changed(module, **scaled))
        yield Variant("input scale", f"what {{layer}} puts out is {text}", Wrapped(module, after=_times(factor)))
    if any(value.dim() and value.shape[0] > 1 for value in held.values()):
        flipped = {name: value.flip(0) for name, value in held.items() if value.dim()}
        yield Variant(
            "channel order", "the statistics of {layer} have their channels in reverse", changed(module, **flipped)
        )
    if module.kind == "zscore":
        yield Variant(
            "standard deviation",
            "{layer} does not divide by the standard deviation",
            changed(module, kind="zerocenter"),
        )
    if module.kind.startswith("rescale"):
        other = "rescale-symmetric" if module.kind == "rescale-zero-one" else "rescale-zero-one"
        yield Variant("normalization", f"{{layer}} normalises by '{other}'", changed(module, kind=other))


def _times(factor: float) -> Callable[[Tensor], Tensor]:
    return lambda y: y * factor


# Normalisation


def _batch_norm(module: nn.modules.batchnorm._BatchNorm) -> Iterator[Variant]:
    yield from _epsilons(module)
    channel = -1 if isinstance(module, BatchNormOverTime) else 1

    def by_batch(x: Tensor) -> Tensor:
        x = x.movedim(channel, 1)
        y = F.batch_norm(x, None, None, module.weight, module.bias, True, 0.0, module.eps)
        return y.movedim(1, channel)

    yield Variant(
        "training mode", "{layer} normalises by the batch's own statistics, as in training", Computed(by_batch)
    )


def _epsilons(module: Any) -> Iterator[Variant]:
    for epsilon in EPSILONS:
        if not math.isclose(epsilon, module.eps, rel_tol=1e-3):
            yield Variant("epsilon", f"the Epsilon of {{layer}} is {epsilon:.0e}", changed(module, eps=epsilon))


def _cross_channel(module: CrossChannelNormalization) -> Iterator[Variant]:
    def other(text: str, **values: float) -> Variant:
        return Variant("cross-channel window", text, changed(module, **values))

    for window in sorted({module.window + step for step in (-2, -1, 1, 2)} - {0, -1}):
        yield other(f"the WindowChannelSize of {{layer}} is {window}", window=window)
    if module.window % 2 == 0:
        mirrored = Wrapped(module, before=lambda x: x.flip(1), after=lambda y: y.flip(1))
        yield Variant("cross-channel window", "the even window of {layer} reaches further down than up", mirrored)
    yield other("the Alpha of {layer} is not divided by the window", alpha=module.alpha * module.window)
    yield other("the Alpha of {layer} is divided by the window twice", alpha=module.alpha / module.window)
    for k in (1.0, 2.0):
        if k != module.k:
            yield other(f"the K of {{layer}} is {k:g}", k=k)


# Windows


# Fully connected layers


def _linear(module: Any) -> Iterator[Variant]:
    weight = module.weight
    if weight.shape[0] == weight.shape[1] > 1:
        yield turned_weights(module, "input and output channels", weight.T)


def _flattening(module: FullyConnected, x: Tensor) -> Iterator[Variant]:
    """The columns of the weights counted in another order of channels, height and width than they were saved in."""
    sizes = x.shape[module.first :]
    if len(sizes) != 3:
        return
    columns, seen = torch.arange(math.prod(sizes)).view(sizes), set[tuple[int, ...]]()
    for taken, saved in permutations(permutations(range(3)), 2):
        back = [saved.index(axis) for axis in range(3)]
        order = columns.permute(taken).reshape([sizes[axis] for axis in saved]).permute(back).flatten()
        if tuple(order.tolist()) not in seen:
            seen.add(tuple(order.tolist()))
            words = [",".join("CHW"[axis] for axis in axes) for axes in (saved, taken)]
            text = f"{{layer}} flattens its input in the order {words[0]} and not {words[1]}"
            yield Variant(
                "flatten order",
                text,
                changed(module, weight=module.weight[:, order.to(module.weight.device)]),
                of_learnables=True,
            )


# Recurrent layers


def _recurrent(module: Any) -> Iterator[Variant]:
    gates = 3 if isinstance(module, (GRU, GRUCellLoop)) else 4
    letters = "rzc" if gates == 3 else "ifgo"
    hidden = module.hidden_state.numel() // module.directions
    stacked = {
        name: value.detach()
        for name, value in module._parameters.items()
        if value is not None and value.shape[0] == gates * hidden
    }
    for order in permutations(range(gates)):
        if list(order) != list(range(gates)):
            turned = {name: torch.cat([value.chunk(gates)[gate] for gate in order]) for name, value in stacked.items()}
            text = f"the gates of {{layer}} are in the order {','.join(letters[gate] for gate in order)}"
            yield Variant("gate order", text, rewired(module, turned), of_learnables=True)
    biases = {name: value for name, value in stacked.items() if name.startswith("bias")}
    for text, factor in (("counts twice", 2.0), ("counts half", 0.5)):
        scaled = {name: value * factor for name, value in biases.items()}
        yield Variant("doubled bias", f"the Bias of {{layer}} {text}", rewired(module, scaled), of_learnables=True)
    if module.directions == 2:
        swapped = {name: stacked[_other_direction(name)] for name in stacked if _other_direction(name) in stacked}
        yield Variant(
            "directions", "the directions of {layer} are swapped", rewired(module, swapped), of_learnables=True
        )
    words = "the whole sequence" if module.last_only else "the last step"
    yield Variant("output mode", f"{{layer}} puts out {words}", changed(module, last_only=not module.last_only))
    if isinstance(module, (GRU, GRUCellLoop)) and module.directions == 1:
        yield from _reset_gate(module, hidden)


def _other_direction(name: str) -> str:
    return name.removesuffix("_reverse") if name.endswith("_reverse") else f"{name}_reverse"


def rewired(module: nn.Module, parameters: dict[str, Tensor]) -> nn.Module:
    """Return a copy with other parameters. torch's recurrent layers keep a second list of them, so it is a
    deep copy.
    """
    made = copy.deepcopy(module)
    with torch.no_grad():
        for name, value in parameters.items():
            made.get_parameter(name).copy_(value)
    return made


def _reset_gate(module: Any, hidden: int) -> Iterator[Variant]:
    own = getattr(module, "mode", "after-multiplication")
    for mode in ("before-multiplication", "after-multiplication"):
        if mode == own:
            continue
        made: Any = GRUCellLoop((module.weight_ih_l0.shape[1], hidden), "tanh", "sigmoid", mode)
        made.register_buffer("hidden_state", module.hidden_state)
        made.last_only, made.directions = module.last_only, 1
        own_parameters = {name: module.get_parameter(name).detach() for name in made._parameters}
        yield Variant("reset gate", f"the ResetGateMode of {{layer}} is '{mode}'", rewired(made, own_parameters))


# Activations and the like

ACTIVATIONS: tuple[tuple[str, nn.Module], ...] = (
    ("a ReLU", nn.ReLU()),
    ("a leaky ReLU of scale 0.01", nn.LeakyReLU(0.01)),
    ("a leaky ReLU of scale 0.1", nn.LeakyReLU(0.1)),
    ("a leaky ReLU of scale 0.2", nn.LeakyReLU(0.2)),
    ("a ReLU clipped at 6", nn.Hardtanh(0, 6)),
    ("a tanh", nn.Tanh()),
    ("a sigmoid", nn.Sigmoid()),
    ("an ELU", nn.ELU()),
    ("a GELU", nn.GELU()),
    ("a GELU in its tanh form", nn.GELU("tanh")),
    ("a swish", nn.SiLU()),
    ("a softplus", nn.Softplus()),
)


def _activation(module: nn.Module) -> Iterator[Variant]:
    for words, other in ACTIVATIONS:
        if repr(other) != repr(module).replace(", inplace=True", "").replace("inplace=True", ""):
            yield Variant("activation", f"{{layer}} is {words}", other)
    if isinstance(module, nn.Identity):
        yield Variant("softmax", "{layer} is a softmax", Computed(lambda x: x.softmax(_channels(x))))


def _softmax(module: nn.Softmax) -> Iterator[Variant]:
    yield Variant("softmax", "{layer} is left out", nn.Identity())
    yield Variant("softmax", "{layer} is applied twice", Wrapped(module, after=module.forward))
    yield Variant("softmax", "the logarithm of {layer} is taken", Wrapped(module, after=torch.log))


def _addition(module: nn.Module) -> Iterator[Variant]:
    yield Variant(
        "addition", "{layer} adds nothing to its first input", Computed(lambda first, *rest: first), general=True
    )
    yield Variant(
        "addition", "{layer} adds nothing to its second input", Computed(lambda first, *rest: rest[0]), general=True
    )


def _concatenation(module: nn.Module) -> Iterator[Variant]:
    yield Variant(
        "concatenation order",
        "{layer} joins its inputs in reverse",
        Wrapped(module, before=lambda *inputs: inputs[::-1]),
    )


def _resize(module: nn.Module) -> Iterator[Variant]:
    for mode in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        for corners in (None,) if mode.startswith("nearest") else (False, True):

            def resize(x: Tensor, *rest: Tensor, m: str = mode, c: bool | None = corners) -> Tensor:
                return F.interpolate(x, tuple(module(x, *rest).shape[2:]), mode=m, align_corners=c)

            words = f"'{mode}'{' with aligned corners' if corners else ''}"
            yield Variant("resize kernel", f"{{layer}} resizes by {words}", Computed(resize))


FAMILIES: tuple[tuple[Any, Callable[[Any], Iterator[Variant]]], ...] = (
    (InputNormalization, _input),
    (nn.modules.batchnorm._BatchNorm, _batch_norm),
    ((LayerNormalization, nn.LayerNorm, nn.GroupNorm), _epsilons),
    (CrossChannelNormalization, _cross_channel),
    ((nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d), average_variants),
    ((nn.MaxPool2d, nn.AvgPool2d), other_pooling),
    ((nn.Conv1d, nn.Conv2d, nn.Conv3d), convolution_variants),
    ((nn.ConvTranspose2d, nn.ConvTranspose3d), transposed_variants),
    (nn.Linear, _linear),
    ((nn.LSTM, GRU, ProjectedLSTM, LSTMCellLoop, GRUCellLoop), _recurrent),
    (
        (nn.ReLU, nn.LeakyReLU, nn.Hardtanh, nn.Tanh, nn.Sigmoid, nn.ELU, nn.GELU, nn.SiLU, nn.Softplus, nn.Identity),
        _activation,
    ),
    (nn.Softmax, _softmax),
    (Addition, _addition),
    (Concatenation, _concatenation),
    (Resize, _resize),
)
