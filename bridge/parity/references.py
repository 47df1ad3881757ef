"""What MATLAB computed: reference.mat of `bridgeReference.m`, and what teams already have (.mat, .npz, .npy, .csv).

Nothing here imports torch. Arrays leave this module in torch's layout, observations first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays import Array, NDArray
from bridge.errors import UnreadableError, UsageError, reading
from bridge.network import Network
from bridge.parity.variables import Variables, plain, texts
from bridge.parity.orders import arrange, by_format
from bridge.sizes import Activation

FORMAT = "bridge.reference/1"
INPUT_NAMES = ("X", "XTest", "XVal", "XValidation", "inputs", "input", "x")
OUTPUT_NAMES = ("YPred", "scores", "Y", "YPredicted", "predictions", "outputs", "output", "y")
MOST_OBSERVATIONS = 128  # of one forward pass, MATLAB's own default
Values = NDArray | list[NDArray]  # observations along the first axis, or one array of one observation for each sequence


@dataclass(frozen=True)
class Record:
    """What a reference holds of one array: statistics of all its elements and samples of them.

    Attributes:
        sizes: the array's size in MATLAB's order; of sequences one for each.
        least, greatest, mean, deviation: over all elements, in double precision; the deviation is biased.
        index: 0-based positions of the samples in MATLAB's order, through sequences one after the other; ascending.
        value: the samples.
    """

    sizes: tuple[tuple[int, ...], ...]
    least: float
    greatest: float
    mean: float
    deviation: float
    index: NDArray
    value: NDArray

    @property
    def elements(self) -> int:
        """How many elements the array has."""
        return sum(math.prod(size) for size in self.sizes)

    @property
    def scale(self) -> float:
        """Largest absolute value of the array."""
        return max(abs(self.least), abs(self.greatest))

    @property
    def whole(self) -> bool:
        """Whether every element is a sample."""
        return len(self.index) == self.elements


@dataclass(frozen=True)
class Labels:
    """Classes instead of numbers: for each observation the position of its class."""

    classes: NDArray


@dataclass(frozen=True)
class Reference:
    """Inputs, and what they should give.

    Attributes:
        name: what it is called in a verdict.
        inputs: one for each input of the network.
        outputs: what the network returns, in order; empty where only layers are known.
        records: by layer name, "layer/port" for a further output.
        parameters: (layer, learnable or state) -> record.
        classes: class names in the order of the outputs, or None.
        batch: how many observations MATLAB took at a time.
        seed: of the samples.
        facts: release, hardware and the like, for reports.
        skipped: layers of which MATLAB gave no activation.
        notes: what is not compared.
    """

    name: str
    inputs: tuple[Values, ...]
    outputs: tuple[Values | Labels, ...] = ()
    records: Mapping[str, Record] = field(default_factory=dict)
    parameters: Mapping[tuple[str, str], Record] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    batch: int = MOST_OBSERVATIONS
    facts: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def observations(self) -> int:
        """How many observations there are."""
        return len(self.inputs[0])

    def __post_init__(self) -> None:
        counts = {len(values) for values in self.inputs}
        if len(counts) > 1:
            raise UsageError(f"the inputs of {self.name} have {' and '.join(map(str, sorted(counts)))} observations", "each input needs the same")
        for output in self.outputs:
            count = len(output.classes if isinstance(output, Labels) else output)
            if count != self.observations:
                raise UsageError(
                    f"{self.name} has {self.observations} observations of the inputs and {count} of the outputs",
                    "they are of different batches",
                    "save inputs and outputs of one predict",
                )
        for what, arrays in (("input", self.inputs), ("output", self.outputs)):
            for array in arrays:
                parts = [array.classes] if isinstance(array, Labels) else array if isinstance(array, list) else [array]
                if not all(np.isfinite(part).all() for part in parts):
                    raise UnreadableError(f"an {what} of {self.name} holds NaN or infinite values", "nothing can be compared from there on", "save it again")


# reference.mat


def read_reference(path: Path, network: Network) -> Reference:
    """Read a reference.mat of `bridgeReference.m` for a network.

    Raises:
        UnreadableError: the file is damaged, cut short or of another form.
        UsageError: its inputs do not fit the network, or its class names are others.
    """
    content = Variables.of(path)
    held = next((value for value in content.values.values() if is_reference(value)), None)
    if held is None:
        raise UnreadableError(f"{path} is no reference of bridgeReference", f"it holds {content}", "bridgeReference(net, X, 'reference.mat')")
    with reading(f"the reference {path}"):
        return _reference(held, path, network)


def is_reference(value: Any) -> bool:
    """Whether a variable is what bridgeReference saved."""
    return isinstance(value, dict) and value.get("Format") == FORMAT


def _reference(held: Mapping[str, Any], path: Path, network: Network) -> Reference:
    old = held["Kind"] != "dlnetwork"
    samples, seed = int(number(held["Samples"])), int(number(held["Seed"]))
    records = {}
    for each in held["Activations"]:
        if each["Port"] in ("indices", "size"):
            continue  # MATLAB's positions are counted in another order than torch's, and are seen in what they give
        key = _key(each["Layer"], each["Port"], network)
        records[key] = _record(each, samples, seed, f"activation of '{key}'")
    skipped = tuple(texts(held["Skipped"]) or ())[: len(held["Skipped"]) // 2]
    notes = (f"MATLAB gave no activation of {', '.join(skipped)}",) if skipped else ()
    parameters = {}
    for each in [*held["Learnables"], *held["State"]]:
        name = each["Parameter"]
        parameters[each["Layer"], name] = _record(each, samples, seed, f"{name} of '{each['Layer']}'")
    inputs, outputs = held["Inputs"], held["Outputs"]
    _require_names("input", [each["Name"] for each in inputs], network.inputs)
    return Reference(
        path.name,
        tuple(_input(each, network.sizes[name][0], old) for each, name in zip(inputs, network.inputs, strict=True)),
        tuple(_output(each, _size_of(network, name), old) for each, name in zip(outputs, network.outputs, strict=False)),
        records,
        parameters,
        tuple(texts(held["Classes"]) or ()) or None,
        min(int(number(held["MiniBatchSize"])), MOST_OBSERVATIONS),
        {"release": held["Release"], "toolbox": held["Toolbox"], **{key: str(number(value)) for key, value in held["Hardware"].items()}},
        skipped,
        notes,
    )


def _key(layer: str, port: str, network: Network) -> str:
    """Return the layer whose value a record holds: an output layer returns what it is given."""
    if network.layers.has(layer) and network.layers[layer].row.is_output:
        return network.incoming[layer][0].source
    first = network.layers[layer].outputs[0] if network.layers.has(layer) and network.layers[layer].outputs else "out"
    return layer if port in ("out", first) else f"{layer}/{port}"


def _record(held: Mapping[str, Any], samples: int, seed: int, what: str) -> Record:
    sizes = tuple(tuple(int(n) for n in row) for row in number(held["Size"], array=True).reshape(-1, np.shape(number(held["Size"], array=True))[-1]))
    least, greatest, mean, deviation = (float(number(held[name])) for name in ("Min", "Max", "Mean", "Std"))
    whole = held["Full"]
    if isinstance(whole, list) or number(whole, array=True).size:
        arrays = whole if isinstance(whole, list) else [whole]
        value = np.concatenate([number(each, array=True).reshape(-1, order="F") for each in arrays])
        return Record(sizes, least, greatest, mean, deviation, np.arange(value.size), value)
    index, value = (number(held[name], array=True).reshape(-1) for name in ("Index", "Value"))
    index = index.astype(np.int64) - 1
    expected = sample_indices(sum(math.prod(size) for size in sizes), samples, seed)
    if not np.array_equal(index, expected) or index.size != value.size:
        raise UnreadableError(
            f"the samples of the {what} are not those of seed {seed}", "the file was changed, or its Size is not the array's", "save the reference again"
        )
    return Record(sizes, least, greatest, mean, deviation, index, value)


@cache
def _fractions(seed: int, count: int) -> NDArray:
    state, fractions = seed, np.empty(count)
    for k in range(count):
        state = (1664525 * state + 1013904223) % 2**32
        fractions[k] = state / 2**32
    return fractions


def sample_indices(total: int, samples: int, seed: int) -> NDArray:
    """Return the 0-based positions of the samples of an array; the formula is in docs/mat-structs.md."""
    if total <= samples:
        return np.arange(total)
    return np.floor((np.arange(samples) + _fractions(seed, samples)) * total / samples).astype(np.int64)


def _require_names(what: str, names: Sequence[str], expected: Sequence[str]) -> None:
    if len(names) != len(expected):
        raise UsageError(
            f"the reference has the {what}s {', '.join(names)}, the network {', '.join(expected)}", "it is of another network", "save it of this one"
        )


def _size_of(network: Network, name: str) -> Activation:
    layer, _, port = (name, "", "") if network.layers.has(name) else name.rpartition("/")
    return network.sizes[layer][network.layers[layer].outputs.index(port) if port else 0]


def _input(held: Mapping[str, Any], size: Activation, old: bool) -> Values:
    value = held["Value"]
    if not old and held["Format"]:
        return by_format(number(value, array=True), held["Format"], size, f"the input '{held['Name']}'")
    cells = [number(each, array=True) for each in value] if isinstance(value, list) else number(value, array=True)
    order = "NC" if old and size.format == "CB" and not isinstance(cells, list) else None
    return arrange(cells, size, order, f"the input '{held['Name']}' of the reference", matlab=True)


def _output(held: Mapping[str, Any], size: Activation, old: bool) -> Values:
    value = held["Value"]
    what = f"the output '{held['Name']}' of the reference"
    if not old and held["Format"]:
        return by_format(number(value, array=True), held["Format"], size, what)
    cells = [number(each, array=True) for each in value] if isinstance(value, list) else number(value, array=True)
    vectors = not isinstance(cells, list) and cells.ndim == 2 and math.prod(n or 1 for n in size.spatial) == 1
    return arrange(cells, size, "NC" if vectors else None, what, matlab=True)


def number(value: Any, array: bool = False) -> Any:
    """Return a numeric value as an array, or a 1 x 1 as a number; a text as it is."""
    if isinstance(value, str):
        return value
    value = value.read() if isinstance(value, Array) else np.asarray(value)
    return value if array else value.reshape(-1)[0]


# What teams have


@dataclass(frozen=True)
class Names:
    """Where inputs and outputs are found, and in which order their dimensions stand; "" is to be found out.

    Attributes:
        inputs, outputs: variables, comma-separated where there are several: "X", "data.mat:X", "scores.csv", "info.Y.2".
        input_dims, output_dims: one letter for each dimension: H, W, D space, C channel, N observation, T time.
    """

    inputs: str = ""
    outputs: str = ""
    input_dims: str = ""
    output_dims: str = ""


def read_data(path: Path | None, network: Network, names: Names) -> Reference:
    """Read inputs and outputs that somebody saved.

    Args:
        path: the file that names without a file of their own are in.
        network: tells sizes and formats.
        names: which variables, in which order of dimensions.

    Raises:
        UsageError: a variable is not there or not named, does not fit the network, or fits in more than one way.
        UnreadableError: a file is damaged.
    """
    default = Variables.of(path) if path is not None else None
    inputs = read_inputs(network, names, default)
    wanted = _named(names.outputs, default, OUTPUT_NAMES, "output", network.outputs)
    outputs = tuple(
        _answers(label, value, _size_of(network, name), names.output_dims, len(inputs[0]), network)
        for (label, value), name in zip(wanted, network.outputs, strict=True)
    )
    return Reference(path.name if path is not None else names.outputs, inputs, outputs)


def read_inputs(network: Network, names: Names, default: Variables | None = None) -> tuple[Values, ...]:
    """Read the inputs of a network alone; raises as `read_data`."""
    given = _named(names.inputs, default, INPUT_NAMES, "input", network.inputs)
    return tuple(
        arrange(value, network.sizes[name][0], names.input_dims or None, f"'{label}'", option="--input-dims")
        for (label, value), name in zip(given, network.inputs, strict=True)
    )


def _named(names: str, default: Variables | None, known: Iterable[str], what: str, expected: Sequence[str]) -> list[tuple[str, Any]]:
    found = [_found(each.strip(), default, known, f"{what}s") for each in names.split(",")]
    if len(found) != len(expected):
        raise UsageError(f"{len(found)} {what}s are named, the network has {len(expected)}: {', '.join(expected)}", hint=f"--{what}s A,B names several")
    return found


def _found(name: str, default: Variables | None, known: Iterable[str], what: str) -> tuple[str, Any]:
    if name:
        return name, Variables.find(name, default)
    if default is None:
        raise UsageError(f"no variable is named for the {what}", hint=f"--{what} FILE:NAME")
    fitting = [each for each in known if each in default.values]
    if not fitting:
        raise UsageError(f"which variable of {default.path} holds the {what}?", f"it holds {default}", f"--{what} NAME")
    return fitting[0], plain(default.values[fitting[0]])


def _answers(label: str, value: Any, size: Activation, dims: str, count: int, network: Network) -> Values | Labels:
    labels = texts(value)
    channels = size.channels or 0
    if labels is None and not isinstance(value, list) and channels > 1 and np.asarray(value).size == count and network.classes is not None:
        labels = [f"{each:g}" for each in np.asarray(value, np.float64).reshape(-1)]  # classes that are numbers
    if labels is None:
        return arrange(value, size, dims or None, f"'{label}'", count=count, option="--output-dims")
    if network.classes is None:
        raise UsageError(f"'{label}' holds class names, and the network has none", hint="--classes names.txt, in the order of its outputs")
    strange = sorted(set(labels) - set(network.classes))
    if strange:
        raise UsageError(f"'{label}' holds the class '{strange[0]}', which the network has not", f"its classes are {', '.join(network.classes)}")
    position = {name: index for index, name in enumerate(network.classes)}
    return Labels(np.array([position[each] for each in labels]))
