"""What lies beside a network in a .mat file: class names, training options, logs, other networks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matio
import numpy as np
import pytest
from scipy.io import loadmat

import bridge
from bridge.errors import UnreadableError, UsageError
from bridge.readers.mat.classes import class_names
from fixtures import mat, networks
from fixtures.objects import categorical, cell, shallow_network, string, training_info, training_options
from tests.real import REAL, needs_real

MAT = REAL / "mat"


def written(path: Path, container: Any = "v5", **variables: Any) -> Path:
    mat.write(path / "file.mat", variables, container=container)
    return path / "file.mat"


# Class names

NAMES = ("stop", "go", "für", "")
HOLDERS = {
    "column cell": (cell(NAMES), NAMES),
    "row cell": (list(NAMES), NAMES),
    "string array": (string(*NAMES), NAMES),
    "categorical": (categorical(NAMES[:3]), NAMES[:3]),
    "categorical in its own order": (categorical(NAMES[:3], [2, 3, 1]), ("go", "für", "stop")),
    "labels of data": (categorical(NAMES[:3], [3, 3, 1, 2, 3, 0]), NAMES[:3]),
}


@pytest.mark.parametrize("container", ["v5", "v7.3"])
@pytest.mark.parametrize("holder", HOLDERS)
def test_class_names(tmp_path: Path, holder: str, container: str) -> None:
    """Oracle: the names the file was made of. Numbers and text beside them are no names."""
    value, expected = HOLDERS[holder]
    path = written(tmp_path, container, accuracy=0.9, author="somebody", sizes=[np.ones((1, 2))], classes=value)
    assert class_names(path) == expected


def test_classes_of_a_dlnetwork(tmp_path: Path) -> None:
    net = tmp_path / "net.mat"
    mat.write(net, {"net": networks.as_dlnetwork(networks.chain_cnn())})
    assert bridge.load(net).classes is None
    names = written(tmp_path, classes=categorical(["a", "b", "c", "d", "e"]))
    assert bridge.load(net, classes=names).classes == ("a", "b", "c", "d", "e")


def test_several_lists_of_names(tmp_path: Path) -> None:
    path = written(tmp_path, classes=["a", "b"], files=["1.png", "2.png", "3.png", "4.png"])
    with pytest.raises(UsageError) as refused:
        class_names(path)
    assert "holds 2 lists of names" in refused.value.error
    assert refused.value.cause == "classes (a, b); files (1.png, 2.png, 3.png, ...)"


def test_no_names(tmp_path: Path) -> None:
    with pytest.raises(UnreadableError, match=r"weights \(3x2 double\), mixed \(1x2 cell\)"):
        class_names(written(tmp_path, weights=np.ones((3, 2)), mixed=["a", 1.0]))


@needs_real
def test_classes_matlab_saved() -> None:
    """Oracle: the cell as scipy reads it; the network itself, a dlnetwork, has no class names."""
    names = tuple(loadmat(MAT / "speech_commands_classes.mat", simplify_cells=True)["classes"])
    assert len(names) == 8 and class_names(MAT / "speech_commands_classes.mat") == names
    net = MAT / "speech_commands_dlnetwork_2024.mat"
    assert bridge.load(net).classes is None
    assert bridge.load(net, classes=MAT / "speech_commands_classes.mat").classes == names


@needs_real
def test_labels_matlab_saved() -> None:
    """Oracle: the categories as mat-io reads them."""
    saved = matio.load_from_mat(str(MAT / "fault_lstm_predictions.mat"))["validationResults"]
    assert class_names(MAT / "fault_lstm_predictions.mat") == tuple(saved.categories)


# Options, logs, several networks


def test_options_and_log_are_attached(tmp_path: Path) -> None:
    options, log = training_options("adam", MaxEpochs=500.0), training_info([2.0, 1.0, 0.5])
    net = bridge.load(written(tmp_path, net=networks.feature_mlp(), options=options, info=log, X=np.ones((2, 3))))
    assert net.training_options is not None and net.training_info is not None
    assert net.training_options["class"] == "nnet.cnn.TrainingOptionsADAM"
    assert (net.training_options["MaxEpochs"], net.training_options["InitialLearnRate"]) == (500, 0.001)
    np.testing.assert_array_equal(net.training_info["TrainingLoss"], [[2.0, 1.0, 0.5]])
    assert net.notes == ()


def test_several_options_and_logs(tmp_path: Path) -> None:
    options = {"first": training_options("sgdm"), "second": training_options("adam")}
    logs = {"a": training_info([1.0]), "b": training_info([2.0])}
    net = bridge.load(written(tmp_path, net=networks.feature_mlp(), **options, **logs))
    assert net.training_options is not None and net.training_options["class"] == "nnet.cnn.TrainingOptionsSGDM"
    assert net.notes == (
        "the file holds 2 training options, first, second; the first is taken",
        "the file holds 2 training logs, a, b; the first is taken",
    )


@pytest.mark.parametrize(
    ("variables", "listed"),
    [
        ({"options": training_options("sgdm")}, r"options \(training options\)"),
        ({"info": training_info([1.0])}, r"info \(a training log\)"),
        (
            {"X": np.ones((3, 4), np.float32), "labels": categorical(["a"])},
            r"X \(3x4 single\), labels \(1x1 categorical\)",
        ),
    ],
    ids=["options only", "log only", "data only"],
)
def test_no_network(tmp_path: Path, variables: dict[str, Any], listed: str) -> None:
    with pytest.raises(UnreadableError, match=listed) as refused:
        bridge.load(written(tmp_path, **variables))
    assert "holds no network" in refused.value.error


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_several_networks(tmp_path: Path, container: str) -> None:
    path = written(
        tmp_path,
        container,
        cnn=networks.chain_cnn(),
        mlp=networks.feature_mlp(),
        old=shallow_network(np.random.default_rng(1)),
    )
    with pytest.raises(UsageError, match="cnn, mlp, old") as refused:
        bridge.load(path)
    assert "--variable" in refused.value.hint
    kinds = {name: bridge.load(path, variable=name).kind for name in ("cnn", "mlp", "old")}
    assert kinds == {"cnn": "SeriesNetwork", "mlp": "dlnetwork", "old": "network"}


def test_a_variable_that_is_no_network(tmp_path: Path) -> None:
    path = written(tmp_path, trained=networks.feature_mlp(), options=training_options("sgdm"))
    with pytest.raises(UsageError, match="no network named 'trainet'") as refused:
        bridge.load(path, variable="trainet")
    assert "trained" in refused.value.cause
    with pytest.raises(UsageError, match="no network named 'options'"):
        bridge.load(path, variable="options")


@needs_real
def test_files_of_matlab_without_a_network() -> None:
    for name, listed in (
        ("training_options_adam_2022", "options .training options."),
        ("yolov2_detector_info", "info .a training log."),
    ):
        with pytest.raises(UnreadableError, match=listed):
            bridge.load(MAT / f"{name}.mat")


@needs_real
def test_options_and_log_of_matlab() -> None:
    """Oracles: the object as mat-io reads it, the struct as scipy does."""
    path = MAT / "lstm_projected_with_options_R2022b.mat"
    options, saved = bridge.load(path).training_options, matio.load_from_mat(str(path))["options"]
    assert options is not None and options["class"] == saved.classname
    fields = saved.properties["any"][0, 0]
    for name in ("MaxEpochs", "InitialLearnRate", "GradientDecayFactor", "MiniBatchSize"):
        assert options[name] == fields[name].item()

    path = MAT / "squeezenet_transfer_with_info_2022.mat"
    log = bridge.load(path).training_info
    assert log is not None
    for name, expected in loadmat(path, variable_names=["trainInfoStruct_1"], simplify_cells=True)[
        "trainInfoStruct_1"
    ].items():
        np.testing.assert_array_equal(np.squeeze(log[name]), expected)
