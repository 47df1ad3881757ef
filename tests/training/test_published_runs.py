"""Trainings whose losses MATLAB printed, from rng(0) on: data, initial weights, solver and schedule together.

Oracle: the losses of iterations 1 and 50 that a public repository prints for two trainnet runs of MLPs with tanh (full batch,
"mae"). Later iterations differ as single precision does from double.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import bridge
from bridge import layers
from bridge.arrays.lazy import NDArray
from bridge.network import Network
from bridge.random import MatlabStream


def mlp(*widths: int) -> Network:
    chain = [layers.feature_input(1, name="input")]
    for number, width in enumerate(widths, 1):
        chain += [layers.fully_connected(width, name=f"fc_{number}"), layers.tanh(name=f"tanh_{number}")]
    return Network.assemble(chain[:-1]).initialize(0)


@pytest.mark.parametrize(
    ("widths", "target", "first", "fiftieth"),
    [
        ((32, 16, 8, 1), lambda x: x**4 + 0.2 * np.sin(20 * x), 0.26302, 0.12781),
        ((16, 8, 4, 1), lambda x: x**3 + 0.2 * np.sin(10 * x), 0.22547, 0.14967),
    ],
    ids=["quartic", "cubic"],
)
def test_losses_are_those_that_matlab_printed(
    widths: tuple[int, ...], target: Callable[[NDArray], NDArray], first: float, fiftieth: float
) -> None:
    """x = sort(-2*rand(512,1)+1) after rng(0), and rng(0) again before the network is made."""
    x = np.sort(-2 * MatlabStream(0).rand(512, 1) + 1, axis=0)
    options = bridge.training_options(
        "adam", trainer="trainnet", InitialLearnRate=0.05, LearnRateSchedule="piecewise", LearnRateDropFactor=0.9,
        LearnRateDropPeriod=30, MaxEpochs=50, MiniBatchSize=512, Verbose=False,
    )  # fmt: skip
    info = bridge.train(mlp(*widths), (np.float32(x), np.float32(target(x))), options, loss="mae")
    losses = [row["TrainingLoss"] for row in info.rows]
    assert len(losses) == 50
    # half a unit of the last printed digit, and as much for single precision; Adam's other form gives 0.12809 and 0.15284
    assert (losses[0], losses[49]) == pytest.approx((first, fiftieth), abs=1e-5)
