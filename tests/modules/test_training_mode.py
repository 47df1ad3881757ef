"""What layers do only while training."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from fixtures import layers as L
from fixtures.layers import Layer
from tests.modules.cases import IMAGE, chain, features, image, saved, sequence
from tests.modules.conftest import Read

RNG = np.random.default_rng(13)
SOURCES = {"image": image(), "sequence": sequence(4), "image sequence": sequence(IMAGE), "features": features(4)}
SHAPES = {"image": (50, 4, 6, 5), "sequence": (50, 9, 4), "image sequence": (50, 9, 4, 6, 5), "features": (500, 4)}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize(
    "layer", [L.dropoutLayer("d", 0.25), L.spatialDropoutLayer("d", 0.25)], ids=["elements", "channels"]
)
def test_dropout_scales_what_it_keeps(layer: Layer, kind: str, read: Read) -> None:
    """Oracle: MathWorks' rule: zero with the probability, else times 1 / (1 - probability); a channel as a whole, in space and time."""
    model = read(chain(SOURCES[kind], layer)).to_torch().train()
    ones = torch.ones(SHAPES[kind])
    y = model(ones)
    assert {round(value, 6) for value in y.unique().tolist()} == {0.0, round(1 / 0.75, 6)}
    drops = (y == 0).double()
    if "Spatial" in layer.cls:
        channel = 2 if "sequence" in kind else 1
        others = [axis for axis in range(1, y.dim()) if axis != channel]
        assert not others or set(drops.mean(others).unique().tolist()) == {0.0, 1.0}
    share, draws = float(drops.mean()), drops.numel() if "Spatial" not in layer.cls else ones.shape[0] * 4
    assert abs(share - 0.25) < 5 * (0.25 * 0.75 / draws) ** 0.5  # five standard deviations
    assert torch.equal(model.eval()(ones), ones)


def test_attention_drops_only_while_training(read: Read) -> None:
    layer = saved(L.selfAttentionLayer(RNG, "a", 6, 2, 4), DropoutProbability=0.5)
    model, x = read(chain(sequence(6), layer)).to_torch(), torch.randn(2, 5, 6)
    assert torch.equal(model(x), model(x))
    assert not torch.equal(model.train()(x), model(x))


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("mean_decay", [0.3, 0.2, 0.0])
def test_batch_normalisation_takes_the_batch(kind: str, mean_decay: float, read: Read) -> None:
    """Oracle: numpy: mean and biased variance of a channel over observations, space and time. The mean moves by MeanDecay and
    the variance, unbiased as torch's, by VarianceDecay."""
    dim = {"image": 3, "image sequence": 3}.get(kind, 1)
    layer = saved(L.batchNormalizationLayer(RNG, "n", 4, channel_dim=dim), MeanDecay=mean_decay, VarianceDecay=0.3)
    model = read(chain(SOURCES[kind], layer)).to_torch().double().train()
    x = torch.randn(SHAPES[kind], dtype=torch.float64) * 3 + 1
    channel = 2 if "sequence" in kind else 1
    columns = x.movedim(channel, 0).flatten(1).numpy()
    scale, offset = (layer.params[name].value.ravel()[:, None] for name in ("Scale", "Offset"))
    expected = (columns - columns.mean(1, keepdims=True)) / np.sqrt(
        columns.var(1, keepdims=True) + 1e-5
    ) * scale + offset
    np.testing.assert_allclose(model(x).movedim(channel, 0).flatten(1).detach().numpy(), expected, rtol=0, atol=1e-12)
    for name, statistic, decay, new in (
        ("running_mean", "TrainedMean", mean_decay, columns.mean(1)),
        ("running_var", "TrainedVariance", 0.3, columns.var(1, ddof=1)),
    ):
        moved = (1 - decay) * layer.saved[statistic].ravel() + decay * new
        np.testing.assert_allclose(model.get_buffer(f"n.{name}").numpy(), moved, rtol=0, atol=1e-6, err_msg=name)
