"""A recipe's network and data, ready to train: the files it names become observations, split, resized and augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.data.expected import Expected
from bridge.data.observations import read
from bridge.detection import is_detector, read_ground_truth
from bridge.errors import UsageError
from bridge.images import (
    ImageDatastore,
    augmentedImageDatastore,
    imageDatastore,
    pixelLabelDatastore,
    pixelLabelImageDatastore,
)
from bridge.network import Network
from bridge.recipes.parts import Data, changed
from bridge.recipes.recipe import Recipe
from bridge.training.objective import objective

Sets = tuple[Any, Any]  # training data, validation data or None
OF_IMAGES = (
    "split",
    "augmentation",
    "size",
    "OutputSizeMode",
    "ColorPreprocessing",
)  # entries of [data] for images in files alone


def network_and_data(recipe: Recipe, base: Network, data: Path | None = None) -> tuple[Network, Sets]:
    """Return the network after the recipe's edits, and its data; either may depend on the other."""
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


def count(data: Any) -> int:
    return len(data.targets) if hasattr(data, "targets") else len(data)


def order_in(path: Path) -> NDArray:
    """Read an order of observations from a text file.

    Raises:
        UsageError: it holds something else than whole numbers.
    """
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
