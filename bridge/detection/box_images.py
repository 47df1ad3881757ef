"""Images and their objects as a detector is trained on them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from bridge.detection.family import Family
from bridge.detection.ground_truth.truth import GroundTruth
from bridge.detection.images import prepared, require, size_of
from bridge.errors import UsageError, nearest
from bridge.images import imread

NO_CLASS = -1  # of a row that fills up the objects of an image


class BoxImages(Dataset[tuple[Tensor, Tensor]]):
    """Images in the size of a network, 0..1, with their objects: what a detector is trained on.

    An item is C x H x W and M x 5: x, y, width and height in pixels of the network's input, and the class index. M is
    the same for all images; rows that only fill up have the class -1. Boxes are scaled as `detect` scales them back:
    they keep counting from 1.
    """

    def __init__(self, truth: GroundTruth, family: Family, resize: str | None = None) -> None:
        """Join images and a detector; `resize` is a method of `imresize`, None that of the detector.

        Raises:
            UsageError: a label is no class of the network.
        """
        present = {label for labels in truth.labels for label in labels}
        unknown = sorted(present - set(family.classes))
        if unknown:
            raise UsageError(
                f"the label '{unknown[0]}' is no class of the network",
                nearest(unknown[0], family.classes),
                "build it with the classes of the data",
            )
        self._truth, self._family = truth, family
        self._resize = resize or family.row.resize
        self._most = max(map(len, truth.labels))

    def __len__(self) -> int:
        return len(self._truth)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        file = self._truth.files[index]
        image = imread(file)
        try:
            require(image, self._family.size[2])
        except UsageError as error:
            raise UsageError(f"{file}: {error.error}", error.cause, error.hint) from error
        height, width = size_of(image)
        rows, columns = self._family.input_size((height, width))
        boxes = self._truth.boxes[index] * np.tile([columns / width, rows / height], 2)
        target = torch.full((self._most, 5), float(NO_CLASS))
        target[: len(boxes), :4] = torch.from_numpy(boxes)
        target[: len(boxes), 4] = torch.tensor(
            [float(self._family.classes.index(label)) for label in self._truth.labels[index]]
        )
        return prepared(image, (rows, columns), self._resize) * self._family.white_pixel, target
