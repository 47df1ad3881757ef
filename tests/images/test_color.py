"""Reading and colours against hand-computed values; the oracle of each is named in its test."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.images import color, gray2rgb, im2double, im2single, imread, rescale, rgb2gray
from bridge.images.color import require_size


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_transparent_pixels_are_composited_on_black_in_linear_light(tmp_path: Path) -> None:
    """By hand for 200 at alpha 128: round(255 (200/255)^2.2) = 149; 149 * 128 / 255 -> 75; round(255 (75/255)^(1/2.2)) = 146."""
    rgba = np.array([[[200, 0, 255, 128], [200, 100, 50, 255], [200, 100, 50, 0]]], np.uint8)
    image = imread(save(tmp_path / "a.png", rgba))
    assert image.dtype == np.uint8
    # 255 at alpha 128: linear 255 * 128 / 255 = 128, round(255 (128/255)^(1/2.2)) = 186
    assert image.tolist() == [[[146, 0, 186], [200, 100, 50], [0, 0, 0]]]
    assert imread(save(tmp_path / "b.png", rgba[..., [0, 3]])).tolist() == [[146, 200, 0]]  # gray with alpha: H x W


def test_a_background_colour_in_the_file_replaces_black(tmp_path: Path) -> None:
    """By hand for 200 over 255 at alpha 128: (149 * 128 + 255 * 127) / 255 -> 202, round(255 (202/255)^(1/2.2)) = 229."""
    chunks = PngInfo()
    chunks.add(b"bKGD", struct.pack(">3H", 255, 255, 255))
    rgba = np.array([[[200, 200, 200, 128], [200, 100, 50, 0]]], np.uint8)
    assert imread(save(tmp_path / "a.png", rgba, pnginfo=chunks)).tolist() == [[[229] * 3, [255] * 3]]


def test_pixels_of_the_transparent_colour_become_the_background(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8), transparency=(1, 2, 3))
    assert imread(path).tolist() == [[[0, 0, 0], [4, 5, 6]]]


def test_indexed_images_give_their_indices(tmp_path: Path) -> None:
    indexed = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8)).convert("P")
    indexed.putpalette([9, 9, 9, 200, 0, 0, 0, 200, 0])
    for name in ("a.png", "a.gif", "a.bmp"):
        indexed.save(tmp_path / name)
        assert imread(tmp_path / name).tolist() == [[0, 1], [2, 1]], name


def test_types_are_those_of_the_file(tmp_path: Path) -> None:
    gray16 = np.array([[0, 258], [65535, 1]], np.uint16)
    for name in ("a.png", "a.tif"):
        np.testing.assert_array_equal(imread(save(tmp_path / name, gray16)), gray16, strict=True)
    logical = np.array([[True, False]])
    np.testing.assert_array_equal(imread(save(tmp_path / "b.png", logical)), logical, strict=True)
    gray = np.array([[1, 2, 3]], np.uint8)
    np.testing.assert_array_equal(imread(save(tmp_path / "c.png", gray)), gray, strict=True)
    assert imread(save(tmp_path / "d.jpg", np.zeros((8, 9, 3), np.uint8))).shape == (8, 9, 3)


def png_of_16_bits(channels: int, size: tuple[int, int] = (1, 1), rows: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    color_type = {2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", *size, 16, color_type, 0, 0, 0)
    pixels = zlib.compress(rows or b"\0" + bytes(2 * channels))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def png_without_pixels(width: int, height: int) -> bytes:
    return png_of_16_bits(3, (width, height))


def bmp_without_pixels(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIiiII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


@pytest.mark.parametrize("make", [png_without_pixels, bmp_without_pixels])
def test_an_image_is_refused_by_the_size_it_declares(tmp_path: Path, make: Callable[[int, int], bytes]) -> None:
    """It is not decoded: it holds no pixels, which would be told of otherwise."""
    path = tmp_path / "a.image"
    path.write_bytes(make(9000, 8000))
    with pytest.raises(UnsupportedError, match="8000 x 9000 pixels") as caught:
        imread(path)
    assert "50 million" in caught.value.cause and caught.value.hint
    with pytest.raises(UnsupportedError):
        require_size("", (50_000_001, 1))
    require_size("", (50_000_000, 1))


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate((1 << 29) + 1)  # sparse: takes no room
    with pytest.raises(UnsupportedError, match=r"537 MB"):
        imread(tmp_path / "a.png")


def test_large_transparent_images_are_composited_in_strips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (50, 7, 4), dtype=np.uint8)
    path = save(tmp_path / "a.png", pixels)
    whole = imread(path)
    monkeypatch.setattr(color, "_STRIP", 100)
    np.testing.assert_array_equal(imread(path), whole, strict=True)


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("kind", range(5))
def test_colour_of_16_bits_is_read_whole_without_its_alpha(tmp_path: Path, channels: int, kind: int) -> None:
    """By hand: the numbers that were written, in each of PNG's filters (none, sub, up, average, Paeth)."""
    rng = np.random.default_rng(kind)
    pixels = rng.integers(0, 65536, (5, 7, channels), dtype=np.uint16)
    (tmp_path / "a.png").write_bytes(png_of_16_bits(channels, (7, 5), filtered(pixels, kind)))
    np.testing.assert_array_equal(imread(tmp_path / "a.png"), pixels[..., :3], strict=True)


def filtered(pixels: np.ndarray[Any, Any], kind: int) -> bytes:
    """Return the rows of a PNG as one of its filters makes them, byte by byte."""
    step, rows = 2 * pixels.shape[2], pixels.astype(">u2").view(np.uint8).reshape(len(pixels), -1).astype(int)
    padded = np.pad(rows, ((1, 0), (step, 0)))
    left, up, corner = padded[1:, :-step], padded[:-1, step:], padded[:-1, :-step]
    nearest = np.argmin(
        [abs(up - corner), abs(left - corner), abs(left + up - 2 * corner)], 0
    )  # Paeth; the first of equals
    told = (0 * up, left, up, (left + up) // 2, np.choose(nearest, [left, up, corner]))[kind]
    return b"".join(bytes([kind, *row]) for row in ((rows - told) % 256).tolist())


def test_gray_of_16_bits_with_alpha_is_refused_and_not_truncated(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png_of_16_bits(2))
    with pytest.raises(UnsupportedError, match=r"a\.png"):
        imread(tmp_path / "a.png")


@pytest.mark.parametrize("damage", ["truncated", "no image", "empty", "absent", "broken chunk"])
def test_a_damaged_file_is_named(tmp_path: Path, damage: str) -> None:
    path = save(tmp_path / "a.png", np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    data = path.read_bytes()
    damaged = {
        "truncated": data[: len(data) // 2],
        "no image": b"text",
        "empty": b"",
        "broken chunk": data[:12] + b"JUNK" + data[16:],
    }
    path.unlink() if damage == "absent" else path.write_bytes(damaged[damage])
    with pytest.raises(UnreadableError, match=r"a\.png") as caught:
        imread(path)
    assert caught.value.cause and caught.value.hint and "object at 0x" not in caught.value.cause


def test_rgb2gray_has_unrounded_coefficients() -> None:
    """By hand: 0.298936021293776 * 255 = 76.23, 0.587043074451121 * 255 = 149.70, 0.114020904255103 * 255 = 29.08."""
    primaries = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]]], np.uint8)
    np.testing.assert_array_equal(rgb2gray(primaries), np.array([[76, 150, 29, 255]], np.uint8), strict=True)
    # by hand 192.506; the digits usually printed (0.2989, 0.5870, 0.1140) would give 192.488, and 0.299, 0.587, 0.114 give 192.497
    assert rgb2gray(np.array([[[91, 234, 245]]], np.uint8)).tolist() == [[193]]
    single = rgb2gray(np.array([[[1, 0.5, 0]]], np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, [[0.298936021293776 + 0.587043074451121 / 2]], rtol=1e-7)


def test_gray2rgb_repeats_the_channel() -> None:
    gray = np.array([[1, 2]], np.uint8)
    for image in (gray, gray[..., None]):
        np.testing.assert_array_equal(gray2rgb(image), np.array([[[1, 1, 1], [2, 2, 2]]], np.uint8), strict=True)


@pytest.mark.parametrize(("convert", "dtype"), [(im2single, np.float32), (im2double, np.float64)])
def test_im2single_and_im2double_divide_by_the_largest_value(
    convert: Callable[[np.ndarray], np.ndarray], dtype: type
) -> None:
    for image, expected in [
        (np.array([0, 51, 255], np.uint8), [0, 0.2, 1]),
        (np.array([0, 13107, 65535], np.uint16), [0, 0.2, 1]),
        (np.array([False, True]), [0, 1]),
        (np.array([-1.5, 300], np.float32), [-1.5, 300]),
    ]:
        np.testing.assert_array_equal(convert(image), np.array(expected, dtype), strict=True)


def test_rescale_follows_its_documented_formula() -> None:
    np.testing.assert_array_equal(rescale(np.array([1, 2, 5], np.uint8)), [0, 0.25, 1])
    np.testing.assert_array_equal(rescale([1, 2, 5], -1, 1), [-1, -0.5, 1])
    np.testing.assert_array_equal(rescale([-9, 64, 300], InputMin=0, InputMax=128), [0, 0.5, 1])
    np.testing.assert_array_equal(rescale([7, 7], 2, 3), [2, 2])
    assert rescale(np.ones(2, np.float32)).dtype == np.float32


@pytest.mark.parametrize(
    ("function", "image"),
    [
        (rgb2gray, np.zeros((2, 2))),
        (gray2rgb, np.zeros((2, 2, 3))),
        (im2single, np.array([1])),
        (im2double, np.array([1])),
    ],
)
def test_wrong_shapes_and_types_are_refused(function: Callable[[np.ndarray], np.ndarray], image: np.ndarray) -> None:
    with pytest.raises(UsageError):
        function(image)


def test_any_path_like_is_a_path(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.zeros((2, 3), np.uint8))
    assert imread(os.fspath(path)).shape == imread(path).shape == (2, 3)
