"""An affine map of an image's pixels: the values of scipy's, in double precision, for photographs faster."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bridge.images.scratch import Scratch

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]

_CHUNK = 16_000  # pixels mapped at a time: what is computed for them stays near the cache
_PACKED = {1: "u2", 2: "u4", 3: "u8", 4: "u8"}  # channels of 8 bits -> what holds a pixel and its right neighbour
_WORTHWHILE = 1 << 13  # smaller images are mapped sooner by scipy
# of a sum of four products of bytes in single precision, at most: weights, products and sums are rounded
_ERROR = np.float32(8 * np.finfo(np.float32).eps * 255)
_scratch = Scratch()


def warp(image: Array, matrix: Array, offset: Array, fill: Array, order: int = 1) -> Array:
    """Maps an image: output pixel (row, column) is the input at ``matrix @ (row, column) + offset``.

    Args:
        image: H x W x C, of any real type.
        matrix, offset: 2 x 2 and 2.
        fill: C values, of what lies beyond the outermost pixel centres.
        order: 1 interpolates bilinearly, integers are rounded half away from zero; 0 takes the nearest pixel.

    Returns:
        H x W x C of the same type, each channel one piece of memory.
    """
    from scipy.ndimage import affine_transform

    height, width, channels = image.shape
    result = np.empty((channels, height, width), image.dtype)
    if order == 1 and image.dtype == np.uint8 and channels in _PACKED and image.size >= _WORTHWHILE:
        _warp_bytes(image, matrix, offset, fill, result.reshape(channels, -1))
    else:
        for plane, out, value in zip(np.moveaxis(image, 2, 0), result, fill, strict=True):
            affine_transform(plane, matrix, offset, output=out, order=order, cval=value)
    return np.moveaxis(result, 0, 2)


def _warp_bytes(image: Array, matrix: Array, offset: Array, fill: Array, result: Array) -> None:
    """Interpolates in single precision; scipy tells the values that are so close to a tie that this may be wrong."""
    from scipy.ndimage import map_coordinates

    height, width, _ = image.shape
    packed, step, close = _packed(image), max(1, _CHUNK // width), []
    border = np.trunc(np.clip(fill, 0, 255) + 0.5)[:, None]
    for start in range(0, height, step):
        rows = np.arange(start, min(start + step, height))[:, None]
        out = result[:, start * width : (start + len(rows)) * width]
        _interpolate(packed, _places(rows, np.arange(width), matrix, offset), (height, width), border, out)
        close.append(_close(out) + start * width)
    pixels = np.concatenate(close)
    places = _places(*np.divmod(pixels, width), matrix, offset)
    for channel, value in enumerate(fill):
        plane = image[..., channel]
        result[channel, pixels] = map_coordinates(plane, places, output=np.uint8, order=1, cval=value)


def _packed(image: Array) -> Array:
    """Each pixel and its right neighbour as one number, so that both are gathered at once."""
    channels = image.shape[2]
    pixels = _scratch.array("pixels", (image.size + 8,), np.uint8)
    pixels[: image.size] = image.ravel()
    pixels[image.size :] = 0
    pairs = np.lib.stride_tricks.as_strided(pixels[:8].view(_PACKED[channels]), (image.size // channels,), (channels,))
    packed = _scratch.array("packed", pairs.shape, pairs.dtype)
    np.copyto(packed, pairs)
    return packed


def _places(rows: Array, columns: Array, matrix: Array, offset: Array) -> list[Array]:
    """Rows and columns of the input, summed in scipy's order."""
    return [shift + rows * by[0] + columns * by[1] for by, shift in zip(matrix, offset, strict=True)]


def _interpolate(packed: Array, places: list[Array], shape: tuple[int, int], border: Array, out: Array) -> None:
    """Leaves in the scratch array "y" the value less the error, which out holds rounded."""
    (channels, count), width = out.shape, shape[1]
    inside = np.ones(places[0].shape, bool)
    for place, size in zip(places, shape, strict=True):
        inside &= (place >= 0) & (place <= size - 1)
    corners = [np.floor(place) for place in places]
    down, right = ((place - corner).astype(np.float32) for place, corner in zip(places, corners, strict=True))
    index = (corners[0] * width + corners[1]).astype(np.intp).ravel()
    down *= inside
    y = _scratch.array("y", out.shape, np.float32)
    y[...] = 0.5 - _ERROR + border * ~inside.ravel() if border.any() else 0.5 - _ERROR
    pairs = _scratch.array("pairs", (count,), packed.dtype)
    values = _scratch.array("values", (2, channels, count), np.float32)
    for row, weight in enumerate((inside - down, down)):
        packed.take(index + row * width, mode="clip", out=pairs)
        bytes_of = pairs.view(np.uint8).reshape(count, -1).T[: 2 * channels]
        np.copyto(values.reshape(2 * channels, count), bytes_of)
        values[0] *= (weight * (1 - right)).ravel()
        values[1] *= (weight * right).ravel()
        y += values[0]
        y += values[1]
    np.copyto(out, y, casting="unsafe")


def _close(out: Array) -> NDArray[np.intp]:
    """Which pixels round to something else with the error put on."""
    y = _scratch.array("y", out.shape, np.float32)
    y += 2 * _ERROR
    close: NDArray[np.intp] = np.flatnonzero(y.astype(np.uint8) != out) % out.shape[1]
    return close


def warp_tensors(images: torch.Tensor, matrices: Array, offsets: Array, fill: Array) -> torch.Tensor:
    """Maps N x C x H x W bilinearly on the device where they are, each image by its own map; the values of `warp`."""
    import torch

    def moved(values: Array) -> torch.Tensor:
        return torch.tensor(values, device=images.device)

    shape = images.shape[2:]
    rows, columns = moved(np.arange(shape[0], dtype=float))[:, None], moved(np.arange(shape[1], dtype=float))
    turned, shifts = moved(matrices)[..., None, None], moved(offsets)[..., None, None]
    places = [shifts[:, k] + rows * turned[:, k, 0] + columns * turned[:, k, 1] for k in (0, 1)]
    beyond = [(place < 0) | (place > size - 1) for place, size in zip(places, shape, strict=True)]
    corners = [place.floor() for place in places]
    flat, total = images.flatten(2).double(), images.new_zeros((), dtype=torch.float64)
    for steps in ((0, 0), (0, 1), (1, 0), (1, 1)):
        at = [(corner + step).clamp(0, size - 1) for corner, step, size in zip(corners, steps, shape, strict=True)]
        index = (at[0] * shape[1] + at[1]).long().flatten(1)[:, None]
        value = flat.gather(2, index.expand(-1, flat.shape[1], -1))
        for place, corner, step in zip(places, corners, steps, strict=True):
            value = value * (place - corner if step else 1 - (place - corner)).flatten(1)[:, None]
        total = total + value
    inside = ~(beyond[0] | beyond[1]).flatten(1)[:, None]
    mapped = torch.where(inside, total, moved(fill)[:, None].double())
    if not images.dtype.is_floating_point:
        limits = torch.iinfo(images.dtype)
        mapped = (mapped.clamp(limits.min, limits.max).abs() + 0.5).floor() * mapped.sign()
    return mapped.reshape(images.shape).to(images.dtype)
