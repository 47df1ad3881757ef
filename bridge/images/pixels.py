"""MATLAB's ``pixelLabelDatastore`` and ``pixelLabelImageDatastore``: label images, what they hold, and class weights
from them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bridge.errors import UsageError
from bridge.images.augment import augmentedImageDatastore, imageDataAugmenter
from bridge.images.color import imread
from bridge.images.folders import ImageDatastore, Location, imageDatastore
from bridge.images.imresize import imresize

Array = NDArray[Any]
Identifier = int | tuple[int, int, int]  # a value of a gray or indexed label image, or a colour
OTHERS = "others"
UNDEFINED = 0


class PixelCount(NamedTuple):
    """A line of ``countEachLabel``: pixels of a class, and pixels of all images that hold the class."""

    PixelCount: int
    ImagePixelCount: int


@dataclass(frozen=True)
class PixelLabelDatastore:
    """Label images, as ``pixelLabelDatastore`` makes it.

    Attributes:
        Files: paths.
        classes: class names, in the order of the labels, which count from 1.
        identifiers: the label of each value or colour of the files; 0 for those that are ignored.
        ignores_others: whether any other value or colour is undefined too, as in MATLAB, instead of an error.
    """

    Files: tuple[str, ...]
    classes: tuple[str, ...]
    identifiers: Mapping[Identifier, int]
    ignores_others: bool = False
    _codes: tuple[Array, Array] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes = np.array([_code(each) for each in self.identifiers])
        order = codes.argsort()
        object.__setattr__(self, "_codes", (codes[order], np.array(list(self.identifiers.values()))[order]))

    def __len__(self) -> int:
        return len(self.Files)

    def readimage(self, index: int) -> NDArray[np.int64]:
        """The labels of an image, H x W: the number of the class from 1, 0 where a pixel is undefined.

        Raises:
            UnreadableError: the file is damaged.
            UsageError: it holds values or colours that are no class.
        """
        return self.labels(imread(self.Files[index]), self.Files[index])

    def labels(self, image: Array, name: str = "the label image") -> NDArray[np.int64]:
        """The labels of a label image: H x W of values, or H x W x 3 of colours."""
        is_color = isinstance(next(iter(self.identifiers)), tuple)
        if image.ndim != (3 if is_color else 2) or image.dtype.kind not in "bu" or image.shape[2:] not in ((), (3,)):
            kinds = "colours, three channels" if is_color else "one value for each pixel"
            raise UsageError(
                f"{name} is {image.dtype} of shape {image.shape}",
                f"its classes are told by {kinds}",
                "check the identifiers of the classes",
            )
        found = image.astype(np.int64) @ [1 << 16, 1 << 8, 1] if is_color else image.astype(np.int64)
        codes, numbers = self._codes
        place = codes.searchsorted(found).clip(max=len(codes) - 1)
        known = codes[place] == found
        if not (known.all() or self.ignores_others):
            strange = np.unique(found[~known])
            shown = ", ".join(_shown(code, is_color) for code in strange[:5])
            error = f"{name} has {len(strange)} values that are no class: {shown}{', ...' if len(strange) > 5 else ''}"
            hint = (
                "give them to a class, or to `ignored`; ignored='others' leaves all of them undefined, as MATLAB does"
            )
            raise UsageError(error, f"{(~known).sum()} of {known.size} pixels have them", hint)
        labels: NDArray[np.int64] = np.where(known, numbers[place], UNDEFINED)
        return labels

    def countEachLabel(self) -> dict[str, PixelCount]:
        """How many pixels each class has in all images, and how many pixels the images that hold it have."""
        counts = np.zeros((len(self.classes), 2), np.int64)
        for index in range(len(self)):
            labels = self.readimage(index)
            found = np.bincount(labels.ravel(), minlength=len(self.classes) + 1)[1:]
            counts[:, 0] += found
            counts[:, 1] += labels.size * (found > 0)
        return {name: PixelCount(*map(int, line)) for name, line in zip(self.classes, counts, strict=True)}

    def subset(self, indices: Iterable[int]) -> PixelLabelDatastore:
        """The files with these indices (Python's, from 0), in the order given."""
        return replace(self, Files=tuple(self.Files[index] for index in indices))


def pixelLabelDatastore(
    location: Location | Sequence[Location],
    identifiers: Mapping[str, Identifier | list[Identifier]],
    *,
    ignored: Sequence[Identifier] | str = (),
    IncludeSubfolders: bool = False,
) -> PixelLabelDatastore:
    """Collects label images, in the order in which `imageDatastore` collects images.

    Args:
        location: a folder or a file, or several.
        identifiers: the value of each class in gray, indexed or logical images, or its colour as a tuple (r, g, b); a
            list where a class has several. MATLAB's classNames and pixelLabelIDs in one.
        ignored: values or colours that are undefined; "others": all that belong to no class, as in MATLAB.
        IncludeSubfolders: search the folders below as well.

    Raises:
        UsageError: there are no images; or the identifiers are none, mixed, or given to two classes.
    """
    none: list[Identifier] = [] if isinstance(ignored, str) else list(ignored)
    lists = [given if isinstance(given, list) else [given] for given in identifiers.values()]
    kinds = {_kind(each) for given in (*lists, none) for each in given}
    if not lists or kinds not in ({int}, {tuple}) or (isinstance(ignored, str) and ignored != OTHERS):
        cause = "each class has a whole number or a colour (r, g, b), or a list of such; all are of one kind"
        raise UsageError(
            f"the identifiers of the classes are {dict(identifiers)}, ignored is {ignored!r}",
            cause,
            'pass {"sky": 1, "road": [2, 3]}, say',
        )
    found: dict[Identifier, int] = {}
    for number, given in [*enumerate(lists, 1), (UNDEFINED, none)]:
        for each in given:
            if each in found:
                raise UsageError(
                    f"the label {each} stands for two classes",
                    "each value or colour belongs to one",
                    "check the identifiers",
                )
            found[each] = number
    images = imageDatastore(location, IncludeSubfolders=IncludeSubfolders)
    return PixelLabelDatastore(images.Files, tuple(identifiers), found, ignored == OTHERS)


def _kind(identifier: object) -> type | None:
    """Return int for a value, tuple for a colour, None for what is neither."""
    parts = identifier if isinstance(identifier, tuple) else (identifier,)
    whole = len(parts) in (1, 3) and all(isinstance(part, int) and part >= 0 for part in parts)
    return type(identifier) if whole and isinstance(identifier, (int, tuple)) else None


def _code(identifier: Identifier) -> int:
    return identifier if isinstance(identifier, int) else (identifier[0] << 16) + (identifier[1] << 8) + identifier[2]


def _shown(code: int, is_color: bool) -> str:
    return str((int(code) >> 16, int(code) >> 8 & 255, int(code) & 255)) if is_color else str(int(code))


def inverse_frequency(counts: Mapping[str, PixelCount]) -> dict[str, float]:
    """Class weights ``sum(PixelCount) / PixelCount`` of each class.

    Raises:
        UsageError: a class has no pixels.

    >>> inverse_frequency({"sky": PixelCount(30, 40), "car": PixelCount(10, 20)})
    {'sky': 1.3333333333333333, 'car': 4.0}
    """
    _require_pixels(counts)
    total = sum(each.PixelCount for each in counts.values())
    return {name: total / each.PixelCount for name, each in counts.items()}


def median_frequency(counts: Mapping[str, PixelCount]) -> dict[str, float]:
    """Class weights ``median(f) / f`` with the frequency ``f = PixelCount / ImagePixelCount`` of each class.

    Raises:
        UsageError: a class has no pixels.

    >>> median_frequency({"sky": PixelCount(30, 40), "car": PixelCount(10, 20)})
    {'sky': 0.8333333333333334, 'car': 1.25}
    """
    _require_pixels(counts)
    frequency = {name: each.PixelCount / each.ImagePixelCount for name, each in counts.items()}
    median = float(np.median(list(frequency.values())))
    return {name: median / each for name, each in frequency.items()}


def _require_pixels(counts: Mapping[str, PixelCount]) -> None:
    empty = [name for name, each in counts.items() if each.PixelCount == 0]
    if empty:
        raise UsageError(
            f"class '{empty[0]}' has no pixels",
            "its weight would be infinite",
            "leave the class out, or add images that hold it",
        )


class pixelLabelImageDatastore:
    """Images with label images of the same size: observations (C x H x W float32, H x W int64) to train a segmentation
    network on.

    The target of a pixel is the index of its class from 0, and -1 where it is undefined. What changes an image at
    random changes its labels the same way; these are brought to their size by "nearest", and are undefined where the
    image is filled.

    Args:
        images: an imageDatastore.
        labels: a pixelLabelDatastore with one file for each image, in the same order.
        output_size: (rows, columns) to bring both to; None: as they are.
        ColorPreprocessing, DataAugmentation: as for `augmentedImageDatastore`.

    Attributes:
        classes: the class names, in the order of the indices.

    Raises:
        UsageError: there are other numbers of images and labels; and from an item, an image and its labels have other
            sizes.
    """

    def __init__(
        self,
        images: ImageDatastore,
        labels: PixelLabelDatastore,
        output_size: Sequence[int] | None = None,
        *,
        ColorPreprocessing: str = "none",
        DataAugmentation: imageDataAugmenter | None = None,
    ) -> None:
        if len(images) != len(labels):
            error = f"there are {len(images)} images and {len(labels)} label images"
            raise UsageError(error, "each image has one, in the same order", "check the folders")
        self.images, self.pixel_labels, self.classes = images, labels, labels.classes
        self.OutputSize = None if output_size is None else (output_size[0], output_size[1])
        self.ColorPreprocessing, self.DataAugmentation = ColorPreprocessing, DataAugmentation
        self._pictures = augmentedImageDatastore(
            self.OutputSize or (1, 1), replace(images, Labels=None), ColorPreprocessing=ColorPreprocessing
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        image, labels = self.read(index, np.random.default_rng())
        return image.astype(np.float32), labels

    def read(self, index: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
        """Return an image in its own type and its labels, with the random changes that `rng` draws."""
        image, labels = self._pictures.colored(index), self.pixel_labels.readimage(index)
        if image.shape[:2] != labels.shape:
            error = (
                f"{self.pixel_labels.Files[index]} is {labels.shape[0]} x {labels.shape[1]}, its image "
                f"{image.shape[0]} x {image.shape[1]}"
            )
            raise UsageError(
                error,
                f"the image is {self.images.Files[index]}",
                "label images have the size of their images, and their order",
            )
        if self.DataAugmentation is not None:
            image, labels = self.DataAugmentation.augment_with_labels(image, labels, rng)
        if self.OutputSize is not None:
            image, labels = imresize(image, self.OutputSize, "bilinear"), imresize(labels, self.OutputSize, "nearest")
        return np.ascontiguousarray(np.moveaxis(np.atleast_3d(image), 2, 0)), labels.astype(np.int64) - 1
