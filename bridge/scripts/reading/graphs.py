"""Layers of networks as a script sees them, and the names that training gives to layers without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import cast

from bridge import layers as constructors
from bridge.network import Connection
from bridge.network.ports import automatic_names
from bridge.scripts.reading.objects import LayerArray, Origin, ToldLayer, ToldNetwork
from bridge.tables.layers import table


def view_of(origin: Origin, kind: str) -> ToldNetwork:
    """Return a network's layers and connections as a script sees them: a dlnetwork has no output layer."""
    shown = [layer for layer in origin.network.layers if kind != "dlnetwork" or not layer.row.is_output]
    layers = [ToldLayer.of(layer, origin.place, origin=origin, base=layer.name) for layer in shown]
    names = {layer.name for layer in layers}
    connections = [c for c in origin.network.connections if {c.source, c.destination} <= names]
    end = table("scripts")["dlnetwork_ends"].get(origin.name) if kind == "dlnetwork" else None
    if end is not None:
        connections.append(Connection(layers[-1].name, end["name"]))
        made = constructors.from_mapping({"layer": end["layer"], "Name": end["name"]})
        layers.append(ToldLayer.of(made, origin.place, origin=origin))
    return ToldNetwork.of(layers, connections, kind)


def with_names(layers: LayerArray) -> LayerArray:
    """Return layers of which each has a name, as training gives them: the kind's, with a number where there are
    several.
    """
    makers = [each.row.constructor or each.kind for each in layers]
    pairs = zip(layers, automatic_names(makers, [layer.name for layer in layers]), strict=True)
    return LayerArray(layer if layer.name else replace(layer, name=name, automatic=True) for layer, name in pairs)


def as_network(value: object) -> ToldNetwork | None:
    """Return layers or a network as the network that training makes of them, None for anything else."""
    if isinstance(value, LayerArray):
        value = ToldNetwork.of(with_names(value), None, "SeriesNetwork")
    return value if isinstance(value, ToldNetwork) and value.layers else None


def changed(network: ToldNetwork, name: str, change: Callable[[ToldLayer], ToldLayer]) -> ToldNetwork:
    """Return a network with one layer changed.

    Raises:
        UsageError: there is no such layer.
    """
    return network.with_layers({name: change(cast(ToldLayer, network.layers[name]))})
