"""A detector: images in, boxes, scores and labels out, as MATLAB's ``detect`` does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor, nn

from bridge.detection.boxes import select_strongest, to_pixels
from bridge.detection.family import Head, family_of
from bridge.detection.images import Image, prepared, require, size_of
from bridge.errors import UsageError
from bridge.network import Layer, Network

MINI_BATCH = 32  # images of one forward pass


class Detections(NamedTuple):
    """What was found in one image: `boxes, scores, labels = detector.detect(image)`.

    Attributes:
        boxes: M x 4 whole numbers, [x y w h] in pixels from 1.
        scores: M, how sure it is that the box holds an object of its class.
        labels: M class names.
    """

    boxes: Tensor
    scores: Tensor
    labels: tuple[str, ...]


class Detector(nn.Module):
    """A network with what its family makes of it: anchors, classes, decoding; `to` moves it to another device.

    Make one with `Network.to_detector`.

    Attributes:
        network: the Network it was made of.
        family: of detectors, with the network's heads.
        model: the module of the network, whose output the family decodes.
        resize: the method of `imresize` by which images are brought to the size of the network.
        rounding: how boxes become whole pixels, a name of `bridge.detection.boxes.ROUNDINGS`.
    """

    def __init__(
        self,
        network: Network,
        *,
        anchor_order: str | None = None,
        resize: str | None = None,
        rounding: str | None = None,
        modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    ) -> None:
        """Make the detector of a network.

        Args:
            network: see `bridge.detection.family.family_of`.
            anchor_order: see `bridge.detection.family.family_of`.
            resize: the method of `imresize`; None: that of the detector's row in `mappings/detectors.toml`.
            rounding: None: that of the row, in the version of the object.
            modules: see `bridge.modules.build.to_torch`.

        Raises:
            UnsupportedError: it is a detector of another kind, or has a layer that cannot be built.
            UsageError: it is no detector, or its anchors do not fit.
        """
        super().__init__()
        self.network, self.family = network, family_of(network, anchor_order)
        self.resize, self.rounding = resize or self.family.row.resize, rounding or self.family.row.rounding
        self.model = self.family.module(network, modules)
        self.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the channels."""
        return self.family.classes

    @property
    def heads(self) -> tuple[Head, ...]:
        """The outputs of the network that tell boxes, each with its anchors and its grid."""
        return self.family.heads

    @property
    def anchors(self) -> tuple[tuple[float, float], ...]:
        """(height, width) of each anchor box, head after head, in pixels of the network's input."""
        return tuple(box for head in self.heads for box in head.anchors)

    def forward(self, x: Tensor) -> Any:
        """Return what the family decodes, for images N,C,H,W of 0..1 in the size of the network."""
        return self.model(x)

    @overload
    def detect(
        self, images: Image, *, threshold: float = ..., overlap: float = ..., select_strongest: bool = ...
    ) -> Detections: ...
    @overload
    def detect(
        self, images: Sequence[Image], *, threshold: float = ..., overlap: float = ..., select_strongest: bool = ...
    ) -> list[Detections]: ...
    def detect(
        self,
        images: Image | Sequence[Image],
        *,
        threshold: float = 0.5,
        overlap: float = 0.5,
        select_strongest: bool = True,
    ) -> Detections | list[Detections]:
        """Find objects, as ``detect(detector, I)`` does.

        An image is resized to the network's input, whatever its aspect, and scaled to 0..1; boxes whose score is at
        least the threshold are scaled back to the image, clipped and rounded down; of boxes of one class that overlap
        the strongest stay. They come in the order of the grid: row by row, in it column by column, in it anchor by
        anchor.

        Args:
            images: one image, or a sequence of images of any sizes. An array is H x W or H x W x C, a tensor C x H x W
                (on any device): uint8, uint16 or logical of their whole range, or floating point of 0..1.
            threshold: MATLAB's Threshold, of 0..1.
            overlap: the intersection over union above which the weaker box is removed.
            select_strongest: MATLAB's SelectStrongest; False leaves all boxes.

        Returns:
            The detections of the image, or a list with those of each. Nothing found is no error: it has no boxes.

        Raises:
            UsageError: an image has other channels, another type, or values beyond 0..1; the threshold or overlap is
                beyond 0..1.
        """
        for name, value in (("threshold", threshold), ("overlap", overlap)):
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}", "it lies between 0 and 1", "MATLAB's default is 0.5")
        if isinstance(images, (np.ndarray, Tensor)):
            return self.detect([images], threshold=threshold, overlap=overlap, select_strongest=select_strongest)[0]
        found: list[Detections] = []
        for start in range(0, len(images), MINI_BATCH):
            part = images[start : start + MINI_BATCH]
            found += self._detect(part, threshold, overlap if select_strongest else 1.0)
        return found

    @torch.no_grad()
    def _detect(self, images: Sequence[Image], threshold: float, overlap: float) -> Iterator[Detections]:
        like = next(self.parameters())
        sizes = [size_of(image) for image in images]
        pixels = [self.prepare(image).to(like) for image in images]
        for _, together in groupby(range(len(images)), lambda at: pixels[at].shape):
            batch = list(together)
            x = torch.stack([pixels[at] for at in batch])
            height, width = x.shape[2:]
            yield from self.found(self(x), (height, width), [sizes[at] for at in batch], threshold, overlap)

    def found(
        self, output: Any, size: tuple[int, int], images: Sequence[tuple[int, int]], threshold: float, overlap: float
    ) -> Iterator[Detections]:
        """Yield what the output of the network tells, image by image.

        Args:
            output: what `forward` returned.
            size: (height, width) of what it was given.
            images: (height, width) of the images.
            threshold: of the scores.
            overlap: from which on, exclusive, the weaker box is removed; 1 for none.
        """
        for image, corners, scores, labels in zip(images, *self.family.candidates(output), strict=True):
            kept = (scores >= threshold) & corners.isfinite().all(-1)
            boxes = to_pixels(corners[kept], size, image, self.rounding)
            yield self._strongest(boxes, scores[kept], labels[kept], overlap)

    def _strongest(self, boxes: Tensor, scores: Tensor, labels: Tensor, overlap: float) -> Detections:
        if overlap < 1:
            stays = select_strongest(boxes, scores, labels, overlap)
            boxes, scores, labels = boxes[stays], scores[stays], labels[stays]
        return Detections(boxes, scores, tuple(self.classes[each] for each in labels.tolist()))

    def prepare(self, image: Image) -> Tensor:
        """Return an image as the network takes it: C,H,W, resized, scaled to 0..1; raises as `require`."""
        self.require(image)
        return prepared(image, self.family.input_size(size_of(image)), self.resize)

    def require(self, image: Image) -> None:
        """Look at an image.

        Raises:
            UsageError: the channels, the type or the range of values do not fit.
        """
        require(image, self.family.size[2])
