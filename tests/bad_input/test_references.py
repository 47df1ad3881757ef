"""References whose parts are something else than bridgeReference writes: every field in turn, and objects in its place."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bridge
from bridge.network import Network
from bridge.parity.references import read
from fixtures import mat, networks, reference
from fixtures.objects import Handle, Obj, cell
from tests.bad_input.trial import in_bounds

LOOKED_AT = ("MiniBatchSize", "Kind", "Classes", "Skipped", "Hardware", "Format", "State")
ODD: dict[str, Any] = {
    "0": 0.0,
    "-1": -1.0,
    "1": 1.0,
    "NaN": np.nan,
    "infinite": np.inf,
    "huge": 1e300,
    "text": "text",
    "no text": "",
    "empty": np.empty((0, 0)),
    "row": np.arange(3.0)[None],
    "complex": np.array([[1 + 2j]]),
    "logical": np.array([[True]]),
    "empty cell": cell([]),
    "cell of text": cell(["a", "b"]),
    "cell of objects": cell([Obj("my.Thing", {"Value": 1.0})]),
    "struct": {"Value": 1.0},
    "object": Obj("my.Thing", {"Value": 1.0}),
    "function": Handle("@(x)x"),
}
INTERNAL = ("Opaque", "Unread", "Object'", "NoneType", "ndarray", "LazyCell", "Array object")


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Network:
    path = tmp_path_factory.mktemp("net") / "net.mat"
    mat.write(path, {"net": networks.feature_mlp()})
    return bridge.load(path)


@pytest.fixture(scope="module")
def content(network: Network) -> dict[str, Any]:
    x = np.arange(15, dtype=np.float32).reshape(3, 5)
    model, entry, output = network.to_torch(), network.inputs[0], network.outputs[0]
    values: dict[str, Any] = {}
    for path, name in model.meta["layers"].items():
        part = model.get_submodule(path)
        part.register_forward_hook(lambda _, __, y, name=name: values.__setitem__(name, y.detach().numpy().copy().T))
    y = model(torch.from_numpy(x)).detach().numpy()
    layer = next(each for each in network.layers if "Weights" in each.learnables)
    held = {(layer.name, "Weights"): layer.Weights}
    made = reference.reference({entry: x}, {output: y}, values, held, {}, classes=("a", "b"))
    return {**made, "Skipped": cell(["other", "its class hides it"], 1, 2)}


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield every place of a struct, and of the first item of each cell."""
    if path:
        yield path
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*path, key))
    elif isinstance(value, np.ndarray) and value.dtype == object and value.size:
        yield from places(value[0, 0], (*path, (0, 0)))


def changed(content: dict[str, Any], place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    made: Any = copy.deepcopy(content)
    inner = made
    for key in place[:-1]:
        inner = inner[key]
    if value is KeyError:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return made  # type: ignore[no-any-return]


def test_every_part_of_another_kind(content: dict[str, Any], network: Network, tmp_path: Path) -> None:
    """Each answer is a verdict or an error in three parts, in words of MATLAB's or of the file."""
    path = tmp_path / "reference.mat"
    mat.write(path, {"reference": content})
    assert bridge.check(network, path).first_divergence is None

    def attempt(place: tuple[Any, ...], value: Any) -> None:
        mat.write(path, {"reference": changed(content, place, value)})
        found = read(path, network)
        if place[0] in LOOKED_AT:  # what a value makes of the comparison, its causes left out
            bridge.check(network, found, tolerances={"*": 1e30})

    values = [("not there", KeyError), *ODD.items()]
    trials = [
        (f"{place} = {name}", lambda place=place, value=value: attempt(place, value))
        for place in places(content)
        for name, value in values
        if not (value is KeyError and isinstance(place[-1], tuple))
    ]
    outcomes = in_bounds(trials)
    assert len(outcomes) == len(trials) > 500
    shown = {name: outcome for name, outcome in outcomes.items() if any(word in outcome for word in INTERNAL)}
    assert not shown, list(shown.items())[:10]
    assert outcomes["('MiniBatchSize',) = 0"].startswith("error")
