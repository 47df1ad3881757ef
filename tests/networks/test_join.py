"""The .onnx and the .mat of one network, joined by MATLAB's names on either side."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bridge
from bridge.errors import DifferenceError
from bridge.network import LayerList, Network
from bridge.networks import BUILDERS, build
from bridge.readers.join import mangled
from tests.networks import saved


def cases() -> list[Any]:
    """Every network, as a thin copy; with --slow those that build at their own width too."""
    whole = [pytest.param((name, True), id=f"{name} whole", marks=pytest.mark.slow) for name in BUILDERS]
    return [*(pytest.param((name, False), id=name) for name in saved.NAMES), *whole]


@pytest.fixture(scope="module", params=cases())
def network(request: pytest.FixtureRequest) -> Network:
    name, is_whole = request.param
    return build(name, classes=saved.CLASSES) if is_whole else saved.thin(name).initialize()


@pytest.fixture(scope="module")
def folder(network: Network, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network's net.mat."""
    made = tmp_path_factory.mktemp("join")
    bridge.export(network, made / "net.mat", tell=lambda loss: None)
    return made


def as_exporters_write(network: Network) -> Network:
    """Return the network under the names that its layers have in an .onnx of MATLAB's."""
    connections = (
        replace(each, source=mangled(each.source), destination=mangled(each.destination))
        for each in network.connections
    )
    layers = LayerList(replace(layer, name=mangled(layer.name)) for layer in network.layers)
    inputs, outputs = (tuple(map(mangled, names)) for names in (network.inputs, network.outputs))
    return replace(network, layers=layers, connections=tuple(connections), inputs=inputs, outputs=outputs)


@pytest.mark.parametrize("names", ["MATLAB's", "as MATLAB exports them"])
def test_both_exports_are_one_network(network: Network, folder: Path, names: str) -> None:
    """Oracle: the network itself, every name, factor and array."""
    written = network if names == "MATLAB's" else as_exporters_write(network)
    bridge.export(written, folder / "net.onnx", tell=lambda loss: None, force=True)
    joined = bridge.load(folder / "net.onnx", factors=folder / "net.mat")
    assert [layer.name for layer in joined.layers] == [layer.name for layer in network.layers]
    assert joined.classes == network.classes
    assert {layer.name for layer in network.layers if layer.learnables} <= set(joined.source.values)
    for (layer, name, a), (_, _, b) in zip(joined.learnables(), network.learnables(), strict=True):
        assert (a.learn_rate_factor, a.l2_factor) == (b.learn_rate_factor, b.l2_factor), (layer.name, name)
        np.testing.assert_array_equal(np.squeeze(a.value), np.squeeze(b.value))


def test_the_names_of_the_mat_may_be_those_of_exporters(tmp_path: Path) -> None:
    """A network that MATLAB imported again from its .onnx. Oracle: the .mat, whose names count."""
    network = build("squeezenet", classes=saved.CLASSES)
    written = as_exporters_write(network)
    bridge.export(written, tmp_path / "net.mat", tell=lambda loss: None)
    bridge.export(network, tmp_path / "net.onnx", tell=lambda loss: None)
    joined = bridge.load(tmp_path / "net.onnx", factors=tmp_path / "net.mat")
    assert [layer.name for layer in joined.layers] == [layer.name for layer in written.layers]
    assert set(joined.source.values) >= {layer.name for layer in written.layers if layer.learnables}


def two_names(first: str, second: str) -> Network:
    layers = [
        bridge.layers.image_input((4, 4, 3), name="in", Normalization="none"),
        bridge.layers.convolution2d(1, 3, name=first),
        bridge.layers.convolution2d(1, 3, name=second),
    ]
    return Network.assemble(layers).initialize()


def test_names_that_exporters_write_alike_are_told_where_they_matter(tmp_path: Path) -> None:
    network = two_names("a-b", "a|b")
    bridge.export(network, tmp_path / "net.mat", tell=lambda loss: None)
    bridge.export(network, tmp_path / "kept.onnx", tell=lambda loss: None)
    assert bridge.load(tmp_path / "kept.onnx", factors=tmp_path / "net.mat").layers["a|b"].NumFilters == 3
    bridge.export(two_names("a_b", "a_b_1"), tmp_path / "written.onnx", tell=lambda loss: None)
    with pytest.raises(DifferenceError, match=r"layers 'a-b' and 'a\|b' cannot be told apart"):
        bridge.load(tmp_path / "written.onnx", factors=tmp_path / "net.mat")
