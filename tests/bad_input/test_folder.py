"""Saved folders with damaged, foreign or missing parts."""

from __future__ import annotations

import json
import os
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from bridge.commands import tables
from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.readers import load
from bridge.writers.matlab import with_names
from tests.bad_input.trial import FILES, Answer, in_bounds, listing, refused


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return load(FILES / "shapes.mat").save(tmp_path_factory.mktemp("saved") / "net")


@pytest.fixture
def folder(saved: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(saved, tmp_path / "net"))


Facts = dict[str, Any]


def edited(folder: Path, change: Callable[[Facts], None]) -> None:
    facts = json.loads((folder / "network.json").read_text(encoding="utf-8"))
    change(facts)
    (folder / "network.json").write_text(json.dumps(facts), encoding="utf-8")


def use(folder: Path) -> None:
    network = load(folder)
    tables.facts(network)
    network.to_torch()


def test_the_folder_itself_is_sound(folder: Path) -> None:
    use(folder)


# model.safetensors


def test_missing_weights(folder: Path, refusal: Callable[..., Answer]) -> None:
    (folder / "model.safetensors").unlink()
    assert "is missing" in refused(lambda: load(folder), UnreadableError).error
    (folder / "model.safetensors").mkdir()
    assert "is missing" in refused(lambda: load(folder), UnreadableError).error
    before = listing(folder)
    assert refusal("inspect", folder).code == refusal("import", folder).code == 2
    assert listing(folder) == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        bytes(8),
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 200 << 20) + b"{}",
        struct.pack("<Q", 2) + b"{}",
        struct.pack("<Q", 2) + b"[]",
        struct.pack("<Q", 40_000) + b"[" * 40_000,
        b"\x80\x04K\x01.",
    ],
)
def test_weights_that_are_none(folder: Path, content: bytes) -> None:
    (folder / "model.safetensors").write_bytes(content)
    assert in_bounds([("use", lambda: use(folder))])["use"].startswith("error")


def test_huge_header(folder: Path) -> None:
    with (folder / "model.safetensors").open("wb") as stream:
        stream.write(struct.pack("<Q", 1 << 33))
        stream.truncate(1 << 33)
    assert in_bounds([("use", lambda: use(folder))])["use"].startswith("error")


def test_truncated_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    for length in range(0, len(whole), 97):
        (folder / "model.safetensors").write_bytes(whole[:length])
        assert refused(lambda: load(folder), UnreadableError)


Arrays = dict[str, np.ndarray[Any, Any]]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda arrays: arrays.pop("fc-1.weight"), "'fc-1.weight' is not there"),
        (lambda arrays: arrays.update({"fc-1.weight": arrays["fc-1.weight"].T.copy()}), "has shape"),
        (lambda arrays: arrays.update({"more": np.zeros(3, np.float32)}), "it holds more"),
        (lambda arrays: arrays.update({"fc-1.weight": arrays["fc-1.weight"] + 1}), "its sha256 differs"),
    ],
)
def test_weights_of_another_network(folder: Path, change: Callable[[Arrays], None], told: str) -> None:
    arrays = load_file(folder / "model.safetensors")
    change(arrays)
    save_file(arrays, folder / "model.safetensors")
    error = refused(lambda: use(folder), UnreadableError)
    assert "is not the one saved with network.json" in error.error and told in error.cause


def test_weights_that_change_before_they_are_read(folder: Path) -> None:
    network = load(folder)
    with (folder / "model.safetensors").open("r+b") as stream:
        stream.truncate(200)
    assert "has changed" in refused(network.to_torch, UnreadableError).error


# network.json


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b"7",
        b'"text"',
        b"{}",
        b'{"schema": 1}',
        b'{"schema": ["bridge.network/1"]}',
        b'{"schema": "bridge.network/1"}',
        b'{"schema": "bridge.network/2"}',
        b'{"nodes": []}',
        b"\xff\xfe\x00",
        b"[" * 100_000,
        b'{"schema": "bridge.network/1", "layers": ' + b"[" * 100_000,
        b'{"a":' * 100_000,
        b"9" * 10_000,
        b'{"schema": "bridge.network/1", "notes": [' + b"9" * 10_000 + b"]}",
    ],
)
def test_json_that_is_no_network(folder: Path, content: bytes) -> None:
    (folder / "network.json").write_bytes(content)
    assert in_bounds([("use", lambda: use(folder))])["use"].startswith("error")


def test_another_schema_is_named(folder: Path) -> None:
    edited(folder, lambda facts: facts.update(schema="bridge.network/2"))
    error = refused(lambda: load(folder), UnreadableError)
    assert "bridge.network/2" in error.error and "bridge.network/1" in error.cause


WRONG: list[Any] = [
    None,
    True,
    -1,
    10**30,
    0.5,
    float("nan"),
    "",
    "text",
    [],
    ["text"],
    [None],
    [[1]],
    {},
    {"a": 1},
    [1e308],
    [-1, -1],
]


def paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in a JSON value; of long lists the first two items."""
    items = (
        list(value.items())
        if isinstance(value, dict)
        else list(enumerate(value))[:2]
        if isinstance(value, list)
        else []
    )
    return [path] * bool(path) + [found for key, item in items for found in paths(item, (*path, key))]


def test_every_field_of_a_wrong_type(folder: Path) -> None:
    """Each value of the JSON in turn is replaced by what does not belong there, or left out."""
    text = (folder / "network.json").read_text(encoding="utf-8")
    places = paths(json.loads(text))

    def attempt(place: tuple[Any, ...], value: Any) -> None:
        def change(facts: Facts) -> None:
            inner: Any = facts
            for key in place[:-1]:
                inner = inner[key]
            if value is KeyError:
                del inner[place[-1]]
            elif inner[place[-1]] == value:
                raise UnreadableError("this is what was there")
            else:
                inner[place[-1]] = value

        (folder / "network.json").write_text(text, encoding="utf-8")
        edited(folder, change)
        use(folder)

    trials = [
        (f"{place} = {value!r}", lambda place=place, value=value: attempt(place, value))
        for place in places
        for value in (KeyError, *WRONG)
    ]
    outcomes = in_bounds(trials)
    assert len(outcomes) == len(trials) > 1000
    free = (
        "properties",
        "training_options",
        "training_info",
        "detector",
        "notes",
        "classes",
        "values",
        "bridge",
        "source",
    )
    accepted = [
        name for name, outcome in outcomes.items() if outcome == "done" and not any(field in name for field in free)
    ]
    harmless = (
        "'class')",
        "'Bias', 'size'",
        "('kind',)",
        "'initializer')",
        "'assumed')",
        "_factor')",
        "'outputs'",
        "('outputs',)",
    )
    assert not [name for name in accepted if not any(field in name for field in harmless)], accepted


def first_learnable(facts: Facts) -> Facts:
    found: Facts = next(iter(next(layer for layer in facts["layers"] if layer["learnables"])["learnables"].values()))
    return found


@pytest.mark.parametrize(
    "factor",
    [
        "nan",
        "inf",
        "-inf",
        "10",
        "text",
        -1,
        -0.5,
        [],
        [1, -1],
        [1, "nan"],
        float("nan"),
        float("inf"),
        None,
        True,
        [True],
        {},
    ],
)
@pytest.mark.parametrize("field", ["learn_rate_factor", "l2_factor"])
def test_factors_that_are_none(folder: Path, factor: Any, field: str) -> None:
    edited(folder, lambda facts: first_learnable(facts).update({field: factor}))
    assert refused(lambda: load(folder), UnreadableError)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda facts: facts["layers"].append(facts["layers"][1]), "two layers are named"),
        (lambda facts: facts["layers"][1].update(name=facts["layers"][0]["name"]), "two layers are named"),
        (lambda facts: facts["connections"].append(["relu-1", "out", "conv-1", "in"]), "two connections end"),
        (lambda facts: facts["connections"][0].__setitem__(0, "relu-1"), "cycle"),
        (lambda facts: facts["connections"][2].__setitem__(0, "nobody"), "does not exist"),
        (lambda facts: facts["connections"][2].__setitem__(1, "door"), "no port 'door'"),
        (lambda facts: facts["connections"][2].pop(), "cannot be read"),
        (lambda facts: facts["connections"].pop(3), "has nothing connected"),
        (lambda facts: facts.update(inputs=["nobody"]), "does not exist"),
        (lambda facts: facts.update(outputs=["nobody/out"]), "does not exist"),
        (lambda facts: facts["layers"][3].update(kind="NoSuchLayer"), "is damaged"),
        (lambda facts: facts["layers"][3].update({"class": "nnet.cnn.layer.TanhLayer"}), "is damaged"),
        (lambda facts: facts["layers"][3].update({"class": "my.own.Layer", "kind": "Layer"}), "is a my.own.Layer"),
        (lambda facts: facts["layers"][3].update({"class": "", "kind": "onnx:NoSuchOperator"}), "NoSuchOperator"),
        (lambda facts: facts["layers"][3].update({"class": "", "kind": "onnx:../../etc/passwd"}), "passwd"),
        (lambda facts: facts["layers"][3].update(inputs=["door"]), "has the inputs door"),
        (lambda facts: facts["layers"][3].update(outputs=["out", "x); exit("]), "has the outputs out, x); exit("),
        (lambda facts: facts["layers"][3].update(outputs=["out", "more", "more"]), "two outputs"),
        (lambda facts: facts["layers"][3].update(outputs=[]), "has the outputs none"),
        (lambda facts: facts["layers"][1]["properties"].update(Stride=0), "has a window"),
        (lambda facts: facts["layers"][1]["properties"].update(Stride=[1, 1, 1]), "cannot be read"),
        (lambda facts: facts["layers"][1]["properties"].update(NumFilters=10**30), "10000000"),
        (lambda facts: facts["layers"][1]["properties"].update(FilterSize="text"), "cannot be read"),
        (lambda facts: facts["layers"][1]["properties"].pop("NumFilters"), "cannot be read"),
        (lambda facts: facts["layers"][0]["properties"].update(InputSize=[0, 0, 0]), "it would put out 0×0×0"),
        (lambda facts: first_learnable(facts).update(size=[10**6, 10**6]), "does not fit"),
        (lambda facts: first_learnable(facts).update(size=[-3, 3, 1, 4]), "a size in network.json is damaged"),
        (lambda facts: first_learnable(facts).update(size=[3, 3, 1, 10**9]), "has shape"),
    ],
)
def test_networks_that_cannot_be(folder: Path, change: Callable[[Facts], None], told: str) -> None:
    edited(folder, change)
    error = refused(lambda: use(folder))
    assert told in f"{error.error} {error.cause}", error


@pytest.mark.parametrize(
    "name",
    ["../../outside", "/etc/passwd", "a/b", "..", "", "C:\\net", "__class__", "forward", "a" * 10_000, "\ud800", "\0"],
)
def test_names_lead_nowhere(folder: Path, tmp_path: Path, name: str, bridge: Callable[..., Answer]) -> None:
    """A layer may have any name; files are not named after it. It survives saving."""
    weights = load_file(folder / "model.safetensors")
    text = json.dumps(json.loads((folder / "network.json").read_text(encoding="utf-8")))
    (folder / "network.json").write_text(text.replace('"relu-1"', json.dumps(name)), encoding="utf-8")
    before = listing(tmp_path)
    assert bridge("import", folder, "--no-check").code == 0
    assert listing(tmp_path) == before
    load(folder).save(tmp_path / "again")
    assert {path.name for path in (tmp_path / "again").iterdir()} == {"network.json", "model.safetensors", "README.md"}
    assert load(tmp_path / "again").layers[3].name == name
    assert weights.keys() == load_file(tmp_path / "again" / "model.safetensors").keys()


def test_a_name_that_is_no_text_names_no_tensor(tmp_path: Path) -> None:
    """Half of a character, as a damaged file may hold; the safetensors library would not read it."""
    network = with_names(load(FILES / "signs.mat"), {"fc": "fc\ud800"})
    error = refused(lambda: network.save(tmp_path / "net"), UnsupportedError)
    assert "cannot be the name of a tensor" in error.error and not list(tmp_path.iterdir())


@pytest.mark.parametrize("classes", [("nan", "inf", "b"), ("a", "-inf", "nan")])
def test_classes_called_like_what_json_cannot_write(classes: tuple[str, ...], tmp_path: Path) -> None:
    network = load(FILES / "shapes.mat")
    last = network.layers[-1]
    network = network.with_layers({last.name: replace(last, properties={**last.properties, "Classes": classes})})
    assert load(network.save(tmp_path / "net")).layers[-1].Classes == classes


def test_a_source_that_is_another_file(folder: Path, tmp_path: Path, bridge: Callable[..., Answer]) -> None:
    """What network.json says of its source is not trusted: another file is not run."""
    (tmp_path / "other.onnx").write_bytes((FILES / "signs.onnx").read_bytes())
    edited(
        folder,
        lambda facts: facts["source"].update(
            format="onnx", path=str(tmp_path / "other.onnx"), values={"conv-1": "conv_1"}
        ),
    )
    answer = bridge("import", folder)
    assert answer.code == 0 and "no longer the file that was imported" in answer.out


def test_a_folder_that_cannot_be_replaced_stays(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All new files are whole when the renaming fails that makes them count."""
    before, rename = listing(folder), os.replace

    def fails(source: Path, target: Path) -> None:
        if target.name == "network.json":
            raise OSError("no space left")
        rename(source, target)

    network = load(folder)
    monkeypatch.setattr(os, "replace", fails)
    with pytest.raises(UsageError, match="no space left"):
        network.save(folder)
    assert listing(folder) == before and list(folder.parent.iterdir()) == [folder]
