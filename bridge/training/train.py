"""bridge.train: a network, data and options become a trained network and its log."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from bridge.arrays.lazy import NDArray
from bridge.data.expected import Expected, lacking
from bridge.data.kept import Kept
from bridge.data.loading import Loader, loaders, telling_of_ended_processes
from bridge.data.observations import Sources, sources
from bridge.data.sources import DatasetSource, Request, SequenceSource, Source
from bridge.errors import BridgeError, UsageError, reading
from bridge.files.run import CHECKPOINT, HISTORY
from bridge.network import Layer, Network
from bridge.options.options import TrainingOptions
from bridge.random import MatlabStream, stream_of
from bridge.training import checkpoint, distributed, features
from bridge.training.batch_norm import batch_norms
from bridge.training.device import device_of, told
from bridge.training.feed import Feed
from bridge.training.folder import checkpoint_path, own_folder
from bridge.training.history import TrainingInfo, write_json
from bridge.training.input_statistics import reset_input_normalization, with_places
from bridge.training.interrupt import Interrupt
from bridge.training.loop import Loop, Outcome, finalizes, output_functions
from bridge.training.objective import Objective, objective
from bridge.training.order import Order, all_batches, mini_batches, validations
from bridge.training.progress import Progress
from bridge.training.randomness import Chance, in_a_line, not_random, of_training, of_weights
from bridge.training.record import Record

SOLVERS = ("continue", "restart")


def train(
    model: Network | nn.Module,
    data: Any,
    options: TrainingOptions,
    *,
    loss: str | Callable[[Any, Tensor], Tensor] | None = None,
    class_weights: Sequence[float] | None = None,
    validation: Any = None,
    order: Sequence[Any] | NDArray | None = None,
    layout: str | None = None,
    output: str | Path | None = None,
    resume: str | Path | None = None,
    solver: str = "continue",
    cache_features: bool | None = None,
    device: str | None = None,
    modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    rng: int | MatlabStream = 0,
    record: Record | None = None,
    drawn_before: Sequence[Chance] = (),
) -> TrainingInfo:
    """Train a network or module as MATLAB does; see `bridge.train`, which takes recipes too.

    Args:
        resume: a checkpoint, or the folder of one; where there is none yet, training starts at the beginning.
        rng: where the stream is when values of layers that have none are drawn, then the order of the observations.
        record: what the output folder keeps of how it was started, beside versions and device.
        drawn_before: what the stream has decided already, as a split of the data.
    """
    if solver not in SOLVERS:
        raise UsageError(f"solver is {solver!r}", f"it is {' or '.join(map(repr, SOLVERS))}")
    stream = stream_of(rng)
    seed, network = stream.seed + stream.position, model if isinstance(model, Network) else None
    weights = of_weights(network, stream)
    network = None if network is None else network.initialize(stream)
    if network is not None and options.ResetInputNormalization:
        network = with_places(network)
    with distributed.processes(), torch.random.fork_rng(), own_folder(output, network, resume, options) as folder:
        torch.manual_seed(seed + distributed.rank())
        module = _module(model if network is None else network, options, device, modules)
        optimizer = options.optimizer(module)
        goal, whole = _objective(module, network, options, loss, class_weights)
        held = sources(
            goal.prepare(data), goal.prepare(validation), Expected.of(network, goal.by_class), options, layout, seed
        )
        turns = _order(held, options, stream, order)
        identity = checkpoint.identity(module, options, **_facts(goal, class_weights, held, turns, stream))
        saved, found = _saved(resume, identity, solver)
        part, feeds, kept = _feeds(module, whole, held, options, turns, cache_features)
        loop = Loop(module, part, goal, options, *feeds, turns, optimizer, identity, folder or checkpoint_path(options))
        _begin(loop, module, saved, solver)
        lacks = lacking(network, options.trainer, loss if isinstance(loss, str) else "")
        notes = (*options.notes(lacks | not_random(turns, options, held)), *held.notes, *found)
        notes += (*_notes(loop, module, folder), *kept)
        if folder is not None and distributed.rank() == 0:
            (record or Record()).write(folder, _found(module, held, resume))
        random = in_a_line((*drawn_before, weights, *of_training(turns, options, module, held)))
        outcome = _run(loop, folder, notes, random)
        stream.skip(turns.doubles(loop.state.iteration))
        trained = None if network is None else _trained(network, module, held, outcome)
        info = _info(loop, outcome, notes, random, module, trained)
        if folder is not None and distributed.rank() == 0:
            info.save(folder)
    return info


def _module(
    model: Network | nn.Module,
    options: TrainingOptions,
    device: str | None,
    modules: Mapping[str, Callable[[Layer], nn.Module]] | None,
) -> nn.Module:
    """Return the module to train, where it is trained."""
    module = model.to_torch(modules=modules) if isinstance(model, Network) else model
    place = device_of(options, device)
    return module if place is None else module.to(place)


def _objective(
    module: nn.Module,
    network: Network | None,
    options: TrainingOptions,
    loss: Any,
    class_weights: Sequence[float] | None,
) -> tuple[Objective, nn.Module]:
    """Return the objective, and the module to run for it: without the last softmax where the loss takes logits."""
    is_graph = isinstance(module, fx.GraphModule)
    if not is_graph and not callable(loss):
        raise UsageError(
            "it is not said which loss to train with",
            "the model is no module of Network.to_torch()",
            "pass loss= with a function of predictions and targets",
        )
    bare = features.without_softmax(module) if isinstance(module, fx.GraphModule) else None
    device = next(module.parameters()).device
    goal = objective(network, options, loss, class_weights, ends_in_softmax=bare is not None, device=device)
    return goal, bare if bare is not None and goal.logits else module


def _order(held: Sources, options: TrainingOptions, rng: MatlabStream, given: Sequence[Any] | NDArray | None) -> Order:
    """Return the order of the observations, which begins where the stream is; the stream stays there."""
    if distributed.count() > min(options.MiniBatchSize, len(held.train)):
        few = f"{distributed.count()} processes cannot share a mini-batch"
        raise UsageError(few, "each needs an observation of it", "start fewer, or raise MiniBatchSize")
    draws = held.validation is not None and options.semantics.validation_draws
    count = len(held.validation) if held.validation is not None and draws else 0
    return Order(
        len(held.train),
        options.Shuffle,
        rng,
        given,
        composed=options.semantics.epoch_order == "composed",
        validated=lambda iterations: count * validations(iterations, options),
    )


def _facts(
    goal: Objective, class_weights: Sequence[float] | None, held: Sources, order: Order, rng: MatlabStream
) -> dict[str, Any]:
    """Return what a training that goes on must have in common with its checkpoint, beside network and options."""
    weights = None if class_weights is None else list(map(float, class_weights))
    facts: dict[str, Any] = {"loss": goal.name, "class weights": weights}
    for name, source in (("", held.train), ("validation ", held.validation)):
        facts |= {
            f"{name}observations": 0 if source is None else len(source),
            f"first {name}observation": _first(source),
        }
    return {
        **facts,
        "classes": held.classes,
        "order": order.checksum,
        "rng": rng.state,
        "processes": distributed.count(),
    }


def _first(source: Source | None) -> int | None:
    """Return a checksum of the first observation, as augmentation and padding leave it; None for a Dataset, which may
    draw at random.
    """
    if source is None or isinstance(source, DatasetSource):
        return None
    inputs, targets = source.load(Request(1, np.array([0])))
    numbers = [each if each.is_floating_point() else each.float() for each in inputs]
    return checkpoint.checksum((*numbers, targets if targets.is_floating_point() else targets.long()))


def _saved(
    resume: str | Path | None, identity: dict[str, Any], solver: str
) -> tuple[checkpoint.Checkpoint | None, list[str]]:
    """Return the checkpoint to go on from, and a note where there is none yet, or where it may not go on to the same
    bits.

    A new solver may have other options, but not another network.
    """
    if resume is None:
        return None, []
    path = Path(resume)
    if path.suffix != Path(CHECKPOINT).suffix and not (path / CHECKPOINT).is_file():
        return None, [f"{path} holds no checkpoint yet: the training started at the beginning"]
    saved = checkpoint.load(path)
    checkpoint.require_same(
        saved,
        identity if solver == "continue" else {name: identity[name] for name in ("network", "frozen values")},
        path,
    )
    here, there = checkpoint.computed_with(), saved.facts["computed with"]
    return saved, [
        f"the checkpoint was written with {there}, here are {here}: the last bits may differ"
    ] if solver == "continue" and here != there else []


def _feeds(
    module: nn.Module, whole: nn.Module, held: Sources, options: TrainingOptions, order: Order, caches: bool | None
) -> tuple[nn.Module, tuple[Feed, Feed | None], list[str]]:
    """Return what runs for each mini-batch, what feeds training and validation, and notes of what is kept in memory."""
    often = options.MaxEpochs > 1 or options.ResetInputNormalization
    loads, kept = loaders(held.each, next(module.parameters()).is_cuda, often)
    parts = _parts(whole, held, loads[0], options, order, caches)
    train, *others = (_feed(each, module, parts, caches is True) for each in loads)
    notes = [f"images are kept in memory once they are read: {math.ceil(kept / 2**20)} MB"] if kept else []
    if parts.fixed is not None:
        notes.append("features of the frozen layers are computed once for each observation")
    return parts.rest, (train, others[0] if others else None), notes


def _parts(
    whole: nn.Module, held: Sources, loader: Loader, options: TrainingOptions, order: Order, wanted: bool | None
) -> features.Split:
    """Split the network where features are cached; else run it as a whole."""
    everything, source = features.Split(None, whole, ""), held.train
    if wanted is False or (wanted is None and (options.MaxEpochs == 1 or isinstance(source, DatasetSource))):
        return everything
    parts = features.split(whole)
    first = next(mini_batches(order.epoch(1), options.MiniBatchSize))
    reason = parts.reason
    if parts.fixed is not None:
        (batch,) = Feed(loader, whole).batches(1, [first], distributed.part())
        count = len(source) + (len(held.validation) if held.validation is not None else 0)
        reason = features.why_not(parts, source, batch.inputs, order.varies, count if wanted is None else 0)
    if reason and wanted:
        raise UsageError(
            "cache_features: it would change the numbers, or cannot be done", reason, "leave cache_features out"
        )
    (refusals,) = distributed.sums([float(bool(reason))], next(whole.parameters()).device)
    return everything if refusals else parts


def _feed(loader: Loader, module: nn.Module, parts: features.Split, keeps_items: bool) -> Feed:
    """Return the feed of a source; features of a Dataset are kept only where its user said that its items
    never change.
    """
    keeps = parts.fixed is not None and (keeps_items or not isinstance(loader.source, DatasetSource))
    return Feed(loader, module, parts.fixed, Kept(len(loader.source)) if keeps else None)


def _begin(loop: Loop, module: nn.Module, saved: checkpoint.Checkpoint | None, solver: str) -> None:
    """Restore a checkpoint, or compute the statistics of the input layers."""
    if saved is not None and solver == "continue":
        with reading("the checkpoint"):
            loop.restore(saved)
        return
    if saved is not None:
        checkpoint.restore_tensors(module, saved.group("model"))
    if loop.options.ResetInputNormalization and isinstance(module, fx.GraphModule):
        loader = loop.train.loader
        if isinstance(loader.source, SequenceSource):
            loader = Loader(loader.source.unpadded())
        divided = all_batches(loop.order.epoch(1), 1 if loader.source.ragged else loop.options.MiniBatchSize)
        batches = Feed(loader, module).batches(1, divided)
        inputs = (batch.inputs for batch in batches)
        reset_input_normalization(module, inputs, loop.options.semantics.zscore_divisor)


def _found(module: nn.Module, held: Sources, resume: str | Path | None) -> dict[str, Any]:
    """Return what a start of a run has found, for its record."""
    return {
        "resumes": resume is not None,
        "device": str(next(module.parameters()).device),
        "threads": torch.get_num_threads(),
        "observations": len(held.train),
        "validation observations": len(held.validation) if held.validation is not None else 0,
    }


def _run(loop: Loop, folder: Path | None, notes: Sequence[str], random: str) -> Outcome:
    """Run the loop; what it logged before it failed is written."""
    metrics = [each.name for each in loop.objective.metrics]
    quiet = distributed.rank() > 0
    progress = Progress(
        loop.options, metrics, loop.validation is not None, loop.iterations, folder, loop.state.rows, quiet
    )
    for line in (*told(loop.model), random, *(f"note: {note}" for note in notes)):
        progress.say(line)
    try:
        with progress, Interrupt() as interrupt, telling_of_ended_processes():
            outcome = loop.run(progress, interrupt)
            progress.finish(outcome.reason)
    except BridgeError as error:
        if folder is not None and not quiet:
            with suppress(BridgeError):  # what stopped the training is what should be told
                failed = _info(loop, Outcome(error.error, {}, 0), notes, random, loop.model, None)
                write_json(folder / HISTORY, failed.facts())
        raise
    finally:
        for feed in filter(None, (loop.train, loop.validation)):
            feed.loader.close()
    return outcome


def _notes(loop: Loop, module: nn.Module, folder: Path | None) -> list[str]:
    options, notes = loop.options, [*loop.objective.notes]
    if batch_norms(module) and loop.validation is not None and finalizes(options):
        notes.append(
            "validation during training uses moving batch-norm statistics, as the final ones are computed after it "
            "(unconfirmed)"
        )
    if options.OutputFcn and not output_functions(options):
        notes.append("OutputFcn is no Python callable and is left out")
    if options.ExecutionEnvironment.startswith(("multi", "parallel")) and distributed.count() == 1:
        notes.append(f"ExecutionEnvironment is {options.ExecutionEnvironment!r}: start several processes with torchrun")
    if options.Plots != "none" and folder is None:
        notes.append("Plots: no page is written without an output folder")
    if options.CheckpointPath and folder is not None:
        notes.append("CheckpointPath is left out: checkpoints are written to the output folder")
    if np.size(options.WorkerLoad):
        notes.append("WorkerLoad is left out: processes share each mini-batch evenly")
    return notes


def _info(
    loop: Loop, outcome: Outcome, notes: Sequence[str], random: str, module: nn.Module, network: Network | None
) -> TrainingInfo:
    metrics = tuple(each.name for each in loop.objective.metrics)
    trainer, rows = loop.options.trainer, tuple(loop.state.rows)
    return TrainingInfo(
        trainer,
        metrics,
        rows,
        outcome.final,
        outcome.iteration,
        outcome.reason,
        tuple(notes),
        module,
        network,
        loop.options.profile,
        random,
    )


def _trained(network: Network, module: nn.Module, held: Sources, outcome: Outcome) -> Network:
    trained = network.with_weights(module).with_notes(
        f"trained by bridge up to iteration {outcome.iteration}: {outcome.reason}"
    )
    return replace(trained, classes=held.classes) if held.classes and trained.classes is None else trained
