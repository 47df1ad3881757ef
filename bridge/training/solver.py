"""What the solvers of trainingOptions share: one step of a `torch.optim.Optimizer`.

A step, in MATLAB's order (proven on a whole training):

1. gradient + L2Regularization * L2Factor * weight, for every learnable;
2. clipping, by what MATLAB calls one learnable: parameters that share a path are one;
3. the solver, with rate = base rate * LearnRateFactor.

A group keeps the base rate in "lr" and the factors in "lr_factor" and "l2_factor", so that a schedule sets the
base. A factor is a number, or a tuple with one number for each gate: the rows of the tensor divided evenly.
Factor 0 means no update and no decay. The gradients of the caller are not changed.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, overload

import torch
from torch import Tensor
from torch.optim import Optimizer

from bridge.errors import UnsupportedError, UsageError
from bridge.modules.factors import Factor

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
    is_gate: bool


def _without_compiler(method: Callable[..., None]) -> Callable[..., None]:
    """Return a method of torch's optimizers without what keeps torch.compile out of it, where nothing is compiled: that
    imports the whole compiler, which takes longer than many a training and 150 MB."""
    return method if "torch._dynamo" in sys.modules else inspect.unwrap(method)


class Update(NamedTuple):
    """What one step of a solver's arithmetic takes: learnables of one rate and one decay.

    Attributes:
        rate, l2: the learning rate, and the factor of the weights that is added to their gradients.
        weights, averages: what is written in place, in the order of the solver's `averages`.
        gradients: of the weights; they stay as they are.
    """

    rate: float
    l2: float
    weights: list[Tensor]
    gradients: list[Tensor]
    averages: list[list[Tensor]]


class _Batch(NamedTuple):
    """Parameters for which one call of `_update` is right.

    Attributes:
        group: they are of one group.
        lr_factor, l2_factor: theirs.
        weights, averages: what is written in place; gradients come anew with every step.
    """

    group: Group
    lr_factor: float
    l2_factor: float
    weights: list[Tensor]
    averages: list[list[Tensor]]


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
        self._kept: tuple[list[Any], list[_Batch], list[Tensor]] | None = None
        super().__init__(params, {"lr_factor": 1.0, "l2_factor": 1.0, "paths": None, **settings})

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "clipping": self.clipping, "foreach": self.foreach}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # a state that was loaded has averages of its own
        self._kept = None

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
        if not set_to_none:
            _without_compiler(Optimizer.zero_grad)(self, False)
            return
        for group in self.param_groups:
            for parameter in group["params"]:
                parameter.grad = None

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
        if self.clipping.threshold == math.inf:
            for batch, gradients in self._again() or self._anew():
                self._step(batch, gradients, batch.group["l2"] * batch.l2_factor)
            return loss
        pieces = [piece for group in self.param_groups for piece in self._pieces(group)]
        decays = self.clipping.after_l2
        if decays:
            for piece in pieces:
                (piece.gradient,) = with_l2([piece.gradient], [piece.parameter], piece.group["l2"] * piece.l2_factor)
        _clip(pieces, self.clipping)
        for batch, gradients in self._batches(pieces):
            self._step(batch, gradients, 0.0 if decays else batch.group["l2"] * batch.l2_factor)
        return loss

    def _step(self, batch: _Batch, gradients: list[Tensor], l2: float) -> None:
        rate = batch.group["lr"] * batch.lr_factor
        self._update(batch.group, Update(rate, l2, batch.weights, gradients, batch.averages))

    def _anew(self) -> list[tuple[_Batch, list[Tensor]]]:
        """Return the batches with their gradients, and keep the batches where the next step may have the same."""
        pieces = [piece for group in self.param_groups for piece in self._pieces(group)]
        found = list(self._batches(pieces))
        idle = [each for group in self.param_groups for each in group["params"] if each.grad is None]
        gated = any(piece.is_gate for piece in pieces)
        self._kept = None if gated else (self._facts(), [batch for batch, _ in found], idle)
        return found

    def _again(self) -> list[tuple[_Batch, list[Tensor]]] | None:
        """Return the batches of the step before with new gradients; None where they differ."""
        if self._kept is None:
            return None
        facts, batches, idle = self._kept
        found = [(batch, [weight.grad for weight in batch.weights]) for batch in batches]
        same = all([gradient is not None for _, each in found for gradient in each])
        if not same or any([each.grad is not None for each in idle]) or facts != self._facts():
            return None
        return found  # type: ignore[return-value]

    def _facts(self) -> list[Any]:
        """What the batches follow from, beside which parameters have a gradient."""
        groups = [(each["lr_factor"], each["l2_factor"], len(each["params"])) for each in self.param_groups]
        return [id(self.state), len(self.state), *groups]

    def _update(self, group: Group, update: Update) -> None:
        raise NotImplementedError

    def _pieces(self, group: Group) -> Iterator[_Piece]:
        paths = group["paths"] or [id(parameter) for parameter in group["params"]]
        frozen = is_zero(group["lr_factor"])
        gates = max(_gates(group["lr_factor"]), _gates(group["l2_factor"]))
        rates, decays = _per_gate(group["lr_factor"], gates), _per_gate(group["l2_factor"], gates)
        for path, parameter in zip(paths, group["params"], strict=True):
            gradient = parameter.grad
            if gradient is None or (frozen and not self.clipping.counts_frozen):
                continue
            if gradient.is_sparse:
                raise UnsupportedError("a sparse gradient", "MATLAB has none", "make the embedding with sparse=False")
            tensors = [parameter, gradient, *self._averages(parameter)]
            rows = zip(*(tensor.chunk(gates) for tensor in tensors), strict=True) if gates > 1 else [tuple(tensors)]
            for rate, decay, (weight, part, *state) in zip(rates, decays, rows, strict=True):
                yield _Piece(group, path, rate, decay, weight, part, state, gates > 1)

    def _averages(self, parameter: Tensor) -> list[Tensor]:
        state = self.state[parameter]
        for name in self.averages:
            if name not in state:
                state[name] = torch.zeros_like(parameter, memory_format=torch.preserve_format)
        return [state[name] for name in self.averages]

    def _batches(self, pieces: Iterable[_Piece]) -> Iterator[tuple[_Batch, list[Tensor]]]:
        """Gather pieces for which one call of `_update` is right, until a batch is full."""
        alike: dict[Any, list[_Piece]] = {}
        sizes: dict[Any, int] = defaultdict(int)
        for piece in pieces:
            weight = piece.parameter
            kind = (id(piece.group), piece.lr_factor, piece.l2_factor, weight.device, weight.dtype)
            capacity = self._capacity(weight.device.type)
            if piece.lr_factor == 0:
                continue
            if weight.numel() > capacity:
                yield _batch([piece])
                continue
            alike.setdefault(kind, []).append(piece)
            sizes[kind] += weight.numel()
            if sizes[kind] > capacity:
                yield _batch(alike.pop(kind))
                sizes[kind] = 0
        yield from map(_batch, alike.values())

    def _capacity(self, device: str) -> float:
        if self.foreach is None:
            return math.inf if device in FOREACH_DEVICES else IN_CACHE
        return math.inf if self.foreach else 0


def _batch(pieces: Sequence[_Piece]) -> tuple[_Batch, list[Tensor]]:
    first = pieces[0]
    averages = [list(tensors) for tensors in zip(*[piece.state for piece in pieces], strict=True)]
    batch = _Batch(first.group, first.lr_factor, first.l2_factor, [piece.parameter for piece in pieces], averages)
    return batch, [piece.gradient for piece in pieces]


def within(number: float, tensors: list[Tensor]) -> float:
    """Return a number as the type of some tensors holds it, like MATLAB's single: infinite beyond the largest."""
    return number if abs(number) <= torch.finfo(tensors[0].dtype).max else math.copysign(math.inf, number)


def with_l2(gradients: list[Tensor], weights: list[Tensor], l2: float) -> list[Tensor]:
    return list(torch._foreach_add(gradients, weights, alpha=within(l2, weights))) if l2 else gradients


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
