"""What a variable of a script may hold, as far as it is known without running it. Every value is immutable."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from functools import cached_property
from typing import Any

from bridge.layers import property_names
from bridge.network import Layer, Network, factor_names
from bridge.tables.layers import LayerRow

Place = tuple[str, int]  # the name of a file, and a line of it


class Char(str):
    """Text in single quotes: `[a b]` joins it, where strings in double quotes become an array."""


class Cell(tuple[Any, ...]):
    """A cell array; arrays are plain tuples."""


class Column(tuple[Any, ...]):
    """An array that stands upright; a plain tuple lies."""


class ColumnCell(Cell):
    """A cell array that stands upright."""


class Many(tuple[Any, ...]):
    """A comma-separated list: what `s.Name` of several elements and `c{:}` are."""


class Struct(dict[str, Any]):
    """A struct. Never changed in place."""


class Schedule(Struct):
    """A learn rate schedule: its function as "schedule", and its properties."""


class Table(dict[str, tuple[Any, ...]]):
    """A table, by columns of one length."""

    @property
    def height(self) -> int:
        return len(next(iter(self.values()), ()))


@dataclass(frozen=True)
class Unknown:
    """A value that reading alone does not tell.

    Attributes:
        text: the source it came from.
        place: where that is.
        why: what is not understood there, "" where nothing is wrong: data, say.
        network, file: the network that it would be, by MATLAB's name or by its file, if it is one.
    """

    text: str
    place: Place
    why: str = ""
    network: str = ""
    file: str = ""


@dataclass(frozen=True)
class Symbol:
    """A number or list that the data tells: "classes" (their names), "class count", "observations", "iterations" (of an
    epoch).

    Attributes:
        kind: one of these.
        divisor: of "iterations": the mini-batch size it was computed with.
    """

    kind: str
    divisor: float = 1.0
    data: Any = None


@dataclass(frozen=True)
class Handle:
    """A function handle: a name, or parameters with an expression and the variables it was made with."""

    text: str
    place: Place
    name: str = ""
    parameters: tuple[str, ...] = ()
    body: Any = None
    variables: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    script: Any = field(default=None, compare=False, repr=False)


@dataclass(frozen=True)
class Origin:
    """The network a script starts from: a name of MATLAB's or a file, and what it is, if that is known."""

    name: str
    file: str
    network: Network
    place: Place


@dataclass(frozen=True)
class Item:
    """One layer.

    Attributes:
        name: MATLAB's name; "" until training gives one.
        constructor: the function that makes it.
        row: what the tables say of it; None for a custom layer.
        base, origin: the layer of a network that it is, and that network; None for one that the script makes.
        given: what it was made with, in MATLAB's spelling.
        changes: properties set later, with the place.
        place: where it was made, or last changed as a whole.
        frozen: where a function froze the array it was in.
        automatic: the name is the one that training gives.
    """

    name: str
    constructor: str
    row: LayerRow | None
    place: Place
    base: Layer | None = None
    origin: Origin | None = None
    given: Mapping[str, Any] = field(default_factory=dict)
    changes: Mapping[str, tuple[Any, Place]] = field(default_factory=dict)
    frozen: Place | None = None
    automatic: bool = False

    @property
    def matlab(self) -> str:
        """The class."""
        return (self.row.matlab[0] if self.row and self.row.matlab else "") or self.constructor

    @property
    def properties(self) -> list[str]:
        """The names of its properties."""
        return property_names(self.row) if self.row else ["Name", *self.given]

    @property
    def values(self) -> dict[str, Any]:
        """What it was made with and what was set later."""
        return {**self.given, **{name: value for name, (value, _) in self.changes.items()}}

    def get(self, name: str) -> Any:
        """Return a property, or None if it is not known."""
        if name == "Name":
            return Char(self.name)
        if name in self.values:
            return self.values[name]
        if self.base is not None:
            held = getattr(self.base, name, None) if name not in self.base.learnables else None
            return "auto" if name in ("Classes", "ClassNames") and held is None else held
        row = self.row
        known = (
            {
                factor: d
                for each in row.learnables.values()
                for factor, d in zip((each.learn_rate, each.l2), each.defaults, strict=True)
            }
            if row
            else {}
        )
        if name in known:
            return known[name]
        found = row.properties.get(name) if row else None
        return found.made if found else None

    def set(self, name: str, value: Any, place: Place) -> Item:
        """Return it with a property set."""
        if name == "Name":
            return replaced(self, name=value, place=place)
        return replaced(self, changes={**self.changes, name: (value, place)})

    @property
    def learn_rates(self) -> dict[str, str]:
        """Its learnables with the names of their learn-rate factors."""
        names = self.base.learnables if self.base else self.row.learnables if self.row else {}
        return {name: factor_names(self.row, name)[0] for name in names} if self.row else {}

    @property
    def is_frozen(self) -> bool:
        """Whether the script set every learn-rate factor to 0."""
        rates = self.learn_rates
        return (
            bool(rates)
            and all(self.get(rate) == 0 for rate in rates.values())
            and any(rate in self.changes for rate in rates.values())
        )


class Layers(tuple[Item, ...]):
    """An array of layers; a single layer is one of length 1."""


Link = tuple[str, str]  # "conv1/out", "relu1/in"


@dataclass(frozen=True)
class Graph:
    """A network, or a layer graph."""

    layers: Layers
    links: tuple[Link, ...]
    kind: str

    @property
    def origin(self) -> Origin | None:
        """The network it was made of; of the first layer, if there are several."""
        return next((item.origin for item in self.layers if item.origin is not None), None)

    @cached_property
    def names(self) -> dict[str, int]:
        """The layers' names and positions."""
        return {item.name: index for index, item in enumerate(self.layers)}

    def field(self, key: str) -> Any:
        """Return a property as a script sees it, None where it is not known."""
        if key == "Layers":
            return self.layers
        if key == "Connections":
            short = [[end.removesuffix("/out").removesuffix("/in") for end in link] for link in self.links]
            return Table(
                Source=ColumnCell(Char(a) for a, _ in short), Destination=ColumnCell(Char(b) for _, b in short)
            )
        if key == "Learnables":
            rows = [(item.name, learnable) for item in self.layers for learnable in item.learn_rates]
            return Table(
                Layer=Column(a for a, _ in rows),
                Parameter=Column(b for _, b in rows),
                Value=ColumnCell(() for _ in rows),
            )
        if key in ("InputNames", "OutputNames"):
            linked = {owner(link[key == "InputNames"]) for link in self.links}
            return Cell(Char(item.name) for item in self.layers if item.name not in linked)
        return None

    def item(self, name: str) -> Item | None:
        """Return a layer by name."""
        return self.layers[self.names[name]] if name in self.names else None

    @property
    def image_input(self) -> Item | None:
        """The layer that takes images."""
        return next((item for item in self.layers if item.row and item.row.name == "ImageInputLayer"), None)

    @property
    def sinks(self) -> list[Item]:
        """The layers that nothing follows."""
        followed = {owner(source) for source, _ in self.links}
        return [item for item in self.layers if item.name not in followed]

    def sources(self, name: str) -> list[str]:
        """Return the names of the layers in front of one."""
        return [owner(source) for source, destination in self.links if owner(destination) == name]


def links_of(network: Network) -> tuple[Link, ...]:
    """Return the connections of a network."""
    return tuple((f"{c.source}/{c.source_port}", f"{c.destination}/{c.destination_port}") for c in network.connections)


def owner(port: str) -> str:
    """Return the layer of a port."""
    return port.rpartition("/")[0]


@dataclass(frozen=True)
class Sourced:
    """A value with the place it was given at."""

    value: Any
    place: Place


@dataclass(frozen=True)
class Options:
    """trainingOptions."""

    solver: str
    given: Mapping[str, Sourced]
    place: Place


@dataclass(frozen=True)
class Augmenter:
    """imageDataAugmenter."""

    text: str
    arguments: Mapping[str, Sourced]


@dataclass
class Store:
    """A datastore. It is a handle: what a script sets on one is set on it under all its names.

    Attributes:
        function: what made it.
        text, place: the source.
        arguments: by name, with places; those by position are "1", "2", ...
        parent: the datastore it is a part or a view of.
        part: which part of the parent's split, from 0; -1 where it is none.
        split: of splitEachLabel on the parent: the numbers, and whether at random.
    """

    function: str
    text: str
    place: Place
    arguments: dict[str, Sourced]
    parent: Store | None = None
    part: int = -1
    split: tuple[tuple[float, ...], bool] = ((), False)

    @property
    def images(self) -> Store:
        """The files that it goes over: a part of a split, or what everything was made of."""
        return next(each for each in self.chain() if each.part >= 0 or each.parent is None)

    def argument(self, name: str) -> Sourced | None:
        """Return an argument by name, in any case of letters."""
        return next((each for key, each in self.arguments.items() if key.lower() == name.lower()), None)

    def chain(self) -> Iterator[Store]:
        """Return it and what it was made of."""
        found: Store | None = self
        while found is not None:
            yield found
            found = found.parent


@dataclass(frozen=True)
class Training:
    """A call that trains."""

    function: str
    data: tuple[Any, ...]
    data_texts: tuple[str, ...]
    network: Any
    options: Any
    loss: Any
    place: Place

    @property
    def store(self) -> Store | None:
        """The datastore it trains on, the first if there are several."""
        return next((each for each in self.data if isinstance(each, Store)), None)


def find(value: Any, wanted: Callable[[Any], bool]) -> Any:
    """Return the first value inside another that is wanted, or None."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if wanted(found):
            return found
        inner = found.values() if isinstance(found, dict) else found if isinstance(found, (tuple, list)) else ()
        waiting += reversed(list(inner))
    return None


def is_plain(value: Any) -> bool:
    """Whether a value is a number, text, or an array of these, which is what a recipe holds."""
    return find(value, lambda each: not is_plain_type(each)) is None


def is_plain_type(value: Any) -> bool:
    """Whether a value is a number, text or array, whatever that holds."""
    return isinstance(value, (str, int, float, tuple)) and not isinstance(value, Layers)


def unknown_in(value: Any) -> Unknown | None:
    """Return what is not known inside a value."""
    return find(value, lambda each: isinstance(each, Unknown))  # type: ignore[no-any-return]


def described(value: Any) -> str:
    """Return a value as messages show it."""
    if isinstance(value, (Unknown, Handle, Store, Augmenter)):
        return value.text
    return f"{{{', '.join(map(described, value))}}}" if isinstance(value, tuple) else str(value)
