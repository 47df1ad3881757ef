"""How the source code of a detector's network decodes: its family's own function, and what that is called with."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.detection import is_detector
from bridge.detection.family import Decoding, family_of
from bridge.errors import BridgeError
from bridge.files import python
from bridge.network import Network
from bridge.writers.expressions import construct
from bridge.writers.paste import Paste


def decoding_of(network: Network) -> Decoding | None:
    """Return how a network's output is decoded; None where it is no detector, or nothing is detected with it."""
    if not is_detector(network):
        return None
    try:
        return family_of(network).decoding()
    except BridgeError:  # detectors of which the network alone is known are written as networks
        return None


def paste(decoding: Decoding, into: Paste) -> None:
    """Copy the function, and the class of the module."""
    into.add([decoding.function, *([] if decoding.module is None else [type(decoding.module)])])


def constants(decoding: Decoding) -> Iterator[str]:
    """Yield what the function is called with: ANCHORS = (...)."""
    for name, value in decoding.arguments.items():
        yield from python.listed(f"{name.upper()} = (", map(python.literal, value), ")")


def usage(decoding: Decoding) -> list[str]:
    """Return how boxes are had, as the head of the file tells it."""
    output, called = "model(x)", decoding.function.__name__
    if decoding.module is not None:
        output = f"{construct(decoding.module, type(decoding.module).__name__)}({output})"
    named = ", ".join(name.upper() for name in decoding.arguments)
    return [
        f"corners, scores, labels = {called}({output}, {named})",
        "torchvision.ops.batched_nms(corners[0], scores[0], labels[0], 0.5) tells which boxes of an image stay.",
    ]
