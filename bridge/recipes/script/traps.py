"""What is odd in a script that MATLAB runs all the same, or refuses only at training."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from bridge.recipes.script.data import read_function
from bridge.recipes.script.syntax import text
from bridge.recipes.script.values import Graph, Handle, Item, Store
from bridge.recipes.script.words import words

if TYPE_CHECKING:
    from bridge.recipes.script.assembly import Assembly

GLOBAL_POOLING = ("GlobalAveragePooling2DLayer", "GlobalMaxPooling2DLayer")


def traps(made: Assembly, graph: Graph | None) -> None:
    """Report them."""
    if graph is None:
        return
    entry = next((item for item in graph.layers if item.row and item.row.name == "ImageInputLayer"), None)
    store = next((each for each in made.call.data if isinstance(each, Store)), None)
    if entry is not None:
        _channels(made, graph, entry, store)
    read = read_function(store) if store is not None else None
    if read is not None and entry is not None and isinstance(read.value, Handle):
        _scaling(made, entry, read.value)
    for item in graph.layers:
        if item.base is None and item.row and item.row.name in GLOBAL_POOLING:
            _pooling(made, graph, item)


def _channels(made: Assembly, graph: Graph, entry: Item, store: Store | None) -> None:
    origin = graph.origin
    layers = origin.network.layers if origin is not None else ()
    expected = next((layer.InputSize[2] for layer in layers if layer.row.name == "ImageInputLayer" and len(layer.InputSize) > 2), None)
    for each in store.chain() if store is not None else ():
        size = each.arguments.get("1")
        if each.function == "augmentedImageDatastore" and size is not None and isinstance(size.value, tuple) and len(size.value) == 3:
            _compare(made, size.place, size.value, expected)
    given = entry.given.get("InputSize")
    if entry.base is None and isinstance(given, tuple) and len(given) == 3:
        _compare(made, entry.place, given, expected)


def _compare(made: Assembly, place: tuple[str, int], size: tuple[int, ...], expected: int | None) -> None:
    if expected is not None and size[2] != expected:
        made.report(place, f"images with {size[2]} channel{'s' * (size[2] != 1)} for a network that takes {expected}")


def _scaling(made: Assembly, entry: Item, read: Handle) -> None:
    source = read.text
    script = made.reader.script
    if read.name:
        beside = script.neighbour(read.name)
        body = script.functions.get(read.name) or (next(iter(beside.functions.values()), None) if beside else None)
        source = text(body) if body is not None else source
    compact = re.sub(r"\s", "", source)
    normalization = entry.get("Normalization")
    if any(each in compact for each in words("scaling")) and normalization in words("of_pixels"):
        made.report(read.place, f"the ReadFcn scales pixels to 0..1, the network's input layer ({normalization}) expects 0..255")


def _pooling(made: Assembly, graph: Graph, item: Item) -> None:
    """Report a global pooling behind another one, or behind images of one pixel."""
    name, seen = item.name, {item.name}
    while len(sources := graph.sources(name)) == 1 and sources[0] not in seen:
        name = sources[0]
        seen.add(name)
        before = graph.item(name)
        kind = before.row.name if before is not None and before.row else ""
        whole = before is not None and before.base is not None and kind == "AveragePooling2DLayer" and _pools_all(graph, before)
        if kind in GLOBAL_POOLING or whole:
            made.report(item.place, f"{item.constructor} is put after '{name}', which pools everything already")
            return
        if kind in ("Convolution2DLayer", "DepthConcatenationLayer", "AdditionLayer"):
            return


def _pools_all(graph: Graph, item: Item) -> bool:
    if graph.origin is None or item.base is None:
        return False
    activation = graph.origin.network.sizes[item.base.name][0]
    return all(size == 1 for size in activation.spatial)
