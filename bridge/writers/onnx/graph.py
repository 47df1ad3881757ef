"""An ONNX graph in the making: nodes and initializers under the names that MATLAB's exporter gives them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.files.names import distinct
from bridge.network import Layer
from bridge.network.activations import Activation
from bridge.network.tensors import tensors
from bridge.readers.join import mangled
from bridge.tables.registry import Registry
from bridge.writers.onnx.file import FLOAT

# Attributes that became inputs: since which opset, and in which order.
INPUT_SINCE: Mapping[str, tuple[int, tuple[str, ...]]] = {
    "Clip": (11, ("min", "max")), "Dropout": (12, ("ratio",)), "Pad": (11, ("pads",)), "ReduceMax": (18, ("axes",)),
    "ReduceMean": (18, ("axes",)),
    "Slice": (10, ("starts", "ends", "axes")), "Squeeze": (13, ("axes",)), "Unsqueeze": (13, ("axes",)),
}  # fmt: skip
BATCH, TIME = "BatchSize", "SequenceLength"
Writer = Callable[["Graph", Layer, Sequence["Value"], Activation], Sequence[str]]
WRITES: Registry[Writer] = Registry("function that writes ONNX nodes")


@dataclass(frozen=True)
class Value:
    """A value of the graph.

    Attributes:
        name: in the graph.
        size: the activation that it is. Sequences of vectors run T,N,C, as in MATLAB's files, all others as in torch.
        pixel: for features, with how many lengths of one they stand in the file, as a fully connected layer after
            images leaves them.
        flat: whether the file has taken away the space of an image of one pixel, as before a softmax.
    """

    name: str
    size: Activation
    pixel: int = 0
    flat: bool = False

    @property
    def axes(self) -> str:
        """The letters of its axes in the file: B, T, C, and S for space."""
        spatial = "" if self.flat else "S" * (self.pixel or len(self.size.spatial))
        if not self.size.over_time:
            return f"BC{spatial}"
        return f"BTC{spatial}" if spatial else "TBC"

    @property
    def channel(self) -> int:
        return self.axes.index("C")

    def lengths(self, time: str | None = None) -> list[int | str | None]:
        """Return the dims that a graph declares, the one of time under a name."""
        spatial = iter(self.size.spatial or (1,) * self.pixel)
        others = {"B": BATCH, "T": time, "C": self.size.channels}
        return [others[axis] if axis in others else next(spatial) for axis in self.axes]


@dataclass(frozen=True)
class Stored:
    """Where an array of a layer lies in the file.

    Attributes:
        initializer: its name.
        how: "torch" for the elements in torch's order, "transposed", or "gates" for a recurrent layer's rows in ONNX's
            order of gates.
    """

    initializer: str
    how: str = "torch"


@dataclass
class Graph:
    """What is written so far.

    Attributes:
        opset: of ai.onnx.
        mathworks: whether max unpooling is MathWorks' own operator.
        nodes: onnx NodeProtos, in run order.
        weights: initializers by name, unread.
        stored: where the arrays of each layer lie, by layer and MATLAB's name of the array.
        names: of the layers in the file.
        current: of the layer that is being written.
        taken: every name in the file.
        notes: what the reader of the file should know.
    """

    opset: int
    mathworks: bool
    names: Mapping[str, str]
    nodes: list[Any] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    stored: dict[str, dict[str, Stored]] = field(default_factory=dict)
    current: str = ""
    taken: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.taken.update(self.names.values())

    def start(self, layer: Layer) -> None:
        """Let the next nodes be those of a layer, one of which may have its name."""
        self.current = self.names[layer.name]
        self.taken.discard(self.current)

    def unique(self, name: str) -> str:
        """Return a name that nothing in the graph has yet."""
        wanted, count = name, 1
        while wanted in self.taken:
            count += 1
            wanted = f"{name}_{count}"
        self.taken.add(wanted)
        return wanted

    def node(
        self, operator: str, name: str, inputs: Sequence[str], *, outputs: Sequence[str] = (), **attributes: Any
    ) -> str:
        """Add a node ("Conv", "com.mathworks::MaxUnpool") and return its first output, which has its name where none is
        given.
        """
        from onnx import helper

        domain, _, op = operator.rpartition("::")
        since, names = INPUT_SINCE.get(op, (math.inf, ()))
        if self.opset >= since:
            values = [(key, np.asarray(attributes.pop(key))) for key in names if key in attributes]
            inputs = (*inputs, *(self.constant(f"{name}_{key}", value) for key, value in values))
        made = list(outputs) or [self.unique(name)]
        self.taken.update(made)
        self.nodes.append(
            helper.make_node(op, list(inputs), made, name=name if outputs else made[0], domain=domain, **attributes)
        )
        return next(each for each in made if each)

    def constant(self, name: str, value: NDArray) -> str:
        """Add an array that is no layer's: floating point becomes single, whole numbers 64-bit."""
        made = self.unique(name)
        self.weights[made] = Array.of(np.asarray(value, np.float32 if value.dtype.kind == "f" else np.int64))
        return made

    def weight(self, name: str, layer: Layer, of: str, array: Array, how: str = "torch") -> str:
        """Add an array of a layer, `of` being MATLAB's name for it, and return it in the single precision that the
        graph computes in.
        """
        made = self.unique(name)
        self.weights[made] = Array(array.shape, array.dtype, lambda: np.ascontiguousarray(array.read()), array.shape)
        self.stored.setdefault(layer.name, {})[of] = Stored(made, how)
        return made if array.dtype == np.float32 else self.node("Cast", f"{name}_Single", [made], to=FLOAT)

    def with_number(self, operator: str, name: str, value: str, number: float) -> str:
        """Add a node of a value and a number."""
        return self.node(operator, name, [value, self.constant(f"{name}_b", np.array(float(number)))])

    def transpose(self, name: str, value: str, order: Sequence[int]) -> str:
        return self.node("Transpose", name, [value], perm=list(order))

    def reshape(self, name: str, value: str, shape: Sequence[int]) -> str:
        """Reshape to lengths of which 0 keeps the one that is there, and -1 is whatever is left."""
        return self.node("Reshape", name, [value, self.constant(f"{name}_Shape", np.array(shape))])

    def reshape_like(self, name: str, value: str, other: str, count: int, rest: Sequence[int]) -> str:
        """Reshape to the first `count` lengths of another value, then others."""
        return self.node("Reshape", name, [value, self.lengths_like(name, other, count, rest)])

    def lengths_like(self, name: str, other: str, count: int, rest: Sequence[int]) -> str:
        """Return a value of the first `count` lengths of another one, then others."""
        shape = self.node("Shape", f"{name}_InputShape", [other])
        lead = self.node("Slice", f"{name}_Lead", [shape], starts=[0], ends=[count], axes=[0])
        return self.node("Concat", f"{name}_NewShape", [lead, self.constant(f"{name}_Rest", np.array(rest))], axis=0)

    def as_torch(self, value: Value, name: str) -> Value:
        """Give features and images of one pixel the lengths that they have in torch."""
        if value.flat:
            return Value(
                self.reshape(f"{name}_Unflatten", value.name, (0, -1, *(1,) * len(value.size.spatial))), value.size
            )
        return (
            Value(self.node("Flatten", f"{name}_Flatten", [value.name], axis=1), value.size) if value.pixel else value
        )

    def batch_first(self, value: Value, name: str) -> str:
        """Return a sequence as N,T,C,..."""
        return value.name if value.axes[0] == "B" else self.transpose(f"{name}_BatchFirst", value.name, (1, 0, 2))


def channels_and_space(size: Activation) -> tuple[int, ...]:
    """Return the lengths behind batch and time, as torch orders them; they are known, as an input of free size is
    refused.
    """
    return (size.channels or 0, *(n or 0 for n in size.spatial))


def names_in_file(layers: Iterable[Layer]) -> dict[str, str]:
    """Return the identifier that stands for each layer in the file, as MATLAB's exporter makes it, and unique."""
    return distinct((layer.name, mangled(layer.name) or "_") for layer in layers)


def arrays(layer: Layer, given: Sequence[Value]) -> dict[str, Array]:
    """Return a layer's arrays in torch's layout, by MATLAB's name."""
    return {each.name: each.array for each in tensors(layer, [value.size for value in given])}
