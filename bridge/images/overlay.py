"""MATLAB's ``labeloverlay``: label images made visible on the image they belong to."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bridge.errors import UsageError
from bridge.images.color import gray2rgb

PIXELS = 1 << 14  # that are mixed at a time

Array = NDArray[Any]


def jet(count: int) -> NDArray[np.float64]:
    """MATLAB's ``jet`` colormap.

    Args:
        count: how many colours.

    Returns:
        count x 3, values of 0 to 1: blue, cyan, yellow, red.

    >>> jet(4).tolist()
    [[0.0, 0.0, 1.0], [0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [1.0, 0.0, 0.0]]
    """
    rise = -(-count // 4)  # the colours over which a channel rises, stays and falls
    green = -(-rise // 2) - (count % 4 == 1)
    start = np.array([green + rise, green, green - rise])
    place = np.arange(1, count + 1)[:, None] - start
    colors: NDArray[np.float64] = np.clip(np.minimum(place, 3 * rise - place) / rise, 0, 1)
    return colors


def labeloverlay(
    image: Array, labels: Array, colors: ArrayLike | None = None, transparency: float = 0.5
) -> NDArray[np.uint8]:
    """Paints each label in its colour over an image: ``transparency * image + (1 - transparency) * colour``, rounded.

    Unconfirmed: that MATLAB takes the colours of ``jet`` in the order of the labels where none are given.

    Args:
        image: H x W or H x W x 3 of uint8.
        labels: H x W of whole numbers: the number of the class from 1, and 0 where a pixel has none and stays as it is.
        colors: one row for each class, values of 0 to 1; default: `jet`, with as many colours as the largest label.
        transparency: from 0, where only the colour is seen, to 1, where only the image is.

    Returns:
        H x W x 3 of uint8.

    Raises:
        UsageError: the image or the labels have another type or size, a label has no colour, or the transparency is
            beyond 0 to 1.
    """
    picture = gray2rgb(image) if image.ndim == 2 or image.shape[2:] == (1,) else image
    if picture.ndim != 3 or picture.shape[2] != 3 or picture.dtype != np.uint8:
        error = f"labeloverlay: the image is {image.dtype} of shape {image.shape}"
        raise UsageError(error, "it paints on uint8 images, H x W or H x W x 3", "convert it first")
    if labels.shape != picture.shape[:2] or labels.dtype.kind not in "iu":
        error = f"labeloverlay: the labels are {labels.dtype} of shape {labels.shape}"
        raise UsageError(
            error,
            f"they are whole numbers, one for each of the {picture.shape[0]} x {picture.shape[1]} pixels",
            "resize them with 'nearest'",
        )
    if not 0 <= transparency <= 1:
        raise UsageError(
            f"labeloverlay: the transparency is {transparency:g}", "it lies between 0 and 1", "0.5 shows both"
        )
    largest = int(labels.max(initial=0))
    palette = jet(largest) if colors is None else np.asarray(colors, np.float64)
    if labels.min(initial=0) < 0 or palette.ndim != 2 or palette.shape[1] != 3 or len(palette) < largest:
        error = f"labeloverlay: labels of {labels.min(initial=0)} to {largest}, colours of shape {palette.shape}"
        raise UsageError(
            error,
            "classes are counted from 1, 0 is none, and each class has a colour of three numbers",
            "pass one row for each class",
        )
    result: NDArray[np.uint8] = picture.copy()
    rows = max(1, PIXELS // max(1, labels.shape[1]))
    for start in range(0, len(labels), rows):  # in double precision, a whole image is many times its size
        part, numbers = result[start : start + rows], labels[start : start + rows]
        painted = numbers > 0
        mixed = transparency * part[painted] + (1 - transparency) * 255 * palette[numbers[painted].astype(np.intp) - 1]
        part[painted] = np.floor(mixed + 0.5)
    return result
