"""A layer with MATLAB's name and MATLAB's words: properties, learnables with their factors, ports."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from numbers import Real
from typing import Any, NoReturn, TypeVar, overload

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UnreadableError, UsageError, nearest, quoted
from bridge.tables.layers import EMPTY, LayerRow

Factor = float | tuple[float, ...]  # one number, or one for each gate of a recurrent layer
MOST_PORTS = 10_000  # a small file may declare any number
V = TypeVar("V")


@dataclass(frozen=True)
class Learnable:
    """A learnable array of a layer.

    Attributes:
        array: in MATLAB's layout and dimension order, not yet read.
        learn_rate_factor, l2_factor: MATLAB's factors.
        assumed: whether the file holds none, and these are MATLAB's defaults.
        initializer: the class of the initializer, where the file names it.
    """

    array: Array
    learn_rate_factor: Factor = 1.0
    l2_factor: Factor = 1.0
    assumed: bool = False
    initializer: str | None = None

    @property
    def value(self) -> NDArray:
        """The array in MATLAB's layout, read now."""
        return self.array.read()

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def frozen(self) -> bool:
        """Whether training leaves it alone: every learn-rate factor is 0."""
        factors = self.learn_rate_factor if isinstance(self.learn_rate_factor, tuple) else (self.learn_rate_factor,)
        return not any(factors)


@dataclass(frozen=True)
class Connection:
    """A connection from an output port to an input port."""

    source: str
    destination: str
    source_port: str = "out"
    destination_port: str = "in"


class Fixed(dict[str, V]):
    """A dict that stays as it is made: layers are shared by networks, whose sizes were worked out from them."""

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise UsageError(
            "a layer cannot be changed in place",
            "networks share their layers; an edit returns a new network",
            "net = net.replace(name, layer), net.set_learn_rate_factor(name, learnable, factor), ...",
        )

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type[Fixed[V]], tuple[dict[str, V]]]:
        return type(self), (dict(self),)


@dataclass(frozen=True)
class Layer:
    """One layer, with MATLAB's name and MATLAB's words.

    Factors and properties are attributes in MATLAB's spelling (`layer.WeightLearnRateFactor`, `layer.Stride`,
    `layer.TrainedMean`). A layer cannot be changed; edits are methods of `Network`.

    Attributes:
        name: MATLAB's layer name.
        kind: the class without its namespace ("Convolution2DLayer"), or "onnx:<Op>" for a node that is no MATLAB layer.
        row: what the tables say of this kind.
        properties: public property name -> number, text, tuple or None.
        learnables, state: by MATLAB name, in MATLAB's layout.
        inputs, outputs: port names.
    """

    name: str
    kind: str
    row: LayerRow
    properties: Mapping[str, Any] = field(default_factory=dict)
    learnables: Mapping[str, Learnable] = field(default_factory=dict)
    state: Mapping[str, Array] = field(default_factory=dict)
    inputs: tuple[str, ...] = ("in",)
    outputs: tuple[str, ...] = ("out",)

    def __post_init__(self) -> None:
        for name in ("properties", "learnables", "state"):
            object.__setattr__(self, name, Fixed(getattr(self, name)))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self.properties:
            return self.properties[name]
        if name in self.learnables:
            return self.learnables[name].value
        if name in self.state:
            return self.state[name].read()
        for key, learnable in self.learnables.items():
            rate, decay = factor_names(self.row, key)
            if name in (rate, decay):
                return learnable.learn_rate_factor if name == rate else learnable.l2_factor
        raise AttributeError(f"layer '{self.name}' ({self.kind}) has no property {name}")


def _refuse_change(layer: Layer, name: str, value: Any) -> None:
    edit = (
        f"set_learn_rate_factor({layer.name!r}, 'Weights', {value!r})"
        if name.endswith("Factor")
        else f"replace({layer.name!r}, ...)"
    )
    raise UsageError(
        f"layer '{layer.name}' cannot be changed in place",
        "networks are immutable; an edit returns a new one",
        f"net = net.{edit}",
    )


Layer.__setattr__ = _refuse_change  # type: ignore[method-assign, assignment]


def factor_names(row: LayerRow, learnable: str) -> tuple[str, str]:
    """Return the names of the factor properties of a learnable: ("WeightLearnRateFactor", "WeightL2Factor")."""
    known = row.learnables.get(learnable)
    return (known.learn_rate, known.l2) if known else (f"{learnable}LearnRateFactor", f"{learnable}L2Factor")


class LayerList(Sequence[Layer]):
    """The layers in MATLAB's order, by position, slice or name."""

    def __init__(self, layers: Iterable[Layer]) -> None:
        self._layers = tuple(layers)
        self._by_name = {layer.name: layer for layer in self._layers}

    @overload
    def __getitem__(self, key: int | str) -> Layer: ...
    @overload
    def __getitem__(self, key: slice) -> LayerList: ...
    def __getitem__(self, key: int | str | slice) -> Layer | LayerList:
        """Return a layer, or a list of them for a slice.

        Raises:
            UsageError: no layer has that name; the nearest ones are offered.
        """
        if isinstance(key, str):
            if key not in self._by_name:
                raise UsageError(
                    f"there is no layer '{key}'",
                    nearest(key, self._by_name),
                    "net.layers and `bridge inspect` list them",
                )
            return self._by_name[key]
        return LayerList(self._layers[key]) if isinstance(key, slice) else self._layers[key]

    def __setitem__(self, key: int | str | slice, value: Layer | Sequence[Layer]) -> NoReturn:
        """Refuse MATLAB's `layers(1:10) = ...`, and say what to write instead."""
        old, new = ([each] if isinstance(each, Layer) else list(each) for each in (self[key], value))
        where = f"{key.start or ''}:{key.stop or ''}" if isinstance(key, slice) else repr(key)
        cause = (
            "networks are immutable; an edit returns a new one"
            if len(old) == len(new)
            else "each layer takes the place of one"
        )
        raise UsageError(
            f"{len(new)} layers cannot be assigned to {len(old)}",
            cause,
            f"net = net.replace(net.layers[{where}], layers)",
        )

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def with_layers(self, changed: Mapping[str, Layer]) -> LayerList:
        """Return the list with layers of the same names in place of its own."""
        if len(self._by_name) < len(self._layers):  # two have one name
            return LayerList(changed.get(layer.name, layer) for layer in self._layers)
        made = LayerList(())
        made._by_name = {**self._by_name, **changed}
        made._layers = tuple(made._by_name.values())
        return made

    def has(self, name: str) -> bool:
        """Whether a layer of that name exists."""
        return name in self._by_name

    def __contains__(self, item: object) -> bool:
        return item in self._by_name if isinstance(item, str) else any(item is layer for layer in self._layers)

    def __repr__(self) -> str:
        return f"LayerList({', '.join(self._by_name)})"


def simplest(factor: Factor) -> Factor:
    """Return one number where all gates have the same."""
    return factor[0] if isinstance(factor, tuple) and len(set(factor)) == 1 else factor


def checked_gates(row: LayerRow, learnable: str, factor: Factor) -> Factor:
    """Return a factor of a learnable as `checked_factor` does.

    Raises:
        UsageError: as there; or it has several values, and not one for each gate.
    """
    known = row.learnables.get(learnable)
    gates = row.gates if known is not None and known.matlab_axes.startswith("gates") else 1
    value = checked_factor(factor)
    if isinstance(value, tuple) and len(value) not in (1, gates):
        takes = f"one number or {gates}, one for each gate" if gates > 1 else "one number"
        raise UsageError(
            f"{learnable} of a {row.name} is given {len(value)} factors",
            f"it takes {takes}",
            "give one number for all of it",
        )
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


def checked_factor(factor: Factor) -> Factor:
    """Return a factor as float or tuple of floats.

    Raises:
        UsageError: it is negative, not finite or no number.
    """
    values = tuple(factor) if isinstance(factor, (tuple, list)) else (factor,)
    if not values or not all(isinstance(value, Real) and 0 <= value < float("inf") for value in values):
        raise UsageError(
            f"{factor!r} is no factor", "a factor is a finite number that is not negative, or one for each gate"
        )
    return tuple(map(float, values)) if isinstance(factor, (tuple, list)) else float(values[0])


def saved_factor(factor: Any, layer: str, learnable: str) -> Factor:
    """Return a factor that a file holds, as `checked_factor` does.

    Raises:
        UnreadableError: it is none; the layer and the learnable are named.
    """
    try:
        return checked_factor(factor)
    except UsageError as error:
        raise UnreadableError(
            f"{learnable} of layer '{layer}': {error.error}", error.cause, "set its factors again in MATLAB"
        ) from error


def make_layer(
    row: LayerRow,
    name: str,
    properties: Mapping[str, Any],
    learnables: Mapping[str, Learnable] = EMPTY,
    state: Mapping[str, Array] = EMPTY,
) -> Layer:
    """Make a layer of a row: defaults filled in, ports counted."""
    filled = {key: each.default for key, each in row.properties.items() if each.default is not None}
    filled.update(properties)
    filled = {key: tuple(value) if isinstance(value, list) else value for key, value in filled.items()}
    count = int(filled.get(row.ports or "", 1))
    if not 0 < count <= MOST_PORTS:
        raise UnreadableError(
            f"layer '{name}' has {row.ports} {count:,}", f"a layer has between 1 and {MOST_PORTS:,} of them"
        )
    inputs, outputs = ports(row.inputs, count), ports(row.outputs, count)
    for key, added in row.ports_with.items():
        if filled.get(key):
            inputs, outputs = (*inputs, *added.get("inputs", ())), (*outputs, *added.get("outputs", ()))
    return Layer(name, row.name, row, filled, learnables, state, inputs, outputs)


def require_ports(layer: Layer) -> Layer:
    """Return a layer of a saved file, whose ports are those of its row.

    It may have more of them than the row knows (a mask, say), and an input layer inside of another network has one.

    Raises:
        UnreadableError: they are others.
    """
    made = make_layer(layer.row, layer.name, layer.properties)
    for side, known, given in (("inputs", made.inputs, layer.inputs), ("outputs", made.outputs, layer.outputs)):
        if given[: len(known)] != known or not all(map(str.isidentifier, given)):
            raise UnreadableError(
                f"layer '{layer.name}' ({layer.kind}) has the {side} {', '.join(map(quoted, given)) or 'none'}",
                f"those of its class are {', '.join(known) or 'none'}",
                "import the network again",
            )
    return layer


def ports(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Expand "in#" to in1, in2, ... as MATLAB numbers them."""
    return tuple(
        name
        for each in names
        for name in ([f"{each[:-1]}{i + 1}" for i in range(count)] if each.endswith("#") else [each])
    )
