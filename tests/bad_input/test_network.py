"""Sound .mat and .onnx files whose network cannot be."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.commands import tables
from bridge.errors import UnreadableError, UnsupportedError
from bridge.readers import load
from bridge.writers import export
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net, Param
from fixtures.objects import empty
from tests.bad_input.trial import Answer, in_bounds, refused

RNG = np.random.default_rng(3)
INPUT = L.imageInputLayer((8, 8, 3), "in", "none")
CONV = L.convolution2dLayer(RNG, "conv", (3, 3), 3, 4)
RELU = L.reluLayer("relu")
FC = L.fullyConnectedLayer(RNG, "fc", (6, 6, 4), 5)
CLASSES = L.classificationLayer("classes", list("abcde"))
CHAIN = (INPUT, CONV, RELU, FC, L.softmaxLayer("soft"), CLASSES)

Write = Callable[[Net], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def made(net: Net) -> Path:
        mat.write(tmp_path / "net.mat", {"net": net})
        return tmp_path / "net.mat"

    return made


def use(path: Path) -> None:
    network = load(path)
    tables.facts(network)
    network.to_torch()


def chain(**layers: Layer) -> Net:
    """The chain with layers in the place of those of the same name."""
    return Net("SeriesNetwork", tuple(layers.get(layer.name, layer) for layer in CHAIN))


def graph(*connections: tuple[str, str], layers: tuple[Layer, ...] = CHAIN) -> Net:
    return Net("DAGNetwork", layers, connections)


STRAIGHT = [(a.name, b.name) for a, b in itertools.pairwise(CHAIN)]


def test_the_chain_itself_is_sound(write: Write) -> None:
    use(write(chain()))
    use(write(graph(*STRAIGHT)))


@pytest.mark.parametrize(
    ("connections", "told"),
    [
        ([*STRAIGHT, ("fc", "relu")], "two connections end"),
        ([("in", "conv"), ("fc", "relu"), ("relu", "fc"), ("fc", "soft"), ("soft", "classes")], "cycle"),
        ([*STRAIGHT[:2], ("relu", "relu")], "two connections end"),
        ([*STRAIGHT, ("nobody", "soft")], "'nobody', which does not exist"),
        ([*STRAIGHT[:-1], ("soft", "nobody")], "'nobody', which does not exist"),
        ([*STRAIGHT[:1], ("conv/door", "relu"), *STRAIGHT[2:]], "no port 'door'"),
        ([*STRAIGHT[:2], *STRAIGHT[3:]], "has nothing connected"),
        ([], "has nothing connected"),
    ],
)
def test_connections(
    write: Write, refusal: Callable[..., Answer], connections: list[tuple[str, str]], told: str
) -> None:
    path = write(graph(*connections))
    error = refused(lambda: use(path), UnreadableError)
    assert told in f"{error.error} {error.cause}", error
    assert refusal("inspect", path).code == 2


def test_two_layers_of_one_name(write: Write) -> None:
    assert "two layers are named 'conv'" in refused(lambda: load(write(chain(relu=replace(RELU, name="conv"))))).error


@pytest.mark.parametrize("name", [7.0, ["a"]])
def test_a_layer_whose_name_is_no_text(write: Write, name: Any) -> None:
    assert "has the name" in refused(lambda: load(write(chain(relu=replace(RELU, name=name)))), UnreadableError).error


@pytest.mark.parametrize("name", ["", np.zeros((0, 0)), {}])
def test_a_layer_without_a_name_gets_one(write: Write, name: Any) -> None:
    network = load(write(chain(relu=replace(RELU, name=name))))
    assert any("layers without a name have the one that training gives them: relu" in note for note in network.notes)


def weights(layer: Layer, value: Any, name: str = "Weights") -> Layer:
    return replace(layer, params=layer.params | {name: replace(layer.params[name], value=value)})


@pytest.mark.parametrize(
    "layers",
    [
        {"conv": weights(CONV, np.zeros((3, 3, 3), np.float32))},
        {"conv": weights(CONV, np.zeros((3, 3, 3, 5), np.float32))},
        {"conv": weights(CONV, np.zeros((3, 3, 2, 4), np.float32))},
        {"conv": weights(CONV, np.zeros((5, 3, 3, 4), np.float32))},
        {"conv": weights(CONV, np.zeros((108, 1), np.float32))},
        {"conv": weights(CONV, np.zeros((1, 1, 5), np.float32), "Bias")},
        {"fc": weights(FC, np.zeros((6, 6, 4, 4), np.float32))},
        {"fc": weights(FC, np.zeros((6, 6, 5, 5), np.float32))},
        {"fc": weights(FC, np.zeros((7, 1), np.float32))},
        {"fc": weights(FC, np.zeros((1, 1, 4), np.float32), "Bias")},
        {"fc": weights(FC, "a text")},
        {"fc": weights(FC, {"a": 1.0})},
        {"fc": weights(FC, ["a", "b"])},
        {"fc": weights(FC, np.zeros((6, 6, 4, 5), np.complex128))},
        {"fc": weights(FC, empty())},
        {"fc": weights(FC, True)},
    ],
)
def test_learnables_that_do_not_fit(write: Write, layers: dict[str, Layer]) -> None:
    path = write(chain(**layers))
    (name,) = layers
    assert f"'{name}'" in refused(lambda: use(path)).error


@pytest.mark.parametrize(
    "factor",
    [
        np.nan,
        np.inf,
        -np.inf,
        -1.0,
        -1e-9,
        "text",
        "10",
        ["a"],
        {},
        np.array([[1.0, -1.0]]),
        np.array([[np.nan, 1.0]]),
        1j,
    ],
)
@pytest.mark.parametrize("which", ["learn_rate", "l2"])
def test_factors_that_are_none(write: Write, factor: Any, which: str) -> None:
    changed: dict[str, Any] = {which: factor}
    layer = replace(FC, params=FC.params | {"Weights": replace(FC.params["Weights"], **changed)})
    error = refused(lambda: load(write(chain(fc=layer))), UnreadableError)
    assert "'fc'" in error.error and "Weights" in f"{error.error} {error.cause}"


@pytest.mark.parametrize(
    ("layer", "field", "value"),
    [
        ("conv", "FilterSize", "text"),
        ("conv", "FilterSize", L.row(0, 0)),
        ("conv", "FilterSize", L.row(3, 3, 3)),
        ("conv", "FilterSize", np.nan),
        ("conv", "FilterSize", L.row(1e18, 3)),
        ("conv", "Stride", L.row(0, 1)),
        ("conv", "Stride", L.row(-1, 1)),
        ("conv", "Stride", L.row(0.5, 0.5)),
        ("conv", "DilationFactor", L.row(0, 0)),
        ("conv", "PaddingSize", L.row(-1, -1, -1, -1)),
        ("conv", "PaddingSize", L.row(1, 1)),
        ("conv", "PaddingSize", L.row(np.inf, 0, 0, 0)),
        ("conv", "PaddingMode", "sideways"),
        ("conv", "PaddingMode", 7.0),
        ("conv", "NumFilters", -4.0),
        ("conv", "NumFilters", 1e30),
        ("conv", "NumFilters", "text"),
        ("conv", "NumFilters", empty()),
        ("fc", "OutputSize", 0.0),
        ("fc", "OutputSize", -5.0),
        ("fc", "OutputSize", 7.0),
        ("fc", "OutputSize", "text"),
        ("in", "InputSize", L.row(8, 8)),
        ("in", "InputSize", L.row(0, 8, 3)),
        ("in", "InputSize", L.row(-8, -8, 3)),
        ("in", "InputSize", L.row(1e300, 1e300, 3)),
        ("in", "InputSize", "text"),
        ("in", "InputSize", empty()),
        ("in", "InputSize", np.nan),
    ],
)
def test_properties_that_make_no_sense(write: Write, layer: str, field: str, value: Any) -> None:
    saved = {each.name: each for each in CHAIN}[layer]
    path = write(chain(**{layer: replace(saved, saved=saved.saved | {field: value})}))
    assert in_bounds([("use", lambda: use(path))])["use"].startswith("error")


@pytest.mark.parametrize("count", [0.0, -1.0, 1e9, 1e300, np.nan, "text", L.row(2, 2)])
def test_absurd_numbers_of_ports(write: Write, count: Any) -> None:
    addition = L.additionLayer("add", 2)
    addition = replace(addition, saved=addition.saved | {"NumInputs": count})
    layers = (INPUT, CONV, RELU, addition)
    path = write(graph(("in", "conv"), ("conv", "relu"), ("relu", "add/in1"), ("conv", "add/in2"), layers=layers))
    assert in_bounds([("use", lambda: use(path))])["use"].startswith("error")


def test_an_absurd_state(write: Write) -> None:
    """A recurrent layer without learnables that declares a billion units."""
    layer = L.lstmLayer(RNG, "lstm", 3, 4)
    layer = replace(layer, params={}, saved=layer.saved | {"NumHiddenUnits": 1e12, "HiddenSize": 1e12})
    path = write(Net("SeriesNetwork", (L.sequenceInputLayer(3, "in"), layer)))
    assert in_bounds([("use", lambda: use(path))])["use"].startswith("error")


def custom(name: str, kind: str) -> Layer:
    return Layer(name, kind, {"Alpha": 3.0}, {"W": Param(np.ones((2, 2), np.float32))})


def test_unknown_classes_are_collected(write: Write, bridge: Callable[..., Answer]) -> None:
    kinds = {"one": "my.pkg.FirstLayer", "two": "my.pkg.SecondLayer", "three": "nnet.cnn.layer.LayerOfTheFuture"}
    path = write(Net("SeriesNetwork", (INPUT, *(custom(name, kind) for name, kind in kinds.items()))))
    error = refused(lambda: load(path).to_torch(), UnsupportedError)
    for name, kind in kinds.items():
        assert f"'{name}'" in error.error and kind in error.error
    assert "3 of 4 layers" in error.cause and "--modules" in error.hint
    assert bridge("inspect", path).code == 0  # it can still be looked at
    answer = bridge("import", path)
    assert answer.code == 3 and not answer.out


def test_a_wrong_variable(write: Write, tmp_path: Path, refusal: Callable[..., Answer]) -> None:
    assert "no network named 'nett'" in refusal("inspect", write(chain()), "--variable", "nett").err
    other = chain(relu=replace(RELU, name="other"))
    mat.write(tmp_path / "two.mat", {"one": chain(), "other": other, "data": np.eye(3)})
    assert "one, other" in refusal("import", tmp_path / "two.mat").err
    assert "no network named 'data'" in refusal("inspect", tmp_path / "two.mat", "--variable", "data").err


@pytest.mark.parametrize("count", [3.5e38, 2.0**31, 1e300])
def test_a_count_that_no_array_has_is_told_of_its_own_layer(write: Write, count: float) -> None:
    """Not of those behind it, which have no fault."""
    conv = replace(CONV, saved=CONV.saved | {"NumFilters": count})
    path = write(chain(conv=conv))
    assert "'conv'" in refused(lambda: use(path), UnreadableError).error


@pytest.mark.parametrize("least", [np.inf, np.nan, 1e12])
def test_a_least_length_that_no_sequence_has(tmp_path: Path, least: float) -> None:
    entry = L.sequenceInputLayer(2, "in")
    entry = replace(entry, saved=entry.saved | {"MinLength": least})
    mat.write(tmp_path / "net.mat", {"net": Net("SeriesNetwork", (entry, L.reluLayer("relu")))})
    network = load(tmp_path / "net.mat")
    with pytest.raises(UnreadableError, match="'in'"):
        export(network, tmp_path / "net.pt2", tell=lambda loss: None)
