"""What a training minimises and logs: the loss of a network's output layer, or one by name, and its metrics."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.data.expected import own_loss
from bridge.detection import BoxImages, Family, GroundTruth, family_of, is_detector, read_ground_truth
from bridge.errors import UsageError
from bridge.network import Layer, Network
from bridge.options.options import TrainingOptions
from bridge.tables.losses import LossRow, loss_row, loss_rows
from bridge.training import losses

METRICS = {"accuracy": "Accuracy", "rmse": "RMSE"}


@dataclass(frozen=True)
class Metric:
    """A number of the log that is a mean over a data set, with what is done to the mean at last.

    Attributes:
        name: as MATLAB's fields end: TrainingAccuracy, ValidationRMSE.
        measure: predictions and targets -> the mean of a mini-batch, and what it was taken over.
        finish: from the mean over everything to the number of the log.
    """

    name: str
    measure: Callable[[Tensor, Tensor], tuple[float, float]]
    finish: Callable[[float], float] = float


@dataclass(frozen=True)
class Objective:
    """What is minimised and logged.

    Attributes:
        name: of the loss.
        loss: predictions and targets -> the loss of a mini-batch.
        count: what the loss of a mini-batch was divided by. It weighs mini-batches of different sizes (proven: a
            partial validation mini-batch), and the parts of one that several processes share.
        metrics: the other numbers of the log.
        logits: whether the loss takes the input of the network's last softmax: the same numbers, without underflow.
        by_class: whether targets are classes; None: they tell it themselves.
        notes: what of it no run of MATLAB has confirmed.
        prepare: what a user gave as data -> data with such targets.
        per_step: whether the log has the loss divided by the (padded) time steps, which what is minimised is not
            (trainNetwork on sequences to sequences; proven: whole trainings, and points of a published plot).
    """

    name: str
    loss: Callable[[Any, Tensor], Tensor]
    count: Callable[[Any, Tensor], float]
    metrics: tuple[Metric, ...] = ()
    logits: bool = False
    by_class: bool | None = False
    notes: tuple[str, ...] = ()
    prepare: Callable[[Any], Any] = lambda data: data
    per_step: bool = False

    def logged(self, loss: Tensor, predictions: Any) -> Tensor:
        """Return what the log has of the loss of a mini-batch."""
        return loss / predictions.shape[1] if self.per_step else loss


def objective(
    network: Network | None,
    options: TrainingOptions,
    loss: str | Callable[[Any, Tensor], Tensor] | None = None,
    class_weights: Sequence[float] | None = None,
    *,
    ends_in_softmax: bool = True,
    device: torch.device | None = None,
) -> Objective:
    """Return the objective of a training.

    Args:
        network: its output layer says the loss, or, for trainnet without one, the softmax that it ends in.
        options: the trainer decides how the loss is normalised; Metrics are trainnet's columns.
        loss: instead: a name that `losses.loss` knows, or a function of predictions and targets that returns the mean
            over observations.
        class_weights: instead of those of the output layer, one for each class.
        ends_in_softmax: whether the module ends in a softmax that can be left out.
        device: of the predictions.

    Raises:
        UsageError: there is no loss, a metric is unknown or not for such targets, or the class weights do not fit.
    """
    output = _output_layer(network)
    own = own_loss(network, options.trainer) if network is not None else ""
    sequence = network is not None and network.size_of(network.outputs[0]).format == "CBT"
    if callable(loss):
        by_class = _targets(own, options.trainer) if own else None
        metrics = _metrics(options, by_class, sequence) if options.trainer == "trainnet" else ()
        return Objective(getattr(loss, "__name__", "a function"), loss, _observations, metrics, by_class=by_class)
    if network is not None and loss is None and is_detector(network) and (output is None or output.row.detector):
        return _of_detector(family_of(network), options)
    name = loss or own
    if not name:
        raise _without_loss(output)
    row = loss_row(name, options.trainer)
    weights = _weights(class_weights if class_weights is not None else _class_weights(output), network, device)
    logits = losses.takes_logits(row) and ends_in_softmax
    if losses.takes_logits(row) and not ends_in_softmax:
        raise UsageError(
            f"the loss '{name}' needs probabilities, and the module does not end in a softmax",
            "cross entropies of MATLAB take the output of a softmax",
            "build it with include_softmax=True, or pass loss=functools.partial(bridge.training.losses.cross_entropy, "
            "logits=True)",
        )
    own_arguments = {
        argument: output.properties[name]
        for argument, name in row.arguments.items()
        if output is not None and name in output.properties
    }
    function = losses.loss(
        name,
        options.semantics,
        sequence=sequence,
        class_weights=weights if losses.takes_logits(row) else None,
        logits=logits,
        arguments=own_arguments,
    )
    metrics = _metrics(options, row.targets == "classes", sequence)
    notes = () if row.evidence != "U" else (f"the loss '{name}' is unconfirmed: {row.note}",)
    return Objective(
        name if output is None or loss or options.trainer == "trainnet" else output.kind,
        function,
        _count(row, options, sequence),
        metrics,
        logits,
        row.targets == "classes",
        notes,
        per_step=row.per_step and sequence,
    )


def _of_detector(family: Family, options: TrainingOptions) -> Objective:
    """Return the objective of a detector; trainNetwork logs the root of a YOLO v2 detector's loss as its RMSE (proven:
    all values of a log).
    """
    loss = family.loss(options.semantics)

    def prepare(data: Any) -> Any:
        truth = read_ground_truth(Path(data)) if isinstance(data, (str, Path)) else data
        resize = family.training_resize(options.semantics)
        return BoxImages(truth, family, resize) if isinstance(truth, GroundTruth) else truth

    rmse = Metric("RMSE", lambda output, targets: (float(loss(output, targets)), len(targets)), math.sqrt)
    metrics = (rmse,) if options.trainer == "trainNetwork" and family.row.logs_rmse else ()
    return Objective(family.row.loss, loss, _observations, metrics, notes=loss.notes, prepare=prepare)


def _output_layer(network: Network | None) -> Layer | None:
    return next((layer for layer in network.layers if layer.row.is_output), None) if network is not None else None


def _targets(name: str, trainer: str) -> bool | None:
    """Whether the targets of a loss are classes; None where it has no row."""
    row = loss_rows(trainer).get(name)
    return None if row is None else row.targets == "classes"


def _class_weights(output: Layer | None) -> Sequence[float] | None:
    weights = output.properties.get("ClassWeights") if output is not None else None
    is_known = output is None or not output.row.is_unknown  # what they mean to a class of a user is not known
    return weights if is_known and isinstance(weights, (tuple, list)) and len(weights) > 0 else None


def _without_loss(output: Layer | None) -> UsageError:
    error = "it is not said which loss to train with"
    if output is None or not output.row.is_unknown:
        cause = "the network has no output layer and ends in no softmax"
        return UsageError(error, cause, "pass loss=, as trainnet's lossFcn")
    return UsageError(
        error,
        f"the output layer '{output.name}' is a {output.kind}, whose loss no table knows",
        "pass loss= (name = in the recipe's [loss]), and class_weights= where it has some",
    )


def _weights(given: Sequence[float] | None, network: Network | None, device: torch.device | None) -> Tensor | None:
    """Return class weights as a tensor, checked where the network says how many classes there are."""
    if given is None:
        return None
    count = network.size_of(network.outputs[0]).channels if network is not None else None
    try:
        weights = torch.as_tensor(given, dtype=torch.float32, device=device)
    except (TypeError, ValueError):
        weights = torch.empty(0, 0)
    if weights.dim() != 1 or count not in (None, len(weights)) or not bool((weights >= 0).all()):
        cause = "there is one for each class, and none is negative" + (
            f"; the network predicts {count}" if count is not None else ""
        )
        raise UsageError(f"the class weights are {given}", cause, "give them in the order of the network's classes")
    return weights


def _count(row: LossRow, options: TrainingOptions, sequence: bool) -> Callable[[Tensor, Tensor], float]:
    over = getattr(options.semantics, row.divides, row.divides)
    if over == "elements" and not options.semantics.undefined_labels_count:
        return partial(_defined, dim=-1 if sequence else 1)
    if over == "elements":
        return lambda predictions, targets: predictions.numel() / predictions.shape[-1 if sequence else 1]
    return _values if over == "values" else _observations


def _observations(predictions: Any, targets: Tensor) -> float:
    return len(targets)


def _values(predictions: Tensor, targets: Tensor) -> float:
    return targets.numel()


def _defined(predictions: Tensor, targets: Tensor, dim: int) -> float:
    """Return how many elements have a label."""
    is_one_hot = targets.shape == predictions.shape
    return float(((targets != 0).any(dim) if is_one_hot else targets >= 0).sum())


def _metrics(options: TrainingOptions, by_class: bool | None, sequence: bool) -> tuple[Metric, ...]:
    """trainNetwork logs accuracy or RMSE, trainnet what Metrics says."""
    if options.trainer == "trainNetwork":
        names: tuple[str, ...] = ("accuracy",) if by_class else ("rmse",)
    else:
        asked = options.Metrics if isinstance(options.Metrics, (tuple, list)) else (options.Metrics,)
        names = tuple(str(each).lower() for each in asked)
    unknown = [name for name in names if name not in METRICS]
    if unknown:
        raise UsageError(
            f"the metric '{unknown[0]}' is not known",
            f"there are {', '.join(METRICS)}",
            "an OutputFcn can compute others",
        )
    if by_class is False and "accuracy" in names:
        raise UsageError(
            "the metric 'accuracy' counts classes",
            "the network is trained to predict numbers",
            "leave it out of Metrics",
        )
    return tuple(_accuracy(sequence) if name == "accuracy" else _rmse(options, sequence) for name in names)


def _accuracy(sequence: bool) -> Metric:
    def measure(scores: Tensor, targets: Tensor) -> tuple[float, float]:
        right, count = losses.hits(scores, targets, dim=-1 if sequence else 1)
        return 100 * (right / count) if count else math.nan, count

    return Metric("Accuracy", measure)


def _rmse(options: TrainingOptions, sequence: bool) -> Metric:
    over = options.semantics.rmse_over

    def measure(predictions: Tensor, targets: Tensor) -> tuple[float, float]:
        square = losses.rmse(predictions, targets, over=over, sequence=sequence) ** 2
        return square, len(targets) if over == "observations" else targets.numel()

    return Metric("RMSE", measure, math.sqrt)
