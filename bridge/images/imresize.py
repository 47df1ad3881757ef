"""MATLAB's ``imresize``: the same kernels, weights, order of the axes and rounding.

Every output pixel is a weighted sum of a few input pixels of its row or column (its *taps*). An image in host memory is
resized by small matrix products, one for each block of neighbouring outputs: BLAS runs them several times faster than a
gather of the taps, although most of each matrix is zero. Channels that lie side by side in memory are resized as they
lie. A tensor elsewhere, or one that carries a gradient, is resized tap by tap.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from bridge.errors import UsageError
from bridge.images.scratch import Scratch

if TYPE_CHECKING:
    import torch

Array = NDArray[Any]
Size = float | Sequence[float | None]
ImageT = TypeVar("ImageT", "NDArray[Any]", "torch.Tensor")

_ALL = slice(None)
_BLOCK = 12  # rows in one matrix product: larger ones multiply more zeros, smaller ones cost more calls
_LANES = 16  # values of a row in one matrix product: those of one vector of the processor
_SIDE_BY_SIDE = 4  # channels resized as they lie; each multiplies the zeros of the others, so more are taken apart
_PIECE = 3 << 18  # values resized at a time: bounds memory, and stays near the cache
_WORK = {"uint8": "float32", "uint16": "float64", "float32": "float32", "float64": "float64"}
_TOP = {"uint8": 255, "uint16": 65535}
_scratch = Scratch()


def _box(x: Array) -> Array:
    return np.where((x >= -0.5) & (x < 0.5), 1.0, 0.0)


def _triangle(x: Array) -> Array:
    a = np.abs(x)
    return np.where(a < 1, 1 - a, 0)


def _cubic(x: Array) -> Array:
    """Keys' cubic convolution kernel with a = -1/2 (IEEE Trans. ASSP 29, 1981, equation 15)."""
    a = np.abs(x)
    near, far = (1.5 * a - 2.5) * a * a + 1, ((-0.5 * a + 2.5) * a - 4) * a + 2
    return np.where(a <= 1, near, np.where(a <= 2, far, 0))


def _lanczos(lobes: int) -> Callable[[Array], Array]:
    return lambda x: np.sinc(x) * np.sinc(x / lobes) * (np.abs(x) < lobes)


class _Kernel(NamedTuple):
    function: Callable[[Array], Array]
    width: float


_KERNELS = {
    "nearest": _Kernel(_box, 1),
    "box": _Kernel(_box, 1),
    "bilinear": _Kernel(_triangle, 2),
    "bicubic": _Kernel(_cubic, 4),
    "lanczos2": _Kernel(_lanczos(2), 4),
    "lanczos3": _Kernel(_lanczos(3), 6),
}


@dataclass(frozen=True)
class _Axis:
    """How one axis is resized: the key under which its weights are cached."""

    length: int
    size: int
    scale: float
    method: str
    antialiasing: bool


class _Taps(NamedTuple):
    indices: NDArray[np.intp]  # taps x size
    weights: NDArray[np.float64]  # taps x size


class _Band(NamedTuple):
    """A block of neighbouring outputs, the stretch of inputs it needs, and the weights: outputs x inputs, or the
    transpose where they are multiplied from the right."""

    outputs: slice
    inputs: slice
    weights: Array


@lru_cache(maxsize=64)
def _taps(axis: _Axis) -> _Taps:
    """The input pixels of each output pixel and their weights, which sum to 1; beyond an edge pixels are mirrored, the
    edge pixel too.
    """
    kernel = _KERNELS[axis.method]
    stretch = min(axis.scale, 1) if axis.antialiasing else 1
    width = kernel.width / stretch
    centre = np.arange(1, axis.size + 1) / axis.scale + 0.5 * (
        1 - 1 / axis.scale
    )  # counted from 1, as MATLAB rounds it
    indices = np.floor(centre - width / 2) + np.arange(math.ceil(width) + 2)[:, None]
    weights = stretch * kernel.function(stretch * (centre - indices))
    weights /= weights.sum(axis=0)
    used = weights.any(axis=1)
    mirrored = np.concatenate([np.arange(axis.length), np.arange(axis.length)[::-1]])
    return _Taps(mirrored[(indices[used].astype(np.intp) - 1) % (2 * axis.length)], weights[used])


@lru_cache(maxsize=64)
def _spread(axis: _Axis, channels: int) -> _Taps:
    """The taps of a row in which the channels of a pixel lie side by side."""
    indices, weights = _taps(axis)
    side_by_side = indices[..., None] * channels + np.arange(channels)
    return _Taps(side_by_side.reshape(len(indices), -1), weights.repeat(channels, axis=1))


@lru_cache(maxsize=64)
def _bands(axis: _Axis, dtype: str, channels: int) -> tuple[_Band, ...]:
    """The weights as one small matrix for each block of outputs; with `channels`, for a product from the right."""
    taps, bands = _spread(axis, channels or 1), []
    count = taps.indices.shape[1]
    step = _BLOCK if channels == 0 else max(_LANES // channels, 1) * channels
    for start in range(0, count, step):
        outputs = slice(start, min(start + step, count))
        indices, weights = taps.indices[:, outputs], taps.weights[:, outputs]
        first, last = int(indices.min()), int(indices.max())
        matrix = np.zeros((indices.shape[1], last + 1 - first))
        np.add.at(matrix, (np.arange(indices.shape[1]), indices - first), weights)
        kept = np.asfortranarray(matrix, dtype) if channels == 0 else np.ascontiguousarray(matrix.T, dtype)
        bands.append(_Band(outputs, slice(first, last + 1), kept))
    return tuple(bands)


def _sum_of_taps(x: Any, indices: Any, weights: Any) -> Any:
    """The definition, along the first axis of a matrix: term after term, so that every device gives the same bits."""
    return sum(weight[:, None] * x[index] for index, weight in zip(indices, weights, strict=True))


def _round(y: Array, x: Array, taps: _Taps, dim: int, top: int, out: Array) -> None:
    """Rounds half away from zero and clamps.

    A value that lies closer to a tie than the error of the matrix product (terms x eps x top) is told by rounding it
    with that error taken off and put on, and is summed anew in double precision.
    """
    error = (len(taps.weights) + 2) * np.finfo(y.dtype).eps * top
    if taps.weights.min() < 0:
        np.clip(y, 0, top, out=y)
    y += 0.5 - error
    np.copyto(out, y, casting="unsafe")
    y += 2 * error
    close = np.flatnonzero(y.astype(out.dtype) != out)
    if len(close):
        at: list[Any] = list(np.unravel_index(close, y.shape))
        place = tuple(at)
        weights, at[dim] = taps.weights[:, at[dim]], taps.indices[:, at[dim]]
        out[place] = np.clip(np.floor(sum(weights * x[tuple(at)]) + 0.5), 0, top)


def _along(piece: Array, axis: _Axis, dim: int, work: str, top: int | None, out: Array) -> None:
    """Resizes rows (dim 1) or columns (dim 2) of P x H x (W x C), channels side by side."""
    channels = 0 if dim == 1 else piece.shape[2] // axis.length
    taps = _spread(axis, channels or 1)
    if len(taps.weights) == 1:  # outputs that are inputs, as where the size stays
        out[...] = piece.take(taps.indices[0], axis=dim)
        return
    x, y = _scratch.array("x", piece.shape, work), _scratch.array("y", out.shape, work)
    np.copyto(x, piece)
    for band in _bands(axis, work, channels):
        if dim == 1:
            np.matmul(band.weights, x[:, band.inputs], out=y[:, band.outputs])
        else:
            np.matmul(x[..., band.inputs], band.weights, out=y[..., band.outputs])
    if top is not None:
        _round(y, x, taps, dim, top, out)
    elif np.isfinite(y.sum()):
        out[...] = y
    else:  # a product spreads a NaN over its whole block
        front = np.moveaxis(x, dim, 0)
        summed = _sum_of_taps(front.reshape(len(front), -1), *taps)
        out[...] = np.moveaxis(summed.reshape(-1, *front.shape[1:]), 0, dim)


@np.errstate(invalid="ignore", over="ignore")
def _resize_planes(planes: Array, axes: Sequence[_Axis]) -> Array:
    """Resizes P x H x (W x C), a piece at a time that stays near the cache."""
    count, _, row = planes.shape
    work, top = _WORK[planes.dtype.name], _TOP.get(planes.dtype.name)
    for axis, dim in _order(axes):
        if dim == 1:
            x, shape = planes, (count, axis.size, planes.shape[2])
        else:
            x, shape = planes.reshape(1, -1, row), (1, count * planes.shape[1], row // axis.length * axis.size)
        y = np.empty(shape, planes.dtype)
        for piece in _pieces(x.shape, 3 - dim, axis):
            _along(x[piece], axis, dim, work, top, y[piece])
        planes = y.reshape(count, -1, shape[2])
    return planes


def _pieces(shape: Sequence[int], dim: int, axis: _Axis) -> Iterator[tuple[slice, ...]]:
    """Cuts planes, and each of them along `dim` where one is larger than a piece, before or after it is resized."""
    most, each = _PIECE * axis.length // max(axis.length, axis.size), math.prod(shape[1:])
    planes, step = max(1, most // each), max(1, most * shape[dim] // each)
    for first in range(0, shape[0], planes):
        for start in range(0, shape[dim], step):
            part = slice(start, start + step)
            yield (slice(first, first + planes), *((part, _ALL) if dim == 1 else (_ALL, part)))


def _order(axes: Sequence[_Axis]) -> list[tuple[_Axis, int]]:
    """Rows (1) and columns (2) in the order of their passes."""
    return sorted(zip(axes, (1, 2), strict=True), key=lambda each: each[0].scale)


def _resize_array(image: Array, axes: Sequence[_Axis]) -> Array:
    height, width, *others = image.shape
    if axes[0].method == "nearest":
        rows, columns = (_nearest(axis) for axis in axes)
        return image[rows[:, None], columns]
    if image.dtype == bool:
        return _resize_array(image * np.uint8(255), axes) > 128
    shape = axes[0].size, axes[1].size, *others
    planes = np.moveaxis(image.reshape(height, width, -1), 2, 0)
    if len(planes) <= _SIDE_BY_SIDE and not planes.flags.c_contiguous:
        return _resize_planes(image.reshape(1, height, -1), axes).reshape(shape)
    resized = np.moveaxis(_resize_planes(planes, axes), 0, 2).reshape(shape)
    return resized if planes.flags.c_contiguous else np.ascontiguousarray(resized)


def _resize_tensor(image: torch.Tensor, axes: Sequence[_Axis]) -> torch.Tensor:
    import torch

    *others, height, width = image.shape
    if axes[0].method == "nearest":
        rows, columns = (torch.as_tensor(_nearest(axis), device=image.device) for axis in axes)
        return image[..., rows[:, None], columns]
    if image.dtype == torch.bool:
        return _resize_tensor(image.to(torch.uint8) * 255, axes) > 128
    if (
        image.device.type in ("cpu", "mps") and not image.requires_grad
    ):  # mps has no double precision, which integer images need
        planes = _resize_planes(image.reshape(-1, height, width).cpu().numpy(), axes)
        return torch.from_numpy(planes).reshape(*others, axes[0].size, axes[1].size).to(image.device)
    return _resize_on_device(image, axes)


def _resize_on_device(image: torch.Tensor, axes: Sequence[_Axis]) -> torch.Tensor:
    """Tap by tap: differentiable, and free of the reduced precision a device may use in matrix products."""
    import torch

    top = _TOP.get(_dtype_name(image))
    work = image.dtype if top is None else torch.float64
    x = image.to(work)
    for axis, dim in _order(axes):
        front = x.movedim(dim - 3, 0)
        indices, weights = (torch.from_numpy(values) for values in _taps(axis))
        y = _sum_of_taps(front.flatten(1), indices.to(image.device), weights.to(work).to(image.device))
        x = y.unflatten(1, front.shape[1:]).movedim(0, dim - 3)
        if top is not None:
            x = (x + 0.5).floor().clamp(0, top)
    return x.to(image.dtype).contiguous()


def _nearest(axis: _Axis) -> NDArray[np.intp]:
    taps = _taps(axis)
    indices: NDArray[np.intp] = taps.indices[taps.weights.argmax(axis=0), np.arange(axis.size)]
    return indices


def _dtype_name(image: Any) -> str:
    return str(image.dtype).removeprefix("torch.")


def _axes(shape: tuple[int, int], size_or_scale: Size, method: str, antialiasing: bool) -> list[_Axis]:
    antialiasing = antialiasing and method != "nearest"
    if isinstance(size_or_scale, (int, float, np.number)):
        scale = float(size_or_scale)
        if not 0 < scale < math.inf:
            raise UsageError(
                f"imresize: the scale is {scale:g}", "a scale is a positive number", "0.5 halves an image, 2 doubles it"
            )
        return [_Axis(length, math.ceil(scale * length), scale, method, antialiasing) for length in shape]
    sizes = zip(shape, _size(shape, size_or_scale), strict=True)
    return [_Axis(length, size, size / length, method, antialiasing) for length, size in sizes]


def _size(shape: tuple[int, int], size: Sequence[float | None]) -> tuple[int, int]:
    """Rows and columns as whole numbers; the one that is None or NaN keeps the aspect ratio."""
    given = [None if value is None or math.isnan(value) else float(value) for value in size]
    if (
        len(given) != 2
        or given == [None, None]
        or any(value is not None and not (value >= 1 and value.is_integer()) for value in given)
    ):
        cause = "a size is (rows, columns): whole numbers, one of which may be None"
        raise UsageError(f"imresize: the output size is {tuple(size)}", cause, "pass for example (227, 227)")
    (height, width), (rows, columns) = shape, (int(value or 0) for value in given)
    return rows or math.ceil(height * columns / width), columns or math.ceil(width * rows / height)


def imresize(image: ImageT, size_or_scale: Size, method: str = "bicubic", antialiasing: bool = True) -> ImageT:
    """Resizes images as MATLAB's ``imresize`` does.

    Bicubic is equal to outputs stored by MATLAB R2015b and R2019b: to 5e-13 in double precision, without a differing
    value in uint8. The other kernels follow the same rules and were not compared with MATLAB. The rules: the axis with
    the smaller scale goes first; with `antialiasing` a kernel is stretched by 1/scale where the scale is below 1; edges
    are mirrored; integer images are rounded half away from zero and clamped after each of the two passes; float images
    are not clamped, and computed in their own precision.

    Unconfirmed: logical images are resized as 0 and 255 and are true above 128; a size that is None is rounded up.

    Args:
        image: array H x W or H x W x C (more axes may follow), or tensor [..., H, W] on any device; uint8, uint16,
            single, double or logical ("nearest" takes any type). A tensor in host memory goes through numpy; one that
            requires a gradient gets one.
        size_or_scale: (rows, columns), of which one may be None or NaN to keep the aspect ratio; or one factor for both
            axes, whose output size is ceil(factor x size).
        method: "bicubic", "bilinear", "nearest", "box", "lanczos2" or "lanczos3".
        antialiasing: as MATLAB's Antialiasing; "nearest" never uses it.

    Returns:
        A new image of the type, and on the device, of the one given.

    Raises:
        UsageError: the method, the size, the shape or the type is none of the above.

    >>> imresize(np.array([[0.0, 4.0], [8.0, 12.0]]), (1, 1), "box")
    array([[6.]])
    """
    if method not in _KERNELS:
        raise UsageError(
            f"imresize: the method is {method!r}",
            "it is none of imresize's methods",
            f"choose one of {', '.join(_KERNELS)}",
        )
    torch = sys.modules.get("torch")
    is_tensor = torch is not None and isinstance(image, torch.Tensor)
    if not is_tensor and not isinstance(image, np.ndarray):
        raise UsageError(
            f"imresize: the image is a {type(image).__name__}",
            "that holds no pixels",
            "pass a numpy array or a torch tensor",
        )
    if image.ndim < 2 or 0 in image.shape:
        error = f"imresize: the image has the shape {tuple(image.shape)}"
        raise UsageError(error, "it has no rows and columns of pixels", "pass H x W [x C], or a tensor [..., H, W]")
    if method != "nearest" and _dtype_name(image) not in {"bool", *_WORK}:
        raise UsageError(
            f"imresize: the image is of type {_dtype_name(image)}",
            f"imresize works on bool, {', '.join(_WORK)}",
            "convert the image first",
        )
    height, width = image.shape[-2:] if is_tensor else image.shape[:2]
    axes = _axes((height, width), size_or_scale, method, antialiasing)
    return _resize_tensor(image, axes) if is_tensor else _resize_array(image, axes)  # type: ignore[return-value,arg-type]
