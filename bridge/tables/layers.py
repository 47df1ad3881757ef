"""The tables of `mappings/`: what a MATLAB layer is called, where its learnables live, what it becomes.

A row of `mappings/layers/*.toml` is a `LayerRow`. Readers find it by class or by ONNX operator, the torch
builder and the writers take it from the layer. A user's file extends a copy of the tables.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bridge.errors import UsageError
from bridge.tables.forms import FORMS, form_of
from bridge.tables.rows import LearnableRow, PropertyRow, StateRow

EVIDENCE = ("proven", "documented", "unseen")
TRAITS = (
    "elementwise",  # acts on each element by itself: takes a value of any format
    "flattens",  # takes an image as the vector of all its elements
    "head",  # what findLayersToReplace looks for: the last layer with weights that classes decide the size of
    "per image",  # works on each image of a sequence by itself
    "normalizes",  # an input layer, whose statistics broadcast over its input
    "pixels",  # its input are pixels
    "scores",  # gives a score from 0 to 1 for each class
    "sees the image",  # takes the network's image as its last input too, whose size it needs
    "softmax",  # turns scores into probabilities
)
EMPTY: Mapping[str, Any] = MappingProxyType({})
UNKNOWN: Mapping[str, Any] = {
    "torch": "(yours)",
    "build": "unknown",
    "size": "unknown",
}  # what the row of an unknown class says
FOREIGN: Mapping[str, Any] = {"torch": "onnx2torch", "build": "foreign", "size": "from_file", "evidence": "documented"}
NOT_INHERITED = ("matlab", "constructor", "evidence")  # of the row that a row is like


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
        build: name of the function that makes its module (`bridge.modules.builders.BUILDERS`).
        size: name of the rule for its activations (`bridge.network.sizes.SIZE_RULES`).
        reads: name of the function that reads its properties from an ONNX node
            (`bridge.readers.onnx.properties.READS`), where attributes alone do not tell.
        writes: name of the function that writes its ONNX nodes (`bridge.writers.onnx.layers.WRITES`); without one it is
            one node of its operator, with the attributes of its properties.
        dimensions: how many dimensions it works over; None: as many as its input has.
        directions: in how many directions it runs over time.
        traits: what else it is; words of TRAITS.
        inputs, outputs: port names; a trailing "#" counts up to the property `ports` names.
        ports: the property that holds the number of inputs (or outputs).
        ports_with: a property that, when it is true, adds ports -> {"inputs": [...], "outputs": [...]}.
        gates: of a recurrent layer: how many factors a learnable may have, one for each gate.
        whole: the class that MATLAB exports as the same operator where its window is the whole image.
        same_as: what an ONNX file cannot tell it from, as a note says it.
        loss: of an output layer: for each trainer the loss it means, a row of `mappings/losses.toml`.
        detector: of a layer that only the networks of one detector have: its class, a row of `mappings/detectors.toml`.
        rank: of an input layer: how many dimensions an ONNX graph's input has, the batch among them.
        normalization: of a layer that old networks normalise by: the Normalization that newer copies have instead.
        refused: why it can only be shown: the reason, where it is known by name and cannot be computed.
        evidence: "proven" against MATLAB's own numbers, "documented" or "unseen" in any file.
    """

    name: str
    matlab: tuple[str, ...]
    constructor: str = ""
    arguments: tuple[str, ...] = ()
    onnx: tuple[str, ...] = ()
    torch: str | None = None
    build: str = "module"
    size: str = "same"
    reads: str | None = None
    writes: str | None = None
    dimensions: int | None = None
    directions: int = 1
    traits: frozenset[str] = frozenset()
    inputs: tuple[str, ...] = ("in",)
    outputs: tuple[str, ...] = ("out",)
    ports: str | None = None
    ports_with: Mapping[str, Mapping[str, Sequence[str]]] = field(default_factory=dict)
    gates: int = 1
    whole: str | None = None
    same_as: str | None = None
    loss: Mapping[str, str] = field(default_factory=dict)
    detector: str = ""
    rank: int | None = None
    normalization: str | None = None
    refused: str = ""
    evidence: str = "unseen"
    properties: Mapping[str, PropertyRow] = field(default_factory=dict)
    learnables: Mapping[str, LearnableRow] = field(default_factory=dict)
    state: Mapping[str, StateRow] = field(default_factory=dict)

    @property
    def is_output(self) -> bool:
        """Whether this is an output layer: it ends a network and has no module."""
        return self.torch is None

    @property
    def is_unknown(self) -> bool:
        """Whether what it computes is not known: it can be shown, and built with a module the user passes."""
        return bool(self.build == UNKNOWN["build"])

    @property
    def is_foreign(self) -> bool:
        """Whether it is a node of an ONNX file that is no MATLAB layer."""
        return bool(self.build == FOREIGN["build"])


def unknown_row(class_name: str) -> LayerRow:
    """Return the row of a class that no table knows: it can be shown, and built only with a module the user passes."""
    return LayerRow(class_name.rpartition(".")[2], (class_name,), **UNKNOWN)


def unknown_output_row(class_name: str) -> LayerRow:
    """Return the row of an output layer that no table knows: it computes nothing in prediction, and its loss is not
    known.
    """
    return replace(unknown_row(class_name), torch=None, outputs=())


def foreign_row(kind: str, *operators: str) -> LayerRow:
    """Return the row of an ONNX node that is no MATLAB layer."""
    return LayerRow(kind, (), onnx=operators, **FOREIGN)


def foreign_input(kind: str) -> LayerRow:
    """Return the row of an input of an ONNX graph that is no MATLAB layer."""
    return LayerRow(kind, (), torch="Identity", size=FOREIGN["size"], evidence="documented", inputs=())


class Mappings:
    """The layer rows, looked up by name, MATLAB class or ONNX operator.

    Args:
        rows: by name.
        tables: what TOML says of them, for rows that are like one of them.
    """

    def __init__(self, rows: Mapping[str, LayerRow], tables: Mapping[str, Any]) -> None:
        self.rows, self._tables = MappingProxyType(dict(rows)), tables
        self._by_class = {name: row for row in self for name in row.matlab}
        self._by_operator: dict[str, tuple[LayerRow, ...]] = {}
        for row in self:
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
        normalization = preprocessing(name)
        like = next((row for row in self if row.normalization), None)
        if like is None or not normalization:
            return None
        of_network = replace(like, name=name.rpartition(".")[2], matlab=(name,))
        known = normalization == like.normalization
        return of_network if known else replace(of_network, torch=UNKNOWN["torch"], build=UNKNOWN["build"])

    def by_operator(self, operator: str) -> tuple[LayerRow, ...]:
        """Return the rows that `operator` ("Conv", "com.mathworks::MaxUnpool") may come from, preferred first."""
        return self._by_operator.get(operator, ())

    def by_rank(self, rank: int) -> LayerRow | None:
        """Return the row of the input layer that reads an input of an ONNX graph with so many dimensions."""
        return next((row for row in self if row.rank == rank), None)

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
        tables = {**self._tables, **added}
        rows = {name: parse_row(name, raw, str(path), tables) for name, raw in added.items()}
        taken = sorted(
            {name for row in rows.values() for name in (row.name, *row.matlab)} & {*self.rows, *self._by_class}
        )
        if taken:
            raise UsageError(
                f"{path} defines {', '.join(taken)} again",
                "there is a row for it already",
                "name your class differently",
            )
        return Mappings({**self.rows, **rows}, tables)


def parse_row(name: str, raw: Mapping[str, Any], where: str, tables: Mapping[str, Any] = EMPTY) -> LayerRow:
    """Make a `LayerRow` of its TOML table.

    Args:
        name: of the row.
        raw: its table.
        where: the file, for errors.
        tables: all rows, among which it may be like another.

    Raises:
        UsageError: an entry is unknown, missing or has a value that is not known.
    """
    try:
        known = _inherited(raw, tables)
        known = {**UNKNOWN, **known} if "refused" in known else known
        properties = {key: _property(key, value) for key, value in known.pop("properties", {}).items()}
        learnables = {key: _learnable(key, value) for key, value in known.pop("learnables", {}).items()}
        state = {key: _state(key, value) for key, value in known.pop("state", {}).items()}
        known.update(
            {key: _tuple(known[key]) for key in ("matlab", "arguments", "onnx", "inputs", "outputs") if key in known}
        )
        known["traits"] = frozenset(known.get("traits", ()))
        row = LayerRow(name, **known, properties=properties, learnables=learnables, state=state)
    except (TypeError, KeyError, AttributeError, ValueError, RecursionError) as error:
        raise UsageError(
            f"the row [{name}] of {where} is malformed", str(error), "see CONTRIBUTING.md for the form of a row"
        ) from error
    if row.evidence not in EVIDENCE:
        raise UsageError(
            f"the row [{name}] of {where} has evidence {row.evidence!r}", f"it is one of {', '.join(EVIDENCE)}"
        )
    if not row.traits <= set(TRAITS):
        unknown = ", ".join(sorted(row.traits - set(TRAITS)))
        raise UsageError(f"the row [{name}] of {where} has the trait {unknown}", f"there are {', '.join(TRAITS)}")
    return row


def _inherited(raw: Mapping[str, Any], tables: Mapping[str, Any]) -> dict[str, Any]:
    """Return a row's table with what it does not say itself taken from the row that it is like."""
    own = {key: value for key, value in raw.items() if key != "like"}
    if "like" not in raw:
        return own
    base = _inherited(tables[raw["like"]], tables)
    return _merged({key: value for key, value in base.items() if key not in NOT_INHERITED}, own)


def _merged(base: Mapping[str, Any], own: Mapping[str, Any]) -> dict[str, Any]:
    both = {
        key: _merged(base[key], value) if isinstance(value, dict) and isinstance(base.get(key), dict) else value
        for key, value in own.items()
    }
    return {**base, **both}


def _tuple(value: str | list[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _property(name: str, raw: Mapping[str, Any]) -> PropertyRow:
    default = raw.get("default")
    lengths = raw.get("lengths", (len(default),) if isinstance(default, list) else ())
    given = {"saved": name, "form": form_of(default), **raw}
    row = PropertyRow(name, **{**given, "words": tuple(raw.get("words", ())), "lengths": tuple(lengths)})
    if row.form and row.form not in FORMS:
        raise ValueError(f"{name} has the form {row.form!r}, it is one of {', '.join(FORMS)}")
    return row


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
    tables: dict[str, Any] = {}
    for path in table_files("layers").values():
        added = tomllib.loads(path.read_text(encoding="utf-8"))
        if twice := sorted(tables.keys() & added.keys()):
            raise UsageError(f"the row [{twice[0]}] is defined twice", f"the second is in {path.name}")
        tables.update(added)
    return Mappings({name: parse_row(name, raw, "mappings", tables) for name, raw in tables.items()}, tables)
