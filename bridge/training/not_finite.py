"""Where a loss that is not finite comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bridge.errors import UsageError
from bridge.modules.factors import layer_of
from bridge.training.history import Row


def not_finite(row: Row, part: nn.Module, inputs: tuple[Tensor, ...]) -> UsageError:
    """Return the error of an iteration whose loss is not finite, with the layer that it comes from."""
    name = _first(part, inputs)
    cause = (
        f"layer '{name}' is the first that puts out a value that is not finite"
        if name
        else "every layer puts out finite values, but the loss is not"
    )
    if not all(bool(each.isfinite().all()) for each in inputs):
        cause = f"what comes to layer '{name}' is not finite already: the data, or a frozen layer before it"
    return UsageError(
        f"the loss is {row['TrainingLoss']} at iteration {row['Iteration']} (epoch {row['Epoch']})",
        cause,
        "lower InitialLearnRate, set GradientThreshold, or look for NaN in the data",
    )


def _first(part: nn.Module, inputs: tuple[Tensor, ...]) -> str:
    """Run a module and return the first layer whose output is not finite, or ""."""
    found: list[str] = []

    def look(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, arguments: Any, output: Any) -> None:
            if isinstance(output, Tensor) and not bool(output.isfinite().all()):
                found.append(layer_of(module) or name)

        return hook

    hooks = [
        module.register_forward_hook(look(name))
        for name, module in part.named_modules()
        if name and not list(module.children())
    ]
    try:
        with torch.no_grad():
            part(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return found[0] if found else ""
