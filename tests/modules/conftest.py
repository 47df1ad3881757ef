"""Networks of `cases`, written to a .mat file and read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

import bridge
from bridge.network import Network
from fixtures import mat
from fixtures.layers import Net
from tests.modules.cases import CASES, Case

Read = Callable[..., Network]


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """read(net, container="v5"): the network as bridge loads it from a file that `fixtures.mat` writes, once for all tests."""
    folder = tmp_path_factory.mktemp("networks")
    known: dict[tuple[int, str], tuple[Net, Network]] = {}  # with the net, whose number is another's when it is gone

    def through_file(net: Net, container: Literal["v5", "v7.3"] = "v5") -> Network:
        if (id(net), container) not in known:
            path = folder / f"{len(known)}.mat"
            mat.write(path, {"net": net}, container)
            known[id(net), container] = net, bridge.load(path)
        return known[id(net), container][1]

    return through_file


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Each case in turn."""
    found: Case = request.param
    return found


def assert_same_networks(one: Network, other: Network) -> None:
    """All that layers say, how they are connected, and their arrays, bit for bit."""
    assert (one.connections, one.inputs, one.outputs) == (other.connections, other.inputs, other.outputs)
    for a, b in zip(one.layers, other.layers, strict=True):
        said = [(each.name, each.kind, each.properties, each.inputs, each.outputs) for each in (a, b)]
        assert said[0] == said[1]
    assert_same_arrays(one, other)


def assert_same_arrays(one: Network, other: Network) -> None:
    """Learnables with their factors, and statistics, bit for bit."""
    for a, b in zip(one.layers, other.layers, strict=True):
        assert list(a.learnables) == list(b.learnables) and list(a.state) == list(b.state)
        for name, learnable in a.learnables.items():
            twin = b.learnables[name]
            np.testing.assert_array_equal(learnable.value, twin.value, strict=True)
            assert (learnable.learn_rate_factor, learnable.l2_factor, learnable.initializer) == (
                twin.learn_rate_factor, twin.l2_factor, twin.initializer,
            )  # fmt: skip
        for name, array in a.state.items():
            np.testing.assert_array_equal(array.read(), b.state[name].read(), strict=True)
