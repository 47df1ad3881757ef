"""Network -> net.safetensors: the state dict of its torch module and nothing else."""

from __future__ import annotations

from collections.abc import Iterator

from bridge.arrays.lazy import Array
from bridge.files.atomic import write_file
from bridge.files.python import call
from bridge.network import Network
from bridge.writers.losses import Export, Written, fact_losses, precision_losses
from bridge.writers.state import Modules, parts
from bridge.writers.tensor_file import write


def save(network: Network, export: Export, *, modules: Modules | None = None) -> Written:
    """Write the state dict of a network's module, which `net.to_torch().load_state_dict` takes; arrays are read one at
    a time.

    Args:
        network: what to write.
        export: of the .safetensors file; something is always lost.
        modules: torch modules for layers of your own; see `Network.to_torch`.

    Raises:
        UnsupportedError: a layer has no module; or, if `strict`, something would be lost.
        UsageError: the file exists (without `force`) or cannot be written.
    """
    arrays = state_dict(network, modules)
    export.lose(*precision_losses(network), *losses_of(network))
    write_file(export.path, lambda made: write(made, arrays, export.with_nan), force=export.force)
    return export.written([export.path], f"state = {call('safetensors.torch.load_file', export.path.name)}")


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
