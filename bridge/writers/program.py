"""Network -> net.pt2: the module as torch.export writes it, for any number of observations; it runs where bridge is not installed."""

from __future__ import annotations

import json
import warnings
from io import BufferedWriter, FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import UsageError
from bridge.network import Network
from bridge.writers.atomic import write_file
from bridge.writers.folder import to_json
from bridge.writers.losses import Tell, Written, precision_losses, tell_losses
from bridge.writers.state import Modules
from bridge.writers.trial import STEPS, observations

if TYPE_CHECKING:
    from torch.export import ExportedProgram

FACTS = "network.json"  # a file inside of the .pt2
HINT = "torch.export.load('{name}').module()(x)"
LONGEST = 10_000  # steps: torch.export goes through them one by one, which takes minutes for so many
FIXED = "sequences of any length but {steps}: torch.export fixes how often a recurrent layer runs (--steps chooses)"


class Sink(BufferedWriter):
    """A stream that takes all that comes and remembers what failed, as torch's writer ends the process at an exception."""

    failed: OSError | None = None

    def write(self, data: bytes) -> int:  # type: ignore[override]
        try:
            return super().write(data) if self.failed is None else len(data)
        except OSError as error:
            self.failed = error
            return len(data)


def save(
    network: Network,
    path: str | Path,
    *,
    force: bool = False,
    strict: bool = False,
    tell: Tell = warnings.warn,
    steps: int = STEPS,
    modules: Modules | None = None,
) -> Written:
    """Write what torch.export makes of a network's module. Names, classes, factors and properties lie in it as network.json.

    Args:
        network: what to write.
        path: the .pt2 file.
        force: replace a file that is there.
        strict: refuse to lose anything.
        tell: called with each loss before anything is written, and with each note.
        steps: how long sequences are, where a layer does not leave it free: 1 to 10,000.
        modules: torch modules for layers of your own; see `Network.to_torch`.

    Raises:
        UnsupportedError: a layer has no module; or, if `strict`, something would be lost.
        UsageError: `steps` is beyond its range, or the file exists (without `force`) or cannot be written.
    """
    path = Path(path)
    if not 1 <= steps <= LONGEST:
        raise UsageError(f"sequences of {steps:,} steps", f"a program is made for 1 to {LONGEST:,}", "choose the length that it will run on")
    program, fixed = exported(network, steps, modules)
    losses = (*precision_losses(network), *((FIXED.format(steps=steps),) if fixed else ()))
    tell_losses(losses, path, tell, strict=strict)
    facts = json.dumps(to_json(network))

    def write(made: Path) -> None:
        import torch

        with Sink(FileIO(made, "w")) as sink:
            torch.export.save(program, sink, extra_files={FACTS: facts})
        if sink.failed is not None:
            raise sink.failed

    write_file(path, write, force=force)
    with_nan = [name for name, tensor in program.state_dict.items() if tensor.isnan().any()]
    notes = (f"NaN is kept in {', '.join(with_nan)}",) if with_nan else ()
    for note in notes:
        tell(note)
    return Written((path,), HINT.format(name=path.name), losses, notes)


def exported(network: Network, steps: int = STEPS, modules: Modules | None = None) -> tuple[ExportedProgram, bool]:
    """Return a network's module as a program whose batch is free, and whether its sequences are fixed to `steps` steps."""
    import torch
    from torch.fx.experimental.symbolic_shapes import is_concrete_int

    inputs = tuple(torch.from_numpy(each).repeat(2, *(1,) * (each.ndim - 1)) for each in observations(network, steps))
    batch, over_time = torch.export.Dim("batch"), [network.sizes[name][0].over_time for name in network.inputs]
    dims = tuple({0: batch, 1: torch.export.Dim.AUTO} if each else {0: batch} for each in over_time)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's own LSTM and GRU, whose flattened weights it warns of
        program = torch.export.export(network.to_torch(modules=modules), inputs, dynamic_shapes=dims)
    given = [node.meta["val"] for node in program.graph.nodes if node.op == "placeholder"][-len(inputs) :]
    return program, any(each and is_concrete_int(value.shape[1]) for each, value in zip(over_time, given, strict=True))
