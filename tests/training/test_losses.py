"""Losses and metrics against independent float64 numpy, against torch where it means the same, and by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional

from bridge.errors import UsageError
from bridge.options.options import Semantics
from bridge.training import losses

OLD, NEW = Semantics.of("trainNetwork"), Semantics.of("trainnet")
WEIGHTS = torch.tensor([0.5, 2.0, 3.0], dtype=torch.float64)
SHAPES = {"vector": ((5, 3), 1), "image": ((2, 3, 4, 5), 1), "sequence": ((2, 6, 3), -1)}


def logits(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def labels(shape: tuple[int, ...], dim: int, undefined: bool = False) -> torch.Tensor:
    size = list(shape)
    del size[dim]
    return torch.randint(-1 if undefined else 0, 3, size, generator=torch.Generator().manual_seed(1))


def one_hot(index: torch.Tensor, dim: int) -> torch.Tensor:
    """One-hot with zeros where undefined, by comparison."""
    return torch.stack([index == k for k in range(3)], dim).double()


def entropy_by_loops(
    probabilities: torch.Tensor, index: torch.Tensor, dim: int, weights: Any
) -> tuple[float, int, int]:
    """(sum, observations, labelled elements), one element after another."""
    scores = np.moveaxis(probabilities.numpy(), dim, -1).reshape(-1, 3)
    total, labelled = 0.0, 0
    for row, label in zip(scores, index.numpy().ravel(), strict=True):
        if label >= 0:
            total -= (1.0 if weights is None else float(weights[label])) * math.log(row[label])
            labelled += 1
    return total, len(probabilities), labelled


@pytest.mark.parametrize("weights", [None, WEIGHTS], ids=["plain", "weighted"])
@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("kind", list(SHAPES))
def test_cross_entropy_is_the_sum_over_what_it_says(kind: str, undefined: bool, weights: Any) -> None:
    """Oracle: `entropy_by_loops`. Index and one-hot targets, probabilities and logits are four ways to the same number."""
    shape, dim = SHAPES[kind]
    scores, index = logits(shape), labels(shape, dim, undefined)
    total, observations, labelled = entropy_by_loops(scores.softmax(dim), index, dim, weights)
    wanted = {"observations": total / observations, "elements": total / labelled}
    for over, value in wanted.items():
        for targets in (index, one_hot(index, dim)):
            for given, is_logits in ((scores.softmax(dim), False), (scores, True)):
                found = losses.cross_entropy(
                    given, targets, over=over, class_weights=weights, dim=dim, logits=is_logits
                )
                assert found.item() == pytest.approx(value, rel=1e-13)


def test_undefined_labels_may_count() -> None:
    shape, dim = SHAPES["image"]
    scores, index = logits(shape).softmax(dim), labels(shape, dim, True)
    total, _, labelled = entropy_by_loops(scores, index, dim, None)
    assert labelled < index.numel()
    found = losses.cross_entropy(scores, index, over="elements", counts_undefined=True)
    assert found.item() == pytest.approx(total / index.numel(), rel=1e-13)


def test_against_torch_cross_entropy() -> None:
    """Oracle: torch. Equal without weights over elements; with weights torch divides by their sum, MATLAB by the observations."""
    scores, index = logits((5, 3)), labels((5, 3), 1)
    plain = functional.cross_entropy(scores, index).item()
    assert losses.cross_entropy(scores, index, logits=True).item() == pytest.approx(plain, rel=1e-14)
    ours = losses.cross_entropy(scores, index, class_weights=WEIGHTS, logits=True)
    theirs = functional.cross_entropy(scores, index, weight=WEIGHTS)
    assert ours.item() == pytest.approx((theirs * WEIGHTS[index].sum() / 5).item(), rel=1e-14)
    assert abs(ours.item() - theirs.item()) > 0.1


def test_class_weights_by_hand() -> None:
    """Two observations of probability 1/2, weights 1 and 3: (1 + 3) ln 2 / 2."""
    found = losses.cross_entropy(torch.full((2, 2), 0.5), torch.tensor([0, 1]), class_weights=torch.tensor([1.0, 3.0]))
    assert found.item() == pytest.approx(2 * math.log(2), rel=1e-6)


@pytest.mark.parametrize("kind", list(SHAPES))
def test_gradients_are_finite_where_a_probability_is_0(kind: str) -> None:
    """A class that no target chooses may have probability 0: 0*log 0 is 0, and so is its gradient."""
    shape, dim = SHAPES[kind]
    index = torch.zeros_like(labels(shape, dim))
    scores = one_hot(index, dim).requires_grad_()
    for targets in (index, one_hot(index, dim)):
        value = losses.cross_entropy(scores, targets, dim=dim)
        (gradient,) = torch.autograd.grad(value, scores)
        assert value.item() == 0 and torch.isfinite(gradient).all()
        assert torch.equal(gradient, -one_hot(index, dim) / len(scores))


def test_logits_reach_where_probabilities_underflow() -> None:
    """By hand: -log softmax of (0, -200) at the second class is 200; in single precision the probability is 0."""
    scores = torch.tensor([[0.0, -200.0]])
    assert losses.cross_entropy(scores, torch.tensor([1]), logits=True).item() == 200
    assert losses.cross_entropy(scores.softmax(1), torch.tensor([1])).item() == math.inf


def test_small_probabilities_are_not_clamped() -> None:
    """By hand: e^-87 is still a number in single precision."""
    assert losses.cross_entropy(torch.tensor([[math.exp(-87.0), 1.0]]), torch.tensor([0])).item() == pytest.approx(
        87, rel=1e-6
    )


def test_binary_cross_entropy() -> None:
    """Oracle: torch's, which is the mean over all values; times channels and pixels over observations."""
    probabilities, targets = logits((2, 3, 4, 5)).sigmoid(), (logits((2, 3, 4, 5)) > 0.3).double()
    mean = functional.binary_cross_entropy(probabilities, targets).item()
    assert losses.binary_cross_entropy(probabilities, targets, over="values").item() == pytest.approx(mean, rel=1e-13)
    assert losses.binary_cross_entropy(probabilities, targets).item() == pytest.approx(mean * 60, rel=1e-13)
    assert losses.binary_cross_entropy(targets, targets).item() == 0


@pytest.mark.parametrize(
    ("shape", "sequence", "divisor"),
    [
        ((4, 3), False, 2 * 4),
        ((4, 2, 5, 6), False, 2 * 4),
        ((4, 2, 3, 5, 6), False, 2 * 4),
        ((4, 7, 3), True, 2 * 4 * 7),
    ],
    ids=["responses", "images", "volumes", "sequence to sequence"],
)
def test_half_mse_in_its_shapes(shape: tuple[int, ...], sequence: bool, divisor: int) -> None:
    """Oracle: numpy's sum of squares over the divisor of the formula. The RMSE of a log is sqrt(2 loss)."""
    predictions, targets = logits(shape), torch.ones(shape, dtype=torch.float64)
    wanted = float(((predictions.numpy() - 1) ** 2).sum()) / divisor
    found = losses.half_mse(predictions, targets, sequence=sequence)
    assert found.item() == pytest.approx(wanted, rel=1e-13)
    assert losses.rmse(predictions, targets, sequence=sequence) == pytest.approx(math.sqrt(2 * wanted), rel=1e-13)
    assert losses.rmse(predictions, targets, over="elements") == pytest.approx(
        float(np.sqrt(np.mean((predictions.numpy() - 1) ** 2))), rel=1e-13
    )
    if not sequence:
        assert losses.l2loss(predictions, targets).item() == pytest.approx(2 * wanted, rel=1e-13)


def test_regression_by_trainer_by_hand() -> None:
    """Three observations of two responses, squared errors 1+4, 9+16 and 0: half of 30/3 for trainNetwork, and 30/6 for trainnet.

    With the first response alone they differ: half of 10/3, and 10/3.
    """
    predictions, targets = torch.tensor([[1.0, 2.0], [3.0, 4.0], [0.0, 0.0]]), torch.zeros(3, 2)
    assert losses.loss("RegressionOutputLayer", OLD)(predictions, targets).item() == pytest.approx(30 / 6)
    for name in ("mse", "mean-squared-error", "l2loss"):
        assert losses.loss(name, NEW)(predictions, targets).item() == pytest.approx(30 / 6)
    assert losses.loss("mse", NEW)(predictions[:, :1], targets[:, :1]).item() == pytest.approx(10 / 3)
    assert losses.loss("RegressionOutputLayer", OLD)(predictions[:, :1], targets[:, :1]).item() == pytest.approx(10 / 6)
    assert losses.loss("mae", NEW)(predictions, targets).item() == pytest.approx(10 / 6)
    assert losses.loss("huber", NEW)(predictions, targets).item() == pytest.approx((0.5 + 1.5 + 2.5 + 3.5) / 6)


def test_crossentropy_by_trainer() -> None:
    """Oracle: `entropy_by_loops`. trainnet and trainNetwork's pixel layer divide by pixels, its classification layer by observations."""
    shape, dim = SHAPES["image"]
    scores, index = logits(shape).softmax(dim), labels(shape, dim)
    total, observations, pixels = entropy_by_loops(scores, index, dim, None)
    found = {
        "crossentropy": losses.loss("crossentropy", NEW),
        "ClassificationOutputLayer": losses.loss("ClassificationOutputLayer", OLD),
        "PixelClassificationLayer": losses.loss("PixelClassificationLayer", OLD),
    }
    assert found["crossentropy"](scores, index).item() == pytest.approx(total / pixels, rel=1e-13)
    assert found["ClassificationOutputLayer"](scores, index).item() == pytest.approx(total / observations, rel=1e-13)
    assert found["PixelClassificationLayer"](scores, index).item() == pytest.approx(total / pixels, rel=1e-13)
    switched = Semantics.of("trainnet", {"crossentropy_over": "observations"})
    assert losses.loss("index-crossentropy", switched)(scores, index).item() == pytest.approx(
        total / observations, rel=1e-13
    )


def test_a_loss_for_sequences_looks_at_the_last_axis() -> None:
    shape, dim = SHAPES["sequence"]
    scores, index = logits(shape), labels(shape, dim)
    total, _, steps = entropy_by_loops(scores.softmax(dim), index, dim, WEIGHTS)
    found = losses.loss("crossentropy", NEW, sequence=True, class_weights=WEIGHTS, logits=True)(scores, index)
    assert found.item() == pytest.approx(total / steps, rel=1e-13)


def test_generalized_dice_by_hand() -> None:
    """Four pixels, two classes with 1 and 3: w = 1 and 1/9; Y = 1/2 everywhere: overlap 1/2 + 1/6, total 1+1 + (1+3)/9 = 22/9."""
    probabilities = torch.full((1, 2, 2, 2), 0.5, dtype=torch.float64)
    index = torch.tensor([[[0, 1], [1, 1]]])
    wanted = 1 - 2 * (1 / 2 + 1 / 6) / (22 / 9)
    assert losses.generalized_dice(probabilities, index).item() == pytest.approx(wanted, rel=1e-14)
    undefined = torch.tensor([[[0, 1, -1], [1, 1, -1]]])
    wider = functional.pad(probabilities, (0, 1), value=0.9)
    assert losses.generalized_dice(wider, undefined).item() == pytest.approx(wanted, rel=1e-14)


def test_generalized_dice_is_0_where_all_is_right() -> None:
    index = labels((2, 3, 4, 5), 1)
    assert losses.generalized_dice(one_hot(index, 1), index).item() == pytest.approx(0, abs=1e-14)


def test_an_absent_class_and_an_unlabelled_image_give_numbers() -> None:
    """An image without class 1, and one without labels."""
    probabilities = torch.full((2, 2, 1, 2), 0.5, dtype=torch.float64, requires_grad=True)
    index = torch.tensor([[[0, 0]], [[-1, -1]]])
    for value in (
        losses.generalized_dice(probabilities, index),
        losses.tversky(probabilities, index, alpha=0.7, beta=0.3),
        losses.focal(probabilities, index),
    ):
        (gradient,) = torch.autograd.grad(value, probabilities)
        assert torch.isfinite(value) and torch.isfinite(gradient).all()


def test_tversky_by_hand() -> None:
    """Y = 1/2 over the four pixels of above: TP 1/2, FP 3/2, FN 1/2 for one class, 3/2, 1/2, 3/2 for the other."""
    probabilities = torch.full((1, 2, 2, 2), 0.5, dtype=torch.float64)
    index = torch.tensor([[[0, 1], [1, 1]]])
    wanted = (1 - 0.5 / (0.5 + 0.7 * 1.5 + 0.3 * 0.5)) + (1 - 1.5 / (1.5 + 0.7 * 0.5 + 0.3 * 1.5))
    assert losses.tversky(probabilities, index, alpha=0.7, beta=0.3).item() == pytest.approx(wanted, rel=1e-14)


def test_focal_by_hand() -> None:
    """alpha (1-p)^gamma -log p with p = 1/2 and 1/4: 0.25 (ln 2 / 4 + 9/16 ln 4) / 2."""
    probabilities = torch.tensor([[0.5, 0.5], [0.75, 0.25]], dtype=torch.float64)
    wanted = 0.25 * (math.log(2) / 4 + 9 / 16 * math.log(4)) / 2
    assert losses.focal(probabilities, torch.tensor([0, 1])).item() == pytest.approx(wanted, rel=1e-14)
    assert losses.loss("FocalLossLayer", OLD)(probabilities, torch.eye(2)).item() == pytest.approx(wanted, rel=1e-14)


def test_accuracy_by_hand() -> None:
    scores = torch.tensor([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.5, 0.5]])
    assert losses.accuracy(scores, torch.tensor([0, 1, 1, -1])) == pytest.approx(100 * 2 / 3)
    assert losses.accuracy(scores, torch.tensor([[1, 0], [0, 1], [0, 1], [0, 0]])) == pytest.approx(100 * 2 / 3)


@pytest.mark.parametrize("name", ["RegressionOutputLayer", "crossentropyy"])
def test_an_unknown_loss_names_the_known(name: str) -> None:
    with pytest.raises(UsageError, match="crossentropy"):
        losses.loss(name, NEW)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UsageError, match="class weights"):
        losses.loss("mse", NEW, class_weights=WEIGHTS)
    for wrong in (torch.zeros(5, dtype=torch.long), torch.zeros(2), torch.zeros(2, 4)):
        with pytest.raises(UsageError, match="targets"):
            losses.cross_entropy(torch.ones(2, 3), wrong)
    for elementwise in (losses.half_mse, losses.l2loss, losses.loss("mse", NEW), losses.loss("huber", NEW)):
        with pytest.raises(UsageError, match="same"):
            elementwise(torch.ones(4, 1), torch.ones(4))
