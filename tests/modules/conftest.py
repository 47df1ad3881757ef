"""Networks of `cases`, written to a .mat file and read back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
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
    """read(net, container="v5"): the network as bridge loads it from a file that `fixtures.mat` writes."""
    folder, number = tmp_path_factory.mktemp("networks"), count()

    def through_file(net: Net, container: Literal["v5", "v7.3"] = "v5") -> Network:
        path = folder / f"{next(number)}.mat"
        mat.write(path, {"net": net}, container)
        return bridge.load(path)

    return through_file


@pytest.fixture(params=list(CASES.values()), ids=list(CASES))
def case(request: pytest.FixtureRequest) -> Case:
    """Each case in turn."""
    found: Case = request.param
    return found


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
