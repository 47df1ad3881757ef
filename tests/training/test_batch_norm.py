"""Batch-norm statistics against their formulas in float64 numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bridge.modules.normalization import BatchNormOverTime, batch_normalization
from bridge.network import make_layer
from bridge.network.activations import Activation
from bridge.tables.layers import layer_mappings
from bridge.training.batch_norm import finalize_batch_norm, moving_statistics
from bridge.training.moments import Moments


def test_every_layer_normalises_with_the_mini_batch_in_the_pass() -> None:
    """Oracle: the pass written out in float64 numpy, three mini-batches of 4, 4 and 1 observations, two layers deep."""
    model = nn.Sequential(
        nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Tanh(), nn.Dropout(0.5), nn.Linear(5, 2), nn.BatchNorm1d(2)
    ).double()
    with torch.no_grad():
        model[1].weight.uniform_(0.5, 2)
        model[1].bias.uniform_(-1, 1)
    x = torch.randn(9, 3, dtype=torch.float64)
    batches = [x[:4], x[4:8], x[8:]]

    first, second = [], []
    for batch in batches:
        a = batch.numpy() @ model[0].weight.detach().numpy().T + model[0].bias.detach().numpy()
        n = (a - a.mean(0)) / np.sqrt(a.var(0) + 1e-5) * model[1].weight.detach().numpy() + model[
            1
        ].bias.detach().numpy()
        first.append(a)
        second.append(np.tanh(n) @ model[4].weight.detach().numpy().T + model[4].bias.detach().numpy())

    finalize_batch_norm(model, batches)
    for layer, found in ((model[1], np.concatenate(first)), (model[5], np.concatenate(second))):
        np.testing.assert_allclose(layer.running_mean, found.mean(0), rtol=1e-12)
        np.testing.assert_allclose(layer.running_var, found.var(0), rtol=1e-12)
    assert not model.training


@pytest.mark.parametrize(("layer", "shape", "axes"), [
    (nn.BatchNorm2d(3), (10, 3, 5, 4), (0, 2, 3)),
    (nn.BatchNorm3d(3), (10, 3, 2, 5, 4), (0, 2, 3, 4)),
    (BatchNormOverTime(3), (10, 7, 3), (0, 1)),
])  # fmt: skip
def test_statistics_run_over_observations_space_and_time(
    layer: Any, shape: tuple[int, ...], axes: tuple[int, ...]
) -> None:
    """Oracle: numpy over all elements. A mean that is large against the spread costs single precision no digits of the variance."""
    x = torch.from_numpy(np.random.default_rng(0).normal(100, 0.1, shape).astype(np.float32))
    finalize_batch_norm(layer, x.split(4))
    np.testing.assert_allclose(layer.running_mean, x.double().numpy().mean(axes), rtol=1e-6)
    np.testing.assert_allclose(layer.running_var, x.double().numpy().var(axes), rtol=1e-4)


def test_a_pass_that_fails_leaves_the_statistics_as_they_were() -> None:
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 2))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(RuntimeError):
        finalize_batch_norm(model, [torch.randn(4, 3), torch.randn(4, 2)])
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not model[0]._forward_pre_hooks


def test_several_inputs_and_models_without_batch_norm() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return self.norm(a + b)  # type: ignore[no-any-return]

    model, a = Two(), torch.randn(6, 2)
    finalize_batch_norm(model, [(a, a)])
    np.testing.assert_allclose(model.norm.running_mean, 2 * a.mean(0), rtol=1e-5, atol=1e-7)

    def never() -> Any:
        raise AssertionError("nothing needs this pass")
        yield

    finalize_batch_norm(nn.Linear(2, 2), never())


@pytest.mark.parametrize("decay", [0.1, 0.4])
@pytest.mark.parametrize("variance", ["biased", "unbiased"])
def test_moving_statistics_are_those_of_the_formula(variance: str, decay: float) -> None:
    """By hand in float64: s = MeanDecay s_batch + (1 - MeanDecay) s, and so the variance with VarianceDecay, three mini-batches.

    Backward works, and evaluation changes nothing.
    """
    row = layer_mappings().rows["BatchNormalizationLayer"]
    made = make_layer(row, "bn", {"Epsilon": 1e-5, "MeanDecay": 0.1, "VarianceDecay": decay})
    layer = batch_normalization(made, [Activation("CB", (3,))]).double()
    mean, spread = np.zeros(3), np.ones(3)
    with moving_statistics(layer, variance):
        for index in range(3):
            x = torch.randn(5, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(index))
            layer.train()(x).square().sum().backward()
            mean = 0.1 * x.numpy().mean(0) + 0.9 * mean
            spread = decay * x.numpy().var(0, ddof=variance == "unbiased") + (1 - decay) * spread
            layer.eval()(10 * x)
    np.testing.assert_allclose(layer.running_mean, mean, rtol=1e-12)
    np.testing.assert_allclose(layer.running_var, spread, rtol=1e-12)
    assert len(layer._forward_hooks) == (decay != 0.1)  # those of the training are gone


def test_moments_of_pieces_are_those_of_the_whole() -> None:
    """Oracle: numpy, per element, per channel and over everything."""
    x = np.random.default_rng(1).normal(1e4, 1, (7, 3, 4, 5))
    for shape, axes in (((3, 4, 5), (0,)), ((3, 1, 1), (0, 2, 3)), ((1, 1, 1), (0, 1, 2, 3))):
        moments = Moments(torch.Size(shape))
        for piece in torch.from_numpy(x).split([3, 1, 3]):
            moments.add(piece)
        np.testing.assert_allclose(moments.mean, x.mean(axes).reshape(shape), rtol=1e-14)
        np.testing.assert_allclose(moments.variance(), x.var(axes).reshape(shape), rtol=1e-10)
