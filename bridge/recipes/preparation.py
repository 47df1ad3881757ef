"""A recipe's network and data, ready to train: the files it names become observations, split, resized and augmented."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.data.expected import Expected
from bridge.data.files import folder
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
from bridge.random import MatlabStream
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


def network_and_data(recipe: Recipe, base: Network, data: Any, rng: MatlabStream) -> tuple[Network, Sets]:
    """Return the network after the recipe's edits, without values for new learnables, and its data; either may depend
    on the other.

    Args:
        recipe: what is trained.
        base: the network that the edits change.
        data: instead of the recipe's own: a path, or what else `bridge.train` takes.
        rng: a split at random draws from it.

    Raises:
        UsageError: there are no data, or [data] says of them what cannot be done.
    """
    if data is None:
        data = recipe.folder / recipe.data.path if recipe.data.path else None
    if data is None:
        raise UsageError(
            "the recipe names no data", "[data] has no path", "pass --data with a folder, a .csv or a .mat"
        )
    path = Path(data) if isinstance(data, (str, Path)) else None
    if recipe.data.labels:
        if path is None:
            raise UsageError("[data] has labels", "the images are not named by a folder", "leave labels out")
        network = recipe.edited(base, tuple(recipe.data.label_values))
        return network, _with_label_images(recipe, path, network, rng)
    network = base if recipe.takes_classes else recipe.edited(base)
    if is_detector(network):
        objects = data if path is None else read_ground_truth(path)
        held = read_ground_truth(recipe.folder / recipe.data.validation) if recipe.data.validation else None
        return network, _prepared(recipe.data, objects, held, network, rng)
    by_class = (
        recipe.takes_classes
        or objective(network, recipe.options, recipe.loss.name or None, ends_in_softmax=True).by_class
    )
    expected = Expected.of(network, by_class)
    train, validation = read(path, expected) if path is not None else (data, None)
    if recipe.data.validation:
        validation, _ = read(recipe.folder / recipe.data.validation, expected)
    if recipe.takes_classes:
        network = recipe.edited(base, _classes(train))
    return network, _prepared(recipe.data, train, validation, network, rng)


def test_images(recipe: Recipe, data: Path | None = None) -> ImageDatastore | None:
    """Return the images of a folder that neither train nor validate by the split; None where there are none."""
    of, path = recipe.data, data if data is not None else recipe.folder / recipe.data.path
    if not of.split or of.labels or not path.is_dir():
        return None
    images = folder(path)
    _, *parts = images.splitEachLabel(*of.split, randomized=of.randomized, rng=recipe.rng.stream())
    left = [file for part in parts[1 if of.validates and not of.validation else 0 :] for file in part.Files]
    return images.subset(map(images.Files.index, left)) if left else None


def _refuse(data: Data, *names: str, why: str) -> None:
    """Refuse entries of [data] that would do nothing."""
    given = [name for name in names if name in changed(data)]
    if given:
        raise UsageError(f"[data] has {' and '.join(given)}", why, "leave that out")


def _classes(data: Any) -> tuple[str, ...]:
    """Return the class names of the data in MATLAB's order of categories."""
    if hasattr(data, "classes"):
        return tuple(data.classes)
    targets = data[1] if isinstance(data, (tuple, list)) and len(data) == 2 else getattr(data, "targets", ())
    return tuple(sorted({str(name) for name in targets} - {""}))


def _prepared(data: Data, train: Any, validation: Any, network: Network, rng: MatlabStream) -> Sets:
    """Split images, and bring them to their size and colours, the training images augmented."""
    if not isinstance(train, ImageDatastore):
        _refuse(data, *OF_IMAGES, why="the data are no images in files")
        return train, validation
    if data.split and (validation is None or data.validation):  # a file that names its own parts is not split
        train, rest, *_ = train.splitEachLabel(*data.split, randomized=data.randomized, rng=rng)
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


def _with_label_images(recipe: Recipe, path: Path, network: Network, rng: MatlabStream) -> Sets:
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
    whole = rng.randperm(len(images))[0] - 1 if data.randomized else np.arange(len(images))
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
    """Return how many observations there are."""
    if isinstance(data, (tuple, list)) and len(data) == 2:
        return len(data[1])
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
