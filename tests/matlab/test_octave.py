"""The MATLAB functions, run by GNU Octave on stand-in objects, and their files as scipy reads them.

Octave has no Deep Learning Toolbox: `standins/` holds small classes and functions of the documented names and
`scenarios.m` calls the shipped functions on them. The expected numbers are computed here, or by hand.
"""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import loadmat

HERE = Path(__file__).parent
FUNCTIONS = HERE.parents[1] / "bridge" / "matlab"


@pytest.fixture(scope="session")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that one run of `scenarios.m` has written."""
    octave = shutil.which("octave-cli") or shutil.which("octave")
    if octave is None:
        pytest.skip("GNU Octave is not installed: octave-cli runs the MATLAB functions")
    folder = tmp_path_factory.mktemp("matlab")
    (folder / "refused").mkdir()
    paths = ",".join(f"'{path}'" for path in (FUNCTIONS, HERE, HERE / "standins"))
    command = [octave, "--no-gui", "--quiet", "--norc", "--eval", f"addpath({paths}); scenarios('{folder}')"]
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, check=False)
    assert run.returncode == 0, run.stderr
    return folder


def variable(path: Path) -> Any:
    """The only variable of a .mat file, its name being the first part of its format."""
    content = {
        name: value for name, value in loadmat(path, struct_as_record=False).items() if not name.startswith("__")
    }
    assert len(content) == 1
    return content.popitem()[1][0, 0]


def text(value: np.ndarray[Any, Any]) -> str:
    return str(value[0]) if value.size else ""


def texts(value: np.ndarray[Any, Any]) -> Any:
    """A cell of texts, in its shape."""
    return np.vectorize(text, otypes=[object])(value).tolist() if value.size else []


def items(cells: np.ndarray[Any, Any]) -> list[Any]:
    """The structs in a column cell."""
    assert cells.shape[1] == 1 or cells.size == 0
    return [cell[0, 0] for cell in cells.ravel()]


def fields(struct: Any) -> set[str]:
    return set(struct._fieldnames)


def names(line: str) -> set[str]:
    return set(line.split())


class TestExport:
    def layer(self, out: Path, index: int) -> Any:
        return items(variable(out / "series.bridge.mat").Layers)[index]

    def test_names_of_files(self, out: Path) -> None:
        written = {path.name for path in out.glob("*.bridge.mat")}
        assert written == {
            "series.bridge.mat",
            "dag.v2.bridge.mat",
            "dl.bridge.mat",
            "layers.bridge.mat",
            "graph.bridge.mat",
        }

    def test_network(self, out: Path) -> None:
        bridge = variable(out / "series.bridge.mat")
        assert fields(bridge) == names(
            "Format Kind Release Toolbox Layers Connections InputNames OutputNames Classes TrainingOptions TrainingInfo"
        )
        assert text(bridge.Format) == "bridge.network/1"
        assert text(bridge.Kind) == "SeriesNetwork"
        assert bridge.Layers.shape == (7, 1)
        chain = ["data", "conv-1", "bn", "lstm", "attention", "twice", "output"]
        assert [text(layer.Name) for layer in items(bridge.Layers)] == chain
        assert texts(bridge.Connections) == [list(pair) for pair in pairwise(chain)]
        assert texts(bridge.InputNames) == [["data"]]
        assert texts(bridge.OutputNames) == [["output"]]
        assert texts(bridge.Classes) == [["cat"], ["dog"]]

    def test_every_layer_has_the_same_fields(self, out: Path) -> None:
        expected = names("Name Class Properties Learnables State InputNames OutputNames Skipped")
        assert all(fields(layer) == expected for layer in items(variable(out / "series.bridge.mat").Layers))

    def test_convolution(self, out: Path) -> None:
        layer = self.layer(out, 1)
        assert text(layer.Class) == "nnet.cnn.layer.Convolution2DLayer"
        learnables = layer.Learnables[0, 0]
        weights, bias = learnables.Weights[0, 0], learnables.Bias[0, 0]
        values = np.arange(1, 55, dtype=np.float32).reshape(3, 3, 2, 3, order="F")
        np.testing.assert_array_equal(weights.Value, values, strict=True)
        np.testing.assert_array_equal(bias.Value, np.array([[[7, 8, 9]]], np.float32), strict=True)
        assert [weights.LearnRateFactor.item(), weights.L2Factor.item()] == [10, 1]
        assert [bias.LearnRateFactor.item(), bias.L2Factor.item()] == [20, 0.5]
        properties = layer.Properties[0, 0]
        assert not {"Weights", "Bias"} & fields(properties)
        np.testing.assert_array_equal(properties.FilterSize, [[3.0, 3.0]])
        assert text(properties.PaddingMode) == "manual"
        assert properties.WeightLearnRateFactor.item() == 10
        assert texts(layer.InputNames) == [["in"]] and texts(layer.OutputNames) == [["out"]]

    def test_state(self, out: Path) -> None:
        mean = self.layer(out, 0).State[0, 0].Mean
        np.testing.assert_array_equal(mean, np.array([[[1.5, 2.5]]], np.float32), strict=True)
        assert fields(self.layer(out, 2).State[0, 0]) == {"TrainedMean", "TrainedVariance"}
        assert fields(self.layer(out, 3).State[0, 0]) == {"HiddenState"}
        assert self.layer(out, 3).Properties[0, 0].CellState.size == 0

    def test_a_factor_for_each_gate(self, out: Path) -> None:
        learnables = self.layer(out, 3).Learnables[0, 0]
        assert fields(learnables) == {"Bias", "InputWeights", "RecurrentWeights"}
        np.testing.assert_array_equal(learnables.InputWeights[0, 0].LearnRateFactor, [[1.0, 2.0, 3.0, 4.0]])

    def test_factors_without_properties_are_asked_for(self, out: Path) -> None:
        learnables = self.layer(out, 4).Learnables[0, 0]
        assert fields(learnables) == {"QueryBias", "QueryWeights"}
        assert learnables.QueryWeights[0, 0].LearnRateFactor.item() == 3
        assert [learnables.QueryBias[0, 0].LearnRateFactor.item(), learnables.QueryBias[0, 0].L2Factor.item()] == [4, 0]

    def test_kinds_of_values(self, out: Path) -> None:
        layer = self.layer(out, 5)
        properties = layer.Properties[0, 0]
        assert text(properties.PredictFcn) == "@(X) 2 * X"
        assert texts(properties.Names) == [["a", "b"]]
        assert texts(properties.Labels) == [["x", "y"]]  # a categorical
        np.testing.assert_array_equal(properties.Sparse, np.array([[1.0, 0.0], [0.0, 2.0]]), strict=True)
        assert properties.Settings[0, 0].Step.item() == 3 and text(properties.Settings[0, 0].Text) == "abc"
        assert properties.Flag.item() == 1
        assert texts(layer.Skipped) == [["Handle", "Mixed", "Refusing"]]

    def test_options_and_info(self, out: Path) -> None:
        bridge = variable(out / "series.bridge.mat")
        options = bridge.TrainingOptions[0, 0]
        assert options.Momentum.item() == 0.9 and text(options.Shuffle) == "every-epoch"
        assert text(options.OutputFcn) == "@(info) false"
        assert "ValidationData" not in fields(options)
        schedule, none = options.LearnRateSchedule.ravel()
        assert text(schedule[0, 0].Class) == "Schedule" and text(none) == "none"
        assert schedule[0, 0].Properties[0, 0].DropFactor.item() == 0.1
        info = bridge.TrainingInfo[0, 0]
        np.testing.assert_array_equal(info.TrainingLoss, [[2.0, 1.0]])
        assert fields(info) == {"TrainingLoss", "ValidationLoss"}

    @pytest.mark.parametrize(("name", "kind"), [("dag.v2", "DAGNetwork"), ("graph", "LayerGraph")])
    def test_ports(self, out: Path, name: str, kind: str) -> None:
        bridge = variable(out / f"{name}.bridge.mat")
        assert text(bridge.Kind) == kind
        assert texts(bridge.Connections)[2] == ["pool/indices", "unpool/indices"]
        assert texts(items(bridge.Layers)[1].OutputNames) == [["out", "indices", "size"]]
        # Neither stand-in names its ends, as older releases do not.
        assert texts(bridge.InputNames) == [["data"]] and texts(bridge.OutputNames) == [["unpool"]]
        assert bridge.Classes.size == 0

    def test_dlnetwork(self, out: Path) -> None:
        bridge = variable(out / "dl.bridge.mat")
        assert text(bridge.Kind) == "dlnetwork"
        assert texts(bridge.Connections) == [["input", "fc"]]
        assert texts(bridge.Classes) == [["no"], ["yes"], ["maybe"]]
        assert bridge.TrainingOptions.size == bridge.TrainingInfo.size == 0

    def test_untrained_layers_keep_their_factors(self, out: Path) -> None:
        bridge = variable(out / "layers.bridge.mat")
        assert text(bridge.Kind) == "Layers" and bridge.Classes.size == 0
        bias = items(bridge.Layers)[0].Learnables[0, 0].Bias[0, 0]
        assert bias.Value.shape == (0, 0) and bias.LearnRateFactor.item() == 2


def sample_indices(total: int, count: int, seed: int) -> np.ndarray[Any, Any]:
    """The generator of docs/mat-structs.md in Python integers and floats."""
    if total <= count:
        return np.arange(1, total + 1, dtype=np.uint32)
    indices, state = [], seed
    for k in range(1, count + 1):
        state = (1664525 * state + 1013904223) % 2**32
        indices.append(int((k - 1 + state / 2**32) * total / count) + 1)
    return np.array(indices, np.uint32)


class TestSamples:
    def test_the_generator_is_that_of_python(self, out: Path) -> None:
        content = loadmat(out / "indices.mat")
        for total, (first, second) in zip(content["counts"].ravel().astype(int), content["indices"], strict=True):
            np.testing.assert_array_equal(first.ravel(), sample_indices(total, 4000, 1))
            np.testing.assert_array_equal(second.ravel(), sample_indices(total, 50, 2**32 - 1))
            assert first.dtype == second.dtype == np.uint32

    def test_by_hand(self) -> None:
        # s(1) = 1664525 + 1013904223 = 1015568748, a share of 0.2365 of 2^32; the first of 2 stretches of 100 is 1..50.
        assert sample_indices(100, 2, 1)[0] == int(0.2364556 * 50) + 1 == 12

    def test_ascending_within_bounds(self) -> None:
        indices = sample_indices(2**32 - 1, 4000, 2**32 - 1)
        assert (np.diff(indices.astype(np.int64)) > 0).all() and indices[0] >= 1

    def test_version_of_the_file(self, out: Path) -> None:
        assert [text(version) for version in loadmat(out / "indices.mat")["versions"].ravel()] == ["-v7", "-v7.3"]


class TestReference:
    def test_fields(self, out: Path) -> None:
        reference = variable(out / "reference.mat")
        assert fields(reference) == names(
            "Format Release Toolbox Kind Hardware Classes Samples Seed MiniBatchSize Inputs Outputs Activations Skipped Learnables State"
        )
        assert text(reference.Format) == "bridge.reference/1"
        assert fields(reference.Hardware[0, 0]) == {"Architecture", "Environment", "GPU", "Threads"}
        assert [reference.Samples.item(), reference.Seed.item(), reference.MiniBatchSize.item()] == [4000, 7, 128]
        assert texts(reference.Classes) == [["a"], ["b"]]
        assert reference.Skipped.size == 0

    def test_inputs_and_outputs(self, out: Path) -> None:
        reference = variable(out / "reference.mat")
        given, answer = items(reference.Inputs)[0], items(reference.Outputs)[0]
        x = np.sin(np.arange(1, 5001))
        assert text(given.Name) == "input" and text(answer.Name) == "output" and text(given.Format) == ""
        assert given.Value.shape == (1, 1, 1, 5000) and answer.Value.shape == (5000, 1)
        # Oracle: the line 3 x - 1 in double; the stand-in computes in single, of spacing 2.4e-7 below 4.
        np.testing.assert_allclose(answer.Value.ravel(), 3 * x - 1, rtol=0, atol=1e-6)

    def test_activation(self, out: Path) -> None:
        reference = variable(out / "reference.mat")
        records = items(reference.Activations)
        assert [text(record.Layer) for record in records] == ["input", "fc", "output"]
        record = records[1]
        assert fields(record) == names("Layer Port Format Size Min Max Mean Std Index Value Full")
        assert text(record.Port) == "out" and record.Full.size == 0
        np.testing.assert_array_equal(record.Size, [[1, 1, 1, 5000]])
        assert record.Index.shape == record.Value.shape == (4000, 1)
        assert record.Index.dtype == np.uint32 and record.Value.dtype == np.float32
        np.testing.assert_array_equal(record.Index.ravel(), sample_indices(5000, 4000, 7))
        values = items(reference.Outputs)[0].Value.ravel()
        np.testing.assert_array_equal(record.Value.ravel(), values[record.Index.ravel() - 1])
        exact = values.astype(np.float64)
        assert [record.Min.item(), record.Max.item()] == [exact.min(), exact.max()]
        np.testing.assert_allclose([record.Mean.item(), record.Std.item()], [exact.mean(), exact.std()], rtol=1e-12)

    def test_learnables_and_state(self, out: Path) -> None:
        reference = variable(out / "reference.mat")
        records = items(reference.Learnables)
        assert [(text(record.Layer), text(record.Parameter), record.Value.item()) for record in records] == [
            ("fc", "Bias", -1),
            ("fc", "Weights", 3),
        ]
        assert reference.State.size == 0

    def test_sequences_count_one_after_the_other(self, out: Path) -> None:
        reference = variable(out / "sequences.mat")
        assert reference.MiniBatchSize.item() == 1
        record = items(reference.Activations)[1]
        np.testing.assert_array_equal(record.Size, [[1, 3], [1, 2]])
        np.testing.assert_array_equal(record.Value.ravel(), [2, 5, 8, 11, 14])
        np.testing.assert_array_equal(record.Full[1, 0], [[11, 14]])
        assert [value.shape for value in items(reference.Inputs)[0].Value.ravel()] == [(1, 3), (1, 2)]

    def test_outputs_that_cannot_be_had_are_listed(self, out: Path) -> None:
        reference = variable(out / "ports.mat")
        assert [text(record.Layer) for record in items(reference.Activations)] == ["input", "output"]
        skipped = texts(reference.Skipped)
        assert [row[0] for row in skipped] == ["pool/out", "pool/indices", "pool/size"]
        assert skipped[0][1] == "pool has no single output"


class TestDetections:
    def test_what_a_detector_found(self, out: Path) -> None:
        """Of the stand-in: 3 x - 1 of the last pixel in 0..1, and two boxes of which one is left."""
        found = variable(out / "found.mat")
        assert fields(found) == names(
            "Format Release Toolbox Class Threshold Images Resized Outputs Boxes Scores Labels AllBoxes AllScores AllLabels"
        )
        assert text(found.Format) == "bridge.detections/1" and text(found.Class) == "yolov2ObjectDetector"
        assert found.Threshold.item() == 0.25 and found.Images.shape == (2, 1)
        np.testing.assert_array_equal(found.Images[0, 0], np.array([[0, 51], [102, 255]], np.uint8), strict=True)
        assert [each.item() for each in found.Resized.ravel()] == [255, 102]
        np.testing.assert_allclose([each.item() for each in found.Outputs.ravel()], [2, 3 * 102 / 255 - 1], rtol=1e-6)
        assert found.Boxes[0, 0].tolist() == [[2, 3, 2, 4]] and found.AllBoxes[1, 0].tolist() == [
            [2, 3, 1, 4],
            [3, 3, 1, 4],
        ]
        assert texts(found.Labels[0, 0]) == [["car"]] and texts(found.AllLabels[0, 0]) == [["car"], ["bus"]]
        assert found.AllScores[0, 0].dtype == np.float32 and found.AllScores[0, 0].shape == (2, 1)

    def test_a_detector_with_a_dlnetwork(self, out: Path) -> None:
        found = variable(out / "dlfound.mat")
        assert found.Threshold.item() == 0.5 and found.Outputs[0, 0].item() == 2 and found.Images.shape == (1, 1)


class TestSteps:
    @pytest.mark.parametrize(
        ("name", "trainer", "count"), [("trained", "trainNetwork", 2), ("dltrained", "trainnet", 1)]
    )
    def test_training(self, out: Path, name: str, trainer: str, count: int) -> None:
        steps = variable(out / f"{name}.steps.mat")
        assert fields(steps) == names(
            "Format Release Toolbox Kind Hardware Samples Seed Loss Targets Gradients Trainer TrainingOptions Steps"
        )
        assert text(steps.Format) == "bridge.steps/1" and text(steps.Trainer) == trainer
        assert text(steps.TrainingOptions[0, 0]) == "sgdm" and steps.TrainingOptions.shape == (1, 7)
        assert steps.Steps.shape == (count, 1)
        # Oracle: gradient descent by hand. y = 3 x - 1 at x = 1, 2, -1 against 0 errs by 2, 5, -4.
        first = items(steps.Steps)[0]
        assert [first.Iteration.item(), first.Loss.item(), first.LearnRate.item()] == [1, 45 / 6, 0.1]
        bias, weights = items(first.Learnables)
        np.testing.assert_allclose(weights.Value.item(), 3 - 0.1 * 16 / 3, rtol=1e-7)
        np.testing.assert_allclose(bias.Value.item(), -1 - 0.1 * 1, rtol=1e-7)

    def test_gradients(self, out: Path) -> None:
        gradients = variable(out / "dltrained.steps.mat").Gradients[0, 0]
        assert gradients.Loss.item() == 7.5  # 45 / 6, as above
        weights, bias = items(gradients.Learnables)
        assert (text(weights.Layer), text(weights.Parameter)) == ("fc", "Weights")
        assert [weights.Value.item(), bias.Value.item()] == [22.5, -7.5]  # the stand-in's: value times loss


class TestProbe:
    def values(self, out: Path, name: str) -> Any:
        answer = getattr(variable(out / "probe.mat").Answers[0, 0], name)[0, 0]
        assert text(answer.Error) == ""
        return answer.Values[0, 0]

    def test_all_ten_questions(self, out: Path) -> None:
        probe = variable(out / "probe.mat")
        assert text(probe.Format) == "bridge.probe/1"
        answers = {name: getattr(probe.Answers[0, 0], name)[0, 0] for name in probe.Answers[0, 0]._fieldnames}
        assert sorted({answer.Question.item() for answer in answers.values()}) == list(range(1, 11))
        failed = [name for name, answer in answers.items() if answer.Error.size]
        assert failed == ["Cyclical", "SplitRandomized", "Holdout", "DropoutMask", "RandGPU"]  # not in Octave

    def test_what_a_release_cannot_run_is_recorded(self, out: Path) -> None:
        answer = variable(out / "probe.mat").Answers[0, 0].Cyclical[0, 0]
        assert "cyclicalLearnRate" in text(answer.Error) and answer.Values[0, 0]._fieldnames == []

    def test_updates(self, out: Path) -> None:
        # Oracle: the stand-ins' formulas by hand; the first Adam update is the published 0.99924.
        assert round(self.values(out, "AdamUpdate").Updated[0, 0], 5) == 0.99924
        np.testing.assert_allclose(self.values(out, "SGDMUpdate").Updated, [[0.9, 0.9 - 0.9 * 0.1 - 0.01]])
        rms = 0.001 * 1e-6 / (np.sqrt(0.1) * 1e-6 + 1e-8)
        np.testing.assert_allclose(self.values(out, "RMSPropUpdate").Updated[0, 0], 1 - rms)

    def test_clipping(self, out: Path) -> None:
        # By hand: 2 + 0.5 * 2 = 3 is clipped to 1 and steps by 0.1; a frozen gradient that counts would leave b at -0.0316.
        values = self.values(out, "DecayAndClipping")
        assert texts(values.Methods) == [["l2norm", "global-l2norm", "absolute-value"]]
        np.testing.assert_allclose(values.Updated, [[1.9, 1.9, 1.9]])
        assert [
            self.values(out, "FrozenInGlobalNorm").Weight.item(),
            self.values(out, "FrozenInGlobalNorm").Bias.item(),
        ] == [0, -0.1]

    def test_schedule_and_validation(self, out: Path) -> None:
        rates = [1.0] * 5 + [0.5] * 5 + [0.25] * 2
        np.testing.assert_array_equal(self.values(out, "PiecewiseTrainNetwork").LearnRates, [rates])
        assert self.values(out, "PartialValidation").ValidationLoss.item() == 3  # a mean of batches would be 4.25

    def test_random_numbers(self, out: Path) -> None:
        # Octave's numbers are not MATLAB's; their forms, and that the stand-in sees all observations at once, are.
        assert self.values(out, "RandpermOfSome").Numbers.shape == (1, 3)
        assert self.values(out, "RandSingle").Numbers.dtype == np.float32
        order = self.values(out, "EpochOrder")
        assert [order.Observations.item(), order.MaxEpochs.item(), order.ValidationObservations.item()] == [5, 3, 0]
        np.testing.assert_allclose(order.TrainingLoss[0, 0], 55 / 10)
        assert self.values(out, "TrainnetEpochOrderValidated").ValidationObservations.item() == 2
        assert 0 < order.Next.item() < 1

    def test_inputs_travel_with_the_answers(self, out: Path) -> None:
        losses = self.values(out, "TrainnetCrossentropy")
        np.testing.assert_allclose(losses.Inputs.sum(axis=0), 1)
        np.testing.assert_array_equal(losses.Targets.sum(axis=0), 1)
        assert self.values(out, "ResizeUint8").Image.dtype == np.uint8
        assert self.values(out, "GRURecurrentBias").Bias.shape == (12, 1)
        np.testing.assert_array_equal(self.values(out, "MovingStored").Stored, [[10, 4]])


class TestData:
    def test_rows(self, out: Path) -> None:
        with (out / "data.csv").open(encoding="utf-8", newline="") as stream:
            rows = list(csv.reader(stream))
        assert rows == [
            ["path", "label", "split", "position"],
            ['C:\\pictures\\a, "1".png', "cat", "train", "1"],
            ["/data/ü.png", "dog", "train", "2"],
            ["/data/c.png", "0.5", "validation", "1"],
        ]

    def test_without_labels_or_validation(self, out: Path) -> None:
        lines = (out / "unlabelled.csv").read_text(encoding="utf-8").splitlines()
        assert lines == ["path,label,split,position", '"/data/a.png","",train,1']


@pytest.mark.parametrize("name", ["series.bridge", "reference", "trained.steps", "probe"])
def test_the_documentation_names_every_field(out: Path, name: str) -> None:
    page = (HERE.parents[1] / "docs" / "mat-structs.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"`(\w+)`", page))
    struct = variable(out / f"{name}.mat")
    written = fields(struct)
    for part in ("Layers", "Activations", "Learnables", "Inputs", "Steps"):
        written |= {field for item in items(getattr(struct, part, np.empty((0, 1)))) for field in fields(item)}
    if name == "probe":
        answers = struct.Answers[0, 0]
        written |= fields(answers)
        for experiment in fields(answers):
            written |= fields(getattr(answers, experiment)[0, 0].Values[0, 0])
    assert written <= documented


REFUSALS = {
    "unknownArgument": ("usage", "known names: Classes, Options, Info"),
    "missingValue": ("usage", "'Classes'"),
    "otherMat": ("usage", ".bridge.mat"),
    "noFolder": ("usage", "nowhere"),
    "notANetwork": ("unsupported", "detector.Network"),
    "nested": ("unsupported", "block"),
    "hiddenLearnable": ("unsupported", "2 of the 3 learnables"),
    "unnamed": ("usage", "name"),
    "layersDoNotRun": ("unsupported", "assembleNetwork"),
    "noFormat": ("usage", "'SSCB'"),
    "datastore": ("usage", "Opaque"),
    "noTargets": ("usage", "'Targets'"),
    "noLoss": ("usage", "'Loss'"),
    "noSolver": ("usage", "'TrainingOptions'"),
    "dropout": ("unsupported", "drop"),
}


@pytest.mark.parametrize(("name", "kind", "part"), [(name, *expected) for name, expected in REFUSALS.items()])
def test_errors_have_three_parts(out: Path, name: str, kind: str, part: str) -> None:
    identifier, *lines = text(loadmat(out / "refusals.mat")[name]).split("\n")
    assert identifier == f"bridge:{kind}"
    assert [line.partition(":")[0] for line in lines] == ["error", "cause", "hint"]
    assert part in "\n".join(lines)


def test_refused_calls_leave_nothing_behind(out: Path) -> None:
    assert not list((out / "refused").iterdir())


def test_only_whole_files_are_left(out: Path) -> None:
    assert {path.suffix for path in out.iterdir() if path.is_file()} == {".mat", ".csv"}
    assert not [path for path in out.iterdir() if path.name.startswith("oct-")]


def test_every_function_has_a_help_text() -> None:
    for path in [*FUNCTIONS.glob("*.m"), *FUNCTIONS.glob("private/*.m")]:
        signature, first, *_ = path.read_text(encoding="utf-8").splitlines()
        assert path.stem in signature and first.strip().startswith(f"% {path.stem.upper()} "), path


def test_public_functions_show_an_example() -> None:
    assert sorted(path.stem for path in FUNCTIONS.glob("*.m")) == [
        "bridgeData",
        "bridgeExport",
        "bridgeProbe",
        "bridgeRebuild",
        "bridgeReference",
    ]
    for path in FUNCTIONS.glob("*.m"):
        assert "%   Example:" in path.read_text(encoding="utf-8"), path


@pytest.mark.parametrize("module", ["miss_hit_core.mh_style", "miss_hit.mh_lint"])
def test_miss_hit(module: str) -> None:
    pytest.importorskip("miss_hit", reason="MISS_HIT is not installed: pip install miss_hit")
    command = [sys.executable, "-m", module, "--brief", str(FUNCTIONS)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout
    assert "everything seems fine" in run.stdout
