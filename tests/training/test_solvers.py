"""The solvers against independent float64 arithmetic in numpy, against torch where torch means the same, and against
numbers that MATLAB's update functions are documented to print."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from bridge.errors import UnsupportedError, UsageError
from bridge.training.solver import IN_CACHE, Clipping, Solver
from bridge.training.solvers import SGDM, Adam, RMSProp

Array = np.ndarray[Any, np.dtype[np.float64]]
STEPS = 200
LR, L2 = 0.02, 0.01
SHAPES = {"w": (8, 3), "u": (4, 2), "v": (4, 2), "frozen": (3,), "plain": (5, 2, 2)}
GROUPS: dict[str, tuple[Any, Any]] = {  # (learn-rate factor, L2 factor)
    "w": ((1.0, 1.0, 0.0, 10.0), (1.0, 3.0, 1.0, 0.5)),  # one for each gate: two rows each
    "u": (2.0, 0.0),
    "v": (2.0, 0.0),  # one learnable with u
    "frozen": (0.0, 3.0),
    "plain": (1.0, 1.0),
}
LEARNABLE = {"w": "w", "u": "uv", "v": "uv", "frozen": "frozen", "plain": "plain"}
CLIPPINGS = [
    Clipping(),
    Clipping("l2norm", 4.2),  # clips some learnables in some steps
    Clipping("global-l2norm", 2.0),
    Clipping("global-l2norm", 2.0, counts_frozen=True),
    Clipping("absolute-value", 0.7),
    Clipping("l2norm", 4.2, after_l2=False),
]
SOLVERS = ["sgdm", "adam-A", "adam-B", "rmsprop"]


def make(
    solver: str, groups: list[dict[str, Any]], clipping: Clipping | None = None, foreach: bool | None = None
) -> Solver:
    shared: dict[str, Any] = {"lr": LR, "l2": L2, "clipping": clipping or Clipping(), "foreach": foreach}
    if solver == "sgdm":
        return SGDM(groups, momentum=0.9, **shared)
    if solver == "rmsprop":
        return RMSProp(groups, decay=0.9, eps=1e-8, **shared)
    return Adam(groups, betas=(0.9, 0.999), eps=1e-8, form=solver[-1], **shared)


def weights(dtype: torch.dtype = torch.float64, seed: int = 0) -> dict[str, torch.nn.Parameter]:
    rng = np.random.default_rng(seed)
    return {
        name: torch.nn.Parameter(torch.tensor(rng.standard_normal(shape), dtype=dtype))
        for name, shape in SHAPES.items()
    }


def grouped(parameters: dict[str, torch.nn.Parameter]) -> list[dict[str, Any]]:
    return [
        {"params": [value], "paths": [LEARNABLE[name]], "lr_factor": GROUPS[name][0], "l2_factor": GROUPS[name][1]}
        for name, value in parameters.items()
    ]


@cache
def gradients(step: int, dtype: torch.dtype) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(1000 + step)
    return {name: torch.tensor(rng.standard_normal(shape), dtype=dtype) for name, shape in SHAPES.items()}


def rate_at(step: int) -> float:
    return LR * 0.5 ** ((step - 1) // 40) * (1 + 0.1 * (step % 3))


def train(optimizer: Solver, parameters: dict[str, torch.nn.Parameter], steps: int = STEPS) -> None:
    for step in range(1, steps + 1):
        for name, gradient in gradients(step, parameters["w"].dtype).items():
            parameters[name].grad = gradient
        for group in optimizer.param_groups:
            group["lr"] = rate_at(step)
        optimizer.step()


def rows(factor: Any, like: Array) -> Array:
    """A factor as an array that multiplies `like`."""
    if not isinstance(factor, tuple):
        return np.full_like(like, factor)
    return np.repeat(np.array(factor), len(like) // len(factor)).reshape(-1, *[1] * (like.ndim - 1)) * np.ones_like(
        like
    )


def clipped(gradient: dict[str, Array], clipping: Clipping) -> dict[str, Array]:
    if clipping.method == "absolute-value":
        return {name: np.clip(value, -clipping.threshold, clipping.threshold) for name, value in gradient.items()}
    norms: dict[str, float] = {}
    for name in gradient:
        members = [other for other in gradient if LEARNABLE[other] == LEARNABLE[name]]
        if clipping.method == "global-l2norm":
            members = [other for other in gradient if clipping.counts_frozen or other != "frozen"]
        norms[name] = math.sqrt(sum(float((gradient[member] ** 2).sum()) for member in members))
    return {name: value * min(1.0, clipping.threshold / norms[name]) for name, value in gradient.items()}


@cache
def reference(solver: str, clipping: Clipping, dtype: torch.dtype) -> dict[str, Array]:
    """The same training in numpy, float64 throughout, from the formulas in MATLAB's words."""
    weight = {name: value.detach().double().numpy().copy() for name, value in weights(dtype).items()}
    first = {name: np.zeros_like(value) for name, value in weight.items()}
    second = {name: np.zeros_like(value) for name, value in weight.items()}
    for t in range(1, STEPS + 1):
        gradient = {name: value.double().numpy() for name, value in gradients(t, dtype).items()}
        decay = {name: L2 * rows(GROUPS[name][1], value) * value for name, value in weight.items()}
        if clipping.after_l2:
            gradient = clipped({name: value + decay[name] for name, value in gradient.items()}, clipping)
        else:
            gradient = {name: value + decay[name] for name, value in clipped(gradient, clipping).items()}
        for name, g in gradient.items():
            rate = rate_at(t) * rows(GROUPS[name][0], g)
            moving = rate != 0
            if solver == "sgdm":
                first[name] = 0.9 * first[name] - rate * g
                update = first[name]
            elif solver == "rmsprop":
                second[name] = 0.9 * second[name] + 0.1 * g**2
                update = -rate * g / (np.sqrt(second[name]) + 1e-8)
            else:
                first[name] = 0.9 * first[name] + 0.1 * g
                second[name] = 0.999 * second[name] + 0.001 * g**2
                if solver == "adam-A":
                    update = -rate * (first[name] / (1 - 0.9**t)) / (np.sqrt(second[name] / (1 - 0.999**t)) + 1e-8)
                else:
                    update = (
                        -rate * math.sqrt(1 - 0.999**t) / (1 - 0.9**t) * first[name] / (np.sqrt(second[name]) + 1e-8)
                    )
            weight[name] = weight[name] + np.where(moving, update, 0)
    return weight


def distance(parameters: dict[str, torch.nn.Parameter], wanted: dict[str, Array]) -> float:
    return max(
        float(np.linalg.norm(value.detach().double().numpy() - wanted[name]) / np.linalg.norm(wanted[name]))
        for name, value in parameters.items()
    )


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
def test_200_steps_are_those_of_numpy(solver: str, clipping: Clipping) -> None:
    """Oracle: `reference`. 1e-12 of the norm is 5e3 roundings of float64, over 200 steps of about ten operations."""
    parameters = weights()
    train(make(solver, grouped(parameters), clipping), parameters)
    assert distance(parameters, reference(solver, clipping, torch.float64)) < 1e-12


@pytest.mark.parametrize("solver", SOLVERS)
def test_200_steps_in_single_precision(solver: str) -> None:
    """Oracle: `reference` in float64 on the same inputs. 200 additions that round at 6e-8 drift by about sqrt(200) times half of that."""
    parameters = weights(torch.float32)
    train(make(solver, grouped(parameters), Clipping("l2norm", 4.2)), parameters)
    assert distance(parameters, reference(solver, Clipping("l2norm", 4.2), torch.float32)) < 1e-6


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
def test_lists_of_tensors_give_the_same_bits(solver: str, clipping: Clipping) -> None:
    """Oracle: our own single-tensor path."""
    runs = []
    for foreach in (False, None, True):
        parameters = weights(torch.float32)
        train(make(solver, grouped(parameters), clipping, foreach), parameters, steps=20)
        runs.append(parameters)
    assert all(torch.equal(runs[0][name], run[name]) for run in runs[1:] for name in SHAPES)


@pytest.mark.parametrize("solver", SOLVERS)
def test_full_batches_give_the_same_bits_too(solver: str) -> None:
    """Oracle: our own single-tensor path. Tensors that fill a batch, that are larger than one, and an empty one."""
    runs = []
    for foreach in (False, None, True):
        torch.manual_seed(0)
        sizes = (IN_CACHE // 2, 7, IN_CACHE, IN_CACHE + 1, 0, IN_CACHE // 3, 5)
        parameters = [torch.nn.Parameter(torch.randn(size)) for size in sizes]
        optimizer = make(solver, [{"params": parameters}], foreach=foreach)
        for _ in range(3):
            for parameter in parameters:
                parameter.grad = torch.randn_like(parameter)
            optimizer.step()
        runs.append(parameters)
    assert all(torch.equal(one, other) for run in runs[1:] for one, other in zip(runs[0], run, strict=True))


TWINS: dict[str, Callable[[list[torch.nn.Parameter]], torch.optim.Optimizer]] = {
    "rmsprop": lambda values: torch.optim.RMSprop(values, lr=LR, alpha=0.9, eps=1e-8, weight_decay=L2),
    "adam-A": lambda values: torch.optim.Adam(values, lr=LR, betas=(0.9, 0.999), eps=1e-8, weight_decay=L2),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("solver", list(TWINS))
def test_where_torch_means_the_same_the_bits_are_the_same(solver: str, dtype: torch.dtype) -> None:
    """Oracle: torch.optim.RMSprop with alpha 0.9 and torch.optim.Adam, at changing rates."""
    ours, theirs = weights(dtype), weights(dtype)
    mine, twin = make(solver, [{"params": list(ours.values())}]), TWINS[solver](list(theirs.values()))
    for step in range(1, 51):
        for name, gradient in gradients(step, dtype).items():
            ours[name].grad, theirs[name].grad = gradient, gradient.clone()
        for group in (*mine.param_groups, *twin.param_groups):
            group["lr"] = rate_at(step)
        mine.step()
        twin.step()
    assert all(torch.equal(ours[name], theirs[name]) for name in SHAPES)


@pytest.mark.parametrize("changes", [False, True])
def test_sgdm_is_torch_sgd_with_its_buffer_rescaled(changes: bool) -> None:
    """Oracle: torch.optim.SGD in float64; buffers times old/new rate before a step at a new one. Without that it differs."""
    ours, theirs, plain = weights(), weights(), weights()
    mine = make("sgdm", [{"params": list(ours.values())}])
    twin, unscaled = (
        torch.optim.SGD(list(values.values()), lr=LR, momentum=0.9, weight_decay=L2) for values in (theirs, plain)
    )
    for step in range(1, 51):
        rate = rate_at(step) if changes else LR
        for name, gradient in gradients(step, torch.float64).items():
            ours[name].grad, theirs[name].grad, plain[name].grad = gradient, gradient.clone(), gradient.clone()
        for state in twin.state.values():
            state["momentum_buffer"] *= twin.param_groups[0]["lr"] / rate
        for group in (*mine.param_groups, *twin.param_groups, *unscaled.param_groups):
            group["lr"] = rate
        for optimizer in (mine, twin, unscaled):
            optimizer.step()
    wanted = {name: value.detach().numpy() for name, value in theirs.items()}
    assert distance(ours, wanted) < 1e-14
    assert (distance(plain, wanted) > 1e-3) == changes


@pytest.mark.parametrize(("form", "printed"), [("B", 0.99924), ("A", 0.99901)])
def test_first_adam_step_at_a_small_gradient(form: str, printed: float) -> None:
    """Oracle: adamupdate(1, 1e-6, [], [], 1) as each form would print it, by hand: 1 - 1e-3*0.7597 and 1 - 1e-3*0.9901."""
    weight = torch.nn.Parameter(torch.ones(1, dtype=torch.float64))
    weight.grad = torch.full_like(weight, 1e-6)
    Adam([weight], lr=0.001, betas=(0.9, 0.999), eps=1e-8, form=form).step()
    assert round(weight.item(), 5) == printed


def test_momentum_holds_the_rate_by_hand() -> None:
    """By hand: gradient 1, momentum 0.5; rates 1, 0.1: velocity -1, then -0.6; weight 0, -1, -1.6 (torch: -1, -1.15)."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    weight.grad = torch.ones_like(weight)
    optimizer = SGDM([weight], lr=1.0, momentum=0.5)
    optimizer.step()
    optimizer.param_groups[0]["lr"] = 0.1
    optimizer.step()
    assert weight.item() == pytest.approx(-1.6, rel=1e-15)


@pytest.mark.parametrize("solver", SOLVERS)
def test_factor_zero_moves_nothing_and_decays_nothing(solver: str) -> None:
    parameters = weights()
    before = {name: value.detach().clone() for name, value in parameters.items()}
    train(make(solver, grouped(parameters)), parameters, steps=3)
    assert torch.equal(parameters["frozen"], before["frozen"])
    assert torch.equal(parameters["w"][4:6], before["w"][4:6])
    assert not torch.equal(parameters["w"][:4], before["w"][:4])


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_gate_with_factor_zero_does_not_care_for_its_gradient(solver: str) -> None:
    weight = torch.nn.Parameter(torch.ones(2))
    weight.grad = torch.tensor([1.0, math.inf])
    make(solver, [{"params": [weight], "lr_factor": (1.0, 0.0)}]).step()
    assert weight[0] < 1 and weight[1] == 1


@pytest.mark.parametrize("clipping", CLIPPINGS, ids=str)
@pytest.mark.parametrize("solver", SOLVERS)
def test_gradients_stay_as_they_were(solver: str, clipping: Clipping) -> None:
    parameters = weights()
    optimizer = make(solver, grouped(parameters), clipping, foreach=True)
    for name, gradient in gradients(1, torch.float64).items():
        parameters[name].grad = gradient.clone()
    optimizer.step()
    after: dict[str, Any] = {name: value.grad for name, value in parameters.items()}
    assert all(torch.equal(after[name], gradient) for name, gradient in gradients(1, torch.float64).items())


@pytest.mark.parametrize("how", ["state_dict", "file", "deepcopy"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_restored_solver_goes_on_with_the_same_bits(solver: str, how: str) -> None:
    """Oracle: the uninterrupted run."""
    clipping = Clipping("l2norm", 4.2)
    through = weights(torch.float32)
    whole = make(solver, grouped(through), clipping)
    train(whole, through, steps=7)
    if how == "deepcopy":
        resumed, optimizer = copy.deepcopy((through, whole))
        optimizer = copy.deepcopy(whole, {id(value): resumed[name] for name, value in through.items()})
    else:
        resumed = {name: torch.nn.Parameter(value.detach().clone()) for name, value in through.items()}
        optimizer = make(solver, grouped(resumed), clipping)
        state = copy.deepcopy(whole.state_dict())  # torch loads tensors without copying them
        if how == "file":
            file = io.BytesIO()
            torch.save(state, file)
            file.seek(0)
            state = torch.load(file, weights_only=True)
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0]["iteration"] == 7 and optimizer.clipping == clipping
    for parameters, each in ((through, whole), (resumed, optimizer)):
        train(each, parameters, steps=5)
    assert all(torch.equal(through[name], resumed[name]) for name in SHAPES)


def test_a_closure_is_called_with_gradients_and_its_loss_returned() -> None:
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = SGDM([weight], lr=0.25, momentum=0.0)

    def closure() -> float:
        optimizer.zero_grad()
        value = (weight**2).sum()
        torch.autograd.backward(value)
        return value.item()

    assert optimizer.step(closure) == 1.0
    assert weight.item() == 0.5


def test_a_group_that_joins_later_has_the_others_iteration() -> None:
    """MATLAB's iteration counter is global. Oracle: Adam's first step of a parameter at t = 3, by hand from the formula."""
    early, late = (torch.nn.Parameter(torch.zeros(1, dtype=torch.float64)) for _ in range(2))
    early.grad, late.grad = torch.ones_like(early), torch.ones_like(late)
    optimizer = Adam([early], lr=1.0, betas=(0.9, 0.999), eps=1e-8)
    optimizer.step()
    optimizer.step()
    optimizer.add_param_group({"params": [late]})
    optimizer.step()
    by_hand = -math.sqrt(1 - 0.999**3) / (1 - 0.9**3) * 0.1 / (math.sqrt(0.001) + 1e-8)
    assert late.item() == pytest.approx(by_hand, rel=1e-12)


def test_a_parameter_without_gradient_is_left_alone() -> None:
    parameters = weights()
    optimizer = make("sgdm", grouped(parameters), Clipping("global-l2norm", 1.0))
    before = {name: value.detach().clone() for name, value in parameters.items()}
    parameters["u"].grad = torch.ones_like(parameters["u"])
    optimizer.step()
    assert [name for name in SHAPES if not torch.equal(parameters[name], before[name])] == ["u"]


@pytest.mark.parametrize("solver", SOLVERS)
def test_what_is_kept_from_step_to_step_follows_gradients_factors_and_state(solver: str) -> None:
    """Oracle: the same steps by a solver that gathers everything anew."""
    solvers = []
    for keeps in (True, False):
        tensors = [torch.nn.Parameter(torch.full((3, 2), float(number))) for number in range(1, 5)]
        groups = [{"params": tensors[:2]}, {"params": tensors[2:], "lr_factor": 2.0}]
        each = make(solver, groups)
        for number in range(12):
            for index, tensor in enumerate(tensors):
                missing = (number, index) in {(0, 1), (4, 0), (4, 3), (5, 2), (9, 0)}
                tensor.grad = None if missing else torch.full((3, 2), math.sin(number + index))
            if number == 6:
                each.param_groups[1]["lr_factor"] = 0.5
            if number == 7:
                each.load_state_dict(copy.deepcopy(each.state_dict()))
            if number == 8:
                each.param_groups[0]["l2_factor"] = (1.0, 0.0, 2.0)
            if number == 10:
                each.add_param_group({"params": [torch.nn.Parameter(torch.ones(1))]})
            if not keeps:
                each._kept = None
            each.step()
        solvers.append(tensors)
    assert all(torch.equal(one, other) for one, other in zip(*solvers, strict=True))


def test_torch_schedulers_act_on_the_base_rate() -> None:
    """By hand: momentum 0, gradient 1, factor 2; rates 1 and 0.1 move the weight by 2 and 0.2."""
    weight = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = SGDM([{"params": [weight], "lr_factor": 2.0}], lr=1.0, momentum=0.0)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.1)
    for _ in range(2):
        weight.grad = torch.ones_like(weight)
        optimizer.step()
        scheduler.step()
    assert weight.item() == pytest.approx(-2.2, rel=1e-15)


@pytest.mark.parametrize(
    "wrong",
    [{"lr_factor": (1.0, 2.0, 3.0)}, {"lr_factor": (1.0,) * 4, "l2_factor": (1.0,) * 2}, {"lr": -1.0}, {"l2": -1.0}],
)
def test_groups_that_make_no_sense_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        make("sgdm", [{"params": [torch.nn.Parameter(torch.zeros(8, 2))], **wrong}])


def test_what_no_solver_can_do_is_refused() -> None:
    with pytest.raises(UsageError):
        Clipping("l1norm", 1.0)
    with pytest.raises(UsageError):
        Clipping("l2norm", 0.0)
    with pytest.raises(UsageError):
        make("adam-C", [{"params": [torch.nn.Parameter(torch.zeros(1))]}])
    embedding = torch.nn.Embedding(4, 2, sparse=True)
    embedding(torch.tensor([1])).sum().backward()
    with pytest.raises(UnsupportedError):
        make("sgdm", [{"params": list(embedding.parameters())}]).step()
