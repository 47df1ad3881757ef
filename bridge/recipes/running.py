"""bridge.train: a network with data and options, or a recipe, is trained, or a training goes on.

info = train(net, (images, labels), options)
info = train(Recipe.load("retrain-head").with_options(MaxEpochs=3), "images", network="net.mat", output="run")
info = train("run", resume=True)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError
from bridge.files.run import is_run
from bridge.network import Layer, Network
from bridge.network.initialize import EVIDENCE
from bridge.options.options import TrainingOptions
from bridge.random import MatlabStream, stream_of
from bridge.readers import load
from bridge.recipes.kept import started
from bridge.recipes.parts import Rng
from bridge.recipes.preparation import count, network_and_data, order_in
from bridge.recipes.recipe import Recipe, in_full
from bridge.training.history import TrainingInfo
from bridge.training.randomness import Chance
from bridge.training.record import Record
from bridge.training.train import train as train_network

Model = Recipe | Network | nn.Module | str | Path


def train(
    model: Model,
    data: Any = None,
    options: TrainingOptions | None = None,
    *,
    network: Network | str | Path | None = None,
    factors: str | Path | None = None,
    loss: str | Callable[[Any, Tensor], Tensor] | None = None,
    class_weights: Sequence[float] | None = None,
    validation: Any = None,
    order: Sequence[Any] | NDArray | str | Path | None = None,
    layout: str | None = None,
    output: str | Path | None = None,
    resume: bool | str | Path | None = None,
    solver: str = "continue",
    cache_features: bool | None = None,
    device: str | None = None,
    modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    rng: int | MatlabStream | None = None,
    command: Sequence[str] = (),
) -> TrainingInfo:
    """Train as MATLAB does; `bridge.training.loop` tells the order of events.

    Args:
        model: a Network; or a module, which is trained in place: one of `Network.to_torch()` (then `loss` says the loss
            of the output layer, which the module does not know), or any other with a function as `loss`. Or a Recipe,
            its file or its name, which has network, edits, data, options, loss and random stream; or, to go on, the
            folder of a run.
        data: (inputs, targets) as arrays or tensors, an image datastore, a Dataset or DataLoader, or a path; see
            `bridge.data.observations`. Of a recipe, instead of its own; its [data] tells how images are split, brought
            to a size and augmented.
        options: trainingOptions of a Network or module. They hold the trainer, whose rules are followed.
        network: of a recipe: the network to train, or its file, instead of its own.
        factors: of a recipe whose network is an .onnx: a .mat of the same network, with its factors.
        loss: instead of that of the output layer: a name that `bridge.training.losses.loss` knows, or a function of
            predictions and targets (the mean over the observations); trainnet's lossFcn. Not of a recipe, which has
            its own; nor are class_weights.
        class_weights: of a cross entropy, one for each class, instead of those of the output layer.
        validation: like `data`; default: the validation part of a path or of a recipe's split, or ValidationData.
        order: in which order the observations are seen: each number from 0 once, or one such row for each epoch; or a
            text file of that.
        layout: "HWCN" or "NCHW", where an array of images could be both.
        output: a folder for the network, history.json, info.mat, the checkpoint and the plot; not for a module.
        resume: True goes on from the checkpoint in `output`; of a Network, a checkpoint or its folder does too, and
            where there is none yet, training starts at the beginning.
        solver: "continue" goes on to the same bits as if the training had never stopped; "restart" takes the learnables
            of the checkpoint and begins anew, as MATLAB does.
        cache_features: compute the layers before the first that trains once for each observation. Default: where it
            pays, fits into memory and changes no number; for a Dataset only if True, which says that its items never
            change.
        device: "cpu", "cuda" or "cuda:1"; default: what ExecutionEnvironment says.
        modules: of a Network, torch modules for layers of your own; see `Network.to_torch`.
        rng: a seed of MATLAB's rng, or a `bridge.random.MatlabStream`, which goes on. A recipe's split at random, the
            values of layers that have none and the order of the observations are drawn from it, in this order;
            dropout and augmentation are seeded by it, and are not MATLAB's. Default: the recipe's own, or 0, a fresh
            session of MATLAB.
        command: what was called, for the record in `output`.

    Returns:
        The log, with the trained module and, where a Network was given, the trained Network.

    Raises:
        UsageError: data, options and network do not fit each other; a checkpoint is of another recipe; there is no
            training to go on with; the loss is not finite.
        UnreadableError: a file of the data, or a checkpoint, is damaged.
        UnsupportedError: a layer, a loss or the solver is not supported.

    Example:
        >>> import torch
        >>> from bridge.options.options import training_options
        >>> from bridge.training.losses import half_mse
        >>> x = torch.arange(8.0).reshape(8, 1)
        >>> options = training_options("sgdm", MaxEpochs=2, MiniBatchSize=4, InitialLearnRate=0.01, Verbose=False)
        >>> info = train(nn.Linear(1, 1), (x, 2 * x), options, loss=half_mse)
        >>> info.iterations, info.StopReason
        (4, 'Max epochs completed')
    """
    how = {
        "validation": validation, "layout": layout, "solver": solver, "cache_features": cache_features,
        "device": device, "modules": modules,
    }  # fmt: skip
    if isinstance(model, (Network, nn.Module)):
        _refuse("a network has none of these, a recipe has", network=network, factors=factors)
        if options is None:
            hint = 'bridge.training_options("sgdm", MaxEpochs=5)'
            raise UsageError("there are no options to train with", "the network has none, a recipe has", hint)
        how |= {"loss": loss, "class_weights": class_weights, "output": output}
        how |= {"order": _order(order), "resume": output if resume is True else resume or None}
        return train_network(model, data, options, rng=0 if rng is None else rng, **how)
    _refuse("a recipe has its own", options=options, loss=loss, class_weights=class_weights)
    goes_on = resume is not None and resume is not False
    output = resume if isinstance(resume, (str, Path)) else output
    kept = {"factors": factors, "order": order, "cache_features": cache_features}
    if not isinstance(model, Recipe):
        model, output, started_with = _named(model, output, goes_on)
        kept = {name: started_with.get(name) if value is None else value for name, value in kept.items()}
    if goes_on:
        _require_run(output)
    how |= {"output": output, "resume": output if goes_on else None, **kept}
    return _train_recipe(model, data, network, rng, command, how)


def _train_recipe(
    recipe: Recipe,
    data: Any,
    network: Network | str | Path | None,
    rng: int | MatlabStream | None,
    command: Sequence[str],
    how: dict[str, Any],
) -> TrainingInfo:
    """Train a recipe; the output folder keeps it with all that was given.

    Args:
        how: what `train_network` takes, and the "factors" of an .onnx.
    """
    stream = recipe.rng.stream() if rng is None else stream_of(rng)
    recipe = replace(recipe, rng=Rng(stream.seed, stream.position))
    record = _record(recipe, network, data, command, how)
    factors = how.pop("factors")
    if network is None:
        network = recipe.load_base(factors)
    elif not isinstance(network, Network):
        network = load(network, factors=factors)
    net, (given, held) = network_and_data(recipe, network, data, stream)
    split = f"split: rng({stream.seed}), {EVIDENCE['L']}"
    return train_network(
        net,
        given,
        recipe.options_for(count(given)),
        loss=recipe.loss.name or None,
        class_weights=recipe.loss.class_weights or None,
        rng=stream,
        record=record,
        drawn_before=(Chance(split, "L"),) if stream.position > recipe.rng.skip else (),
        **{
            **how,
            "order": _order(how["order"]),
            "validation": held if how["validation"] is None else how["validation"],
        },
    )


def _named(
    model: str | Path, output: str | Path | None, goes_on: bool
) -> tuple[Recipe, str | Path | None, Mapping[str, Any]]:
    """Return the recipe of a file, a name or a run, where its training goes, and what the run was started with."""
    if not is_run(Path(model)):
        return Recipe.load(model), output, {}
    if not goes_on:
        hint = f"to go on with a training: bridge train --resume {model}; in Python resume=True"
        raise UsageError(f"{model} is a folder", "a recipe is a file", hint)
    recipe, kept = started(model)
    return recipe, model, kept


def _require_run(output: str | Path | None) -> None:
    if output is None or not is_run(Path(output)):
        raise UsageError(
            f"{output} holds no training to go on with",
            "it has no checkpoint, log or record of one" if output and Path(output).is_dir() else "there is no folder",
            "leave --resume and --restart (resume= in Python) out to begin one",
        )


def _order(given: Any) -> Any:
    return order_in(Path(given)) if isinstance(given, (str, Path)) else given


def _refuse(why: str, **given: Any) -> None:
    """Raise UsageError for arguments that are given."""
    names = [name for name, value in given.items() if value is not None]
    if names:
        raise UsageError(f"{' and '.join(names)} cannot be given here", why, "leave it out")


def _record(recipe: Recipe, network: Any, data: Any, command: Sequence[str], how: Mapping[str, Any]) -> Record:
    """Return a record whose recipe names the network and the data that were given, all in full; what lies in memory
    is not kept.
    """
    kept = recipe.absolute()
    if network is not None:
        kept = replace(kept, base=replace(kept.base, file=_path(network) or ""))
    if data is not None:
        kept = replace(kept, data=replace(kept.data, path=_path(data) or ""))
    more = {"factors": _path(how["factors"]), "order": _path(how["order"]), "cache_features": how["cache_features"]}
    facts = {"command": list(command), "network": kept.base.file or kept.base.name, "data": kept.data.path, **more}
    return Record(kept.to_toml(), facts)


def _path(given: Any) -> str | None:
    return in_full(given) if isinstance(given, (str, Path)) else None
