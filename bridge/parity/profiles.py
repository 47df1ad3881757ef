"""How far two computations of the same network may differ: the profiles of `mappings/profiles.toml`."""

from __future__ import annotations

import fnmatch
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from numbers import Real

from bridge.errors import UsageError, nearest
from bridge.tables.layers import table


@dataclass(frozen=True)
class Profile:
    """A tolerance with a reason.

    Attributes:
        name: "exact", "float32", "matlab" or "float16".
        relative: the largest difference allowed in a layer, as a part of the layer's largest absolute value.
        reason: where the number comes from.
        overrides: (layer name or glob, tolerance) of single layers; the last that fits counts.
    """

    name: str
    relative: float
    reason: str
    overrides: tuple[tuple[str, float], ...] = ()

    @staticmethod
    def of(name: str, overrides: Mapping[str, float] | None = None) -> Profile:
        """Return a profile of the table, with other tolerances for some layers.

        Raises:
            UsageError: the profile is unknown, or a tolerance is negative or no number.
        """
        profiles = table("profiles")
        if name not in profiles:
            raise UsageError(f"there is no tolerance profile '{name}'", f"there are {', '.join(profiles)}")
        if not isinstance(overrides or {}, Mapping):
            raise UsageError(
                f"tolerances are {overrides}",
                "they are of single layers, by name or glob",
                "tolerances={'pool*': 1e-3}",
            )
        for layer, tolerance in (overrides or {}).items():
            if not (isinstance(tolerance, Real) and 0 <= tolerance < math.inf):
                raise UsageError(
                    f"a tolerance of {tolerance} for '{layer}'", "a tolerance is a part of the layer's range: 1e-4, say"
                )
        return Profile(name, profiles[name]["relative"], profiles[name]["reason"], tuple((overrides or {}).items()))

    def require(self, layers: Collection[str]) -> None:
        """Raise UsageError for a tolerance of a layer that is not among those that are compared."""
        for pattern, _ in self.overrides:
            if not any(_fits(layer, pattern) for layer in layers):
                cause = nearest(pattern, layers) if layers else "no layers are"
                raise UsageError(f"there is a tolerance for '{pattern}', and no such layer is compared", cause)

    def allowed(self, layer: str, scale: float) -> float:
        """Return the largest difference allowed in a layer whose largest absolute value is `scale`.

        A layer of zeros has no range; there the tolerance counts as it is.
        """
        fitting = [tolerance for pattern, tolerance in self.overrides if _fits(layer, pattern)]
        return (fitting[-1] if fitting else self.relative) * (scale or 1.0)


def _fits(layer: str, pattern: str) -> bool:
    return pattern == layer or fnmatch.fnmatchcase(layer, pattern)
