"""Parameter groups from MATLAB's factors, for our solvers and for any torch optimizer."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable
from typing import Any

from torch import nn

from bridge.errors import UnsupportedError, UsageError
from bridge.modules.factors import Factor, LearnableTensor, learnables
from bridge.network import simplest
from bridge.options.options import TrainingOptions
from bridge.tables.layers import table
from bridge.training.solver import Clipping, Group, Solver, is_zero
from bridge.training.solvers import SOLVERS


def param_groups(model: nn.Module, options: TrainingOptions) -> list[Group]:
    """Return groups that carry MATLAB's factors into any torch optimizer.

    One group for each pair of factors, with "params", "param_names", "lr" = InitialLearnRate x factor, "weight_decay" =
    L2Regularization x L2 factor, and "without_factors": the names of parameters that no factor is known of; they count
    1. A learnable with factor 0 gets requires_grad False and no group; parameters that need no gradient get none
       either.

    The optimizer should add weight_decay to the gradient, as torch's SGD, Adam and RMSprop do (AdamW does not), and its
    own arithmetic stays: see `options_optimizer` for MATLAB's.

    Raises:
        UsageError: a learnable has one factor for each gate, or none is left to train.
        UnsupportedError: "lbfgs" and "lm" have no learning rate.

    Example:
        >>> from bridge.options.options import training_options
        >>> groups = param_groups(nn.Linear(2, 1), training_options("sgdm", InitialLearnRate=0.1))
        >>> [(group["param_names"], group["lr"], group["weight_decay"]) for group in groups]
        [(['weight', 'bias'], 0.1, 0.0001)]
    """
    _require_trainable(model, options)
    return [
        {
            **_named(members),
            "lr": options.InitialLearnRate * _scalar(learn_rate, members[0]),
            "weight_decay": options.L2Regularization * _scalar(l2, members[0]),
            "without_factors": [item.name for item in members if item.factors is None],
        }
        for (learn_rate, l2), members in _by_factors(_trained(model))
    ]


def options_optimizer(model: nn.Module, options: TrainingOptions, *, foreach: bool | None = None) -> Solver:
    """Return the solver that `options` name, over the learnables of `model`.

    A learnable with factor 0 gets requires_grad False, unless the options let frozen learnables count in the global
    norm.

    Raises:
        UsageError: nothing is left to train, or a factor for each gate does not fit its tensor.
        UnsupportedError: "lbfgs" and "lm" are not implemented.
    """
    _require_trainable(model, options)
    switches = options.semantics
    clips_globally = options.GradientThresholdMethod == "global-l2norm" and options.GradientThreshold < math.inf
    clipping = Clipping(
        options.GradientThresholdMethod,
        options.GradientThreshold,
        switches.l2_before_clipping,
        clips_globally and switches.frozen_in_global_norm,
    )
    trained = _trained(model, freeze=not clipping.counts_frozen)
    groups = [
        {
            **_named(members),
            "paths": [item.factors.path if item.factors else item.name for item in members],
            "lr_factor": learn_rate,
            "l2_factor": l2,
        }
        for (learn_rate, l2), members in _by_factors(trained)
    ]
    return _solver(options, groups, clipping, foreach)


def _require_trainable(model: nn.Module, options: TrainingOptions) -> None:
    refused = table("solvers")["solvers"][options.solver].get("refused")
    if refused:
        raise UnsupportedError(
            f"the solver {options.solver!r} is not implemented", refused, "use 'sgdm', 'adam' or 'rmsprop'"
        )
    if not isinstance(model, nn.Module):
        raise UsageError(
            f"the model is a {type(model).__name__}", "torch trains the parameters of a module", "pass net.to_torch()"
        )


def _trained(model: nn.Module, freeze: bool = True) -> list[LearnableTensor]:
    """Return the learnables that need a gradient, after freezing those with factor 0."""
    found = learnables(model)
    for item in found:
        if freeze and is_zero(_learn_rate(item)):
            item.parameter.requires_grad_(False)
    trained = [item for item in found if item.parameter.requires_grad]
    if not trained:
        raise UsageError(
            "the model has nothing to train",
            "every learnable is frozen, or has learn-rate factor 0",
            "give a layer a factor above 0",
        )
    return trained


def _by_factors(items: list[LearnableTensor]) -> list[tuple[tuple[Factor, Factor], list[LearnableTensor]]]:
    groups: dict[Hashable, tuple[tuple[Factor, Factor], list[LearnableTensor]]] = {}
    for item in items:
        key = (_learn_rate(item), _l2(item))
        groups.setdefault(key, (key, []))[1].append(item)
    return list(groups.values())


def _named(items: list[LearnableTensor]) -> Group:
    return {"params": [item.parameter for item in items], "param_names": [item.name for item in items]}


def _learn_rate(item: LearnableTensor) -> Factor:
    return simplest(item.factors.learn_rate) if item.factors else 1.0


def _l2(item: LearnableTensor) -> Factor:
    return simplest(item.factors.l2) if item.factors else 1.0


def _scalar(factor: Factor, item: LearnableTensor) -> float:
    if isinstance(factor, tuple):
        raise UsageError(
            f"{item.name} has a factor for each gate: {factor}",
            "a torch optimizer has one rate for a tensor",
            "use options.optimizer(model)",
        )
    return factor


def _solver(options: TrainingOptions, groups: list[Group], clipping: Clipping, foreach: bool | None) -> Solver:
    row = table("solvers")["solvers"][options.solver]
    arguments = {key: _option(options, name) for key, name in row.get("arguments", {}).items()}
    switches = {key: getattr(options.semantics, name) for key, name in row.get("switches", {}).items()}
    made: Callable[..., Solver] = SOLVERS[row["torch"]]
    shared = {"lr": options.InitialLearnRate, "l2": options.L2Regularization, "clipping": clipping, "foreach": foreach}
    return made(groups, **shared, **arguments, **switches)


def _option(options: TrainingOptions, name: str | list[str]) -> Any:
    return getattr(options, name) if isinstance(name, str) else tuple(getattr(options, each) for each in name)
