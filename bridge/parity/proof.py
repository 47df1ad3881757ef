"""What an import has proven, with the oracle of each claim, and what it has not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import fx

from bridge.arrays.lazy import NDArray
from bridge.errors import UnsupportedError
from bridge.files.atomic import is_file, sha256
from bridge.network import Network
from bridge.network.tensors import given_sizes, tensors
from bridge.parity.compare import Batch, Subject, compare
from bridge.parity.differences import Comparison
from bridge.parity.onnx_runtime import sample_inputs
from bridge.parity.oracles import OnnxRuntime
from bridge.parity.profiles import Profile

OBSERVATIONS = 3  # by chance an output is near 0 for one of them, rarely for all
SPACING = 2.0**-23  # of single precision, as a part of a number
MOST_ACTIVATIONS = 1 << 30  # numbers; a network with more is not run on the side
NOT_COMPARED = "not compared with MATLAB's own outputs (bridge matlab, then bridge check)"


@dataclass(frozen=True)
class Proof:
    """The result of checking a module against the file it was built from.

    Attributes:
        equal, total: learnables and statistics that equal the file's bit for bit, and all of them.
        source: the file.
        joined: the factors' file that was proven equal, or "".
        comparison: activations against onnxruntime; None for files without that oracle.
        missing: why there is no comparison, where one was due.
        cancelled: layers whose terms cancel: they differ by no more than roundings of the input make of them.
    """

    equal: int
    total: int
    source: str
    joined: str = ""
    comparison: Comparison | None = None
    missing: str = ""
    cancelled: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        return self.equal == self.total and (self.comparison is None or self.comparison.first_divergence is None)

    def __str__(self) -> str:
        files = " and ".join(name for name in (self.source, self.joined) if name)
        parts = [f"weights equal to {files}, {self.equal} of {self.total}"]
        if self.comparison is not None:
            oracle, layers, worst = self.comparison.oracle, self.comparison.layers, self.comparison.worst
            if self.comparison.first_divergence is not None:
                parts.append(f"{self.comparison.verdict}, against {oracle}")
            elif worst is not None:
                parts.append(f"outputs equal to {oracle} to {layers[-1].max_abs:.1e}")
                parts.append(f"{len(layers)} layers to {worst.relative:.1e} of their range")
            if self.cancelled:
                parts.append(f"{', '.join(self.cancelled)} to what roundings of the input make of it")
        elif self.missing:
            parts.append(self.missing)
        return "; ".join((*parts, NOT_COMPARED))


def prove(network: Network, model: fx.GraphModule, read_from: Path | None = None) -> Proof:
    """Check a module against its file: arrays bit for bit, and an .onnx against onnxruntime, layer by layer.

    Args:
        network: what the module was built from.
        model: left in the mode it was in.
        read_from: the saved folder the arrays were read from, where that is not the network's source.
    """
    equal, total = count_equal_arrays(network, model)
    comparison, missing, source = None, "", network.source
    cancelled: tuple[str, ...] = ()
    if source.format == "onnx" and not source.values:
        missing = f"outputs not compared: the network was changed after it was read from {Path(source.path).name}"
    elif source.format == "onnx" and not is_file(source.path):
        missing = f"outputs not compared: {source.path} is no longer there"
    elif source.format == "onnx" and source.sha256 not in ("", sha256(Path(source.path))):
        missing = f"outputs not compared: {source.path} is no longer the file that was imported"
    elif source.format == "onnx" and activation_count(network) > MOST_ACTIVATIONS:
        missing = f"outputs not compared: its activations are {activation_count(network):,} numbers"
    elif source.format == "onnx":
        try:
            comparison, cancelled = against_onnxruntime(network, model)
        except UnsupportedError as error:
            missing = f"outputs not compared: {error.error} ({error.cause})"
    if read_from is not None and read_from.is_dir():
        return Proof(equal, total, f"{read_from.resolve().name}/model.safetensors", "", comparison, missing, cancelled)
    return Proof(equal, total, Path(source.path).name, Path(source.factors).name, comparison, missing, cancelled)


def activation_count(network: Network) -> int:
    """How many numbers all activations of one observation are."""
    return sum(at.elements or 0 for sizes in network.sizes.values() for at in sizes)


def against_onnxruntime(network: Network, model: fx.GraphModule) -> tuple[Comparison, tuple[str, ...]]:
    """Run the module and onnxruntime on the same seeded inputs, several in the file's range, and compare every layer.

    Where large terms cancel, as in an output near 0, no part of the layer's own range tells how far rounding goes. Such
    a layer may differ by what the last bit of the input does to it, as often as the profile's tolerance holds that bit.

    Returns:
        the comparison, and the layers that agree by that alone.
    """
    subject, profile = Subject.of(model, network=network), Profile.of("float32")
    drawn = (sample_inputs(network, seed) for seed in range(OBSERVATIONS))
    batches = [Batch(tuple(map(torch.from_numpy, inputs)), index) for index, inputs in enumerate(drawn)]
    oracle = OnnxRuntime(network, subject)
    found = compare(subject, batches, oracle, profile)
    differing = {each.layer: each for each in found.layers if each.max_abs > each.allowed}
    if not differing or not all(each.scale for each in differing.values()):
        return found, ()
    moved = _moved_by_last_bits(subject, batches)
    floors = {name: profile.relative / SPACING * moved.get(name, 0.0) / each.scale for name, each in differing.items()}
    cancelled = tuple(name for name, each in differing.items() if each.max_abs <= floors[name] * each.scale)
    if len(cancelled) < len(differing):
        return found, ()
    return compare(subject, batches, oracle, Profile.of("float32", floors)), cancelled


def _moved_by_last_bits(subject: Subject, batches: Sequence[Batch]) -> dict[str, float]:
    """Return how far each layer's output moves when the last bit of every number of the input goes up or down."""
    moved: dict[str, float] = {}
    rng = np.random.default_rng(0)
    for batch in batches:
        shaken = tuple(
            x.nextafter(torch.from_numpy(rng.choice((-np.inf, np.inf), tuple(x.shape)).astype(np.float32)))
            if x.is_floating_point()
            else x
            for x in batch.inputs
        )
        before, after = _outputs(subject, batch), _outputs(subject, replace(batch, inputs=shaken))
        for name, value in before.items():
            moved[name] = max(moved.get(name, 0.0), float((after[name] - value).abs().max()))
    return moved


@torch.no_grad()
def _outputs(subject: Subject, batch: Batch) -> dict[str, torch.Tensor]:
    """Return a copy of what each layer puts out, of a layer with several outputs the first."""
    held: dict[str, torch.Tensor] = {}

    def look(layer: str, _: object, __: object, output: Any) -> None:
        held[layer] = (output[0] if isinstance(output, tuple) else output).detach().double()

    with subject.watched(look) as run:
        run(batch)
    return held


def count_equal_arrays(network: Network, model: fx.GraphModule) -> tuple[int, int]:
    """Count the learnables and statistics whose file values, read again, equal the module's bit for bit:
    (equal, all).
    """
    names = {layer: module for module, layer in model.meta["layers"].items()}
    equal = total = 0
    for layer in network.layers:
        if layer.name not in names:
            continue
        module = model.get_submodule(names[layer.name])
        held = {**dict(module.named_parameters()), **dict(module.named_buffers())}
        for each in tensors(layer, given_sizes(network, layer)):
            if each.local not in held and "normalizes" in layer.row.traits:
                continue  # a statistic that this normalization does not use
            total += 1
            equal += each.local in held and _is_equal(held[each.local].detach().cpu().numpy(), each.array.read())
    return equal, total


def _is_equal(held: NDArray, array: NDArray) -> bool:
    """Whether a tensor holds the array, in the tensor's precision: modules compute in single, as MATLAB does."""
    return np.array_equal(held, array.astype(held.dtype), equal_nan=held.dtype.kind == "f")
