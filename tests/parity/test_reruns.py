"""A run laid over MATLAB's log number by number: the first iteration that differs, rounding, and the cause.

Oracle: the same recipe trained with one thing changed, which stands for MATLAB's log; single precision is left by the other sums
that a changed learn rate gives.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

import bridge
from bridge import layers
from bridge.network import Network
from bridge.parity.logs import check_log
from bridge.recipes.parts import Base, Data, Rng
from bridge.recipes.recipe import Recipe

COUNT = 24


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Twenty-four rows of three features, a batch normalisation, adam with L2 and clipping."""
    monkeypatch.chdir(tmp_path)
    x = np.random.default_rng(0).standard_normal((COUNT, 3)).astype(np.float32)
    savemat("data.mat", {"X": x, "Y": (x**2).sum(1, keepdims=True)})
    net = Network.assemble(
        [
            layers.feature_input(3, name="in"), layers.fully_connected(8, name="fc1"), layers.tanh(name="tanh"),
            layers.fully_connected(1, name="fc2"), layers.regression(name="out"),
        ]
    )  # fmt: skip
    net.save("net")
    options = bridge.training_options(
        "adam", MaxEpochs=6, MiniBatchSize=4, InitialLearnRate=0.05, L2Regularization=0.05, GradientThreshold=0.5, Epsilon=1e-4,
        Verbose=False
    )  # fmt: skip
    return Recipe(Base(file="net"), options, data=Data("data.mat"), folder=Path())


def laid_over(recipe: Recipe, change: Callable[[Recipe], Recipe], **train: Any) -> Any:
    """Check a run against the log of a changed one."""
    bridge.train(recipe, output="run")
    bridge.train(change(recipe), output="theirs", **train)
    shutil.copy("theirs/info.mat", "info.mat")
    return check_log("run", "info.mat")


def options(**given: Any) -> Callable[[Recipe], Recipe]:
    return lambda recipe: recipe.with_options(**given)


def switch(**given: Any) -> Callable[[Recipe], Recipe]:
    def change(recipe: Recipe) -> Recipe:
        mapping = {**recipe.options.to_mapping(), "semantics": given}
        return replace(recipe, options=type(recipe.options).from_mapping(mapping))

    return change


def test_the_same_run_agrees(recipe: Recipe) -> None:
    found = laid_over(recipe, lambda each: each)
    assert found.passed and any(
        "the first 36 iterations agree; they differ as rounding may" in note for note in found.notes
    )


def test_rounding_is_no_difference(recipe: Recipe) -> None:
    found = laid_over(recipe, options(InitialLearnRate=0.05 * (1 + 2e-7)))
    assert found.passed and "as rounding may" in "\n".join(found.notes)


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (options(Epsilon=1e-6), "epsilon"),
        (switch(adam_epsilon="A"), "adam_epsilon"),
        (switch(l2_before_clipping=False), "l2_before_clipping"),
        (options(GradientThresholdMethod="global-l2norm"), "clipping"),
        (options(L2Regularization=0), "L2"),
    ],
)
def test_what_is_otherwise_after_the_first_iteration_is_the_cause(
    change: Callable[[Recipe], Recipe], name: str, recipe: Recipe
) -> None:
    found = laid_over(recipe, change)
    assert not found.passed and found.cause is not None, found.notes
    assert found.cause.name == name, (found.cause, found.notes)
    assert "loss from iteration" in found.verdict and "number by number" in found.verdict
    assert found.cause.agrees_to is not None and found.cause.agrees_to < 1e-5


def test_l2_on_biases(recipe: Recipe) -> None:
    net = bridge.load("net")
    for name in ("fc1", "fc2"):
        net = net.set_l2_factor(name, "Bias", 1)
    found = laid_over(recipe, lambda each: each, network=net)
    assert found.cause is not None and found.cause.name == "L2 on biases", found.notes


@pytest.mark.parametrize(
    ("change", "name"),
    [
        (lambda each: replace(each, rng=Rng(3)), "rng(3)"),
        (lambda each: replace(each, rng=Rng(0, 5)), "rng(0) after 5 doubles"),
        (options(Shuffle="never"), "Shuffle is 'never'"),
    ],
)
def test_another_stream_or_order_is_told_in_a_note(
    change: Callable[[Recipe], Recipe], name: str, recipe: Recipe
) -> None:
    """Samples of the losses decide whether the run passes; the note says why its numbers are others."""
    found = laid_over(recipe, change)
    (note,) = [each for each in found.notes if each.startswith("number by number")]
    assert "iteration 1 is the first that differs" in note and name in note, note


def test_without_a_recipe_causes_are_not_tried(recipe: Recipe) -> None:
    bridge.train(recipe, output="run")
    bridge.train(recipe.with_options(L2Regularization=0), output="theirs")
    found = check_log("run/info.mat", "theirs/info.mat")
    assert not found.passed and "causes were not tried" in "\n".join(found.notes)
