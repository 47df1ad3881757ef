"""Learning-rate schedules: the base rate of each iteration, in double precision, as MATLAB logs it (BaseLearnRate).

Formulas: MathWorks' pages of trainingOptions and of the six schedule objects. That the first step has the initial
factor, the last one the final factor, and that the next schedule of a chain starts anew is documented; the switch
`schedule_counting` has the other reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from bridge.errors import UsageError
from bridge.options.options import TrainingOptions
from bridge.options.values import Schedule, schedule_of
from bridge.tables.registry import Registry

FACTORS: Registry[Callable[[Schedule, int, str], float]] = Registry("schedule")  # of the base rate, at a step


def rate(options: TrainingOptions, iteration: int, iterations_per_epoch: int) -> float:
    """Return the base learning rate of an iteration, before the factors of the learnables.

    Args:
        options: InitialLearnRate, LearnRateSchedule (with its drop options) and MaxEpochs count.
        iteration: 1 is the first of the training.
        iterations_per_epoch: the epoch of the iteration follows from it.

    Raises:
        UsageError: the counts are not positive, or the solver has no learning rate.

    Example:
        >>> from bridge.options.options import training_options
        >>> drops = {"LearnRateDropPeriod": 2, "LearnRateDropFactor": 0.5}
        >>> options = training_options("sgdm", LearnRateSchedule="piecewise", **drops)
        >>> [rate(options, iteration, 1) for iteration in (1, 2, 3, 4, 5)]
        [0.01, 0.01, 0.005, 0.005, 0.0025]
    """
    if iteration < 1 or iterations_per_epoch < 1:
        raise UsageError(f"iteration {iteration} of {iterations_per_epoch} per epoch", "both count from 1")
    if not options.schedules:
        raise UsageError(f"{options.solver!r} has no learning rate schedule", "it searches its step")
    base: float = options.InitialLearnRate
    factor, consumed = 1.0, 0
    for item in options.schedules:
        if item == "none":
            break
        stage = _object(item, options, consumed, iterations_per_epoch)
        step = _step(stage, iteration, consumed, iterations_per_epoch)
        steps = step if stage.goes_on else stage.NumSteps
        factor = FACTORS[stage.name](stage, min(step, steps), options.semantics.schedule_counting)
        if step <= steps:
            break
        consumed = _end(stage, consumed, iterations_per_epoch)
    return base * factor


def _object(item: str | Schedule, options: TrainingOptions, consumed: int, per_epoch: int) -> Schedule:
    if isinstance(item, Schedule):
        return item
    if item == "piecewise":
        return Schedule(
            "piecewiseLearnRate", (("DropFactor", options.LearnRateDropFactor), ("Period", options.LearnRateDropPeriod))
        )
    left = {"epoch": options.MaxEpochs - consumed // per_epoch, "iteration": options.MaxEpochs * per_epoch - consumed}
    return schedule_of(item, {unit: max(steps, 1) for unit, steps in left.items()})


def _step(stage: Schedule, iteration: int, consumed: int, per_epoch: int) -> int:
    """Return the step of a schedule whose first iteration is `consumed + 1`; the epoch that holds it is epoch 1."""
    if stage.FrequencyUnit == "iteration":
        return iteration - consumed
    return (iteration - 1) // per_epoch - consumed // per_epoch + 1


def _end(stage: Schedule, consumed: int, per_epoch: int) -> int:
    """Return the iteration with which a schedule of finite length ends."""
    steps: int = stage.NumSteps
    return consumed + steps if stage.FrequencyUnit == "iteration" else (consumed // per_epoch + steps) * per_epoch


def _progress(step: float, steps: float, counting: str) -> float:
    """Return how far a schedule has gone, 1 at its last step."""
    if counting == "k":
        return step / steps
    return (step - 1) / (steps - 1) if steps > 1 else 1.0


@FACTORS("piecewiseLearnRate")
def _piecewise(stage: Schedule, step: int, counting: str) -> float:
    return float(stage.DropFactor ** ((step - 1) // stage.Period))


@FACTORS("exponentialLearnRate")
def _exponential(stage: Schedule, step: int, counting: str) -> float:
    return float(stage.DropFactor ** ((step if counting == "k" else step - 1) / stage.Period))


@FACTORS("polynomialLearnRate")
def _polynomial(stage: Schedule, step: int, counting: str) -> float:
    left = (1 - _progress(step, stage.NumSteps, counting)) ** stage.Power
    return float(stage.FinalFactor + (stage.InitialFactor - stage.FinalFactor) * left)


@FACTORS("cosineLearnRate")
def _cosine(stage: Schedule, step: int, counting: str) -> float:
    period, within = float(stage.Period), float(step)
    while within > period:
        within -= period
        period *= stage.PeriodGrowthFactor
    left = (1 + math.cos(math.pi * _progress(within, period, counting))) / 2
    return float(stage.FinalFactor + (stage.InitialFactor - stage.FinalFactor) * left)


@FACTORS("cyclicalLearnRate")
def _cyclical(stage: Schedule, step: int, counting: str) -> float:
    within = (step if counting == "k" else step - 1) % stage.Period
    rising = stage.StepRatio * stage.Period
    height = within / rising if within <= rising else (stage.Period - within) / (stage.Period - rising)
    return float(1 + (stage.MaxFactor - 1) * height)


@FACTORS("warmupLearnRate")
def _warmup(stage: Schedule, step: int, counting: str) -> float:
    return float(
        stage.InitialFactor + (stage.FinalFactor - stage.InitialFactor) * _progress(step, stage.NumSteps, counting)
    )
