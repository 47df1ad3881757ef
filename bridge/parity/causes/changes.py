"""A module in place of a layer's, changed in one way."""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn


@dataclass(frozen=True)
class Variant:
    """A module that may stand in for a layer's.

    Attributes:
        cause: what kind of mistake it undoes: "epsilon", "gate order", ...
        text: what it does, with {layer} for the layer's name: "the Epsilon of {layer} is 1e-05".
        module: the module.
        general: whether it explains less than the others: it is named only where none of those agrees.
        of_learnables: whether it is the same as other learnables in the unchanged layer.
    """

    cause: str
    text: str
    module: nn.Module
    general: bool = False
    of_learnables: bool = False


class Wrapped(nn.Module):
    """A module with a function in front of it and one behind it."""

    def __init__(
        self, module: nn.Module, *, before: Callable[..., Any] | None = None, after: Callable[[Any], Any] | None = None
    ) -> None:
        super().__init__()
        self.module, self._before, self._after = module, before, after

    def forward(self, *inputs: Any) -> Any:
        if self._before is not None:
            inputs = self._before(*inputs)
            inputs = inputs if isinstance(inputs, tuple) else (inputs,)
        out = self.module(*inputs)
        return out if self._after is None else self._after(out)


class Computed(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Any) -> Any:
        return self._function(*inputs)


def changed(module: nn.Module, **attributes: Any) -> nn.Module:
    """Return a copy of a module with other attributes; parameters are shared where they are not among them."""
    made = copy.copy(module)
    made._parameters, made._buffers, made._forward_hooks = (
        dict(module._parameters),
        dict(module._buffers),
        OrderedDict(),
    )
    for name, value in attributes.items():
        if name in made._parameters:
            made._parameters[name] = nn.Parameter(value.contiguous(), requires_grad=False)
        elif name in made._buffers:
            made._buffers[name] = value.contiguous()
        else:
            setattr(made, name, value)
    return made
