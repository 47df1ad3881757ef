"""trainingOptions: names, defaults (oracle: what saved objects held, facts of the tables), checks, round trips, notes."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UsageError
from bridge.files import toml
from bridge.options.options import Semantics, TrainingOptions, saved_training_options, training_options
from bridge.options.values import schedule
from bridge.tables.layers import table
from tests.real import REAL, needs_real

ROWS = table("training_options")["options"]


def test_defaults_of_each_solver() -> None:
    """Oracle: values read out of objects that MATLAB saved."""
    found = {solver: training_options(solver) for solver in ("sgdm", "adam", "rmsprop")}
    assert [options.InitialLearnRate for options in found.values()] == [0.01, 0.001, 0.001]
    assert found["sgdm"].Momentum == 0.9
    assert (found["adam"].GradientDecayFactor, found["adam"].SquaredGradientDecayFactor, found["adam"].Epsilon) == (
        0.9,
        0.999,
        1e-8,
    )
    assert (found["rmsprop"].SquaredGradientDecayFactor, found["rmsprop"].Epsilon) == (0.9, 1e-8)
    for options in found.values():
        assert (options.L2Regularization, options.MaxEpochs, options.MiniBatchSize, options.Shuffle) == (
            1e-4,
            30,
            128,
            "once",
        )
        assert (options.LearnRateSchedule, options.LearnRateDropFactor, options.LearnRateDropPeriod) == (
            "none",
            0.1,
            10,
        )
        assert (options.GradientThreshold, options.GradientThresholdMethod) == (math.inf, "l2norm")
        assert (options.ValidationFrequency, options.ValidationPatience) == (50, math.inf)
        assert options.ResetInputNormalization is True


def test_the_trainer_decides_some_defaults() -> None:
    old, new = training_options("sgdm"), training_options("sgdm", trainer="TrainNet")
    assert (old.trainer, old.BatchNormalizationStatistics, old.OutputNetwork) == (
        "trainNetwork",
        "population",
        "last-iteration",
    )
    assert (new.trainer, new.BatchNormalizationStatistics, new.OutputNetwork) == ("trainnet", "auto", "auto")
    assert (old.semantics.crossentropy_over, new.semantics.crossentropy_over) == ("observations", "elements")
    assert (old.semantics.batchnorm_auto, new.semantics.batchnorm_auto) == ("population", "moving")


def test_names_and_words_take_any_case() -> None:
    options = training_options("SGDM", initiallearnrate=3e-4, shuffle="EVERY-epoch", trainer="trainnetwork")
    assert (options.solver, options.InitialLearnRate, options.Shuffle) == ("sgdm", 3e-4, "every-epoch")


@pytest.mark.parametrize(
    ("solver", "names", "words"),
    [
        ("sgdm", {"InitalLearnRate": 0.1}, "InitialLearnRate"),
        ("sgd", {}, "sgdm"),
        ("sgdm", {"GradientDecayFactor": 0.9}, "belongs to adam"),
        ("adam", {"Momentum": 0.9}, "belongs to sgdm"),
        ("sgdm", {"MaxIterations": 5}, "belongs to lbfgs, lm"),
        ("sgdm", {"InitialLearnRate": 0}, r"\(0, inf\)"),
        ("sgdm", {"InitialLearnRate": True}, r"\(0, inf\)"),
        ("sgdm", {"InitialLearnRate": math.nan}, r"\(0, inf\)"),
        ("sgdm", {"Momentum": 1.1}, r"\[0, 1\]"),
        ("adam", {"GradientDecayFactor": 1}, r"\[0, 1\)"),
        ("sgdm", {"MaxEpochs": 2.5}, "an integer"),
        ("sgdm", {"MaxEpochs": math.inf}, "an integer"),
        ("sgdm", {"MaxEpochs": 10**400}, "an integer"),
        ("sgdm", {"InitialLearnRate": 10**400}, r"\(0, inf\)"),
        ("sgdm", {"MiniBatchSize": "all"}, "an integer"),
        ("sgdm", {"SequenceLength": "long"}, "'longest', 'shortest'"),
        ("sgdm", {"Shuffle": "always"}, "'every-epoch'"),
        ("sgdm", {"Shuffle": 1}, "'every-epoch'"),
        ("sgdm", {"Verbose": 2}, "true or false"),
        ("sgdm", {"Metrics": 3}, "text"),
        ("sgdm", {"LearnRateSchedule": "linear"}, "'piecewise'"),
        ("sgdm", {"LearnRateSchedule": ["warmup", "none"]}, "a chain"),
        ("sgdm", {"LearnRateSchedule": []}, "a chain"),
        ("sgdm", {"trainer": "train"}, "'trainnet'"),
        ("sgdm", {"semantics": {"adam_eps": "A"}}, "adam_epsilon"),
        ("sgdm", {"semantics": {"adam_epsilon": "C"}}, "'A', 'B'"),
        ("sgdm", {"semantics": {"frozen_in_global_norm": "yes"}}, "True, False"),
    ],
)
def test_what_makes_no_sense_is_refused(solver: str, names: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        training_options(solver, **names)


def test_a_name_given_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="twice"):
        training_options("sgdm", MaxEpochs=1, maxepochs=2)


def test_options_cannot_be_changed_but_replaced() -> None:
    options = training_options("sgdm", MaxEpochs=3)
    with pytest.raises(AttributeError):
        setattr(options, "MaxEpochs", 4)  # noqa: B010 (frozen)
    with pytest.raises(AttributeError, match="Epsilon"):
        _ = options.Epsilon
    other = options.replace(InitialLearnRate=1e-3, MaxEpochs=4)
    assert (options.MaxEpochs, other.MaxEpochs, other.InitialLearnRate) == (3, 4, 1e-3)
    assert other == training_options("sgdm", InitialLearnRate=1e-3, MaxEpochs=4)


def test_options_can_be_copied_and_pickled() -> None:
    options = training_options("adam", MaxEpochs=3, LearnRateSchedule=schedule("warmupLearnRate", NumSteps=3))
    assert copy.deepcopy(options) == options == pickle.loads(pickle.dumps(options))


def test_numpy_numbers_become_plain() -> None:
    options = training_options(
        "sgdm", MaxEpochs=np.float64(3), Verbose=np.bool_(False), InitialLearnRate=np.float32(0.25)
    )
    assert [type(value) for _, value in options.given] == [float, int, bool]


def test_explain_has_a_row_for_every_option() -> None:
    rows = {row.name: row for row in training_options("sgdm", InitialLearnRate=3e-4).explain()}
    assert list(rows) == [name for name, row in ROWS.items() if "sgdm" in row.get("solvers", ["sgdm"])]
    assert (rows["InitialLearnRate"].value, rows["InitialLearnRate"].default, rows["InitialLearnRate"].given) == (
        3e-4,
        0.01,
        True,
    )
    assert "lr" in rows["InitialLearnRate"].torch and not rows["MaxEpochs"].given
    assert rows["Metrics"].since == "R2023b"


def test_lbfgs_and_lm_are_known_by_their_options() -> None:
    assert training_options("lbfgs").HistorySize == 10
    assert training_options("lm", InitialDampingFactor=0.01).MaxIterations == 1000


WRITTEN = [
    training_options("sgdm"),
    training_options(
        "sgdm", InitialLearnRate=3e-4, MaxEpochs=6, Verbose=False, Shuffle="never", GradientThreshold=math.inf
    ),
    training_options(
        "adam",
        trainer="trainnet",
        semantics={"adam_epsilon": "A", "patience_resets": False},
        Metrics=["accuracy", "rmse"],
    ),
    training_options("rmsprop", CheckpointPath='a "quoted" \\ path\n', SequenceLength=20),
    training_options(
        "sgdm", LearnRateSchedule=["warmup", schedule("cosineLearnRate", Period=9, PeriodGrowthFactor=math.inf)]
    ),
]


@pytest.mark.parametrize("options", WRITTEN, ids=lambda options: options.solver)
def test_toml_and_back(options: TrainingOptions) -> None:
    assert TrainingOptions.from_mapping(tomllib.loads(toml.dumps(options.to_mapping()))) == options
    assert TrainingOptions.from_mapping(options.to_mapping()) == options


@given(
    st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs", "Cc"])),
)
def test_any_number_and_text_survives_toml(number: float, text: str) -> None:
    options = training_options("sgdm", InitialLearnRate=number, CheckpointPath=text)
    assert TrainingOptions.from_mapping(tomllib.loads(toml.dumps(options.to_mapping()))) == options


def test_data_is_left_out_of_a_mapping() -> None:
    mapping = training_options("sgdm", ValidationData=np.ones(3), MaxEpochs=2).to_mapping()
    assert mapping == {"solver": "sgdm", "trainer": "trainNetwork", "MaxEpochs": 2}


def test_a_mapping_needs_a_solver() -> None:
    assert TrainingOptions.from_mapping({"MaxEpochs": 2}, "adam").solver == "adam"
    with pytest.raises(UsageError, match="no solver"):
        TrainingOptions.from_mapping({"MaxEpochs": 2})


def test_schedules_have_their_properties() -> None:
    stage = schedule("WarmupLearnRate", numsteps=3)
    assert (stage.name, stage.NumSteps, stage.InitialFactor, stage.FrequencyUnit) == (
        "warmupLearnRate",
        3,
        0.1,
        "iteration",
    )
    assert training_options("sgdm", LearnRateSchedule=stage.to_mapping()).LearnRateSchedule == stage
    with pytest.raises(UsageError, match="needs Period"):
        schedule("cosineLearnRate")
    with pytest.raises(UsageError, match="StepRatio"):
        schedule("cyclicalLearnRate", StepRatio=1)
    with pytest.raises(UsageError, match="NumSteps"):
        schedule("warmupLearnRate", Steps=1)
    with pytest.raises(UsageError, match="cosineLearnRate"):
        schedule("cosinLearnRate")
    with pytest.raises(AttributeError):
        _ = stage.Period


def test_notes_name_what_the_run_depends_on() -> None:
    def switches(options: TrainingOptions, lacks: tuple[str, ...] = ("elements", "yolov2", "zscore")) -> set[str]:
        return {note.split()[0] for note in options.notes(lacks)}

    assert switches(training_options("sgdm")) == set()
    assert switches(training_options("sgdm"), ("yolov2", "zscore")) == {"undefined_labels_count"}
    assert switches(training_options("adam")) == set()
    clipped = training_options(
        "sgdm", GradientThreshold=1, GradientThresholdMethod="global-l2norm", ValidationPatience=5
    )
    assert switches(clipped) == {"frozen_in_global_norm"}
    assert switches(training_options("sgdm"), ("elements", "yolov2")) == {"zscore_divisor"}
    kept = training_options("sgdm", ResetInputNormalization=False)
    assert switches(kept, ("elements", "yolov2")) == set()
    other = training_options("adam", semantics={"adam_epsilon": "A"})
    assert switches(other) == {"adam_epsilon"}
    newer = training_options("sgdm", trainer="trainnet", Metrics="RMSE")
    assert switches(newer, ("yolov2", "zscore")) == {
        "undefined_labels_count",
        "batchnorm_auto",
        "batchnorm_variance",
        "crossentropy_over",
        "rmse_over",
    }
    assert switches(newer) == {"batchnorm_auto", "batchnorm_variance", "rmse_over"}
    assert (
        switches(newer.replace(Metrics=["accuracy"]), ("batch normalization", "elements", "yolov2", "zscore")) == set()
    )
    scheduled = training_options(
        "sgdm", LearnRateSchedule=["warmup", schedule("exponentialLearnRate", Period=2)]
    ).notes()
    assert not any("schedule_counting" in note for note in scheduled)
    assert any("'warmup'" in note and "InitialFactor = 0.1" in note and "NumSteps" not in note for note in scheduled)
    assert any("'exponential'" in note and "DropFactor" in note and "Period" not in note for note in scheduled)


def test_the_switches_of_the_table_are_the_fields() -> None:
    switches = table("solvers")["semantics"]
    assert set(switches) == set(Semantics.__dataclass_fields__) - {"trainer"}
    for trainer in ("trainNetwork", "trainnet"):
        for name, row in switches.items():
            assert getattr(Semantics.of(trainer), name) in row["choices"]


def test_every_default_passes_its_own_check() -> None:
    for solver in table("solvers")["solvers"]:
        options = training_options(solver)
        names = {row.name: row.default for row in options.explain()}
        assert options.replace(**names) == training_options(solver, **names)
        assert all(getattr(options, name) == value for name, value in names.items())


def test_a_saved_object() -> None:
    """The fields of a saved object: 1x1 arrays, text, empty arrays."""
    saved = {
        "Version": np.array([[5.0]]),
        "InitialLearnRate": np.array([[0.001]], np.float32),
        "MaxEpochs": np.array([[500.0]]),
        "Verbose": np.array([[False]]),
        "GradientThreshold": np.array([[math.inf]]),
        "Shuffle": np.array(["every-epoch"]),
        "LearnRateSchedule": "piecewise",
        "CheckpointPath": np.array([], "<U1"),
        "ValidationData": np.empty((0, 0)),
        "Metrics": object(),
        "NewInAnotherRelease": np.array([[1.0]]),
        "Epsilon": np.array([[1e-8]]),
    }
    options = saved_training_options("nnet.cnn.TrainingOptionsADAM", saved)
    assert (options.solver, options.MaxEpochs, options.Verbose, options.Shuffle) == ("adam", 500, False, "every-epoch")
    assert options.InitialLearnRate == float(np.float32(0.001))
    assert options.ignored == ("NewInAnotherRelease", "Metrics")
    assert "NewInAnotherRelease" in options.notes()[-1]
    assert "ValidationData" not in dict(options.given)
    with pytest.raises(UsageError, match="TrainingOptionsADAM"):
        saved_training_options("nnet.cnn.layer.ReLULayer", {})


@needs_real
@pytest.mark.parametrize(
    ("file", "wanted"),
    [
        (
            "training_options_adam_2022.mat",
            {"MaxEpochs": 4000, "MiniBatchSize": 500, "Shuffle": "once", "InitialLearnRate": 0.001},
        ),
        (
            "lstm_projected_with_options_R2022b.mat",
            {
                "MaxEpochs": 500,
                "MiniBatchSize": 64,
                "GradientThreshold": 1,
                "LearnRateDropPeriod": 200,
                "InitialLearnRate": 0.01,
            },
        ),
    ],
)
def test_objects_that_matlab_saved(file: str, wanted: dict[str, Any]) -> None:
    """Oracle: the files, read by mat-io."""
    import matio

    saved = matio.load_from_mat(str(REAL / "mat" / file))["options"]
    fields = saved.properties["any"][0, 0]
    options = saved_training_options(saved.classname, {name: fields[name] for name in fields.dtype.names})
    assert options.ignored == ()
    assert {name: getattr(options, name) for name in wanted} == wanted
    assert set(dict(options.given)) <= set(fields.dtype.names)


def test_options_import_no_torch() -> None:
    code = "import sys, bridge.options.options, bridge.options.schedules; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parents[2]).returncode == 0
