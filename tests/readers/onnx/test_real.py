"""What the reader tells of files that MATLAB wrote; tests/test_real.py holds their numbers against onnxruntime and their .mat files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

import bridge
from bridge.arrays.lazy import NDArray
from bridge.readers.mat.file import variables
from bridge.readers.onnx.wire import initializer_arrays, read_skeleton
from tests.real import REAL, needs_real

pytestmark = needs_real

OPSET6 = "repaired {} node(s) with attributes of opset 6"
AMBIGUOUS = "1 layer(s) are fully connected, or 1-by-1 convolutions on 1-by-1 pixels (an ONNX file cannot tell them apart): fc_1"
FLATTENED = (
    "fully connected weights after an image are taken in ONNX's order C, H, W (unconfirmed for the exporters of 2018)"
)
# file -> (release, number of observations it fixes, what its notes say)
FILES: dict[str, tuple[str, int | None, tuple[str, ...]]] = {
    "acasxu_1_1_R2018b_op8": ("R2018b", 1, ()),
    "arch_acc_R2018b_op6": ("R2018b", 1, (OPSET6.format(7),)),
    "arch_tora_R2020a_op8": ("R2020a", 1, ()),
    "dropbear_R2019b_op8": ("R2019b", 1, ()),
    "facegate_R2018a_op6": ("R2018a", 1, (OPSET6.format(5), FLATTENED)),
    "mnist_tansig_R2019b_op8": ("R2019b", 1, ()),
    "object_recognition_R2019a_op8": ("R2019a", 1, (AMBIGUOUS,)),
    "recycling_R2024b_op14": ("R2024b", None, ("folded the 'same' padding of 3 convolution(s)",)),
    "segnet_R2020b_op8_com_mathworks": ("R2020b", None, ("joined 3 max pooling(s) with their unpooling sizes",)),
    "squeezenet_transfer_R2020a_op8": ("R2020a", 1, ()),
    "traffic_light_R2020b_op8": ("R2020b", None, ()),
}


def path(name: str) -> Path:
    return REAL / "onnx" / f"{name}.onnx"


@pytest.mark.parametrize("name", FILES)
def test_what_is_told_of_a_file(name: str) -> None:
    """Oracle: the facts that were read off the files by hand."""
    network = bridge.load(path(name))
    release, batch, notes = FILES[name]
    assert (network.source.release, network.source.batch, network.notes) == (release, batch, notes)
    assert not [layer for layer in network.layers if layer.kind.startswith("onnx:")]
    assert len(network.source.values) >= len(network.layers) - 1


@pytest.mark.parametrize("name", FILES)
def test_every_weight_of_a_file_is_in_the_network(name: str) -> None:
    """Oracle: onnx.load. Each initializer is read bit for bit, and each of floats ends as a learnable or a statistic of some layer."""
    model, arrays = onnx.load(path(name)), initializer_arrays(path(name), read_skeleton(path(name)))
    for tensor in model.graph.initializer:
        assert arrays[tensor.name].read().tobytes() == numpy_helper.to_array(tensor).tobytes()
    network = bridge.load(path(name))
    held = Counter(each.array.size for _, _, each in network.learnables()) + Counter(
        array.size for layer in network.layers for array in layer.state.values()
    )
    padding = ("_Stride", "_One", "_Filter", "_Zero", "_Split_split", "_Two", "_Pad_value")
    assert held == Counter(
        arrays[tensor.name].size for tensor in model.graph.initializer if not tensor.name.endswith(padding)
    )


def nnet(text: str) -> Iterator[tuple[NDArray, NDArray]]:
    """The weights and biases of a .nnet file: after the comments, the sizes and five lines of scaling, row by row."""
    lines = [[float(n) for n in line.rstrip(",").split(",")] for line in text.splitlines() if not line.startswith("//")]
    sizes, rows = [int(n) for n in lines[1]], iter(lines[7:])
    for outputs in sizes[1:]:
        yield np.array([next(rows) for _ in range(outputs)]), np.array([next(rows)[0] for _ in range(outputs)])


def test_acasxu_holds_the_weights_of_its_nnet_text() -> None:
    """Oracle: the text, which has six digits: 1.8e-6 is half of its last one for numbers below 4."""
    network = bridge.load(path("acasxu_1_1_R2018b_op8"))
    dense = [layer for layer in network.layers if layer.learnables]
    pairs = list(nnet((REAL / "onnx" / "acasxu_1_1.nnet").read_text(encoding="utf-8")))
    assert len(dense) == len(pairs) == 7
    for layer, (weights, bias) in zip(dense, pairs, strict=True):
        np.testing.assert_allclose(layer.Weights, weights, rtol=0, atol=5e-6)
        np.testing.assert_allclose(layer.Bias.reshape(-1), bias, rtol=0, atol=5e-6)


def forward(x: NDArray, weights: list[NDArray], biases: list[NDArray]) -> NDArray:
    """A network of ReLUs and a linear last layer, in double."""
    for index, (w, b) in enumerate(zip(weights, biases, strict=True)):
        x = x @ w.astype(np.float64).T + b.reshape(-1)
        x = np.maximum(x, 0) if index < len(weights) - 1 else x
    return x


@pytest.mark.parametrize(("name", "shift", "last_relu"), [("arch_acc", 1.0, False), ("arch_tora", 0.0, True)])
def test_the_modules_compute_what_their_cells_say(name: str, shift: float, last_relu: bool) -> None:
    """Oracle: numpy in double, from the W and b the authors saved. The .onnx of arch_acc has a mean of ones: it computes f(x - 1)."""
    file = next(REAL.glob(f"onnx/{name}_*.onnx"))
    cells: dict[str, Any] = dict(variables(REAL / "mat" / f"{name}_weights.mat"))
    weights = [np.asarray(w).reshape(w.shape[0], -1) for w in cells["W"]]
    network = bridge.load(file)
    x = np.random.default_rng(0).uniform(0, 2, (3, weights[0].shape[1]))
    wanted = forward(x - shift, weights, list(cells["b"]))
    wanted = np.maximum(wanted, 0) if last_relu else wanted
    height, width, channels = network.layers[0].InputSize
    with torch.no_grad():
        y = network.to_torch()(torch.tensor(x.reshape(3, channels, height, width), dtype=torch.float32)).numpy()
    np.testing.assert_allclose(y.reshape(3, -1), wanted, rtol=1e-5, atol=1e-5)


def test_a_file_of_one_observation_runs_on_several() -> None:
    """Oracle: the module on each observation alone."""
    module = bridge.load(path("squeezenet_transfer_R2020a_op8")).to_torch()
    x = torch.rand(2, 3, 227, 227, generator=torch.Generator().manual_seed(0)) * 255
    with torch.no_grad():
        torch.testing.assert_close(module(x), torch.cat([module(x[:1]), module(x[1:])]), rtol=1e-5, atol=1e-6)
