"""What is odd in a script that MATLAB runs all the same, or refuses only at training."""

from __future__ import annotations

import re

from bridge.errors import BridgeError
from bridge.network.activations import Activation
from bridge.scripts.language.findings import Findings
from bridge.scripts.language.syntax import text
from bridge.scripts.language.values import Handle
from bridge.scripts.reading.data import read_function
from bridge.scripts.reading.objects import Datastore, ToldLayer, ToldNetwork, Training
from bridge.tables.layers import table

POOLS_ALL = "global_pooling"  # the size rule of layers that leave one value a channel


def image_input(network: ToldNetwork | None) -> ToldLayer | None:
    """Return the layer that takes images."""
    layers = network.told if network is not None else ()
    return next((layer for layer in layers if channels(layer) is not None), None)


def channels(layer: ToldLayer) -> int | None:
    """Return the number of channels of the images that a layer takes, None where it takes none."""
    size = layer.properties.get(table("scripts")["roles"]["size"])
    images = "pixels" in layer.row.traits and isinstance(size, tuple) and len(size) in (2, 3)
    return (size[2] if len(size) > 2 else 1) if images and isinstance(size, tuple) else None


def report_traps(call: Training, network: ToldNetwork | None, findings: Findings) -> None:
    """Report what is odd in the images and in the layers."""
    entry = image_input(network)
    if network is None:
        return
    read = read_function(call.store) if call.store is not None else None
    if entry is not None:
        _channels(network, entry, call.store, findings)
    if entry is not None and read is not None and isinstance(read.value, Handle):
        _scaling(entry, read.place, read.value, findings)
    for layer in network.told:
        if layer.origin is None and layer.row.size == POOLS_ALL:
            _pooling(network, layer, findings)


def _channels(network: ToldNetwork, entry: ToldLayer, store: Datastore | None, findings: Findings) -> None:
    """Report images whose number of channels is not that of the network the script starts from."""
    origin = network.origin
    layers = [ToldLayer.of(each, origin.place) for each in origin.network.layers] if origin is not None else []
    expected = next((count for layer in layers if (count := channels(layer)) is not None), None)
    chain = store.chain() if store is not None else ()
    views = [each for each in chain if table("scripts")["stores"][each.function] == "view"]
    sizes = [(given.place, given.value) for each in views if (given := each.argument("1")) is not None]
    sizes += [(entry.place, entry.properties[table("scripts")["roles"]["size"]])] if entry.origin is None else []
    for place, size in sizes:
        if expected is not None and isinstance(size, tuple) and len(size) == 3 and size[2] != expected:
            findings.report(
                place, f"images with {size[2]} channel{'s' * (size[2] != 1)} for a network that takes {expected}"
            )


def _scaling(entry: ToldLayer, place: tuple[str, int], read: Handle, findings: Findings) -> None:
    """Report a ReadFcn that scales pixels to 0..1 for an input layer that expects 0..255."""
    words = table("scripts")
    _, body = findings.script.definition(read.name)
    compact = re.sub(r"\s", "", text(body) if body is not None else read.text)
    normalization = entry.get(words["roles"]["normalization"])
    if any(each in compact for each in words["scaling"]) and normalization in words["of_pixels"]:
        findings.report(
            place, f"the ReadFcn scales pixels to 0..1, the network's input layer ({normalization}) expects 0..255"
        )


def _pooling(network: ToldNetwork, layer: ToldLayer, findings: Findings) -> None:
    """Report a global pooling of activations that are one value a channel already."""
    try:
        source = network.incoming[layer.name][0].source
        given: Activation = network.sizes[source][0]
    except (BridgeError, LookupError):
        return
    if given.spatial and all(size == 1 for size in given.spatial):
        what = f"{layer.row.constructor} is put after '{source}', which pools everything already"
        findings.report(layer.place, what)
