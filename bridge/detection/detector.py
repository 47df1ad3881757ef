"""A detector: images in, boxes, scores and labels out, as MATLAB's ``detect`` does it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import groupby
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor, nn

from bridge.detection.boxes import select_strongest, to_pixels
from bridge.detection.family import Head, family_of
from bridge.detection.images import Image, prepared, require, size_of, within
from bridge.errors import UsageError, nearest
from bridge.network import Layer, Network


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

    def moved(self, x: int, y: int) -> Detections:
        """Return them so many pixels further right and down."""
        return self._replace(boxes=self.boxes + self.boxes.new_tensor([x, y, 0, 0]))


@dataclass(frozen=True)
class DetectOptions:
    """What `detect` takes by name, MATLAB's default for each.

    Attributes:
        threshold: MATLAB's Threshold, of 0..1: the least score.
        overlap: the intersection over union above which the weaker box is removed, of 0..1.
        select_strongest: MATLAB's SelectStrongest; False leaves all boxes.
        min_size, max_size: MATLAB's MinSize and MaxSize: the least and greatest (height, width) of a box in pixels
            (that others are dropped before the strongest are selected is unconfirmed).
        mini_batch_size: MATLAB's MiniBatchSize: images of one forward pass.
    """

    threshold: float = 0.5
    overlap: float = 0.5
    select_strongest: bool = True
    min_size: Sequence[float] = (1, 1)
    max_size: Sequence[float] = (float("inf"), float("inf"))
    mini_batch_size: int = 32

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> DetectOptions:
        """Return the options with these values.

        Raises:
            UsageError: one is unknown, or beyond its range.
        """
        names = [each.name for each in fields(cls)]
        unknown = next((name for name in given if name not in names), None)
        if unknown is not None:
            raise UsageError(f"detect has no option {unknown!r}", nearest(unknown, names), f"it has {', '.join(names)}")
        return cls(**given)

    def __post_init__(self) -> None:
        for name, value in (("threshold", self.threshold), ("overlap", self.overlap)):
            if not 0 <= value <= 1:
                raise UsageError(f"{name} is {value}", "it lies between 0 and 1", "MATLAB's default is 0.5")
        for name, size in (("min_size", self.min_size), ("max_size", self.max_size)):
            if len(size) != 2 or not all(side > 0 for side in size):
                raise UsageError(f"{name} is {size}", "it is (height, width) in pixels, above 0")
        if self.mini_batch_size < 1:
            raise UsageError(f"mini_batch_size is {self.mini_batch_size}", "it is a number of images, from 1")

    def fits(self, boxes: Tensor) -> Tensor:
        """Return whether each box is neither too small nor too large."""
        least, most = (torch.tensor(size, device=boxes.device).flip(0) for size in (self.min_size, self.max_size))
        return ((boxes[:, 2:] >= least) & (boxes[:, 2:] <= most)).all(1)


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
    def detect(self, images: Image, roi: Sequence[float] | None = ..., **options: Any) -> Detections: ...
    @overload
    def detect(
        self, images: Sequence[Image], roi: Sequence[float] | None = ..., **options: Any
    ) -> list[Detections]: ...
    def detect(
        self, images: Image | Sequence[Image], roi: Sequence[float] | None = None, **options: Any
    ) -> Detections | list[Detections]:
        """Find objects, as ``detect(detector, I)`` and ``detect(detector, I, roi)`` do.

        An image is resized to the network's input, whatever its aspect, and scaled to 0..1; boxes whose score is at
        least the threshold are scaled back to the image, clipped and rounded down; of boxes of one class that overlap
        the strongest stay. They come in the order of the grid: row by row, in it column by column, in it anchor by
        anchor.

        Args:
            images: one image, or a sequence of images of any sizes. An array is H x W or H x W x C, a tensor C x H x W
                (on any device): uint8, uint16 or logical of their whole range, or floating point of 0..1.
            roi: [x y width height], the pixels in which objects are looked for: the image is cut to it, and boxes count
                from the whole image (that MATLAB cuts before it resizes is unconfirmed).
            options: MATLAB's Threshold, SelectStrongest, MinSize, MaxSize and MiniBatchSize, as the fields of
                `DetectOptions`.

        Returns:
            The detections of the image, or a list with those of each. Nothing found is no error: it has no boxes.

        Raises:
            UsageError: an image has other channels, another type, or values beyond 0..1; an option is unknown or beyond
                its range; the roi is not in the image.
        """
        chosen = DetectOptions.of(options)
        if isinstance(images, (np.ndarray, Tensor)):
            return self.detect([images], roi, **options)[0]
        cut = [image if roi is None else within(image, roi) for image in images]
        found: list[Detections] = []
        for start in range(0, len(cut), chosen.mini_batch_size):
            found += self._detect(cut[start : start + chosen.mini_batch_size], chosen)
        return found if roi is None else [each.moved(int(roi[0]) - 1, int(roi[1]) - 1) for each in found]

    @torch.no_grad()
    def _detect(self, images: Sequence[Image], options: DetectOptions) -> Iterator[Detections]:
        like = next(self.parameters())
        sizes = [size_of(image) for image in images]
        pixels = [self.prepare(image).to(like) for image in images]
        for _, together in groupby(range(len(images)), lambda at: pixels[at].shape):
            batch = list(together)
            x = torch.stack([pixels[at] for at in batch])
            height, width = x.shape[2:]
            yield from self.found(self(x), (height, width), [sizes[at] for at in batch], options)

    def found(
        self, output: Any, size: tuple[int, int], images: Sequence[tuple[int, int]], options: DetectOptions
    ) -> Iterator[Detections]:
        """Yield what the output of the network tells, image by image.

        Args:
            output: what `forward` returned.
            size: (height, width) of what it was given.
            images: (height, width) of the images.
            options: of `detect`.
        """
        for image, corners, scores, labels in zip(images, *self.family.candidates(output), strict=True):
            kept = (scores >= options.threshold) & corners.isfinite().all(-1)
            boxes = to_pixels(corners[kept], size, image, self.rounding)
            fits = options.fits(boxes)
            yield self._strongest(boxes[fits], scores[kept][fits], labels[kept][fits], options)

    def _strongest(self, boxes: Tensor, scores: Tensor, labels: Tensor, options: DetectOptions) -> Detections:
        if options.select_strongest:
            stays = select_strongest(boxes, scores, labels, options.overlap)
            boxes, scores, labels = boxes[stays], scores[stays], labels[stays]
        return Detections(boxes, scores, tuple(self.classes[each] for each in labels.tolist()))

    def prepare(self, image: Image) -> Tensor:
        """Return an image as the network takes it: C,H,W, resized, scaled; raises as `require`."""
        self.require(image)
        return prepared(image, self.family.input_size(size_of(image)), self.resize) * self.family.white_pixel

    def require(self, image: Image) -> None:
        """Look at an image.

        Raises:
            UsageError: the channels, the type or the range of values do not fit.
        """
        require(image, self.family.size[2])
