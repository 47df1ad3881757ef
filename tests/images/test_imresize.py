"""imresize against MATLAB's stored outputs, integer arithmetic, and a direct float64 evaluation of its definition."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import torch
from PIL import Image

from bridge.errors import UsageError
from bridge.images.imresize import _axes, _resize_on_device, imresize
from tests.real import REAL, needs_real

FOLDER = REAL / "imresize"

RAMP = np.linspace(0, 63, 64).reshape(8, 8)
CORNER = np.array([[100, 1, 0, 100], [10, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]], float)


def on_device(image: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """The path that tensors outside of host memory take."""
    return _resize_on_device(image, _axes((image.shape[-2], image.shape[-1]), size, "bicubic", True))


# --- MATLAB's own outputs ---------------------------------------------------------------------------------------------------------------


@needs_real
@pytest.mark.parametrize(
    ("file", "image"),
    [
        ("down_down_aa", RAMP),
        ("down_down_noaa", RAMP),
        ("down_down_x2_aa", RAMP),
        ("down_down_x4_aa", RAMP),
        ("down_down_irregular_aa", RAMP),
        ("up_up_irregular_aa", RAMP),
        ("up_up_topleft_noaa", CORNER),
        ("down_down_butterfly_irregular_aa", None),
    ],
)
def test_double_equals_matlab(file: str, image: np.ndarray | None) -> None:
    image = np.asarray(Image.open(FOLDER / "butterfly.png")) / 255 if image is None else image
    expected = scipy.io.loadmat(FOLDER / f"{file}.mat")[file]
    result = imresize(image, expected.shape[:2], antialiasing=not file.endswith("noaa"))
    np.testing.assert_allclose(
        result, expected, rtol=0, atol=1e-12
    )  # values up to 100: some thousand roundings of double precision


@needs_real
def test_uint8_equals_matlab_in_every_value() -> None:
    image = np.array(Image.open(FOLDER / "lena_512x512.png"))
    expected = np.asarray(Image.open(FOLDER / "lena_123x234_uint8.png"))
    tensor = torch.from_numpy(image).movedim(2, 0)
    np.testing.assert_array_equal(imresize(image, (123, 234)), expected, strict=True)
    for resize in (imresize, on_device):
        np.testing.assert_array_equal(resize(tensor, (123, 234)).movedim(0, 2).numpy(), expected, strict=True)


# --- the definition, evaluated directly -------------------------------------------------------------------------------------------------


def cubic(x: float) -> float:
    x = abs(x)
    return 1.5 * x**3 - 2.5 * x**2 + 1 if x <= 1 else -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2 if x <= 2 else 0


def lanczos(lobes: int) -> Callable[[float], float]:
    def kernel(x: float) -> float:
        if x == 0 or abs(x) >= lobes:
            return float(x == 0)
        return lobes * math.sin(math.pi * x) * math.sin(math.pi * x / lobes) / (math.pi * x) ** 2

    return kernel


KERNELS: dict[str, Callable[[float], float]] = {
    "box": lambda x: float(-0.5 <= x < 0.5),
    "bilinear": lambda x: max(0.0, 1 - abs(x)),
    "bicubic": cubic,
    "lanczos2": lanczos(2),
    "lanczos3": lanczos(3),
}


def weights(n: int, size: int, scale: float, kernel: Callable[[float], float], antialiasing: bool) -> np.ndarray:
    """size x n; centre (o + 1/2)/scale - 1/2, kernel stretched by 1/scale where it shrinks, mirrored edges, each row sums to 1."""
    stretch = min(scale, 1) if antialiasing else 1
    matrix = np.zeros((size, n))
    for o in range(size):
        centre = (o + 0.5) / scale - 0.5
        for i in range(math.floor(centre - 4 / stretch), math.ceil(centre + 4 / stretch) + 1):
            mirrored = i % (2 * n)
            matrix[o, min(mirrored, 2 * n - 1 - mirrored)] += kernel(stretch * (centre - i))
    return matrix / matrix.sum(axis=1, keepdims=True)


def reference(
    image: np.ndarray, size: tuple[int, int], scale: tuple[float, float], method: str, antialiasing: bool = True
) -> np.ndarray:
    rows, columns = (
        weights(*args, KERNELS[method], antialiasing) for args in zip(image.shape, size, scale, strict=True)
    )
    passes: list[Callable[[np.ndarray], np.ndarray]] = [lambda x: rows @ x, lambda x: x @ columns.T]
    y = image.astype(float)
    for step in passes if scale[0] <= scale[1] else reversed(passes):
        y = step(y)
        if image.dtype.kind == "u":
            y = np.clip(np.floor(y + 0.5), 0, np.iinfo(image.dtype).max)
    return y


SIZES = [(7, 5), (40, 31), (9, 37), (23, 3), (1, 1)]


@pytest.mark.parametrize("antialiasing", [True, False])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("method", KERNELS)
def test_every_kernel_follows_the_definition(method: str, size: tuple[int, int], antialiasing: bool) -> None:
    image = np.random.default_rng(1).random((23, 19))
    expected = reference(image, size, (size[0] / 23, size[1] / 19), method, antialiasing)
    np.testing.assert_allclose(imresize(image, size, method, antialiasing), expected, atol=1e-13)
    single = imresize(image.astype(np.float32), size, method, antialiasing)
    assert single.dtype == np.float32
    np.testing.assert_allclose(
        single, expected, atol=2e-6
    )  # some ten terms of 6e-8 relative error in each of two passes


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_integers_are_rounded_and_clamped_after_each_pass(
    dtype: type[np.unsignedinteger[Any]], size: tuple[int, int]
) -> None:
    top = np.iinfo(dtype).max
    image = (
        np.random.default_rng(2).choice([0, 1, top // 3, top - 1, top], (23, 19)).astype(dtype)
    )  # overshoots on both sides
    expected = reference(image, size, (size[0] / 23, size[1] / 19), "bicubic").astype(dtype)
    np.testing.assert_array_equal(imresize(image, size), expected, strict=True)
    np.testing.assert_array_equal(imresize(torch.from_numpy(image), size).numpy(), expected, strict=True)
    np.testing.assert_array_equal(on_device(torch.from_numpy(image), size).numpy(), expected, strict=True)


def test_ties_are_rounded_away_from_zero_in_integer_arithmetic() -> None:
    """At scale 1/2 the cubic weights are multiples of 1/256: integers tell each result, and many sums end in one half."""
    taps = np.array([-3, -9, 29, 111, 111, 29, -9, -3])
    image = np.random.default_rng(3).integers(0, 256, (512, 512), dtype=np.uint8)

    def halve(x: np.ndarray) -> np.ndarray:
        padded = np.pad(x, ((3, 3), (0, 0)), mode="symmetric").astype(int)
        sums = sum(tap * padded[i : i + len(x) : 2] for i, tap in enumerate(taps))
        return np.clip((sums + 128) // 256, 0, 255)

    expected = halve(halve(image).T).T.astype(np.uint8)
    np.testing.assert_array_equal(imresize(image, 0.5), expected, strict=True)
    assert imresize(np.array([[0, 10]], np.uint8), (1, 4), "bilinear").tolist() == [
        [0, 3, 8, 10]
    ]  # by hand: 0, 2.5, 7.5, 10


# --- sizes and types --------------------------------------------------------------------------------------------------------------------


def test_a_factor_rounds_the_size_up_and_keeps_its_value_as_scale() -> None:
    image = np.random.default_rng(4).random((23, 19))
    result = imresize(image, 0.3)
    assert result.shape == (7, 6)  # ceil(6.9), ceil(5.7)
    np.testing.assert_allclose(result, reference(image, (7, 6), (0.3, 0.3), "bicubic"), atol=1e-13)


@pytest.mark.parametrize("missing", [None, math.nan])
def test_a_missing_size_keeps_the_aspect_ratio(missing: float | None) -> None:
    assert imresize(np.zeros((512, 300)), (227, missing)).shape == (227, 134)  # 227 * 300 / 512 = 133.01
    assert imresize(np.zeros((512, 300)), (missing, 150)).shape == (256, 150)


def test_nearest_takes_any_type_and_the_right_one_of_two_equally_near() -> None:
    """By hand: the outputs of four pixels to two lie at 1.5 and 3.5 (from 1), and box(-1/2) = 1, box(1/2) = 0."""
    image = np.array([[1, 2, 3, 4]])
    assert imresize(image, (1, 2), "nearest").tolist() == [[2, 4]]
    assert imresize(torch.from_numpy(image), (1, 2), "nearest").tolist() == [[2, 4]]
    assert imresize(image, (2, 8), "nearest").tolist() == [[1, 1, 2, 2, 3, 3, 4, 4]] * 2


def test_logical_images_are_true_above_one_half() -> None:
    image = np.zeros((4, 4), bool)
    image[:, :3] = True
    expected = [[True, False], [True, False]]  # by hand, box: 255 and 127.5 -> 128, which is not above 128
    assert imresize(image, (2, 2), "box").tolist() == expected
    assert imresize(torch.from_numpy(image), (2, 2), "box").tolist() == expected


def test_a_nan_reaches_only_the_pixels_whose_taps_hold_it() -> None:
    image = np.ones((1, 64))
    image[0, 40] = np.nan
    result = imresize(image, (1, 32), "bilinear")
    assert np.flatnonzero(np.isnan(result)).tolist() == [
        19,
        20,
    ]  # by hand: these lie at 38.5 and 40.5, and reach less than 2 pixels
    np.testing.assert_allclose(result[~np.isnan(result)], 1)
    colors = imresize(np.stack([np.ones_like(image), image, np.ones_like(image)], axis=2), (1, 32), "bilinear")
    np.testing.assert_array_equal(colors[..., 1], result)
    np.testing.assert_allclose(colors[..., [0, 2]], 1)


def test_axes_beyond_rows_and_columns_are_kept() -> None:
    image = np.random.default_rng(5).integers(0, 256, (30, 20, 5), dtype=np.uint8)
    planes = np.stack([imresize(image[..., c], (12, 9)) for c in range(5)], axis=2)
    np.testing.assert_array_equal(imresize(image, (12, 9)), planes, strict=True)
    batch = torch.from_numpy(image).movedim(2, 0).expand(2, 3, 5, 30, 20)  # not contiguous
    result = imresize(batch, (12, 9))
    assert result.shape == (2, 3, 5, 12, 9) and result.is_contiguous()
    np.testing.assert_array_equal(result[1, 2].movedim(0, 2).numpy(), planes, strict=True)


def test_many_planes_are_resized_in_chunks() -> None:
    images = torch.randint(0, 256, (300, 3, 16, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    each = torch.stack([imresize(image, (7, 9)) for image in images])
    assert torch.equal(imresize(images, (7, 9)), each)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("size", [(61, 503), (907, 41)])
def test_a_large_image_is_each_of_its_channels_however_they_lie_in_memory(
    dtype: type, channels: int, size: tuple[int, int]
) -> None:
    """Larger than what is resized at a time, before or after; the oracle is the direct evaluation of each channel."""
    image = np.random.default_rng(6).integers(0, np.iinfo(dtype).max, (700, 450, channels), dtype=dtype, endpoint=True)
    scale = size[0] / 700, size[1] / 450
    expected = np.stack([reference(image[..., c], size, scale, "bicubic") for c in range(channels)], axis=2)
    apart = np.ascontiguousarray(image.transpose(2, 0, 1)).transpose(1, 2, 0)
    for each in (image, apart, image[:, ::-1][:, ::-1]):
        np.testing.assert_array_equal(imresize(each, size), expected.astype(dtype), strict=True)


@pytest.mark.parametrize("method", KERNELS)
def test_an_axis_that_keeps_its_size_keeps_its_values(method: str) -> None:
    image = np.random.default_rng(7).integers(0, 256, (23, 19, 3), dtype=np.uint8)
    np.testing.assert_array_equal(imresize(image, (23, 19), method), image, strict=True)
    np.testing.assert_array_equal(imresize(image[:, 5:6], (23, 8), method), np.repeat(image[:, 5:6], 8, 1), strict=True)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.uint16, torch.float32, torch.float64, torch.bool])
@pytest.mark.parametrize("method", ["bicubic", "nearest"])
def test_a_tensor_on_another_device_stays_there(dtype: torch.dtype, method: str) -> None:
    """torch's "meta" device has no data: whatever went through host memory, or depended on a value, would raise."""
    found = imresize(torch.empty(2, 3, 20, 31, dtype=dtype, device="meta"), (7, 40), method)
    assert (found.device.type, found.shape, found.dtype) == ("meta", (2, 3, 7, 40), dtype)


def test_gradients_flow_through_float_tensors() -> None:
    image = torch.rand(2, 6, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: imresize(x, (3, 7)), (image,))
    np.testing.assert_allclose(
        imresize(image, (3, 7)).detach().numpy(), imresize(image.detach(), (3, 7)).numpy(), atol=1e-14
    )


@pytest.mark.parametrize(
    ("image", "size", "method"),
    [
        (np.zeros((4, 4)), (2, 2), "spline"),
        (np.zeros((4, 4)), (0, 2), "bicubic"),
        (np.zeros((4, 4)), (2.5, 2), "bicubic"),
        (np.zeros((4, 4)), (None, None), "bicubic"),
        (np.zeros((4, 4)), (2, 2, 3), "bicubic"),
        (np.zeros((4, 4)), -1, "bicubic"),
        (np.zeros((4, 4), int), (2, 2), "bicubic"),
        (np.zeros((0, 4)), (2, 2), "bicubic"),
        (np.zeros(4), (2, 2), "bicubic"),
        ([[1.0]], (2, 2), "bicubic"),
        (torch.zeros(4, 4, dtype=torch.float16), (2, 2), "bicubic"),
    ],
)
def test_what_makes_no_sense_is_refused(image: Any, size: Any, method: str) -> None:
    with pytest.raises(UsageError):
        imresize(image, size, method)


def test_numpy_images_need_no_torch() -> None:
    code = "import sys, numpy, bridge.images; bridge.images.imresize(numpy.ones((8, 8)), 0.5); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[2])
