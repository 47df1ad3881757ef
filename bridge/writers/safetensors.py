"""Network -> net.safetensors: the state dict of its torch module and nothing else."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

from bridge.arrays.lazy import Array
from bridge.files.atomic import write_file
from bridge.files.python import call
from bridge.network import Network
from bridge.writers.losses import Tell, Written, fact_losses, precision_losses, tell_losses
from bridge.writers.state import Modules, parts
from bridge.writers.tensor_file import write


def save(
    network: Network,
    path: str | Path,
    *,
    force: bool = False,
    strict: bool = False,
    tell: Tell = warnings.warn,
    modules: Modules | None = None,
) -> Written:
    """Write the state dict of a network's module, which `net.to_torch().load_state_dict` takes; arrays are read one at
    a time.

    Args:
        network: what to write.
        path: the .safetensors file.
        force: replace a file that is there.
        strict: refuse to lose anything, which a state dict always does.
        tell: called with each loss before anything is written, and with each note.
        modules: torch modules for layers of your own; see `Network.to_torch`.

    Raises:
        UnsupportedError: a layer has no module; or, if `strict`, something would be lost.
        UsageError: the file exists (without `force`) or cannot be written.
    """
    path = Path(path)
    arrays = state_dict(network, modules)
    tell_losses(losses := (*precision_losses(network), *losses_of(network)), path, tell, strict=strict)
    with_nan: list[str] = []
    write_file(path, lambda made: write(made, arrays, with_nan), force=force)
    notes = (f"NaN is kept in {', '.join(with_nan)}",) if with_nan else ()
    for note in notes:
        tell(note)
    return Written((path,), f"state = {call('safetensors.torch.load_file', path.name)}", losses, notes)


def state_dict(network: Network, modules: Modules | None = None) -> dict[str, Array]:
    """Return the arrays of the module's state dict, by the keys it has there."""
    from bridge.modules.build import module_names

    names = module_names(layer.name for layer in network.layers)
    return {
        f"{names[part.layer.name]}.{local}": array
        for part in parts(network, modules)
        for local, array in part.arrays.items()
    }


def losses_of(network: Network) -> Iterator[str]:
    yield "its layers, their properties and connections: a state dict holds arrays alone"
    if network.classes is not None:
        yield f"its {len(network.classes)} class names"
    known = sum(not each.assumed for _, _, each in network.learnables())
    if known:
        yield f"the learn-rate and L2 factors of {known} learnables"
    yield from fact_losses(network)
