"""What is known of MATLAB's pretrained networks: `mappings/pretrained.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from bridge.tables.layers import table

CATEGORIES = ("basic", "accurate", "edge")  # the groups of MATLAB's own overview
TASKS = ("detection", "segmentation")
# Lists of MATLAB's layers, compared by a test; code that MATLAB generated from copies of it, read by hand; documented
# names and MATLAB's counts; nothing.
STRUCTURES = ("list", "code", "documentation", "derived")


@dataclass(frozen=True)
class Entry:
    """One network.

    Attributes:
        name: the function that makes it in MATLAB.
        category: of `CATEGORIES`: what it is chosen for.
        serves: of `TASKS`: what networks of other kinds are built on it.
        input_size: height, width and channels.
        normalization: of its input layer.
        megabytes: of the weights, as MathWorks states it.
        learnables: their number, in millions.
        depth: the largest number of convolutions and fully connected layers on a way through it, as MathWorks states it
            (0 for none).
        top1: accuracy on ImageNet's validation set in percent, as MathWorks states it; None where it was trained for
            other images.
        layers, connections: their numbers, with the output layer.
        earlier_layers: the number of layers in releases up to R2019a, where it was another: one layer more, which
            normalises images behind the input; 0 where it was the same. Indices of a script of that time count it.
        classes: that its weights are for.
        structure: of `STRUCTURES`: what its layers were compared with.
        head: the layers to replace for other classes, the last one with weights first.
        features: layers whose activations serve as features, coarsest last.
        origin: where the weights come from.
        torchvision, timm: the nearest model there, "" for none.
        same_as_torchvision: whether torchvision's has the same structure, so that weights can be taken over.
        differences: how the nearest model differs.
        unconfirmed: what no source confirms.
    """

    name: str
    category: str
    input_size: tuple[int, int, int]
    normalization: str
    megabytes: float
    learnables: float
    depth: int
    layers: int
    connections: int
    head: tuple[str, ...]
    features: tuple[str, ...]
    serves: tuple[str, ...] = ()
    top1: float | None = None
    earlier_layers: int = 0
    classes: int = 1000
    structure: str = "documentation"
    origin: str = ""
    torchvision: str = ""
    timm: str = ""
    same_as_torchvision: bool = False
    differences: tuple[str, ...] = ()
    unconfirmed: tuple[str, ...] = ()

    @property
    def call(self) -> str:
        """The MATLAB code that gives it, with its weights."""
        return self.name if self.name.isidentifier() else f'imagePretrainedNetwork("{self.name}")'


@cache
def catalogue() -> Mapping[str, Entry]:
    """Return every entry by name, in the order of the table."""
    return MappingProxyType({name: _entry(name, row) for name, row in table("pretrained").items()})


def _entry(name: str, row: Mapping[str, Any]) -> Entry:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Entry(name, **values)
