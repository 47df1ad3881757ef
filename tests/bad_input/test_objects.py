"""Object tables of .mat files with references that lead nowhere, in circles, or to one value many times."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.arrays.matlab import Cell
from bridge.commands import tables
from bridge.errors import UnreadableError
from bridge.readers import load
from bridge.readers.mat.container import Opaque
from bridge.readers.mat.objects import LARGEST_TABLE, REFERENCE, Objects
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import NNET, Net
from fixtures.objects import Obj
from tests.bad_input.trial import in_bounds, refused

NOWHERE = Path("net.mat")


def small() -> Net:
    rng = np.random.default_rng(1)
    return Net(
        "SeriesNetwork",
        (L.featureInputLayer(3, "in"), L.fullyConnectedLayer(rng, "fc", (3,), 2), L.softmaxLayer("soft")),
    )


class Sharing(mat.Subsystem):
    """Gives an object that is met again the number it has: objects may be shared, and hold each other."""

    def __init__(self) -> None:
        super().__init__()
        self.met: dict[int, tuple[int, Obj]] = {}

    def _add(self, made: Obj) -> int:
        if id(made) not in self.met:
            self.met[id(made)] = len(self._objects) + 1, made
            super()._add(made)
        return self.met[id(made)][0]


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mat, "Subsystem", Sharing)
    return tmp_path / "net.mat"


def load_and_show(path: Path) -> None:
    tables.facts(load(path))


def outcome(path: Path) -> str:
    return in_bounds([("load", lambda: load_and_show(path))])["load"]


def layer(name: str, network: Obj) -> Obj:
    fields = {"Version": 1.0, "Name": name, "Network": network, "NumInputs": 1.0, "NumOutputs": 1.0}
    return Obj(NNET + "NetworkLayer", fields, saveobj=True)


def series(*layers: Obj) -> Obj:
    return Obj("SeriesNetwork", {"Version": 1.0, "Layers": list(layers)}, saveobj=True)


def test_a_detector_that_holds_itself(path: Path) -> None:
    detector = Obj("yolov2ObjectDetector", {"ClassNames": ["a", "b"]}, saveobj=True)
    detector.properties["Network"] = detector
    mat.write(path, {"detector": detector})
    assert outcome(path).startswith("error")


def test_two_detectors_that_hold_each_other(path: Path) -> None:
    one, other = Obj("oneDetector", {}, saveobj=True), Obj("otherDetector", {}, saveobj=True)
    one.properties["Network"], other.properties["Network"] = other, one
    mat.write(path, {"detector": one})
    assert outcome(path).startswith("error")


def test_a_network_among_its_own_layers(path: Path) -> None:
    network = series(mat.layer_object(L.featureInputLayer(3, "in")))
    network.properties["Layers"].append(network)
    mat.write(path, {"net": network})
    assert outcome(path).startswith("error")


def test_an_object_that_contains_itself_beside_a_network(path: Path) -> None:
    """Handle objects may do so; the network is still read."""
    node = Obj("my.Node", {"Value": 1.0})
    node.properties["Child"] = {"deeper": [node]}
    mat.write(path, {"node": node, "net": small()})
    assert outcome(path) == "done"


def test_a_network_layer_that_holds_its_own_network(path: Path) -> None:
    network = series()
    network.properties["Layers"] += [layer("one", network), layer("two", network)]
    mat.write(path, {"net": network})
    assert outcome(path).startswith("error")


@pytest.mark.parametrize(("width", "levels"), [(2, 40), (10, 8)])
def test_networks_inside_networks_that_multiply(path: Path, width: int, levels: int) -> None:
    """Each network holds the next one several times, the file holds each once."""
    network = series(mat.layer_object(L.featureInputLayer(3, "in")))
    for _ in range(levels):
        network = series(*(layer(f"layer_{index}", network) for index in range(width)))
    mat.write(path, {"net": network})
    assert outcome(path).startswith("error")


def reference(*numbers: int) -> bytes:
    return struct.pack(f"<{4 + len(numbers)}I", REFERENCE, 2, len(numbers), 1, *numbers)


def rewired(path: Path, old: bytes, new: bytes) -> None:
    """Write a small network as an uncompressed file, with one reference replaced by another."""
    mat.write(path, {"net": small()}, compress=False)
    content = path.read_bytes()
    assert content.count(old) == 1 and len(old) == len(new)
    path.write_bytes(content.replace(old, new))


def test_a_null_handle_among_layers(tmp_path: Path) -> None:
    """It leads nowhere, which is no damage; but a network needs all its layers."""
    rewired(tmp_path / "net.mat", reference(2, 3, 4), reference(2, 0, 4))
    assert "layer 2 is a null handle" in refused(lambda: load(tmp_path / "net.mat"), UnreadableError).cause


@pytest.mark.parametrize("number", [5, 2**32 - 1])
def test_a_reference_to_an_object_that_does_not_exist(tmp_path: Path, number: int) -> None:
    rewired(tmp_path / "net.mat", reference(2, 3, 4), reference(2, number, 4))
    error = refused(lambda: load(tmp_path / "net.mat"), UnreadableError).error
    assert f"object number {number}" in error and "at byte" in error


@pytest.mark.parametrize(
    "words",
    [
        (REFERENCE, 0, 0, 0, 0, 0, 0),
        (REFERENCE, 2**32 - 1, 3, 1, 2, 3, 4),
        (REFERENCE, 2, 2**31, 2**31, 2, 3, 4),
        (REFERENCE, 2, 3, 2, 2, 3, 4),
        (REFERENCE, 2, 3, 1, 2, 2, 2),  # one layer, three times
    ],
)
def test_references_whose_sizes_lie(tmp_path: Path, words: tuple[int, ...]) -> None:
    rewired(tmp_path / "net.mat", reference(2, 3, 4), struct.pack("<7I", *words))
    assert refused(lambda: load(tmp_path / "net.mat"), UnreadableError)


Change = Callable[[np.ndarray[Any, Any]], None]


def words(at: int, value: int) -> Change:
    def change(table: np.ndarray[Any, Any]) -> None:
        table[at] = value

    return change


def objects_with(change: Change) -> Any:
    """Resolve the one reference of a table with a change in its 32-bit words."""
    subsystem = mat.Subsystem()
    lowered = subsystem.lower(Obj("my.Class", {"A": np.eye(2), "B": True}))
    cells = list(subsystem.cells().ravel())
    table = np.array(cells[0]).reshape(-1).view("<u4").copy()
    change(table)
    cells[0] = table.view(np.uint8).reshape(-1, 1)
    return Objects(cells.__getitem__, len(cells), NOWHERE).resolve(Opaque("my.Class", lowered.words))


def test_the_table_itself_is_sound() -> None:
    found = objects_with(lambda table: None)
    assert found.class_name == "my.Class" and found.properties["B"] is True


@pytest.mark.parametrize("value", [1, 39, 10_000, 2**31, 2**32 - 1])
@pytest.mark.parametrize("at", range(2, 7))
def test_offsets_of_the_table(at: int, value: int) -> None:
    outcome = in_bounds([("resolve", lambda: objects_with(words(at, value)))])["resolve"]
    assert "damaged" in outcome or value in (39, 1)


def test_every_word_of_the_table() -> None:
    """Whatever a word says, the answer is an object or an error."""
    trials = [
        (f"{at}={value}", lambda at=at, value=value: objects_with(words(at, value)))
        for at in range(60)
        for value in (0, 1, 2, 9, 2**31, 2**32 - 1)
    ]

    def one(trial: Callable[[], object]) -> None:
        try:
            trial()
        except IndexError:  # the table is shorter than that
            raise UnreadableError("past the end") from None

    in_bounds((name, lambda trial=trial: one(trial)) for name, trial in trials)


@pytest.mark.parametrize(
    "table",
    [
        "text",
        {"a": 1},
        Cell([], (0, 0)),
        np.zeros(39, np.uint8),
        np.zeros(100),
        np.zeros(LARGEST_TABLE + 1, np.uint8),
        Opaque("x", None),
    ],
    ids=["text", "struct", "cell", "short", "double", "large", "object"],
)
def test_tables_that_are_none(table: Any) -> None:
    assert refused(lambda: Objects([table, None].__getitem__, 2, NOWHERE), UnreadableError)
    assert refused(lambda: Objects([].__getitem__, 0, NOWHERE), UnreadableError)


def test_one_value_on_many_ways() -> None:
    """A cell that holds a cell twice, which holds a cell twice, ...: 2^50 values in 50 cells."""
    subsystem = mat.Subsystem()
    lowered = subsystem.lower(Obj("my.Class", {"A": np.eye(2)}))
    cells = list(subsystem.cells().ravel())
    value = Cell([1.0], (1, 1))
    for _ in range(50):
        value = Cell([value, value], (2, 1))
    cells[2] = value
    outcome = in_bounds(
        [
            (
                "resolve",
                lambda: Objects(cells.__getitem__, len(cells), NOWHERE).resolve(Opaque("my.Class", lowered.words)),
            )
        ]
    )
    assert "values behind the objects" in outcome["resolve"]


def test_objects_in_a_long_chain(tmp_path: Path) -> None:
    value: Any = 1.0
    for _ in range(80):
        value = Obj("my.Node", {"Child": value})
    mat.write(tmp_path / "net.mat", {"net": small(), "chain": value})
    network = load(tmp_path / "net.mat")
    assert len(network.layers) == 3 and any("levels of objects" in note for note in network.notes)
