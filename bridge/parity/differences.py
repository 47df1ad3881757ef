"""What a comparison found: plain values, in the order in which the layers ran. Nothing here imports torch."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import DifferenceError

ROUNDING = 2.0**-24  # of single precision: what an operation may be wrong by


@dataclass(frozen=True)
class LayerDifference:
    """How far one layer's activation is from the oracle's.

    Attributes:
        layer: MATLAB's layer name; "layer/port" for a further output.
        max_abs: largest absolute difference; infinite where the sizes differ.
        scale: largest absolute value of the oracle, over the whole layer.
        allowed: largest absolute difference that the profile allows.
        elements: how many values were compared; of a reference of samples, its samples.
        ulps: the largest difference in units of the oracle's last place where it lies, in single precision.
        cosine: of the angle between both activations, taken as vectors.
        outside: share of the values that differ by more than is allowed.
        agreement: how many observations (pixels, time steps) have the same class on both sides, of how many; None where
            no classes are told apart.
        batch: which of the batches holds the largest difference, from 0.
        size: "10×10×8, expected 12×12×8" where the sizes differ, else "".
    """

    layer: str
    max_abs: float
    scale: float
    allowed: float
    elements: int = 0
    ulps: float = 0.0
    cosine: float = 1.0
    outside: float = 0.0
    agreement: tuple[int, int] | None = None
    batch: int = 0
    size: str = ""

    @property
    def relative(self) -> float:
        """Largest difference as a part of the layer's range, its largest absolute value."""
        return self.max_abs / self.scale if self.scale > 0 else self.max_abs

    @property
    def differs(self) -> bool:
        """Whether it is more than the profile allows."""
        return not self.max_abs <= self.allowed


@dataclass(frozen=True)
class Comparison:
    """What was compared, in order, against an oracle with a name.

    Attributes:
        oracle: its name.
        layers: the layers in the order they ran; of a training, its losses, rates and learnables, iteration by
            iteration.
        unit: what one of them is called.
    """

    oracle: str
    layers: tuple[LayerDifference, ...]
    unit: str = "layer"

    @property
    def first_above(self) -> LayerDifference | None:
        """The first layer that differs by more than is allowed."""
        return next((each for each in self.layers if each.differs), None)

    @property
    def first_divergence(self) -> LayerDifference | None:
        """The layer where the two begin to differ; None where all agree.

        That is the layer, up to the first above its tolerance, at which the difference rises most over all layers
        before it: a fault may stay just below the tolerance where it arises, and only be amplified above it later.
        """
        above = self.first_above
        if above is None or self.unit != "layer":  # only layers amplify what they are given
            return above
        rises, floor = [], ROUNDING
        for each in self.layers[: self.layers.index(above) + 1]:
            rises.append(each.relative / floor)
            floor = max(floor, each.relative)
        return self.layers[rises.index(max(rises))]

    @property
    def worst(self) -> LayerDifference | None:
        """The layer with the largest difference relative to its range."""
        return max(self.layers, key=lambda each: each.relative, default=None)

    @property
    def agreeing(self) -> tuple[LayerDifference, ...]:
        """The layers before the first divergence."""
        first = self.first_divergence
        return self.layers if first is None else self.layers[: self.layers.index(first)]

    @property
    def verdict(self) -> str:
        """One line: the first divergence, or how well the layers agree."""
        first, above, worst = self.first_divergence, self.first_above, self.worst
        if first is None or above is None:
            told = [each.agreement for each in self.layers if each.agreement]
            equal, every = (
                map(sum, zip(*told, strict=True)) if self.unit == "image" and told else told[-1] if told else (0, 0)
            )
            classes = (
                f"; {equal} of {every} {'detections matched' if self.unit == 'image' else 'classes equal'}"
                if told
                else ""
            )
            return (
                f"PASSED {self._counted(self.layers)}"
                + (f", worst {worst.relative:.1e} at {worst.layer}" if worst else "")
                + classes
            )
        before = max((each.relative for each in self.agreeing), default=0.0)
        later = f", above it from {above.layer} on" if above is not first else ""
        found = (
            f"{'size ' if self.unit == 'layer' else ''}{first.size}"
            if first.size
            else f"max |d| {first.max_abs:.1e} (allowed {first.allowed:.0e}{later})"
        )
        many = len(self.agreeing) != 1
        agree = (
            f"the {self._counted(self.agreeing) if many else self.unit} before it agree{'' if many else 's'} to "
            f"{before:.1e}"
        )
        agree = agree if self.agreeing else f"no {self.unit} before it was compared"
        return f"FIRST DIVERGENCE {first.layer}: {found}; {agree}"

    def require(self) -> None:
        """Raise DifferenceError, naming the first layer that differs."""
        if self.first_divergence is not None:
            raise DifferenceError(f"{self.verdict}, against {self.oracle}")

    def _counted(self, layers: tuple[LayerDifference, ...]) -> str:
        return f"{len(layers)} {self.unit}{'' if len(layers) == 1 else 's'}"
