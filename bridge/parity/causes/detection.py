"""Why a detector finds other boxes than MATLAB's: the resizing, the network, the rounding or the suppression."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
import torch

from bridge.detection.boxes import ROUNDINGS, select_strongest
from bridge.detection.detector import Detections, DetectOptions, Detector
from bridge.images import imresize
from bridge.parity.causes.diagnosis import Cause
from bridge.parity.detections import Stored, compare_detections, compare_found
from bridge.parity.profiles import Profile

KERNELS = ("bilinear", "bicubic", "nearest")
OVERLAP = 0.5  # from which on detect drops the weaker box


class Way(NamedTuple):
    """What may have been done otherwise: the kind of mistake, a sentence, and how detections are then had."""

    name: str
    text: str
    resize: str
    rounding: str
    turned: bool = False
    select_strongest: bool = True


def diagnose_detections(detector: Detector, stored: Stored, profile: Profile) -> tuple[Cause | None, int]:
    """Return why detections differ, and how many causes were tried.

    Each known cause is tried alone. Where none makes all agree and the file tells MATLAB's steps, the first of them
    that differs is the cause: each is held against ours for what MATLAB had before it.
    """
    tried = 0
    for tried, way in enumerate(_ways(detector), 1):
        with _done(detector, way):
            turned = tuple(image[..., ::-1] if image.ndim == 3 else image for image in stored.images)
            held = replace(stored, images=turned) if way.turned else stored
            found = compare_detections(detector, held, profile, select_strongest=way.select_strongest)
        if found.first_above is None and found.worst is not None:
            return Cause(way.name, "", way.text, found.worst.relative), tried
    return next(_steps(detector, stored, profile), None), tried


def _ways(detector: Detector) -> Iterator[Way]:
    own = partial(Way, resize=detector.resize, rounding=detector.rounding)
    for kernel in KERNELS:
        if kernel != detector.resize:
            yield Way("resize kernel", f"the images are resized by '{kernel}'", kernel, detector.rounding)
    for rounding in ROUNDINGS:
        if rounding != detector.rounding:
            yield Way("rounding", f"boxes are rounded '{rounding}'", detector.resize, rounding)
    yield own("suppression", "weaker boxes that overlap stay (SelectStrongest is false)", select_strongest=False)
    yield own("input channels", "the channels of the images are BGR and not RGB", turned=True)


@contextmanager
def _done(detector: Detector, way: Way) -> Iterator[None]:
    own = detector.resize, detector.rounding
    detector.resize, detector.rounding = way.resize, way.rounding
    try:
        yield
    finally:
        detector.resize, detector.rounding = own


def _steps(detector: Detector, stored: Stored, profile: Profile) -> Iterator[Cause]:
    """Yield the steps that differ, in their order."""
    yield from _resizing(detector, stored)
    yield from _network(detector, stored, profile)
    if not stored.steps:
        return
    options = DetectOptions(threshold=stored.threshold, select_strongest=False)
    with torch.no_grad():
        every = [
            found
            for step, image in zip(stored.steps, stored.images, strict=False)
            for found in detector.found(
                torch.from_numpy(step.output)[None].float(),
                step.resized.shape[:2],
                [image.shape[:2]],
                options,
            )
        ]
    boxes = compare_found(every, replace(stored, found=tuple(step.every for step in stored.steps)), profile)
    if boxes.first_above is not None:
        yield Cause(
            "rounding", "", "the boxes differ that are decoded from the same output: the rounding, or the anchors"
        )
    strongest = [_strongest(step.every, detector) for step in stored.steps]
    if compare_found(strongest, stored, profile).first_above is not None:
        yield Cause("suppression", "", f"of the same boxes others are left than by an overlap of {OVERLAP:g}")


def _resizing(detector: Detector, stored: Stored) -> Iterator[Cause]:
    for number, (image, step) in enumerate(zip(stored.images, stored.steps, strict=False), 1):
        size = step.resized.shape[:2]
        ours = image if image.shape[:2] == size else imresize(image, size, detector.resize)
        apart = np.abs(ours.astype(np.float64) - step.resized).max()
        if apart > 0:
            yield Cause("resize", "", f"image {number} is resized to other pixels, by up to {apart:g}")


def _network(detector: Detector, stored: Stored, profile: Profile) -> Iterator[Cause]:
    for number, step in enumerate(stored.steps, 1):
        with torch.no_grad():
            ours = detector(detector.prepare(step.resized)[None]).double().numpy()[0]
        scale = float(np.abs(step.output).max())
        apart = float(np.abs(ours - step.output).max()) if ours.shape == step.output.shape else float("inf")
        if apart > profile.allowed(f"image {number}", scale):
            text = f"the network puts out other numbers for the same pixels of image {number}, by up to {apart:.1e}"
            yield Cause("network", "", text)


def _strongest(every: Detections, detector: Detector) -> Detections:
    classes = torch.tensor([detector.classes.index(label) for label in every.labels], dtype=torch.long)
    kept = select_strongest(every.boxes, every.scores, classes, OVERLAP)
    return Detections(every.boxes[kept], every.scores[kept], tuple(every.labels[at] for at in kept.tolist()))
