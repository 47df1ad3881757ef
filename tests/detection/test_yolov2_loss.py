"""The YOLO v2 loss, in numpy and by hand. Its formula is unconfirmed: no loss of MATLAB's for known boxes has been seen."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from bridge.detection.family import Head
from bridge.detection.yolov2.loss import YOLOv2Loss, assign
from bridge.errors import UsageError
from bridge.modules.activation import YOLOv2Transform
from bridge.options.options import Semantics
from tests.detection.nets import Array, intersection_over_union

ANCHORS = ((12.0, 8.0), (6.0, 20.0), (16.0, 16.0))
HEAD = Head(ANCHORS, (4, 6), (8, 8))
FACTORS = (5.0, 1.0, 1.0, 1.0)
NOTHING = [-1.0] * 5


def loss(head: Head, factors: tuple[float, ...] = FACTORS, **changed: str) -> YOLOv2Loss:
    """Return the loss with the switches' defaults, but for those that are given."""
    defaults = Semantics.of("trainNetwork")
    switches = {name: getattr(defaults, f"yolov2_{name}") for name in ("iou_target", "box_sizes", "divided_by")}
    return YOLOv2Loss(head, 2, factors, **{**switches, **changed})


def numpy_loss(output: Array, targets: Array, factors: tuple[float, ...], iou_target: str, box_sizes: str, divided_by: str) -> float:  # fmt: skip
    """The formula of the docstring, one image, one object, one prediction at a time, in double precision."""
    count, classes = len(ANCHORS), 2
    rows, columns = 4, 6
    stride_y, stride_x = 8, 8
    k1, k2, k3, k4 = factors
    scaled = np.sqrt if box_sizes == "sqrt" else lambda value: value
    total = 0.0
    for image, objects in zip(output, targets, strict=True):
        responsible: set[tuple[int, int, int]] = set()
        for x, y, width, height, label in objects:
            if label < 0:
                continue
            column, row = int((x + width / 2) // stride_x), int((y + height / 2) // stride_y)
            shapes = [intersection_over_union((0, 0, width, height), (0, 0, w, h)) for h, w in ANCHORS]
            a = int(np.argmax(shapes))
            if (row, column, a) in responsible:
                continue
            responsible.add((row, column, a))
            iou, px, py, pw, ph = (image[q * count + a, row, column] for q in range(5))
            own_w, own_h = pw * ANCHORS[a][1], ph * ANCHORS[a][0]
            total += k1 * (
                (px - ((x + width / 2) / stride_x - column)) ** 2 + (py - ((y + height / 2) / stride_y - row)) ** 2
            )
            total += k1 * (
                (scaled(own_w / stride_x) - scaled(width / stride_x)) ** 2
                + (scaled(own_h / stride_y) - scaled(height / stride_y)) ** 2
            )
            box = ((px + column) * stride_x - own_w / 2, (py + row) * stride_y - own_h / 2, own_w, own_h)
            total += (
                k2 * (iou - (intersection_over_union(box, (x, y, width, height)) if iou_target == "iou" else 1)) ** 2
            )
            total += k4 * sum((image[(5 + c) * count + a, row, column] - (c == label)) ** 2 for c in range(classes))
        for row in range(rows):
            for column in range(columns):
                total += k3 * sum(
                    image[a, row, column] ** 2 for a in range(count) if (row, column, a) not in responsible
                )
    return total / len(output) / (count if divided_by == "anchors" else 1)


def example(images: int = 3, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a transformed output, and objects of which two share a prediction and some rows are no objects."""
    random = torch.Generator().manual_seed(seed)
    output = YOLOv2Transform(3)(torch.randn(images, 21, 4, 6, generator=random, dtype=torch.float64))
    targets = torch.tensor([
        [[3.0, 2, 9, 11, 0], [20, 10, 18, 7, 1], [3.4, 2.2, 9, 11, 1]],
        [[30, 20, 15, 10, 1], NOTHING, NOTHING],
        [NOTHING, [1, 1, 46, 30, 0], NOTHING],
    ], dtype=torch.float64)[:images]  # fmt: skip
    return output, targets


@pytest.mark.parametrize("iou_target", ["iou", "one"])
@pytest.mark.parametrize("box_sizes", ["sqrt", "linear"])
@pytest.mark.parametrize("divided_by", ["anchors", "observations"])
def test_every_form_of_the_loss(iou_target: str, box_sizes: str, divided_by: str) -> None:
    """Oracle: loops in double-precision numpy."""
    output, targets = example()
    factors = (5.0, 1.5, 0.7, 2.0)
    ours = YOLOv2Loss(HEAD, 2, factors, iou_target, box_sizes, divided_by)(output, targets)
    assert ours.item() == pytest.approx(
        numpy_loss(output.numpy(), targets.numpy(), factors, iou_target, box_sizes, divided_by), rel=1e-12
    )


def test_one_term_at_a_time_by_hand() -> None:
    """One anchor 8 x 8, one cell of 8, an object of 8 x 8 that fills it; the prediction is right but for one quantity."""
    head = Head(((8.0, 8.0),), (1, 1), (8, 8))
    targets = torch.tensor([[[0.0, 0, 8, 8, 1]]])
    right = torch.tensor([1, 0.5, 0.5, 1, 1, 0, 1.0])
    for change, wanted in (
        ({}, 0),
        ({0: 0.5}, 0.25),
        ({5: 0.25, 6: 0.75}, 0.125),
        ({3: 4.0, 0: 0.25}, 5 * 1),
        ({1: 0.75, 0: 0.6}, 5 * 0.0625),
    ):
        values = right.clone()
        for index, value in change.items():
            values[index] = value
        # a box moved by 2 of 8 overlaps by 6/10, one four times as wide by 1/4: what the iou is set to
        assert loss(head)(values.view(1, 7, 1, 1), targets).item() == pytest.approx(wanted, abs=1e-6)
    assert loss(head)(right.view(1, 7, 1, 1), torch.tensor([[NOTHING]])).item() == 1, (
        "the iou of a cell without an object"
    )


def test_the_untrained_detector_of_the_log() -> None:
    """16 x 16 x 4 predictions of 0.5 without an object give 64; MATLAB's log of such a training begins with 63.57."""
    head = Head(tuple((8.0 * k, 8.0) for k in (1, 2, 3, 4)), (16, 16), (8, 8))
    output = YOLOv2Transform(4)(torch.zeros(2, 24, 16, 16))
    defaults = Semantics.of("trainNetwork")
    own = YOLOv2Loss(
        head, 1, FACTORS, defaults.yolov2_iou_target, defaults.yolov2_box_sizes, defaults.yolov2_divided_by
    )
    assert own(output, torch.tensor([[NOTHING]] * 2)).item() == pytest.approx(64)


def test_the_gradient_is_that_of_differences() -> None:
    """Oracle: torch.autograd.gradcheck, with a target that does not depend on the output."""
    _, targets = example()
    raw = torch.randn(3, 21, 4, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    one = loss(HEAD, iou_target="one")

    def along(step: torch.Tensor) -> torch.Tensor:
        return one(YOLOv2Transform(3)(raw + step * torch.ones_like(raw).cumsum(1) / 21), targets)

    assert torch.autograd.gradcheck(along, (torch.zeros((), dtype=torch.float64, requires_grad=True),))
    output, _ = example()
    output = output.detach().requires_grad_()
    loss(HEAD)(output, targets).backward()
    assert output.grad is not None and output.grad.isfinite().all() and (output.grad != 0).any()


def test_the_overlap_of_a_box_is_no_path_for_gradients() -> None:
    """By hand: with no weight on positions and sizes, the boxes of predictions have no gradient at all, their IoUs have."""
    output, targets = example()
    output = output.detach().requires_grad_()
    loss(HEAD, (0.0, 1.0, 1.0, 1.0))(output, targets).backward()
    assert output.grad is not None
    iou, boxes = output.grad[:, :3], output.grad[:, 3:15]
    assert (boxes == 0).all() and (iou != 0).any()


def test_who_is_responsible_by_hand() -> None:
    """[3 2 9 11]: centre (7.5, 7.5), cell (0, 0), anchor 0. [20 10 18 7]: centre (29, 13.5), cell (row 1, column 3), anchor 2 of [6 20]. The third object has the prediction of the first."""
    _, targets = example()
    found = assign(targets, HEAD)
    first, second, third, fourth = (0 * 6 + 0) * 3 + 0, (1 * 6 + 3) * 3 + 1, (3 * 6 + 4) * 3 + 2, (2 * 6 + 3) * 3 + 2
    assert list(zip(*(each.tolist() for each in found), strict=True)) == [
        (0, first, 0),
        (0, second, 1),
        (1, third, 0),
        (2, fourth, 1),
    ]
    outside = torch.tensor([[[60.0, -20, 4, 4, 0]]])
    assert assign(outside, HEAD).prediction.item() // 3 == 5, "the nearest cell"


@pytest.mark.parametrize("changed", [{"iou_target": "two"}, {"box_sizes": "log"}, {"divided_by": ""}])
def test_switches_of_other_words(changed: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="it is '"):
        loss(HEAD, **changed)


def test_factors_that_are_not_four() -> None:
    with pytest.raises(UsageError, match="LossFactors"):
        loss(HEAD, (5.0, 1.0))


def test_what_is_unconfirmed_is_said() -> None:
    (note,) = loss(HEAD).notes
    assert "unconfirmed" in note and "[5.0, 1.0, 1.0, 1.0]" in note
