"""Images with label images as observations, for segmentation networks."""

from __future__ import annotations

import numpy as np
import torch

from bridge.data import convert, files
from bridge.data.expected import Expected
from bridge.data.sources import CHANGED_AT_RANDOM, UNDEFINED, Batch, Request, workers_for
from bridge.errors import UsageError
from bridge.images import ImageDatastore, pixelLabelImageDatastore


class PixelSource:
    """Images and their label images: each pair is read, changed and resized alike when it is asked for.

    What changes it at random is drawn from (seed, epoch, number), in whatever process.

    Args:
        pairs: the datastore.
        seed: of augmentation.
        classes: the class names of the network, in its order, or () where it has none.
        in_background: whether worker processes load them; None: where they are many.
    """

    ragged = False

    def __init__(
        self, pairs: pixelLabelImageDatastore, seed: int, classes: tuple[str, ...], in_background: bool | None = None
    ) -> None:
        self._pairs, self._seed, self.classes = pairs, seed, classes or pairs.classes
        self.changing = CHANGED_AT_RANDOM if pairs.DataAugmentation is not None else ""
        self.workers = workers_for(len(pairs), in_background)
        # of its own index, of the last for undefined; a pixel takes two bytes
        self._order = np.array([*map(self.classes.index, pairs.classes), UNDEFINED], np.int16)

    def __len__(self) -> int:
        return len(self._pairs)

    def load(self, request: Request) -> Batch:
        pairs = [
            self._pairs.read(index, np.random.default_rng((self._seed, request.epoch, index)))
            for index in request.wanted
        ]
        images, labels = map(np.stack, zip(*pairs, strict=True))
        return Batch((torch.from_numpy(images),), torch.from_numpy(self._order[labels]))


def pixel_source(
    pairs: pixelLabelImageDatastore, expected: Expected, seed: int, what: str, in_background: bool | None
) -> PixelSource:
    """Return a source of images and label images, checked against the network.

    Raises:
        UsageError: the network predicts no pixels or other classes, or takes images of another size or other channels.
        UnreadableError: an image cannot be read.
    """
    if expected.inputs:
        at = expected.image
        if expected.by_class is False or not expected.by_element:
            raise UsageError(
                f"{what} are images with label images",
                "the network predicts no classes of pixels",
                "end it with a pixelClassificationLayer",
            )
        size = pairs.OutputSize or pairs[0][1].shape
        if size != at.spatial:
            raise UsageError(
                f"{what} are {size[0]} x {size[1]} pixels",
                f"the input of the network is {at}",
                "give the datastore that output_size",
            )
        files.require_alike(pairs.images, at.channels, pairs.ColorPreprocessing)
        ImageDatastore(pairs.pixel_labels.Files[:: files.stride(len(pairs))]).verify()
    names = expected.classes or ()
    if names:
        convert.class_indices(np.array(pairs.classes, dtype=object), names, what, every_class=True)
    return PixelSource(pairs, seed, tuple(names), in_background)
