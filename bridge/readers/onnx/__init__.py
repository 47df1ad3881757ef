"""ONNX files: skeleton and lazy weights (wire.py), plain graph (graph.py), passes, recognition."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import reading
from bridge.network import Network, Source
from bridge.readers.onnx.graph import Graph, check_nodes, check_supported, check_values, graph_from
from bridge.readers.onnx.passes import normalise
from bridge.readers.onnx.recognise import Recogniser
from bridge.readers.onnx.stored import CHANGED, digest, metadata, stored_network
from bridge.readers.onnx.wire import initializer_arrays, read_skeleton
from bridge.tables.layers import Mappings


def load(path: Path, tables: Mappings) -> Network:
    """Read the network of an .onnx file; its weights stay in the file until asked for.

    Raises:
        UnreadableError: the file is damaged or no ONNX model.
        UnsupportedError: it holds functions, subgraphs, sparse weights or training information.
    """
    skeleton = read_skeleton(path)
    check_supported(path, skeleton.model)
    with reading(f"the graph of {path}"):
        check_nodes(path, skeleton.model)
        graph = graph_from(skeleton.model, initializer_arrays(path, skeleton))
        check_values(path, graph)
        facts = metadata(path, skeleton.model)
        if facts is not None and facts["graph"] == digest(skeleton.model.graph):
            return stored_network(path, facts, graph.constants, graph.opset, tables)
        graph, notes = normalise(graph)
        source = Source(str(path), "onnx", graph.producer, release(graph), graph.opset, fixed_batch(graph))
        return Recogniser(graph, tables, notes if facts is None else [CHANGED, *notes]).run(source)


def fixed_batch(graph: Graph) -> int | None:
    """Return the number of observations that the first input declares, or None where it is symbolic; MATLAB's sequences
    run T, N, C.
    """
    first = next((dims[graph.matlab and len(dims) == 3] for dims in graph.inputs.values() if dims), None)
    return first if isinstance(first, int) and first > 0 else None


def release(graph: Graph) -> str:
    """The MATLAB release of an exporter's version: 20.1 is R2020a, 20.2 is R2020b."""
    if not graph.producer.startswith("MATLAB"):
        return ""
    year, _, rest = graph.producer.rpartition(" ")[2].partition(".")
    return f"R20{year}{'a' if rest.startswith('1') else 'b'}" if year.isdigit() else ""
