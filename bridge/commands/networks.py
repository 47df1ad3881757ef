"""The networks of a .mat file that holds several, listed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.commands.terminal import Rows, say, title
from bridge.errors import BridgeError
from bridge.files.shell import argument
from bridge.network import Network

if TYPE_CHECKING:
    from bridge.readers.mat.choice import SeveralNetworksError
    from bridge.readers.mat.contents import Contents, Held


@dataclass(frozen=True)
class Entry:
    """A network that a file holds, and what was made of it; `error` where that failed."""

    held: Held
    network: Network | None
    error: str = ""

    @property
    def values(self) -> int:
        """How many numbers its learnables have."""
        return sum(each.array.size for _, _, each in self.network.learnables()) if self.network else 0

    @property
    def inputs(self) -> str:
        """The sizes of its inputs in MATLAB's order, "?" where they cannot be told."""
        try:
            network = self.network
            return ", ".join(str(network.sizes[name][0]) for name in network.inputs) if network else ""
        except BridgeError:
            return "?"

    @property
    def state(self) -> str:
        return "trained" if self.held.is_trained else "with weights" if self.held.has_weights else "untrained"


def entries(error: SeveralNetworksError, mappings: Path | None) -> list[Entry]:
    """Make every network that an error lists; what is wrong with one is told beside it."""
    from bridge.readers import tables_with
    from bridge.readers.mat.networks import read_held

    tables = tables_with(mappings)
    made = []
    for address, held in error.held.networks.items():
        if not address.startswith(error.inside):
            continue
        try:
            made.append(Entry(held, read_held(held, error.held, tables)))
        except BridgeError as failure:
            made.append(Entry(held, None, failure.error))
    return made


def show(held: Contents, listed: Sequence[Entry]) -> None:
    """Print a table of networks, and what else the file holds."""
    title(str(held.path), f"{len(listed)} networks, {held.format}")
    table = Rows("Address", "Kind", "Layers", "Values", "Input", "Classes", "", right=("Layers", "Values"))
    for each in listed:
        known = each.network
        sizes = (f"{len(known.layers)}", f"{each.values:,}") if known else ("", "")
        classes = ", ".join(known.classes or ()) if known else ""
        table.add(each.held.address, each.held.kind.rpartition(".")[2], *sizes, each.inputs, classes, each.state)
    table.print()
    example = next((each for each in listed if each.held.is_trained), listed[0]).held.address
    say(f"choose one with --variable, as in --variable {argument(example, 'ADDRESS')}")
    if held.options or held.logs or held.others:
        say(f"the file also holds {held.listed}")
    say(*(f"note: {note}" for note in notes(held, listed)))


def notes(held: Contents, listed: Sequence[Entry]) -> list[str]:
    """Return what cannot be read, and why."""
    failed = [f"'{each.held.address}': {each.error}" for each in listed if each.error]
    return [*failed, *held.unread]


def facts(held: Contents, listed: Sequence[Entry]) -> dict[str, Any]:
    """What `show` prints, as JSON values."""
    return {
        "source": {"path": str(held.path), "format": held.format},
        "networks": [
            {
                "address": each.held.address,
                "kind": each.held.kind,
                "state": each.state,
                "layers": len(each.network.layers) if each.network else None,
                "values": each.values,
                "input": each.inputs,
                "classes": list(each.network.classes) if each.network and each.network.classes else None,
                "error": each.error or None,
            }
            for each in listed
        ],
        "others": held.others,
        "notes": notes(held, listed),
    }
