"""The end of a network, and a new one for other classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from bridge import layers as constructors
from bridge.errors import UsageError
from bridge.network.base import BaseNetwork, N
from bridge.network.edit import fitting, replaced, require_classes
from bridge.network.layer import Layer
from bridge.network.ports import split_port
from bridge.tables.layers import LayerRow

TOLD_BY_INPUT = ("InputSize", "NumChannels")
TOLD_BY_CLASSES = ("Classes", "NumClasses", "ClassWeights", "OutputSize")


@dataclass(frozen=True)
class Head:
    """The end of a network: its last layer with weights, and what follows.

    Attributes:
        layer: the last fully connected or 2-D convolution layer.
        softmax: the softmax behind it, if there is one.
        output: the output layer, if there is one.
    """

    layer: Layer
    softmax: Layer | None
    output: Layer | None


def head(network: BaseNetwork) -> Head:
    """Return the last layer with weights, walking up from the end, as findLayersToReplace and networkHead do.

    Raises:
        UsageError: the network has several ends, or branches before such a layer is found.
    """
    ends = [layer for layer in network.layers if layer.row.is_output]
    output = ends[0] if len(ends) == 1 else None
    if len(ends) > 1 or (not ends and len(network.outputs) != 1):
        names = ", ".join(layer.name for layer in ends) or ", ".join(network.outputs) or "none"
        raise UsageError(
            "the network has no single head", f"its outputs are {names}", "replace the layers you mean by name"
        )
    layer = output or network.layers[split_port(network.outputs[0], network.layers, "outputs")[0]]
    softmax = None
    while "head" not in layer.row.traits:
        softmax = layer if "softmax" in layer.row.traits else softmax
        sources = network.incoming[layer.name]
        if len(sources) != 1:
            cause = (
                f"'{layer.name}' has {len(sources)} inputs, and no fully connected or convolution layer lies behind it"
            )
            raise UsageError("the network has no single head", cause, "replace the layers you mean by name")
        layer = network.layers[sources[0].source]
    return Head(layer, softmax, output)


def with_classes(network: N, classes: Sequence[str], name: str | None = None, **properties: Any) -> N:
    """Return `network` with a new head for these classes; see `Network.with_classes`."""
    names = require_classes(classes)
    end = head(network)
    if end.output is not None and "AnchorBoxes" in end.output.row.properties:
        raise UsageError(
            f"'{end.output.name}' is a detector's output", "its head counts boxes too", "replace its layers by name"
        )
    chains = {end.layer.name: [_layer(end.layer, len(names), name, properties)]}
    if end.output is not None:
        softmax = [] if end.softmax else [constructors.softmax(name=_free("softmax", network))]
        chains[end.output.name] = [*softmax, _output(end.output, names)]
    return replace(fitting(replaced(network, chains)), classes=names)


def _layer(old: Layer, count: int, name: str | None, properties: dict[str, Any]) -> Layer:
    """Return a layer like the old one for another number of classes, with factors and initializers of its own."""
    size = "OutputSize" if "OutputSize" in old.row.properties else "NumFilters"
    named = constructors.spelled(old.row, properties)
    return constructors.new_layer(
        old.row, name or old.name, {**_kept(old, old.row, TOLD_BY_INPUT), size: count, **named}
    )


def _output(old: Layer, classes: tuple[str, ...]) -> Layer:
    """Return an output layer of the same kind for other classes; a regression becomes a classification."""
    row = old.row if "Classes" in old.row.properties else constructors.classification().row
    count = {"NumClasses": len(classes)} if "NumClasses" in row.properties else {}
    return constructors.new_layer(row, old.name, {**_kept(old, row, TOLD_BY_CLASSES), **count, "Classes": classes})


def _kept(old: Layer, row: LayerRow, dropped: tuple[str, ...]) -> dict[str, Any]:
    return {key: value for key, value in old.properties.items() if key in row.properties and key not in dropped}


def _free(name: str, network: BaseNetwork) -> str:
    """Return the name, with a number where it is taken."""
    numbered = [name, *(f"{name}_{i}" for i in range(1, len(network.layers) + 1))]
    return next(each for each in numbered if not network.layers.has(each))
