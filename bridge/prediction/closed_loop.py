"""Shallow networks with feedback (narnet, narxnet) in closed loop: what they put out is what they read next."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bridge.errors import UsageError


def closed_loop(model: nn.Module, history: Tensor, steps: int, *others: Tensor, at: int = 0) -> Tensor:
    """Predict step after step, each from what was predicted before.

    A closed loop of MATLAB's is read as its open loop, whose delays are all behind the step that is predicted.

    Args:
        model: a module of a network in open loop, with one output.
        history: what came before, N,D,C: as many steps D as the network looks back.
        steps: how many to predict.
        others: the network's other inputs in its order, N,D+steps,C each.
        at: which of the inputs, from 0, is the one that is fed back.

    Returns:
        N,steps,C.

    Raises:
        UsageError: the network does not look back as far as the history, or another input is too short.
    """
    depth = history.shape[1]
    short = next((each.shape[1] for each in others if each.shape[1] != depth + steps), None)
    if short is not None:
        raise UsageError(
            f"an input of {short} steps for {steps} steps behind {depth}", f"it takes {depth + steps} of them"
        )
    found = history
    for step in range(steps):
        now = torch.cat([found[:, -depth:], torch.zeros_like(found[:, :1])], 1)  # the step itself is not read
        window = [each[:, step : step + depth + 1] for each in others]
        y = model(*window[:at], now, *window[at:])
        if y.shape[1:] != (1, history.shape[2]):
            raise UsageError(
                f"{depth} steps of history give an output of {tuple(y.shape)}",
                "the network looks back over another number of steps, or puts out another number of channels",
            )
        found = torch.cat([found, y], 1)
    return found[:, depth:]
