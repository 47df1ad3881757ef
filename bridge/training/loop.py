"""The loop of a training: MATLAB's order of events, for trainNetwork and trainnet.

1. trainnet validates the network as it is: iteration 0.
2. Each epoch: the order of the observations, mini-batches without the partial one. Each iteration: the base rate; the
   forward pass, with batch norms on the mini-batch's own statistics and live dropout, in frozen layers too (the latter
   unconfirmed); the loss is logged; the backward pass and the update; validation, by trainNetwork after iteration 1, by
   both at every ValidationFrequency and after the last.
3. The output network is that of the last iteration or of the best validation; its batch-norm statistics are computed
   over all training data ('population'), and it is validated once more.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from bridge.data.sources import Batch, Request
from bridge.errors import UsageError
from bridge.options.options import TrainingOptions
from bridge.options.schedules import rate
from bridge.training import checkpoint, distributed
from bridge.training.batch_norm import batch_norms, finalize_batch_norm, moving_statistics
from bridge.training.carried import CarriedState
from bridge.training.checkpoint import Checkpoint
from bridge.training.feed import Feed
from bridge.training.history import Row
from bridge.training.interrupt import Interrupt
from bridge.training.means import Means
from bridge.training.not_finite import not_finite
from bridge.training.objective import METRICS, Objective
from bridge.training.order import Order, all_batches, iterations_per_epoch, mini_batches, validates_at
from bridge.training.progress import Progress
from bridge.training.solver import Solver

COMPLETED, PATIENCE = "Max epochs completed", "Met validation criterion"
STOPPED, OUTPUT_FCN = "Stopped manually", "Stopped by OutputFcn"


@dataclass
class State:
    """What changes from iteration to iteration, beside the network and the solver.

    Attributes:
        iteration: how many were done.
        elapsed: seconds of training before this process.
        rows: the log.
        best: the smallest validation loss so far, or what ObjectiveMetricName says (an accuracy with its sign turned).
        best_iteration: when it was reached.
        best_tensors: what changes of the network, as it was then.
        misses: validations without a smaller one, for ValidationPatience.
    """

    iteration: int = 0
    elapsed: float = 0.0
    rows: list[Row] = field(default_factory=list)
    best: float = math.inf
    best_iteration: int = 0
    best_tensors: dict[str, Tensor] = field(default_factory=dict)
    misses: int = 0


@dataclass(frozen=True)
class Outcome:
    """How a training ended.

    Attributes:
        reason: why.
        final: the last validation, of the output network.
        iteration: the iteration that the output network is from.
    """

    reason: str
    final: Mapping[str, float]
    iteration: int


@dataclass
class Loop:
    """One training.

    Attributes:
        model: the whole module.
        part: what is run and trained of it: all, or what follows the features that are cached; without the last softmax
            where the loss takes logits.
        objective: what is minimised and logged.
        options: MATLAB's.
        train, validation: the data.
        order: of the observations.
        optimizer: the solver.
        identity: what a checkpoint must have in common with this training.
        folder: where checkpoints are written, or None.
        state: where the training is.
    """

    model: nn.Module
    part: nn.Module
    objective: Objective
    options: TrainingOptions
    train: Feed
    validation: Feed | None
    order: Order
    optimizer: Solver
    identity: Mapping[str, Any]
    folder: Path | None
    state: State = field(default_factory=State)

    def __post_init__(self) -> None:
        options = self.options
        self._size = options.MiniBatchSize
        self._per_epoch = self.order.iterations = self._iterations_per_epoch()
        self.iterations = options.MaxEpochs * self._per_epoch
        self._patience = options.ValidationPatience
        self._goal, self._keeps_best = _goal(options, self.objective), _keeps_best(options, self.validation is not None)
        self._checkpoints_every = options.CheckpointFrequency * (
            self._per_epoch if options.CheckpointFrequencyUnit == "epoch" else 1
        )
        self._functions = output_functions(options)
        self._device = next(self.model.parameters()).device
        self._carried = CarriedState(self.part)

    def _iterations_per_epoch(self) -> int:
        """Return the number of mini-batches of an epoch, or of the pieces that their sequences are split into.

        Raises:
            UsageError: epochs have different numbers of them, which schedules and checkpoints cannot count.
        """
        if not self._splits:
            return iterations_per_epoch(len(self.train), self._size)
        self.order.iterations = self._pieces(1)
        epochs = range(1, self.options.MaxEpochs + 1) if self.order.varies else (1,)
        counts = {self._pieces(epoch) for epoch in epochs}
        if len(counts) > 1 or distributed.count() > 1:
            what = (
                "the epochs would have different numbers of iterations"
                if len(counts) > 1
                else "several processes share each mini-batch"
            )
            raise UsageError(
                f"SequenceLength {self.options.SequenceLength} splits sequences",
                what,
                "choose Shuffle 'once', and one process",
            )
        return counts.pop()

    def _pieces(self, epoch: int) -> int:
        return sum(len(self.train.pieces(each)) for each in mini_batches(self.order.epoch(epoch), self._size))

    @property
    def _splits(self) -> bool:
        """Whether SequenceLength splits sequences."""
        return self.train.pieces(self.order.epoch(1)) != (None,)

    def run(self, progress: Progress, interrupt: Interrupt) -> Outcome:
        """Train, from where `state` is.

        Raises:
            UsageError: the loss is not finite, or a checkpoint cannot be written.
        """
        self._started = time.perf_counter() - self.state.elapsed
        self._forward = distributed.share_gradients(self.part)
        handed_on = self._carried.handed_on() if self._splits else nullcontext()
        with moving_statistics(self.model, self.options.semantics.batchnorm_variance), handed_on:
            reason = self._iterate(progress, interrupt)
        return self._finish(reason)

    def _iterate(self, progress: Progress, interrupt: Interrupt) -> str:
        state = self.state
        if state.iteration == 0 and self.validation is not None and validates_at(0, self.iterations, self.options):
            self._log({**self._row(0), **self._validate()}, progress)
        if state.misses >= self._patience:
            return PATIENCE
        for epoch, batch in self._mini_batches():
            state.iteration += 1
            row = self._step(epoch, batch)
            if self.validation is not None and validates_at(state.iteration, self.iterations, self.options):
                row |= self._validate()
            self._log(row, progress)
            stop = self._asked_to_stop(row, interrupt)
            self._save_checkpoint(stop)
            if stop or state.misses >= self._patience:
                return stop or PATIENCE
        return COMPLETED

    def _mini_batches(self) -> Iterator[tuple[int, Batch]]:
        """Yield epoch and mini-batch of every iteration that is left."""
        for epoch in range(self.state.iteration // self._per_epoch + 1, self.options.MaxEpochs + 1):
            done = self.state.iteration - (epoch - 1) * self._per_epoch
            divided = mini_batches(self.order.epoch(epoch), self._size)
            requests = [
                Request(epoch, indices, distributed.part(), piece)
                for indices in divided
                for piece in self.train.pieces(indices)
            ][done:]
            for request, batch in zip(requests, self.train.load(requests), strict=True):
                if request.piece == 0:
                    self._carried.clear()
                yield epoch, batch

    def _step(self, epoch: int, batch: Batch) -> Row:
        """Do one iteration and return its row, with the loss before the update."""
        if not self.model.training:
            self.model.train()
        row = self._row(epoch)
        for group in self.optimizer.param_groups:
            group["lr"] = row["BaseLearnRate"]
        self.optimizer.zero_grad()
        predictions = self._forward(*batch.inputs)
        loss = self.objective.loss(predictions, batch.targets)
        means = Means(self.objective)
        means.add(predictions, self.objective.logged(loss, predictions), batch.targets)
        share = means.join(self._device)
        row |= means.named("Training")
        if not math.isfinite(row["TrainingLoss"]):
            raise not_finite(row, self.part, batch.inputs)
        (loss if share == 1 else loss * share).backward()
        self.optimizer.step()
        return row

    def _row(self, epoch: int) -> Row:
        iteration = self.state.iteration
        base = rate(self.options, max(iteration, 1), self._per_epoch)
        return {"Iteration": iteration, "Epoch": epoch, "TimeElapsed": 0.0, "BaseLearnRate": base}

    def _log(self, row: Row, progress: Progress) -> None:
        row["TimeElapsed"] = time.perf_counter() - self._started
        self.state.rows.append(row)
        progress.update(row)

    def _asked_to_stop(self, row: Row, interrupt: Interrupt) -> str:
        asked = [float(interrupt.asked), float(any([function(dict(row)) for function in self._functions]))]
        by_user, by_function = distributed.agreed(asked, self._device)
        return STOPPED if by_user else OUTPUT_FCN if by_function else ""

    # Validation

    def _validate(self) -> Row:
        """Validate; keep the network where it is the best so far, else count for ValidationPatience."""
        found, state = self._evaluate(), self.state
        value = found[f"Validation{self._goal}"] * (-1 if self._goal == "Accuracy" else 1)
        if value < state.best:
            state.best, state.best_iteration = value, state.iteration
            state.misses = 0 if self.options.semantics.patience_resets else state.misses
            if self._keeps_best:
                state.best_tensors = {
                    name: tensor.clone() for name, tensor in checkpoint.changing_tensors(self.model).items()
                }
        else:
            state.misses += 1
        return found

    def _evaluate(self) -> dict[str, float]:
        """Return loss and metrics over all validation data."""
        assert self.validation is not None
        self.model.eval()
        means = Means(self.objective)
        with torch.no_grad():
            for batch in self.validation.batches(1, all_batches(np.arange(len(self.validation)), self._size)):
                predictions = self.part(*batch.inputs)
                loss = self.objective.loss(predictions, batch.targets)
                means.add(predictions, self.objective.logged(loss, predictions), batch.targets)
        found = means.named("Validation")
        return dict(zip(found, distributed.agreed(list(found.values()), self._device), strict=True))

    # The end

    def _finish(self, reason: str) -> Outcome:
        """Choose the output network, finalise its statistics and validate it."""
        iteration = self.state.iteration
        if self._keeps_best and self.state.best_tensors:
            checkpoint.restore_tensors(self.model, self.state.best_tensors)
            iteration = self.state.best_iteration
        if finalizes(self.options) and batch_norms(self.model):
            epoch = max(math.ceil(self.state.iteration / self._per_epoch), 1)
            divided = all_batches(self.order.epoch(epoch), self._size)
            finalize_batch_norm(self.part, (batch.inputs for batch in self.train.batches(epoch, divided)))
        self.model.eval()
        final = (
            {f"Final{name}": value for name, value in self._evaluate().items()} if self.validation is not None else {}
        )
        return Outcome(reason, final, iteration)

    # Checkpoints

    def _save_checkpoint(self, stop: str) -> None:
        if self.folder is None or (self.state.iteration % self._checkpoints_every and not stop):
            return
        random = distributed.gathered(checkpoint.random_state(self._device), self._device)
        if distributed.rank() == 0:
            self._checkpoint(random).save(self.folder)

    def _checkpoint(self, random: Tensor) -> Checkpoint:
        state = self.state
        groups = {
            "model": checkpoint.changing_tensors(self.model),
            "solver": checkpoint.solver_tensors(self.optimizer),
            "best": state.best_tensors,
            "carried": self._carried.tensors(),
        }
        tensors = {f"{group}/{name}": value for group, held in groups.items() for name, value in held.items()}
        plain = {name: getattr(state, name) for name in ("iteration", "rows", "best", "best_iteration", "misses")}
        facts = {"schema": checkpoint.SCHEMA, "identity": self.identity, "computed with": checkpoint.computed_with()}
        return Checkpoint(
            {**tensors, "random": random}, {**facts, "elapsed": time.perf_counter() - self._started, **plain}
        )

    def restore(self, saved: Checkpoint) -> None:
        """Go back to where a checkpoint was written."""
        facts = saved.facts
        checkpoint.restore_tensors(self.model, saved.group("model"))
        checkpoint.restore_solver(self.optimizer, saved.group("solver"), facts["iteration"])
        self._carried.restore(saved.group("carried"))
        self.state = State(
            facts["iteration"],
            facts["elapsed"],
            facts["rows"],
            facts["best"],
            facts["best_iteration"],
            saved.group("best"),
            facts["misses"],
        )
        checkpoint.restore_random_state(saved.tensors["random"][distributed.rank()], self._device)


def finalizes(options: TrainingOptions) -> bool:
    """Whether batch-norm statistics are computed over all data after training ('population')."""
    statistics = options.BatchNormalizationStatistics
    return (options.semantics.batchnorm_auto if statistics == "auto" else statistics) == "population"


def output_functions(options: TrainingOptions) -> tuple[Callable[[Row], Any], ...]:
    """Return what is called with each row and may stop the training; functions of MATLAB's in a saved object are no
    callables.
    """
    given = options.OutputFcn
    return tuple(each for each in (given if isinstance(given, (list, tuple)) else (given,)) if callable(each))


def _goal(options: TrainingOptions, objective: Objective) -> str:
    """Return what patience and the best validation go by: "Loss", or the metric of ObjectiveMetricName."""
    asked = "loss" if options.OutputNetwork == "best-validation-loss" else str(options.ObjectiveMetricName).lower()
    names = {
        "loss": "Loss",
        **{word: name for word, name in METRICS.items() if name in [each.name for each in objective.metrics]},
    }
    if asked not in names:
        raise UsageError(
            f"ObjectiveMetricName is {options.ObjectiveMetricName!r}",
            f"the training logs {', '.join(names)}",
            "add it to Metrics",
        )
    return names[asked]


def _keeps_best(options: TrainingOptions, validates: bool) -> bool:
    if options.OutputNetwork.startswith("best") and not validates:
        raise UsageError(
            f"OutputNetwork is {options.OutputNetwork!r}, and there are no validation data",
            "the best is told by validating",
            "pass validation=",
        )
    return validates and options.OutputNetwork != "last-iteration"
