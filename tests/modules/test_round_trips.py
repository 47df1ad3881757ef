"""What a module was built from comes back from it: state dicts, copies, trained weights, saved folders."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch
from torch import nn

import bridge
from bridge.modules.factors import ATTRIBUTE, learnables
from tests.modules.cases import Case, outputs
from tests.modules.conftest import Read, assert_same_arrays, assert_same_networks


def test_a_state_dict_goes_round(case: Case, read: Read) -> None:
    network = read(case.net)
    inputs = case.inputs(network.inputs)
    for assign in (False, True):
        source, target = network.to_torch(), network.to_torch()
        disturb(source)
        target.load_state_dict({key: value.clone() for key, value in source.state_dict().items()}, assign=assign)
        with torch.no_grad():
            for a, b in zip(outputs(source, inputs), outputs(target, inputs), strict=True):
                assert torch.equal(a, b)
        assert {each.name: each.factors for each in learnables(source)} == {
            each.name: each.factors for each in learnables(target)
        }


def disturb(model: nn.Module) -> None:
    with torch.no_grad():
        for tensor in (*model.parameters(), *model.buffers()):
            if tensor.is_floating_point():  # else a counter
                tensor.add_(1)


def test_a_deep_copy_keeps_factors(case: Case, read: Read) -> None:
    model = read(case.net).to_torch()
    twin = copy.deepcopy(model)
    held = {name: getattr(module, ATTRIBUTE) for name, module in model.named_modules() if hasattr(module, ATTRIBUTE)}
    assert held and held == {
        name: getattr(module, ATTRIBUTE) for name, module in twin.named_modules() if hasattr(module, ATTRIBUTE)
    }
    assert not {id(p) for p in model.parameters()} & {id(p) for p in twin.parameters()}


def test_weights_come_back_bit_for_bit(case: Case, read: Read) -> None:
    """What was added to a module's tensors is added to MATLAB's arrays, in MATLAB's layout."""
    network = read(case.net)
    model = network.to_torch()
    assert_same_arrays(network, network.with_weights(model))
    disturb(model)
    back = network.with_weights(model)
    used = {
        (model.meta["layers"][module], local)
        for module, _, local in (name.rpartition(".") for name, _ in model.named_buffers())
    }
    for layer in network.layers:
        for name, learnable in layer.learnables.items():
            np.testing.assert_array_equal(
                back.layers[layer.name].learnables[name].value, learnable.value + np.float32(1), strict=True
            )
        for name, array in layer.state.items():
            moved = np.float32((layer.name, layer.row.state[name].torch) in used)
            np.testing.assert_array_equal(back.layers[layer.name].state[name].read(), array.read() + moved, strict=True)


def test_a_saved_folder_is_the_same_network(case: Case, read: Read, tmp_path: Path) -> None:
    network = read(case.net)
    back = bridge.load(network.save(tmp_path / "net"))
    assert_same_networks(network, back)
    inputs = case.inputs(network.inputs)
    with torch.no_grad():
        for ours, theirs in zip(outputs(back.to_torch(), inputs), outputs(network.to_torch(), inputs), strict=True):
            assert torch.equal(ours, theirs)
