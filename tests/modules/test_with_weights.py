"""Weights come back from whatever a loop made of the module. Oracle: what was added to them."""

from __future__ import annotations

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bridge
from bridge.errors import UnreadableError, UsageError

SIGNS = Path(__file__).parents[2] / "fixtures" / "files" / "signs.mat"


class Bigger(nn.Module):
    """A user's module around the network's."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.stem, self.backbone = nn.Conv2d(3, 3, 1), nn.ModuleDict({"net": nn.Sequential(model)})

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.backbone["net"](self.stem(x))


def assigned(model: nn.Module) -> nn.Module:
    model.load_state_dict({key: value.clone() for key, value in model.state_dict().items()}, assign=True)
    return model


WAYS: dict[str, Callable[[nn.Module], Any]] = {
    "as it is": lambda model: model,
    "nested": Bigger,
    "deep-copied": copy.deepcopy,
    "compiled": lambda model: torch.compile(model, backend="aot_eager"),
    "compiled in a bigger module": lambda model: Bigger(torch.compile(model, backend="eager")),  # type: ignore[arg-type]
    "assigned": assigned,
    "in double precision and back": lambda model: model.double().float(),
    "DataParallel": nn.DataParallel,
}


def assert_comes_back(wrapped: nn.Module, network: bridge.Network) -> None:
    with torch.no_grad():
        for parameter in wrapped.parameters():
            parameter += 1
    back = network.with_weights(wrapped)
    for layer, name, learnable in network.learnables():
        twin = back.layers[layer.name].learnables[name]
        np.testing.assert_array_equal(twin.value, learnable.value + np.float32(1), strict=True)
        assert (twin.learn_rate_factor, twin.l2_factor) == (learnable.learn_rate_factor, learnable.l2_factor)


@pytest.mark.parametrize("way", WAYS)
def test_from_any_loop(way: str) -> None:
    network = bridge.load(SIGNS)
    wrapped = WAYS[way](network.to_torch())
    with torch.no_grad():
        wrapped(torch.zeros(1, 3, 32, 32))
    assert_comes_back(wrapped, network)


@contextmanager
def one_process() -> Iterator[None]:
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)  # type: ignore[attr-defined]
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no torch.distributed")
def test_from_ddp() -> None:
    network = bridge.load(SIGNS)
    with one_process():
        assert_comes_back(nn.parallel.DistributedDataParallel(network.to_torch()), network)


def test_weights_of_another_shape_are_told() -> None:
    """Also where there are as many of them."""
    network = bridge.load(SIGNS)
    model = network.to_torch()
    layer = model.get_submodule("conv_2")
    layer.weight = nn.Parameter(layer.weight.detach().transpose(0, 1))
    with pytest.raises(
        UnreadableError, match=r"Weights of layer 'conv_2' has the shape \(8, 16, 3, 3\) where \(16, 8, 3, 3\) belongs"
    ):
        network.with_weights(model)


def test_two_copies_are_ambiguous() -> None:
    network = bridge.load(SIGNS)
    with pytest.raises(UsageError, match="twice"):
        network.with_weights(nn.ModuleList([network.to_torch(), network.to_torch()]))


@pytest.mark.parametrize(("given", "told"), [({}, "a state dict"), (None, "a NoneType"), ([1], "a list")])
def test_what_is_no_module_is_told(given: Any, told: str) -> None:
    with pytest.raises(UsageError, match=f"with_weights is given {told}") as caught:
        bridge.load(SIGNS).with_weights(given)
    assert "load_state_dict(state)" in caught.value.hint
