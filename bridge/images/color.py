"""MATLAB's ``imread``, ``rgb2gray``, ``im2single``, ``im2double`` and ``rescale`` on numpy arrays H x W or
H x W x C.
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from bridge.errors import BridgeError, UnreadableError, UnsupportedError, UsageError

Array = NDArray[Any]

MOST_PIXELS, MOST_BYTES = 50_000_000, 1 << 29  # of an image file: the memory that it takes stays below 1 GB
_STRIP = 1 << 22
_LOW_BYTES = {"RGB;16B": "RGB;16L", "RGBA;16B": "RGBA;16L"}  # Pillow unpacks one byte of two: the first, or the second
_GRAY = np.array(
    [0.298936021293776, 0.587043074451121, 0.114020904255103]
)  # rgb2gray's coefficients, not rounded to three digits
_LEVELS = np.arange(256) / 255
_TO_LINEAR = np.floor(255 * _LEVELS**2.2 + 0.5).astype(np.uint32)
_FROM_LINEAR = np.floor(255 * _LEVELS ** (1 / 2.2) + 0.5).astype(np.uint8)


def imread(path: str | os.PathLike[str]) -> Array:
    """Reads an image file as the one-output form of MATLAB's ``imread`` does.

    - A PNG with transparency is composited onto its background colour, black where it names none, in linear light with
      the 8-bit gamma tables of libpng. On black this reproduces a mean image that MATLAB stored; a background colour in
      the file and transparency by a colour key follow the documentation, unconfirmed. Other formats keep their alpha
      channel.
    - An indexed image gives its indices, not its colours.
    - A PNG of 16 bits a channel is uint16; its alpha channel is left out, as a box that MATLAB stored for such an image
      tells. Gray of 16 bits is uint16 in every format; 1-bit images are logical. The orientation that a camera noted is
      ignored.

    Returns:
        H x W, or H x W x C: uint8, uint16, single or logical.

    Raises:
        UnreadableError: there is no such file, it is damaged, or it is no image.
        UnsupportedError: a colour image of 16 bits a channel that is no PNG, or gray with alpha; or one of more than 50
            million pixels, which is not decoded.
    """
    from PIL import Image, UnidentifiedImageError

    try:
        data = _bytes_of(path)
        with Image.open(io.BytesIO(data)) as image:
            require_size(path, image.size)
            raw_modes = [tile[3] for tile in image.tile]
            low_bytes = next((_LOW_BYTES[mode] for mode in raw_modes if mode in _LOW_BYTES), "")
            has_color_key = "transparency" in image.info and image.mode in ("L", "RGB")
            pixels = np.array(image.convert(image.mode + "A") if has_color_key else image)
            is_png = image.format == "PNG"
        if is_png and low_bytes:
            return pixels[..., :3].astype(np.uint16) << 8 | _pixels_as(data, low_bytes)[..., :3]
    except BridgeError:
        raise
    except Exception as problem:  # Pillow raises many kinds, an IndexError for a chunk that is too short
        cause = (
            "it is in no image format that is known" if isinstance(problem, UnidentifiedImageError) else str(problem)
        )
        raise UnreadableError(f"cannot read the image {path}", cause, "replace the file, or leave it out") from problem
    if ";16" in str(raw_modes) and pixels.dtype == np.uint8:
        raise UnsupportedError(
            f"{path} is a colour image of 16 bits a channel",
            "it would be read with 8 bits, unlike in MATLAB",
            "convert it to 8 bits",
        )
    if is_png and pixels.shape[2:] in {(2,), (4,)}:
        return _composite(pixels, _background(data, pixels.shape[2] - 1))
    return pixels.astype(pixels.dtype.newbyteorder("="), copy=False)


def _pixels_as(data: bytes, raw_mode: str) -> Array:
    """Decode an image whose pixels are unpacked another way."""
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        codec, extents, offset, _ = image.tile[0]
        image.tile = [type(image.tile[0])(codec, extents, offset, raw_mode)]
        return np.array(image)


def require_size(path: str | os.PathLike[str], size: tuple[int, int]) -> None:
    """Checks the width and height that an image declares.

    Raises:
        UnsupportedError: more than 50 million pixels, which may take a thousand times the memory of the file.
    """
    if size[0] * size[1] > MOST_PIXELS:
        raise UnsupportedError(
            f"the image {path} is {size[1]} x {size[0]} pixels",
            f"images of up to {MOST_PIXELS // 1_000_000} million pixels are read",
            "make it smaller, or cut it into parts",
        )


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > MOST_BYTES:
            raise UnsupportedError(
                f"the file {path} has {size / 1e6:,.0f} MB",
                f"images of up to {MOST_BYTES / 1e6:.0f} MB are read",
                "make it smaller, or leave it out",
            )
        return file.read()


def _background(png: bytes, channels: int) -> Array:
    """The colour of the bKGD chunk: 16-bit big-endian numbers, of which an image of 8 bits uses the low byte."""
    header = png[: png.find(b"IDAT")]
    at = header.find(b"bKGD")
    return np.zeros(channels, np.uint8) if at < 0 else np.frombuffer(header, ">u2", channels, at + 4).astype(np.uint8)


def _composite(pixels: Array, background: Array) -> Array:
    """Blends over a background as libpng does: linear values of 8 bits, products divided by 255 with rounding."""
    if len(pixels) > 1 and pixels.size > _STRIP:  # in strips: what is computed takes 16 times their memory
        rows = max(1, _STRIP * len(pixels) // pixels.size)
        strips = (pixels[start : start + rows] for start in range(0, len(pixels), rows))
        return np.concatenate([_composite(strip, background) for strip in strips])
    color, alpha = pixels[..., :-1], pixels[..., -1:].astype(np.uint32)
    blend = _TO_LINEAR[color] * alpha + _TO_LINEAR[background] * (255 - alpha) + 128
    blend = (blend + (blend >> 8)) >> 8
    result: Array = np.where(alpha == 255, color, np.where(alpha == 0, background, _FROM_LINEAR[blend]))
    return result[..., 0] if result.shape[-1] == 1 else result


def gray2rgb(image: Array) -> Array:
    """Repeats a gray image, H x W or H x W x 1, in three channels."""
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[2] != 1:
        raise UsageError(
            f"gray2rgb: the image has the shape {image.shape}", "a gray image is H x W or H x W x 1", "convert it first"
        )
    return np.repeat(image, 3, axis=2)


def rgb2gray(image: Array) -> Array:
    """MATLAB's ``rgb2gray``: 0.2989 R + 0.5870 G + 0.1140 B with unrounded coefficients; integers are rounded half up.

    Args:
        image: H x W x 3; uint8, uint16, single or double.

    Returns:
        H x W of the same type.
    """
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype.kind not in "uf":
        error = f"rgb2gray: the image is {image.dtype} of shape {image.shape}"
        raise UsageError(error, "an RGB image is H x W x 3, unsigned or float", "convert it first")
    if image.dtype.kind == "f":
        return np.asarray(image @ _GRAY.astype(image.dtype))
    gray: Array = np.floor(image @ _GRAY + 0.5).astype(image.dtype)
    return gray


def im2single(image: Array) -> NDArray[np.float32]:
    """MATLAB's ``im2single``: uint8 / 255, uint16 / 65535; logical and float values as they are."""
    return _im2float(image, np.float32)


def im2double(image: Array) -> NDArray[np.float64]:
    """MATLAB's ``im2double``: uint8 / 255, uint16 / 65535; logical and float values as they are."""
    return _im2float(image, np.float64)


def _im2float(image: Array, dtype: type[np.floating[Any]]) -> Array:
    if image.dtype.kind in "bf":
        return image.astype(dtype)
    if image.dtype in (np.uint8, np.uint16):
        return np.divide(image, np.iinfo(image.dtype).max, dtype=dtype)
    raise UsageError(
        f"the image is of type {image.dtype}", "an image is uint8, uint16, float or logical", "convert it first"
    )


def rescale(
    values: ArrayLike,
    lower: float = 0,
    upper: float = 1,
    *,
    InputMin: ArrayLike | None = None,
    InputMax: ArrayLike | None = None,
) -> Array:
    """MATLAB's ``rescale``: ``lower + (values - InputMin) / (InputMax - InputMin) * (upper - lower)``.

    Values outside of InputMin..InputMax (by default the smallest and largest value) are clamped first; a constant array
    gives `lower`.

    Returns:
        single for single, else double.
    """
    x = np.asarray(values)
    x = x if x.dtype == np.float32 else x.astype(np.float64)
    smallest = np.asarray(x.min() if InputMin is None else InputMin, x.dtype)
    largest = np.asarray(x.max() if InputMax is None else InputMax, x.dtype)
    span = np.where(largest > smallest, largest - smallest, 1)
    return np.asarray(lower + (np.clip(x, smallest, largest) - smallest) / span * x.dtype.type(upper - lower), x.dtype)
