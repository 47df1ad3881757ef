"""What a format cannot hold is told before anything is written, or refused."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
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


@dataclass
class Export:
    """One export of a network, for the form that writes it.

    Attributes:
        path: the file to write.
        force: whether it replaces a file that is there.
        strict: whether nothing may be lost.
        tell: called with "lost: ..." for each loss before anything is written, and with "note: ..." for each note after
            it.
        notes: what the form adds to.
        with_nan: the arrays that hold NaN, likewise.
    """

    path: Path
    force: bool
    strict: bool
    tell: Tell
    losses: tuple[str, ...] = ()
    notes: list[str] = field(default_factory=list)
    with_nan: list[str] = field(default_factory=list)

    def lose(self, *losses: str) -> None:
        """Tell what the file will not hold.

        Raises:
            UnsupportedError: with all of it, where `strict`.
        """
        if losses and self.strict:
            raise UnsupportedError(
                f"{self.path} cannot hold all of the network: {'; '.join(losses)}",
                "in strict mode nothing may be lost, and nothing was written",
                "export without --strict to write the rest",
            )
        self.losses = losses
        for loss in losses:
            self.tell(f"lost: {loss}")

    def written(self, paths: Sequence[Path], hint: str) -> Written:
        """Tell the notes, and return what was done."""
        if self.with_nan:
            self.notes.append(f"NaN is kept in {', '.join(self.with_nan)}")
        for note in self.notes:
            self.tell(f"note: {note}")
        return Written(tuple(paths), hint, self.losses, tuple(self.notes))
