"""imageDataAugmenter and augmentedImageDatastore against hand-computed pixels and a direct bilinear evaluation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from PIL import Image

from bridge.errors import UsageError
from bridge.images import ImageDatastore, augmentedImageDatastore, imageDataAugmenter, imageDatastore, imresize

RNG = np.random.default_rng


def augment(image: np.ndarray, seed: int = 0, **options: Any) -> np.ndarray:
    return imageDataAugmenter(**options).augment(image, RNG(seed))


# --- one image --------------------------------------------------------------------------------------------------------------------------

SQUARE = np.arange(25.0).reshape(5, 5)


def test_the_defaults_change_nothing() -> None:
    np.testing.assert_array_equal(augment(SQUARE), SQUARE)


@pytest.mark.parametrize(("option", "axis"), [("RandXReflection", 1), ("RandYReflection", 0)])
def test_half_of_the_images_are_mirrored(option: str, axis: int) -> None:
    image = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    results = [augment(image, seed, **{option: True}) for seed in range(200)]
    mirrored = [np.array_equal(result, np.flip(image, axis)) for result in results]
    assert all(flipped or np.array_equal(result, image) for flipped, result in zip(mirrored, results, strict=True))
    assert 70 < sum(mirrored) < 130  # 4.2 standard deviations of 200 draws at one half


def test_translation_moves_right_and_down_and_fills() -> None:
    assert augment(SQUARE, RandXTranslation=lambda: 2)[0].tolist() == [0, 0, 0, 1, 2]
    assert augment(SQUARE, RandYTranslation=lambda: -1, FillValue=9)[:, 0].tolist() == [5, 10, 15, 20, 9]
    half = augment(np.array([[0.0, 10, 20]]), RandXTranslation=lambda: 0.5, FillValue=-1)
    assert half.tolist() == [
        [-1, 5, 15]
    ]  # by hand: means of neighbours; the first lies left of the first pixel's centre


def test_rotation_is_clockwise_and_exact_for_right_angles() -> None:
    for quarters in (1, 2, 3, -1):
        np.testing.assert_array_equal(augment(SQUARE, RandRotation=(90 * quarters,) * 2), np.rot90(SQUARE, -quarters))


def test_scale_magnifies_about_the_centre() -> None:
    row = np.array([[0.0, 10, 20, 30, 40]])
    assert augment(row, RandXScale=(2, 2)).tolist() == [[10, 15, 20, 25, 30]]  # by hand
    assert augment(row, RandScale=(2, 2), RandXScale=(9, 9)).tolist() == [[10, 15, 20, 25, 30]]  # RandScale wins
    assert augment(row.T, RandYScale=(0.5, 0.5), FillValue=7).ravel().tolist() == [7, 0, 20, 40, 7]


def test_shear_moves_rows_or_columns_by_their_distance_from_the_centre() -> None:
    image = np.tile(np.arange(5.0), (5, 1))
    sheared = augment(image, RandXShear=(45, 45), FillValue=-1)
    assert sheared[[0, 2, 4]].tolist() == [[2, 3, 4, -1, -1], [0, 1, 2, 3, 4], [-1, -1, 0, 1, 2]]  # by hand: x' = x + y
    np.testing.assert_allclose(augment(image.T, RandYShear=(45, 45), FillValue=-1), sheared.T, atol=1e-12)


def test_all_changes_together_equal_a_direct_evaluation() -> None:
    """Oracle: each output pixel's place in the input by the inverse of shear * scale * rotation * mirror, then four weighted pixels."""
    image = RNG(1).random((7, 9))
    angle, scale, shear, shift = (
        math.radians(20),
        np.array([1.1, 0.8]),
        np.tan(np.radians([5, -8])),
        np.array([1.25, -0.5]),
    )
    matrix = (
        np.array([[1, shear[0]], [shear[1], 1]])
        @ np.diag(scale)
        @ np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    )
    expected = np.full((7, 9), 0.5)
    for row in range(7):
        for column in range(9):
            x, y = np.linalg.solve(matrix, np.array([column - 4, row - 3]) - shift) + np.array([4, 3])
            if 0 <= x <= 8 and 0 <= y <= 6:
                i, j = min(int(y), 5), min(int(x), 7)
                v, u = y - i, x - j
                top, bottom = ((1 - u) * image[k, j] + u * image[k, j + 1] for k in (i, i + 1))
                expected[row, column] = (1 - v) * top + v * bottom
    result = augment(
        image,
        FillValue=0.5,
        RandRotation=(20, 20),
        RandXScale=(1.1, 1.1),
        RandYScale=(0.8, 0.8),
        RandXShear=(5, 5),
        RandYShear=(-8, -8),
        RandXTranslation=(1.25, 1.25),
        RandYTranslation=(-0.5, -0.5),
    )
    np.testing.assert_allclose(result, expected, atol=1e-12)


COLORS = RNG(2).integers(0, 256, (150, 130, 3), dtype=np.uint8)
EVERYTHING: dict[str, Any] = {
    "RandXReflection": True,
    "RandRotation": (-180, 180),
    "RandXShear": (-20, 20),
    "RandScale": (0.5, 2),
    "RandXTranslation": (-30, 30),
}


@pytest.mark.parametrize("channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("levels", [1, 64])
@pytest.mark.parametrize("fill", [0, 127.5, 300])
def test_large_images_equal_scipy_bit_for_bit(channels: int, levels: int, fill: float) -> None:
    """Oracle: scipy's affine_transform of each channel in double precision. Few levels of gray give many ties."""
    image = np.resize(COLORS, (150, 130, channels)) // levels * levels
    for seed, options in enumerate([EVERYTHING, EVERYTHING, {"RandRotation": (90, 90)}, {"RandScale": (0.5, 0.5)}]):
        augmenter = imageDataAugmenter(FillValue=fill, **options)
        matrix, shift = augmenter._draw(RNG(seed))
        back, centre = np.linalg.inv(matrix)[::-1, ::-1], np.array([74.5, 64.5])
        place = back, centre - back @ (centre + shift[::-1])
        expected = [
            scipy.ndimage.affine_transform(plane, *place, order=1, cval=fill) for plane in image.transpose(2, 0, 1)
        ]
        found = augmenter.augment(image, RNG(seed))
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found, np.stack(expected, axis=2))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32, bool])
def test_a_batch_in_a_tensor_is_changed_as_one_image_after_the_other(dtype: type) -> None:
    """The oracle is the path of arrays, which is scipy's."""
    torch = pytest.importorskip("torch")
    images = (RNG(3).random((2, 3, 3, 40, 31)) * (2 if dtype is bool else 255)).astype(dtype)
    augmenter, rng = imageDataAugmenter(FillValue=(1, 2.5, 0), **EVERYTHING), RNG(4)
    found = augmenter.augment(torch.from_numpy(images), RNG(4)).numpy()
    expected = [
        augmenter.augment(image.transpose(1, 2, 0), rng).transpose(2, 0, 1) for image in images.reshape(6, 3, 40, 31)
    ]
    np.testing.assert_array_equal(found, np.reshape(expected, images.shape), strict=True)


def test_a_tensor_on_another_device_stays_there() -> None:
    """torch's "meta" device has no data: whatever went through host memory would raise."""
    torch = pytest.importorskip("torch")
    found = imageDataAugmenter(**EVERYTHING).augment(torch.empty(2, 3, 9, 8, dtype=torch.uint8, device="meta"), RNG(0))
    assert (found.device.type, found.shape, found.dtype) == ("meta", (2, 3, 9, 8), torch.uint8)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, bool])
def test_the_type_stays_and_integers_are_rounded(dtype: type) -> None:
    result = augment(np.array([[0, 1, 1]], dtype), RandXTranslation=lambda: 0.25)
    assert result.dtype == dtype
    exact = [0, 0.75, 1]  # by hand
    assert result.tolist() == [exact if dtype is np.float32 else [0, 1, 1]]


def test_each_channel_has_its_own_fill_value() -> None:
    image = np.ones((1, 2, 3), np.uint8)
    assert augment(image, RandXTranslation=lambda: 1, FillValue=(7, 8, 9)).tolist() == [[[7, 8, 9], [1, 1, 1]]]
    with pytest.raises(UsageError, match="FillValue"):
        augment(image, RandXTranslation=lambda: 1, FillValue=(7, 8))


def test_values_are_drawn_from_the_range_and_follow_the_generator() -> None:
    row = np.arange(100.0)[None]
    shifts = [50 - augment(row, seed, RandXTranslation=(-3, 5))[0, 50] for seed in range(300)]
    assert -3 <= min(shifts) < -2.8 and 4.8 < max(shifts) <= 5
    assert shifts == [50 - augment(row, seed, RandXTranslation=(-3, 5))[0, 50] for seed in range(300)]


@pytest.mark.parametrize(
    "options",
    [
        {"RandRotation": (10, -10)},
        {"RandScale": (0, 1)},
        {"RandXShear": (-90, 0)},
        {"RandYTranslation": 3},
        {"RandXScale": (1, 2, 3)},
    ],
)
def test_ranges_beyond_their_limits_are_refused(options: Any) -> None:
    with pytest.raises(UsageError, match=next(iter(options))):
        imageDataAugmenter(**options)


# --- datastores -------------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def images(tmp_path: Path) -> ImageDatastore:
    """Two classes; the image of class 0 is RGB, that of class 1 gray."""
    pixels = RNG(0).integers(0, 256, (12, 10, 3), dtype=np.uint8)
    for name, image in (("a", pixels), ("b", pixels[..., 0])):
        (tmp_path / name).mkdir()
        Image.fromarray(image).save(tmp_path / name / "1.png")
    return imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames")


def test_items_are_resized_bilinearly_and_not_divided(images: ImageDatastore) -> None:
    store = augmentedImageDatastore((6, 7), images, ColorPreprocessing="gray2rgb")
    assert len(store) == 2 and store.classes == ("a", "b")
    for index in range(2):
        image, label = store[index]
        source = images.readimage(index)
        source = source if source.ndim == 3 else np.stack([source] * 3, axis=2)
        np.testing.assert_array_equal(
            image, imresize(source, (6, 7), "bilinear").transpose(2, 0, 1).astype(np.float32), strict=True
        )
        assert label == index
    bicubic = augmentedImageDatastore((6, 7), images, ColorPreprocessing="gray2rgb", resize_method="bicubic")
    np.testing.assert_array_equal(bicubic[0][0], imresize(images.readimage(0), (6, 7)).transpose(2, 0, 1))


def test_rgb2gray_gives_one_channel(images: ImageDatastore) -> None:
    store = augmentedImageDatastore((12, 10, 1), images, ColorPreprocessing="rgb2gray")
    assert [image.shape for image, _ in store] == [(1, 12, 10)] * 2


def test_images_of_mixed_channels_are_named(images: ImageDatastore) -> None:
    store = augmentedImageDatastore((6, 6), images)
    assert store[0][0].shape == (3, 6, 6)
    with pytest.raises(UsageError, match=r"b.1\.png has 1 channels, expected are 3") as caught:
        store[1]
    assert caught.value.cause and "gray2rgb" in caught.value.hint
    with pytest.raises(UsageError, match=r"a.1\.png has 3 channels"):
        augmentedImageDatastore((6, 6, 1), images)[0]


RAMPS = np.arange(2 * 20.0).reshape(2, 20).T.reshape(4, 5, 1, 2)  # H x W x C x N


def test_arrays_are_height_width_channels_images() -> None:
    store = augmentedImageDatastore((4, 5), RAMPS, ["dog", "cat"])
    assert store.classes == ("cat", "dog") and [label for _, label in store] == [1, 0]
    np.testing.assert_array_equal(store[1][0], RAMPS[..., 1].transpose(2, 0, 1))
    numeric = augmentedImageDatastore((4, 5), RAMPS, [0.5, 2.5])
    assert numeric.classes == () and [response for _, response in numeric] == [0.5, 2.5]
    assert augmentedImageDatastore((4, 5), RAMPS)[0].shape == (1, 4, 5)


def test_crops() -> None:
    centre = augmentedImageDatastore((2, 3), RAMPS, OutputSizeMode="centercrop")
    assert centre[0][0].tolist() == [[6, 7, 8], [11, 12, 13]]  # by hand: rows 1-2 of 0-3, columns 1-3 of 0-4
    random = augmentedImageDatastore((2, 3), RAMPS, OutputSizeMode="randcrop", rng=0)
    corners = {random[0][0, 0, 0] for _ in range(200)}
    assert corners == {5 * row + column for row in range(3) for column in range(3)}
    with pytest.raises(UsageError, match="image 0 is 4 x 5, smaller than the crop of 4 x 6"):
        augmentedImageDatastore((4, 6), RAMPS, OutputSizeMode="centercrop")[0]


def test_augmentation_follows_the_seed_and_comes_before_resizing() -> None:
    augmenter = imageDataAugmenter(RandXTranslation=(-2, 2))
    first, second, other = (
        augmentedImageDatastore((8, 8), RAMPS, DataAugmentation=augmenter, rng=seed) for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first[0], second[0])
    assert not np.array_equal(first[0], other[0])
    shifted = augmentedImageDatastore((4, 10), RAMPS, DataAugmentation=imageDataAugmenter(RandXTranslation=lambda: 2))
    assert (shifted[0][0, :, :3] == 0).all()  # two pixels of the image are four of the output


def test_workers_of_a_data_loader_draw_different_numbers() -> None:
    import torch

    same = np.repeat(RAMPS[..., :1], 4, axis=3)
    store = augmentedImageDatastore((4, 5), same, DataAugmentation=imageDataAugmenter(RandXTranslation=(-2, 2)))
    loader = torch.utils.data.DataLoader(store, batch_size=1, num_workers=2, generator=torch.Generator().manual_seed(0))
    epochs = [batch.numpy().tobytes() for _ in range(2) for batch in loader]
    assert len(set(epochs)) == 8


@pytest.mark.parametrize(
    "arguments",
    [
        dict(output_size=(4,), data=RAMPS),
        dict(output_size=(4, 4), data=RAMPS[..., 0]),
        dict(output_size=(4, 4), data=RAMPS, responses=[1]),
        dict(output_size=(4, 4), data=RAMPS, OutputSizeMode="crop"),
        dict(output_size=(4, 4), data=RAMPS, ColorPreprocessing="hsv"),
    ],
)
def test_unknown_options_and_shapes_are_refused(arguments: Any) -> None:
    with pytest.raises(UsageError) as caught:
        augmentedImageDatastore(**arguments)
    assert caught.value.cause and caught.value.hint
