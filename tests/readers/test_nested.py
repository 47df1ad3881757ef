"""Networks inside networks, against the same layers written flat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import bridge
from bridge.arrays.matlab import Cell, Object
from bridge.errors import UnreadableError
from bridge.modules import factors
from bridge.network import LayerList, Network
from bridge.network.ports import connect
from bridge.readers.mat import nested
from bridge.readers.mat.networks import Contents, network_from
from bridge.tables.layers import layer_mappings
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net


def written(path: Path, net: Net, container: Any = "v5") -> Network:
    file = path / f"{len(list(path.iterdir()))}.mat"
    mat.write(file, {"net": net}, container=container)
    return bridge.load(file)


def dl(*layers: Layer, connections: tuple[tuple[str, str], ...] | None = None) -> Net:
    return Net("dlnetwork", layers, connections)


def flat(*layers: Layer, connections: tuple[tuple[str, str], ...] | None = None) -> Net:
    """The oracle: the same layers without nesting, in a layer graph, which does not name its outputs."""
    return Net("LayerGraph", layers, connections)


def named(layer: Layer, name: str) -> Layer:
    return replace(layer, name=name)


def require_same(found: Network, expected: Network, *sizes: tuple[int, ...]) -> None:
    """Oracle: the flat network, whose outputs must be the same bits."""
    assert [layer.name for layer in found.layers] == [layer.name for layer in expected.layers]
    assert set(found.connections) == set(expected.connections)
    assert (found.inputs, found.outputs) == (expected.inputs, expected.outputs)
    for (_, name, a), (_, other, b) in zip(found.learnables(), expected.learnables(), strict=True):
        assert (name, a.learn_rate_factor, a.l2_factor) == (other, b.learn_rate_factor, b.l2_factor)
        np.testing.assert_array_equal(a.value, b.value, strict=True)
    xs = [torch.rand(2, *size, generator=torch.Generator().manual_seed(1)) for size in sizes]
    with torch.no_grad():
        ours, theirs = found.to_torch()(*xs), expected.to_torch()(*xs)
    for a, b in zip(*([each] if torch.is_tensor(each) else each for each in (ours, theirs)), strict=True):
        assert torch.equal(a, b)


def conv_block(rng: np.random.Generator) -> tuple[Layer, ...]:
    first = L.convolution2dLayer(rng, "conv", (3, 3), 3, 3, padding="same", weight_factor=0.0)
    return first, L.batchNormalizationLayer(rng, "bn", 3), L.reluLayer("relu")


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_a_block_in_a_chain(tmp_path: Path, container: str) -> None:
    rng = np.random.default_rng(1)
    data, block, head = (
        L.imageInputLayer((6, 5, 3), "in", "none"),
        conv_block(rng),
        L.convolution2dLayer(rng, "head", (1, 1), 3, 2),
    )
    found = written(tmp_path, dl(data, L.networkLayer(dl(*block), "block"), head), container)
    expected = written(tmp_path, flat(data, *(named(layer, f"block/{layer.name}") for layer in block), head))
    require_same(found, expected, (3, 6, 5))
    assert "layer 'block' holds a network, whose 3 layers have its name in front" in found.notes


def test_names_are_matlabs_paths(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    found = written(
        tmp_path, dl(L.imageInputLayer((6, 5, 3), "in", "none"), L.networkLayer(dl(*conv_block(rng)), "block"))
    )
    assert found.layers["block/conv"].WeightLearnRateFactor == 0
    model = found.to_torch()
    assert "block/conv.weight" in model.state_dict()
    assert {each.factors.path for each in factors.learnables(model) if each.factors} >= {
        "block/conv/Weights",
        "block/bn/Scale",
    }


def test_any_depth_twice(tmp_path: Path) -> None:
    """One network in two places, and a network in a network in it."""
    rng = np.random.default_rng(3)
    data, inner = L.imageInputLayer((6, 5, 3), "in", "none"), conv_block(rng)
    middle = dl(L.leakyReluLayer("leaky"), L.networkLayer(dl(*inner), "inner"), L.networkLayer(dl(*inner), "again"))
    found = written(tmp_path, dl(data, L.networkLayer(middle, "a"), L.networkLayer(middle, "b"), L.reluLayer("relu")))
    layers = [data]
    for outer in "ab":
        layers.append(L.leakyReluLayer(f"{outer}/leaky"))
        layers += [named(layer, f"{outer}/{name}/{layer.name}") for name in ("inner", "again") for layer in inner]
    require_same(found, written(tmp_path, flat(*layers, L.reluLayer("relu"))), (3, 6, 5))


def test_several_ports(tmp_path: Path) -> None:
    """in1, in2 are what nothing inside is connected to, in the order of the layers; out1, out2 the outputs."""
    rng = np.random.default_rng(4)
    data, other = L.imageInputLayer((6, 5, 3), "x", "none"), L.imageInputLayer((6, 5, 3), "y", "none")
    conv, add, relu = (
        L.convolution2dLayer(rng, "conv", (3, 3), 3, 3, padding="same"),
        L.additionLayer("add"),
        L.reluLayer("relu"),
    )
    block = dl(add, conv, relu, connections=(("conv", "add/in2"), ("add", "relu")))
    block = replace(
        block,
        layers=(*block.layers, L.leakyReluLayer("leaky")),
        connections=(*(block.connections or ()), ("conv", "leaky")),
    )
    outer = (("x", "block/in2"), ("y", "block/in1"), ("block/out2", "cat/in1"), ("block/out1", "cat/in2"))
    cat = L.depthConcatenationLayer("cat")
    found = written(tmp_path, dl(data, other, L.networkLayer(block, "block"), cat, connections=outer))
    layers = (data, other, *(named(layer, f"block/{layer.name}") for layer in block.layers), cat)
    pairs = (
        *(("x", "block/conv"), ("y", "block/add/in1"), ("block/leaky", "cat/in1"), ("block/relu", "cat/in2")),
        *(("block/conv", "block/add/in2"), ("block/add", "block/relu"), ("block/conv", "block/leaky")),
    )
    require_same(found, written(tmp_path, flat(*layers, connections=pairs)), (3, 6, 5), (3, 6, 5))


def test_ports_of_inner_layers(tmp_path: Path) -> None:
    """The ports of a pooling layer become those of its block, and a block's output may be the network's."""
    pool, unpool = L.maxPooling2dLayer("pool", (2, 2), stride=(2, 2), unpooling=True), L.maxUnpooling2dLayer("unpool")
    data = L.imageInputLayer((6, 4, 3), "in", "none")
    pairs = (
        ("block/out1", "unpool/in"),
        ("block/out2", "unpool/indices"),
        ("block/out3", "unpool/size"),
        ("in", "block"),
    )
    inner = written(tmp_path, Net("LayerGraph", (pool,)))
    inner = replace(inner, outputs=("pool/out", "pool/indices", "pool/size"))
    outer = LayerList([written(tmp_path, Net("Layers", (each,))).layers[0] for each in (data, pool, unpool)])
    outer = LayerList([outer[0], nested.placeholder("block", inner), outer[2]])
    layers, connections, outputs = nested.expanded(
        outer, connect(pairs, outer), ("unpool", "block/out2"), {"block": inner}
    )
    assert [layer.name for layer in layers] == ["in", "block/pool", "unpool"]
    assert [(f"{c.source}/{c.source_port}", f"{c.destination}/{c.destination_port}") for c in connections] == [
        ("block/pool/out", "unpool/in"),
        ("block/pool/indices", "unpool/indices"),
        ("block/pool/size", "unpool/size"),
        ("in/out", "block/pool/in"),
    ]
    assert outputs == ("unpool/out", "block/pool/indices")


def test_an_input_layer_inside(tmp_path: Path) -> None:
    """It normalises what comes from outside, and stays the input where nothing does."""
    rng = np.random.default_rng(5)
    inner = (
        L.imageInputLayer((6, 5, 3), "data", "zscore", **L.input_statistics(rng, "zscore", (1, 1, 3))),
        *conv_block(rng),
    )
    first = written(tmp_path, dl(L.networkLayer(dl(*inner), "block"), L.reluLayer("relu")))
    expected = written(tmp_path, flat(*(named(layer, f"block/{layer.name}") for layer in inner), L.reluLayer("relu")))
    require_same(first, expected, (3, 6, 5))
    assert first.inputs == ("block/data",) and first.layers["block/data"].inputs == ()

    before = L.imageInputLayer((6, 5, 3), "in", "none")
    fed = written(tmp_path, dl(before, L.networkLayer(dl(*inner), "block"), L.reluLayer("relu")))
    assert fed.inputs == ("in",) and fed.layers["block/data"].inputs == ("in",)
    x = torch.rand(2, 3, 6, 5, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        assert torch.equal(fed.to_torch()(x), expected.to_torch()(x))


def test_outputs_inside(tmp_path: Path) -> None:
    """A network that ends in a block puts out the block's outputs, in their order."""
    rng = np.random.default_rng(6)
    layers = (L.reluLayer("relu"), L.leakyReluLayer("leaky"), L.convolution2dLayer(rng, "conv", (1, 1), 3, 2))
    block = dl(*layers, connections=(("relu", "leaky"), ("relu", "conv")))
    found = written(
        tmp_path, Net("LayerGraph", (L.imageInputLayer((6, 5, 3), "in", "none"), L.networkLayer(block, "block")))
    )
    assert found.outputs == ("block/leaky", "block/conv")


def test_saved_and_read_again(tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    inner = (L.imageInputLayer((6, 5, 3), "data", "none"), *conv_block(rng))
    found = written(tmp_path, dl(L.imageInputLayer((6, 5, 3), "in", "none"), L.networkLayer(dl(*inner), "block")))
    require_same(bridge.load(found.save(tmp_path / "saved")), found, (3, 6, 5))


def test_a_port_that_does_not_exist(tmp_path: Path) -> None:
    data = L.imageInputLayer((6, 5, 3), "in", "none")
    with pytest.raises(UnreadableError, match="layer 'block' has no port 'in2'"):
        written(
            tmp_path, dl(data, L.networkLayer(dl(L.reluLayer("relu")), "block"), connections=(("in", "block/in2"),))
        )


def test_a_network_layer_without_its_network(tmp_path: Path) -> None:
    empty = replace(L.networkLayer(dl(L.reluLayer("relu")), "block"), saved={"Network": np.empty((0, 0))})
    found = written(tmp_path, dl(L.imageInputLayer((6, 5, 3), "in", "none"), empty))
    assert found.layers["block"].row.build == "unknown"
    assert any("no table knows" in note for note in found.notes)


def in_memory(path: Path, *layers: Object) -> Network:
    """Read a dlnetwork of objects that are used more than once, which the maker of files would write out each time."""
    held = Contents(path / "net.mat", "mat v5")
    return network_from(network_of(*layers), held, layer_mappings(), [])


def network_of(*layers: Object) -> Object:
    graph = Object("nnet.cnn.LayerGraph", {"Layers": Cell(list(layers), (len(layers), 1))})
    return Object("dlnetwork", {"LayerGraph": graph})


def layer_of(name: str, network: Object) -> Object:
    return Object(nested.NETWORK_LAYER, {"Name": name, "Network": network})


def test_networks_many_times_over_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each level doubles the layers: a file of a few kilobytes must not fill the memory."""
    monkeypatch.setattr(nested, "MOST_LAYERS", 1000)
    network = network_of(Object("nnet.cnn.layer.ReLULayer", {"Name": "relu"}))
    for _ in range(40):
        network = network_of(layer_of("a", network), layer_of("b", network))
    with pytest.raises(UnreadableError, match="more than 1,000 layers"):
        in_memory(tmp_path, layer_of("a", network))


def test_a_network_in_itself_is_refused(tmp_path: Path) -> None:
    layer = layer_of("a", network_of())
    layer.properties["Network"] = network_of(layer)
    with pytest.raises(UnreadableError, match="levels of networks"):
        in_memory(tmp_path, layer)
