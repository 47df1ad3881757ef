"""Input layers that split complex numbers into channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bridge
from fixtures import layers as L
from fixtures import mat
from tests.modules.cases import chain, saved
from tests.real import REAL, needs_real

MEAN, SPREAD = np.array([[1 + 2j], [3 - 1j]], np.complex64), np.array([[2.0], [4.0]], np.float32)


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_a_sequence_of_complex_numbers(tmp_path: Path, container: Any) -> None:
    """Oracle: (x - mean) / spread in complex numbers, worked out by numpy; real parts come first."""
    made = L.sequenceInputLayer(2, "in", "zscore", Mean=MEAN, Std=SPREAD)
    net = chain(saved(made, SplitComplexInputs=True), L.reluLayer("relu"))
    mat.write(tmp_path / "net.mat", {"net": net}, container)
    network = bridge.load(tmp_path / "net.mat")
    assert network.layers["in"].InputSize == 4 and any("real parts, then imaginary" in note for note in network.notes)
    rng = np.random.default_rng(1)
    x = rng.standard_normal((2, 7)) + 1j * rng.standard_normal((2, 7))
    y = (x - MEAN) / SPREAD
    with torch.no_grad():
        parts = torch.tensor(np.concatenate([x.real, x.imag]).T[None], dtype=torch.float32)
        found = network.to_torch()(parts)[0].numpy().T
    np.testing.assert_allclose(found, np.maximum(np.concatenate([y.real, y.imag]), 0), atol=1e-6)


def test_an_image_with_one_mean(tmp_path: Path) -> None:
    made = L.imageInputLayer((3, 2, 2), "in", "zerocenter", None, Mean=np.array([[0.5 - 2j]], np.complex64))
    mat.write(tmp_path / "net.mat", {"net": chain(saved(made, SplitComplexInputs=True), L.identityLayer("same"))})
    model = bridge.load(tmp_path / "net.mat").to_torch()
    with torch.no_grad():
        found = model(torch.zeros(1, 4, 3, 2))[0, :, 0, 0].numpy()
    np.testing.assert_allclose(found, [-0.5, -0.5, 2, 2], atol=1e-7)


@needs_real
def test_a_network_of_matlab_that_splits_its_input() -> None:
    network = bridge.load(REAL / "mat" / "conv1d_dlnetwork_categorical_classes.mat")
    with torch.no_grad():
        scores = network.to_torch()(torch.randn(2, 1024, 2))
    assert scores.shape == (2, len(network.classes or ())) and network.classes is not None
    torch.testing.assert_close(scores.sum(1), torch.ones(2))
