"""Why a run does not give MATLAB's log number by number: its recipe is trained again, changed in one thing at a time.

How far rounding alone may take two trainings apart is measured, not guessed: by a training whose learn rate is wrong by
a millionth.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.data.expected import lacking
from bridge.network import Network
from bridge.options.options import TRAINERS, Semantics
from bridge.parity.causes.diagnosis import Cause, Diagnosis
from bridge.recipes.kept import started
from bridge.recipes.parts import Rng
from bridge.recipes.preparation import count, network_and_data, order_in
from bridge.recipes.recipe import Recipe
from bridge.tables.layers import table
from bridge.training.train import train

ITERATIONS = 50  # that are trained again, at most
BEYOND = 4  # iterations after the first that differs, on which each cause is tried
WRONG = 1e-6  # of the learn rate, where rounding is measured
TIMES = 10.0  # as much as that, MATLAB's rounding may take its numbers away
ROUNDED = 5e-6  # of a loss: what single precision leaves of a sum over layers and observations
SEEDS, SKIPS = (*range(1, 11), 42, 100, 123, 1234), range(1, 21)  # that scripts have; that sessions had drawn before
EPSILONS = (1e-10, 1e-7, 1e-6)
Losses = Mapping[str, NDArray]  # columns of a log, a value for each iteration, NaN where it has none


@dataclass(frozen=True)
class Change:
    """What may be otherwise in MATLAB.

    Attributes:
        name: the kind of cause.
        text: what is otherwise.
        recipe, network: what becomes of them.
        scale: of the losses that are logged.
    """

    name: str
    text: str
    recipe: Callable[[Recipe], Recipe] = field(default=lambda recipe: recipe)
    network: Callable[[Network], Network] = field(default=lambda network: network)
    scale: float = 1.0


@dataclass
class Run:
    """A run that can be trained again.

    Attributes:
        recipe: that it was started with.
        given: what else it was given.
    """

    recipe: Recipe
    given: Mapping[str, Any]

    @staticmethod
    def of(folder: Path) -> Run:
        """Return the run in a folder.

        Raises:
            UsageError: it keeps no recipe.
        """
        return Run(*started(folder))

    @cached_property
    def base(self) -> Network:
        """The network that the recipe starts from."""
        return self.recipe.load_base(self.given.get("factors"))

    @cached_property
    def prepared(self) -> tuple[Network, Any]:
        """The network before its values are drawn, and the training data."""
        net, (data, _) = network_and_data(self.recipe, self.base, None, self.recipe.rng.stream())
        return net, data

    def losses(self, change: Change, iterations: int) -> Losses:
        """Return the log of the first iterations of a training with one thing changed."""
        recipe = change.recipe(self.recipe)
        recipe = recipe.with_options(
            Verbose=False, Plots="none", CheckpointPath="", OutputFcn=lambda row: row["Iteration"] >= iterations
        )
        stream, order = recipe.rng.stream(), self.given.get("order")
        net, (data, held) = network_and_data(recipe, self.base, None, stream)
        info = train(
            change.network(net),
            data,
            recipe.options_for(count(data)),
            loss=recipe.loss.name or None,
            class_weights=recipe.loss.class_weights or None,
            validation=held,
            order=None if order is None else order_in(Path(order)),
            rng=stream,
        )
        names = {name for row in info.rows for name in row if name.startswith(("Training", "Validation"))}
        return {name: info.column(name)[:iterations] * (change.scale if "Loss" in name else 1) for name in names}


def apart(ours: Losses, theirs: Losses) -> NDArray:
    """Return for each iteration how far two logs are apart, relative to the second; of several columns the furthest."""
    shared = [name for name in theirs if name in ours and name.endswith(("Loss", "RMSE"))]
    length = min((len(each[name]) for name in shared for each in (ours, theirs)), default=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows = [np.abs(ours[name][:length] - theirs[name][:length]) / np.abs(theirs[name][:length]) for name in shared]
    found: NDArray = np.nanmax([np.zeros(length), *rows], axis=0)
    return found


def rounding(run: Run, ours: Losses, iterations: int) -> NDArray:
    """Return how far rounding may take two trainings apart by the end of each iteration, relative to the loss."""
    option = "InitialLearnRate"
    wrong = Change("", "", lambda recipe: recipe.with_options(**{option: _options(recipe)[option] * (1 + WRONG)}))
    moved = apart(run.losses(wrong, iterations), ours)
    limit: NDArray = np.maximum.accumulate(TIMES * moved) + ROUNDED
    return limit


def diagnose(run: Run, ours: Losses, theirs: Losses, limit: NDArray, first: int) -> Diagnosis:
    """Try the known causes.

    Args:
        run: that is trained again.
        ours, theirs: the logs.
        limit: of `rounding`.
        first: the first iteration that differs, from 1.
    """
    few = min(first + BEYOND, len(limit))
    tried = [(each, _left(run, each, theirs, limit, few)) for each in changes(run, ours, theirs, first)]
    fitting = sorted(((left, at) for at, (_, left) in enumerate(tried) if left <= 1))
    for _, at in fitting:
        change = tried[at][0]
        whole = apart(run.losses(change, len(limit)), theirs)
        within = whole <= limit[: len(whole)]
        if within.all():
            others = tuple(tried[other][0].text for _, other in fitting if other != at)
            return Diagnosis(Cause(change.name, "", change.text, float(whole.max()), "", others[:2]), len(tried))
    return Diagnosis(None, len(tried))


def _left(run: Run, change: Change, theirs: Losses, limit: NDArray, few: int) -> float:
    """Return the largest difference that a change leaves, as a part of what rounding may leave."""
    found = apart(run.losses(change, few), theirs)
    return float((found / limit[: len(found)]).max(initial=0.0)) if len(found) else np.inf


def changes(run: Run, ours: Losses, theirs: Losses, first: int) -> Iterator[Change]:
    """Yield what may be otherwise, of what the recipe depends on."""
    if first == 1:
        yield from _streams(run.recipe.rng)
    yield from _orders(run.recipe)
    yield from _solver(run.recipe)
    yield from _decay(run)
    yield from _switches(run.recipe, lacking(run.prepared[0], run.recipe.trainer, run.recipe.loss.name))
    yield from _sums(run, ours, theirs)


def _streams(rng: Rng) -> Iterator[Change]:
    for seed in (0, *SEEDS):
        if seed != rng.seed:
            yield _begin("another seed", Rng(seed, rng.skip))
    for skip in (0, *SKIPS):
        if skip != rng.skip:
            yield _begin("another place in the stream", Rng(rng.seed, skip))


def _begin(name: str, rng: Rng) -> Change:
    start = f" after {rng.skip:,} doubles" if rng.skip else ""
    return Change(name, f"the stream begins at rng({rng.seed}){start}", lambda recipe: replace(recipe, rng=rng))


def _orders(recipe: Recipe) -> Iterator[Change]:
    for shuffle in table("training_options")["options"]["Shuffle"]["choices"]:
        if shuffle != _options(recipe)["Shuffle"]:
            yield _option("another order", Shuffle=shuffle)


def _solver(recipe: Recipe) -> Iterator[Change]:
    given = _options(recipe)
    for epsilon in EPSILONS if "Epsilon" in given else ():
        if epsilon != given["Epsilon"]:
            yield _option("epsilon", Epsilon=epsilon)
    if given["GradientThreshold"] != np.inf:
        for method in table("training_options")["options"]["GradientThresholdMethod"]["choices"]:
            if method != given["GradientThresholdMethod"]:
                yield _option("clipping", GradientThresholdMethod=method)


def _decay(run: Run) -> Iterator[Change]:
    if _options(run.recipe)["L2Regularization"]:
        yield Change("L2 on biases", "L2 regularization acts on every learnable, biases too", network=_decaying)
        yield _option("L2", L2Regularization=0)


def _decaying(network: Network) -> Network:
    for layer, name, each in network.learnables():
        if each.l2_factor == 0 and not each.frozen:
            network = network.set_l2_factor(layer.name, name, 1)
    return network


def _switches(recipe: Recipe, lacks: Collection[str]) -> Iterator[Change]:
    """Yield every other choice of a switch: Adam's form, clipping and L2, batch-norm statistics, orders of epochs."""
    rows = table("solvers")["semantics"]
    for name, row in rows.items():
        own = getattr(recipe.options.semantics, name)
        for choice in row["choices"] if recipe.options.depends_on(name, lacks) else ():
            if choice != own:
                yield _switched(name, choice)
    for trainer in TRAINERS:
        if trainer != recipe.trainer:
            mapping = {**recipe.options.to_mapping(), "trainer": trainer}
            yield Change("trainer", f"it is trained by {trainer}'s rules", partial(_with, mapping=mapping))


def _switched(name: str, choice: Any) -> Change:
    def change(recipe: Recipe) -> Recipe:
        options = recipe.options
        switches = {**options.semantics.overrides(), name: choice}
        return replace(recipe, options=replace(options, semantics=Semantics.of(options.trainer, switches)))

    return Change(name, f"{name} is {choice!r}", change)


def _sums(run: Run, ours: Losses, theirs: Losses) -> Iterator[Change]:
    """Yield losses and gradients that are so many times as large: sums instead of means, or the other way round."""
    ratio = float(theirs["TrainingLoss"][0] / ours["TrainingLoss"][0])
    for what, factor in _counts(run):
        for times in (factor, 1 / factor):
            text = f"{times:.6g} times as large ({what})"
            if abs(ratio - 1) < ROUNDED:
                yield Change("mean or sum", f"the gradient is {text}", partial(_scaled, times=times))
            elif abs(ratio / times - 1) < ROUNDED:
                yield Change("mean or sum", f"the loss that is logged is {text}", scale=times)
                yield Change("mean or sum", f"loss and gradient are {text}", partial(_scaled, times=times), scale=times)


def _counts(run: Run) -> Iterator[tuple[str, float]]:
    net, data = run.prepared
    yield "a half", 2.0
    yield "the observations of a mini-batch", float(min(run.recipe.options.MiniBatchSize, count(data)))
    elements = net.size_of(net.outputs[0]).elements
    if elements and elements > 1:
        yield "the elements of an output", float(elements)
    inputs = getattr(data, "inputs", None)
    if isinstance(inputs, (list, tuple)) and len(inputs) and getattr(inputs[0], "ndim", 0) == 2:
        yield "the time steps of the longest sequence", float(max(len(each) for each in inputs))


def _scaled(recipe: Recipe, times: float) -> Recipe:
    """Return a recipe whose gradients are so many times as large: to the solvers that is the rest the other way."""
    given = _options(recipe)
    names = {"L2Regularization": 1 / times, "GradientThreshold": 1 / times, "Epsilon": 1 / times}
    if "Epsilon" not in given:
        names = {**names, "InitialLearnRate": times}
    return recipe.with_options(**{name: given[name] * factor for name, factor in names.items() if name in given})


def _option(name: str, **value: Any) -> Change:
    ((option, setting),) = value.items()
    return Change(name, f"{option} is {setting!r}", lambda recipe: recipe.with_options(**value))


def _with(recipe: Recipe, mapping: Mapping[str, Any]) -> Recipe:
    return replace(recipe, options=type(recipe.options).from_mapping({**mapping, "semantics": {}}))


def _options(recipe: Recipe) -> dict[str, Any]:
    return {row.name: row.value for row in recipe.options.explain()}
