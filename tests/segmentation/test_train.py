"""SegNet and U-Net learn to paint a square, from folders of images and label images."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import bridge
from bridge.data.expected import Expected
from bridge.data.pixels import pixel_source
from bridge.data.sources import Request
from bridge.errors import UnreadableError, UsageError
from bridge.images import (
    PixelLabelDatastore,
    evaluateSemanticSegmentation,
    imageDataAugmenter,
    imageDatastore,
    inverse_frequency,
    pixelLabelDatastore,
    pixelLabelImageDatastore,
)
from bridge.network import Network
from bridge.networks import segnet_layers, unet_layers
from bridge.options.options import training_options

CLASSES = ["ground", "square"]
VALUES = {"square": 255, "ground": 64}  # another order than the network's
SIZE = (16, 24)
NETWORKS: dict[str, Callable[[], Network]] = {
    "segnet": lambda: segnet_layers((*SIZE, 3), CLASSES, 1),
    "unet": lambda: unet_layers((*SIZE, 3), CLASSES, EncoderDepth=1, NumFirstEncoderFilters=8),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve images with a bright square each, and their label images; the first row of each has no label."""
    place, rng = tmp_path_factory.mktemp("squares"), np.random.default_rng(0)
    for name in ("images", "labels"):
        (place / name).mkdir()
    for number in range(12):
        image, labels = rng.integers(0, 90, (*SIZE, 3), dtype=np.uint8), np.full(SIZE, VALUES["ground"], np.uint8)
        row, column = rng.integers(0, SIZE[0] - 6), rng.integers(0, SIZE[1] - 6)
        image[row : row + 6, column : column + 6] += 150
        labels[row : row + 6, column : column + 6] = VALUES["square"]
        labels[0] = 0
        Image.fromarray(image).save(place / "images" / f"{number:02}.png")
        Image.fromarray(labels).save(place / "labels" / f"{number:02}.png")
    return place


@pytest.fixture
def labels(folder: Path) -> PixelLabelDatastore:
    return pixelLabelDatastore(folder / "labels", VALUES, ignored=[0])


@pytest.mark.parametrize("name", NETWORKS)
def test_it_learns_to_paint(name: str, folder: Path, labels: PixelLabelDatastore) -> None:
    """Oracle: the label images that the images were made with; a network that learnt nothing finds no square."""
    images = imageDatastore(folder / "images")
    weights = inverse_frequency(labels.countEachLabel())
    options = training_options("adam", MaxEpochs=40, MiniBatchSize=4, InitialLearnRate=5e-3, Verbose=False)
    pairs = pixelLabelImageDatastore(images, labels)
    info = bridge.train(
        NETWORKS[name]().initialize(), pairs, options, class_weights=[weights[each] for each in CLASSES]
    )
    assert info.network is not None and info.network.classes == tuple(CLASSES)
    with torch.no_grad():
        pixels = torch.from_numpy(np.stack([pairs[index][0] for index in range(len(pairs))]))
        found = info.network.to_torch()(pixels).argmax(1).numpy() + 1
    own = [labels.classes.index(each) + 1 for each in CLASSES]  # the labels of the files, in the network's order
    truth = [np.select([true == n for n in own], [1, 2], 0) for true in map(labels.readimage, range(len(labels)))]
    metrics = evaluateSemanticSegmentation(found, truth, CLASSES)
    assert metrics.DataSetMetrics["MeanIoU"] > 0.8


def test_labels_are_joined_with_the_networks_classes_by_name(folder: Path, labels: PixelLabelDatastore) -> None:
    """Oracle: the files."""
    pairs = pixelLabelImageDatastore(imageDatastore(folder / "images"), labels)
    source = pixel_source(pairs, Expected.of(NETWORKS["unet"](), True), 0, "the data", None)
    batch = source.load(Request(1, np.array([3, 0])))
    stored = np.stack([np.array(Image.open(folder / "labels" / f"{number:02}.png")) for number in (3, 0)])
    np.testing.assert_array_equal(batch.targets, np.select([stored == 64, stored == 255], [0, 1], -1))
    assert batch.inputs[0].dtype == torch.uint8 and batch.inputs[0].shape == (2, 3, *SIZE)
    assert source.classes == tuple(CLASSES)


def test_an_image_and_its_labels_change_alike(folder: Path, labels: PixelLabelDatastore) -> None:
    """Oracle: the square is where the image is bright, wherever both went; the same epoch gives the same."""
    augmenter = imageDataAugmenter(RandXReflection=True, RandXTranslation=lambda: 3.0, RandYTranslation=lambda: 2.0)
    pairs = pixelLabelImageDatastore(imageDatastore(folder / "images"), labels, DataAugmentation=augmenter)
    source = pixel_source(pairs, Expected(), 0, "the data", None)
    first, again, later = (source.load(Request(epoch, np.arange(12))) for epoch in (1, 1, 2))
    for batch in (first, later):
        bright = batch.inputs[0].amin(1) >= 150
        defined = batch.targets >= 0
        assert torch.equal((batch.targets == 0)[defined], bright[defined]), "VALUES begins with the square"
        assert not defined[:, :2].any() and not batch.inputs[0][:, :, :2].any(), (
            "what came in from outside has no label"
        )
    assert torch.equal(first.targets, again.targets) and not torch.equal(first.targets, later.targets)
    assert source.changing


def test_what_does_not_fit_is_told(folder: Path, labels: PixelLabelDatastore) -> None:
    images, options = imageDatastore(folder / "images"), training_options("sgdm", Verbose=False)
    with pytest.raises(UsageError, match="12 images and 11 label images"):
        pixelLabelImageDatastore(images, labels.subset(range(11)))
    small = unet_layers((8, 8, 3), CLASSES, EncoderDepth=1, NumFirstEncoderFilters=2).initialize()
    with pytest.raises(UsageError, match="are 16 x 24 pixels"):
        bridge.train(small, pixelLabelImageDatastore(images, labels), options)
    other = unet_layers((*SIZE, 3), ["ground", "circle"], EncoderDepth=1, NumFirstEncoderFilters=2).initialize()
    with pytest.raises(UsageError, match="label 'square'"):
        bridge.train(other, pixelLabelImageDatastore(images, labels), options)
    gray = unet_layers((*SIZE, 1), CLASSES, EncoderDepth=1, NumFirstEncoderFilters=2).initialize()
    with pytest.raises(UsageError, match="rgb2gray"):
        bridge.train(gray, pixelLabelImageDatastore(images, labels), options)
    unknown = pixelLabelDatastore(folder / "labels", VALUES)
    with pytest.raises(UsageError, match="1 values that are no class: 0"):
        bridge.train(NETWORKS["unet"]().initialize(), pixelLabelImageDatastore(images, unknown), options)


def test_a_damaged_label_image_is_named(folder: Path, tmp_path: Path) -> None:
    for number in range(12):
        (tmp_path / f"{number:02}.png").write_bytes(
            (folder / "labels" / f"{number:02}.png").read_bytes()[: 40 if number == 7 else None]
        )
    pairs = pixelLabelImageDatastore(
        imageDatastore(folder / "images"), pixelLabelDatastore(tmp_path, VALUES, ignored=[0])
    )
    with pytest.raises(UnreadableError, match="1 of 12 images cannot be read") as caught:
        bridge.train(NETWORKS["unet"]().initialize(), pairs, training_options("sgdm", Verbose=False))
    assert "07.png" in caught.value.cause
