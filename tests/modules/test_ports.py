"""Networks with several inputs and outputs, and layers with several ports. Oracle: tests/modules/oracle.py, or torch."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from bridge.errors import UnreadableError
from fixtures import layers as L
from fixtures.layers import Net
from tests.modules import oracle
from tests.modules.cases import IMAGE, Case, feeds, graph, image, outputs, torch_layout
from tests.modules.conftest import Read

RNG = np.random.default_rng(5)


def three_kinds() -> Net:
    """An image, features and a sequence; each becomes five numbers, and all but the first sum are put out."""
    layers = (
        L.imageInputLayer(IMAGE, "picture", "none"), L.featureInputLayer(4, "facts", "none"), L.sequenceInputLayer(3, "signal"),
        L.fullyConnectedLayer(RNG, "a", IMAGE, 5), L.fullyConnectedLayer(RNG, "b", 4, 5), L.lstmLayer(RNG, "c", 3, 5, last=True),
        L.additionLayer("ab"), L.additionLayer("abc"), L.reluLayer("relu"),
    )  # fmt: skip
    joined = ("a>ab/in1", "b>ab/in2", "ab>abc/in1", "c>abc/in2", "c>relu")
    return graph(layers, "picture>a", "facts>b", "signal>c", *joined)


def test_inputs_and_outputs_keep_their_order(read: Read) -> None:
    net = three_kinds()
    case = Case("three kinds", net, feeds(net, RNG))
    network = read(net)
    assert network.inputs == ("picture", "facts", "signal") and network.outputs == ("abc", "relu")
    model = network.to_torch()
    assert [node.target for node in model.graph.nodes if node.op == "placeholder"] == [
        "x_picture",
        "x_facts",
        "x_signal",
    ]
    expected = [oracle.run(net, feed) for feed in case.feeds]
    for name, found in zip(network.outputs, outputs(model, case.inputs(network.inputs)), strict=True):
        torch.testing.assert_close(found.double(), torch_layout([each[name] for each in expected]), rtol=0, atol=1e-5)


def test_every_module_is_called_once(read: Read) -> None:
    model = read(three_kinds()).to_torch()
    called = [node.target for node in model.graph.nodes if node.op == "call_module"]
    assert sorted(called) == sorted(name for name, _ in model.named_children())


def two_poolings() -> Net:
    pool = (L.maxPooling2dLayer(name, (2, 2), stride=(2, 2), unpooling=True) for name in ("pool", "pool2"))
    return graph((image(), *pool, L.reluLayer("r")), "in>pool", "in>pool2", "pool2/out>r")


def test_an_output_may_be_a_port(read: Read) -> None:
    """Oracle: torch's own pooling."""
    network = replace(read(two_poolings()), outputs=("pool/indices", "r", "pool"))
    x = torch.randn(2, 4, 6, 5)
    indices, relu, out = network.to_torch()(x)
    expected, places = torch.nn.functional.max_pool2d(x, 2, return_indices=True)
    assert torch.equal(indices, places) and torch.equal(out, expected) and torch.equal(relu, expected.relu())


def test_ports_that_nothing_reads_are_not_taken(read: Read) -> None:
    network = replace(read(two_poolings()), outputs=("pool/indices", "r"))
    taken = [(str(node.args[0]), node.args[1]) for node in network.to_torch().graph.nodes if node.op == "call_function"]
    assert taken == [("pool", 0), ("pool", 1), ("pool2", 0)]


@pytest.mark.parametrize("output", ["pool/middle", "nothing", "nothing/out"])
def test_an_output_that_does_not_exist_is_told(output: str, read: Read) -> None:
    with pytest.raises(UnreadableError, match=output):
        replace(read(two_poolings()), outputs=(output,)).to_torch()
