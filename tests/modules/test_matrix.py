"""Every MATLAB layer class from its .mat file through its row of the tables to its torch module."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bridge.modules.factors import learnables
from bridge.network import Network
from bridge.tables.layers import layer_mappings
from fixtures import layers as L
from fixtures import networks
from tests.conftest import WITHOUT_ORACLE
from tests.modules import oracle
from tests.modules.cases import CASES, Case, feeds, one_of_each, outputs, torch_layout
from tests.modules.conftest import Read, assert_same_networks

# Refused by name (test_refusals.py), read in another way (networkLayer), or no part of a module (output layers).
WITHOUT_MODULE = {
    "functionLayer", "networkLayer", "classificationLayer", "regressionLayer", "pixelClassificationLayer", "dicePixelClassificationLayer",
    "focalLossLayer", "tverskyPixelClassificationLayer", "yolov2OutputLayer",
}  # fmt: skip

DOUBLE = 1e-12  # both sides round to 1e-16; sums of a hundred terms, twenty steps of a recurrence
SINGLE = 1e-4  # 6e-8 an operation, amplified where values nearly equal are standardised: over two channels, up to 2e-5


WHOLE = {
    **{name: make(0) for name, make in networks.SMALL.items()},
    "dlnetwork": networks.as_dlnetwork(networks.residual()),
}


def assert_equals_the_oracle(case: Case, network: Network) -> None:
    """In double precision it proves formula and order, in single what users run."""
    values = [oracle.run(case.net, feed) for feed in case.feeds]
    model, inputs = network.to_torch(), case.inputs(network.inputs)
    for precision, tolerance in ((torch.float32, SINGLE), (torch.float64, DOUBLE)):
        with torch.no_grad():
            found = outputs(model.to(precision), tuple(x.to(precision) for x in inputs))
        for name, ours in zip(network.outputs, found, strict=True):
            theirs, form = torch_layout([each[name] for each in values]), values[0][name].form
            if form.startswith("S") and not form.endswith("T") and set(theirs.shape[2:]) == {1}:
                theirs = theirs.flatten(1)  # images of one pixel come out as vectors, as MATLAB's predict returns them
            assert ours.shape == theirs.shape
            torch.testing.assert_close(ours.double(), theirs, rtol=0, atol=tolerance * float(theirs.abs().max()))


def test_every_constructor_has_a_case() -> None:
    constructors = {name for name in vars(L) if name.endswith("Layer") and name[0].islower()}
    rows = [layer_mappings().by_class(cls) for case in CASES.values() for cls in case.classes]
    assert {row.constructor for row in rows if row} - {
        "channelShuffleLayer",
        "zeroPadding2dLayer",
        "",
    } == constructors - WITHOUT_MODULE


def test_outputs_equal_the_oracle(case: Case, read: Read, record_property: Callable[[str, object], None]) -> None:
    """Oracle: tests/modules/oracle.py."""
    missing = sorted(set(case.classes) - set(oracle.ORACLES))
    if missing:
        record_property(WITHOUT_ORACLE, f"{case.name}: {', '.join(missing)}")
        pytest.skip("no oracle computes it")
    assert_equals_the_oracle(case, read(case.net))


@pytest.mark.parametrize("name", WHOLE)
def test_whole_networks_equal_the_oracle(name: str, read: Read) -> None:
    """Oracle: tests/modules/oracle.py, layer after layer."""
    case = Case(name, WHOLE[name], feeds(WHOLE[name], np.random.default_rng(1)))
    assert_equals_the_oracle(case, read(case.net))


@pytest.mark.parametrize("chosen", one_of_each().values(), ids=one_of_each())
def test_both_containers_hold_the_same_network(chosen: Case, read: Read) -> None:
    assert_same_networks(read(chosen.net, "v5"), read(chosen.net, "v7.3"))


def test_every_learnable_is_a_parameter_and_gets_a_gradient(case: Case, read: Read) -> None:
    """Also: factors are the file's, and a learnable whose factors are all 0 is frozen."""
    network = read(case.net)
    model = network.to_torch().train()
    found = outputs(model, case.inputs(network.inputs))
    if any(each.requires_grad for each in found):
        torch.stack([(each * torch.randn(each.shape)).sum() for each in found]).sum().backward()
    expected = {f"{layer.name}/{name}": param for layer in case.net.layers for name, param in layer.params.items()}
    without_factors = {
        f"{layer.name}/{name}" for layer in case.net.layers if not layer.saveobj for name in layer.params
    }
    assert {each.factors.path for each in learnables(model) if each.factors} == set(expected)
    for each in learnables(model):
        if each.factors is None:  # a bias that MATLAB does not have
            assert not each.parameter.requires_grad and not each.parameter.any()
            continue
        param = expected[each.factors.path]
        for ours, theirs in ((each.factors.learn_rate, param.learn_rate), (each.factors.l2, param.l2)):
            np.testing.assert_array_equal(np.ravel(ours), np.ravel(theirs))
        assert each.factors.assumed == (each.factors.path in without_factors)
        assert each.parameter.requires_grad == bool(np.any(param.learn_rate))
        if each.parameter.requires_grad:
            assert each.parameter.grad is not None and each.parameter.grad.isfinite().all()
            # a bias of the keys adds the same to all scores of a query, which a softmax does not see
            assert each.parameter.grad.any() or each.factors.path.endswith("/KeyBias")
