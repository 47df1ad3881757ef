"""Scripts as people write them, read without MATLAB; the oracle is what MATLAB would do, worked out by hand for each script.

`expected.toml` has a table for each script. What it says of layers is held against the network that the recipe makes, so it does not
matter in which words a recipe says it.
"""

from __future__ import annotations

import fnmatch
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import BridgeError
from bridge.network import Network
from bridge.networks.build import architecture
from bridge.recipes.recipe import Recipe
from bridge.scripts import Reading, read

HERE = Path(__file__).parent
EXPECTED: dict[str, dict[str, Any]] = tomllib.loads((HERE / "expected.toml").read_text(encoding="utf-8"))
CLASSES = ["a", "b", "c", "d", "e"]
READ = sorted(name for name, case in EXPECTED.items() if "error" not in case)


@cache
def reading(name: str) -> Reading:
    return read(HERE / f"{name}.m")


@cache
def untrained(name: str) -> Network:
    return architecture(name)


def base(recipe: Recipe) -> Network:
    return untrained(recipe.base.name) if recipe.base.name else recipe.load_base()


@cache
def edited(name: str) -> Network:
    recipe = reading(name).recipe
    assert recipe is not None
    network = base(recipe)
    for edit in recipe.edits:
        network = edit.apply(network, CLASSES)
    return network


def frozen(network: Network) -> set[str]:
    return {
        f"{each.name}/{key}"
        for each in network.layers
        for key, item in each.learnables.items()
        if item.learn_rate_factor == 0
    }


def chosen(network: Network, patterns: list[str]) -> set[str]:
    """The layers that names, patterns and MATLAB's ranges choose in the network before its edits."""
    names = [layer.name for layer in network.layers]
    found: set[str] = set()
    for pattern in patterns:
        first, colon, last = pattern.partition(":")
        found |= set(names[int(first) - 1 : int(last)] if colon else fnmatch.filter(names, pattern))
    return found


def test_every_script_has_a_table() -> None:
    assert {path.stem for path in HERE.glob("*.m")} == set(EXPECTED)


@pytest.mark.parametrize("name", sorted(set(EXPECTED) - set(READ)))
def test_error(name: str) -> None:
    with pytest.raises(BridgeError, match=EXPECTED[name]["error"]):
        read(HERE / f"{name}.m")


@pytest.mark.parametrize("name", READ)
def test_exit_code(name: str) -> None:
    found = reading(name)
    assert found.exit_code == EXPECTED[name].get("exit", 0), found.not_understood


@pytest.mark.parametrize("name", READ)
def test_words(name: str) -> None:
    found, case = reading(name), EXPECTED[name]
    for key in ("reports", "kept"):
        for text in case.get(key, []):
            assert any(text in f"{entry.text} {entry.what}" for entry in getattr(found, key)), (
                key,
                text,
                getattr(found, key),
            )
    for text in case.get("told", []):
        assert any(text in entry.what for entry in found.not_understood), (text, found.not_understood)
    lines = [entry.line for entry in found.not_understood]
    assert set(case.get("not_understood", [])) <= set(lines), found.not_understood


@pytest.mark.parametrize("name", [name for name in READ if {"options", "absent_options"} & set(EXPECTED[name])])
def test_options(name: str) -> None:
    recipe, case = reading(name).recipe, EXPECTED[name]
    assert recipe is not None
    given = recipe.options.to_mapping()
    wanted = dict(case.get("options", {}))
    assert recipe.options.solver == wanted.pop("solver", recipe.options.solver)
    for option, value in wanted.items():
        found = getattr(recipe.options, option)
        assert found == value or found == (tuple(value) if isinstance(value, list) else value), (option, found)
    assert not set(case.get("absent_options", [])) & set(given)
    if "trainer" in case:
        assert recipe.trainer == case["trainer"]
    if "schedules" in case:
        names = [getattr(item, "name", item) for item in recipe.options.schedules]
        assert [any(want in found for found in names) for want in case["schedules"]] == [True] * len(
            case["schedules"]
        ), names


@pytest.mark.parametrize(
    "name", [name for name in READ if {"frozen", "factors", "l2", "outputs", "head", "layers"} & set(EXPECTED[name])]
)
def test_network(name: str) -> None:
    recipe, case, network = reading(name).recipe, EXPECTED[name], edited(name)
    assert recipe is not None
    if "network" in case:
        assert recipe.base.name == case["network"]
    if "frozen" in case:
        start = untrained(case["network"])
        layers = chosen(start, case["frozen"])
        batch_norm = case.get("frozen_batch_norm", True)
        wanted = {
            f"{layer.name}/{key}" for layer in network.layers if layer.name in layers
            for key in layer.learnables if batch_norm or layer.kind != "BatchNormalizationLayer"
        }  # fmt: skip
        own = {path for path in frozen(start) if path.partition("/")[0] in {layer.name for layer in network.layers}}
        assert frozen(network) - own == wanted - own
        if case.get("frozen_l2"):
            assert {network.layers[path.split("/")[0]].learnables[path.split("/")[1]].l2_factor for path in wanted} == {
                0
            }
    for path, factor in case.get("factors", {}).items():
        layer, _, key = path.rpartition("/")
        assert network.layers[layer].learnables[key].learn_rate_factor == factor, path
    for path, factor in case.get("l2", {}).items():
        layer, _, key = path.rpartition("/")
        assert network.layers[layer].learnables[key].l2_factor == factor, path
    for layer, count in case.get("outputs", {}).items():
        assert outputs(network, layer) == (len(CLASSES) if count == "classes" else count)
    for layer, properties in case.get("layers", {}).items():
        for key, value in properties.items():
            assert getattr(network.layers[layer], key) == value
    if "head" in case:
        head = network.head().layer
        for key in ("Weights", "Bias"):
            assert head.learnables[key].learn_rate_factor == case["head"].get(key, 1)
        assert outputs(network, head.name) == case["head"]["outputs"]


def outputs(network: Network, layer: str) -> int:
    found = network.layers[layer]
    return int(found.OutputSize if "OutputSize" in found.properties else found.NumFilters)


@pytest.mark.parametrize(
    "name", [name for name in READ if {"data", "augmentation", "color", "loss", "class_weights"} & set(EXPECTED[name])]
)
def test_data_and_loss(name: str) -> None:
    recipe, case = reading(name).recipe, EXPECTED[name]
    assert recipe is not None
    for key, value in case.get("data", {}).items():
        found = getattr(recipe.data, key)
        assert found == (tuple(value) if isinstance(value, list) else value), key
    if "augmentation" in case:
        given = {
            key: list(value) if isinstance(value, tuple) else value for key, value in recipe.data.augmentation.items()
        }
        assert given == case["augmentation"]
    if "color" in case:
        assert recipe.data.ColorPreprocessing == case["color"]
    if "loss" in case:
        assert (
            recipe.loss.name in ("", case["loss"])
            if case["loss"] == "crossentropy"
            else recipe.loss.name == case["loss"]
        )
    if "class_weights" in case:
        weights = recipe.loss.class_weights or next(
            layer.properties["ClassWeights"] for layer in edited(name).layers if "ClassWeights" in layer.properties
        )
        assert [float(weight) for weight in weights] == case["class_weights"]
