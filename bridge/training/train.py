"""bridge.train: a network, data and options become a trained network and its log."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx, nn

from bridge.arrays.lazy import NDArray
from bridge.data.expected import Expected, lacking
from bridge.data.kept import Kept
from bridge.data.loading import Loader, loaders
from bridge.data.observations import Sources, sources
from bridge.data.sources import DatasetSource, Request, SequenceSource, Source
from bridge.errors import BridgeError, UsageError
from bridge.files.locks import sole_writer
from bridge.files.run import CHECKPOINT, HISTORY, NAMES
from bridge.network import Layer, Network
from bridge.options.options import TrainingOptions
from bridge.training import checkpoint, distributed, features
from bridge.training.batch_norm import batch_norms
from bridge.training.device import device_of, told
from bridge.training.feed import Feed
from bridge.training.history import TrainingInfo, write_json
from bridge.training.input_statistics import reset_input_normalization, with_places
from bridge.training.interrupt import Interrupt
from bridge.training.loop import Loop, Outcome, finalizes, output_functions
from bridge.training.objective import Objective, objective
from bridge.training.order import Order, all_batches, mini_batches
from bridge.training.progress import Progress
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
    seed: int = 0,
    record: Record | None = None,
) -> TrainingInfo:
    """Train a network as MATLAB does; `bridge.training.loop` tells the order of events.

    Args:
        model: a Network; or a module, which is trained in place: one of `Network.to_torch()` (then `loss` says the loss
            of the output layer, which the module does not know), or any other with a function as `loss`.
        data: (inputs, targets) as arrays or tensors, an image datastore, a Dataset or DataLoader, or a path; see
            `bridge.data.observations`.
        options: trainingOptions. They hold the trainer, whose rules are followed.
        loss: instead of that of the output layer: a name that `bridge.training.losses.loss` knows, or a function of
            predictions and targets (the mean over the observations); trainnet's lossFcn.
        class_weights: of a cross entropy, one for each class, instead of those of the output layer.
        validation: like `data`; default: the validation part of a path, or ValidationData.
        order: in which order the observations are seen: each number from 0 once, or one such row for each epoch.
        layout: "HWCN" or "NCHW", where an array of images could be both.
        output: a folder for the network, history.json, info.mat, the checkpoint and the plot; for a Network.
        resume: a checkpoint, or the folder of one, to go on from; where there is none yet, training starts at the
            beginning.
        solver: "continue" goes on to the same bits as if the training had never stopped; "restart" takes the learnables
            of the checkpoint and begins anew, as MATLAB does.
        cache_features: compute the layers before the first that trains once for each observation. Default: where it
            pays, fits into memory and changes no number; for a Dataset only if True, which says that its items never
            change.
        device: "cpu", "cuda" or "cuda:1"; default: what ExecutionEnvironment says.
        modules: of a Network, torch modules for layers of your own; see `Network.to_torch`.
        seed: of shuffling, augmentation and dropout; a whole number from 0.
        record: what the output folder keeps of how it was started, beside versions and device.

    Returns:
        The log, with the trained module and, where a Network was given, the trained Network.

    Raises:
        UsageError: data, options and network do not fit each other; a checkpoint is of another recipe; the loss is not
            finite.
        UnreadableError: a file of the data, or a checkpoint, is damaged.
        UnsupportedError: a layer, a loss or the solver is not supported.

    Example:
        >>> from bridge.options.options import training_options
        >>> from bridge.training.losses import half_mse
        >>> x = torch.arange(8.0).reshape(8, 1)
        >>> options = training_options("sgdm", MaxEpochs=2, MiniBatchSize=4, InitialLearnRate=0.01, Verbose=False)
        >>> info = train(nn.Linear(1, 1), (x, 2 * x), options, loss=half_mse)
        >>> info.iterations, info.StopReason
        (4, 'Max epochs completed')
    """
    if solver not in SOLVERS:
        raise UsageError(f"solver is {solver!r}", f"it is {' or '.join(map(repr, SOLVERS))}")
    if not isinstance(seed, int) or seed < 0:
        raise UsageError(f"the seed is {seed!r}", "it is a whole number from 0")
    network = model if isinstance(model, Network) else None
    if network is not None and options.ResetInputNormalization:
        network = with_places(network)
    with distributed.processes(), torch.random.fork_rng(), _folder(output, network, resume, options) as folder:
        torch.manual_seed(seed + distributed.rank())
        module: nn.Module = network.to_torch(modules=modules) if network is not None else model  # type: ignore[assignment]
        place = device_of(options, device)
        module = module if place is None else module.to(place)
        optimizer = options.optimizer(module)
        goal, whole = _objective(module, network, options, loss, class_weights)
        held = sources(
            goal.prepare(data), goal.prepare(validation), Expected.of(network, goal.by_class), options, layout, seed
        )
        if distributed.count() > min(options.MiniBatchSize, len(held.train)):
            few = f"{distributed.count()} processes cannot share a mini-batch"
            raise UsageError(few, "each needs an observation of it", "start fewer, or raise MiniBatchSize")
        turns = Order(len(held.train), options.Shuffle, seed, order)
        identity = checkpoint.identity(module, options, **_facts(goal, class_weights, held, turns, seed))
        saved, found = _saved(resume, identity, solver)
        loads, kept = loaders(
            held.each, next(module.parameters()).is_cuda, options.MaxEpochs > 1 or options.ResetInputNormalization
        )
        parts = _parts(whole, held, loads[0], options, turns, cache_features)
        feeds = [_feed(each, module, parts, cache_features is True) for each in loads]
        loop = Loop(
            module,
            parts.rest,
            goal,
            options,
            feeds[0],
            feeds[1] if len(feeds) > 1 else None,
            turns,
            optimizer,
            identity,
            folder or _checkpoint_path(options),
        )
        _begin(loop, module, saved, solver)
        notes = (
            *options.notes(lacking(network, options.trainer, loss if isinstance(loss, str) else "")),
            *held.notes,
            *found,
            *_notes(loop, module, folder, parts.fixed is not None, kept),
        )
        if folder is not None and distributed.rank() == 0:
            (record or Record()).write(folder, _found(module, held, resume))
        outcome = _run(loop, folder, notes)
        info = _info(
            loop, outcome, notes, module, None if network is None else _trained(network, module, held, outcome)
        )
        if folder is not None and distributed.rank() == 0:
            info.save(folder)
    return info


@contextmanager
def _folder(
    output: str | Path | None, network: Network | None, resume: str | Path | None, options: TrainingOptions
) -> Iterator[Path | None]:
    """Make the output folder, and keep it, or that of CheckpointPath, for this training while it runs.

    Raises:
        UsageError: the folder holds other files, or a training that is not to go on, or another process trains into it.
    """
    folder = Path(output) if output is not None else None
    kept = folder or _checkpoint_path(options)
    if folder is not None:
        _require_own(folder, network, resume)
    if kept is None or distributed.rank() > 0:
        yield folder
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {kept}", str(error), "choose another one") from error
    with sole_writer(kept):
        if folder is not None:
            _require_own(folder, network, resume)  # another training may have ended since
        yield folder


def _require_own(folder: Path, network: Network | None, resume: str | Path | None) -> None:
    """Raise UsageError unless a folder is free for a training, or holds the one that goes on."""
    if network is None:
        raise UsageError(
            "a module alone is not saved",
            "the names and layout of MATLAB are the Network's",
            "pass the Network, or save the module yourself",
        )
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if resume is None and held & {HISTORY, CHECKPOINT}:
        raise UsageError(
            f"{folder} holds a training already",
            "it is left as it is",
            "choose another folder, or go on with it: --resume",
        )
    others = sorted(name for name in held - NAMES if not name.startswith("."))
    if others:
        raise UsageError(
            f"{folder} holds other files: {', '.join(others[:3])}",
            "a training has a folder of its own",
            "choose another folder",
        )


def _checkpoint_path(options: TrainingOptions) -> Path | None:
    """Return the folder of CheckpointPath, which must be there already, as in MATLAB."""
    if options.CheckpointPath and not Path(options.CheckpointPath).is_dir():
        raise UsageError(
            f"CheckpointPath is {options.CheckpointPath!r}",
            "there is no such folder",
            "make it, or leave CheckpointPath out",
        )
    return Path(options.CheckpointPath) if options.CheckpointPath else None


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


def _facts(
    goal: Objective, class_weights: Sequence[float] | None, held: Sources, order: Order, seed: int
) -> dict[str, Any]:
    """Return what a training that goes on must have in common with its checkpoint, beside network and options."""
    weights = None if class_weights is None else list(map(float, class_weights))
    facts: dict[str, Any] = {"loss": goal.name, "class weights": weights}
    for name, source in (("", held.train), ("validation ", held.validation)):
        facts |= {
            f"{name}observations": 0 if source is None else len(source),
            f"first {name}observation": _first(source),
        }
    return {**facts, "classes": held.classes, "order": order.checksum, "seed": seed, "processes": distributed.count()}


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


def _run(loop: Loop, folder: Path | None, notes: Sequence[str]) -> Outcome:
    """Run the loop; what it logged before it failed is written."""
    metrics = [each.name for each in loop.objective.metrics]
    quiet = distributed.rank() > 0
    progress = Progress(
        loop.options, metrics, loop.validation is not None, loop.iterations, folder, loop.state.rows, quiet
    )
    for line in (*told(loop.model), *(f"note: {note}" for note in notes)):
        progress.say(line)
    try:
        with progress, Interrupt() as interrupt:
            outcome = loop.run(progress, interrupt)
            progress.finish(outcome.reason)
    except BridgeError as error:
        if folder is not None and not quiet:
            with suppress(BridgeError):  # what stopped the training is what should be told
                write_json(folder / HISTORY, _info(loop, Outcome(error.error, {}, 0), notes, loop.model, None).facts())
        raise
    finally:
        for feed in filter(None, (loop.train, loop.validation)):
            feed.loader.close()
    return outcome


def _notes(loop: Loop, module: nn.Module, folder: Path | None, cached: bool, kept: int) -> list[str]:
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
    if kept:
        notes.append(f"images are kept in memory once they are read: {math.ceil(kept / 2**20)} MB")
    return notes + (["features of the frozen layers are computed once for each observation"] if cached else [])


def _info(
    loop: Loop, outcome: Outcome, notes: Sequence[str], module: nn.Module, network: Network | None
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
    )


def _trained(network: Network, module: nn.Module, held: Sources, outcome: Outcome) -> Network:
    trained = network.with_weights(module).with_notes(
        f"trained by bridge up to iteration {outcome.iteration}: {outcome.reason}"
    )
    return replace(trained, classes=held.classes) if held.classes and trained.classes is None else trained
