"""What MATLAB knows about a network, in MATLAB's layout and words. It knows neither torch nor ONNX."""

from __future__ import annotations

import difflib
import fnmatch
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, overload

from bridge.arrays import Array, NDArray
from bridge.errors import UnreadableError, UsageError
from bridge.mapping import LayerRow
from bridge.sizes import Activation, activation_sizes

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.fx import GraphModule

Factor = float | tuple[float, ...]  # one number, or one for each gate of a recurrent layer
EMPTY: Mapping[str, Any] = MappingProxyType({})


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
    edit = f"set_learn_rate_factor({layer.name!r}, 'Weights', {value!r})" if name.endswith("Factor") else f"replace({layer.name!r}, ...)"
    raise UsageError(f"layer '{layer.name}' cannot be changed in place", "networks are immutable; an edit returns a new one", f"net = net.{edit}")


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
                raise UsageError(f"there is no layer '{key}'", nearest(key, self._by_name))
            return self._by_name[key]
        return LayerList(self._layers[key]) if isinstance(key, slice) else self._layers[key]

    def __len__(self) -> int:
        return len(self._layers)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self._layers)

    def has(self, name: str) -> bool:
        """Whether a layer of that name exists."""
        return name in self._by_name

    def __contains__(self, item: object) -> bool:
        return item in self._by_name if isinstance(item, str) else any(item is layer for layer in self._layers)

    def __repr__(self) -> str:
        return f"LayerList({', '.join(self._by_name)})"


def nearest(name: str, known: Iterable[str]) -> str:
    """Say which known names are closest to a wrong one."""
    names = list(known)
    close = difflib.get_close_matches(name, names, 3, 0.5)
    return f"the nearest are {', '.join(close)}" if close else f"there are {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"


@dataclass(frozen=True)
class Source:
    """Where a network came from.

    Attributes:
        path: the file, as given.
        format: "onnx", "mat v5", "mat v7.3" or "folder".
        producer: what wrote it, with its version.
        release: the MATLAB release, where the file tells.
        opset: of an ONNX file.
        sha256: of the file, known once the network was saved.
        values: of an ONNX file, the name of the tensor each layer puts out.
    """

    path: str
    format: str
    producer: str = ""
    release: str = ""
    opset: int | None = None
    sha256: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Network:
    """A network as MATLAB holds it. Immutable: every edit returns a new one.

    Attributes:
        kind: "SeriesNetwork", "DAGNetwork", "dlnetwork", "LayerGraph", "Layers", "network" (shallow) or "onnx".
        layers: in MATLAB's order.
        connections: explicit, also for a chain.
        inputs, outputs: names of the input layers, and of the "layer" or "layer/port" the network returns.
        classes: class names in MATLAB's order, or None.
        notes: what a reader repaired, inferred or could not prove.
        source: where it came from.
        training_options: the saved TrainingOptions object's class and fields, or None.
        training_info: the saved training log, or None.
        detector: anchors and sizes of a saved detector object, or None.
    """

    kind: str
    layers: LayerList
    connections: tuple[Connection, ...]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    source: Source
    classes: tuple[str, ...] | None = None
    notes: tuple[str, ...] = ()
    training_options: Mapping[str, Any] | None = None
    training_info: Mapping[str, Any] | None = None
    detector: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_structure(self)

    @cached_property
    def order(self) -> tuple[Layer, ...]:
        """The layers in an order in which they can run; MATLAB's order where that is one."""
        return run_order(self)

    @cached_property
    def incoming(self) -> Mapping[str, tuple[Connection, ...]]:
        """For each layer its incoming connections, in the order of its input ports."""
        found: dict[str, list[Connection]] = {layer.name: [] for layer in self.layers}
        for connection in self.connections:
            found[connection.destination].append(connection)
        ports = {layer.name: layer.inputs for layer in self.layers}
        return {name: tuple(sorted(each, key=lambda c: ports[c.destination].index(c.destination_port))) for name, each in found.items()}

    @cached_property
    def sizes(self) -> Mapping[str, tuple[Activation, ...]]:
        """The activation size of every output port of every layer."""
        return activation_sizes(self)

    def learnables(self) -> Iterator[tuple[Layer, str, Learnable]]:
        """Yield (layer, learnable name, learnable) in MATLAB's order."""
        for layer in self.layers:
            for name, learnable in layer.learnables.items():
                yield layer, name, learnable

    def to_torch(
        self, *, include_normalization: bool = True, include_softmax: bool = True, modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None
    ) -> GraphModule:
        """Build the PyTorch module of this network; see `bridge.modules.build.to_torch`."""
        from bridge.modules.build import to_torch

        return to_torch(self, include_normalization=include_normalization, include_softmax=include_softmax, modules=modules)

    def save(self, folder: str | Path) -> Path:
        """Save as a folder (network.json, model.safetensors, README.md); see `bridge.writers.folder.save`."""
        from bridge.writers.folder import save

        return save(self, folder)

    def with_weights(self, module: nn.Module) -> Network:
        """Return this network with the learnables and statistics of a trained module; see `bridge.modules.weights`."""
        from bridge.modules.weights import with_weights

        return with_weights(self, module)

    def with_notes(self, *notes: str) -> Network:
        """Return this network with notes added."""
        return replace(self, notes=(*self.notes, *notes))

    def with_layers(self, changed: Mapping[str, Layer]) -> Network:
        """Return this network with layers of the same names put in place of its own."""
        return replace(self, layers=LayerList(changed.get(layer.name, layer) for layer in self.layers))

    def select(self, what: str | Iterable[Layer] | Callable[[Layer], bool]) -> tuple[Layer, ...]:
        """Return the layers that a name, a glob, a kind, layers themselves or a predicate mean.

        Raises:
            UsageError: nothing fits.
        """
        if callable(what):
            chosen = tuple(layer for layer in self.layers if what(layer))
        elif isinstance(what, str):
            chosen = tuple(layer for layer in self.layers if layer.name == what) or tuple(
                layer for layer in self.layers if fnmatch.fnmatchcase(layer.name, what) or layer.kind == what
            )
        else:
            chosen = tuple(self.layers[layer.name] for layer in ([what] if isinstance(what, Layer) else what))
        if not chosen:
            raise UsageError(f"no layer fits {what!r}", nearest(str(what), (layer.name for layer in self.layers)))
        return chosen

    def set_learn_rate_factor(self, layer: str, learnable: str, factor: Factor) -> Network:
        """Return this network with one learn-rate factor changed, as setLearnRateFactor does.

        Raises:
            UsageError: no such layer or learnable, or a factor that is negative or no number.
        """
        chosen = self.layers[layer]
        if learnable not in chosen.learnables:
            raise UsageError(f"layer '{layer}' has no learnable {learnable!r}", f"its learnables are {', '.join(chosen.learnables) or 'none'}")
        changed = replace(chosen.learnables[learnable], learn_rate_factor=checked_factor(factor), assumed=False)
        return self.with_layers({layer: replace(chosen, learnables={**chosen.learnables, learnable: changed})})

    def freeze(self, what: str | Iterable[Layer] | Callable[[Layer], bool], *, batch_norm: bool = True) -> Network:
        """Return this network with the learn-rate factors of the chosen layers set to 0, as freezeWeights does.

        Args:
            what: layers (`net.layers[:10]`), a name, a glob, a kind or a predicate.
            batch_norm: whether Scale and Offset of batch normalisation freeze too (the newer helper), or go on
                training (the older one, which knows only Weights and Bias). Its statistics never freeze.
        """
        changed = {}
        for layer in self.select(what):
            if batch_norm or {"Weights", "Bias"} & set(layer.learnables):
                learnables = {name: replace(each, learn_rate_factor=0.0, assumed=False) for name, each in layer.learnables.items()}
                changed[layer.name] = replace(layer, learnables=learnables)
        return self.with_layers(changed)


def checked_factor(factor: Factor) -> Factor:
    """Return a factor as float or tuple of floats.

    Raises:
        UsageError: it is negative, not finite or no number.
    """
    try:
        values = tuple(float(each) for each in factor) if isinstance(factor, (tuple, list)) else (float(factor),)
    except (TypeError, ValueError) as error:
        raise UsageError(f"{factor!r} is no factor", "a factor is a number that is not negative, or one for each gate") from error
    if not values or any(not 0 <= value < float("inf") for value in values):
        raise UsageError(f"a factor of {factor!r}", "factors are finite and not negative")
    return values if isinstance(factor, (tuple, list)) else values[0]


def check_structure(network: Network) -> None:
    """Raise UnreadableError unless names are unique and every connection joins ports that exist, once."""
    names: set[str] = set()
    for layer in network.layers:
        if layer.name in names:
            raise UnreadableError(f"two layers are named '{layer.name}'", "layer names must be unique", "rename one in MATLAB")
        names.add(layer.name)
    fed: set[tuple[str, str]] = set()
    for each in network.connections:
        for name, port, side in ((each.source, each.source_port, "outputs"), (each.destination, each.destination_port, "inputs")):
            if not network.layers.has(name):
                raise UnreadableError(f"a connection names layer '{name}', which does not exist", f"it runs {each.source} -> {each.destination}")
            if port not in getattr(network.layers[name], side):
                raise UnreadableError(
                    f"layer '{name}' has no port '{port}'", f"its {side} are {', '.join(getattr(network.layers[name], side)) or 'none'}"
                )
        if (each.destination, each.destination_port) in fed:
            raise UnreadableError(f"two connections end at '{each.destination}/{each.destination_port}'", "an input takes one connection")
        fed.add((each.destination, each.destination_port))


def run_order(network: Network) -> tuple[Layer, ...]:
    """Sort the layers so that each follows its inputs, staying close to MATLAB's order.

    Raises:
        UnreadableError: the connections form a cycle.
    """
    waiting = {layer.name: len(network.incoming[layer.name]) for layer in network.layers}
    readers: dict[str, list[str]] = {layer.name: [] for layer in network.layers}
    for connection in network.connections:
        readers[connection.source].append(connection.destination)
    position = {layer.name: index for index, layer in enumerate(network.layers)}
    ready = [position[name] for name, count in waiting.items() if count == 0]
    heapq.heapify(ready)
    order = []
    while ready:
        layer = network.layers[heapq.heappop(ready)]
        order.append(layer)
        for name in readers[layer.name]:
            waiting[name] -= 1
            if waiting[name] == 0:
                heapq.heappush(ready, position[name])
    if len(order) < len(network.layers):
        stuck = [name for name, count in waiting.items() if count]
        raise UnreadableError(f"the connections form a cycle through {', '.join(stuck[:5])}", "a network must run from input to output")
    return tuple(order)


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
    inputs = ports(row.inputs, count)
    outputs = ports(row.outputs, count)
    if filled.get("HasUnpoolingOutputs"):
        outputs = ("out", "indices", "size")
    if filled.get("EnableReferenceInput"):
        inputs = ("in", "ref")
    return Layer(name, row.name, row, filled, learnables, state, inputs, outputs)


def ports(names: tuple[str, ...], count: int) -> tuple[str, ...]:
    """Expand "in#" to in1, in2, ... as MATLAB numbers them."""
    return tuple(name for each in names for name in ([f"{each[:-1]}{i + 1}" for i in range(count)] if each.endswith("#") else [each]))


def unknown_row(class_name: str) -> LayerRow:
    """The row of a class no table knows: it can be shown, and built only with a module the user passes."""
    return LayerRow(class_name.rpartition(".")[2], (class_name,), "", torch="(yours)", build="unknown", size="unknown")
