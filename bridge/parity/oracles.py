"""What the layers of a model are held against: MATLAB's numbers, onnxruntime, another network, any other module."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from bridge.network import Network
from bridge.parity import onnx_runtime
from bridge.parity.compare import Batch, Expected, Subject, first
from bridge.parity.records import Record
from bridge.parity.references import Labels, Reference
from bridge.parity.tally import Pair
from bridge.readers.join import mangled

USUAL = {2: "NC", 3: "NTC", 4: "NCHW", 5: "NCHWD"}  # the axes of a tensor where no network tells them


def matched(ours: Iterable[str], theirs: Iterable[str]) -> dict[str, str]:
    """Return which of their layers is which of ours: the same name, or the same as an .onnx writes it."""
    known = list(theirs)
    written = {mangled(name): name for name in known}
    pairs = {name: name if name in known else written.get(mangled(name)) for name in ours}
    return {name: other for name, other in pairs.items() if other is not None}


class _Whole:
    """What oracles with whole activations share."""

    name: str
    layers: Mapping[str, str]
    models: tuple[nn.Module, ...] = ()
    network: Network | None = None

    def take(self, value: str) -> Any:
        """Return a value of this batch, for the only time; None where there is none."""
        raise NotImplementedError

    def expect(self, layer: str) -> Expected | None:
        value = first(self.take(self.layers[layer]))
        if value is None:
            return None
        theirs, tells_classes = value if isinstance(value, Tensor) else torch.from_numpy(value), layer in self.outputs
        return lambda ours: Pair(ours, theirs, agreement=_same_classes(ours, theirs) if tells_classes else None)

    outputs: frozenset[str] = frozenset()  # the layers whose largest channel is a class

    def beyond(self, layer: str) -> float:
        return 0.0


class Lockstep(_Whole):
    """Another module of `Network.to_torch`, run node by node, no further than the layer that is asked for."""

    def __init__(self, name: str, subject: Subject, ours: Subject) -> None:
        assert isinstance(subject.model, fx.GraphModule)
        self.name, self.network, self._subject, self._model = name, subject.network, subject, subject.model
        self.layers = matched(ours.layers, subject.layers)
        self.models, self.outputs = (self._model,), class_layers(ours)
        self._names = {path: layer for layer, path in subject.layers.items()}
        self._wanted = set(self.layers.values())

    def begin(self, batch: Batch) -> None:
        self._steps = self._run(self._subject.prepared(batch).inputs)
        self._waiting: dict[str, Any] = {}
        self._indices: Tensor | None = None

    def take(self, value: str) -> Any:
        while value not in self._waiting:
            layer, found = next(self._steps)
            if layer in self._wanted:
                self._waiting[layer] = found
        found = self._waiting.pop(value)
        self._indices = found[1] if isinstance(found, tuple) and isinstance(found[1], Tensor) else None
        return found

    def indices(self, layer: str) -> Tensor | None:
        return self._indices

    def _run(self, inputs: Sequence[Tensor]) -> Iterator[tuple[str, Any]]:
        """Yield each layer's value as it appears; the interpreter frees it after its last use."""
        runner = fx.Interpreter(self._model)
        runner.args_iter = iter(inputs)
        for node in self._model.graph.nodes:
            with self._subject.running():
                value = runner.env[node] = runner.run_node(node)
            for dead in runner.user_to_last_uses.get(node, ()):
                del runner.env[dead]
            if node.op == "call_module" and node.target in self._names:
                yield self._names[node.target], value
            del value


class OnnxRuntime(_Whole):
    """onnxruntime on an .onnx file, graph optimisation disabled. It holds all activations of a batch at once."""

    def __init__(self, network: Network, ours: Subject) -> None:
        self.name, self.network, self._path = onnx_runtime.ORACLE, network, Path(network.source.path)
        values = network.source.values
        self.layers = {layer: values[other] for layer, other in matched(ours.layers, values).items()}
        self._indices = {
            layer: values[f"{other}/indices"]
            for layer, other in matched(ours.layers, values).items()
            if f"{other}/indices" in values
        }
        self.outputs = class_layers(ours)

    @cached_property
    def _run(self) -> onnx_runtime.Run:
        return onnx_runtime.session(self._path, [*self.layers.values(), *self._indices.values()])

    def begin(self, batch: Batch) -> None:
        self._results = self._run([x.cpu().numpy() for x in batch.inputs])

    def take(self, value: str) -> Any:
        return self._results.pop(value, None)

    def indices(self, layer: str) -> Tensor | None:
        chosen = self._results.pop(self._indices.get(layer, ""), None)
        return None if chosen is None else torch.from_numpy(chosen)


class Recorded(_Whole):
    """Any other module, run first as a whole: its activations of a batch are held at once."""

    def __init__(self, name: str, subject: Subject, ours: Subject) -> None:
        self.name, self.network, self._subject = name, subject.network, subject
        self.layers, self.models, self.outputs = (
            matched(ours.layers, subject.layers),
            (subject.model,),
            class_layers(ours),
        )

    def begin(self, batch: Batch) -> None:
        self._held: dict[str, Any] = {}
        with self._subject.watched(lambda layer, _, __, output: self._held.__setitem__(layer, _copied(output))) as run:
            run(batch)

    def take(self, value: str) -> Any:
        return self._held.pop(value, None)

    def indices(self, layer: str) -> Tensor | None:
        return None


def _copied(output: Any) -> Any:
    return (
        tuple(map(_copied, output))
        if isinstance(output, tuple)
        else output.clone()
        if isinstance(output, Tensor)
        else output
    )


def class_layers(subject: Subject) -> frozenset[str]:
    """Return the outputs whose largest channel is a class: those of a network with class names that is no detector."""
    network = subject.network
    return frozenset(subject.outputs if network is not None and network.classes and network.detector is None else ())


def _same_classes(ours: Tensor, theirs: Tensor) -> tuple[int, int] | None:
    """Count where the largest channel is the same; channels are axis 1, or the last over time."""
    axis = 2 if ours.dim() == 3 else 1
    if ours.shape != theirs.shape or ours.dim() < 2 or ours.shape[axis] < 2:
        return None
    same = ours.argmax(axis) == theirs.to(ours.device).argmax(axis)
    return int(same.sum()), same.numel()


# MATLAB's numbers


@dataclass
class _Moments:
    """Running statistics of the model's own values, to be held against those of a record."""

    elements: int = 0
    least: float = math.inf
    greatest: float = -math.inf
    total: float = 0.0
    squares: float = 0.0

    def add(self, value: Tensor) -> None:
        double = value.double()
        self.elements += value.numel()
        self.least, self.greatest = min(self.least, float(double.min())), max(self.greatest, float(double.max()))
        self.total, self.squares = self.total + float(double.sum()), self.squares + float(double.square().sum())

    def distance(self, record: Record) -> float:
        """Return the largest difference of minimum, maximum, mean and deviation; none exceeds that of the elements."""
        if not math.isfinite(self.total) and math.isfinite(record.mean):
            return math.inf
        mean = self.total / self.elements
        deviation = math.sqrt(max(self.squares / self.elements - mean**2, 0.0))
        # the difference of two large sums leaves the deviation this uncertain
        uncertain = math.sqrt(1e-14 * self.squares / self.elements)
        spread = abs(deviation - record.deviation)
        pairs = ((self.least, record.least), (self.greatest, record.greatest), (mean, record.mean))
        return max(spread if spread > uncertain else 0.0, *(abs(a - b) for a, b in pairs))


class Recording:
    """The records and outputs of a reference: samples of each layer, and whole outputs."""

    models: tuple[nn.Module, ...] = ()
    network: Network | None = None

    def __init__(self, reference: Reference, ours: Subject) -> None:
        self.name, self.reference, self._subject = reference.name, reference, ours
        self._outputs = dict(zip(ours.outputs, reference.outputs, strict=False))
        self.layers = matched(ours.layers, [*reference.records, *self._outputs])
        self._classes = class_layers(ours)
        self._moments = {layer: _Moments() for layer in self.layers}

    def begin(self, batch: Batch) -> None:
        self._start = batch.start
        if batch.start == 0:
            self._moments = {layer: _Moments() for layer in self.layers}

    def indices(self, layer: str) -> Tensor | None:
        return None

    def expect(self, layer: str) -> Expected | None:
        start = self._start
        if layer in self._outputs:
            return lambda ours: self._output(layer, ours, start)
        return lambda ours: self._samples(layer, ours, start)

    def _samples(self, layer: str, ours: Tensor, start: int) -> Pair:
        record = self.reference.records[self.layers[layer]]
        found = self._in_matlabs_order(layer, ours, record, start)
        if isinstance(found, str):
            return Pair(ours, ours, size=found)
        values, offset = found
        self._moments[layer].add(values)
        low, high = np.searchsorted(record.index, [offset, offset + values.numel()])
        chosen = torch.from_numpy(record.index[low:high] - offset).to(values.device)
        return Pair(values[chosen], torch.tensor(record.value[low:high]), record.scale)

    def beyond(self, layer: str) -> float:
        moments, record = self._moments[layer], self.reference.records.get(self.layers[layer])
        complete = record is not None and layer not in self._outputs and moments.elements == record.elements > 0
        return moments.distance(record) if complete and record is not None else 0.0

    def _output(self, layer: str, ours: Tensor, start: int) -> Pair:
        whole, part = self._outputs[layer], slice(start, start + ours.shape[0])
        if isinstance(whole, Labels):
            return _labels(ours, torch.from_numpy(whole.classes[part]))
        held = np.concatenate(whole[part]) if isinstance(whole, list) else whole[part]
        theirs = torch.tensor(held if held.dtype.kind in "fc" else held.astype(np.float64))  # torch lacks uint64
        theirs = theirs.reshape(ours.shape) if theirs.numel() == ours.numel() else theirs
        return Pair(ours, theirs, agreement=_same_classes(ours, theirs) if layer in self._classes else None)

    def _in_matlabs_order(self, layer: str, ours: Tensor, record: Record, start: int) -> tuple[Tensor, int] | str:
        """Return a layer's values in MATLAB's order and the position of the first; a text where the sizes differ."""
        axes = slowest_first(axes_of(self._subject.network, layer, ours.dim()))
        cells = len(record.sizes) > 1
        size = [ours.shape[axis] for axis in reversed(axes)]
        size[axes[::-1].index(0)] = 1 if cells else self.reference.observations
        expected = record.sizes[start] if cells else record.sizes[0]
        if _plain(expected) != _plain(size):
            return "×".join(map(str, size)) + ", expected " + "×".join(map(str, expected))
        before = (
            sum(math.prod(each) for each in record.sizes[:start]) if cells else ours.numel() // ours.shape[0] * start
        )
        return ours.permute(axes).reshape(-1), before

    def rows(self, layer: str) -> Tensor | None:
        """Return the values of a layer as one row for each observation, in MATLAB's order; None where the reference
        holds only samples.
        """
        whole, record = self._outputs.get(layer), self.reference.records.get(self.layers[layer])
        count = self.reference.observations
        if isinstance(whole, np.ndarray):
            return torch.tensor(whole).flatten(1)
        if record is None or not record.whole or len(record.sizes) > 1 or record.sizes[0][-1] != count:
            return None
        return torch.tensor(record.value).view(count, -1)

    def in_rows(self, layer: str, ours: Tensor) -> Tensor:
        """Return the model's values of a layer in the order of `rows`."""
        return (
            ours.flatten(1)
            if layer in self._outputs
            else ours.permute(slowest_first(axes_of(self._subject.network, layer, ours.dim()))).reshape(len(ours), -1)
        )


def axes_of(network: Network | None, layer: str, dimensions: int) -> str:
    """Return the letters of the axes of a layer's tensor: by its size where that is known, else the usual ones."""
    known = network.sizes[layer][0].axes if network is not None and network.layers.has(layer) else ""
    return known if len(known) == dimensions else USUAL.get(dimensions, "")


def slowest_first(axes: str) -> tuple[int, ...]:
    """Return a torch tensor's axes in the order of MATLAB's array (space, C, N, T), from the slowest to the fastest."""
    space = [letter for letter in axes if letter not in "NTC"]
    return tuple(axes.index(letter) for letter in ("T", "N", "C", *reversed(space)) if letter in axes)


def _plain(size: Iterable[int]) -> list[int]:
    return [n for n in size if n != 1]


def _labels(ours: Tensor, classes: Tensor) -> Pair:
    """Compare scores with classes: how far the stored class lies below the largest score, 0 where it is the largest."""
    scores = ours.flatten(1)
    own = scores.gather(1, classes[:, None].to(scores.device))[:, 0]
    below = scores.amax(1) - own
    equal = int((scores.argmax(1) == classes.to(scores.device)).sum())
    return Pair(below, torch.zeros_like(below), float(scores.abs().amax()), (equal, len(classes)))
