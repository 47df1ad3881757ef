"""Network -> net.safetensors: the state dict of its torch module and nothing else.

The format is a length, a JSON header of that length and the tensors' bytes. The safetensors library writes it too, but takes all
tensors at once and copies each.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from bridge.arrays import Array
from bridge.network import Network
from bridge.writers.atomic import write_file
from bridge.writers.losses import Tell, Written, fact_losses, precision_losses, tell_losses
from bridge.writers.outgoing import Outgoing
from bridge.writers.state import Modules, parts

DTYPES = {"float32": "F32", "int64": "I64", "float64": "F64", "float16": "F16", "bool": "BOOL", "uint8": "U8", "int32": "I32"}
HINT = "state = safetensors.torch.load_file('{name}')"


def save(
    network: Network, path: str | Path, *, force: bool = False, strict: bool = False, tell: Tell = warnings.warn, modules: Modules | None = None
) -> Written:
    """Write the state dict of a network's module, which `net.to_torch().load_state_dict` takes; arrays are read one at a time.

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
    return Written((path,), HINT.format(name=path.name), losses, notes)


def state_dict(network: Network, modules: Modules | None = None) -> dict[str, Array]:
    """Return the arrays of the module's state dict, by the keys it has there."""
    from bridge.modules.build import module_names

    names = module_names(layer.name for layer in network.layers)
    return {f"{names[part.layer.name]}.{local}": array for part in parts(network, modules) for local, array in part.arrays.items()}


def losses_of(network: Network) -> Iterator[str]:
    yield "its layers, their properties and connections: a state dict holds arrays alone"
    if network.classes is not None:
        yield f"its {len(network.classes)} class names"
    known = sum(not each.assumed for _, _, each in network.learnables())
    if known:
        yield f"the learn-rate and L2 factors of {known} learnables"
    yield from fact_losses(network)


def write(path: Path, arrays: Mapping[str, Array], with_nan: list[str]) -> None:
    """Write a file of arrays, and list those that hold NaN. The header is padded so that the data begin at a multiple of eight bytes."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        end = offset + array.size * array.dtype.itemsize
        header[name] = {"dtype": DTYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [offset, end]}  # type: ignore[dict-item]
        offset = end
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with Outgoing(path) as stream:
        stream.write(len(text).to_bytes(8, "little") + text)
        for name, array in arrays.items():
            value = np.asarray(array.read(), array.dtype.newbyteorder("<"), order="C")
            if value.dtype.kind == "f" and value.size and np.isnan(np.min(value)):
                with_nan.append(name)
            stream.write(value.data.cast("B") if value.size and value.ndim else value.tobytes())
