"""Networks of the fixtures, and references of what they compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import bridge
from bridge.network import Network
from bridge.parity.onnx_runtime import sample_inputs
from fixtures import mat, networks, reference
from fixtures.layers import Net

NDArray = np.ndarray[Any, Any]


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Network]:
    """Make a network of the fixtures, by its maker's name or as it is, and load its .mat."""

    def made(net: str | Net, seed: int = 1) -> Network:
        path = tmp_path / f"net{len(list(tmp_path.iterdir()))}.mat"
        mat.write(path, {"net": getattr(networks, net)(seed) if isinstance(net, str) else net})
        return bridge.load(path)

    return made


@pytest.fixture
def inputs() -> Callable[..., NDArray]:
    """Seeded inputs of a network, in torch's layout."""
    return lambda network, observations=3, seed=0: sample_inputs(network, seed, observations)[0]


@pytest.fixture
def activations() -> Callable[..., dict[str, NDArray]]:
    """Every layer's value, in torch's layout: an ordinary forward pass with hooks."""

    def run(model: nn.Module, x: NDArray) -> dict[str, NDArray]:
        held: dict[str, NDArray] = {}
        for path, name in model.meta["layers"].items():  # type: ignore[union-attr]
            part = model.get_submodule(path)
            part.inplace = False  # type: ignore[assignment]
            part.register_forward_hook(
                lambda _, __, y, name=name: held.__setitem__(name, (y[0] if isinstance(y, tuple) else y).numpy())
            )
        with torch.no_grad():
            model(torch.from_numpy(x))
        return held

    return run


@pytest.fixture
def content(activations: Callable[..., dict[str, NDArray]]) -> Callable[..., dict[str, Any]]:
    """What bridgeReference saves of a network on some inputs; `stored` are the inputs it claims."""

    def made(
        network: Network,
        x: NDArray,
        stored: NDArray | None = None,
        held: Mapping[str, NDArray] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        held = held or activations(network.to_torch(), x)
        formats = {layer.name: network.sizes[layer.name][0].format for layer in network.layers}
        values = {name: reference.in_matlabs_layout(value, formats[name]) for name, value in held.items()}
        output, entry = network.outputs[0], network.inputs[0]
        whole = (
            values[output]
            if held[output].ndim > 2 and held[output].shape[2:] != (1, 1)
            else held[output].reshape(len(x), -1)
        )
        given = x if stored is None else stored
        return reference.reference(
            {
                entry: given if formats[entry] == "CB" else reference.in_matlabs_layout(given, formats[entry])
            },  # features are rows
            {output: whole},
            values,
            {(layer.name, name): each.value for layer, name, each in network.learnables()},
            {(layer.name, name): array.read() for layer in network.layers for name, array in layer.state.items()},
            **{"classes": network.classes or (), **options},
        )

    return made


@pytest.fixture
def recorded(tmp_path: Path, content: Callable[..., dict[str, Any]]) -> Callable[..., Path]:
    """Write a reference.mat; takes what `content` takes."""

    def written(*arguments: Any, **options: Any) -> Path:
        path = tmp_path / f"reference{len(list(tmp_path.iterdir()))}.mat"
        reference.write(path, content(*arguments, **options))
        return path

    return written
