"""to_torch(optimize=True): what a module for prediction puts out, and which layers are left of it.

Oracle: the module itself without folding; tests/modules/test_matrix.py holds that against MATLAB's formulas.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import bridge
from bridge.errors import UsageError
from bridge.modules.inference import PACKED, PackedConv2d
from bridge.network import Network
from fixtures import layers as L
from fixtures import networks
from fixtures.layers import Net
from tests.modules.cases import VOLUME, Case, chain, features, feeds, graph, image, outputs, sequence
from tests.modules.conftest import Read

FILES = Path(__file__).parents[2] / "fixtures" / "files"
CLOSE = 1e-5  # of the largest output: weights are rounded once more, and sums are taken in another order
WHOLE = {name: make(0) for name, make in networks.SMALL.items()}


def require_close(network: Network, inputs: tuple[torch.Tensor, ...]) -> torch.fx.GraphModule:
    """The optimized module puts out what the module does, for one batch and another."""
    model, fast = network.to_torch(), network.to_torch(optimize=True)
    for given in (inputs, tuple(x[:1] for x in inputs), inputs):
        with torch.no_grad():
            for ours, theirs in zip(outputs(fast, given), outputs(model, given), strict=True):
                torch.testing.assert_close(ours, theirs, rtol=0, atol=CLOSE * float(theirs.abs().max()))
    return fast


def test_every_layer_puts_out_the_same(case: Case, read: Read) -> None:
    network = read(case.net)
    require_close(network, case.inputs(network.inputs))


@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks_put_out_the_same(name: str, read: Read) -> None:
    net: Net = WHOLE[name]
    network = read(net)
    require_close(network, Case(name, net, feeds(net, np.random.default_rng(1))).inputs(network.inputs))


def after(kind: str) -> Net:
    """A layer with weights, batch normalisation of random statistics, dropout, and a ReLU that may work in place."""
    rng = np.random.default_rng(5)
    made = {
        "convolution2d": (image(), L.convolution2dLayer(rng, "c", (3, 3), 4, 6, padding=(1, 1, 1, 1))),
        "same": (image(), L.convolution2dLayer(rng, "c", (2, 3), 4, 6, stride=(2, 1), padding="same")),
        "grouped": (image(), L.groupedConvolution2dLayer(rng, "c", (3, 3), 2, 3, 2)),
        "transposed": (image(), L.transposedConv2dLayer(rng, "c", (3, 3), 4, 6, stride=(2, 2))),
        "convolution3d": (image(VOLUME), L.convolution3dLayer(rng, "c", (2, 2, 2), 2, 6)),
        "convolution1d": (sequence(4), L.convolution1dLayer(rng, "c", 3, 4, 6)),
        "fully connected": (features(4), L.fullyConnectedLayer(rng, "c", 4, 6)),
    }[kind]
    dimensions = {"convolution3d": 4, "convolution1d": 1, "fully connected": 1}.get(kind, 3)
    ending = (
        L.batchNormalizationLayer(rng, "bn", 6, channel_dim=dimensions),
        L.dropoutLayer("drop"),
        L.reluLayer("relu"),
    )
    return chain(*made, *ending)


KINDS = ("convolution2d", "same", "grouped", "transposed", "convolution3d", "convolution1d", "fully connected")


@pytest.mark.parametrize("kind", KINDS)
def test_batch_normalisation_is_folded_and_what_remains_has_its_name(kind: str, read: Read) -> None:
    net = after(kind)
    network = read(net)
    inputs = Case(kind, net, feeds(net, np.random.default_rng(2))).inputs(network.inputs)
    fast = require_close(network, inputs)
    assert dict(fast.named_children()).keys() == set(fast.meta["layers"]) == {"c", "relu"}
    assert [node.target for node in fast.graph.nodes if node.op == "call_module"] == ["c", "relu"]
    assert fast.meta["notes"] == (
        "batch normalizations are folded into the layers before them: bn",
        "layers that do nothing in inference are left out: in, drop",
    )
    assert not any(parameter.requires_grad for parameter in fast.parameters())
    plain = network.to_torch()
    assert "bn" in dict(plain.named_children()) and "notes" not in plain.meta
    with pytest.raises(UsageError, match="the module has no layer 'bn'"):
        network.with_weights(fast)


def test_what_another_layer_reads_is_not_folded(read: Read) -> None:
    """Neither what is put out, nor what two layers read, nor a normalisation before a convolution."""
    rng = np.random.default_rng(6)
    c, bn = L.convolution2dLayer(rng, "c", (1, 1), 4, 4), L.batchNormalizationLayer(rng, "bn", 4)
    parts = (image(), c, bn, L.additionLayer("sum"))
    read_twice = read(graph(parts, "in>c", "c>bn", "bn>sum/in1", "c>sum/in2"))
    put_out = replace(read(chain(image(), c, bn)), outputs=("c", "bn"))
    before = read(chain(image(), bn, c))
    for network in (read_twice, put_out, before):
        fast = require_close(network, (torch.randn(2, 4, 6, 5),))
        assert "bn" in dict(fast.named_children()) and "folded" not in " ".join(fast.meta["notes"])


def test_a_convolution_packs_its_weights_only_where_that_is_all(read: Read) -> None:
    """Copies, gradients of the input, other precisions, changed weights, torch.export and torch.compile are as ever."""
    fast, x = read(after("same")).to_torch(optimize=True), torch.randn(3, 4, 6, 5)
    with torch.no_grad():
        expected = fast(x)
        conv = fast.get_submodule("c")
        assert isinstance(conv, PackedConv2d) and conv._packed is not None
        twin = copy.deepcopy(fast)
        assert twin.get_submodule("c")._packed is None
        torch.testing.assert_close(twin(x), expected, rtol=0, atol=0)
        conv.weight.mul_(2), conv.bias.mul_(2)
        torch.testing.assert_close(fast(x), 2 * expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(twin.double()(x.double()).float(), expected, rtol=1e-5, atol=1e-5)
        twin = twin.float()
        exported: nn.Module = torch.export.export(twin, (x,)).module()
        for made in (exported, torch.compile(twin, backend="aot_eager", fullgraph=True)):
            torch.testing.assert_close(made(x), expected, rtol=1e-5, atol=1e-5)
    x.requires_grad_()
    twin(x).sum().backward()
    assert x.grad is not None and x.grad.any()


def test_every_two_dimensional_convolution_is_packed() -> None:
    network = bridge.load(FILES / "signs.mat")
    fast = network.to_torch(optimize=True)
    assert {type(part) for part in fast.children() if isinstance(part, nn.Conv2d)} <= set(PACKED.values())
    assert list(fast.meta["layers"].values()) == [
        layer.name
        for layer in network.layers
        if layer.kind not in ("BatchNormalizationLayer", "ClassificationOutputLayer")
    ]
