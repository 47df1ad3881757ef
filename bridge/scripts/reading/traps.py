"""What is odd in a script that MATLAB runs all the same, or refuses only at training."""

from __future__ import annotations

import re

from bridge.scripts.language.syntax import text
from bridge.scripts.language.values import Graph, Handle, Item, Place, Store, Training
from bridge.scripts.reading.data import read_function
from bridge.scripts.reading.findings import Findings
from bridge.scripts.reading.known import words

GLOBAL_POOLING = ("GlobalAveragePooling2DLayer", "GlobalMaxPooling2DLayer")


def report_traps(call: Training, graph: Graph | None, findings: Findings) -> None:
    """Report what is odd in the images and in the layers."""
    if graph is None:
        return
    entry = graph.image_input
    read = read_function(call.store) if call.store is not None else None
    if entry is not None:
        _channels(graph, entry, call.store, findings)
    if entry is not None and read is not None and isinstance(read.value, Handle):
        _scaling(entry, read.place, read.value, findings)
    for item in graph.layers:
        if item.base is None and item.row and item.row.name in GLOBAL_POOLING:
            _pooling(graph, item, findings)


def _channels(graph: Graph, entry: Item, store: Store | None, findings: Findings) -> None:
    """Report images whose number of channels is not that of the network the script starts from."""
    layers = graph.origin.network.layers if graph.origin is not None else ()
    expected = next(
        (layer.InputSize[2] for layer in layers if layer.row.name == "ImageInputLayer" and len(layer.InputSize) > 2),
        None,
    )
    views = [each for each in store.chain() if each.function == "augmentedImageDatastore"] if store is not None else []
    sizes = [(given.place, given.value) for each in views if (given := each.argument("1")) is not None]
    sizes += [(entry.place, entry.given.get("InputSize"))] if entry.base is None else []
    for place, size in sizes:
        if expected is not None and isinstance(size, tuple) and len(size) == 3 and size[2] != expected:
            findings.report(
                place, f"images with {size[2]} channel{'s' * (size[2] != 1)} for a network that takes {expected}"
            )


def _scaling(entry: Item, place: Place, read: Handle, findings: Findings) -> None:
    """Report a ReadFcn that scales pixels to 0..1 for an input layer that expects 0..255."""
    _, body = findings.script.definition(read.name)
    compact = re.sub(r"\s", "", text(body) if body is not None else read.text)
    normalization = entry.get("Normalization")
    if any(each in compact for each in words("scaling")) and normalization in words("of_pixels"):
        findings.report(
            place, f"the ReadFcn scales pixels to 0..1, the network's input layer ({normalization}) expects 0..255"
        )


def _pooling(graph: Graph, item: Item, findings: Findings) -> None:
    """Report a global pooling behind another one, or behind images of one pixel."""
    name, seen = item.name, {item.name}
    while len(sources := graph.sources(name)) == 1 and sources[0] not in seen:
        name = sources[0]
        seen.add(name)
        before = graph.item(name)
        kind = before.row.name if before is not None and before.row else ""
        whole = (
            before is not None
            and before.base is not None
            and kind == "AveragePooling2DLayer"
            and _pools_all(graph, before)
        )
        if kind in GLOBAL_POOLING or whole:
            findings.report(item.place, f"{item.constructor} is put after '{name}', which pools everything already")
            return
        if kind in ("Convolution2DLayer", "DepthConcatenationLayer", "AdditionLayer"):
            return


def _pools_all(graph: Graph, item: Item) -> bool:
    if graph.origin is None or item.base is None:
        return False
    activation = graph.origin.network.sizes[item.base.name][0]
    return all(size == 1 for size in activation.spatial)
