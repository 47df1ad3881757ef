"""The statistics of batch normalisation, as MATLAB keeps them during training and finalises them after it.

A batch-norm layer normalises with the mini-batch's own statistics whenever it trains, also where its learn-rate factors
are 0.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from bridge.errors import UsageError
from bridge.modules.factors import layer_of
from bridge.modules.normalization import BatchNormOverTime, variance_momentum
from bridge.training.moments import Moments


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """Return the batch-norm modules of a model that keep statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.running_var is not None]


def finalize_batch_norm(model: nn.Module, batches: Iterable[Tensor | tuple[Tensor, ...]]) -> None:
    """Set the statistics of every batch-norm layer to those of a whole data set ('population').

    In one pass over the data every such layer normalises with the current mini-batch's own statistics, while the mean
    and the biased variance over all N*H*W elements are collected: what MATLAB does after training (proven on files: the
    first layer to 4e-6 sigma). The other layers work as in prediction; dropout is off (unconfirmed). The model is in
    eval mode afterwards.

    Args:
        model: any module.
        batches: its inputs, all mini-batches of the training data, the partial one included: a tensor, or a tuple of
            tensors for several inputs.
    """
    found = batch_norms(model)
    model.eval()
    collected = {module: Moments(module.get_buffer("running_var").shape) for module in found}
    kept = [{name: value.clone() for name, value in module.named_buffers()} for module in found]
    hooks = [module.register_forward_pre_hook(_own_statistics(collected[module])) for module in found]
    try:
        with torch.no_grad():
            for batch in batches if found else ():
                model(*batch) if isinstance(batch, (tuple, list)) else model(batch)
    except BaseException:
        for module, buffers in zip(found, kept, strict=True):
            module.load_state_dict(buffers, strict=False)
        raise
    finally:
        for hook in hooks:
            hook.remove()
    for module, moments in collected.items():
        if moments.count:
            _set(module, moments.mean, moments.variance())


def _own_statistics(moments: Moments) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    """Return a hook that gives a module in eval mode the statistics of the mini-batch it is about to normalise."""

    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        _set(module, *moments.add(_channels_last(module, arguments[0])))

    return hook


def _channels_last(module: nn.Module, x: Tensor) -> Tensor:
    return x if isinstance(module, BatchNormOverTime) else x.movedim(1, -1)


def _set(module: nn.Module, mean: Tensor, variance: Tensor) -> None:
    with torch.no_grad():
        module.get_buffer("running_mean").copy_(mean)
        module.get_buffer("running_var").copy_(variance)


@contextmanager
def moving_statistics(model: nn.Module, variance: str) -> Iterator[None]:
    """Let batch norms that train keep MATLAB's moving statistics: s = decay*s_batch + (1 - decay)*s (documented).

    torch does so with the unbiased variance of the mini-batch.

    Args:
        model: any module.
        variance: "biased" or "unbiased" (the switch `batchnorm_variance`, unconfirmed).

    Raises:
        UsageError: inside, a mini-batch holds a single value for each channel.
    """
    hooks = []
    for module in batch_norms(model):
        hooks.append(module.register_forward_pre_hook(_require_several))
        if variance == "biased":
            before: dict[str, Tensor] = {}
            hooks.append(module.register_forward_pre_hook(_remember(before)))
            hooks.append(module.register_forward_hook(_unbias(before, variance_momentum(module))))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _require_several(module: nn.Module, arguments: tuple[Any, ...]) -> None:
    """Refuse what torch refuses: the statistics of a single value."""
    if module.training and arguments[0].numel() == len(module.get_buffer("running_var")):
        found = f"batch normalisation '{layer_of(module) or ''}' has a single value for each channel"
        raise UsageError(found, "it has no variance", "choose a larger MiniBatchSize")


def _remember(before: dict[str, Tensor]) -> Callable[[nn.Module, tuple[Any, ...]], None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...]) -> None:
        if module.training:
            before["variance"] = module.get_buffer("running_var").clone()

    return hook


def _unbias(before: dict[str, Tensor], decay: float) -> Callable[[nn.Module, tuple[Any, ...], Any], None]:
    def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
        if module.training:
            kept = before["variance"] * (1 - decay)
            count = output.numel() / kept.numel()
            unwatched = module.get_buffer(
                "running_var"
            ).data  # autograd keeps the buffer, but its values play no part in training
            unwatched.sub_(kept).mul_((count - 1) / count).add_(kept)

    return hook
