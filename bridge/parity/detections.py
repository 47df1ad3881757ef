"""Whether a detector finds what MATLAB's detect found: boxes are paired by overlap, then held against each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bridge.arrays.lazy import NDArray
from bridge.arrays.matlab import describe
from bridge.data.variables import Variables, plain, texts
from bridge.detection.boxes import overlap_ratio
from bridge.detection.detector import Detections, Detector
from bridge.errors import UnreadableError, UsageError, reading
from bridge.parity.differences import Comparison, LayerDifference
from bridge.parity.profiles import Profile
from bridge.parity.references import INPUT_NAMES, Names

FORMAT = "bridge.detections/1"
NAMES = "bboxes,scores,labels"  # what [bboxes, scores, labels] = detect(...) are usually saved as
PAIRED = 0.5  # the overlap from which on two boxes are of one object
LABEL = 1e-3  # of an overlap, which one label on both sides is worth
PIXEL = 1.0  # by which a box may be off: MATLAB rounds down, and a number beside a whole one may fall to either side


@dataclass(frozen=True)
class Steps:
    """What MATLAB's detections in an image came from.

    Attributes:
        resized: the image in the size of the network, H x W x C, before it was scaled to 0..1.
        output: of the network for it, C x H x W.
        every: the boxes before the strongest were selected.
    """

    resized: NDArray
    output: NDArray
    every: Detections


@dataclass(frozen=True)
class Stored:
    """What a file holds: images H x W x C, what MATLAB detected in each, and, where it tells, the steps there."""

    name: str
    images: tuple[NDArray, ...]
    found: tuple[Detections, ...]
    threshold: float
    steps: tuple[Steps, ...] = ()


def is_recorded(path: object) -> bool:
    """Whether a file holds detections that bridgeReference saved."""
    if not isinstance(path, (str, Path)) or Path(path).suffix.lower() != ".mat":
        return False
    return Variables.of(Path(path)).of_format(FORMAT) is not None


def read_detections(path: Path, names: Names | None, detector: Detector) -> Stored:
    """Read images, boxes, scores and labels.

    Args:
        path: the file.
        names: None for a file of bridgeReference. `detections` names the three variables, `inputs` the images: one, a
            cell of them or, by `input_dims`, an array.
        detector: whose classes the labels should be.

    Raises:
        UsageError: a variable is missing, the numbers of boxes, scores and labels differ, or a label is no class.
        UnreadableError: a box or score is NaN or infinite.
    """
    content = Variables.of(path)
    if names is None:
        with reading(f"the detections in {path}"):
            return _recorded(path, content.of_format(FORMAT) or {}, detector)
    variables = [name.strip() for name in names.detections.split(",")]
    if len(variables) != 3:
        raise UsageError(
            f"'{names.detections}' names {len(variables)} variables",
            "detections are boxes, scores and labels",
            f"--detections {NAMES}",
        )
    given = names.inputs or next((name for name in ("I", "images", *INPUT_NAMES) if name in content.values), "")
    with reading(f"the detections in {path}"):
        images = _images(Variables.find(given, content), names.input_dims or "HWCN")
        boxes, scores, labels = (_of_each(Variables.find(name, content), len(images), name) for name in variables)
        found = tuple(
            _checked(number, *each, detector) for number, each in enumerate(zip(boxes, scores, labels, strict=True), 1)
        )
    return Stored(path.name, images, found, names.threshold)


def _recorded(path: Path, held: Mapping[str, Any], detector: Detector) -> Stored:
    images = _images(plain(held["Images"]), "HWCN")

    def each(name: str) -> list[Any]:
        return _of_each(plain(held[name]), len(images), name)

    def found(prefix: str = "") -> tuple[Detections, ...]:
        parts = zip(*(each(f"{prefix}{name}") for name in ("Boxes", "Scores", "Labels")), strict=True)
        return tuple(
            _checked(number, boxes, scores, labels, detector) for number, (boxes, scores, labels) in enumerate(parts, 1)
        )

    outputs = [np.moveaxis(np.atleast_3d(np.asarray(output, np.float64)), 2, 0) for output in each("Outputs")]
    steps = map(Steps, _images(plain(held["Resized"]), "HWCN"), outputs, found("All"))
    return Stored(path.name, images, found(), float(np.asarray(held["Threshold"]).item()), tuple(steps))


def _images(value: Any, dims: str) -> tuple[NDArray, ...]:
    """Return one image, a cell of them, or those of an array of four dimensions; gray ones have two."""
    if sorted(dims.replace("N", "")) != sorted("HWC"):
        raise UsageError(
            f"images have no dimensions {dims}", "they are height, width and channels", "--input-dims HWCN"
        )
    if isinstance(value, np.ndarray) and value.ndim == 4:
        return tuple(np.transpose(value, [dims.index(letter) for letter in "NHWC"]))
    images = value if isinstance(value, list) else [value]
    strange = next((each for each in images if not isinstance(each, np.ndarray) or each.ndim not in (2, 3)), None)
    if strange is not None:
        raise UsageError(
            "what should be an image is none",
            f"it is {describe(strange)}",
            "save images as arrays H x W x C, or a cell of them",
        )
    order = [dims.replace("N", "").index(letter) for letter in "HWC"]
    return tuple(each.transpose(order) if each.ndim == 3 else each for each in images)


def _of_each(value: Any, count: int, name: str) -> list[Any]:
    """Return what belongs to each image; of one image MATLAB returns no cell."""
    if count == 1 and not (isinstance(value, list) and len(value) == 1 and not isinstance(value[0], str)):
        return [value]
    if not isinstance(value, list) or len(value) != count:
        held = f"{len(value)} cells" if isinstance(value, list) else "no cell"
        raise UsageError(
            f"'{name}' holds {held}, and there are {count} images",
            "each image has its own",
            "save a cell for each of the three",
        )
    return value


def _checked(number: int, boxes: Any, scores: Any, labels: Any, detector: Detector) -> Detections:
    rows, strengths, named = (
        np.asarray(boxes, np.float64),
        np.asarray(scores, np.float64).reshape(-1),
        tuple(texts(labels) or ()),
    )
    rows = rows.reshape(-1, 4) if rows.size % 4 == 0 else rows
    if not len(rows) == len(strengths) == len(named):
        raise UsageError(
            f"image {number} has {len(rows)} boxes, {len(strengths)} scores and {len(named)} "
            "labels", "they are of different images, or turned boxes",
            "save what one detect returned",
        )  # fmt: skip
    if not (np.isfinite(rows).all() and np.isfinite(strengths).all()):
        raise UnreadableError(
            f"a box or score of image {number} is NaN or infinite", "nothing can be compared with it", "save it again"
        )
    strange = next((name for name in named if name not in detector.classes), None)
    if strange is not None:
        raise UsageError(
            f"image {number} has the label '{strange}', which the detector has not",
            f"its classes are {', '.join(detector.classes)}",
        )
    return Detections(torch.tensor(rows), torch.tensor(strengths), named)


def compare_detections(
    detector: Detector, stored: Stored, profile: Profile, *, select_strongest: bool = True
) -> Comparison:
    """Detect in each image and compare: the same objects, labels and boxes, and scores within the tolerance."""
    found = detector.detect(stored.images, threshold=stored.threshold, select_strongest=select_strongest)
    return compare_found(found, stored, profile)


def compare_found(found: Sequence[Detections], stored: Stored, profile: Profile) -> Comparison:
    """Compare detections in each image with the stored ones."""
    rows = (
        _row(f"image {number}", *pair, stored.threshold, profile)
        for number, pair in enumerate(zip(found, stored.found, strict=True), 1)
    )
    return Comparison(stored.name, tuple(rows), "image")


def _row(image: str, ours: Detections, theirs: Detections, threshold: float, profile: Profile) -> LayerDifference:
    pairs, allowed = paired(ours, theirs), profile.allowed(image, 1.0)
    lone = [
        *_lone(ours, {a for a, _ in pairs}, threshold + allowed),
        *_lone(theirs, {b for _, b in pairs}, threshold + allowed),
    ]
    apart = [abs(float(ours.scores[a]) - float(theirs.scores[b])) for a, b in pairs]
    equal = sum(ours.labels[a] == theirs.labels[b] for a, b in pairs)
    agreement = equal, len(pairs) + len(lone)
    problem = next(_problems(ours, theirs, pairs, bool(lone)), "")
    return LayerDifference(
        image,
        float("inf") if problem else max(apart, default=0.0),
        1.0,
        allowed,
        len(pairs),
        agreement=agreement,
        size=problem,
    )


def _lone(found: Detections, with_partner: set[int], sure: float) -> Iterator[int]:
    """Yield what has no partner; a score that is the threshold to rounding lies on one side of it here and on the other
    there.
    """
    return (at for at in range(len(found.labels)) if at not in with_partner and float(found.scores[at]) > sure)


def paired(ours: Detections, theirs: Detections) -> list[tuple[int, int]]:
    """Return which of ours is which of theirs: the pairs that overlap most in sum, each by at least a half; of equals,
    those of one label.
    """
    from scipy.optimize import linear_sum_assignment

    ratios = overlap_ratio(ours.boxes.cpu().double(), theirs.boxes.double()).numpy()
    same_label = np.array([[a == b for b in theirs.labels] for a in ours.labels]).reshape(ratios.shape)
    rows, columns = linear_sum_assignment(ratios + LABEL * same_label, maximize=True)
    return [(int(a), int(b)) for a, b in zip(rows, columns, strict=True) if ratios[a, b] >= PAIRED]


def _problems(ours: Detections, theirs: Detections, pairs: Sequence[tuple[int, int]], lone: bool) -> Iterator[str]:
    if lone:
        yield f"{len(ours.labels)} boxes, expected {len(theirs.labels)}, {len(pairs)} of them the same"
    for a, b in pairs:
        if ours.labels[a] != theirs.labels[b]:
            yield f"label '{ours.labels[a]}', expected '{theirs.labels[b]}'"
    for a, b in pairs:
        edges = [torch.cat((box[:2], box[:2] + box[2:])) for box in (ours.boxes[a].cpu().double(), theirs.boxes[b])]
        if float((edges[0] - edges[1]).abs().max()) > PIXEL:
            shown = (" ".join(f"{each:g}" for each in box.tolist()) for box in (ours.boxes[a], theirs.boxes[b]))
            yield "box [{}], expected [{}]".format(*shown)
