"""MATLAB's ``imageDataAugmenter`` and ``augmentedImageDatastore``."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bridge.errors import UsageError
from bridge.images.affine import warp, warp_tensors
from bridge.images.color import gray2rgb, rgb2gray
from bridge.images.folders import ImageDatastore
from bridge.images.imresize import imresize

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
ImageT = TypeVar("ImageT", "NDArray[Any]", "torch.Tensor")
Draw = Callable[[np.random.Generator], tuple[Array, Array]]
Range = tuple[float, float] | Callable[[], float]


@dataclass(frozen=True)
class imageDataAugmenter:
    """Random affine changes of an image; every option has MATLAB's name, meaning and default (no change).

    A range is (smallest, largest), of which a value is drawn uniformly, or a function without arguments that returns a
    value.

    A point between pixels is interpolated bilinearly, as documented. Unconfirmed: the changes are made about the
    image's centre, in the order of the options below; a positive rotation is clockwise; a point beyond the outermost
    pixel centres gets `FillValue`; integers are rounded; where RandScale is given, RandXScale and RandYScale are
    ignored.

    Attributes:
        FillValue: outside of the image: a number, or one for each channel.
        RandXReflection, RandYReflection: mirror left-right, top-bottom, with a probability of one half.
        RandRotation: degrees.
        RandScale, RandXScale, RandYScale: factors of magnification.
        RandXShear, RandYShear: degrees between -90 and 90.
        RandXTranslation, RandYTranslation: pixels to the right, downwards.

    Raises:
        UsageError: a range is no (smallest, largest), or beyond what its option allows.
    """

    FillValue: float | Sequence[float] = 0
    RandXReflection: bool = False
    RandYReflection: bool = False
    RandRotation: Range = (0, 0)
    RandScale: Range = (1, 1)
    RandXScale: Range = (1, 1)
    RandYScale: Range = (1, 1)
    RandXShear: Range = (0, 0)
    RandYShear: Range = (0, 0)
    RandXTranslation: Range = (0, 0)
    RandYTranslation: Range = (0, 0)

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if name.startswith("Rand") and not name.endswith("Reflection"):
                _check_range(name, value)

    def augment(self, image: ImageT, rng: np.random.Generator) -> ImageT:
        """Changes images at random; size and type stay.

        Args:
            image: array H x W or H x W x C; or tensor [..., C, H, W] on any device, where it stays: each image of a
                batch is changed in its own way, as one after the other would be.
            rng: where random numbers come from.
        """
        torch = sys.modules.get("torch")
        if torch is not None and isinstance(image, torch.Tensor):
            return _changed_tensor(image, self._draw, rng, self.FillValue)  # type: ignore[no-any-return]
        return _changed(image, *self._draw(rng), self.FillValue)  # type: ignore[arg-type,return-value]

    def augment_with_labels(self, image: Array, labels: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Changes an image and its labels, H x W, alike; a label is that of the nearest pixel, 0 outside
        of the image.
        """
        matrix, shift = self._draw(rng)
        return _changed(image, matrix, shift, self.FillValue), _changed(labels, matrix, shift, 0, order=0)

    def _draw(self, rng: np.random.Generator) -> tuple[Array, Array]:
        """A matrix and a shift: (x, y) relative to the centre goes to matrix @ (x, y) + shift."""

        def draw(limits: Range) -> float:
            return float(limits() if callable(limits) else rng.uniform(*limits))

        mirror_x, mirror_y = (
            -1 if allowed and rng.random() < 0.5 else 1 for allowed in (self.RandXReflection, self.RandYReflection)
        )
        angle = draw(self.RandRotation)
        cos, sin = _of_degrees(math.cos, angle), _of_degrees(math.sin, angle)
        scale = draw(self.RandScale)
        scale_x, scale_y = draw(self.RandXScale), draw(self.RandYScale)
        if callable(self.RandScale) or tuple(self.RandScale) != (1, 1):
            scale_x = scale_y = scale
        shear_x, shear_y = (_of_degrees(math.tan, draw(limits)) for limits in (self.RandXShear, self.RandYShear))
        shift = np.array([draw(self.RandXTranslation), draw(self.RandYTranslation)])
        rotation = np.array([[cos, -sin], [sin, cos]])
        shear = np.array([[1, shear_x], [shear_y, 1]])
        return shear @ np.diag([scale_x, scale_y]) @ rotation @ np.diag([mirror_x, mirror_y]), shift


def _check_range(name: str, limits: Range) -> None:
    if callable(limits):
        return
    low, high = (
        (-90, 90) if name.endswith("Shear") else (0, math.inf) if name.endswith("Scale") else (-math.inf, math.inf)
    )
    if np.shape(limits) != (2,) or not low < limits[0] <= limits[1] < high:
        cause = "a range is (smallest, largest)" + (f", between {low} and {high}" if low > -math.inf else "")
        raise UsageError(
            f"imageDataAugmenter: {name} is {limits!r}",
            cause,
            "a scale is for example (0.9, 1.1), the others (-10, 10)",
        )


def _of_degrees(function: Callable[[float], float], degrees: float) -> float:
    """Exact where the value is 0 or 1, as cosd, sind and tand are: else an edge pixel could fall just outside of the
    image.
    """
    return round(function(math.radians(degrees)), 15)


def _changed(image: Array, matrix: Array, shift: Array, fill: float | Sequence[float], order: int = 1) -> Array:
    if np.array_equal(matrix, np.eye(2)) and not shift.any():
        return image
    planes = np.atleast_3d(image).astype(np.uint8 if image.dtype == bool else image.dtype, copy=False)
    back = _back(planes.shape[:2], matrix, shift)
    warped = warp(planes, *back, _fill_values(fill, planes.shape[2]), order)
    return warped.reshape(image.shape).astype(image.dtype, copy=False)


def _changed_tensor(image: torch.Tensor, draw: Draw, rng: np.random.Generator, fill: float | Sequence[float]) -> Any:
    import torch

    if image.dtype == torch.bool:
        return _changed_tensor(image.to(torch.uint8), draw, rng, fill).bool()
    if image.device.type == "mps":  # it has no double precision
        return _changed_tensor(image.cpu(), draw, rng, fill).to(image.device)
    images = image.reshape(-1, *image.shape[-3:])
    size = image.shape[-2], image.shape[-1]
    matrices, offsets = zip(*(_back(size, *draw(rng)) for _ in images), strict=True)
    values = _fill_values(fill, images.shape[1])
    return warp_tensors(images, np.stack(matrices), np.stack(offsets), values).reshape(image.shape)


def _back(size: tuple[int, ...], matrix: Array, shift: Array) -> tuple[Array, Array]:
    """The map from output (row, column) to input (row, column) of a change about the centre."""
    centre = (np.array(size) - 1) / 2
    inverse = np.linalg.inv(matrix)[::-1, ::-1]
    return inverse, centre - inverse @ (centre + shift[::-1])


def _fill_values(fill: float | Sequence[float], channels: int) -> Array:
    values = np.atleast_1d(fill)
    if len(values) not in (1, channels):
        cause = f"the image has {channels} channels"
        raise UsageError(
            f"imageDataAugmenter: FillValue has {len(values)} values", cause, "pass one value, or one for each channel"
        )
    return np.broadcast_to(values, channels)


class augmentedImageDatastore:
    """Images brought to one size, and changed at random where asked: a map-style dataset of (C x H x W float32, label
    index).

    Pixels are not divided by 255: MATLAB trains on 0..255. The work is done in the type of the image (uint8 stays
    uint8, rounded) and in the order colour, augmentation, size (the order is unconfirmed). Where the data has no labels
    an item is the image alone; numeric responses come as they are.

    Which kernel MATLAB resizes with is unconfirmed: `resize_method` names it, by default "bilinear" (with
    antialiasing).

    Random numbers are drawn from `rng` as items are asked for; in a worker process of a torch DataLoader from the
    worker's own seed, which torch draws anew for each epoch.

    Args:
        output_size: (rows, columns) or (rows, columns, channels).
        data: an ImageDatastore, or an array H x W x C x N.
        responses: for an array: N class names, or N numeric responses.
        OutputSizeMode: "resize", "centercrop" or "randcrop".
        ColorPreprocessing: "none", "gray2rgb" or "rgb2gray"; images that already have the colours asked for stay as
            they are.
        DataAugmentation: an imageDataAugmenter, or None.
        resize_method: a method of `imresize`.
        rng: a generator, or the seed of one.

    Attributes:
        classes: the class names, in the order of the label indices.

    Raises:
        UsageError: an unknown option; and from an item, an image smaller than a crop, or with other channels than the
            first.
    """

    def __init__(
        self,
        output_size: Sequence[int],
        data: ImageDatastore | Array,
        responses: ArrayLike | None = None,
        *,
        OutputSizeMode: str = "resize",
        ColorPreprocessing: str = "none",
        DataAugmentation: imageDataAugmenter | None = None,
        resize_method: str = "bilinear",
        rng: np.random.Generator | int | None = None,
    ) -> None:
        _check_option("OutputSizeMode", OutputSizeMode, ("resize", "centercrop", "randcrop"))
        _check_option("ColorPreprocessing", ColorPreprocessing, ("none", "gray2rgb", "rgb2gray"))
        if len(output_size) not in (2, 3):
            error = f"augmentedImageDatastore: the output size is {tuple(output_size)}"
            raise UsageError(
                error, "a size has two or three numbers", "pass (rows, columns) or (rows, columns, channels)"
            )
        self.OutputSize = tuple(output_size)
        self.OutputSizeMode = OutputSizeMode
        self.ColorPreprocessing = ColorPreprocessing
        self.DataAugmentation = DataAugmentation
        self.resize_method = resize_method
        self.classes, self.labels = _classes_and_labels(data, responses)
        self._data = data
        self._rng = np.random.default_rng(rng)
        self._worker_seed: int | None = None

    @property
    def files(self) -> ImageDatastore | None:
        """The files, where the images do not come from an array."""
        return self._data if isinstance(self._data, ImageDatastore) else None

    def __len__(self) -> int:
        return len(self._data) if isinstance(self._data, ImageDatastore) else self._data.shape[3]

    def __getitem__(self, index: int) -> Array | tuple[Array, Any]:
        pixels = self.pixels(index, self._generator()).astype(np.float32)
        return pixels if self.labels is None else (pixels, self.labels[index])

    def pixels(self, index: int, rng: np.random.Generator) -> Array:
        """The image with this index in its own type, C x H x W, with the random changes that `rng` draws."""
        image = self.colored(index)
        if self.DataAugmentation is not None:
            image = self.DataAugmentation.augment(image, rng)
        image = np.atleast_3d(self._fit(image, rng, index))
        if image.shape[2] != self._channels:
            raise UsageError(
                f"{self._name(index)} has {image.shape[2]} channels, expected are {self._channels}",
                "all images of a training have the same channels",
                "pass ColorPreprocessing='gray2rgb' or 'rgb2gray'",
            )
        return np.ascontiguousarray(np.moveaxis(image, 2, 0))

    def _generator(self) -> np.random.Generator:
        loading = sys.modules.get("torch.utils.data")
        worker = loading.get_worker_info() if loading else None
        if worker is not None and worker.seed != self._worker_seed:
            self._worker_seed, self._rng = worker.seed, np.random.default_rng(worker.seed)
        return self._rng

    def colored(self, index: int) -> Array:
        """The image with this index as it is read, H x W or H x W x C, after ColorPreprocessing."""
        image = self._data.readimage(index) if isinstance(self._data, ImageDatastore) else self._data[..., index]
        is_gray = image.ndim == 2 or image.shape[2] == 1
        if self.ColorPreprocessing == "gray2rgb" and is_gray:
            return gray2rgb(image)
        if self.ColorPreprocessing == "rgb2gray" and not is_gray:
            return rgb2gray(image)
        return image

    @cached_property
    def _channels(self) -> int:
        return self.OutputSize[2] if len(self.OutputSize) == 3 else np.atleast_3d(self.colored(0)).shape[2]

    def _fit(self, image: Array, rng: np.random.Generator, index: int) -> Array:
        rows, columns = self.OutputSize[:2]
        if self.OutputSizeMode == "resize":
            return imresize(image, (rows, columns), self.resize_method)
        spare = image.shape[0] - rows, image.shape[1] - columns
        if min(spare) < 0:
            raise UsageError(
                f"{self._name(index)} is {image.shape[0]} x {image.shape[1]}, smaller than the crop of {rows} x "
                f"{columns}",
                f"OutputSizeMode is {self.OutputSizeMode!r}",
                "use OutputSizeMode='resize', or a smaller output size",
            )
        top, left = (
            (n // 2 for n in spare) if self.OutputSizeMode == "centercrop" else rng.integers(0, spare, endpoint=True)
        )
        return image[top : top + rows, left : left + columns]

    def _name(self, index: int) -> str:
        return self._data.Files[index] if isinstance(self._data, ImageDatastore) else f"image {index}"


def _check_option(name: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        hint = f"choose one of {', '.join(allowed)}"
        raise UsageError(f"augmentedImageDatastore: {name} is {value!r}", "that is no value of this option", hint)


def _classes_and_labels(
    data: ImageDatastore | Array, responses: ArrayLike | None
) -> tuple[tuple[str, ...], list[Any] | None]:
    if isinstance(data, ImageDatastore):
        index = {name: position for position, name in enumerate(data.classes)}
        return data.classes, None if data.Labels is None else [index[label] for label in data.Labels]
    if data.ndim != 4:
        error = f"augmentedImageDatastore: the array has the shape {data.shape}"
        raise UsageError(error, "an array of images is H x W x C x N", "add the missing axes")
    if responses is None:
        return (), None
    values = np.asarray(responses)
    if len(values) != data.shape[3]:
        error = f"augmentedImageDatastore: {data.shape[3]} images and {len(values)} responses"
        raise UsageError(error, "each image has one response", "pass an array H x W x C x N and N responses")
    if values.dtype.kind not in "US":
        return (), list(values)
    names, indices = np.unique(values, return_inverse=True)
    return tuple(names.tolist()), indices.tolist()
