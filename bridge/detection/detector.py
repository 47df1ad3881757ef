"""A YOLO v2 detector: images in, boxes, scores and labels out, as MATLAB's ``detect`` does it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np
import torch
from torch import Tensor, nn

from bridge.arrays.lazy import NDArray
from bridge.detection.boxes import select_strongest
from bridge.detection.decode import decode, to_pixels
from bridge.detection.head import Head
from bridge.errors import UsageError
from bridge.images import im2single, imresize
from bridge.modules.activation import YOLOv2Transform
from bridge.modules.build import to_torch
from bridge.network import Layer, Network

Image = NDArray | Tensor
MINI_BATCH = 32  # images of one forward pass


class Detections(NamedTuple):
    """What was found in one image: `boxes, scores, labels = detector.detect(image)`.

    Attributes:
        boxes: M x 4 whole numbers, [x y w h] in pixels from 1.
        scores: M, the IoU that a box is thought to have times the probability of its class.
        labels: M class names.
    """

    boxes: Tensor
    scores: Tensor
    labels: tuple[str, ...]


class Detector(nn.Module):
    """A YOLO v2 network with its anchors and classes; `to` moves it to another device.

    Make one with `Network.to_detector`.

    Attributes:
        network: the Network it was made of.
        head: anchors, classes and sizes.
        model: the module of the network, with yolov2TransformLayer.
        resize: the method of `imresize` by which images are brought to the size of the network.
    """

    def __init__(
        self,
        network: Network,
        *,
        anchor_order: str | None = None,
        resize: str = "bilinear",
        modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    ) -> None:
        """Make the detector of a network.

        Args:
            network: see `Head.of`.
            anchor_order: see `Head.of`.
            resize: the method of `imresize` (unconfirmed: which one MATLAB takes, bilinear is the default here).
            modules: see `bridge.modules.build.to_torch`.

        Raises:
            UnsupportedError: it is a detector of another kind, or has a layer that cannot be built.
            UsageError: it is no detector, or its anchors do not fit.
        """
        super().__init__()
        self.network, self.head, self.resize = network, Head.of(network, anchor_order), resize
        model = to_torch(network, modules=modules)
        self.model = model if self.head.transformed else nn.Sequential(model, YOLOv2Transform(len(self.head.anchors)))
        self.eval()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in the order of the channels."""
        return self.head.classes

    @property
    def anchors(self) -> tuple[tuple[float, float], ...]:
        """(height, width) of each anchor box, in pixels of the network's input."""
        return self.head.anchors

    def forward(self, x: Tensor) -> Tensor:
        """Return what yolov2TransformLayer puts out for images N,C,H,W of 0..1 in the size of the network."""
        output: Tensor = self.model(x)
        return output

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
            found += self._detect(
                part, [_size(image) for image in part], threshold, overlap if select_strongest else 1.0
            )
        return found

    @torch.no_grad()
    def _detect(
        self, images: Sequence[Image], sizes: Sequence[tuple[int, int]], threshold: float, overlap: float
    ) -> list[Detections]:
        like = next(self.parameters())
        pixels = torch.stack([self.prepare(image).to(like) for image in images])
        decoded = decode(self(pixels), self.head)
        best = decoded.probabilities.max(-1)
        scores = decoded.iou * best.values
        found = []
        for score, corners, labels, size in zip(scores, decoded.corners, best.indices, sizes, strict=True):
            kept = (score >= threshold) & corners.isfinite().all(-1)
            boxes, strength, index = to_pixels(corners[kept], self.head, size), score[kept], labels[kept]
            if overlap < 1:
                stays = select_strongest(boxes, strength, index, overlap)
                boxes, strength, index = boxes[stays], strength[stays], index[stays]
            found.append(Detections(boxes, strength, tuple(self.classes[each] for each in index.tolist())))
        return found

    def prepare(self, image: Image) -> Tensor:
        """Return an image as the network takes it: C,H,W, resized, scaled to 0..1; raises as `require`."""
        self.require(image)
        size = self.head.size[:2]
        if isinstance(image, Tensor):
            planes = image[None] if image.ndim == 2 else image
            resized = planes if _size(image) == size else imresize(planes, size, self.resize)
            return resized.float() / {torch.uint8: 255, torch.uint16: 65535}.get(resized.dtype, 1)
        scaled = im2single(image if _size(image) == size else imresize(image, size, self.resize))
        return torch.from_numpy(np.ascontiguousarray(np.moveaxis(np.atleast_3d(scaled), 2, 0)))

    def require(self, image: Image) -> None:
        """Look at an image.

        Raises:
            UsageError: the channels, the type or the range of values do not fit.
        """
        channels, wanted = (
            1 if image.ndim == 2 else image.shape[0 if isinstance(image, Tensor) else 2],
            self.head.size[2],
        )
        if image.ndim not in (2, 3):
            raise UsageError(
                f"the image has {image.ndim} dimensions",
                "an array is H x W x C, a tensor C x H x W",
                "pass several images as a list",
            )
        if channels != wanted:
            cause = "it is a gray image" if channels == 1 else f"the network was trained on images of {wanted}"
            hint = "--color, and bridge.images.gray2rgb and rgb2gray, convert between gray and RGB"
            raise UsageError(
                f"the image has {channels} channel{'' if channels == 1 else 's'}, the network takes {wanted}",
                cause,
                hint,
            )
        _require_range(image)


def _size(image: Image) -> tuple[int, int]:
    """Return (height, width)."""
    height, width = image.shape[-2:] if isinstance(image, Tensor) else image.shape[:2]
    return height, width


def _require_range(image: Any) -> None:
    is_float = image.is_floating_point() if isinstance(image, Tensor) else image.dtype.kind == "f"
    if image.dtype in (torch.uint8, torch.uint16, torch.bool, np.uint8, np.uint16, np.bool_):
        return
    if not is_float:
        raise UsageError(
            f"the image is of type {image.dtype}",
            "an image is uint8, uint16, logical, or floating point of 0..1",
            "convert it first",
        )
    least, greatest = (float(image.min()), float(image.max())) if 0 not in image.shape else (0.0, 0.0)
    if not (least >= 0 and greatest <= 1):
        raise UsageError(
            f"the image has values from {least:g} to {greatest:g}",
            "a floating-point image of 0..1 is wanted",
            "divide by 255, or pass it as uint8",
        )
