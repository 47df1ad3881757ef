"""The tables of `mappings/`: what a MATLAB layer is called, where its learnables live, what it becomes.

A row of `mappings/layers/*.toml` is a `LayerRow`. Readers find it by class or by ONNX operator, the torch
builder and the writers take it from the layer. A user's file extends a copy of the tables.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bridge.errors import UsageError

EVIDENCE = ("proven", "documented", "unseen")


@dataclass(frozen=True)
class PropertyRow:
    """A property: `name` is MATLAB's public one.

    Attributes:
        saved: its field in a saved object.
        onnx: the ONNX attribute that holds it.
        torch: the argument of the torch module it becomes, where the builder `module` makes that.
        default: its value where a file does not hold it.
        new: its value in a layer that MATLAB's constructor makes, where that is another one.
        values: saved value (as text) -> public value.
        lengths: how many numbers its value may have; () for any.
    """

    name: str
    saved: str
    onnx: str | None = None
    torch: str | None = None
    default: Any = None
    new: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)
    lengths: tuple[int, ...] = ()

    @property
    def made(self) -> Any:
        """Its value in a layer that MATLAB's constructor makes."""
        return self.default if self.new is None else self.new


@dataclass(frozen=True)
class LearnableRow:
    """A learnable: where its factors are, how its axes turn.

    Attributes:
        torch: names of the torch parameters; two where torch splits it along its first axis.
        matlab_axes, torch_axes: patterns of `bridge.arrays.axes.Turn`.
        learn_rate, l2: the layer's factor properties ("WeightLearnRateFactor").
        defaults: (learn-rate factor, L2 factor) that MATLAB gives a new layer.
        initializer: how MATLAB makes its values: a name of `bridge.network.initialize`, or a number for all of them.
        onnx: the operator's input that holds it.
    """

    name: str
    torch: tuple[str, ...]
    matlab_axes: str
    torch_axes: str
    learn_rate: str
    l2: str
    defaults: tuple[float, float] = (1.0, 1.0)
    initializer: str | float | None = None
    onnx: int | None = None


@dataclass(frozen=True)
class StateRow:
    """An array that training does not learn by gradient: batch-norm statistics, input means, cell states.

    Attributes:
        initializer: its values in a new layer; without one it is absent there.
    """

    name: str
    torch: str
    matlab_axes: str
    torch_axes: str
    saved: tuple[str, ...]
    initializer: str | float | None = None
    onnx: int | None = None


@dataclass(frozen=True)
class LayerRow:
    """Everything known of one MATLAB layer class.

    Attributes:
        name: the class without its namespace; `Layer.kind`.
        matlab: the full class names that mean this layer.
        constructor: the MATLAB function that makes it.
        arguments: the properties it takes by position.
        onnx: ONNX operators it comes as ("domain::Op" outside ai.onnx).
        torch: the torch module it becomes, None for an output layer (a fact of the network, no module).
        build, size: names of the builder (bridge/modules/build.py) and the size rule (bridge/network/sizes.py).
        inputs, outputs: port names; a trailing "#" counts up to the property `ports` names.
        ports: the property that holds the number of inputs (or outputs).
        gates: of a recurrent layer: how many factors a learnable may have, one for each gate.
        evidence: "proven" against MATLAB's own numbers, "documented" or "unseen" in any file.
    """

    name: str
    matlab: tuple[str, ...]
    constructor: str
    arguments: tuple[str, ...] = ()
    onnx: tuple[str, ...] = ()
    torch: str | None = None
    build: str = "module"
    size: str = "same"
    inputs: tuple[str, ...] = ("in",)
    outputs: tuple[str, ...] = ("out",)
    ports: str | None = None
    gates: int = 1
    evidence: str = "unseen"
    properties: Mapping[str, PropertyRow] = field(default_factory=dict)
    learnables: Mapping[str, LearnableRow] = field(default_factory=dict)
    state: Mapping[str, StateRow] = field(default_factory=dict)

    @property
    def is_output(self) -> bool:
        """Whether this is an output layer: it ends a network and has no module."""
        return self.torch is None


class Mappings:
    """The layer rows, looked up by name, MATLAB class or ONNX operator."""

    def __init__(self, rows: Mapping[str, LayerRow]) -> None:
        self.rows = MappingProxyType(dict(rows))
        self._by_class = {name: row for row in rows.values() for name in row.matlab}
        self._by_operator: dict[str, tuple[LayerRow, ...]] = {}
        for row in rows.values():
            for operator in row.onnx:
                self._by_operator[operator] = (*self._by_operator.get(operator, ()), row)

    def __iter__(self) -> Iterator[LayerRow]:
        return iter(self.rows.values())

    def by_class(self, name: str) -> LayerRow | None:
        """Return the row of a full MATLAB class name, or of one without its namespace."""
        return self._by_class.get(name) or self.rows.get(name) or self._preprocessing(name)

    def _preprocessing(self, name: str) -> LayerRow | None:
        """Return the row of a layer that normalises images for a pretrained network of an old file, built where it
        needs no numbers.
        """
        symmetric, normalization = self.rows.get("XceptionPreprocessingLayer"), preprocessing(name)
        if symmetric is None or not normalization:
            return None
        of_network = replace(symmetric, name=name.rpartition(".")[2], matlab=(name,))
        return (
            of_network
            if normalization == "rescale-symmetric"
            else replace(of_network, torch="(yours)", build="unknown")
        )

    def by_operator(self, operator: str) -> tuple[LayerRow, ...]:
        """Return the rows that `operator` ("Conv", "com.mathworks::MaxUnpool") may come from, preferred first."""
        return self._by_operator.get(operator, ())

    def extended(self, path: str | Path) -> Mappings:
        """Return these tables with the rows of a user's TOML file added.

        Raises:
            UsageError: the file is not readable TOML, a row is malformed, or its name or class is taken.
        """
        try:
            added = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise UsageError(
                f"cannot read the mapping table {path}", str(error), "see CONTRIBUTING.md for the form of a row"
            ) from error
        rows = {name: parse_row(name, row, str(path)) for name, row in added.items()}
        taken = sorted(
            {name for row in rows.values() for name in (row.name, *row.matlab)} & {*self.rows, *self._by_class}
        )
        if taken:
            raise UsageError(
                f"{path} defines {', '.join(taken)} again",
                "there is a row for it already",
                "name your class differently",
            )
        return Mappings({**self.rows, **rows})


def parse_row(name: str, raw: Mapping[str, Any], where: str) -> LayerRow:
    """Make a `LayerRow` of its TOML table.

    Raises:
        UsageError: an entry is unknown or missing; `where` names the file.
    """
    try:
        known = dict(raw)
        properties = {key: _property(key, value) for key, value in known.pop("properties", {}).items()}
        learnables = {key: _learnable(key, value) for key, value in known.pop("learnables", {}).items()}
        state = {key: _state(key, value) for key, value in known.pop("state", {}).items()}
        known.update(
            {key: _tuple(known[key]) for key in ("matlab", "arguments", "onnx", "inputs", "outputs") if key in known}
        )
        row = LayerRow(name, **known, properties=properties, learnables=learnables, state=state)
    except (TypeError, KeyError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the row [{name}] of {where} is malformed", str(error), "see CONTRIBUTING.md for the form of a row"
        ) from error
    if row.evidence not in EVIDENCE:
        raise UsageError(
            f"the row [{name}] of {where} has evidence {row.evidence!r}", f"it is one of {', '.join(EVIDENCE)}"
        )
    return row


def _tuple(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _property(name: str, raw: Mapping[str, Any]) -> PropertyRow:
    return PropertyRow(name, **{"saved": name, **raw, "lengths": tuple(raw.get("lengths", ()))})


def _learnable(name: str, raw: Mapping[str, Any]) -> LearnableRow:
    values = dict(raw)
    defaults = values.pop("defaults", {})
    row = LearnableRow(name, **{**values, "torch": _tuple(values["torch"])})
    return replace(row, defaults=(float(defaults.get("learn_rate", 1)), float(defaults.get("l2", 1))))


def _state(name: str, raw: Mapping[str, Any]) -> StateRow:
    return StateRow(name, **{**raw, "saved": _tuple(raw.get("saved", name))})


def _folder() -> Traversable:
    installed = files("bridge") / "mappings"
    return installed if installed.is_dir() else files("bridge").joinpath("..", "mappings")


@cache
def preprocessing(class_name: str) -> str:
    """Return the Normalization that newer copies of a network have instead of
    nnet.shufflenet.layer.ShuffleNetPreprocessingLayer, "" for another class.
    """
    network, _, name = class_name.removeprefix("nnet.").partition(".layer.")
    return (
        str(table("pretrained")[network]["normalization"])
        if name.lower() == f"{network}preprocessinglayer" and network in table("pretrained")
        else ""
    )


@cache
def table(name: str) -> Mapping[str, Any]:
    """Return the table `mappings/<name>.toml`, parsed once."""
    return MappingProxyType(tomllib.loads((_folder() / f"{name}.toml").read_text(encoding="utf-8")))


def table_files(folder: str) -> dict[str, Traversable]:
    """Return the files `mappings/<folder>/*.toml`, by name without the ending."""
    entries = sorted((_folder() / folder).iterdir(), key=lambda entry: entry.name)
    return {entry.name.removesuffix(".toml"): entry for entry in entries if entry.name.endswith(".toml")}


@cache
def layer_mappings() -> Mappings:
    """Return the built-in layer rows, from every file of `mappings/layers/`.

    Raises:
        UsageError: two files define the same row.
    """
    rows: dict[str, LayerRow] = {}
    for path in table_files("layers").values():
        for name, raw in tomllib.loads(path.read_text(encoding="utf-8")).items():
            if name in rows:
                raise UsageError(f"the row [{name}] is defined twice", f"the second is in {path.name}")
            rows[name] = parse_row(name, raw, path.name)
    return Mappings(rows)
