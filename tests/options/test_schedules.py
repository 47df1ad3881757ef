"""Schedules, by hand. The oracle of every number is the formula in the docstring, worked out on paper."""

from __future__ import annotations

import math
from typing import Any

import pytest

from bridge.errors import UsageError
from bridge.options.options import TrainingOptions, training_options
from bridge.options.schedules import rate
from bridge.options.values import schedule


def rates(value: Any, iterations: int, per_epoch: int = 1, counting: str = "k", **names: Any) -> list[float]:
    options = training_options(
        "sgdm",
        InitialLearnRate=1,
        LearnRateSchedule=value,
        trainer="trainnet",
        semantics={"schedule_counting": counting},
        **names,
    )
    return [rate(options, iteration, per_epoch) for iteration in range(1, iterations + 1)]


def close(wanted: list[float]) -> Any:
    return pytest.approx(wanted, rel=1e-14)


def test_none_is_constant() -> None:
    assert rates("none", 3) == [1, 1, 1]


def test_piecewise_drops_from_epoch_period_plus_1() -> None:
    """lr0 * f^floor((epoch-1)/P) with P = 2, f = 0.5 and three iterations an epoch."""
    drops: dict[str, Any] = {"LearnRateDropFactor": 0.5, "LearnRateDropPeriod": 2}
    wanted = [1] * 6 + [0.5] * 6 + [0.25] * 3
    assert rates("piecewise", 15, per_epoch=3, **drops) == wanted
    assert rates(schedule("piecewiseLearnRate", DropFactor=0.5, Period=2), 15, per_epoch=3) == wanted


def test_piecewise_by_default_is_a_tenth_every_10_epochs() -> None:
    assert rates("piecewise", 21)[9::11] == close([1, 0.01])
    assert rates("piecewise", 11)[10] == pytest.approx(0.1, rel=1e-14)


def test_piecewise_by_iteration() -> None:
    stage = schedule("piecewiseLearnRate", DropFactor=0.5, Period=2, FrequencyUnit="iteration")
    assert rates(stage, 5, per_epoch=3) == [1, 1, 0.5, 0.5, 0.25]


@pytest.mark.parametrize(("counting", "wanted"), [("k", [0.5, 0.25, 0.125, 0.0625]), ("k-1", [1, 0.5, 0.25, 0.125])])
def test_exponential(counting: str, wanted: list[float]) -> None:
    """DropFactor^(k/Period): 0.25^(k/2)."""
    stage = schedule("exponentialLearnRate", DropFactor=0.25, Period=2)
    assert rates(stage, 4, counting=counting) == close(wanted)


@pytest.mark.parametrize(
    ("counting", "wanted"), [("k", [0.65, 0.4, 0.25, 0.2]), ("k-1", [1, 0.2 + 0.8 * 4 / 9, 0.2 + 0.8 / 9, 0.2])]
)
def test_polynomial(counting: str, wanted: list[float]) -> None:
    """final + (initial-final)*(1-k/N)^2 with 1, 0.2 and N = 4; it holds its last value."""
    stage = schedule("polynomialLearnRate", FinalFactor=0.2, Power=2, NumSteps=4)
    assert rates(stage, 6, counting=counting) == close([*wanted, 0.2, 0.2])


@pytest.mark.parametrize(("counting", "wanted"), [("k", [0.7, 0.4, 0.7, 0.4]), ("k-1", [1, 0.4, 1, 0.4])])
def test_cosine_restarts(counting: str, wanted: list[float]) -> None:
    """final + (initial-final)*(1+cos(pi k/P))/2 with 1, 0.4 and P = 2: the cosine is 0, -1."""
    stage = schedule("cosineLearnRate", FinalFactor=0.4, Period=2)
    assert rates(stage, 4, counting=counting) == close(wanted)


def test_cosine_periods_grow() -> None:
    """P = 1, then 3: cos(pi/3) = 1/2, cos(2pi/3) = -1/2."""
    stage = schedule("cosineLearnRate", FinalFactor=0.2, Period=1, PeriodGrowthFactor=3)
    assert rates(stage, 4) == close([0.2, 0.8, 0.4, 0.2])
    without_restart = schedule("cosineLearnRate", FinalFactor=0.2, Period=2, PeriodGrowthFactor=math.inf)
    assert rates(without_restart, 2) == close([0.6, 0.2])


@pytest.mark.parametrize("word", ["cosine", "polynomial"])
def test_the_word_alone_ends_with_the_training(word: str) -> None:
    """FinalFactor 1e-5 at the last epoch; half way the cosine is at (1+1e-5)/2, and so is the straight line."""
    found = rates(word, 8, per_epoch=2, MaxEpochs=4)
    assert found[2:4] == close([(1 + 1e-5) / 2] * 2)
    assert found[6:] == close([1e-5] * 2)


@pytest.mark.parametrize(("counting", "wanted"), [("k", [2, 3, 2, 1, 2]), ("k-1", [1, 2, 3, 2, 1])])
def test_cyclical_rises_and_falls(counting: str, wanted: list[float]) -> None:
    """1 to MaxFactor 3 and back in 4 steps."""
    assert rates(schedule("cyclicalLearnRate", MaxFactor=3, Period=4), 5, counting=counting) == close(wanted)


def test_cyclical_step_ratio() -> None:
    """Up in one step of four, down in three: 1 + 3*(1, 2/3, 1/3, 0)."""
    assert rates(schedule("cyclicalLearnRate", MaxFactor=4, Period=4, StepRatio=0.25), 4) == close([4, 3, 2, 1])


@pytest.mark.parametrize(
    ("counting", "wanted"), [("k", [0.28, 0.46, 0.64, 0.82, 1, 1]), ("k-1", [0.1, 0.325, 0.55, 0.775, 1, 1])]
)
def test_warmup_by_default(counting: str, wanted: list[float]) -> None:
    """From 0.1 to 1 in 5 iterations, in the middle of an epoch too."""
    assert rates("warmup", 6, per_epoch=4, counting=counting) == close(wanted)


def test_the_next_schedule_of_a_chain_starts_anew() -> None:
    """Documented: after the warm-up of 5 iterations, iteration 15 is step 10 of the next. 0.5^10 there."""
    after = schedule("exponentialLearnRate", DropFactor=0.5, Period=1, FrequencyUnit="iteration")
    found = rates(["warmup", after], 15, per_epoch=100)
    assert found[4:6] == close([1, 0.5])
    assert found[14] == pytest.approx(0.5**10, rel=1e-14)


def test_a_warmup_of_epochs_is_followed_by_a_schedule_of_iterations() -> None:
    """Two epochs of 2 iterations (0.5, 1), then halved every iteration from its third step on."""
    first = schedule("warmupLearnRate", InitialFactor=1e-9, NumSteps=2, FrequencyUnit="epoch")
    then = schedule("piecewiseLearnRate", DropFactor=0.5, Period=2, FrequencyUnit="iteration")
    assert rates([first, then], 8, per_epoch=2) == pytest.approx([0.5, 0.5, 1, 1, 1, 1, 0.5, 0.5], rel=1e-8)


def test_a_schedule_of_epochs_begins_inside_an_epoch() -> None:
    """Warm-up ends at iteration 5 of epochs of 4: epoch 2 is then the first of the next schedule."""
    then = schedule("piecewiseLearnRate", DropFactor=0.5, Period=1)
    assert rates(["warmup", then], 16, per_epoch=4)[5:] == close([1] * 3 + [0.5] * 4 + [0.25] * 4)


def test_schedules_of_finite_length_end_one_after_the_other() -> None:
    """By hand, two iterations an epoch: a warm-up in epochs 1 and 2, a line from 1 to 0.5 in epochs 3 and 4, then a drop to 0.1
    after each epoch; the line begins at k = 1, half of the way down.
    """
    warm = schedule("warmupLearnRate", InitialFactor=1e-9, NumSteps=2, FrequencyUnit="epoch")
    line = schedule("polynomialLearnRate", FinalFactor=0.5, NumSteps=2)
    drop = schedule("piecewiseLearnRate", DropFactor=0.1, Period=1)
    wanted = [0.5, 1, 0.75, 0.5, 1, 0.1]
    assert rates([warm, line, drop], 12, per_epoch=2) == pytest.approx(
        [each for each in wanted for _ in range(2)], rel=1e-8
    )
    line = schedule("polynomialLearnRate", FinalFactor=0.5, NumSteps=4, FrequencyUnit="iteration")
    assert rates([warm, line, drop], 12, per_epoch=2)[4:] == pytest.approx(
        [0.875, 0.75, 0.625, 0.5, 1, 1, 0.1, 0.1], rel=1e-8
    )


def test_a_cosine_after_a_warmup_still_ends_with_the_training() -> None:
    first = schedule("warmupLearnRate", NumSteps=2, FrequencyUnit="epoch")
    found = rates([first, "cosine"], 6, MaxEpochs=6)
    assert found[1] == 1 and found[3] == pytest.approx((1 + 1e-5) / 2) and found[5] == pytest.approx(1e-5)


def test_the_base_rate_multiplies() -> None:
    options = training_options("adam", InitialLearnRate=3e-4, LearnRateSchedule="piecewise", LearnRateDropPeriod=1)
    assert [rate(options, 1, 2), rate(options, 3, 2)] == close([3e-4, 3e-5])


@pytest.mark.parametrize(("iteration", "per_epoch"), [(0, 1), (1, 0)])
def test_counts_begin_at_1(iteration: int, per_epoch: int) -> None:
    with pytest.raises(UsageError):
        rate(training_options("sgdm"), iteration, per_epoch)


def test_a_line_search_has_no_rate() -> None:
    options: TrainingOptions = training_options("lbfgs")
    with pytest.raises(UsageError, match="lbfgs"):
        rate(options, 1, 1)
