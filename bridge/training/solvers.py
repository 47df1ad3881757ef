"""The solvers of trainingOptions: the arithmetic of each, in the step of `bridge.training.solver`.

It is written once, for lists of tensors, so that lists of any length give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch

from bridge.errors import UsageError
from bridge.tables.registry import Registry
from bridge.training.solver import Clipping, Group, Solver, Update, with_l2, within

SOLVERS: Registry[Callable[..., Solver]] = Registry("solver")  # by the row's `torch` in mappings/solvers.toml


@SOLVERS("SGDM")
class SGDM(Solver):
    """Stochastic gradient descent with momentum.

    velocity = momentum*velocity - rate*gradient; weight += velocity

    torch keeps velocity/-rate instead: equal while the rate stays the same, different from the first step after
    it changes. This is the form of sgdmupdate, by published tests of it.

    Args:
        params: see `Solver`.
        lr: the base rate.
        momentum: MATLAB's Momentum.
        l2: MATLAB's L2Regularization.
        clipping: see `Clipping`.
        foreach: see `Solver`.
    """

    averages = ("velocity",)

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        momentum: float,
        l2: float = 0.0,
        clipping: Clipping = Clipping(),
        foreach: bool | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "l2": l2}, clipping, foreach)

    def _update(self, group: Group, update: Update) -> None:
        (velocity,), weights, rate = update.averages, update.weights, update.rate
        torch._foreach_mul_(velocity, group["momentum"])
        torch._foreach_add_(velocity, update.gradients, alpha=within(-rate, weights))
        if update.l2:  # added to the velocity at once: gradient plus L2 term would need a tensor of its own
            torch._foreach_add_(velocity, weights, alpha=within(-rate * update.l2, weights))
        torch._foreach_add_(weights, velocity)


@SOLVERS("Adam")
class Adam(Solver):
    """Adam with one iteration counter for all learnables, never reset.

    m = b1*m + (1-b1)*gradient; v = b2*v + (1-b2)*gradient^2, then with t the iteration

    - form "A": weight -= rate * (m/(1-b1^t)) / (sqrt(v/(1-b2^t)) + eps), torch's
    - form "B": weight -= rate * sqrt(1-b2^t)/(1-b1^t) * m / (sqrt(v) + eps). MATLAB's (proven on
      whole trainings)

    They differ by 8e-4 of a step at gradients of 1e-3, by 43 % at 1e-6.

    Args:
        params: see `Solver`.
        lr: the base rate.
        betas: GradientDecayFactor and SquaredGradientDecayFactor.
        eps: Epsilon.
        form: the place of Epsilon.
        l2: MATLAB's L2Regularization, added to the gradient (not AdamW).
        clipping: see `Clipping`.
        foreach: see `Solver`.
    """

    averages = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        betas: tuple[float, float],
        eps: float,
        form: str = "B",
        l2: float = 0.0,
        clipping: Clipping = Clipping(),
        foreach: bool | None = None,
    ) -> None:
        if form not in ("A", "B"):
            raise UsageError(f"Adam has no form {form!r}", "the place of Epsilon is 'A' or 'B'")
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "form": form, "l2": l2}, clipping, foreach)

    def _update(self, group: Group, update: Update) -> None:
        mean, square = update.averages
        (beta1, beta2), iteration = group["betas"], group["iteration"]
        correction1, root2 = 1 - beta1**iteration, (1 - beta2**iteration) ** 0.5
        weights, gradients = update.weights, with_l2(update.gradients, update.weights, update.l2)
        torch._foreach_lerp_(mean, gradients, 1 - beta1)
        torch._foreach_mul_(square, beta2)
        torch._foreach_addcmul_(square, gradients, gradients, value=1 - beta2)
        divisor = torch._foreach_sqrt(square)
        size = update.rate / correction1
        if group["form"] == "A":
            torch._foreach_div_(divisor, root2)
        else:
            size *= root2
        torch._foreach_add_(divisor, group["eps"])
        torch._foreach_addcdiv_(weights, mean, divisor, value=within(-size, weights))


@SOLVERS("RMSProp")
class RMSProp(Solver):
    """RMSProp without bias correction and momentum.

    v = decay*v + (1-decay)*gradient^2; weight -= rate * gradient / (sqrt(v) + eps)

    The place of eps outside the root follows re-implementations.

    Args:
        params: see `Solver`.
        lr: the base rate.
        decay: SquaredGradientDecayFactor (torch's alpha).
        eps: Epsilon.
        l2: MATLAB's L2Regularization.
        clipping: see `Clipping`.
        foreach: see `Solver`.
    """

    averages = ("square_avg",)

    def __init__(
        self,
        params: Iterable[Any],
        *,
        lr: float,
        decay: float,
        eps: float,
        l2: float = 0.0,
        clipping: Clipping = Clipping(),
        foreach: bool | None = None,
    ) -> None:
        super().__init__(params, {"lr": lr, "decay": decay, "eps": eps, "l2": l2}, clipping, foreach)

    def _update(self, group: Group, update: Update) -> None:
        (square,) = update.averages
        weights, gradients = update.weights, with_l2(update.gradients, update.weights, update.l2)
        torch._foreach_mul_(square, group["decay"])
        torch._foreach_addcmul_(square, gradients, gradients, value=1 - group["decay"])
        divisor = torch._foreach_sqrt(square)
        torch._foreach_add_(divisor, group["eps"])
        torch._foreach_addcdiv_(weights, gradients, divisor, value=within(-update.rate, weights))
