"""Network -> net.pt2: the module as torch.export writes it, for any number of observations; it runs where bridge is not
installed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import UnsupportedError, UsageError
from bridge.files.atomic import write_file
from bridge.files.python import call
from bridge.network import Network
from bridge.network.activations import Activation
from bridge.writers.folder import to_json
from bridge.writers.losses import Export, Written, precision_losses
from bridge.writers.state import Modules
from bridge.writers.trial import STEPS, observations

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FACTS = "network.json"  # a file inside of the .pt2
LONGEST = 10_000  # steps: torch.export goes through them one by one, which takes minutes for so many
STEPS_FIXED = (
    "sequences of any length but {length}: torch.export fixes how often a recurrent layer runs (--steps chooses)"
)
SIZE_FIXED = "images of any size but {length}: a layer lets torch.export fix it"


class Sink(BufferedWriter):
    """A stream that takes all that comes and remembers what failed, as torch's writer ends the process at
    an exception.
    """

    failed: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data) if self.failed is None else len(data)
        except OSError as error:
            self.failed = error
            return len(data)


def save(network: Network, export: Export, *, steps: int = STEPS, modules: Modules | None = None) -> Written:
    """Write what torch.export makes of a network's module. Names, classes, factors and properties lie in it as
    network.json.

    Args:
        network: what to write.
        export: of the .pt2 file.
        steps: how long sequences are, where a layer does not leave it free: 1 to 10,000.
        modules: torch modules for layers of your own; see `Network.to_torch`.

    Raises:
        UnsupportedError: a layer has no module, or one that torch.export cannot write; or, if `strict`, something would
            be lost.
        UsageError: `steps` is beyond its range, or the file exists (without `force`) or cannot be written.
    """
    if not 1 <= steps <= LONGEST:
        raise UsageError(
            f"sequences of {steps:,} steps",
            f"a program is made for 1 to {LONGEST:,}",
            "choose the length that it will run on",
        )
    program, fixed = exported(network, steps, modules)
    export.lose(*precision_losses(network), *fixed)
    facts = json.dumps(to_json(network))

    def write(made: Path) -> None:
        import torch

        with Sink(FileIO(made, "w")) as sink, exporting():
            torch.export.save(program, sink, extra_files={FACTS: facts})
        if sink.failed is not None:
            raise sink.failed

    write_file(export.path, write, force=export.force)
    export.with_nan += [name for name, tensor in program.state_dict.items() if tensor.isnan().any()]
    return export.written([export.path], f"{call('torch.export.load', export.path.name)}.module()(x)")


def exported(network: Network, steps: int = STEPS, modules: Modules | None = None) -> tuple[ExportedProgram, list[str]]:
    """Return a network's module as a program whose batch is free, and what else the network leaves free and the program
    does not.
    """
    import torch
    from torch.fx.experimental.symbolic_shapes import is_concrete_int

    inputs = tuple(torch.from_numpy(each).repeat(2, *(1,) * (each.ndim - 1)) for each in observations(network, steps))
    batch, free = torch.export.Dim("batch"), [free_axes(network.sizes[name][0]) for name in network.inputs]
    dims = tuple({0: batch, **dict.fromkeys(axes, torch.export.Dim.AUTO)} for axes in free)
    module = network.to_torch(modules=modules)
    with warnings.catch_warnings(), exporting():
        warnings.simplefilter("ignore")  # of torch's own LSTM and GRU, whose flattened weights it warns of
        program = torch.export.export(module, inputs, dynamic_shapes=dims)
    given = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"][-len(inputs) :]
    lengths = [
        (value.shape[axis], text) for axes, value in zip(free, given, strict=True) for axis, text in axes.items()
    ]
    return program, list(
        dict.fromkeys(text.format(length=length) for length, text in lengths if is_concrete_int(length))
    )


@contextmanager
def exporting() -> Iterator[None]:
    """Let what torch.export cannot do be an UnsupportedError."""
    try:
        yield
    except RuntimeError as error:
        hint = "replace what it names, or write .safetensors and build the module anew"
        raise UnsupportedError(
            "torch.export cannot write this network", str(error).strip().partition("\n")[0], hint
        ) from error


def free_axes(size: Activation) -> dict[int, str]:
    """Return the axes beside the batch's whose length a network leaves free, each with what is lost where a program
    fixes it.
    """
    first = 3 if size.over_time else 2
    lengths = {first + index: SIZE_FIXED for index, length in enumerate(size.spatial) if length is None}
    return {1: STEPS_FIXED, **lengths} if size.over_time else lengths
