"""Recipes of networks from nothing, numbers that the data tell, and comments beside entries; the oracle is worked out by hand."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from bridge.errors import UsageError
from bridge.options.options import training_options
from bridge.recipes.parts import Base
from bridge.recipes.recipe import Recipe
from bridge.recipes.verbs import Edit

LAYERS = [
    {"layer": "imageInputLayer", "InputSize": [4, 4, 1], "Name": "in"},
    {"layer": "convolution2dLayer", "FilterSize": 3, "NumFilters": 2, "Padding": "same", "Name": "conv"},
    {"layer": "additionLayer", "NumInputs": 2, "Name": "add"},
    {"layer": "fullyConnectedLayer", "OutputSize": "data", "Name": "fc"},
    {"layer": "softmaxLayer", "Name": "softmax"},
    {"layer": "classificationLayer", "Name": "output"},
]
CONNECTIONS = [
    ["in", "conv"],
    ["conv", "add/in1"],
    ["conv", "add/in2"],
    ["add", "fc"],
    ["fc", "softmax"],
    ["softmax", "output"],
]


def recipe() -> Recipe:
    return Recipe(Base(), training_options("adam"), (Edit("assemble", LAYERS, {"connections": CONNECTIONS}),))


def test_network_from_nothing() -> None:
    made = recipe()
    assert made.is_new and made.takes_classes
    network = made.network(classes=["a", "b", "c"])
    assert network.layers["fc"].learnables["Weights"].shape == (3, 32) and len(network.connections) == 6
    assert Recipe.from_mapping(tomllib.loads(made.to_toml())) == made


def test_python_makes_the_same() -> None:
    source = recipe().python().replace("classes = []", "classes = ['a', 'b', 'c']")
    names: dict[str, object] = {}
    exec(compile(source, "printed", "exec"), names)
    assert names["net"].layers["fc"].OutputSize == 3  # type: ignore[attr-defined]


def test_number_of_classes_needs_them() -> None:
    made = Recipe(
        Base(name="alexnet"),
        training_options("adam"),
        (Edit("replace", "fc8", {"layers": {**LAYERS[3], "Name": "new"}}),),
    )
    from bridge.networks import architecture

    assert made.takes_classes and made.edits[0].apply(architecture("alexnet"), ("a", "b")).layers["new"].OutputSize == 2
    with pytest.raises(UsageError, match="classes from the data"):
        made.edits[0].apply(architecture("alexnet"))


def test_comments_are_beside_their_entries(tmp_path: Path) -> None:
    made = Recipe(Base(name="alexnet"), training_options("adam", MaxEpochs=2), (Edit("freeze", "1:2"),))
    text = made.to_toml(
        {
            ("options", "MaxEpochs"): "line 3:  opts\n",
            ("edits", 0): "line 1",
            ("network", "name"): "line 2",
            ("data", "path"): "lost",
        }
    )
    assert (
        "MaxEpochs = 2  # line 3: opts\n" in text
        and "[[edits]]  # line 1\n" in text
        and 'name = "alexnet"  # line 2\n' in text
    )
    assert "lost" not in text and Recipe.from_mapping(tomllib.loads(text)) == made
