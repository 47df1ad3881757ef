"""Learn-rate and L2 factors on torch modules.

The facts live on the module that owns the parameter, keyed by the parameter's local name, in a plain
attribute. So they survive nesting, deep copies, `torch.compile`, DDP and `load_state_dict(assign=True)`.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

ATTRIBUTE = "matlab_factors"
LAYER_ATTRIBUTE = "matlab_layer"
Factor = float | tuple[float, ...]  # one number, or one for each gate of a recurrent layer


@dataclass(frozen=True)
class Factors:
    """What MATLAB says of one parameter.

    Attributes:
        path: MATLAB's "layer/Learnable". Several parameters may share one (both directions of a BiLSTM):
            together they are one learnable.
        learn_rate: the LearnRateFactor.
        l2: the L2Factor.
        assumed: True where the file held no factors and these are MATLAB's defaults.
    """

    path: str
    learn_rate: Factor = 1.0
    l2: Factor = 1.0
    assumed: bool = True


@dataclass(frozen=True)
class LearnableTensor:
    """A parameter of a model with its name in the state dict and its factors (None where it has none)."""

    name: str
    parameter: nn.Parameter
    factors: Factors | None


def learnables(model: nn.Module) -> list[LearnableTensor]:
    """List every parameter of `model` once, in the order of its state dict, with its factors."""
    found: dict[int, LearnableTensor] = {}
    for prefix, module in model.named_modules():
        factors: dict[str, Factors] = getattr(module, ATTRIBUTE, {})
        for local, parameter in module.named_parameters(recurse=False):
            name = f"{prefix}.{local}" if prefix else local
            found.setdefault(id(parameter), LearnableTensor(name, parameter, factors.get(local)))
    return list(found.values())


def layer_of(module: nn.Module) -> str | None:
    """Return the name of the MATLAB layer that a module was built from, or None."""
    name = getattr(module, LAYER_ATTRIBUTE, None)
    return name if isinstance(name, str) else None
