"""What MATLAB computed: reference.mat of `bridgeReference.m`, and what teams already have (.mat, .npz, .npy, .csv).

Nothing here imports torch. Arrays leave this module in torch's layout, observations first.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.data.orders import arrange
from bridge.data.variables import Variables, plain, texts
from bridge.errors import UnreadableError, UsageError, reading
from bridge.network import Network
from bridge.network.activations import Activation
from bridge.parity.records import NO_NETWORK, Record, Values, count, number, record_of, structs, text, whole_array

FORMAT = "bridge.reference/1"
INPUT_NAMES = ("X", "XTest", "XVal", "XValidation", "inputs", "input", "x")
OUTPUT_NAMES = ("YPred", "scores", "Y", "YPredicted", "predictions", "outputs", "output", "y")
POSITIONS = ("indices", "size")  # ports: MATLAB counts in another order; what they do is seen behind the unpooling
MOST_OBSERVATIONS = 128  # of one forward pass, MATLAB's own default


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
        are_targets: whether `outputs` are what was to be predicted, and not what MATLAB computed.
        facts: release, hardware and the like, for reports.
        skipped: layers that need no record: MATLAB gave none, or they are outputs.
        notes: what is not compared.
        images, resize: image inputs before they were resized, N,C,H,W, and by which method.
    """

    name: str
    inputs: tuple[Values, ...]
    outputs: tuple[Values | Labels, ...] = ()
    records: Mapping[str, Record] = field(default_factory=dict)
    parameters: Mapping[tuple[str, str], Record] = field(default_factory=dict)
    classes: tuple[str, ...] | None = None
    batch: int = MOST_OBSERVATIONS
    are_targets: bool = False
    facts: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    images: NDArray | None = None
    resize: str = ""

    @property
    def observations(self) -> int:
        """How many observations there are."""
        return len(self.inputs[0])

    def __post_init__(self) -> None:
        counts = {len(values) for values in self.inputs}
        if len(counts) > 1:
            raise UsageError(
                f"the inputs of {self.name} have {' and '.join(map(str, sorted(counts)))} observations",
                "each input needs the same",
            )
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
                    raise UnreadableError(
                        f"an {what} of {self.name} holds NaN or infinite values",
                        "nothing can be compared from there on",
                        "save it again",
                    )


@dataclass(frozen=True)
class Names:
    """Where inputs and outputs are found, and in which order their dimensions stand; "" is to be found out.

    Attributes:
        inputs, outputs: variables, comma-separated where there are several: "X", "data.mat:X", "scores.csv",
            "info.Y.2".
        targets: instead of outputs, what a network was to predict.
        input_dims, output_dims: one letter for each dimension: H, W, D space, C channel, N observation, T time.
        resize: the method of imresize by which image inputs are brought to the network's size; "" where they have it.
        detections: of a detector instead of outputs, the variables with the boxes, scores and labels of MATLAB's
            detect.
        threshold: of that detect.
    """

    inputs: str = ""
    outputs: str = ""
    targets: str = ""
    input_dims: str = ""
    output_dims: str = ""
    resize: str = ""
    detections: str = ""
    threshold: float = 0.5


def read(path: Path, network: Network | None, names: Names | None = None) -> Reference:
    """Read a reference.mat of `bridgeReference.m`, or a file of inputs and outputs.

    Args:
        path: the file.
        network: what it should fit. A reference.mat can do without: then it is taken as it is.
        names: which variables; None for a reference.mat, or for variables of the usual names.

    Raises:
        UnreadableError: a file is damaged, cut short or of another form.
        UsageError: what it holds does not fit the network, or fits in more than one way.
    """
    content = Variables.of(path)
    held = content.of_format(FORMAT)
    if held is not None and names is None:
        with reading(f"the reference {path}"):
            return _reference(held, path, network)
    if network is None:
        raise UsageError(
            "the sizes of the module's inputs are not known", "arrays cannot be turned without them", NO_NETWORK
        )
    return _data(content, network, names or Names())


# reference.mat


def _reference(held: Mapping[str, Any], path: Path, network: Network | None) -> Reference:
    old, samples, seed = text(held, "Kind") != "dlnetwork", count(held, "Samples", 1), count(held, "Seed")
    inputs, outputs = structs(held, "Inputs"), structs(held, "Outputs")
    names = tuple(text(each, "Name") for each in outputs)
    if network is not None and len(inputs) != len(network.inputs):
        listed = ", ".join(text(each, "Name") for each in inputs)
        raise UsageError(
            f"the reference has the inputs {listed}, the network {', '.join(network.inputs)}",
            "it is of another network",
        )
    input_sizes = [None] * len(inputs) if network is None else [network.sizes[name][0] for name in network.inputs]
    output_sizes = [None] * len(names) if network is None else [network.size_of(name) for name in network.outputs]
    skipped = tuple(texts(held["Skipped"]) or ())[: len(held["Skipped"]) // 2]
    return Reference(
        path.name,
        tuple(
            whole_array(each, size, old, f"the input '{text(each, 'Name')}'")
            for each, size in zip(inputs, input_sizes, strict=True)
        ),
        tuple(
            whole_array(each, size, old, f"the output '{name}'")
            for each, name, size in zip(outputs, names, output_sizes, strict=False)
        ),
        _activations(structs(held, "Activations"), samples, seed, network),
        _parameters([*structs(held, "Learnables"), *structs(held, "State")], samples, seed),
        tuple(texts(held["Classes"]) or ()) or None,
        min(count(held, "MiniBatchSize", 1), MOST_OBSERVATIONS),
        False,
        _environment(held),
        (*skipped, *names),
        (f"MATLAB gave no activation of {', '.join(skipped)}",) if skipped else (),
    )


def _activations(
    held: Sequence[Mapping[str, Any]], samples: int, seed: int, network: Network | None
) -> dict[str, Record]:
    records = {}
    for each in held:
        port = text(each, "Port")
        if port not in POSITIONS:
            key = _key(text(each, "Layer"), port, network)
            records[key] = record_of(each, samples, seed, f"activation of '{key}'")
    return records


def _parameters(held: Sequence[Mapping[str, Any]], samples: int, seed: int) -> dict[tuple[str, str], Record]:
    keys = [(text(each, "Layer"), text(each, "Parameter")) for each in held]
    return {
        (layer, name): record_of(each, samples, seed, f"{name} of '{layer}'")
        for (layer, name), each in zip(keys, held, strict=True)
    }


def _environment(held: Mapping[str, Any]) -> dict[str, str]:
    """Return the release, and what MATLAB ran on."""
    hardware = held["Hardware"]
    told = {key: each if isinstance(each, str) else str(number(each)) for key, each in hardware.items()}
    return {"release": text(held, "Release"), "toolbox": text(held, "Toolbox"), **told}


def _key(layer: str, port: str, network: Network | None) -> str:
    """Return the layer whose value a record holds: an output layer returns what it is given."""
    known = network.layers[layer] if network is not None and network.layers.has(layer) else None
    if network is not None and known is not None and known.row.is_output:
        return network.incoming[layer][0].source
    first = known.outputs[0] if known is not None else "out"
    return layer if port in ("out", first) else f"{layer}/{port}"


# What teams have


def _data(content: Variables, network: Network, names: Names) -> Reference:
    if names.outputs and names.targets:
        raise UsageError(
            "outputs and targets at once",
            "outputs are what MATLAB computed, targets what it was to compute",
            "name one of them",
        )
    images = _images(content, network, names) if names.resize else None
    inputs = read_inputs(network, names, content) if images is None else (resized(images, network, names.resize),)
    usual = [each for each in INPUT_NAMES if each in content.values][:1]
    taken = _variables(names.inputs) if names.inputs else set(usual)
    wanted = _named(names.targets or names.outputs, content, OUTPUT_NAMES, "output", network.outputs, taken)
    outputs = tuple(
        _answers(label, value, network.size_of(name), names.output_dims, len(inputs[0]), network)
        for (label, value), name in zip(wanted, network.outputs, strict=True)
    )
    file, _, variable = (names.targets or names.outputs).rpartition(":")
    label = f"{Path(file).name}:{variable}" if file else content.path.name
    return Reference(label, inputs, outputs, are_targets=bool(names.targets), images=images, resize=names.resize)


def read_inputs(network: Network, names: Names, content: Variables | None = None) -> tuple[Values, ...]:
    """Read the inputs of a network alone; raises as `read`."""
    given = _named(names.inputs, content, INPUT_NAMES, "input", network.inputs, _others(names))
    return tuple(
        arrange(value, network.sizes[name][0], names.input_dims or None, f"'{label}'", option="--input-dims")
        for (label, value), name in zip(given, network.inputs, strict=True)
    )


def _images(content: Variables, network: Network, names: Names) -> NDArray:
    """Read images of any size, N,C,H,W."""
    size = network.sizes[network.inputs[0]][0]
    if len(network.inputs) > 1 or size.format != "SSCB":
        raise UsageError(
            "the network does not take one image", f"its inputs are {', '.join(network.inputs)}", "leave --resize out"
        )
    ((label, value),) = _named(names.inputs, content, INPUT_NAMES, "input", network.inputs, _others(names))
    found = arrange(
        value,
        Activation("SSCB", (None, None, size.channels)),
        names.input_dims or "HWCN",
        f"'{label}'",
        option="--input-dims",
    )
    return np.stack(found) if isinstance(found, list) else found


def resized(images: NDArray, network: Network, method: str, antialiasing: bool = True) -> NDArray:
    """Return images N,C,H,W in the size of the network's input, by MATLAB's imresize."""
    from bridge.images import imresize

    height, width = network.sizes[network.inputs[0]][0].spatial
    turned = [
        imresize(np.ascontiguousarray(image.transpose(1, 2, 0)), (height, width), method, antialiasing=antialiasing)
        for image in images
    ]
    return np.stack(turned).transpose(0, 3, 1, 2)


def _others(names: Names) -> set[str] | None:
    """Return the variables that are no inputs, None where nothing is named: then any could be."""
    named = names.outputs or names.targets
    return _variables(named) if named else None


def _variables(names: str) -> set[str]:
    """Return the variables that are named without a file."""
    return {each.strip() for each in names.split(",") if ":" not in each}


def _named(
    names: str,
    default: Variables | None,
    known: Iterable[str],
    what: str,
    expected: Sequence[str],
    others: Collection[str] | None,
) -> list[tuple[str, Any]]:
    found = [_found(each.strip(), default, known, f"{what}s", others) for each in names.split(",")]
    if len(found) != len(expected):
        raise UsageError(
            f"{len(found)} {what}s are named, the network has {len(expected)}: {', '.join(expected)}",
            hint=f"--{what}s A,B names several",
        )
    return found


def _found(
    name: str, default: Variables | None, known: Iterable[str], what: str, others: Collection[str] | None
) -> tuple[str, Any]:
    """Return the variable of a name; without one, that of a usual name, or the only one that is nothing else."""
    if name:
        return name, Variables.find(name, default)
    if default is None:
        raise UsageError(f"no variable is named for the {what}", hint=f"--{what} FILE:NAME")
    left = [each for each in default.values if others is not None and each not in others]
    fitting = [each for each in known if each in default.values] or (left if len(left) == 1 else [])
    if not fitting:
        default.require_whole()
        raise UsageError(f"which variable of {default.path} holds the {what}?", f"it holds {default}", f"--{what} NAME")
    return fitting[0], plain(default.values[fitting[0]])


def _answers(label: str, value: Any, size: Activation, dims: str, count: int, network: Network) -> Values | Labels:
    labels = texts(value)
    channels = size.channels or 0
    if (
        labels is None
        and not isinstance(value, list)
        and channels > 1
        and np.asarray(value).size == count
        and network.classes is not None
    ):
        labels = [f"{each:g}" for each in np.asarray(value, np.float64).reshape(-1)]  # classes that are numbers
    if labels is None:
        return arrange(value, size, dims or None, f"'{label}'", count=count, option="--output-dims")
    if network.classes is None:
        raise UsageError(
            f"'{label}' holds class names, and the network has none",
            hint="--classes names.txt, in the order of its outputs",
        )
    strange = sorted(set(labels) - set(network.classes))
    if strange:
        raise UsageError(
            f"'{label}' holds the class '{strange[0]}', which the network has not",
            f"its classes are {', '.join(network.classes)}",
        )
    position = {name: index for index, name in enumerate(network.classes)}
    return Labels(np.array([position[each] for each in labels]))
