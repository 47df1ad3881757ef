"""What a format cannot hold is told before anything is written, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bridge.errors import UnsupportedError
from bridge.network import Network

Tell = Callable[[str], object]


@dataclass(frozen=True)
class Written:
    """What an export has done.

    Attributes:
        paths: the files written, the network's first.
        hint: what to do with them.
        losses: what the format cannot hold of the network.
        notes: what else the reader of the files should know.
    """

    paths: tuple[Path, ...]
    hint: str
    losses: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def precision_losses(network: Network) -> Iterator[str]:
    """Yield the arrays that are not in single precision, in which MATLAB and torch compute."""
    for layer in network.layers:
        for name, array in (*((name, each.array) for name, each in layer.learnables.items()), *layer.state.items()):
            if array.size and array.dtype.name != "float32":
                yield f"layer '{layer.name}' ({layer.kind}): the precision of {name}, which becomes single"


def fact_losses(network: Network) -> Iterator[str]:
    """Yield what is known of a network besides its layers."""
    for what, facts in {
        "training options": network.training_options,
        "training log": network.training_info,
        "detector": network.detector,
    }.items():
        if facts:
            yield f"its {what}"


def tell_losses(losses: Sequence[str], path: Path, tell: Tell, *, strict: bool) -> None:
    """Tell what a file will not hold, one text at a time.

    Raises:
        UnsupportedError: with all of it, where `strict`.
    """
    if losses and strict:
        what = f"{path} cannot hold all of the network: {'; '.join(losses)}"
        raise UnsupportedError(
            what,
            "in strict mode nothing may be lost, and nothing was written",
            "export without --strict to write the rest",
        )
    for loss in losses:
        tell(loss)
