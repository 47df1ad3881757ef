"""The two networks of a fasterRCNNObjectDetector of R2017a to R2018 as one.

Its Network classifies regions that its detector cuts out; its RegionProposalNetwork finds them. Both begin with the
same layers. The detector keeps how the anchor boxes are made; the layer regionProposal, which detectors from R2019b on
have, is put between the two.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count
from typing import Any

import numpy as np

from bridge.arrays.matlab import Object
from bridge.errors import UnreadableError
from bridge.network import Connection, Layer, LayerList, Network, make_layer
from bridge.network.assembly import network_of
from bridge.readers.mat.layers import plain, required
from bridge.tables.layers import Mappings

PROPOSALS = "RegionProposalNetwork"  # field of the detector
REGION_INPUT = "ROIInputLayer"
LARGEST_PYRAMID = 1000  # boxes at a position; real detectors have tens


def joined(head: Network, proposals: Network, detector: Object, tables: Mappings) -> Network:
    """Return the network of both.

    Args:
        head: the detector's Network, with a layer for regions that nothing finds yet.
        proposals: its RegionProposalNetwork.
        detector: the saved object.
        tables: the layer rows.

    Raises:
        UnreadableError: the two do not share the layers that the detector says, or it holds no anchor boxes.
    """
    shared = _shared(head, proposals, plain(detector.properties.get("LastSharedLayerIndex")))
    regions = next((layer for layer in head.layers if layer.kind == REGION_INPUT), None)
    if regions is None or len(proposals.outputs) != 2:
        raise UnreadableError(
            "the two networks of the detector cannot be joined",
            f"its Network takes {'no' if regions is None else 'its'} regions, its {PROPOSALS} has the outputs "
            f"{', '.join(proposals.outputs)}",
        )
    taken = {layer.name for layer in head.layers}
    own = {layer.name: _free(layer.name, taken) for layer in proposals.layers if layer.name not in shared}
    found = _proposal_layer(_free("regionProposal", taken), detector, tables)
    layers = (
        *(replace(layer, name=own.get(layer.name, layer.name)) for layer in proposals.layers),
        found,
        *(layer for layer in head.layers if layer.name not in shared and layer is not regions),
    )
    behind = [each for each in head.connections if each.destination not in shared]
    connections = (
        *(_renamed(each, own) for each in proposals.connections),
        *(
            Connection(own[end], found.name, "out", port)
            for end, port in zip(proposals.outputs, found.inputs, strict=True)
        ),
        *(_renamed(each, {regions.name: found.name}) for each in behind),
    )
    made = network_of(Network, head.kind, LayerList(layers), connections, head.source, classes=head.classes or ())
    return made.with_notes(*_notes(found.name, own, shared))


def with_region_input(
    layers: LayerList, connections: tuple[Connection, ...], tables: Mappings
) -> tuple[LayerList, tuple[Connection, ...]]:
    """Give a network of one of these detectors, whose pooling has no input for regions, a layer that takes them in."""
    filled = {(each.destination, each.destination_port) for each in connections}
    empty = [layer for layer in layers if "roi" in layer.inputs and (layer.name, "roi") not in filled]
    if not empty:
        return layers, connections
    name = _free("roiInput", {layer.name for layer in layers})
    taking = tuple(Connection(name, layer.name, "out", "roi") for layer in empty)
    return LayerList((*layers, make_layer(tables.rows[REGION_INPUT], name, {}))), (*connections, *taking)


def anchor_boxes(fields: Mapping[str, Any]) -> tuple[tuple[float, float], ...]:
    """Return the (height, width) of the boxes at a position: MinBoxSizes x BoxPyramidScale^(level - 1), by level.

    That they grow with the level was read off a file, whose largest boxes were never trained. The order of several
    MinBoxSizes is unconfirmed: here all levels of the first come first.

    Raises:
        UnreadableError: the detector does not say.
    """
    least, scale, levels = (
        required(fields.get(key)) for key in ("MinBoxSizes", "BoxPyramidScale", "NumBoxPyramidLevels")
    )
    sizes = np.asarray(least if isinstance(least, np.ndarray) else (), np.float64)
    factor, number = plain(scale), plain(levels)
    is_count = isinstance(number, int) and 0 < number <= LARGEST_PYRAMID
    if sizes.ndim != 2 or sizes.shape[1:] != (2,) or not len(sizes) or not (sizes > 0).all() or not is_count:
        raise UnreadableError(
            "the detector holds no anchor boxes",
            f"MinBoxSizes is {plain(least)}, NumBoxPyramidLevels is {number}",
            "save it again in MATLAB",
        )
    if not isinstance(factor, (int, float)) or not 0 < factor < float("inf"):
        raise UnreadableError(f"the detector's BoxPyramidScale is {factor!r}", "it is a number above 0")
    made = sizes[:, None] * float(factor) ** np.arange(number)[None, :, None]
    return tuple((float(height), float(width)) for height, width in made.reshape(-1, 2))


def _shared(head: Network, proposals: Network, last: Any) -> tuple[str, ...]:
    """Return the names of the layers that both networks begin with.

    Raises:
        UnreadableError: they are not the same in both.
    """
    number = last if isinstance(last, int) else 0
    names = tuple(layer.name for layer in proposals.layers[:number])
    if not 0 < number < len(proposals.layers) or names != tuple(layer.name for layer in head.layers[:number]):
        raise UnreadableError(
            "the two networks of the detector do not begin with the same layers",
            f"LastSharedLayerIndex is {last}",
            "--variable names one of them: ADDRESS.Network or ADDRESS.RegionProposalNetwork",
        )
    for name in names:
        for key, each in proposals.layers[name].learnables.items():
            other = head.layers[name].learnables.get(key)
            if other is None or not np.array_equal(each.value, other.value):
                raise UnreadableError(
                    f"the two networks of the detector hold different {key} of layer '{name}'",
                    "its training did not come to the stage in which they share them",
                    "--variable names one of them: ADDRESS.Network or ADDRESS.RegionProposalNetwork",
                )
    return names


def _free(name: str, taken: set[str]) -> str:
    """Return a name that is not taken yet, and take it."""
    numbered = (f"{name}_{number}" for number in count(1))
    chosen = name if name not in taken else next(each for each in numbered if each not in taken)
    taken.add(chosen)
    return chosen


def _renamed(connection: Connection, names: Mapping[str, str]) -> Connection:
    return replace(
        connection,
        source=names.get(connection.source, connection.source),
        destination=names.get(connection.destination, connection.destination),
    )


def _proposal_layer(name: str, detector: Object, tables: Mappings) -> Layer:
    sides = zip(*anchor_boxes(detector.properties), strict=True)
    return make_layer(
        tables.rows["RegionProposalLayer"], name, {"AnchorBoxes": tuple(n for side in sides for n in side)}
    )


def _notes(name: str, own: Mapping[str, str], shared: Sequence[str]) -> Iterator[str]:
    yield (
        f"Network and {PROPOSALS} of the detector are read as one: up to '{shared[-1]}' they are the same, with the "
        f"factors of the {PROPOSALS}; '{name}' is put between them"
    )
    changed = [f"'{old}' is called '{new}'" for old, new in own.items() if old != new]
    if changed:
        yield f"of the {PROPOSALS} {', '.join(changed)}, because the Network has a layer of that name"
