"""The solvers of trainingOptions as `torch.optim.Optimizer`s.

One step, in MATLAB's order (proven on a whole training):

1. gradient + L2Regularization * L2Factor * weight, for every learnable;
2. clipping, by what MATLAB calls one learnable: parameters that share a path are one;
3. the solver, with rate = base rate * LearnRateFactor.

A group keeps the base rate in "lr" and the factors in "lr_factor" and "l2_factor", so that a schedule sets the
base. A factor is a number, or a tuple with one number for each gate: the rows of the tensor divided evenly.
Factor 0 means no update and no decay. The gradients of the caller are not changed.

The arithmetic is written once, for lists of tensors, so that lists of any length give the same bits.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from bridge.errors import UnsupportedError, UsageError
from bridge.modules.factors import Factor
from bridge.tables.registry import Registry

Group = dict[str, Any]
FOREACH_DEVICES = (
    "cuda",
    "xpu",
    "mtia",
)  # where lists of tensors are faster than one after another, as torch decides it
IN_CACHE = (
    2**16
)  # elements that a CPU works on at once: fewer calls for small tensors, and none leaves its cache between two of them
METHODS = ("l2norm", "global-l2norm", "absolute-value")


@dataclass(frozen=True)
class Clipping:
    """How gradients are clipped.

    Attributes:
        method: GradientThresholdMethod: "l2norm" (each learnable on its own), "global-l2norm" or "absolute-value".
        threshold: GradientThreshold; infinite means that nothing is clipped.
        after_l2: whether the L2 term is in the gradient that is clipped.
        counts_frozen: whether learnables with factor 0 count in the global norm (their gradients must exist then).
    """

    method: str = "l2norm"
    threshold: float = math.inf
    after_l2: bool = True
    counts_frozen: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS or not self.threshold > 0:
            raise UsageError(
                f"clipping by {self.method!r} at {self.threshold}",
                f"methods are {', '.join(METHODS)}; thresholds are positive",
            )


@dataclass(slots=True)
class _Piece:
    """A parameter, or one gate of it, in one step. Tensors are views: what is written in place, stays."""

    group: Group
    learnable: str | int
    lr_factor: float
    l2_factor: float
    parameter: Tensor
    gradient: Tensor
    state: list[Tensor]


def _without_compiler(method: Callable[..., None]) -> Callable[..., None]:
    """Return a method of torch's optimizers without what keeps torch.compile out of it, where nothing is compiled: that
    imports the whole compiler, which takes longer than many a training and 150 MB."""
    return method if "torch._dynamo" in sys.modules else inspect.unwrap(method)


class Solver(Optimizer):
    """What the three solvers share.

    Args:
        params: parameters or groups. Beside "params" a group may hold "lr", "lr_factor", "l2", "l2_factor" and "paths"
            (MATLAB's path of each parameter, see `bridge.modules.factors.Factors`).
        settings: the solver's own defaults for a group.
        clipping: see `Clipping`.
        foreach: all tensors at once (True) or one after another (False); None does what is fastest on their device.

    Raises:
        UsageError: a rate is negative, a factor has more gates than fit the rows of its tensor.
    """

    averages: ClassVar[tuple[str, ...]]

    def __init__(self, params: Iterable[Any], settings: Group, clipping: Clipping, foreach: bool | None) -> None:
        self.clipping, self.foreach = clipping, foreach
        super().__init__(params, {"lr_factor": 1.0, "l2_factor": 1.0, "paths": None, **settings})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "clipping": self.clipping, "foreach": self.foreach}

    def add_param_group(self, param_group: Group) -> None:
        """Add a group; it takes part from the iteration that the others have reached."""
        param_group.setdefault("iteration", self.param_groups[0]["iteration"] if self.param_groups else 0)
        _without_compiler(Optimizer.add_param_group)(self, param_group)
        group = self.param_groups[-1]
        if group["lr"] < 0 or group["l2"] < 0:
            raise UsageError(f"lr is {group['lr']} and l2 is {group['l2']}", "neither can be negative")
        for parameter in group["params"]:
            _check_gates(_gates(group["lr_factor"]), _gates(group["l2_factor"]), parameter)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, as torch's optimizers do."""
        _without_compiler(Optimizer.zero_grad)(self, set_to_none)

    @overload
    def step(self, closure: None = None) -> None: ...

    @overload
    def step(self, closure: Callable[[], float]) -> float: ...

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:
        """Take one step. A parameter without gradient is left as it is, with its averages.

        Args:
            closure: computes the loss anew, with its gradients.

        Returns:
            What the closure returned.

        Raises:
            UnsupportedError: a gradient is sparse.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            group["iteration"] += 1
        pieces = [piece for group in self.param_groups for piece in self._pieces(group)]
        clips = self.clipping.threshold < math.inf
        decays = clips and self.clipping.after_l2
        if decays:
            for piece in pieces:
                (piece.gradient,) = _with_l2([piece.gradient], [piece.parameter], piece.group["l2"] * piece.l2_factor)
        if clips:
            _clip(pieces, self.clipping)
        for batch in self._batches(piece for piece in pieces if piece.lr_factor != 0):
            first = batch[0]
            rate = first.group["lr"] * first.lr_factor
            l2 = 0.0 if decays else first.group["l2"] * first.l2_factor
            averages = [list(tensors) for tensors in zip(*[piece.state for piece in batch], strict=True)]
            self._update(
                first.group,
                rate,
                l2,
                [piece.parameter for piece in batch],
                [piece.gradient for piece in batch],
                *averages,
            )
        return loss

    def _update(
        self,
        group: Group,
        rate: float,
        l2: float,
        weights: list[Tensor],
        gradients: list[Tensor],
        *averages: list[Tensor],
    ) -> None:
        raise NotImplementedError

    def _pieces(self, group: Group) -> Iterator[_Piece]:
        paths = group["paths"] or [id(parameter) for parameter in group["params"]]
        frozen = is_zero(group["lr_factor"])
        gates = max(_gates(group["lr_factor"]), _gates(group["l2_factor"]))
        rates, decays = _per_gate(group["lr_factor"], gates), _per_gate(group["l2_factor"], gates)
        for path, parameter in zip(paths, group["params"], strict=True):
            if parameter.grad is None or (frozen and not self.clipping.counts_frozen):
                continue
            if parameter.grad.is_sparse:
                raise UnsupportedError("a sparse gradient", "MATLAB has none", "make the embedding with sparse=False")
            tensors = [parameter, parameter.grad, *self._averages(parameter)]
            rows = zip(*(tensor.chunk(gates) for tensor in tensors), strict=True) if gates > 1 else [tuple(tensors)]
            for rate, decay, (weight, gradient, *state) in zip(rates, decays, rows, strict=True):
                yield _Piece(group, path, rate, decay, weight, gradient, state)

    def _averages(self, parameter: Tensor) -> list[Tensor]:
        state = self.state[parameter]
        for name in self.averages:
            if name not in state:
                state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return [state[name] for name in self.averages]

    def _batches(self, pieces: Iterable[_Piece]) -> Iterator[list[_Piece]]:
        """Gather pieces for which one call of `_update` is right, until a batch is full."""
        alike: dict[Any, list[_Piece]] = {}
        sizes: dict[Any, int] = defaultdict(int)
        for piece in pieces:
            weight = piece.parameter
            kind = (id(piece.group), piece.lr_factor, piece.l2_factor, weight.device, weight.dtype)
            capacity = self._capacity(weight)
            if weight.numel() > capacity:
                yield [piece]
                continue
            alike.setdefault(kind, []).append(piece)
            sizes[kind] += weight.numel()
            if sizes[kind] > capacity:
                yield alike.pop(kind)
                sizes[kind] = 0
        yield from alike.values()

    def _capacity(self, weight: Tensor) -> float:
        foreach = weight.device.type in FOREACH_DEVICES if self.foreach is None else self.foreach
        if foreach:
            return math.inf
        return IN_CACHE if self.foreach is None else 0


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

    def _update(
        self,
        group: Group,
        rate: float,
        l2: float,
        weights: list[Tensor],
        gradients: list[Tensor],
        *averages: list[Tensor],
    ) -> None:
        (velocity,) = averages
        torch._foreach_mul_(velocity, group["momentum"])
        torch._foreach_add_(velocity, gradients, alpha=-rate)
        if l2:  # added to the velocity at once: gradient plus L2 term would need a tensor of its own
            torch._foreach_add_(velocity, weights, alpha=-rate * l2)
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

    def _update(
        self,
        group: Group,
        rate: float,
        l2: float,
        weights: list[Tensor],
        gradients: list[Tensor],
        *averages: list[Tensor],
    ) -> None:
        mean, square = averages
        (beta1, beta2), iteration = group["betas"], group["iteration"]
        correction1, root2 = 1 - beta1**iteration, (1 - beta2**iteration) ** 0.5
        gradients = _with_l2(gradients, weights, l2)
        torch._foreach_lerp_(mean, gradients, 1 - beta1)
        torch._foreach_mul_(square, beta2)
        torch._foreach_addcmul_(square, gradients, gradients, value=1 - beta2)
        divisor = torch._foreach_sqrt(square)
        size = rate / correction1
        if group["form"] == "A":
            torch._foreach_div_(divisor, root2)
        else:
            size *= root2
        torch._foreach_add_(divisor, group["eps"])
        torch._foreach_addcdiv_(weights, mean, divisor, value=-size)


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

    def _update(
        self,
        group: Group,
        rate: float,
        l2: float,
        weights: list[Tensor],
        gradients: list[Tensor],
        *averages: list[Tensor],
    ) -> None:
        (square,) = averages
        gradients = _with_l2(gradients, weights, l2)
        torch._foreach_mul_(square, group["decay"])
        torch._foreach_addcmul_(square, gradients, gradients, value=1 - group["decay"])
        divisor = torch._foreach_sqrt(square)
        torch._foreach_add_(divisor, group["eps"])
        torch._foreach_addcdiv_(weights, gradients, divisor, value=-rate)


def _with_l2(gradients: list[Tensor], weights: list[Tensor], l2: float) -> list[Tensor]:
    return list(torch._foreach_add(gradients, weights, alpha=l2)) if l2 else gradients


def _clip(pieces: Sequence[_Piece], clipping: Clipping) -> None:
    """Replace the gradients of `pieces` by clipped ones."""
    if clipping.method == "absolute-value":
        for piece in pieces:
            piece.gradient = piece.gradient.clamp(-clipping.threshold, clipping.threshold)
        return
    learnables: dict[str | int, list[_Piece]] = defaultdict(list)
    for piece in pieces:
        learnables[0 if clipping.method == "global-l2norm" else piece.learnable].append(piece)
    for members in learnables.values():
        norms = [torch.linalg.vector_norm(piece.gradient) for piece in members]
        norm = (
            torch.linalg.vector_norm(torch.stack([each.to(norms[0]) for each in norms])) if len(norms) > 1 else norms[0]
        )
        scale = (clipping.threshold / norm).clamp(max=1)  # stays on the device: no copy to the host in every step
        for piece in members:
            piece.gradient = piece.gradient * scale.to(piece.gradient)


def _gates(factor: Factor) -> int:
    return len(factor) if isinstance(factor, tuple) else 1


def _per_gate(factor: Factor, gates: int) -> tuple[float, ...]:
    return factor if isinstance(factor, tuple) else (factor,) * gates


def is_zero(factor: Factor) -> bool:
    """Whether a learnable with this factor is frozen."""
    return not any(_per_gate(factor, 1))


def _check_gates(lr_gates: int, l2_gates: int, parameter: Tensor) -> None:
    gates = max(lr_gates, l2_gates)
    unlike = min(lr_gates, l2_gates) not in (1, gates)
    if unlike or (gates > 1 and (parameter.dim() == 0 or len(parameter) % gates)):
        raise UsageError(
            f"factors with {lr_gates} and {l2_gates} values for a tensor of shape {tuple(parameter.shape)}",
            "a factor has one value, or one for each gate, and the gates divide the rows evenly",
        )
