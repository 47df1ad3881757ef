"""Whole training scripts by different authors, each against a key that was written by reading it (`real.toml`).

A key tells all that affects training: what it does not name must not be read, and what is read must be what it names.
"""

from __future__ import annotations

import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from bridge.network import Network, simplest
from bridge.networks.build import architecture
from bridge.readers import load
from bridge.recipes.parts import changed
from bridge.scripts import Reading, read, read_all
from bridge.tables.layers import table
from tests.real import REAL, needs_real
from tests.scripts.corpus.test_corpus import chosen, frozen, outputs

KEYS: dict[str, dict[str, Any]] = tomllib.loads(Path(__file__).with_name("real.toml").read_text(encoding="utf-8"))
SCRIPTS = REAL / "scripts"
NETWORKS = [name for name, key in KEYS.items() if {"order", "layers", "factors", "frozen", "outputs"} & set(key)]

pytestmark = needs_real


@cache
def reading(name: str) -> Reading:
    return read(SCRIPTS / f"{name}.m", training=1)


@cache
def made(name: str) -> Network:
    recipe = reading(name).recipe
    assert recipe is not None
    network = recipe.untrained().load_base()
    for edit in recipe.edits:
        network = edit.apply(network, ("a", "b", "c"))
    return network


def listed(value: Any) -> Any:
    return [listed(each) for each in value] if isinstance(value, (list, tuple)) else value


def test_every_script_has_its_key() -> None:
    assert {path.stem for path in SCRIPTS.glob("*.m")} == set(KEYS)


@pytest.mark.parametrize("name", KEYS)
def test_what_is_told(name: str) -> None:
    found, key = reading(name), KEYS[name]
    assert found.exit_code == key["exit"], found.not_understood
    assert len(read_all(SCRIPTS / f"{name}.m")) == key.get("trainings", 1)
    assert sorted({entry.line for entry in found.not_understood}) == key.get("not_understood", [])
    kept = [entry.what for entry in found.kept]
    assert all(any(text in what for what in kept) for text in key.get("kept", [])), kept
    assert all(any(text in what for text in key.get("kept", [])) for what in kept), kept
    odd = [entry.what for entry in found.reports if "has random weights here" not in entry.what]
    assert all(any(text in what for what in odd) for text in key.get("reports", [])), odd
    assert all(any(text in what for text in key.get("reports", [])) for what in odd), odd


@pytest.mark.parametrize("name", KEYS)
def test_options(name: str) -> None:
    """They are read where the network is not known too: then the facts tell them."""
    found, key = reading(name), KEYS[name]
    if found.recipe is not None:
        given = {"solver": found.recipe.options.solver, **dict(found.recipe.options.given)}
        assert {each: listed(value) for each, value in given.items() if value != ()} == key["options"]
        assert found.recipe.trainer == key["trainer"] and found.recipe.loss.name == key.get("loss", "")
        assert changed(found.recipe.data) == key["data"]
        assert found.recipe.base.name == key.get("network", key.get("name", ""))
    facts = [entry.what for entry in found.facts]
    for option, value in key["options"].items():
        told = f"solver {value}, trained by" if option == "solver" else f"{option} = {value}"
        assert any(what == told or (option == "solver" and what.startswith(told)) for what in facts), option


@pytest.mark.parametrize("name", NETWORKS)
def test_network(name: str) -> None:
    recipe, key, network = reading(name).recipe, KEYS[name], made(name)
    assert recipe is not None and recipe.base.name == key.get("network", "")
    if "order" in key:
        assert " ".join(layer.kind.removesuffix("Layer") for layer in network.layers) == key["order"]
    if "frozen" in key:
        start = architecture(key["network"])
        wanted = {f"{each}/{of}" for each in chosen(start, key["frozen"]) for of in start.layers[each].learnables}
        names = {layer.name for layer in network.layers}
        own = {path for path in frozen(start) if path.partition("/")[0] in names}
        assert frozen(network) - own == wanted - own
    for layer, properties in key.get("layers", {}).items():
        assert {each: listed(getattr(network.layers[layer], each)) for each in properties} == properties
    for path, factor in key.get("factors", {}).items():
        layer, _, of = path.rpartition("/")
        assert network.layers[layer].learnables[of].learn_rate_factor == factor, path
    for path, initializer in key.get("initializers", {}).items():
        layer, _, of = path.rpartition("/")
        assert network.layers[layer].learnables[of].initializer == initializer, path
    for layer, count in key.get("outputs", {}).items():
        assert outputs(network, layer) == count
    for layer, source in key.get("after", {}).items():
        assert [each.source for each in network.incoming[layer]] == [source]


VARIABLES = {"Kubra2473__onemli": "net"}
TRAINED = {"Kubra2473__onemli": "cnn_with_log_and_options.mat", "gaoyewang__irnn": "gru_lstm_regression.mat"}


@pytest.mark.parametrize("name", TRAINED)
def test_the_network_that_matlab_trained(name: str) -> None:
    """The layers that the recipe makes are those of the network that the script's author saved: names, sizes, factors."""
    network, saved = made(name).initialize(0), load(REAL / "mat" / TRAINED[name], variable=VARIABLES.get(name))
    assert [(layer.name, layer.kind) for layer in network.layers] == [(each.name, each.kind) for each in saved.layers]
    assert set(network.connections) == set(saved.connections)
    for layer, other in zip(network.layers, saved.layers, strict=True):
        for of, learnable in layer.learnables.items():
            assert learnable.shape == other.learnables[of].shape
            assert learnable.learn_rate_factor == simplest(other.learnables[of].learn_rate_factor)
            assert learnable.l2_factor == simplest(other.learnables[of].l2_factor)


def test_the_options_that_matlab_saved() -> None:
    """Every option of the object that the script's author saved, given in the script or by default."""
    recipe, saved = (
        reading("Kubra2473__onemli").recipe,
        load(REAL / "mat" / TRAINED["Kubra2473__onemli"], variable="net"),
    )
    assert recipe is not None and saved.training_options is not None
    rows = table("training_options")["options"]
    known = {name: value for name, value in saved.training_options.items() if name in rows and value is not None}
    assert {name: getattr(recipe.options, name) for name in known} == known and len(known) > 20
