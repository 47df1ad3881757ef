"""What variables of a script hold of deep learning: layers, networks, options, datastores, numbers of the data."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from bridge.errors import UsageError
from bridge.layers import property_names, shown, with_property
from bridge.network import BaseNetwork, Connection, Layer, LayerList, Network, Source, factor_names
from bridge.network.assembly import network_of
from bridge.network.ports import chain, shortest
from bridge.scripts.language.draws import Draws
from bridge.scripts.language.values import (
    Cell,
    Char,
    Column,
    ColumnCell,
    Object,
    Objects,
    Place,
    Struct,
    Table,
    Unknown,
    is_plain,
)
from bridge.tables.layers import table

ALIASES: Mapping[str, str] = table("scripts")["aliases"]
WITHOUT_EFFECT: Mapping[str, Mapping[str, Any]] = table("scripts")["without_effect"]


@dataclass(frozen=True)
class Sourced:
    """A value with the place it was given at."""

    value: Any
    place: Place


@dataclass(frozen=True)
class UnknownNetwork(Unknown):
    """A network whose layers are not known.

    Attributes:
        network, file: MATLAB's name for it, or its file.
    """

    network: str = ""
    file: str = ""


@dataclass(frozen=True)
class Origin:
    """The network that a script starts from: a name of MATLAB's or a file, and what it is.

    Attributes:
        untrained: the script asks for one without weights.
    """

    name: str
    file: str
    network: Network
    place: Place
    untrained: bool = False


@dataclass(frozen=True)
class ToldLayer(Layer, Object):
    """A layer as a script tells of it: what is known is the layer's own, here is what is not, and where it is said.

    Attributes:
        place: where it was made, or last changed as a whole.
        origin, base: the network that it is a layer of, and its name there; None and "" for one that the script makes.
        open: properties that are set to what reading does not tell.
        told: properties that were set later, and where.
        frozen: where a function froze the array it was in.
        trained: where the script trains it, if it does.
        automatic: the name is the one that training gives.
    """

    place: Place = ("", 0)
    origin: Origin | None = None
    base: str = ""
    open: Mapping[str, Any] = field(default_factory=dict)
    told: Mapping[str, Place] = field(default_factory=dict)
    frozen: Place | None = None
    trained: Place | None = None
    automatic: bool = False

    @classmethod
    def of(cls, layer: Layer, place: Place, **told: Any) -> ToldLayer:
        """Return a layer with what a script tells of it."""
        return cls(**{name: getattr(layer, name) for name in Layer.__dataclass_fields__}, place=place, **told)

    @property
    def text(self) -> str:  # type: ignore[override]
        return f"layer '{self.name}'"

    @property
    def matlab(self) -> str:
        return self.row.matlab[0] if self.row.matlab else self.kind

    def names(self) -> list[str]:
        return property_names(self.row)

    def get(self, name: str) -> Any:
        name = ALIASES.get(name, name)
        if name == "Name":
            return Char(self.name)
        if name in self.open:
            return self.open[name]
        if name in self.learnables or name in self.state:
            return None
        value = shown(self, name)
        return WITHOUT_EFFECT.get(self.row.constructor, {}).get(name) if value is None else value

    def set(self, name: str, value: Any, place: Place) -> ToldLayer | None:
        if name == "Name":
            return replace(self, name=value, place=place, automatic=False) if isinstance(value, str) else None
        names = self.names()
        if name.endswith("Factor") and self.row.constructor and name not in names:
            what = f"layer '{self.name}' has no property {name}"
            raise UsageError(what, f"it is a {self.kind}", "MATLAB refuses this assignment")
        told = {**self.told, name: place}
        known = is_plain(value) and name in names and name not in (*self.learnables, *self.state)
        if not known:
            return replace(self, open={**self.open, name: value}, told=told)
        rest = {key: each for key, each in self.open.items() if key != name} if self.open else self.open
        return replace(with_property(self, name, value), open=rest, told=told)

    @property
    def own(self) -> Layer | None:
        """The layer of the network it starts from that it is, whatever was set later; None for another."""
        return self.origin.network.layers[self.base] if self.origin and self.base == self.name else None

    @property
    def rates(self) -> dict[str, str]:
        """Its learnables with the names of their learn-rate factors."""
        return {name: factor_names(self.row, name)[0] for name in self.learnables}

    @property
    def is_frozen(self) -> bool:
        """Whether the script set a learn-rate factor, and all are 0."""
        rates = self.rates.values()
        frozen = all(each.frozen for each in self.learnables.values()) and not set(rates) & self.open.keys()
        return frozen and any(rate in self.told for rate in rates)

    def freeze(self, place: Place) -> ToldLayer:
        """Return it with every learn-rate factor 0, as one of an array that was frozen."""
        learnables = {
            name: replace(each, learn_rate_factor=0.0, assumed=False) for name, each in self.learnables.items()
        }
        told = {**self.told, **dict.fromkeys(self.rates.values(), place)}
        return replace(self, learnables=learnables, told=told, frozen=place)


class LayerArray(Objects[ToldLayer]):
    """An array of layers."""

    NOUN = "layers"
    BASE = table("scripts")["layer_class"]

    def beyond(self, position: int) -> str:
        origin = self[0].origin if self else None
        earlier = table("pretrained").get(origin.name, {}).get("earlier_layers", 0) if origin is not None else 0
        list_of_then = f"; up to R2019a it had {earlier}, and all positions of a script of then are one too high"
        return list_of_then if position <= earlier else ""


@dataclass(frozen=True)
class Initialized:
    """Where a network was given its initial values: the random stream, and the layers it had."""

    draws: Draws
    layers: tuple[str, ...]


@dataclass(frozen=True, eq=False, repr=False)
class ToldNetwork(BaseNetwork, Object):
    """A network or layer graph as a script tells of it. Its layers need not fit each other yet, as in MATLAB.

    Attributes:
        initialized: where its initial values were drawn, before it is trained.
    """

    initialized: Initialized | None = None

    def __post_init__(self) -> None:
        """Check nothing: a change of factors changes no structure, and what does is checked there."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, ToldNetwork):
            return NotImplemented
        return (self.kind, self.connections, self.told) == (other.kind, other.connections, other.told)

    @classmethod
    def of(cls, layers: Iterable[Layer], connections: Iterable[Connection] | None, kind: str) -> ToldNetwork:
        """Return a network of told layers, in a row where no connections are given."""
        made = LayerList(layers)
        joined = chain(made) if connections is None else tuple(connections)
        return network_of(cls, kind, made, joined, Source("", "layers"))

    def with_told(self, layers: Iterable[ToldLayer]) -> ToldNetwork:
        """Return it with other factors, properties or places of its layers."""
        return replace(self, layers=LayerList(layers))

    @property
    def told(self) -> LayerArray:
        """Its layers as an array of a script."""
        return LayerArray(cast(Iterable[ToldLayer], self.layers))

    @property
    def text(self) -> str:  # type: ignore[override]
        return f"a {self.kind} of {len(self.layers)} layers"

    @property
    def matlab(self) -> str:
        return self.kind

    @property
    def parts(self) -> int:
        return len(self.layers)

    @property
    def origin(self) -> Origin | None:
        """The network it was made of; of the first layer, if there are several."""
        return next((layer.origin for layer in self.told if layer.origin is not None), None)

    def get(self, name: str) -> Any:
        if name == "Layers":
            return self.told
        if name == "Connections":
            ends = [map(Char, shortest(each, self.layers)) for each in self.connections]
            sides = map(ColumnCell, zip(*ends, strict=True)) if ends else (ColumnCell(), ColumnCell())
            return Table(zip(("Source", "Destination"), sides, strict=True))
        if name == "Learnables":
            rows = [(layer.name, key) for layer, key, _ in self.learnables()]
            columns = Column(a for a, _ in rows), Column(b for _, b in rows), ColumnCell(() for _ in rows)
            return Table(zip(("Layer", "Parameter", "Value"), columns, strict=True))
        if name in ("InputNames", "OutputNames"):
            linked = {c.destination if name == "InputNames" else c.source for c in self.connections}
            return Cell(Char(layer.name) for layer in self.layers if layer.name not in linked)
        return None

    def set(self, name: str, value: Any, place: Place) -> ToldNetwork | None:
        return self if name in ("Learnables", "State") else None


class Schedule(Struct):
    """A learn rate schedule: its function as "schedule", and its properties."""


@dataclass(frozen=True)
class ToldOptions(Object):
    """trainingOptions."""

    solver: str
    given: Mapping[str, Sourced]
    place: Place
    text: str = "trainingOptions"

    def get(self, name: str) -> Any:
        return self.given[name].value if name in self.given else None

    def set(self, name: str, value: Any, place: Place) -> ToldOptions:
        return replace(self, given={**self.given, name: Sourced(value, place)})

    def merged(self, others: Sequence[Any], nothing: Unknown) -> ToldOptions | None:
        """Return the options that are the same in all; the others are not known."""
        if not all(isinstance(each, ToldOptions) and each.solver == self.solver for each in others):
            return None
        every = [self, *others]
        given: dict[str, Sourced] = {}
        for key in dict.fromkeys(key for each in every for key in each.given):
            found = [each.given.get(key) for each in every]
            first = found[0]
            known = first is not None and all(each is not None and each.value == first.value for each in found)
            given[key] = first if known and first is not None else Sourced(nothing, nothing.place)
        return replace(self, given=given)


@dataclass(frozen=True)
class Augmenter(Object):
    """imageDataAugmenter."""

    text: str
    arguments: Mapping[str, Sourced]


@dataclass
class Datastore(Object):
    """A datastore. It is a handle: what a script sets on one is set on it under all its names.

    Attributes:
        function: what made it.
        text, place: the source.
        arguments: by name, with places; those by position are "1", "2", ...
        parent: the datastore it is a part or a view of.
        part: which part of the parent's split, from 0; -1 where it is none.
        split: of a split of the parent: the numbers, and whether at random.
        draws: the random stream where it was split at random.
    """

    function: str
    text: str
    place: Place
    arguments: dict[str, Sourced]
    parent: Datastore | None = None
    part: int = -1
    split: tuple[tuple[float, ...], bool] = ((), False)
    draws: Draws | None = field(default=None, compare=False)

    @property
    def images(self) -> Datastore:
        """The files that it goes over: a part of a split, or what everything was made of."""
        return next(each for each in self.chain() if each.part >= 0 or each.parent is None)

    def argument(self, name: str) -> Sourced | None:
        """Return an argument by name, in any case of letters."""
        return next((each for key, each in self.arguments.items() if key.lower() == name.lower()), None)

    def chain(self) -> Iterator[Datastore]:
        """Return it and what it was made of."""
        found: Datastore | None = self
        while found is not None:
            yield found
            found = found.parent

    def get(self, name: str) -> Any:
        given, of_data = self.arguments.get(name), table("scripts")["of_datastores"].get(name)
        return given.value if given else OfData(of_data, data=self) if of_data else None

    def set(self, name: str, value: Any, place: Place) -> Datastore:
        self.arguments[name] = Sourced(value, place)
        return self


@dataclass(frozen=True)
class OfData(Object):
    """A number or list that the data tells.

    Attributes:
        kind: "labels", "files", "label counts", "classes" (their names), "class count", "observations", "elements" or
            "iterations" (of an epoch).
        data: the datastore, or data that are made elsewhere; of "iterations" by elements, these.
        divisor: of "iterations": the mini-batch size it was computed with.
    """

    kind: str
    data: Any = None
    divisor: float = 1.0

    @property
    def text(self) -> str:  # type: ignore[override]
        return f"the {self.kind} of the data"

    def get(self, name: str) -> Any:
        return OfData("classes", self.data) if (self.kind, name) == ("label counts", "Label") else None


@dataclass(frozen=True)
class Boxes(Object):
    """Anchor boxes that are estimated from the data: how many is known, their sizes are not."""

    count: int
    text: str

    @property
    def stand_in(self) -> tuple[tuple[int, int], ...]:
        """So many boxes of some sizes."""
        return tuple((number, number) for number in range(1, self.count + 1))


@dataclass(frozen=True)
class Training:
    """A call that trains.

    Attributes:
        arguments: those of a detector's training by name.
        draws: the random stream when it is called.
    """

    function: str
    data: tuple[Any, ...]
    data_texts: tuple[str, ...]
    network: Any
    options: Any
    loss: Any
    place: Place
    arguments: Mapping[str, Sourced] = field(default_factory=dict)
    draws: Draws | None = field(default=None, compare=False)

    @property
    def store(self) -> Datastore | None:
        """The datastore it trains on, the first if there are several."""
        return next((each for each in self.data if isinstance(each, Datastore)), None)
