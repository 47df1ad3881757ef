"""How far two tensors of a layer differ, added up over batches."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bridge.arrays.lazy import NDArray
from bridge.errors import UnreadableError
from bridge.parity.differences import LayerDifference
from bridge.parity.profiles import Profile


@dataclass(frozen=True)
class Pair:
    """What is compared of one layer in one batch.

    Attributes:
        ours, theirs: the values, in the same order.
        scale: largest absolute value of the whole layer, where `theirs` is only a part of it.
        agreement: (observations with the same class, observations), where classes are told apart.
        size: why nothing can be compared: "10×10×8, expected 12×12×8".
    """

    ours: Tensor
    theirs: Tensor
    scale: float = 0.0
    agreement: tuple[int, int] | None = None
    size: str = ""


class Tally:
    """The running comparison of one layer over all batches."""

    def __init__(self, layer: str, profile: Profile) -> None:
        self.layer, self._profile = layer, profile
        self._worst_batch = 0
        self._max_abs = self._scale = self._ulps = 0.0
        self._dots = np.zeros(3)
        self._elements = self._outside = 0
        self._agreement: tuple[int, int] | None = None
        self._size = ""

    @property
    def compared(self) -> bool:
        """Whether anything was."""
        return self._elements > 0 or bool(self._size)

    def add(self, pair: Pair, batch: int) -> None:
        """Take in one pair of a batch.

        Raises:
            UnreadableError: one side has NaN or infinite values where the other has none.
        """
        a, b = pair.ours.reshape(-1), pair.theirs.reshape(-1).to(pair.ours.device)
        if pair.size or a.numel() != b.numel():
            size = "×".join(map(str, pair.ours.shape)) + ", expected " + "×".join(map(str, pair.theirs.shape))
            self._size, self._max_abs = self._size or pair.size or size, float("inf")
            return
        if not a.numel():
            return
        dtype = (
            torch.promote_types(b.dtype, torch.float32) if b.is_floating_point() else torch.float64
        )  # which holds whole numbers up to 2**53
        a, b = a.to(dtype), b.to(dtype)
        distance = (a - b).abs_()
        if not bool(distance.amax().isfinite()):
            a, b, distance = self._finite(a, b)
        low, high = (float(each) for each in torch.aminmax(b))
        self._scale = max(self._scale, pair.scale, -low, high)
        largest = float(distance.amax())
        if largest > self._max_abs:
            self._max_abs, self._worst_batch = largest, batch
            self._ulps = largest / float(np.spacing(np.abs(np.float32(float(b[distance.argmax()])))))
        allowed = self._profile.allowed(self.layer, self._scale)
        self._outside += int((distance > allowed).sum()) if largest > allowed else 0
        self._elements += a.numel()
        self._dots += _dots(a, b)
        if pair.agreement is not None:
            equal, all_ = self._agreement or (0, 0)
            self._agreement = (equal + pair.agreement[0], all_ + pair.agreement[1])

    def _finite(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Leave out what is NaN or infinite on both sides alike."""
        same = (a == b) | (a.isnan() & b.isnan())
        for mine, other, whose in ((a, b, "the model"), (b, a, "the reference")):
            bad = ~mine.isfinite() & ~same
            if bool(bad.any()) and bool(other[bad].isfinite().all()):
                kind = "NaN" if bool(mine[bad].isnan().any()) else "infinite"
                raise UnreadableError(
                    f"layer '{self.layer}' has {int(bad.sum()):,} {kind} values of {mine.numel():,} in {whose}, and "
                    "none in the other",
                    "from there on nothing can be compared",
                    "look at the inputs, and at the learnables of this layer",
                )
        kept = a.isfinite() & b.isfinite()
        if not bool((same | kept).all()):
            raise UnreadableError(
                f"layer '{self.layer}' has NaN or infinite values on both sides, in different places",
                "they cannot be compared",
            )
        if not bool(kept.any()):
            raise UnreadableError(
                f"layer '{self.layer}' has no finite value, neither in the model nor in the reference",
                "nothing can be compared",
            )
        a, b = torch.where(kept, a, 0), torch.where(kept, b, 0)
        return a, b, (a - b).abs_()

    def result(self, beyond: float) -> LayerDifference:
        """Return what was found; `beyond` is a difference of the whole layer that the pairs need not show."""
        product, ours, theirs = (float(each) for each in self._dots)
        cosine = min(max(product / math.sqrt(ours * theirs), -1.0), 1.0) if ours * theirs > 0 else float(ours == theirs)
        max_abs = max(self._max_abs, beyond)
        allowed = self._profile.allowed(self.layer, self._scale)
        # the scale grew from batch to batch: what was outside of an early one need not be outside of all
        outside = self._outside / self._elements if self._elements and max_abs > allowed else 0.0
        return LayerDifference(
            self.layer,
            max_abs,
            self._scale,
            allowed,
            self._elements,
            self._ulps,
            cosine,
            outside,
            self._agreement,
            self._worst_batch,
            self._size,
        )


def _dots(a: Tensor, b: Tensor) -> NDArray:
    """Return a·b, a·a and b·b; in double precision where squares of single precision are infinite."""
    found = np.array([float(torch.dot(x, y)) for x, y in ((a, b), (a, a), (b, b))])
    return found if np.isfinite(found).all() or a.dtype == torch.float64 else _dots(a.double(), b.double())
