"""From a probe to a profile. The probe's numbers are those of bridgeProbe.m, worked out by hand under one choice or the other."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from bridge.commands import main
from bridge.errors import UnreadableError, UsageError
from bridge.options.options import training_options
from bridge.options.profile import TrainingProfile
from bridge.parity.calibration import calibrate

INPUTS = np.reshape([0.9, 0.1, 0.6, 0.4, 0.3, 0.7, 0.8, 0.2, 0.5, 0.5, 0.25, 0.75], (2, 3, 2), order="F")
TARGETS = np.reshape([1, 0, 0, 1, 0, 1, 1, 0, 0, 1, 1, 0], (2, 3, 2), order="F")
PICKED = (0.9, 0.4, 0.7, 0.8, 0.5, 0.25)  # the probability of the true class, observation by observation, step by step


def answer(question: int, values: dict[str, Any], error: str = "") -> dict[str, Any]:
    return {"Question": float(question), "Values": values, "Error": error}


def statistics(stored: float, variance: float, mean: float, word: str) -> dict[str, Any]:
    """Four elements 1, 2, 3, 6 on stored statistics [10, 4]."""
    return {
        "Elements": np.array([[1.0, 2, 3, 6]]), "Stored": np.array([[10.0, stored]]), "BatchNormalizationStatistics": word,
        "TrainedMean": mean, "TrainedVariance": variance,
    }  # fmt: skip


def saved(path: Path, answers: dict[str, Any]) -> Path:
    """A probe.mat with some answers."""
    probe = {
        "Format": "bridge.probe/1",
        "Release": "2024b",
        "Toolbox": "24.2",
        "Hardware": {"Architecture": "glnxa64", "Threads": 1.0, "Environment": "cpu", "GPU": ""},
        "Answers": answers,
    }
    savemat(path, {"probe": probe}, long_field_names=True)
    return path


def write(path: Path, form: str, counts: bool) -> Path:
    """A probe of a release with Adam's form A or B, of which one choice of every switch is true, or the other."""
    step = {"A": 1e-3 * 1e-6 / (1e-6 + 1e-8), "B": 1e-3 * math.sqrt(0.001) * 1e-6 / (math.sqrt(0.001) * 1e-6 + 1e-8)}[
        form
    ]
    entropy = -sum(map(math.log, PICKED))
    squares = float(((INPUTS - TARGETS)[:, :, 0] ** 2).sum())
    exponential = [0.5 ** ((k if counts else k - 1) / 2) for k in range(1, 13)]
    answers = {
        "AdamUpdate": answer(1, {"Parameter": 1.0, "Gradients": np.array([[1e-6, 1e-3]]), "Updated": np.array([[1 - step, 0.9]])}),
        "DecayAndClipping": answer(3, {
            "Weight": 2.0, "LossGradient": 2.0, "L2Regularization": 0.5, "GradientThreshold": 1.0, "InitialLearnRate": 0.1,
            "Updated": np.full((1, 3), 1.9 if counts else 1.8),
        }),
        "FrozenInGlobalNorm": answer(3, {
            "FrozenGradient": 3.0, "Gradient": 1.0, "GradientThreshold": 1.0, "InitialLearnRate": 0.1, "Weight": 0.0,
            "Bias": -0.1 / math.sqrt(10) if counts else -0.1,
        }),
        "TrainnetSequenceCrossentropy": answer(4, {"Inputs": INPUTS, "Targets": TARGETS, "TrainingHistory": {"Loss": entropy / (3 if counts else 6)}}),
        "TrainnetMse": answer(4, {"Inputs": INPUTS, "Targets": TARGETS, "TrainingHistory": {"RMSE": math.sqrt(squares / (3 if counts else 6))}}),
        "DefaultStored": answer(5, statistics(4, 3.5, 3 if counts else 9.3, "auto")),
        "TrainnetMovingStored": answer(5, statistics(4, 3.6 + 0.1 * (3.5 if counts else 14 / 3), 9.3, "moving")),
        "Exponential": answer(6, {"InitialLearnRate": 1.0, "LearnRates": np.array([exponential]),
                                  "Schedule": {"Class": "exponentialLearnRate", "Properties": {"DropFactor": 0.5, "Period": 2.0}}}),
        "Cyclical": answer(6, {}, "Undefined function 'cyclicalLearnRate'"),
    }  # fmt: skip
    return saved(path, answers)


EXPECTED = {
    ("A", True): {
        "adam_epsilon": "A",
        "l2_before_clipping": True,
        "frozen_in_global_norm": True,
        "batchnorm_auto": "population",
    },
    ("B", False): {
        "adam_epsilon": "B",
        "l2_before_clipping": False,
        "frozen_in_global_norm": False,
        "batchnorm_auto": "moving",
    },
}
EXPECTED_TRAINNET = {
    ("A", True): {
        "adam_epsilon": "A",
        "crossentropy_over": "observations",
        "rmse_over": "observations",
        "batchnorm_variance": "biased",
        "schedule_counting": "k",
    },
    ("B", False): {
        "adam_epsilon": "B",
        "crossentropy_over": "elements",
        "rmse_over": "elements",
        "batchnorm_variance": "unbiased",
        "schedule_counting": "k-1",
    },
}


@pytest.mark.parametrize("case", EXPECTED)
def test_every_choice_is_recognised(case: tuple[str, bool], tmp_path: Path) -> None:
    found = calibrate(write(tmp_path / "probe.mat", *case))
    assert found.overrides("trainNetwork") == EXPECTED[case]
    assert found.overrides("trainnet") == EXPECTED_TRAINNET[case]
    assert set(found.failed) == {"Cyclical"} and "patience_resets" in found.open


def test_the_published_adam_value_is_form_b(tmp_path: Path) -> None:
    """adamupdate(1, 1e-6, [], [], 1) is 0.99924 under form B and 0.99901 under A."""
    for form, value in (("B", 0.99924), ("A", 0.99901)):
        found = calibrate(write(tmp_path / f"{form}.mat", form, True))
        assert found.overrides("trainnet")["adam_epsilon"] == form
        step = {"A": 1e-6 / (1e-6 + 1e-8), "B": math.sqrt(1e-3) * 1e-6 / (math.sqrt(1e-3) * 1e-6 + 1e-8)}[form]
        assert round(1 - 1e-3 * step, 5) == value


@pytest.mark.parametrize(("off", "settles"), [(2e-6, True), (1e-4, False), (2e-3, False)])
def test_a_choice_is_settled_within_single_precision(off: float, settles: bool, tmp_path: Path) -> None:
    """MATLAB answers in single precision: a choice that is off by more than its rounding is not what it does."""
    from scipy.io import loadmat

    path = write(tmp_path / "probe.mat", "A", True)
    probe = loadmat(path, simplify_cells=True)["probe"]
    probe["Answers"]["FrozenInGlobalNorm"]["Values"]["Bias"] *= 1 + off
    savemat(path, {"probe": probe}, long_field_names=True)
    assert ("frozen_in_global_norm" in calibrate(path).overrides("trainNetwork")) == settles


def test_a_number_that_no_choice_gives_settles_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "probe.mat", "A", True)
    from scipy.io import loadmat

    probe = loadmat(path, simplify_cells=True)["probe"]
    probe["Answers"]["FrozenInGlobalNorm"]["Values"]["Bias"] = -0.05
    savemat(path, {"probe": probe}, long_field_names=True)
    found = calibrate(path)
    assert "frozen_in_global_norm" not in found.overrides("trainNetwork")
    assert any(each.value is None and "MATLAB -0.05" in each.told for each in found.answers)


def test_a_profile_sets_the_switches_of_a_run(tmp_path: Path) -> None:
    found = calibrate(write(tmp_path / "probe.mat", "A", True))
    profile = TrainingProfile.load(found.save(tmp_path / "profile.toml"))
    options = profile.apply(training_options("adam", trainer="trainnet"))
    assert (
        options.profile == "R2024b"
        and options.semantics.adam_epsilon == "A"
        and options.semantics.crossentropy_over == "observations"
    )
    assert any("R2024b has settled" in note and "adam_epsilon" in note for note in options.notes())
    assert not any("adam_epsilon" in note and "unconfirmed" in note for note in options.notes())
    with pytest.raises(UsageError, match="exists"):
        found.save(tmp_path / "profile.toml")


def test_a_switch_that_was_set_by_hand_stays(tmp_path: Path) -> None:
    (tmp_path / "profile.toml").write_text(
        'schema = "bridge.profile/1"\nname = "R2024b"\n[trainnet]\nadam_epsilon = "B"\nrmse_over = "elements"\n'
    )
    by_hand = training_options("adam", trainer="trainnet", semantics={"adam_epsilon": "A"})
    options = TrainingProfile.load(tmp_path / "profile.toml").apply(by_hand)
    assert options.semantics.adam_epsilon == "A" and options.semantics.rmse_over == "elements"
    assert any("adam_epsilon = 'A', MATLAB's is 'B'" in note for note in options.notes())


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    probe, profile = write(tmp_path / "probe.mat", "B", False), tmp_path / "profile.toml"
    monkeypatch.setattr(sys, "argv", ["bridge", "calibrate", str(probe), "-o", str(profile), "--json"])
    with pytest.raises(SystemExit) as stop:
        main()
    facts = json.loads(capsys.readouterr().out)
    assert not stop.value.code and facts["schema"] == "bridge.calibrate/1" and facts["name"] == "R2024b"
    assert facts["settled"]["trainnet"]["schedule_counting"] == "k-1" and profile.is_file()


@pytest.mark.parametrize("content", [{"probe": 3.0}, {"probe": {"Format": "bridge.probe/1"}}])
def test_what_is_no_probe_is_refused(content: dict[str, Any], tmp_path: Path) -> None:
    savemat(tmp_path / "probe.mat", content)
    with pytest.raises(UnreadableError):
        calibrate(tmp_path / "probe.mat")
    (tmp_path / "profile.toml").write_text('schema = "other"')
    with pytest.raises(UsageError):
        TrainingProfile.load(tmp_path / "profile.toml")


def losses(orders: list[int]) -> dict[str, Any]:
    return {"Observations": 5.0, "MaxEpochs": 3.0, "TrainingLoss": np.array([[number**2 / 2 for number in orders]])}


@pytest.mark.parametrize("composed", [False, True])
@pytest.mark.parametrize("draws", [False, True])
def test_orders_of_epochs_are_recognised(composed: bool, draws: bool, tmp_path: Path) -> None:
    """Oracle: permutations of the doubles of rng(0), counted by hand: 5 an epoch, 2 a validation; validated after iterations 1, 2, 4
    (trainNetwork), or 0, 2, 4 (trainnet), and every second one."""
    doubles = np.random.RandomState(5489).random_sample(100)

    def orders(begins: list[int]) -> list[int]:
        seen, before = [], np.arange(5)
        for begin in begins:
            permutation = np.argsort(doubles[begin : begin + 5], kind="stable")
            before = before[permutation] if composed else permutation
            seen += (before + 1).tolist()
        return seen

    validated = (
        {"": [0, 5 + 2 * 3, 10 + 2 * 6], "Trainnet": [2, 5 + 2 * 3, 10 + 2 * 6]}
        if draws
        else {"": [0, 5, 10], "Trainnet": [0, 5, 10]}
    )
    answers = {}
    for prefix, begins in validated.items():
        answers[f"{prefix}EpochOrder"] = answer(10, {**losses(orders([0, 5, 10])), "ValidationObservations": 0.0})
        answers[f"{prefix}EpochOrderValidated"] = answer(10, {**losses(orders(begins)), "ValidationObservations": 2.0})
    found = calibrate(saved(tmp_path / "probe.mat", answers))
    for trainer in ("trainNetwork", "trainnet"):
        expected = {"epoch_order": "composed" if composed else "fresh", "validation_draws": draws}
        assert found.overrides(trainer) == expected, [each.told for each in found.answers]


def test_an_order_of_another_stream_settles_nothing(tmp_path: Path) -> None:
    answers = {"EpochOrder": answer(10, {**losses([1, 2, 3, 4, 5] * 3), "ValidationObservations": 0.0})}
    found = calibrate(saved(tmp_path / "probe.mat", answers))
    assert "epoch_order" not in found.overrides("trainNetwork")
    assert any("MATLAB 1 2 3 4 5" in each.told for each in found.answers)
