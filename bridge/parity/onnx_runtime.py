"""onnxruntime as the oracle of an .onnx file: graph optimisation disabled, the file changed as little as it accepts.

The changes are made here, on the protobuf, and share nothing with the passes of the reader that they check.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UnsupportedError, UsageError
from bridge.network import Network
from bridge.network.contract import contracts

ORACLE = "onnxruntime"


def sample_inputs(network: Network, seed: int = 0, batch: int | None = None) -> list[NDArray]:
    """Return seeded inputs in torch's layout, uniform over each input's own range (0..1 where the file tells none).

    Args:
        network: what they are for.
        seed: of the random numbers.
        batch: the number of observations; else the one the file fixes, or two of a sequence and one of an image.

    Raises:
        UsageError: the seed is negative.
    """
    if seed < 0:
        raise UsageError(f"the seed of the inputs is {seed}", "a seed is a whole number from 0", "--seed 0")
    rng = np.random.default_rng(seed)
    samples = []
    for contract in contracts(network):
        size, p = network.sizes[contract.name][0], network.layers[contract.name].properties
        if "Shape" in p:  # of an input that is no MATLAB layer's
            shape = [n or 8 for n in p["Shape"][1:]]
        else:
            lengths = [n or 8 for n in (size.channels, *size.spatial)]
            shape = [7, *lengths] if size.over_time else lengths
        low, high = (
            (contract.low, contract.high) if contract.low is not None and contract.high is not None else (0.0, 1.0)
        )
        count = batch or network.source.batch or (2 if size.over_time else 1)
        sample = rng.uniform(low, high, (count, *shape) if "Shape" not in p or p["Shape"] else ())
        kind = np.dtype(p.get("Type", "float32"))
        samples.append(sample.astype(kind) if kind.kind == "f" else np.asarray(sample < 0.5, kind))
    return samples


Run: TypeAlias = Callable[[Sequence[NDArray]], dict[str, NDArray]]


def run(path: Path, inputs: Sequence[NDArray], values: Sequence[str]) -> dict[str, NDArray]:
    """Run an .onnx file once and return the named values; see `session`."""
    return session(path, values)(inputs)


def session(path: Path, values: Sequence[str]) -> Run:
    """Return what runs an .onnx file, from inputs in the order of the graph's true inputs to the named values.

    Sequences stand T, N, C in the files that MATLAB, and bridge, write; here they go in and come out N, T, C, as in
    torch.

    Args:
        path: the file.
        values: names of values inside the graph.

    Raises:
        UnsupportedError: onnxruntime does not accept the file.
    """
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        model = accepted(onnx.load(path))
    except Exception as error:  # protobuf's and onnx's errors share no base of their own
        raise UnsupportedError(
            f"onnx does not read {path}", str(error), "pass --no-check to import it unproven"
        ) from error
    time_first = model.producer_name.startswith(("MATLAB", "bridge"))

    def turned(value: NDArray) -> NDArray:
        return value.swapaxes(0, 1) if time_first and value.ndim == 3 else value

    known = {output for node in model.graph.node for output in node.output}
    declared = {output.name for output in model.graph.output}
    wanted = [name for name in dict.fromkeys(values) if name in known]
    for name in wanted:
        if name not in declared:
            model.graph.output.append(onnx.ValueInfoProto(name=name))
    with _running():
        held = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    weights = {tensor.name for tensor in model.graph.initializer}
    names = [each.name for each in held.get_inputs() if each.name not in weights]

    def once(inputs: Sequence[NDArray]) -> dict[str, NDArray]:
        with _running():
            results = held.run(wanted, dict(zip(names, map(turned, inputs), strict=True)))
        return {name: turned(np.asarray(result)) for name, result in zip(wanted, results, strict=True)}

    return once


@contextmanager
def _running() -> Iterator[None]:
    try:
        yield
    except Exception as error:  # onnxruntime's errors share no base of their own
        raise UnsupportedError(
            "onnxruntime does not run this file",
            f"{type(error).__name__}: {error}",
            "pass --no-check to import it unproven",
        ) from error


def accepted(model: Any) -> Any:
    """Return the model with the least change that lets onnxruntime load it; most files need none."""
    versions = {each.domain: each for each in model.opset_import}
    if "" in versions and versions[""].version < 7:
        _repair_opset6(model)
        versions[""].version = 7
    if any(node.op_type == "MaxUnpool" and node.domain == "com.mathworks" for node in model.graph.node):
        _rename_unpooling(model)
        versions[""].version = max(versions[""].version, 9)
    return model


def _repair_opset6(model: Any) -> None:
    """Drop attributes of opset 6, and flatten what a Gemm gets in four dimensions, as its rank asks."""
    from onnx import helper

    _spread_slopes(model)
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[Any] = []
    two_dimensional: set[str] = set()
    for node in model.graph.node:
        for name in ("consumed_inputs", "is_test", "spatial", "broadcast", "output_sequence"):
            for attribute in [each for each in node.attribute if each.name == name]:
                node.attribute.remove(attribute)
        if node.op_type == "Gemm" and node.input[0] not in two_dimensional and node.input[0] not in weights:
            flat = f"{node.input[0]}_two_dimensional"
            nodes.append(helper.make_node("Flatten", [node.input[0]], [flat], axis=1))
            node.input[0] = flat
        if node.op_type == "Gemm" or (
            node.op_type in ("Relu", "Softmax", "Tanh", "Sigmoid") and node.input[0] in two_dimensional
        ):
            two_dimensional.update(node.output)
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    for output in model.graph.output:
        if output.name in two_dimensional:
            dims = output.type.tensor_type.shape.dim
            while len(dims) > 2:
                del dims[-1]


def _spread_slopes(model: Any) -> None:
    """Give the slopes of a PRelu, one for each channel, the ones behind it with which they reach the channels since
    opset 7.
    """
    from onnx import helper, shape_inference

    read = {node.input[0]: node for node in model.graph.node if node.op_type == "PRelu"}
    for value in (*model.graph.input, *(shape_inference.infer_shapes(model).graph.value_info if read else ())):
        spatial = len(value.type.tensor_type.shape.dim) - 2
        if value.name in read and spatial > 0:
            node = read[value.name]
            unsqueeze = helper.make_node(
                "Unsqueeze", [node.input[1]], [f"{node.input[1]}_spread"], axes=[*range(1, 1 + spatial)]
            )
            model.graph.node.insert(0, unsqueeze)
            node.input[1] = unsqueeze.output[0]


def _rename_unpooling(model: Any) -> None:
    """com.mathworks MaxUnpool(x, indices, size) is ai.onnx MaxUnpool with the window of the pooling it undoes."""
    from onnx import helper

    pools = {node.output[1]: node for node in model.graph.node if node.op_type == "MaxPool" and len(node.output) > 1}
    for node in model.graph.node:
        if node.op_type == "MaxUnpool" and node.domain == "com.mathworks":
            node.domain = ""
            window: Mapping[str, Any] = {
                each.name: helper.get_attribute_value(each) for each in pools[node.input[1]].attribute
            }
            node.attribute.extend(helper.make_attribute(name, window[name]) for name in ("kernel_shape", "strides"))
