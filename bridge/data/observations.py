"""What a user gives as data, as sources of observations, checked against the network before training starts.

- (inputs, targets): arrays or tensors. Images are H,W,C,N or N,C,H,W; features and responses N,C; sequences a list with
  a matrix for each, C x T for trainNetwork, T x C for trainnet; several inputs a tuple. Targets are class names, class
  indices from 0, or numbers.
- an imageDatastore or augmentedImageDatastore of `bridge.images`; the former's images are brought to the input layer's
  size. A pixelLabelImageDatastore, for a segmentation network.
- a torch Dataset of (input, target), or a DataLoader, of which dataset, collate_fn and workers are taken: mini-batches
  and order are MATLAB's.
- a path: a folder with a folder of images for each class; a .csv of bridgeData; a .mat with one variable for the inputs
  and one for the targets, and as many for validation, told by "val" in their names.

Labels and classes are joined by name. Without a Network (a module alone) tensors are taken as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset

from bridge.data import convert, files, mat_data
from bridge.data.expected import Expected
from bridge.data.in_memory import array_source
from bridge.data.pixels import pixel_source
from bridge.data.sources import DatasetSource, ImageSource, SequenceSource, Source
from bridge.errors import UsageError
from bridge.images import ImageDatastore, augmentedImageDatastore, pixelLabelImageDatastore
from bridge.options.options import TrainingOptions

BRIGHTEST = 255.0  # of an image file of 8 bits


@dataclass(frozen=True)
class Sources:
    """The data of a training.

    Attributes:
        train, validation: observations.
        classes: class names in the order of the indices, or ().
        notes: what a user should know.
    """

    train: Source
    validation: Source | None
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def each(self) -> list[Source]:
        """Those of the training, and those of the validation where there are some."""
        return [self.train] if self.validation is None else [self.train, self.validation]


def sources(
    data: Any, validation: Any, expected: Expected, options: TrainingOptions, layout: str | None = None, seed: int = 0
) -> Sources:
    """Return the data of a training.

    Args:
        data, validation: see above; without `validation`, the validation part of a path, or ValidationData.
        expected: what the network expects.
        options: the trainer, SequenceLength and padding, InputDataFormats, MiniBatchSize.
        layout: of arrays of images, "HWCN" or "NCHW", where both orders fit.
        seed: of augmentation.

    Raises:
        UsageError: the data do not fit the network, or each other.
        UnreadableError: a file is missing, or not what it should be.
    """
    given, own = _parts(data, expected, layout)
    make = _Maker(options, seed)
    train = make.source(given, expected, "the training data")
    if len(train) == 0:
        raise UsageError("the training data are empty", "there is nothing to train on")
    classes = train.classes or expected.classes or ()
    expected.require_count(train.classes, "the training data")
    joined = replace(expected, classes=classes or None, every_class=False)
    if validation is not None:
        own, _ = _parts(validation, joined, layout)
    elif own is None:
        own = _saved_validation(options, joined, layout)
    held = None if own is None else make.source(own, joined, "the validation data")
    notes = _notes(train, given, options)
    if held is not None and len(held) == 0:
        held = None
        notes.append("the validation data are empty: the network is not validated")
    return Sources(train, held, classes, tuple(notes))


@dataclass(frozen=True)
class Arrays:
    """Inputs and targets in memory, and the order of the axes of images."""

    inputs: Any
    targets: Any
    layout: str | None = None


def _parts(data: Any, expected: Expected, layout: str | None) -> tuple[Any, Any]:
    """Return the training part, and the validation part of a path that holds one."""
    if isinstance(data, (str, Path)):
        return read(Path(data), expected)
    return (Arrays(data[0], data[1], layout) if isinstance(data, (tuple, list)) and len(data) == 2 else data), None


def read(path: Path, expected: Expected) -> tuple[ImageDatastore | Arrays, ImageDatastore | Arrays | None]:
    """Read the training data of a path, and the validation data that it may hold.

    Raises:
        UsageError: it does not exist, or holds nothing for the network.
        UnreadableError: it is damaged.
    """
    if not expected.inputs:
        raise UsageError(
            f"{path} cannot be read for a module alone",
            "what its input should be is known with its Network",
            "pass the Network, or a Dataset",
        )
    if path.is_dir():
        return files.folder(path), None
    if not path.is_file():
        raise UsageError(f"{path} does not exist", "there is no such file or folder", "check the name")
    if path.suffix.lower() == ".csv":
        return files.table(path)
    train, validation = mat_data.load(path, expected)
    return Arrays(*train, convert.TORCH), Arrays(*validation, convert.TORCH) if validation is not None else None


def _saved_validation(options: TrainingOptions, expected: Expected, layout: str | None) -> Any:
    """Return ValidationData, as it was given or as a saved options object holds it: a cell of inputs and targets."""
    saved: Any = options.ValidationData
    if mat_data.is_cell(saved):
        return Arrays(*mat_data.pair(saved, expected), convert.TORCH) if len(saved) == 2 else None
    return (
        None if isinstance(saved, (list, tuple, np.ndarray)) and len(saved) == 0 else _parts(saved, expected, layout)[0]
    )


@dataclass(frozen=True)
class _Maker:
    options: TrainingOptions
    seed: int

    def source(self, given: Any, expected: Expected, what: str) -> Source:
        """Return a source of what was given, checked."""
        if isinstance(given, Arrays):
            return array_source(given.inputs, given.targets, expected, self.options, given.layout, what)
        if isinstance(given, ImageDatastore):
            given = augmentedImageDatastore([n or 1 for n in expected.image.size], given)
        if isinstance(given, augmentedImageDatastore):
            return ImageSource(given, self.seed, *_labels(given, expected, what), _in_background(self.options))
        if isinstance(given, pixelLabelImageDatastore):
            return pixel_source(given, expected, self.seed, what, _in_background(self.options))
        if isinstance(given, DataLoader):
            return DatasetSource(_indexed(given.dataset), given.collate_fn, given.num_workers)
        if isinstance(given, Dataset):
            return DatasetSource(_indexed(given))
        hint = "pass (inputs, targets), a datastore, a Dataset, a DataLoader or a path"
        raise UsageError(f"{what} are a {type(given).__name__}", "that is neither data nor where they are", hint)


def _indexed(dataset: Dataset[Any]) -> Dataset[Any]:
    if isinstance(dataset, IterableDataset):
        raise UsageError(
            "the dataset cannot be indexed",
            "mini-batches in MATLAB's order need its observations by number",
            "pass a map-style Dataset",
        )
    return dataset


def _in_background(options: TrainingOptions) -> bool | None:
    """Return what the options say about worker processes, None where they were not set."""
    given = dict(options.given)
    environment = given.get("PreprocessingEnvironment")
    return given.get("DispatchInBackground") if environment is None else environment != "serial"


def _labels(images: augmentedImageDatastore, expected: Expected, what: str) -> tuple[tuple[str, ...], Tensor]:
    """Return class names and the targets of images, after looking at the images themselves."""
    if images.labels is None:
        raise UsageError(
            f"{what} have no labels", "LabelSource is 'none'", "pass LabelSource='foldernames', or responses"
        )
    if expected.inputs:
        _require_images(images, expected, what)
    if not images.classes:
        return (), _numbers(images.labels, expected, what)
    names = np.array([images.classes[index] for index in images.labels], dtype=object)
    if expected.by_class is False:
        return (), _numbers(names, expected, what)
    indices, classes = convert.class_indices(names, expected.classes, what, every_class=expected.every_class)
    return classes, indices


def _require_images(images: augmentedImageDatastore, expected: Expected, what: str) -> None:
    at = expected.image
    if tuple(images.OutputSize[:2]) != at.spatial:
        raise UsageError(
            f"{what} are resized to {images.OutputSize}",
            f"the input of the network is {at}",
            "give the datastore that size",
        )
    if images.files is not None:
        files.require_alike(images.files, at.channels, images.ColorPreprocessing)
        expected.require_range(BRIGHTEST, what)


def _numbers(labels: Any, expected: Expected, what: str) -> Tensor:
    try:
        numbers = torch.tensor([float(label) for label in labels])
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{what} have labels like '{labels[0]}'",
            "the network is trained to predict numbers",
            "end it with a classification layer",
        ) from error
    return (
        numbers.long()
        if expected.by_class
        else convert.vectors(numbers, expected.output.channels if expected.output else None, "target")
    )


def _notes(train: Source, given: Any, options: TrainingOptions) -> list[str]:
    notes = []
    if len(train) < options.MiniBatchSize:
        notes.append(
            f"MiniBatchSize {options.MiniBatchSize} is above the {len(train)} observations: each epoch is one "
            f"mini-batch of {len(train)}"
        )
    if isinstance(train, SequenceSource) and train.pads_targets:
        notes.append(
            "padded steps of targets: undefined where they are classes, the padding value where they are numbers "
            "(unconfirmed)"
        )
    if isinstance(given, ImageDatastore) or getattr(given, "OutputSizeMode", "") == "resize":
        notes.append("images are resized as augmentedImageDatastore does; which kernel MATLAB takes is unconfirmed")
    return notes
