"""What a training draws from MATLAB's stream, in which order, and what it says of that.

Oracle: numpy's MT19937 with MATLAB's seed, counted in doubles by hand.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bridge
from bridge import layers
from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError
from bridge.images import imageDatastore
from bridge.network import Network
from bridge.options.options import training_options
from bridge.random import MatlabStream
from bridge.recipes.parts import Data, Rng
from bridge.recipes.recipe import Recipe
from bridge.training.order import Order, validates_at, validations
from bridge.training.train import train
from tests.data.test_observations import write_images
from tests.shell import Command
from tests.training import nets
from tests.training.test_loop import images, observations, small

FRESH = np.random.RandomState(5489).random_sample(10_000)  # the doubles of rng(0)


def permutation(begin: int, count: int) -> NDArray:
    """MATLAB's randperm, from 0, where so many doubles were drawn."""
    return np.argsort(FRESH[begin : begin + count], kind="stable")


def fresh_network() -> Network:
    """Three features to two classes: six weights are drawn."""
    return Network.assemble(
        [layers.feature_input(3, name="in"), layers.fully_connected(2, name="fc"), layers.softmax(name="softmax")]
    )


def rows(count: int) -> tuple[NDArray, list[str]]:
    return np.random.default_rng(0).standard_normal((count, 3)).astype(np.float32), ["a", "b"] * (count // 2)


def seen(order: Order, epochs: int) -> Iterator[NDArray]:
    return (order.epoch(epoch) for epoch in range(1, epochs + 1))


# The order of the observations


def test_one_permutation_for_the_whole_training() -> None:
    order = Order(50, "once", MatlabStream(0, position=7))
    assert all(np.array_equal(each, permutation(7, 50)) for each in seen(order, 3))
    assert not order.varies and order.doubles(100) == 50


def test_a_permutation_for_each_epoch_wherever_one_begins() -> None:
    order = Order(50, "every-epoch", 0)
    expected = [permutation(50 * epoch, 50) for epoch in range(4)]
    assert all(map(np.array_equal, seen(order, 4), expected)) and order.varies
    for epoch in (2, 4, 1, 3):
        assert np.array_equal(order.epoch(epoch), expected[epoch - 1])
        assert np.array_equal(Order(50, "every-epoch", 0).epoch(epoch), expected[epoch - 1])


def test_validations_draw_between_the_epochs() -> None:
    """Epochs of 5 mini-batches, validated by 7 observations at iterations 1, 3, 6, 9, 12, ...: one, then 1 + 1, 1 + 3 before epochs."""
    options = training_options("sgdm", Shuffle="every-epoch", ValidationFrequency=3)
    order = Order(50, "every-epoch", 0, validated=lambda iterations: 7 * validations(iterations, options))
    order.iterations = 5
    expected = [permutation(begin, 50) for begin in (0, 50 + 2 * 7, 100 + 4 * 7, 150 + 6 * 7)]
    assert all(map(np.array_equal, seen(order, 4), expected))
    assert order.doubles(15) == 150 + 6 * 7


def test_composed_orders_build_on_the_one_before() -> None:
    order = Order(20, "every-epoch", 0, composed=True)
    first, second, third = (permutation(20 * epoch, 20) for epoch in range(3))
    expected = [first, first[second], first[second][third]]
    assert all(map(np.array_equal, seen(order, 3), expected))
    assert np.array_equal(Order(20, "every-epoch", 0, composed=True).epoch(3), expected[2])


@pytest.mark.parametrize("trainer", ["trainNetwork", "trainnet"])
@pytest.mark.parametrize("frequency", [1, 2, 5])
def test_validations_are_counted_as_they_happen(trainer: str, frequency: int) -> None:
    options = training_options("sgdm", trainer=trainer, ValidationFrequency=frequency)
    for done in range(12):
        assert validations(done, options) == sum(validates_at(each, 100, options) for each in range(done + 1))


def test_nothing_is_drawn_for_an_order_that_is_given() -> None:
    for order in (Order(5, "never", 0), Order(5, "every-epoch", 0, [4, 3, 2, 1, 0])):
        assert order.doubles(100) == 0 and not order.drawn and not order.varies
    assert Order(5, "never", 0).epoch(3).tolist() == [0, 1, 2, 3, 4]


# A training


def test_values_are_drawn_before_the_order() -> None:
    """Oracle: the same network with values, and the same order given by hand."""
    data, options = rows(12), small(Shuffle="every-epoch", MaxEpochs=3, MiniBatchSize=4)
    stream = MatlabStream(0)
    found = train(fresh_network(), data, options, rng=stream)
    order = [permutation(6 + 12 * epoch, 12) for epoch in range(3)]
    expected = train(fresh_network().initialize(0), data, options, order=order)
    assert [row["TrainingLoss"] for row in found.rows] == [row["TrainingLoss"] for row in expected.rows]
    assert stream.position == 6 + 3 * 12


def test_a_second_training_goes_on_where_the_first_ended() -> None:
    """A session that trains twice: with Shuffle 'once' the second begins as many doubles later as there are observations."""
    stream, options = MatlabStream(0), small(Shuffle="once", MaxEpochs=3, MiniBatchSize=4)
    for runs in (1, 2):
        train(fresh_network(), rows(12), options, rng=stream)
        assert stream.position == runs * (6 + 12)


def test_the_loop_validates_in_between() -> None:
    """Oracle: the order of the second epoch by hand: two validations of 4 observations, at iterations 1 and 2, before it."""
    data, held = rows(12), rows(4)
    options = small(Shuffle="every-epoch", MaxEpochs=2, MiniBatchSize=4, ValidationFrequency=2)
    found = train(fresh_network().initialize(0), data, options, validation=held)
    order = [permutation(0, 12), permutation(12 + 2 * 4, 12)]
    expected = train(fresh_network().initialize(0), data, options, validation=held, order=order)
    assert [row["TrainingLoss"] for row in found.rows] == [row["TrainingLoss"] for row in expected.rows]
    other = training_options("sgdm", **dict(options.given), semantics={"validation_draws": False})
    order[1] = permutation(12, 12)
    found = train(fresh_network().initialize(0), data, other, validation=held)
    expected = train(fresh_network().initialize(0), data, other, validation=held, order=order)
    assert [row["TrainingLoss"] for row in found.rows] == [row["TrainingLoss"] for row in expected.rows]


# What it says


@pytest.mark.parametrize(
    ("network", "changed", "line"),
    [
        (
            fresh_network,
            {"Shuffle": "never"},
            "initial weights: rng(0), proven · order: as given · no dropout · comparable",
        ),
        (
            fresh_network,
            {},
            "initial weights: rng(0), proven · order: likely · no dropout · comparable number by number",
        ),
        (
            fresh_network,
            {"MiniBatchSize": 12},
            "initial weights: rng(0), proven · order: one mini-batch · no dropout · comp",
        ),
        (nets.classifier, {}, "initial weights: none drawn · order: likely · no dropout · comparable number by number"),
        (
            fresh_network,
            {"Shuffle": "every-epoch"},
            "initial weights: rng(0), proven · order: unconfirmed · no dropout · comparable number by number if the unconf",
        ),
    ],
)
def test_a_run_says_what_is_matlabs(
    network: Any, changed: dict[str, Any], line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    net = network()
    given = rows(12) if network is fresh_network else observations(12, True, 1)
    info = train(net, given, small(**{"Verbose": True, "Shuffle": "once", "MiniBatchSize": 4, **changed}))
    assert info.random.startswith(line) and info.facts()["random"] == info.random
    assert info.random in capsys.readouterr().err.splitlines()


def test_dropout_and_augmentation_are_not_matlabs(tmp_path: Path) -> None:
    info = train(nets.cnn(dropout=True), images(12), small(MiniBatchSize=4))
    assert info.random.endswith("dropout: not MATLAB's · not comparable number by number")
    assert "not comparable" not in train(nets.cnn(), images(12), small(MiniBatchSize=4)).random
    write_images(tmp_path, nets.CLASSES)
    store = imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames")
    changed = bridge.images.augmentedImageDatastore(
        (8, 8, 3), store, DataAugmentation=bridge.images.imageDataAugmenter(RandXReflection=True)
    )
    assert train(nets.cnn(), changed, small(MiniBatchSize=4)).random.endswith(
        "augmentation: not MATLAB's · not comparable number by number"
    )


def test_switches_are_told_where_they_matter() -> None:
    def notes(**changed: Any) -> str:
        options = small(**{"Shuffle": "every-epoch", "MiniBatchSize": 4, "ValidationFrequency": 2, **changed})
        return "\n".join(train(fresh_network(), rows(12), options, validation=rows(4)).notes)

    assert "epoch_order = 'fresh', unconfirmed" in notes() and "validation_draws = True, unconfirmed" in notes()
    for changed in ({"Shuffle": "once"}, {"MiniBatchSize": 12}, {"MaxEpochs": 1}):
        assert "epoch_order" not in notes(**changed) and "validation_draws" not in notes(**changed)
    info = train(fresh_network(), rows(12), small(Shuffle="every-epoch", MiniBatchSize=4))
    assert "validation_draws" not in "\n".join(info.notes)


# Recipes


@pytest.fixture
def recipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recipe:
    """Images of three classes, five of each, split at random; a new head of four classes' size."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "images", nets.CLASSES)
    nets.cnn().save(tmp_path / "net")
    text = (
        'schema = "bridge.recipe/1"\n[network]\nfile = "net"\n[[edits]]\nwith_classes = "data"\n'
        '[options]\nsolver = "sgdm"\nMaxEpochs = 2\nMiniBatchSize = 4\nInitialLearnRate = 0.001\nVerbose = false\n'
        '[data]\npath = "images"\nsplit = [0.75]\nrandomized = true\n[rng]\nseed = 0\nskip = 100\n'
    )
    (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
    return Recipe.load("recipe.toml")


def test_a_split_draws_first_then_the_weights_then_the_order(recipe: Recipe) -> None:
    """Oracle: the parts by hand, from the doubles of rng(0) after the 100 that are skipped."""
    store = imageDatastore("images", IncludeSubfolders=True, LabelSource="foldernames")
    counts = list(store.countEachLabel().values())
    first, rest, begin, offset = [], [], 100, 0
    for count in counts:
        chosen = offset + permutation(begin, count)
        first += chosen[: int(0.75 * count)].tolist()
        rest += chosen[int(0.75 * count) :].tolist()
        begin, offset = begin + count, offset + count
    stream = MatlabStream(0, position=begin)
    network = recipe.edited(bridge.load("net"), nets.CLASSES).initialize(stream)
    drawn = stream.position - begin
    assert drawn > 0
    expected = train(network, store.subset(first), recipe.options, validation=store.subset(rest), rng=stream)
    found = bridge.train(recipe)
    assert [row["TrainingLoss"] for row in found.rows] == [row["TrainingLoss"] for row in expected.rows]
    assert found.random.startswith(
        f"split: rng(0), likely · initial weights: rng(0) from double {begin:,}, proven · order"
    )
    assert "ValidationLoss" in found.rows[-1]


def test_splits_of_datastores_draw_from_a_stream() -> None:
    """Ten files of each of two labels; oracle: the doubles by hand."""
    names = tuple(f"{number}.png" for number in range(20))
    store = bridge.images.ImageDatastore(names, ("x",) * 10 + ("y",) * 10, ("x", "y"))
    stream = MatlabStream(0)
    first, _ = store.splitEachLabel(3, randomized=True, rng=stream)
    expected = [*permutation(0, 10)[:3], *(10 + permutation(10, 10)[:3])]
    assert list(first.Files) == [f"{number}.png" for number in expected] and stream.position == 20
    store.splitEachLabel(3, rng=stream)
    assert stream.position == 20


def test_a_stream_given_to_a_recipe_is_kept_in_its_run(recipe: Recipe) -> None:
    stream = MatlabStream(5, position=11)
    whole = bridge.train(recipe, output="run", rng=stream)
    assert stream.position > 11
    kept = Recipe.load("run/recipe.toml")
    assert kept.rng == Rng(5, 11)
    again = bridge.train(kept)
    assert [row["TrainingLoss"] for row in again.rows] == [row["TrainingLoss"] for row in whole.rows]


def test_the_command_and_python_do_the_same(recipe: Recipe, command: Command) -> None:
    assert command("train", "recipe.toml", "-o", "a", "--rng", "7", "--rng-skip", "3").code == 0
    bridge.train("recipe.toml", output="b", rng=MatlabStream(7, position=3))
    assert Path("a/network/model.safetensors").read_bytes() == Path("b/network/model.safetensors").read_bytes()
    assert Recipe.load("a/recipe.toml").rng == Rng(7, 3)
    assert command("train", "recipe.toml", "-o", "c", "--rng", "7").code == 0
    assert Recipe.load("c/recipe.toml").rng == Rng(7, 0)
    for options, message in ((("--rng", "-1"), "seed is -1"), (("--rng-skip", "-1"), "skip is -1")):
        ran = command("train", "recipe.toml", "-o", "d", *options)
        assert ran.code == 2 and message in ran.err and not Path("d").exists()


def test_data_in_memory_for_a_recipe(recipe: Recipe) -> None:
    """Classes of the data reach the network; [data] of images in files is refused for arrays."""
    pixels, names = images(12)
    plain = replace(recipe, data=Data())
    info = bridge.train(plain, (pixels, list(names)), validation=(pixels, list(names)))
    assert info.network is not None and info.network.classes == nets.CLASSES and "ValidationLoss" in info.rows[-1]
    with pytest.raises(UsageError, match=r"\[data\] has split"):
        bridge.train(recipe, (pixels, list(names)))
    store = imageDatastore("images", IncludeSubfolders=True, LabelSource="foldernames")
    assert bridge.train(recipe, store).rows[-1]["TrainingLoss"] == bridge.train(recipe).rows[-1]["TrainingLoss"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"options": small()}, "options cannot be given here"),
        ({"loss": "mse", "class_weights": [1, 2]}, "loss and class_weights cannot be given here"),
        ({"resume": True}, "None holds no training to go on with"),
        ({"resume": True, "output": "nowhere"}, "nowhere holds no training to go on with"),
        ({"resume": "nowhere"}, "nowhere holds no training to go on with"),
    ],
)
def test_what_does_not_fit_a_recipe_is_told(recipe: Recipe, given: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        bridge.train(recipe, **given)


def test_what_does_not_fit_a_network_is_told() -> None:
    with pytest.raises(UsageError, match="no options to train with"):
        bridge.train(fresh_network(), rows(4))
    with pytest.raises(UsageError, match="factors cannot be given here"):
        bridge.train(fresh_network(), rows(4), small(), factors="net.mat")
