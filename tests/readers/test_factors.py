"""Factors of a saved layer: those that the file holds, MATLAB's defaults for those that it does not, and which are which."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bridge
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Net
from tests.shell import Command

HELD: dict[str, tuple[dict[str, float], tuple[float, float], bool]] = {
    # what the file holds: the learn-rate and the L2 factor, and whether one of them is assumed
    "both": ({"LearnRateFactor": 5.0, "L2Factor": 3.0}, (5, 3), False),
    "the learn rate's": ({"LearnRateFactor": 5.0}, (5, 1), True),
    "that of L2": ({"L2Factor": 3.0}, (1, 3), True),
    "neither": ({}, (1, 1), True),
}


@pytest.mark.parametrize("case", HELD)
def test_a_layer_with_some_of_its_factors(case: str, tmp_path: Path, command: Command) -> None:
    held, expected, assumed = HELD[case]
    made = L.fullyConnectedLayer(np.random.default_rng(0), "fc", 3, 2)
    parts: dict[str, Any] = {name: {"Value": each.value, **held} for name, each in made.params.items()}
    layers = (
        L.featureInputLayer(3, "in"),
        replace(made, params={}, saved={**made.saved, **parts}),
        L.regressionLayer("out"),
    )
    mat.write(tmp_path / "net.mat", {"net": Net("SeriesNetwork", layers)})
    layer = bridge.load(tmp_path / "net.mat").layers["fc"]
    weights, bias = layer.learnables["Weights"], layer.learnables["Bias"]
    assert (weights.learn_rate_factor, weights.l2_factor, weights.assumed) == (*expected, assumed)
    assert bias.l2_factor == held.get("L2Factor", 0) and bias.assumed == assumed
    assert ("(assumed)" in command("inspect", tmp_path / "net.mat").out) == assumed
