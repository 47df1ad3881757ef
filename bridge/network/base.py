"""Layers and connections: what a network is, checked when it is made."""

from __future__ import annotations

import fnmatch
import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, Self, TypeAlias, TypeVar

from bridge.errors import UnreadableError, UsageError, nearest
from bridge.network.activations import Activation
from bridge.network.layer import Connection, Layer, LayerList, Learnable, saved_factor
from bridge.network.ports import split_port
from bridge.network.sizes import activation_sizes

N = TypeVar("N", bound="BaseNetwork")
JOINED = "joined with "  # how the note begins that tells of factors proven to belong to the weights
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
class BaseNetwork:
    """What a network is, without what can be done with it: `Network` is this with its methods.

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
        return activation_sizes(self.order, self.incoming)

    def size_of(self, output: str) -> Activation:
        """Return the activation at "layer" or "layer/port"; a name alone means the first port.

        Raises:
            UnreadableError: there is none.
        """
        layer, port = split_port(output, self.layers, "outputs")
        if not self.layers.has(layer) or port not in self.layers[layer].outputs:
            raise UnreadableError(f"the network's output '{output}' does not exist", "no layer has that name or port")
        return self.sizes[layer][self.layers[layer].outputs.index(port)]

    def learnables(self) -> Iterator[tuple[Layer, str, Learnable]]:
        """Yield (layer, learnable name, learnable) in MATLAB's order."""
        for layer in self.layers:
            for name, learnable in layer.learnables.items():
                yield layer, name, learnable

    def with_notes(self, *notes: str) -> Self:
        """Return this network with notes added."""
        return replace(self, notes=(*self.notes, *notes))

    def with_layers(self, changed: Mapping[str, Layer]) -> Self:
        """Return this network with layers of the same names put in place of its own."""
        return replace(self, layers=self.layers.with_layers(changed))

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


def check_structure(network: BaseNetwork) -> None:
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


def run_order(network: BaseNetwork) -> tuple[Layer, ...]:
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
