"""A recipe is trained, or a training goes on: all that `bridge train` does.

recipe = Recipe.load("retrain-head").with_options(MaxEpochs=3)
info = train(recipe, data="images", network="net.mat", output="run")
info = go_on("run")
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from bridge.errors import UsageError
from bridge.files.run import is_run
from bridge.readers import load
from bridge.recipes.kept import started
from bridge.recipes.preparation import count, network_and_data, order_in
from bridge.recipes.recipe import Recipe, in_full
from bridge.training.history import TrainingInfo
from bridge.training.record import Record
from bridge.training.train import train as train_network

Given = str | Path | None


def train(
    recipe: Recipe,
    *,
    output: str | Path,
    data: Given = None,
    network: Given = None,
    factors: Given = None,
    order: Given = None,
    cache_features: bool | None = None,
    device: str | None = None,
    resume: bool = False,
    restart: bool = False,
    command: Sequence[str] = (),
) -> TrainingInfo:
    """Train a recipe. The output folder keeps it, with all that was given and the versions.

    Args:
        recipe: what is trained.
        output: the folder for the network, the log and the checkpoint.
        data: a folder with a folder for each class, a .csv of bridgeData, or a .mat, instead of the recipe's own.
        network: the network to train, instead of the recipe's own file.
        factors: for an .onnx: a .mat of the same network, with its factors.
        order: a text file with the order of the observations, from 0: one line, or one for each epoch.
        cache_features, device: see `bridge.train`.
        resume: go on from the checkpoint in the output folder, to the same bits.
        restart: take the learnables of that checkpoint and begin anew, as MATLAB does.
        command: what was called, for the record.

    Raises:
        UsageError: as `bridge.train`; or there is no training to go on with.
    """
    folder = Path(output)
    if resume and restart:
        raise UsageError(
            "--resume and --restart",
            "one goes on with the solver of the checkpoint, the other begins anew",
            "choose one",
        )
    if (resume or restart) and not is_run(folder):
        raise UsageError(
            f"{folder} holds no training to go on with",
            "it has no checkpoint, log or record of one" if folder.is_dir() else "there is no such folder",
            "leave --resume and --restart out to begin one",
        )
    base = recipe.load_base(factors) if network is None else load(network, factors=factors)
    net, (given, validation) = network_and_data(recipe, base, None if data is None else Path(data))
    return train_network(
        net,
        given,
        recipe.options_for(count(given)),
        loss=recipe.loss.name or None,
        class_weights=recipe.loss.class_weights or None,
        validation=validation,
        order=None if order is None else order_in(Path(order)),
        output=folder,
        resume=folder if resume or restart else None,
        solver="restart" if restart else "continue",
        cache_features=cache_features,
        device=device,
        seed=recipe.seed,
        record=_record(recipe, network, data, command, factors=factors, order=order, cache_features=cache_features),
    )


def go_on(run: str | Path, *, restart: bool = False, device: str | None = None) -> TrainingInfo:
    """Go on with a run, as `bridge train --resume RUN` does; see `train`."""
    recipe, given = started(run)
    return train(recipe, output=run, resume=not restart, restart=restart, device=device, **given)


def _record(recipe: Recipe, network: Given, data: Given, command: Sequence[str], **more: Any) -> Record:
    """Return a record whose recipe names the network and the data that were given, all in full."""
    kept = recipe.absolute()
    if network is not None:
        kept = replace(kept, base=replace(kept.base, file=in_full(network)))
    if data is not None:
        kept = replace(kept, data=replace(kept.data, path=in_full(data)))
    paths = {name: in_full(value) if isinstance(value, (str, Path)) else value for name, value in more.items()}
    facts = {"command": list(command), "network": kept.base.file or kept.base.name, "data": kept.data.path, **paths}
    return Record(kept.to_toml(), facts)
