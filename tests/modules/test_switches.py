"""What to_torch() may leave out: the softmax at the end, the normalisation at the start."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.nn import functional

import bridge
from bridge import layers
from bridge.options.options import Semantics
from bridge.training import losses

SIGNS = Path(__file__).parents[2] / "fixtures" / "files" / "signs.mat"
TARGETS = torch.tensor([0, 3, 4])


def images() -> torch.Tensor:
    return 255 * torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def test_torchs_cross_entropy_of_scores_is_ours_of_probabilities() -> None:
    """Oracle: torch.nn.functional.cross_entropy. The losses agree, and so do all gradients.

    In double precision, so that only rounding is left: 4e-16 in gradients of up to 1 when this was written. The absolute part is for
    elements that are zero but for it.
    """
    network = bridge.load(SIGNS)
    ends = {
        "probabilities": (network.to_torch(), losses.loss("ClassificationOutputLayer", Semantics.of("trainNetwork"))),
        "scores": (network.to_torch(include_softmax=False), functional.cross_entropy),
    }
    values, gradients = [], []
    for model, loss in ends.values():
        value = loss(model.double()(images().double()), TARGETS)
        value.backward()
        values.append(value.detach())
        gradients.append({name: p.grad for name, p in model.named_parameters() if p.requires_grad})
    torch.testing.assert_close(values[0], values[1], rtol=1e-12, atol=0)
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) == 8
    for name, ours in gradients[0].items():
        torch.testing.assert_close(ours, gradients[1][name], rtol=1e-12, atol=1e-14)


def test_normalisation_may_be_done_outside() -> None:
    """Oracle: the mean of the file, subtracted by hand."""
    network = bridge.load(SIGNS)
    mean = torch.from_numpy(network.layers["imageinput"].Mean.copy()).permute(2, 0, 1)
    with torch.no_grad():
        inside, outside = network.to_torch()(images()), network.to_torch(include_normalization=False)(images() - mean)
    assert torch.equal(inside, outside)


@pytest.mark.parametrize("switch", ["include_softmax", "include_normalization"])
def test_what_is_left_out_changes_no_key(switch: str) -> None:
    network = bridge.load(SIGNS)
    whole, part = network.to_torch(), network.to_torch(**{switch: False})
    assert {name for name, _ in whole.named_parameters()} == {name for name, _ in part.named_parameters()}
    assert whole.meta["layers"] == part.meta["layers"]


def test_a_softmax_that_another_layer_reads_stays() -> None:
    """Only what comes out last is left out: here the probabilities are added to themselves."""
    ending = [layers.softmax(name="softmax"), layers.addition(2, name="twice")]
    pairs = [("in", "softmax"), ("softmax", "twice/in1"), ("softmax", "twice/in2")]
    network = bridge.Network.assemble([layers.feature_input(3, name="in"), *ending], pairs)
    network = replace(network, outputs=("softmax", "twice"))
    probabilities, twice = network.to_torch(include_softmax=False)(torch.rand(2, 3))
    torch.testing.assert_close(probabilities.sum(1), torch.ones(2))
    assert torch.equal(twice, 2 * probabilities)
