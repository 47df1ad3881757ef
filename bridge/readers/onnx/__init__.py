"""ONNX files: skeleton and lazy weights (wire.py), plain graph (graph.py), passes, recognition."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from bridge.mapping import Mappings
from bridge.network import Network, Source
from bridge.readers.onnx.graph import Graph, check_values, graph_from
from bridge.readers.onnx.passes import normalise
from bridge.readers.onnx.recognise import Recogniser
from bridge.readers.onnx.wire import initializer_arrays, read_skeleton


def load(path: Path, tables: Mappings) -> Network:
    """Read the network of an .onnx file; its weights stay in the file until asked for.

    Raises:
        UnreadableError: the file is damaged or no ONNX model.
    """
    skeleton = read_skeleton(path)
    graph = graph_from(path, skeleton.model, initializer_arrays(path, skeleton))
    check_values(path, graph)
    graph, notes = normalise(graph)
    recogniser = Recogniser(graph, tables, notes=notes)
    network = recogniser.run(Source(str(path), "onnx", graph.producer, release(graph), graph.opset))
    return replace(network, source=replace(network.source, values=recogniser.values))


def release(graph: Graph) -> str:
    """The MATLAB release of an exporter's version: 20.1 is R2020a, 20.2 is R2020b."""
    if not graph.matlab:
        return ""
    year, _, rest = graph.producer.rpartition(" ")[2].partition(".")
    return f"R20{year}{'a' if rest.startswith('1') else 'b'}" if year.isdigit() else ""
