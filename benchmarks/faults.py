"""How well a check finds a fault: hundreds of seeded single faults in six networks, and as many clean pairs.

A fault is put into a copy of a network, which is then checked against the unharmed one: as a network in lockstep, or
through a reference.mat of its activations, with samples and statistics as bridgeReference saves them. Faults of the
input and of the mode are put into the reference. Counted are

- of the faults that change the output by more than the tolerance, those whose first diverging layer is named right,
- of those whose cause the diagnosis knows, the right causes; and every wrong one,
- alarms on clean pairs.

Then, in the shape of ResNet-50: the time of a check against two forward passes, and its peak memory against a forward
pass that keeps all activations.

    python -m benchmarks.faults [FAULTS [PRINT]]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

import bridge
from bridge.arrays.lazy import Array
from bridge.network import Layer, Network, make_layer
from bridge.network.windows import window
from bridge.parity.check import Check, check
from bridge.parity.onnx_runtime import sample_inputs
from bridge.parity.profiles import Profile
from bridge.tables.layers import layer_mappings
from fixtures import mat, networks, reference

SHAPES = (
    networks.chain_cnn,
    networks.residual,
    networks.squeeze,
    networks.unet,
    networks.lstm_classifier,
    networks.segnet,
)
TOLERANCE = Profile.of("matlab").relative
OBSERVATIONS = 3
Random = np.random.Generator
NDArray = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Fault:
    """One mistake.

    Attributes:
        kind: what it is.
        layer: where it lies.
        causes: what names it right; "layer" where the other network's layer does.
        network: the network with the mistake, or None where the mistake is the reference's.
        inputs: what the reference was computed on, where that is not what it holds.
        training: whether batch normalisation used the batch's statistics in the reference.
    """

    kind: str
    layer: str
    causes: tuple[str, ...]
    network: Network | None = None
    inputs: NDArray | None = None
    training: bool = False


# Faults of the network: each is tried on a layer chosen at random, and returns nothing where it does not fit.


def with_learnable(layer: Layer, name: str, value: NDArray) -> Layer:
    return replace(layer, learnables={**layer.learnables, name: replace(layer.learnables[name], array=Array.of(value))})


def with_properties(layer: Layer, **properties: Any) -> Layer:
    return replace(layer, properties={**layer.properties, **properties})


def as_kind(layer: Layer, kind: str, **properties: Any) -> Layer:
    return make_layer(layer_mappings().rows[kind], layer.name, properties)


def chosen_learnable(rng: Random, layer: Layer) -> tuple[str, NDArray] | None:
    named = [(name, each.value.copy()) for name, each in layer.learnables.items() if np.any(each.value)]
    return named[int(rng.integers(len(named)))] if named else None


def scaled(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    found = chosen_learnable(rng, layer)
    return (with_learnable(layer, found[0], found[1] * np.float32(1.01)), ("learnable",)) if found else None


def one_element(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    found = chosen_learnable(rng, layer)
    if found is None:
        return None
    name, value = found
    value.reshape(-1)[int(rng.integers(value.size))] += np.float32(0.5) * np.abs(value).max()
    return with_learnable(layer, name, value), ("learnable",)


def variance(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if "TrainedVariance" not in layer.state:
        return None
    value = layer.state["TrainedVariance"].read().copy()
    value.reshape(-1)[int(rng.integers(value.size))] *= 2
    return replace(layer, state={**layer.state, "TrainedVariance": Array.of(value)}), ("learnable",)


def weight_axes(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if layer.kind != "Convolution2DLayer" or layer.Weights.shape[0] < 2:
        return None
    return with_learnable(layer, "Weights", np.ascontiguousarray(layer.Weights.swapaxes(0, 1))), (
        "weight axes",
        "learnable",
    )


def flatten_order(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    size = network.sizes[network.incoming[layer.name][0].source][0] if network.incoming[layer.name] else None
    if layer.kind != "FullyConnectedLayer" or size is None or len(size.spatial) != 2 or set(size.spatial) == {1}:
        return None
    order = ((1, 0, 2), (2, 0, 1), (2, 1, 0), (1, 2, 0))[
        int(rng.integers(4))
    ]  # MATLAB's is height, width, channel, height fastest
    columns = layer.Weights.reshape(-1, *size.size, order="F").transpose(0, *(axis + 1 for axis in order))
    return with_learnable(layer, "Weights", columns.reshape(len(columns), -1, order="F")), (
        "flatten order",
        "learnable",
    )


def moved_padding(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if layer.kind not in ("Convolution2DLayer", "MaxPooling2DLayer") or len(layer.outputs) > 1:
        return None
    w = window(layer)
    if set(w.kernel) == {1} or w.padding is None:
        return None
    dy, dx = ((1, 1), (-1, -1), (1, 0), (0, -1))[int(rng.integers(4))]
    (top, bottom), (left, right) = w.padding
    moved = (top + dy, bottom - dy, left + dx, right - dx)
    return (with_properties(layer, PaddingMode="manual", PaddingSize=moved), ("padding",)) if min(moved) >= 0 else None


def epsilon(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if layer.kind != "BatchNormalizationLayer":
        return None
    return with_properties(layer, Epsilon=1e-3 if layer.Epsilon < 1e-4 else 1e-5), ("epsilon",)


def bypassed(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    """A layer that does nothing."""
    if layer.kind not in ("ReLULayer", "BatchNormalizationLayer", "CrossChannelNormalizationLayer", "SoftmaxLayer"):
        return None
    return as_kind(layer, "IdentityLayer"), {
        "ReLULayer": ("activation", "layer"),
        "SoftmaxLayer": ("softmax", "layer"),
    }.get(layer.kind, ("layer",))


def activation(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if layer.kind != "ReLULayer":
        return None
    kinds = (
        ("LeakyReLULayer", {"Scale": 0.1}),
        ("TanhLayer", {}),
        ("SigmoidLayer", {}),
        ("ELULayer", {}),
        ("SwishLayer", {}),
    )
    kind, properties = kinds[int(rng.integers(len(kinds)))]
    return as_kind(layer, kind, **properties), ("activation",)


def gate_order(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if layer.kind != "LSTMLayer":
        return None
    order = ((0, 1, 3, 2), (1, 0, 2, 3), (0, 2, 1, 3), (3, 1, 2, 0))[int(rng.integers(4))]
    for name, each in layer.learnables.items():
        blocks = np.split(each.value, 4)
        layer = with_learnable(layer, name, np.concatenate([blocks[gate] for gate in order]))
    return layer, ("gate order",)


def doubled_bias(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    return (with_learnable(layer, "Bias", layer.Bias * 2), ("doubled bias",)) if layer.kind == "LSTMLayer" else None


def cross_channel(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if layer.kind != "CrossChannelNormalizationLayer":
        return None
    changes: tuple[dict[str, Any], ...] = (
        {"K": 2.0},
        {"WindowChannelSize": 4},
        {"Alpha": layer.Alpha * 50, "WindowChannelSize": 3},
    )
    at = int(rng.integers(len(changes)))
    return with_properties(layer, **changes[at]), ("cross-channel window",) if at < 2 else ("layer",)


def class_order(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if layer.kind != "FullyConnectedLayer":
        return None
    order = np.roll(np.arange(len(layer.Weights)), 1)
    layer = with_learnable(with_learnable(layer, "Weights", layer.Weights[order]), "Bias", layer.Bias[order])
    return layer, ("class order", "channel order")


def no_mean(rng: Random, layer: Layer, network: Network) -> tuple[Layer, tuple[str, ...]] | None:
    if not layer.state or "Input" not in layer.kind:
        return None
    return replace(with_properties(layer, Normalization="none"), state={}), ("normalization", "layer")


LAYER_FAULTS = (
    scaled, one_element, variance, weight_axes, flatten_order, moved_padding, epsilon, bypassed, activation, gate_order, doubled_bias,
    cross_channel, class_order, no_mean,
)  # fmt: skip


def layer_fault(rng: Random, network: Network) -> Fault | None:
    make = LAYER_FAULTS[int(rng.integers(len(LAYER_FAULTS)))]
    for at in rng.permutation(len(network.layers)):
        layer = network.layers[int(at)]
        found = None if layer.row.is_output else make(rng, layer, network)
        if found is not None:
            return Fault(make.__name__, layer.name, found[1], network.with_layers({layer.name: found[0]}))
    return None


# Faults of the reference: it holds other inputs than it was computed on.

INPUT_FAULTS: Mapping[str, tuple[str, Callable[[NDArray], NDArray]]] = {
    "divided by 255": ("input scale", lambda x: x / 255),
    "multiplied by 255": ("input scale", lambda x: x * 255),
    "BGR": ("input channels", lambda x: x[:, ::-1]),
    "height and width": ("height and width", lambda x: x.reshape(*x.shape[:2], *x.shape[:1:-1]).swapaxes(2, 3)),
    "read as N,H,W,C": ("input layout", lambda x: x.reshape(len(x), *x.shape[2:], x.shape[1]).transpose(0, 3, 1, 2)),
    "observations": ("observation order", lambda x: x[::-1]),
    "backwards": ("time order", lambda x: x[:, ::-1]),
}


def input_fault(rng: Random, network: Network, inputs: NDArray) -> Fault | None:
    names = [*INPUT_FAULTS, "training mode"]
    name = names[int(rng.integers(len(names)))]
    norms = [layer.name for layer in network.layers if layer.kind == "BatchNormalizationLayer"]
    if name == "training mode":
        return Fault(name, norms[0], ("training mode",), training=True) if norms else None
    cause, change = INPUT_FAULTS[name]
    images, sequences = inputs.ndim == 4, inputs.ndim == 3
    if (name in ("BGR", "height and width", "read as N,H,W,C") and not (images and inputs.shape[1] > 1)) or (
        name == "backwards" and not sequences
    ):
        return None
    if sequences and name in ("observations", "divided by 255", "multiplied by 255"):
        return None
    return Fault(name, network.inputs[0], (cause,), inputs=np.ascontiguousarray(change(inputs), np.float32))


# The bench


def activations(model: nn.Module, network: Network, inputs: NDArray, training: bool = False) -> dict[str, NDArray]:
    """Every layer's value, in torch's layout."""
    held: dict[str, NDArray] = {}
    handles = []
    for path, name in model.meta["layers"].items():  # type: ignore[union-attr]

        def keep(module: nn.Module, given: Any, output: Any, name: str = str(name)) -> None:
            held[name] = (output[0] if isinstance(output, tuple) else output).clone().numpy()

        handles.append(model.get_submodule(path).register_forward_hook(keep))
    for part in model.modules():
        part.train(training and isinstance(part, nn.BatchNorm2d))
        if isinstance(part, nn.ReLU):
            part.inplace = False
    with torch.no_grad():
        model(torch.from_numpy(inputs))
    for handle in handles:
        handle.remove()
    return held


def recorded(path: Path, network: Network, stored: NDArray, held: Mapping[str, NDArray]) -> Path:
    """Write reference.mat: the inputs it stores, and the activations it holds."""
    formats = {layer.name: network.sizes[layer.name][0].format for layer in network.layers}
    values = {name: reference.in_matlabs_layout(value, formats[name]) for name, value in held.items()}
    last = network.outputs[0]
    output = (
        held[last].reshape(len(stored), -1) if held[last].ndim == 2 or held[last].shape[2:] == (1, 1) else values[last]
    )
    content = reference.reference(
        {network.inputs[0]: reference.in_matlabs_layout(stored, formats[network.inputs[0]])},
        {last: output},
        values,
        {(layer.name, name): each.value for layer, name, each in network.learnables()},
        {(layer.name, name): array.read() for layer in network.layers for name, array in layer.state.items()},
        classes=network.classes or (),
    )
    reference.write(path, content)
    return path


def output_changes(network: Network, fault: Fault, inputs: NDArray) -> bool:
    """Whether the fault changes the output by more than the tolerance."""
    if fault.network is None:
        wrong = activations(
            network.to_torch(), network, fault.inputs if fault.inputs is not None else inputs, fault.training
        )
    else:
        wrong = activations(fault.network.to_torch(), network, inputs)
    right = activations(network.to_torch(), network, inputs)
    a, b = wrong[network.outputs[0]], right[network.outputs[0]]
    return a.shape != b.shape or float(np.abs(a - b).max()) > TOLERANCE * float(np.abs(b).max())


@dataclass(frozen=True)
class Outcome:
    """What a check made of a fault."""

    shape: str
    fault: Fault
    found: Check
    way: str

    @property
    def located(self) -> bool:
        first = self.found.first_divergence
        return first is not None and first.layer == self.fault.layer

    @property
    def cause(self) -> str:
        return self.found.cause.name if self.found.cause else ""

    @property
    def known(self) -> bool:
        """Whether the cause is one that can be told: what a layer should be, only another network tells."""
        return bool(set(self.fault.causes) - (set() if self.way == "network" else {"layer"}))

    @property
    def right(self) -> bool:
        return self.cause in self.fault.causes

    @property
    def wrong(self) -> bool:
        """Whether a cause is said to agree that is not the fault."""
        return self.found.cause is not None and self.found.cause.agrees_to is not None and not self.right


def bench(count: int, folder: Path) -> Iterator[Outcome]:
    loaded = []
    for make in SHAPES:
        mat.write(folder / f"{make.__name__}.mat", {"net": make(1)})
        loaded.append(bridge.load(folder / f"{make.__name__}.mat"))
    seed = made = 0
    while made < count:
        seed += 1
        rng = np.random.default_rng(seed)
        network = loaded[seed % len(loaded)]
        inputs = sample_inputs(network, seed, OBSERVATIONS)[0]
        fault = input_fault(rng, network, inputs) if rng.random() < 0.25 else layer_fault(rng, network)
        if fault is None or not output_changes(network, fault, inputs):
            continue
        made += 1
        name = SHAPES[seed % len(loaded)].__name__
        if fault.network is not None and made % 2:
            yield Outcome(name, fault, check(fault.network, against=network, seed=seed), "network")
            continue
        held = activations(
            network.to_torch(), network, inputs if fault.inputs is None else fault.inputs, fault.training
        )
        path = recorded(folder / "reference.mat", network, inputs, held)
        yield Outcome(name, fault, check(fault.network or network, path), "reference.mat")


def clean(count: int, folder: Path) -> Iterator[Check]:
    """Pairs without a fault: two networks from one file, and references of another random input each."""
    for seed in range(count):
        make = SHAPES[seed % len(SHAPES)]
        mat.write(folder / "clean.mat", {"net": make(seed)})
        network = bridge.load(folder / "clean.mat")
        if seed % 2:
            yield check(network, against=bridge.load(folder / "clean.mat"), seed=seed)
            continue
        inputs = sample_inputs(network, seed, 1 + seed % 5)[0]
        held = activations(network.to_torch(), network, inputs)
        yield check(network, recorded(folder / "clean_reference.mat", network, inputs, held))


def report(outcomes: Sequence[Outcome], verbose: bool) -> None:
    known = [each for each in outcomes if each.known]
    print(
        f"{len(outcomes)} faults that change the output by more than {TOLERANCE:.0e}, in {len({each.shape for each in outcomes})} networks"
    )
    print(f"first diverging layer named right: {sum(each.located for each in outcomes)} of {len(outcomes)}")
    print(
        f"cause named right: {sum(each.right for each in known)} of {len(known)} whose cause is known; wrong causes: {sum(each.wrong for each in outcomes)}"
    )
    kinds = Counter(each.fault.kind for each in outcomes)
    for kind, number in kinds.most_common():
        these = [each for each in outcomes if each.fault.kind == kind]
        named = Counter(each.cause or "-" for each in these)
        print(
            f"  {kind:<20} {number:>3}   layer {sum(each.located for each in these):>3}   "
            + ", ".join(f"{name} {n}" for name, n in named.most_common())
        )
    for each in outcomes:
        if verbose or not each.located or each.wrong or (each.known and not each.right):
            print(
                f"  {each.shape} {each.way}: {each.fault.kind} at {each.fault.layer}\n    {each.found.verdict}\n    {each.found.explanation}"
            )


# Time and memory, in the shape of ResNet-50


def resnet50(folder: Path) -> Path:
    path = folder / "resnet50.mat"
    if not path.exists():
        mat.write(path, {"net": networks.resnet50()}, compress=False)
    return path


def timing(path: Path) -> None:
    network, other = bridge.load(path), bridge.load(path)
    model, twin = network.to_torch(), other.to_torch()
    x = torch.from_numpy(sample_inputs(network, 0, 1)[0])
    ratios = []
    for _ in range(5):
        begin = time.perf_counter()
        with torch.no_grad():
            model(x), twin(x)
        forward = time.perf_counter() - begin
        begin = time.perf_counter()
        found = compared(model, twin, network, x)
        ratios.append((time.perf_counter() - begin) / forward)
        assert found
    print(f"time of a check: {np.median(ratios):.2f} x two forward passes (median of {len(ratios)}, one thread)")


def compared(model: nn.Module, twin: nn.Module, network: Network, x: torch.Tensor) -> bool:
    from bridge.parity.compare import Batch, Subject, compare
    from bridge.parity.oracles import Lockstep

    subject = Subject.of(model, network=network)
    return (
        compare(subject, [Batch((x,))], Lockstep("twin", Subject.of(twin), subject), Profile.of("matlab")).first_above
        is None
    )


def peak(path: Path, what: str) -> float:
    """The peak memory of one thing beyond what was there before, in MB, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.faults", "--measure", what, str(path)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def resident(field: str) -> float:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return float(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1024


def measure(what: str, path: Path) -> None:
    network = bridge.load(path)
    model, x = network.to_torch(), torch.from_numpy(sample_inputs(network, 0, 1)[0])
    twin = bridge.load(path).to_torch() if what == "check" else None
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")  # forgets the peak so far (Linux)
    before = resident("VmRSS")
    if twin is None:
        activations(model, network, x.numpy())
    else:
        compared(model, twin, network, x)
    print(resident("VmHWM") - before)


def main() -> None:
    torch.set_num_threads(1)
    if sys.argv[1:2] == ["--measure"]:
        measure(sys.argv[2], Path(sys.argv[3]))
        return
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 240
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        report(list(bench(count, folder)), len(sys.argv) > 2)
        alarms = [each.verdict for each in clean(100, folder) if not each.passed]
        print(f"false alarms on 100 clean pairs: {len(alarms)}", *alarms, sep="\n  ")
        path = resnet50(folder)
        timing(path)
        forward, checked = peak(path, "forward"), peak(path, "check")
        print(
            f"peak memory beyond the models: a check {checked:.0f} MB, a forward pass that keeps all activations {forward:.0f} MB: {checked / forward:.2f} x"
        )
    print(f"{time.perf_counter() - begin:.0f} s")


if __name__ == "__main__":
    main()
