"""What MATLAB knows about a network, in MATLAB's layout and words. It knows neither torch nor ONNX."""

from __future__ import annotations

import difflib
import fnmatch
import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from numbers import Real
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, overload

from bridge.arrays.lazy import Array, NDArray
from bridge.errors import UnreadableError, UsageError, quoted
from bridge.network.sizes import Activation, activation_sizes
from bridge.tables.layers import LayerRow
from bridge.tables.layers import unknown_row as unknown_row

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.fx import GraphModule

    from bridge.detection.detector import Detector
    from bridge.network.head import Head

Factor = float | tuple[float, ...]  # one number, or one for each gate of a recurrent layer
JOINED = "joined with "  # how the note begins that tells of factors proven to belong to the weights
EMPTY: Mapping[str, Any] = MappingProxyType({})
NORMALIZATION = ("Scale", "Offset")  # the learnables of normalisation layers
MOST_PORTS = 10_000  # a small file may declare any number


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
    spelling = {each.lower(): each for each in names}
    close = [spelling[each] for each in difflib.get_close_matches(name.lower(), spelling, 3, 0.5)]
    return (
        f"the nearest are {', '.join(close)}"
        if close
        else f"there are {', '.join(names[:8])}{' ...' if len(names) > 8 else ''}"
    )


Selection: TypeAlias = "str | Layer | Sequence[str | Layer] | Callable[[Layer], bool]"


@dataclass(frozen=True)
class Source:
    """Where a network came from.

    Attributes:
        path: the file, as given.
        format: "onnx", "mat v5", "mat v7.3", "folder", or "layers" for a network made of layers here.
        producer: what wrote it, with its version.
        release: the MATLAB release, where the file tells.
        opset: of an ONNX file.
        batch: the number of observations an ONNX file fixes; None where it leaves it free.
        factors: the file whose factors were joined to an .onnx.
        sha256: of the file, known once the network was saved.
        values: of an ONNX file, the name of the tensor each layer puts out.
    """

    path: str
    format: str
    producer: str = ""
    release: str = ""
    opset: int | None = None
    batch: int | None = None
    factors: str = ""
    sha256: str = ""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, repr=False)
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

    def __repr__(self) -> str:
        classes = "" if self.classes is None else f", {len(self.classes)} classes"
        where = f" of {self.source.path}" if self.source.path else ""
        return (
            f"<{self.kind}{where}: {', '.join(self.inputs)} -> {', '.join(self.outputs)}, {len(self.layers)} "
            f"layers{classes}>"
        )

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
        return {
            name: tuple(sorted(each, key=lambda c: ports[c.destination].index(c.destination_port)))
            for name, each in found.items()
        }

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
        self,
        *,
        include_normalization: bool = True,
        include_softmax: bool = True,
        modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    ) -> GraphModule:
        """Build the PyTorch module of this network; see `bridge.modules.build.to_torch`."""
        from bridge.modules.build import to_torch

        return to_torch(
            self, include_normalization=include_normalization, include_softmax=include_softmax, modules=modules
        )

    def to_detector(
        self,
        *,
        anchor_order: str | None = None,
        resize: str = "bilinear",
        modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    ) -> Detector:
        """Build the detector of this network: anchors, classes and `detect`; see `bridge.detection.detector`."""
        from bridge.detection.detector import Detector

        return Detector(self, anchor_order=anchor_order, resize=resize, modules=modules)

    def detect(self, images: Any, **options: Any) -> Any:
        """Find objects with the detector of this network, which is built once; see
        `bridge.detection.detector.Detector.detect`.
        """
        return self._detector.detect(images, **options)

    @cached_property
    def _detector(self) -> Detector:
        return self.to_detector()

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

    def select(self, what: Selection) -> tuple[Layer, ...]:
        """Return the layers that a name, a glob, a kind, a layer, several of these, or a predicate mean.

        Raises:
            UsageError: nothing fits.
        """
        if isinstance(what, Layer):
            return (self.layers[what.name],)
        if callable(what):
            chosen = tuple(layer for layer in self.layers if what(layer))
        elif isinstance(what, str):
            chosen = tuple(layer for layer in self.layers if layer.name == what) or tuple(
                layer for layer in self.layers if fnmatch.fnmatchcase(layer.name, what) or layer.kind == what
            )
        else:
            chosen = tuple({layer.name: layer for each in what for layer in self.select(each)}.values())
        if not chosen:
            cause = nearest(str(what), (layer.name for layer in self.layers))
            raise UsageError(
                f"no layer fits {what!r}", cause, "give a name, a pattern ('conv*'), a class, layers or a function"
            )
        return chosen

    def set_learn_rate_factor(self, layer: str, learnable: str | Factor, factor: Factor | None = None) -> Network:
        """Return this network with one learn-rate factor changed, as setLearnRateFactor does.

        Args:
            layer, learnable: names, or as one path: `set_learn_rate_factor("block/fc/Weights", 2)`.
            factor: a number, or one for each gate of a recurrent layer.

        Raises:
            UsageError: no such layer or learnable, or a factor that is negative, no number, or too many.
        """
        return self._with_factor("learn_rate_factor", layer, learnable, factor)

    def set_l2_factor(self, layer: str, learnable: str | Factor, factor: Factor | None = None) -> Network:
        """Return this network with one L2 factor changed, as setL2Factor does; see `set_learn_rate_factor`."""
        return self._with_factor("l2_factor", layer, learnable, factor)

    def _with_factor(self, kind: str, layer: str, learnable: Any, factor: Factor | None) -> Network:
        if factor is None:
            (layer, _, name), value = layer.rpartition("/"), learnable  # a path, and its factor
        else:
            name, value = str(learnable), factor
        chosen = self.layers[layer]
        if name not in chosen.learnables:
            cause = f"its learnables are {', '.join(chosen.learnables) or 'none'}"
            raise UsageError(
                f"layer '{layer}' has no learnable {name!r}",
                cause,
                "write layer and learnable, or a path: 'conv1/Weights'",
            )
        change: dict[str, Any] = {kind: checked_gates(chosen.row, name, value)}
        changed = replace(chosen.learnables[name], assumed=False, **change)
        return self.with_layers({layer: replace(chosen, learnables={**chosen.learnables, name: changed})})

    def freeze(self, what: Selection, *, batch_norm: bool = True) -> Network:
        """Return this network with the learn-rate factors of the chosen layers set to 0.

        Args:
            what: layers (`net.layers[:10]`), a name, a glob ("*" freezes everything), a kind, several of these, or a
                predicate.
            batch_norm: whether Scale and Offset of normalisation layers freeze too: True is what freezeNetwork and the
                newer freezeWeights do, False the older freezeWeights, which knows only weights and biases and sets
                their L2 factors to 0 as well. The statistics of batch normalisation never freeze.

        Raises:
            UsageError: no layer fits.
        """
        frozen: dict[str, Any] = (
            {"learn_rate_factor": 0.0} if batch_norm else {"learn_rate_factor": 0.0, "l2_factor": 0.0}
        )
        changed = {}
        for layer in self.select(what):
            kept = () if batch_norm else NORMALIZATION
            learnables = {
                name: each if name in kept else replace(each, assumed=False, **frozen)
                for name, each in layer.learnables.items()
            }
            changed[layer.name] = replace(layer, learnables=learnables)
        return self.with_layers(changed)

    def head(self) -> Head:
        """Return the last layer with weights and what follows, as findLayersToReplace and networkHead find them; see
        `bridge.network.head`.
        """
        from bridge.network.head import head

        return head(self)

    def replace(self, what: str | Layer | Sequence[Layer], layers: Layer | Sequence[Layer]) -> Network:
        """Return this network with one layer replaced by one or a chain of them, or several by as many; see
        `bridge.network.edit.replace_layers`.
        """
        from bridge.network.edit import replace_layers

        return replace_layers(self, what, layers)

    def remove(self, what: Selection) -> Network:
        """Return this network without the chosen layers and their connections, as removeLayers does."""
        from bridge.network.edit import remove

        return remove(self, self.select(what))

    def add(self, layers: Layer | Sequence[Layer]) -> Network:
        """Return this network with layers added, each connected to the next one, as addLayers does."""
        from bridge.network.edit import add

        return add(self, layers)

    def connect(self, source: str, destination: str) -> Network:
        """Return this network with a connection added ("a/out", "b/in2"), as connectLayers does."""
        from bridge.network.edit import connected

        return connected(self, source, destination)

    def disconnect(self, source: str, destination: str) -> Network:
        """Return this network without a connection, as disconnectLayers does."""
        from bridge.network.edit import disconnected

        return disconnected(self, source, destination)

    def with_classes(self, classes: Sequence[str], name: str | None = None, **properties: Any) -> Network:
        """Return this network with a new head for other classes: the recipe of MATLAB's transfer learning.

        The last layer with weights is replaced by a new one of its kind and of the right size, the output layer gets
        the classes; a softmax is put before an output layer that has none, and a regression becomes a classification.
        The new layer has no values yet (`initialize` gives them), and factors of 1 where none are given.

        Args:
            classes: the class names, in order.
            name: of the new layer; without one it keeps the old one's (unconfirmed for imagePretrainedNetwork).
            properties: of the new layer, WeightLearnRateFactor=10 say.

        Raises:
            UsageError: the network has no single head, or a name is no property of it.
        """
        from bridge.network.head import with_classes

        return with_classes(self, classes, name, **properties)

    def with_input_size(self, size: Sequence[int]) -> Network:
        """Return this network for inputs of another size, [height, width] or [height, width, channels].

        Statistics with a value for each pixel are dropped, with a note; those for each channel stay.

        Raises:
            UsageError: a layer forbids it, as a fully connected one does; it is named.
        """
        from bridge.network.edit import with_input_size

        return with_input_size(self, size)

    def initialize(self, seed: int = 0) -> Network:
        """Return this network with values for every learnable that has none, by MATLAB's initializers; see
        `bridge.network.initialize`.
        """
        from bridge.network.initialize import initialize

        return initialize(self, seed)

    @staticmethod
    def assemble(
        layers: Iterable[Layer],
        connections: Iterable[tuple[str, str]] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Network:
        """Return a network of layers, as assembleNetwork and dlnetwork do.

        Args:
            layers: in MATLAB's order, each with a name; they may still lack values (`initialize` gives them).
            connections: ("relu1", "add/in2") pairs; without them each layer is connected to the next.
            classes: class names, where the output layer has none.

        Raises:
            UsageError: two layers do not fit, or a name is missing, unknown or taken.
        """
        from bridge.network.edit import assemble

        return assemble(layers, connections, classes)


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


def check_structure(network: Network) -> None:
    """Raise UnreadableError for what no network can be.

    Names are unique, factors are numbers, every connection joins ports that exist, once, none leads back to where it
    came from, and what the network takes and returns exists.
    """
    names: set[str] = set()
    for layer in network.layers:
        if layer.name in names:
            raise UnreadableError(
                f"two layers are named '{layer.name}'", "layer names must be unique", "rename one in MATLAB"
            )
        names.add(layer.name)
        for side, ports in (("inputs", layer.inputs), ("outputs", layer.outputs)):
            if len({*ports}) < len(ports):
                raise UnreadableError(
                    f"two {side} of layer '{layer.name}' have one name", f"they are {', '.join(ports)}"
                )
        for name, learnable in layer.learnables.items():
            for factor in (learnable.learn_rate_factor, learnable.l2_factor):
                saved_factor(factor, layer.name, name)
    fed: set[tuple[str, str]] = set()
    for each in network.connections:
        for name, port, side in (
            (each.source, each.source_port, "outputs"),
            (each.destination, each.destination_port, "inputs"),
        ):
            if not network.layers.has(name):
                raise UnreadableError(
                    f"a connection names layer '{name}', which does not exist",
                    f"it runs {each.source} -> {each.destination}",
                )
            if port not in getattr(network.layers[name], side):
                raise UnreadableError(
                    f"layer '{name}' has no port '{port}'",
                    f"its {side} are {', '.join(getattr(network.layers[name], side)) or 'none'}",
                )
        if (each.destination, each.destination_port) in fed:
            raise UnreadableError(
                f"two connections end at '{each.destination}/{each.destination_port}'", "an input takes one connection"
            )
        fed.add((each.destination, each.destination_port))
    ends = {
        each for layer in network.layers for each in (layer.name, *(f"{layer.name}/{port}" for port in layer.outputs))
    }
    lost = [name for name in (*network.inputs, *network.outputs) if name not in ends]
    if lost:
        raise UnreadableError(f"the network's input or output '{lost[0]}' does not exist", nearest(lost[0], names))
    unused = [
        layer.name
        for layer in network.layers
        if not layer.row.inputs and not layer.inputs and layer.name not in network.inputs
    ]
    if unused or not network.outputs:
        raise UnreadableError(
            "the network returns nothing" if not unused else f"the input layer '{unused[0]}' is no input of the network"
        )
    run_order(network)


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
        raise UnreadableError(
            f"the connections form a cycle through {', '.join(stuck[:5])}", "a network must run from input to output"
        )
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
