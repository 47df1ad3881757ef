"""What the files that MATLAB really wrote must give; they are not part of the project and skip where absent."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bridge
from bridge.parity.proof import prove
from bridge.readers.mat.file import variables
from tests.real import REAL, needs_real

pytestmark = needs_real

PAIRS = {
    "object_recognition_R2019a_op8": "object_recognition_R2019a",
    "traffic_light_R2020b_op8": "traffic_light_R2020b",
    "segnet_R2020b_op8_com_mathworks": "segnet_R2020b",
    "recycling_R2024b_op14": "recycling_R2024b",
}
NETWORKS = (
    "fault_lstm_R2020a", "feature_dlnetwork_R2025a", "lstm_projected_with_options_R2022b", "object_recognition_R2019a", "recycling_R2024b",
    "regression_cnn_2026", "segnet_R2020b", "speech_commands_dlnetwork_2024", "squeezenet_transfer_with_info_2022", "traffic_light_R2020b",
    "yolov2_detector_2022",
)  # fmt: skip


def mat(name: str) -> Path:
    return REAL / "mat" / f"{name}.mat"


def onnx(name: str) -> Path:
    return REAL / "onnx" / f"{name}.onnx"


def values(name: str) -> dict[str, Any]:
    return dict(variables(mat(name)))


@pytest.mark.parametrize("name", sorted(path.stem for path in REAL.glob("onnx/*.onnx")) if REAL.is_dir() else [])
def test_every_onnx_file_equals_onnxruntime(name: str) -> None:
    """Oracle: onnxruntime without optimisation, every layer; 1e-5 of each layer's largest value."""
    network = bridge.load(onnx(name))
    proof = prove(network, network.to_torch())
    assert proof.comparison is not None, proof.missing
    proof.comparison.require()
    assert proof.equal == proof.total > 0


@pytest.mark.parametrize("name", PAIRS)
def test_an_onnx_joins_its_mat_bit_for_bit(name: str) -> None:
    """Oracle: the arrays of the other file, which MATLAB wrote from the same network."""
    joined = bridge.load(onnx(name), factors=mat(PAIRS[name]))
    own = bridge.load(mat(PAIRS[name]))
    assert joined.classes == own.classes and joined.classes is not None
    assert [layer.name for layer in joined.layers] == [layer.name for layer in own.layers]
    assert any("weights equal bit for bit" in note for note in joined.notes)
    assert not any(each.assumed for _, _, each in joined.learnables())


def test_the_module_of_a_mat_equals_the_module_of_its_onnx() -> None:
    """Oracle: the other file. SegNet's unpooling, folded padding and flatten order agree on both roads."""
    for left, right in PAIRS.items():
        a, b = bridge.load(onnx(left)).to_torch(), bridge.load(mat(right)).to_torch()
        height, width, channels = (96, 128, 3) if "segnet" in left else bridge.load(mat(right)).layers[0].InputSize
        x = torch.rand(1, channels, height, width) * 255
        with torch.no_grad():
            torch.testing.assert_close(a(x), b(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_mat_network_is_read_whole(name: str) -> None:
    network = bridge.load(mat(name))
    proof = prove(network, network.to_torch())
    assert proof.equal == proof.total
    assert not any(each.assumed for _, _, each in network.learnables())


def test_fault_lstm_predicts_what_matlab_predicted() -> None:
    """Oracle: MATLAB's own stored labels, 176 of 176."""
    network = bridge.load(mat("fault_lstm_R2020a"))
    model = network.to_torch()
    expected = values("fault_lstm_predictions")["validationResults"].labels.ravel().tolist()
    assert network.classes is not None
    with torch.no_grad():
        found = [
            network.classes[int(model(torch.from_numpy(np.array(sequence.T, np.float32))[None]).argmax())]
            for sequence in values("fault_lstm_features")["validationFeatures"]
        ]
    assert found == expected and len(found) == 176


def test_a_cnn_gives_the_score_that_matlab_gave() -> None:
    """Oracle: the image I2, the label and the score in percent that MATLAB stored beside the network."""
    stored, network = values("cnn_with_image_and_score"), bridge.load(mat("cnn_with_image_and_score"))
    image = torch.from_numpy(stored["I2"].transpose(2, 0, 1)[None].astype(np.float32))
    with torch.no_grad():
        scores = network.to_torch()(image)[0]
    assert network.classes is not None
    assert network.classes[int(scores.argmax())] == stored["Pred"].labels.item() == "Busuk"
    assert 100 * scores.max().item() == pytest.approx(
        stored["scores"].item(), abs=1e-5
    )  # 96.67920685; single precision


def test_a_shallow_network_gives_the_outputs_that_matlab_gave() -> None:
    """Oracle: MATLAB's y for x, 6 x 463, stored beside the network; MATLAB computes in double precision, torch in single."""
    stored = values("shallow_network_with_outputs")
    model = bridge.load(mat("shallow_network_with_outputs")).to_torch()
    with torch.no_grad():
        found = model(torch.from_numpy(stored["x"].T.astype(np.float32))).numpy().T
    assert found.shape == stored["y"].shape == (6, 463)
    np.testing.assert_allclose(found, stored["y"], rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", ["lstm_v73_2025", "dice_cnn_v73"])
def test_version_73_of_matlab_is_read(name: str) -> None:
    """Oracle: the datasets of the HDF5 file as h5py reads them, by their sizes and values."""
    import h5py

    stored: set[bytes] = set()

    def collect(_: str, item: Any) -> None:
        if isinstance(item, h5py.Dataset) and item.dtype == np.float32:
            stored.add(item[()].T.tobytes("F"))

    with h5py.File(mat(name)) as file:
        file.visititems(collect)
    learnables = list(bridge.load(mat(name)).learnables())
    assert len(learnables) > 2
    assert all(each.value.tobytes("F") in stored for _, _, each in learnables)


def test_regression_cnn_has_the_error_of_its_training() -> None:
    """Oracle: its training set; the error is 0.0073, and 0.0189 where height and width are swapped before the fully connected layer."""
    data, model = values("regression_cnn_dataset"), bridge.load(mat("regression_cnn_2026")).to_torch()
    x = torch.from_numpy(np.ascontiguousarray(data["inputs"].transpose(3, 2, 0, 1)).astype(np.float32))

    def error(images: torch.Tensor) -> float:
        with torch.no_grad():
            return float(np.sqrt(np.mean((model(images).numpy() - data["labels"]) ** 2)))

    assert error(x) == pytest.approx(0.0073, abs=5e-5)
    assert error(x.transpose(2, 3)) == pytest.approx(0.0189, abs=5e-5)


def test_lstm_projected_has_the_error_of_its_validation_data() -> None:
    """Oracle: the ValidationData stored in its options; the error is 0.0159."""
    stored = values("lstm_projected_with_options_R2022b")["options"].properties["ValidationData"]
    model = bridge.load(mat("lstm_projected_with_options_R2022b")).to_torch()
    with torch.no_grad():
        errors = [
            (model(torch.from_numpy(np.array(x.T, np.float32))[None])[0].numpy().T - y).reshape(-1)
            for x, y in zip(*stored, strict=True)
        ]
    assert float(np.sqrt(np.mean(np.concatenate(errors) ** 2))) == pytest.approx(0.0159, abs=5e-5)


def test_factors_are_the_ones_their_authors_set() -> None:
    """Oracle: facts read off the files with another reader."""
    squeezenet = bridge.load(mat("squeezenet_transfer_with_info_2022"))
    head = next(layer for layer in reversed(squeezenet.layers) if layer.learnables)
    assert (head.WeightLearnRateFactor, head.BiasLearnRateFactor) == (10, 10)
    segnet = bridge.load(mat("segnet_R2020b"))
    biases = [layer.BiasLearnRateFactor for layer in segnet.layers if layer.kind == "Convolution2DLayer"]
    assert biases and set(biases) == {0.0}
    model = segnet.to_torch()
    assert (
        not model.get_parameter("encoder1_conv1.bias").requires_grad
        and model.get_parameter("encoder1_conv1.weight").requires_grad
    )


def test_options_and_log_come_with_their_network() -> None:
    squeezenet = bridge.load(mat("squeezenet_transfer_with_info_2022"))
    assert squeezenet.training_info is not None and "TrainingLoss" in squeezenet.training_info
    projected = bridge.load(mat("lstm_projected_with_options_R2022b"))
    assert projected.training_options is not None and projected.training_options["MaxEpochs"] == 500


def test_a_constant_mean_is_told() -> None:
    """arch_acc computes f(x - 1): its input layer holds a mean of ones."""
    from bridge.network.contract import constant_shift

    assert any("f(x - 1)" in note for note in constant_shift(bridge.load(onnx("arch_acc_R2018b_op6"))))


def test_arch_weights_equal_their_cells() -> None:
    """Oracle: the W and b cells the authors saved beside the .onnx."""
    for name, stored in (("arch_acc_R2018b_op6", "arch_acc_weights"), ("arch_tora_R2020a_op8", "arch_tora_weights")):
        cells = values(stored)
        layers = [layer for layer in bridge.load(onnx(name)).layers if layer.learnables]
        assert len(layers) == len(cells["W"])
        for layer, weights, bias in zip(layers, cells["W"], cells["b"], strict=True):
            np.testing.assert_array_equal(layer.Weights, weights.reshape(layer.Weights.shape).astype(np.float32))
            np.testing.assert_array_equal(layer.Bias.reshape(-1), bias.reshape(-1).astype(np.float32))


def test_the_yolo_detector_tells_its_anchors() -> None:
    detector = bridge.load(mat("yolov2_detector_2022")).detector
    assert detector is not None and len(detector["AnchorBoxes"]) == 4 and detector["TrainingImageSize"] == (128, 128)
