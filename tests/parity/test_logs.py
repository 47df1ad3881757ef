"""MATLAB's training log laid over ours: grids exactly, losses as samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bridge.errors import UnreadableError
from bridge.parity.logs import check_log, read_log
from tests.shell import Command

COUNT = 400


def info(seed: int, level: float = 1.0, rate: float = 0.01, every: int = 50, count: int = COUNT) -> dict[str, Any]:
    """A log as trainNetwork returns it: losses that fall with noise, validated at 1, every 50 and the last iteration."""
    rng, at = np.random.default_rng(seed), np.arange(count)
    loss = level * np.exp(-at / 150) * np.exp(rng.normal(0, 0.3, count))
    validation = np.full(count, np.nan)
    validation[[0, *range(every - 1, count, every), count - 1]] = 0.5
    rates = rate * 0.1 ** (at // 200)
    return {
        "TrainingLoss": loss[None],
        "ValidationLoss": validation[None],
        "BaseLearnRate": rates[None],
        "FinalValidationLoss": 0.5,
    }


def pair(folder: Path, ours: dict[str, Any], theirs: dict[str, Any]) -> Any:
    savemat(folder / "ours.mat", {"info": ours})
    savemat(folder / "theirs.mat", {"info": theirs})
    return check_log(folder / "ours.mat", folder / "theirs.mat")


def test_two_runs_in_another_order_agree(tmp_path: Path) -> None:
    """No false alarm in forty pairs of logs of the same curve with other noise."""
    for seed in range(40):
        found = pair(tmp_path, info(seed), info(1000 + seed))
        assert found.passed, found.verdict


def test_losses_that_depend_on_those_before_them_raise_no_alarm(tmp_path: Path) -> None:
    """By hand: noise of which half stays from one iteration to the next moves a mean 1.7 times as far as independent noise."""
    for seed in range(60):
        logs = [info(seed), info(seed)]
        for number, log in enumerate(logs):
            noise, held = np.random.default_rng([seed, number]).normal(0, 0.2, COUNT), 0.0
            for at in range(COUNT):
                noise[at] = held = 0.5 * held + noise[at]
            log["TrainingLoss"] = (np.exp(-np.arange(COUNT) / 150) * np.exp(noise))[None]
        assert pair(tmp_path, *logs).passed, seed


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"count": 399}, "number of iterations: 399 iterations, expected 400"),
        (
            {"every": 40},
            "moments of ValidationLoss: 1, 40, 80, 120, 160, 200, ..., expected 1, 50, 100, 150, 200, 250, ...",
        ),
        ({"rate": 0.011}, "learn rate from iteration 1 on"),
        ({"level": 1.6}, "TrainingLoss of iterations 1 to 40"),
    ],
)
def test_the_part_that_differs_is_named(changed: dict[str, Any], part: str, tmp_path: Path) -> None:
    found = pair(tmp_path, info(0, **changed), info(1))
    assert not found.passed and found.verdict.startswith(f"FIRST DIVERGENCE {part}"), found.verdict


def test_a_schedule_that_drops_late_is_told_by_its_iteration(tmp_path: Path) -> None:
    ours = info(0)
    ours["BaseLearnRate"][0, 200:210] = 0.01
    assert "learn rate from iteration 201 on" in pair(tmp_path, ours, info(1)).verdict


def test_the_log_of_trainnet_is_read(tmp_path: Path) -> None:
    tall = {name: np.arange(1.0, 6.0)[:, None] for name in ("Iteration", "Epoch", "LearnRate", "Loss", "Accuracy")}
    validation = {"Iteration": np.array([[0.0], [5.0]]), "Loss": np.array([[3.0], [2.0]])}
    savemat(
        tmp_path / "info.mat",
        {"info": {"TrainingHistory": tall, "ValidationHistory": validation, "StopReason": "Max epochs completed"}},
    )
    log = read_log(tmp_path / "info.mat")
    assert log.iterations == 5 and set(log.columns) == {
        "BaseLearnRate",
        "TrainingLoss",
        "TrainingAccuracy",
        "ValidationLoss",
    }
    np.testing.assert_array_equal(
        log.columns["ValidationLoss"], [np.nan] * 4 + [2.0]
    )  # the one before the training has no iteration


def test_the_command_takes_the_folder_of_a_run(tmp_path: Path, command: Command) -> None:
    (tmp_path / "run").mkdir()
    savemat(tmp_path / "run" / "info.mat", {"info": info(0)})
    savemat(tmp_path / "info.mat", {"info": info(1)})
    ran = command("check", tmp_path / "run", "--log", tmp_path / "info.mat")
    assert not ran.code and ran.out.splitlines()[-1].startswith("PASSED 13 parts")


def test_what_is_no_log_is_refused(tmp_path: Path) -> None:
    savemat(tmp_path / "data.mat", {"x": 1.0})
    with pytest.raises(UnreadableError, match="no training log"):
        read_log(tmp_path / "data.mat")
