"""How the axes of an array turn between MATLAB, ONNX and torch, as data: "kh kw in out" -> "out in kh kw".

A pattern names the axes of an array in order. "(c w h)" is one axis that runs through c, w, h with h fastest;
"1" is an axis of length one. A pattern of one name is a vector; any array turns into one, whatever ones MATLAB
has put around it. A `Turn` works on anything with `shape`, `reshape` and a permutation: numpy arrays, torch
tensors, lazy arrays.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

Groups = tuple[tuple[str, ...], ...]


@cache
def parse(pattern: str) -> Groups:
    """Split a pattern into axes, each a tuple of names: "out (c h w) 1" -> (("out",), ("c", "h", "w"), ())."""
    axes = re.findall(r"\(([^)]*)\)|(\S+)", pattern)
    return tuple(
        tuple(group.split()) if group or not name else (() if name == "1" else (name,)) for group, name in axes
    )


@dataclass(frozen=True)
class Turn:
    """A rearrangement from one pattern to another; both name the same axes.

    Example:
        >>> import numpy as np
        >>> Turn("kh kw in out", "out in kh kw")(np.zeros((3, 5, 2, 7))).shape
        (7, 2, 3, 5)
        >>> Turn("out (c w h)", "out (c h w)")(np.arange(6).reshape(1, 6), {"h": 2, "w": 3}).tolist()
        [[0, 2, 4, 1, 3, 5]]
    """

    source: str
    target: str

    def __call__(self, array: Any, sizes: Mapping[str, int] | None = None) -> Any:
        """Return `array` rearranged; `sizes` gives the lengths that its shape does not tell.

        Raises:
            ValueError: the shape does not fit the pattern.
        """
        source, target = parse(self.source), parse(self.target)
        if len(target) == 1 and len(target[0]) == 1:
            return array.reshape((math.prod(array.shape),))
        lengths = axis_lengths(source, array.shape, sizes or {}, self.source)
        names = [name for axis in source for name in axis]
        wanted = [name for axis in target for name in axis]
        array = array.reshape(tuple(lengths[name] for name in names))
        order = tuple(names.index(name) for name in wanted)
        array = array.permute(order) if hasattr(array, "permute") else array.transpose(order)
        return array.reshape(tuple(math.prod(lengths[name] for name in axis) for axis in target))


def axis_lengths(axes: Groups, shape: Sequence[int], sizes: Mapping[str, int], pattern: str) -> dict[str, int]:
    """Return the length of every named axis of an array of `shape`.

    Raises:
        ValueError: the shape does not fit the pattern.
    """
    if len(shape) != len(axes):
        raise ValueError(f"an array of shape {tuple(shape)} where '{pattern}' is expected")
    lengths: dict[str, int] = {}
    for axis, length in zip(axes, shape, strict=True):
        unknown = [name for name in axis if name not in sizes]
        known = math.prod(sizes[name] for name in axis if name in sizes)
        if len(axis) == 1:
            lengths[axis[0]] = int(length)
            continue
        if len(unknown) > 1 or (known and length % known) or (not unknown and length != known):
            raise ValueError(f"an array of shape {tuple(shape)} where '{pattern}' with {dict(sizes)} is expected")
        lengths.update({name: int(sizes[name]) for name in axis if name in sizes})
        lengths.update({name: int(length) // known if known else 0 for name in unknown})
    return lengths
