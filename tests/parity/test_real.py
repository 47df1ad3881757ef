"""The files that MATLAB really wrote pass by the command line alone; they are not part of the project and skip where absent."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import bridge
from bridge.parity import onnx_runtime
from tests.real import REAL, needs_real
from tests.shell import Command

pytestmark = needs_real
MAT, ONNX = REAL / "mat", REAL / "onnx"

PAIRS = {
    "object_recognition_R2019a": "object_recognition_R2019a_op8",
    "traffic_light_R2020b": "traffic_light_R2020b_op8",
    "segnet_R2020b": "segnet_R2020b_op8_com_mathworks",
    "recycling_R2024b": "recycling_R2024b_op14",
}
Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(command: Command) -> Run:
    """Run `bridge check`; return its exit code and its lines."""

    def ran(*arguments: object) -> tuple[int, str]:
        found = command("check", *arguments)
        return found.code, found.out

    return ran


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name == "segnet_R2020b" else ()) for name in PAIRS]
)
def test_a_mat_equals_its_onnx(name: str, run: Run) -> None:
    """Oracle: onnxruntime on MATLAB's own .onnx of the network, layer by layer."""
    code, out = run(MAT / f"{name}.mat", "--against", ONNX / f"{PAIRS[name]}.onnx", "--profile", "float32")
    assert code == 0 and out.splitlines()[-1].startswith("PASSED")


@pytest.mark.parametrize("name", sorted({path.stem for path in ONNX.glob("*.onnx")} - {PAIRS["segnet_R2020b"]}))
def test_an_onnx_equals_onnxruntime(name: str, run: Run) -> None:
    """Oracle: onnxruntime. The largest file is in the test above."""
    code, out = run(ONNX / f"{name}.onnx", "--profile", "float32")
    assert code == 0 and out.splitlines()[-1].startswith("PASSED")


def test_the_labels_matlab_predicted(run: Run) -> None:
    """Oracle: MATLAB's own stored labels, 176 of 176."""
    labels = f"{MAT / 'fault_lstm_predictions.mat'}:validationResults"
    code, out = run(
        MAT / "fault_lstm_R2020a.mat",
        MAT / "fault_lstm_features.mat",
        "--inputs",
        "validationFeatures",
        "--outputs",
        labels,
    )
    assert code == 0 and out.splitlines()[-1].endswith("176 of 176 classes equal")


def test_the_training_set_of_regression_cnn_and_its_transpose(run: Run) -> None:
    """Oracle: the error of the network on its training set is 0.0073, and 0.0189 with height and width swapped."""
    files = MAT / "regression_cnn_2026.mat", MAT / "regression_cnn_dataset.mat"
    code, out = run(*files, "--inputs", "inputs", "--targets", "labels")
    assert code == 0 and "PASSED RMSE 7.31e-03 over 10,000 targets" in out
    code, out = run(*files, "--inputs", "inputs", "--targets", "labels", "--input-dims", "WHCN")
    assert code == 1 and "FAILED RMSE 1.89e-02" in out
    assert "cause: the RMSE falls from 1.89e-02 to 7.31e-03 when height and width of the input are swapped" in out


@pytest.mark.slow
def test_the_validation_data_of_lstm_projected(run: Run) -> None:
    """Oracle: the ValidationData stored in its options; the error is 0.0159."""
    file, data = MAT / "lstm_projected_with_options_R2022b.mat", "options.ValidationData"
    code, out = run(file, file, "--inputs", f"{data}.1", "--targets", f"{data}.2")
    assert code == 0 and "PASSED RMSE 1.59e-02 over 79 targets" in out


def test_a_transposed_regression_input_is_diagnosed_by_outputs(run: Run, tmp_path: Path) -> None:
    """Oracle: the network's own outputs on the images as they are stored."""
    network = bridge.load(MAT / "regression_cnn_2026.mat")
    x = np.random.default_rng(0).normal(size=(20, 3, 3, 3)).astype(np.float32)
    with torch.no_grad():
        np.savez(
            tmp_path / "data.npz", X=x.transpose(0, 1, 3, 2), YPred=network.to_torch()(torch.from_numpy(x)).numpy()
        )
    code, out = run(MAT / "regression_cnn_2026.mat", tmp_path / "data.npz", "--input-dims", "NCHW")
    assert code == 1 and "when height and width of the input are swapped" in out


@pytest.mark.parametrize(("factor", "text"), [(1 / 255, "multiplied by 255"), (255.0, "divided by 255")])
def test_a_scaled_traffic_light_input_is_diagnosed(factor: float, text: str, run: Run, tmp_path: Path) -> None:
    """Oracle: onnxruntime on MATLAB's own .onnx, on pixels of 0..255."""
    path = ONNX / "traffic_light_R2020b_op8.onnx"
    network = bridge.load(path)
    (x,) = onnx_runtime.sample_inputs(network, 0, 8)
    (y,) = onnx_runtime.run(path, [x], [network.source.values["SoftMax"]]).values()
    np.savez(tmp_path / "data.npz", X=x * np.float32(factor), YPred=y)
    code, out = run(MAT / "traffic_light_R2020b.mat", tmp_path / "data.npz")
    assert code == 1 and f"when the input is {text}" in out
