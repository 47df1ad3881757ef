"""What is known of MATLAB's pretrained networks: `mappings/pretrained.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any

from bridge.errors import UsageError
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


def without_weights(name: str) -> str:
    """Say that a pretrained network is named here without the weights that MATLAB has, and how they come from there."""
    entry = catalogue().get(name)
    save = f"net = {entry.call if entry else name}; save('{name}.mat','net')"
    return f"{name} has random weights here; in MATLAB: {save}; then --network {name}.mat"


def require_weights(name: str) -> None:
    """Refuse to train a pretrained network that is named alone.

    Raises:
        UsageError: always; it says how weights come from MATLAB, or from torchvision's model of the same structure.
    """
    error, entry = without_weights(name), catalogue().get(name)
    hint = "with --untrained it begins at random weights"
    if entry is not None and entry.same_as_torchvision:
        model = entry.torchvision
        hint += (
            f"; torchvision's {model} has the same structure, and other weights: bridge.networks.build('{name}', "
            f"weights=torchvision.models.{model}(weights='DEFAULT').state_dict()).save('{name}'), then --network {name}"
        )
    what, _, how = error.partition("; ")
    raise UsageError(what, f"its weights are in MATLAB alone. {how[0].upper()}{how[1:]}", hint)


def _entry(name: str, row: Mapping[str, Any]) -> Entry:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in row.items()}
    return Entry(name, **values)
