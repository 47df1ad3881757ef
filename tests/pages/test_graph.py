"""The picture of a network: lanes, and what stays readable however large it is."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.networks import build
from bridge.pages import graph


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[str], list[graph.Edge]]:
    """Layers in an order in which they can run, each but the first connected to some before it."""
    names = [f"layer{number}" for number in range(draw(st.integers(1, 14)))]
    sources = {
        at: draw(st.lists(st.integers(0, at - 1), min_size=1, max_size=3, unique=True)) for at in range(1, len(names))
    }
    return names, [(names[source], names[at]) for at, found in sources.items() for source in found]


@settings(max_examples=150)
@given(networks())
def test_connections_pass_through_no_layer_and_share_no_lane(network: tuple[list[str], list[graph.Edge]]) -> None:
    names, edges = network
    place, way = graph.lanes(names, edges)
    row = {name: at for at, name in enumerate(names)}
    assert set(place) == set(names) and set(way) == set(edges)
    for (source, destination), lane in way.items():
        between = [name for name in names if row[source] < row[name] < row[destination]]
        assert all(place[name] != lane for name in between)
        for (other_source, other_destination), other in way.items():
            overlap = max(row[source], row[other_source]) < min(row[destination], row[other_destination])
            same = (source, destination) == (other_source, other_destination)
            assert same or not overlap or lane != other


def test_the_trunk_stays_in_the_first_lane() -> None:
    place, way = graph.lanes(
        ["in", "conv", "relu", "add", "out"],
        [("in", "conv"), ("conv", "relu"), ("relu", "add"), ("in", "add"), ("add", "out")],
    )
    assert set(place.values()) == {0} and way["in", "add"] == 1


@pytest.mark.parametrize(("name", "most"), [("resnet50", 2), ("googlenet", 4), ("densenet201", 2)])
def test_large_networks_stay_narrow(name: str, most: int) -> None:
    """A row for each layer, and as many lanes as the network has branches beside each other."""
    network = build(name)
    names = [layer.name for layer in network.order]
    place, way = graph.lanes(names, graph.edges(network))
    assert max((*place.values(), *way.values())) + 1 == most
    drawn = graph.draw([graph.Node(each) for each in names], graph.edges(network), name)
    assert drawn.count("<circle") == len(network.layers)
