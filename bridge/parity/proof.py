"""What an import has proven, with the oracle of each claim, and what it has not."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import fx

from bridge.arrays import NDArray
from bridge.errors import UnsupportedError
from bridge.network import Network
from bridge.parity.compare import FLOAT32, Comparison, compare, count_equal_arrays

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
    """

    equal: int
    total: int
    source: str
    joined: str = ""
    comparison: Comparison | None = None
    missing: str = ""

    @property
    def holds(self) -> bool:
        return self.equal == self.total and (self.comparison is None or self.comparison.first_divergence is None)

    def __str__(self) -> str:
        files = " and ".join(Path(name).name for name in (self.source, self.joined) if name)
        parts = [f"weights equal to {files}, {self.equal} of {self.total}"]
        if self.comparison is not None:
            first, worst = self.comparison.first_divergence, self.comparison.worst
            shown = first or worst
            if shown is not None and first is not None:
                parts.append(f"FIRST DIVERGENCE from {self.comparison.oracle} at {shown.layer}: {shown.max_abs:.1e} (allowed {FLOAT32:.0e} of its range)")
            elif shown is not None:
                outputs = self.comparison.layers[-1]
                layers = len({each.layer for each in self.comparison.layers})
                parts.append(f"outputs equal to {self.comparison.oracle} to {outputs.max_abs:.1e}")
                parts.append(f"{layers} layers to {shown.relative:.1e} of their range")
        elif self.missing:
            parts.append(self.missing)
        return "; ".join((*parts, NOT_COMPARED))


def prove(network: Network, model: fx.GraphModule) -> Proof:
    """Check a module against its file: arrays bit for bit, and an .onnx against onnxruntime, layer by layer.

    The module is left in the mode it was in.
    """
    equal, total = count_equal_arrays(network, model)
    comparison, missing = None, ""
    if network.source.format == "onnx" and not Path(network.source.path).is_file():
        missing = f"outputs not compared: {network.source.path} is no longer there"
    elif network.source.format == "onnx":
        try:
            comparison = against_onnxruntime(network, model)
        except UnsupportedError as error:
            missing = f"outputs not compared: {error.error} ({error.cause})"
    return Proof(equal, total, network.source.path, network.source.factors, comparison, missing)


def against_onnxruntime(network: Network, model: fx.GraphModule) -> Comparison:
    """Run the module and onnxruntime on the same seeded input and compare every layer."""
    from bridge.parity import onnx_runtime

    inputs = onnx_runtime.sample_inputs(network)
    values: Mapping[str, str] = network.source.values
    results = onnx_runtime.run(Path(network.source.path), inputs, list(values.values()))
    reference: dict[str, NDArray] = {layer: results[value] for layer, value in values.items() if value in results}
    training = model.training
    try:
        return compare(model.eval(), [torch.from_numpy(each) for each in inputs], reference, onnx_runtime.ORACLE)
    finally:
        model.train(training)
