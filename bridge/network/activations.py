"""The size of what comes out of a layer, in MATLAB's order.

A format names the dimensions as MATLAB's dlarray does: S spatial, C channel, B batch, T time. An `Activation` keeps
the lengths of the S and C dimensions; batch and time are free.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

Length = int | None  # None: not known, as in .onnx files with symbolic height or width


@dataclass(frozen=True)
class Activation:
    """The size of one activation of one observation.

    Attributes:
        format: "SSCB", "SSSCB", "SCB", "CB", "CBT", "SCBT" or "SSCBT".
        size: lengths of the S dimensions (height, width, depth), then of C.
    """

    format: str
    size: tuple[Length, ...]

    @property
    def channels(self) -> Length:
        return self.size[-1] if self.size else None  # an input of an ONNX graph may have no size

    @property
    def spatial(self) -> tuple[Length, ...]:
        return self.size[:-1]

    @property
    def over_time(self) -> bool:
        return self.format.endswith("T")

    @property
    def is_pixel(self) -> bool:
        """Whether it is an image of one pixel, which MATLAB's predict gives as features."""
        return self.format.startswith("S") and set(self.spatial) == {1} and not self.over_time

    @property
    def axes(self) -> str:
        """The letters of its torch tensor's axes: "NCHW" of SSCB, "NTC" of CBT, "NCS" of SCB; "" where not known."""
        count = self.format.count("S")
        if self.format not in (f"{'S' * count}CB", f"{'S' * count}CBT"):
            return ""
        return f"N{'T' if self.over_time else ''}C{'S' if count == 1 else 'HWD'[:count]}"

    @property
    def elements(self) -> Length:
        return None if None in self.size else math.prod(n for n in self.size if n is not None)

    def at_one_time(self) -> Activation:
        """The size of a single time step."""
        return Activation(self.format.removesuffix("T"), self.size)

    def resized(self, spatial: Sequence[Length], channels: Length) -> Activation:
        return Activation(self.format, (*spatial, channels))

    def __str__(self) -> str:
        text = "×".join("?" if n is None else str(n) for n in self.size)
        return f"{text}×T" if self.over_time else text
