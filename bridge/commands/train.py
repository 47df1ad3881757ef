"""bridge train: a recipe and data become a trained network."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bridge.commands import completion
from bridge.commands.terminal import say
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.images import ImageDatastore, augmentedImageDatastore
    from bridge.network import Network
    from bridge.recipes.parts import Data
    from bridge.recipes.recipe import Recipe
    from bridge.training.history import TrainingInfo

Sets = tuple[Any, Any]  # training data, validation data or None
OF_IMAGES = (
    "split",
    "augmentation",
    "size",
    "OutputSizeMode",
    "ColorPreprocessing",
)  # entries of [data] for images in files alone


def train(
    recipe: str = typer.Argument(
        ...,
        help="A recipe (TOML), or the name of one that ships: googlenet-transfer, alexnet-transfer, ...",
        autocompletion=completion.recipes,
    ),
    data: Path | None = typer.Option(
        None,
        help="A folder with a folder for each class, a .csv of bridgeData, or a .mat; instead of the recipe's own.",
    ),
    output: Path = typer.Option(..., "-o", "--output", help="The folder for the network, the log and the checkpoint."),
    network: Path | None = typer.Option(None, help="The network to train, instead of the recipe's own file."),
    factors: Path | None = typer.Option(None, help="For an .onnx: a .mat of the same network, with its factors."),
    profile: Path | None = typer.Option(
        None, help="A profile of bridge calibrate: the switches of training of a release of MATLAB."
    ),
    resume: bool = typer.Option(
        False, "--resume", help="Go on from the checkpoint in the output folder, to the same bits."
    ),
    restart: bool = typer.Option(
        False, "--restart", help="Take the learnables of that checkpoint and begin anew, as MATLAB does."
    ),
    order: Path | None = typer.Option(
        None, help="A text file with the order of the observations, from 0: one line, or one for each epoch."
    ),
    cache_features: bool | None = typer.Option(
        None, help="Compute frozen layers once for each observation. Default: where it pays and changes no number."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Train a recipe as MATLAB would, or go on with it."""
    from bridge.commands import print_json
    from bridge.options.profile import TrainingProfile
    from bridge.readers import load
    from bridge.recipes.recipe import Recipe
    from bridge.training.distributed import rank
    from bridge.training.train import train as train_network

    if resume and restart:
        raise UsageError(
            "--resume and --restart",
            "one goes on with the solver of the checkpoint, the other begins anew",
            "choose one",
        )
    read = Recipe.load(recipe)
    if profile is not None:
        read = replace(read, options=TrainingProfile.load(profile).apply(read.options))
    base = load(network, factors=factors) if network is not None else read.load_base()
    net, (given, validation) = _network_and_data(read, base, data)
    info = train_network(
        net,
        given,
        read.options_for(_count(given)),
        loss=read.loss.name or None,
        class_weights=read.loss.class_weights or None,
        validation=validation,
        order=None if order is None else _order(order),
        output=output,
        resume=output if resume or restart else None,
        solver="restart" if restart else "continue",
        cache_features=cache_features,
        seed=read.seed,
    )
    if rank() > 0:
        return
    if as_json:
        print_json("train", _facts(info, output))
    else:
        say(_summary(info), f"saved to {output}")


def _network_and_data(recipe: Recipe, base: Network, data: Path | None) -> tuple[Network, Sets]:
    """Return the network after the recipe's edits, and its data; either may depend on the other."""
    from bridge.data.expected import Expected
    from bridge.data.observations import read
    from bridge.detection import is_detector, read_ground_truth
    from bridge.training.objective import objective

    path = data if data is not None else recipe.folder / recipe.data.path if recipe.data.path else None
    if path is None:
        raise UsageError(
            "the recipe names no data", "[data] has no path", "pass --data with a folder, a .csv or a .mat"
        )
    if recipe.data.labels:
        network = recipe.network(base, classes=tuple(recipe.data.label_values))
        return network, _with_label_images(recipe, path, network)
    network = base if recipe.takes_classes else recipe.network(base)
    if is_detector(network):
        objects = [
            read_ground_truth(each)
            for each in (path, *([recipe.folder / recipe.data.validation] if recipe.data.validation else []))
        ]
        return network, _prepared(recipe.data, objects[0], objects[-1] if len(objects) > 1 else None, network)
    by_class = (
        recipe.takes_classes
        or objective(network, recipe.options, recipe.loss.name or None, ends_in_softmax=True).by_class
    )
    expected = Expected.of(network, by_class)
    train, validation = read(path, expected)
    if recipe.data.validation:
        validation, _ = read(recipe.folder / recipe.data.validation, expected)
    if recipe.takes_classes:
        network = recipe.network(base, classes=_classes(train))
    return network, _prepared(recipe.data, train, validation, network)


def _refuse(data: Data, *names: str, why: str) -> None:
    """Refuse entries of [data] that would do nothing."""
    from bridge.recipes.parts import changed

    given = [name for name in names if name in changed(data)]
    if given:
        raise UsageError(f"[data] has {' and '.join(given)}", why, "leave that out")


def _classes(data: Any) -> tuple[str, ...]:
    """Return the class names of the data in MATLAB's order of categories."""
    return (
        tuple(data.classes) if hasattr(data, "classes") else tuple(sorted({str(name) for name in data.targets} - {""}))
    )


def _prepared(data: Data, train: Any, validation: Any, network: Network) -> Sets:
    """Split images, and bring them to their size and colours, the training images augmented."""
    from bridge.images import ImageDatastore

    if not isinstance(train, ImageDatastore):
        _refuse(data, *OF_IMAGES, why="the data are no images in files")
        return train, validation
    if data.split and (validation is None or data.validation):  # a file that names its own parts is not split
        train, rest, *_ = train.splitEachLabel(*data.split, randomized=data.randomized, seed=data.seed)
        validation = validation or (rest if data.validates else None)
    return _resized(data, train, network, augments=True), validation and _resized(
        data, validation, network, augments=False
    )


def _resized(data: Data, images: ImageDatastore, network: Network, augments: bool) -> augmentedImageDatastore:
    from bridge.data.expected import Expected
    from bridge.images import augmentedImageDatastore

    at = Expected.of(network, True).image
    return augmentedImageDatastore(
        tuple(n or 1 for n in (*(data.size or at.spatial), at.channels)),
        images,
        OutputSizeMode=data.OutputSizeMode,
        ColorPreprocessing=data.ColorPreprocessing,
        DataAugmentation=data.augmenter() if augments else None,
    )


def _with_label_images(recipe: Recipe, path: Path, network: Network) -> Sets:
    """Pair images with label images, and split them; the training images are augmented."""
    import numpy as np

    from bridge.data.expected import Expected
    from bridge.images import imageDatastore, pixelLabelDatastore, pixelLabelImageDatastore

    data, size = recipe.data, recipe.data.size or tuple(n or 1 for n in Expected.of(network, True).image.spatial)
    _refuse(data, "OutputSizeMode", why="images and label images are always resized")
    if data.validation or len(data.split) > 1 or any(part >= 1 for part in data.split):
        raise UsageError(
            "validation images with label images are a part of the others",
            "[data] names them otherwise",
            "write split = [0.7], say",
        )
    images = imageDatastore(path, IncludeSubfolders=True)
    values = {name: _identifiers(value) for name, value in data.label_values.items()}
    ignored = data.ignored if isinstance(data.ignored, str) else _identifiers(data.ignored)
    labels = pixelLabelDatastore(recipe.folder / data.labels, values, ignored=ignored, IncludeSubfolders=True)
    whole = np.random.default_rng(data.seed).permutation(len(images)) if data.randomized else np.arange(len(images))
    parts = np.split(whole, [int(data.split[0] * len(images))])[: 1 + data.validates] if data.split else [whole]
    sets = [
        pixelLabelImageDatastore(
            images.subset(part),
            labels.subset(part),
            size,
            ColorPreprocessing=data.ColorPreprocessing,
            DataAugmentation=augmenter,
        )
        for part, augmenter in zip(parts, (data.augmenter(), None), strict=False)
    ]
    return sets[0], sets[1] if len(sets) > 1 else None


def _identifiers(given: Any) -> Any:
    """Return the values or colours of a recipe as `pixelLabelDatastore` takes them."""
    return [tuple(each) if isinstance(each, tuple) else each for each in given] if isinstance(given, tuple) else given


def _count(data: Any) -> int:
    return len(data.targets) if hasattr(data, "targets") else len(data)


def _order(path: Path) -> Any:
    import numpy as np

    try:
        return np.loadtxt(
            path, dtype=np.int64, ndmin=1, delimiter="," if "," in path.read_text(encoding="utf-8") else None
        )
    except (OSError, ValueError) as error:
        raise UsageError(
            f"cannot read the order in {path}",
            str(error),
            "it holds whole numbers from 0: one line, or one line for each epoch",
        ) from error


def _summary(info: TrainingInfo) -> str:
    found = ", ".join(f"{name} {value:.6g}" for name, value in info.final.items())
    return (
        f"{info.StopReason} after {info.iterations} iterations; output network of iteration "
        f"{info.OutputNetworkIteration}{f'; {found}' if found else ''}"
    )


def _facts(info: TrainingInfo, output: Path) -> dict[str, Any]:
    from bridge.training.history import number

    facts = {name: value for name, value in info.facts().items() if name not in ("schema", "rows")}
    last = {name: number(value) for name, value in info.rows[-1].items()} if info.rows else {}
    return {**facts, "iterations": info.iterations, "last": last, "output": str(output)}
