"""What a network does."""

from __future__ import annotations

from bridge.detection import is_detector
from bridge.errors import UsageError
from bridge.network import Network


def task_of(network: Network) -> str:
    """Return "classification", "sequence labels", "segmentation", "detection" or "values": what the output layer
    does, or the last softmax, or the class names say.
    """
    if is_detector(network):
        return "detection"
    size = network.size_of(network.outputs[0])
    is_named = network.classes is not None and len(network.classes) == size.channels
    ends = [layer.row for layer in network.layers if layer.row.is_output or layer.name == network.outputs[0]]
    says_classes = is_named or any("softmax" in row.traits or "Classes" in row.properties for row in ends)
    if not says_classes or len(network.outputs) > 1:
        return "values"
    if network.classes is not None and not is_named:
        raise UsageError(
            f"the network has {len(network.classes)} class names and puts out {size.channels} scores",
            "each score needs a name",
            "--classes",
        )
    if size.over_time:
        return "sequence labels"
    return "segmentation" if set(size.spatial) - {1} else "classification"
