"""Images as a detector takes them: of any size, 8 or 16 bits a channel, gray or RGB, on any device."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError
from bridge.images import im2single, imresize

Image = NDArray | Tensor
GREATEST = {torch.uint8: 255, torch.uint16: 65535}


def prepared(image: Image, size: tuple[int, int], kernel: str) -> Tensor:
    """Return an image as a network takes it: C,H,W, 0..1.

    It is resized in its own type by imresize, antialiased, and then scaled.

    Args:
        image: an array H x W or H x W x C, a tensor C x H x W.
        size: (height, width) of the network's input.
        kernel: of `imresize`.
    """
    if isinstance(image, Tensor):
        planes = image[None] if image.ndim == 2 else image
        resized = planes if size_of(image) == size else imresize(planes, size, kernel)
        return resized.float() / GREATEST.get(resized.dtype, 1)
    scaled = im2single(image if size_of(image) == size else imresize(image, size, kernel))
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.atleast_3d(scaled), 2, 0)))


def within(image: Image, roi: Sequence[float]) -> Image:
    """Return the pixels of an image in [x y width height], counted from 1.

    Raises:
        UsageError: it is not in the image, or not in whole pixels.
    """
    height, width = size_of(image)
    whole = len(roi) == 4 and all(float(side).is_integer() for side in roi)
    x, y, across, down = map(int, roi) if whole else (0, 0, 0, 0)
    if not (x >= 1 and y >= 1 and 1 <= across <= width - x + 1 and 1 <= down <= height - y + 1):
        raise UsageError(
            f"the roi is {list(roi)}",
            f"it is [x y width height] in whole pixels from 1 to the image's {height} rows and {width} columns",
            "leave it out for the whole image",
        )
    rows, columns = slice(y - 1, y - 1 + down), slice(x - 1, x - 1 + across)
    return image[..., rows, columns] if isinstance(image, Tensor) else image[rows, columns]


def require(image: Image, wanted: int) -> None:
    """Look at an image for a network that takes so many channels.

    Raises:
        UsageError: the channels, the type or the range of values do not fit.
    """
    channels = 1 if image.ndim == 2 else image.shape[0 if isinstance(image, Tensor) else 2]
    if image.ndim not in (2, 3):
        raise UsageError(
            f"the image has {image.ndim} dimensions",
            "an array is H x W x C, a tensor C x H x W",
            "pass several images as a list",
        )
    if channels != wanted:
        cause = "it is a gray image" if channels == 1 else f"the network was trained on images of {wanted}"
        hint = "--color, and bridge.images.gray2rgb and rgb2gray, convert between gray and RGB"
        raise UsageError(
            f"the image has {channels} channel{'' if channels == 1 else 's'}, the network takes {wanted}",
            cause,
            hint,
        )
    _require_range(image)


def size_of(image: Image) -> tuple[int, int]:
    """Return (height, width)."""
    height, width = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
    return height, width


def _require_range(image: Any) -> None:
    is_float = image.is_floating_point() if isinstance(image, Tensor) else image.dtype.kind == "f"
    if image.dtype in (torch.uint8, torch.uint16, torch.bool, np.uint8, np.uint16, np.bool_):
        return
    if not is_float:
        raise UsageError(
            f"the image is of type {image.dtype}",
            "an image is uint8, uint16, logical, or floating point of 0..1",
            "convert it first",
        )
    least, greatest = (float(image.min()), float(image.max())) if 0 not in image.shape else (0.0, 0.0)
    if not (least >= 0 and greatest <= 1):
        raise UsageError(
            f"the image has values from {least:g} to {greatest:g}",
            "a floating-point image of 0..1 is wanted",
            "divide by 255, or pass it as uint8",
        )
