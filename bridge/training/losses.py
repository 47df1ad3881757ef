"""Losses and logged metrics with MATLAB's normalisation.

Tensors have torch's layout: N,C, N,C,H,W, N,C,D,H,W and, for sequences, N,T,C. `dim` is the axis of the channels
(classes): 1, and -1 for sequences. Targets of a classification are class indices (integers, `scores` without `dim`;
negative is undefined) or have the shape of the scores (one-hot, or probabilities; all zero is undefined).

MATLAB's networks end in a softmax, so predictions are probabilities. Small ones are not clamped (nor are MATLAB's, down
to about e^-87): where they may underflow, train on logits with `cross_entropy(..., logits=True)`, which agrees.

Which function a loss is, is a row of `mappings/losses.toml`. Evidence for each formula is in its docstring and, for
what is unconfirmed, in the row or in the switches of `Semantics`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from bridge.data.sources import UNDEFINED
from bridge.errors import UsageError
from bridge.options.options import Semantics
from bridge.tables.layers import EMPTY
from bridge.tables.losses import LossRow, loss_row
from bridge.tables.registry import Registry

Loss = Callable[[Tensor, Tensor], Tensor]
LOSSES: Registry[Callable[..., Tensor]] = Registry("loss function")


def loss(
    name: str,
    semantics: Semantics,
    *,
    sequence: bool = False,
    class_weights: Tensor | None = None,
    logits: bool = False,
    arguments: Mapping[str, float] = EMPTY,
) -> Loss:
    """Return the loss that a trainer means by a name: a function of predictions and targets, which training minimises.

    Args:
        name: a row of `mappings/losses.toml` ("crossentropy", "mse"), or for trainNetwork the class of an output layer.
        semantics: the rules of the trainer.
        sequence: predictions are N,T,C.
        class_weights: one for each class, for the cross entropies.
        logits: predictions are logits, for the cross entropies.
        arguments: of the function, in place of their defaults.

    Raises:
        UsageError: the trainer has no such loss, or it takes no class weights or logits.
    """
    row = loss_row(name, semantics.trainer)
    function = LOSSES[row.function]
    if (logits or class_weights is not None) and not takes_logits(row):
        raise UsageError(f"the loss {name!r} takes no class weights and no logits", "only cross entropies do")
    known = {
        "class_weights": class_weights,
        "counts_undefined": semantics.undefined_labels_count,
        "dim": -1 if sequence else 1,
        "logits": logits,
        "over": getattr(semantics, row.divides, row.divides),
        **arguments,
    }
    return partial(function, **{key: value for key, value in known.items() if key in parameters(function)})


def takes_logits(row: LossRow) -> bool:
    """Whether a loss takes class weights, and the input of a softmax instead of its output: the cross entropies do."""
    return "logits" in parameters(LOSSES[row.function])


def parameters(function: Callable[..., Tensor]) -> Mapping[str, Any]:
    return signature(function).parameters


@LOSSES("cross_entropy")
def cross_entropy(
    scores: Tensor,
    targets: Tensor,
    *,
    over: str = "observations",
    class_weights: Tensor | None = None,
    dim: int = 1,
    logits: bool = False,
    counts_undefined: bool = False,
) -> Tensor:
    """Return -1/M sum w_i T_i log Y_i.

    M is the number of observations (classificationLayer; dlarray crossentropy; documented), or of elements, that is
    pixels and time steps (pixelClassificationLayer; trainnet, likely). Class weights do not change M (a printed value
    was recomputed), where torch's `weight=` divides by the sum of the targets' weights.

    Args:
        scores: probabilities, or what a softmax would turn into them.
        targets: class indices, or one for each class.
        over: "observations" or "elements".
        class_weights: (classes,).
        dim: the axis of the classes.
        logits: the scores are logits.
        counts_undefined: undefined labels count among the elements. They add nothing to the sum either way.

    Raises:
        UsageError: the shapes do not fit.
    """
    if logits and _is_index(scores, targets, dim):
        return _of_logits(
            scores if dim == 1 else scores.movedim(dim, 1), targets, over, class_weights, counts_undefined
        )
    log_probabilities = scores.log_softmax(dim) if logits else scores
    log = (lambda chosen: chosen) if logits else torch.log
    neutral = 0.0 if logits else 1.0
    terms, defined = _chosen(log_probabilities, targets, dim, neutral, log, class_weights)
    return -terms.sum() / _count(scores, defined, over, counts_undefined)


def _of_logits(
    scores: Tensor, targets: Tensor, over: str, class_weights: Tensor | None, counts_undefined: bool
) -> Tensor:
    """The same by torch's own, for class indices; observations divide the weights, which saves a division of the sum
    and its gradient."""
    weights = None if class_weights is None else class_weights.to(scores.dtype)
    if over == "observations":
        weights = scores.new_full((scores.shape[1],), 1 / len(scores)) if weights is None else weights / len(scores)
    total = functional.cross_entropy(scores, targets.long(), weights, ignore_index=UNDEFINED, reduction="sum")
    return total if over == "observations" else total / _count(scores, targets >= 0, over, counts_undefined)


@LOSSES("focal")
def focal(scores: Tensor, targets: Tensor, *, alpha: float = 0.25, gamma: float = 2.0, dim: int = 1) -> Tensor:
    """Return -1/N sum alpha (1 - Y)^gamma T log Y over N observations (focalLossLayer, focalCrossEntropy; recalled,
    unconfirmed). The logarithm is that of the smallest number at least, so that a saturated softmax gives no infinity.
    """
    least = torch.finfo(scores.dtype).tiny

    def term(chosen: Tensor) -> Tensor:
        return (1 - chosen) ** gamma * chosen.clamp(min=least).log()

    terms, _ = _chosen(scores, targets, dim, 1.0, term, None)
    return -alpha * terms.sum() / len(scores)


@LOSSES("binary_cross_entropy")
def binary_cross_entropy(probabilities: Tensor, targets: Tensor, *, over: str = "observations") -> Tensor:
    """Return -1/M sum T log Y + (1-T) log(1-Y).

    M is the number of observations (documented for dlarray), or of values, channels included (trainnet, likely).
    torch's is the mean over all values, and clamps the logarithms at -100.
    """
    hit = torch.where(targets > 0, probabilities, 1.0).log() * targets
    miss = torch.where(targets < 1, 1 - probabilities, 1.0).log() * (1 - targets)
    return -(hit + miss).sum() / (len(targets) if over == "observations" else targets.numel())


@LOSSES("half_mse")
def half_mse(predictions: Tensor, targets: Tensor, *, sequence: bool = False) -> Tensor:
    """Return 1/(2N) sum (Y - T)^2 over N observations, not divided by the number of responses.

    regressionLayer for vectors, images and volumes, and one prediction for a sequence; with `sequence` divided by the
    number of time steps too, as logs have it (proven); what is minimised is not (proven on whole trainings). Also `mse`
    of dlarray (documented). `l2loss` of dlarray is twice this.
    """
    steps = predictions.shape[1] if sequence else 1
    return _squares(predictions, targets).sum() / (2 * steps * len(predictions))


def l2loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return 1/N sum (Y - T)^2, `l2loss` of dlarray (documented). trainnet's "l2loss" is the mean over all elements."""
    return _squares(predictions, targets).sum() / len(predictions)


@LOSSES("generalized_dice")
def generalized_dice(probabilities: Tensor, targets: Tensor, *, dim: int = 1) -> Tensor:
    """Return the generalised Dice loss, the mean over the images.

    1 - 2 sum_k w_k sum_m Y T / sum_k w_k sum_m (Y^2 + T^2), w_k = 1/(sum_m T)^2 for class k and pixel m
    (dicePixelClassificationLayer, documented). Undefined pixels are left out (documented). A class that an image does
    not have would have an infinite weight and is left out of it (unconfirmed).
    """
    chances, truth = _by_pixel(probabilities, targets, dim)
    area = truth.sum(2)
    weights = torch.where(area > 0, 1 / area.clamp(min=1) ** 2, 0.0)
    overlap = (weights * (chances * truth).sum(2)).sum(1)
    total = (weights * (chances**2 + truth**2).sum(2)).sum(1)
    return torch.where(total > 0, 1 - 2 * overlap / total.clamp(min=torch.finfo(total.dtype).tiny), 0.0).mean()


@LOSSES("tversky")
def tversky(probabilities: Tensor, targets: Tensor, *, alpha: float, beta: float, dim: int = 1) -> Tensor:
    """Return the Tversky loss, summed over the classes, the mean over the images (documented, as an example).

    1 - TP / (TP + alpha FP + beta FN) of each class. A class neither predicted nor present counts 0.
    """
    chances, truth = _by_pixel(probabilities, targets, dim)
    hits = (chances * truth).sum(2)
    false = alpha * (chances * (1 - truth)).sum(2) + beta * ((1 - chances) * truth).sum(2)
    return (false / torch.where(false > 0, hits + false, 1.0)).sum(1).mean()


@LOSSES("mean_squared_error")
def mean_squared_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of (Y - T)^2 over all values, trainnet's "mse" (proven: printed runs)."""
    return _squares(predictions, targets).mean()


@LOSSES("mean_absolute_error")
def mean_absolute_error(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return the mean of |Y - T| over all values, trainnet's "mae" (proven: printed runs)."""
    _require_same_shapes(predictions, targets)
    return functional.l1_loss(predictions, targets)


@LOSSES("huber")
def huber(predictions: Tensor, targets: Tensor) -> Tensor:
    """Return the mean over all values of (Y - T)^2 / 2 up to a distance of 1 and |Y - T| - 1/2 beyond (unconfirmed)."""
    _require_same_shapes(predictions, targets)
    return functional.huber_loss(predictions, targets)


def hits(scores: Tensor, targets: Tensor, *, dim: int = 1) -> tuple[int, int]:
    """Return how many elements have their target as best class, and how many have a target."""
    best = scores.argmax(dim)
    if _is_index(scores, targets, dim):  # no class has the index of what is undefined
        return int((best == targets).sum()), int((targets >= 0).sum())
    classes, defined = _classes(scores, targets, dim)
    return int(((best == classes) & defined).sum()), int(defined.sum())


def accuracy(scores: Tensor, targets: Tensor, *, dim: int = 1) -> float:
    """Return the percentage of elements whose best class is the target, as logs have it; undefined ones do
    not count.
    """
    right, count = hits(scores, targets, dim=dim)
    return 100 * (right / count) if count else math.nan


def rmse(predictions: Tensor, targets: Tensor, *, over: str = "observations", sequence: bool = False) -> float:
    """Return the RMSE of a log.

    Over observations it is sqrt(2 * `half_mse`) (trainNetwork, proven), over elements the square root of the mean of
    all squared errors (trainnet, unconfirmed).
    """
    if over == "observations":
        return float((2 * half_mse(predictions, targets, sequence=sequence)).sqrt())
    return float(_squares(predictions, targets).mean().sqrt())


def _require_same_shapes(predictions: Tensor, targets: Tensor) -> None:
    """Refuse what torch would broadcast."""
    if predictions.shape != targets.shape:
        found = f"predictions are {tuple(predictions.shape)}, targets {tuple(targets.shape)}"
        raise UsageError(found, "the shapes must be the same")


def _squares(predictions: Tensor, targets: Tensor) -> Tensor:
    _require_same_shapes(predictions, targets)
    return (predictions - targets) ** 2


def _is_index(scores: Tensor, targets: Tensor, dim: int) -> bool:
    if targets.shape == scores.shape:
        return False
    after = dim % scores.dim() + 1
    shape = scores.shape[: after - 1] + scores.shape[after:]
    if targets.shape != shape or targets.is_floating_point():
        raise UsageError(
            f"scores are {tuple(scores.shape)}, targets {tuple(targets.shape)} of {targets.dtype}",
            f"targets have the shape of the scores, or are integers of shape {tuple(shape)}",
        )
    return True


def _chosen(
    scores: Tensor,
    targets: Tensor,
    dim: int,
    neutral: float,
    log: Callable[[Tensor], Tensor],
    class_weights: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """Return the terms T*log(score), weighted, and which elements have a label.

    Scores that no target chooses become `neutral` (whose log is 0) first: 0 * log 0 would be NaN, in the gradient too.
    """
    if _is_index(scores, targets, dim):
        defined = targets >= 0
        index = targets.clamp(min=0).long()
        picked = scores.gather(dim, index.unsqueeze(dim)).squeeze(dim)
        terms = log(torch.where(defined, picked, neutral))
        return (terms if class_weights is None else terms * class_weights[index]), defined
    terms = log(torch.where(targets != 0, scores, neutral)) * targets
    if class_weights is not None:
        terms = terms * class_weights.reshape([-1 if axis == dim % scores.dim() else 1 for axis in range(scores.dim())])
    return terms, (targets != 0).any(dim)


def _count(scores: Tensor, defined: Tensor, over: str, counts_undefined: bool) -> Tensor | int:
    if over == "observations":
        return len(scores)
    return defined.numel() if counts_undefined else defined.sum()


def _classes(scores: Tensor, targets: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    if _is_index(scores, targets, dim):
        return targets, targets >= 0
    return targets.argmax(dim), (targets != 0).any(dim)


def _by_pixel(probabilities: Tensor, targets: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Return predictions and one-hot targets as N, classes, pixels; both are 0 where the label is undefined."""
    classes, defined = _classes(probabilities, targets, dim)
    one_hot = functional.one_hot(classes.clamp(min=0).long(), probabilities.shape[dim]).movedim(-1, 1)
    mask = defined.unsqueeze(1)
    chances = probabilities.movedim(dim, 1) * mask
    return chances.flatten(2), (one_hot * mask).to(chances).flatten(2)
