"""A saved network: network.json, model.safetensors and a README.md, in a folder that is whole or not there; where a
network is replaced, it is the old one or the new one, whenever the process ends.

The tensors lie in torch's layout under "<MATLAB layer name>.<torch name>"; docs/folder.md describes the JSON.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bridge import __version__
from bridge.arrays.lazy import Array
from bridge.errors import UnsupportedError
from bridge.files.atomic import is_named_by_content, is_unfinished, sha256, write_folder, write_with_data
from bridge.files.markdown import code, text
from bridge.network import Layer, Network
from bridge.network.tensors import given_sizes, tensors
from bridge.readers.folder import SCHEMA, WEIGHTS
from bridge.writers import tensor_file

GRAPH, README = "network.json", "README.md"
START = b'{\n "schema": "bridge.network/'


def save(network: Network, folder: str | Path) -> Path:
    """Save a network; a network saved there before is replaced.

    Raises:
        UsageError: the folder holds something else, or cannot be written.
        UnsupportedError: two tensors would have one name, or a name is no Unicode text.
    """
    stored = replace(network.source, sha256=network.source.sha256 or sha256(Path(network.source.path)))
    network = replace(network, source=stored)

    arrays = state_arrays(network)

    def write_graph(path: Path, digest: str) -> None:
        facts = {**to_json(network), "tensors_sha256": digest}
        path.write_bytes(_encoded(json.dumps(facts, indent=1, ensure_ascii=False) + "\n"))

    def fill(target: Path) -> None:
        write_with_data(
            target / GRAPH,
            target / WEIGHTS,
            lambda path: tensor_file.write(path, arrays, []),
            write_graph,
            describing={target / README: _encoded(readme(network))},
            force=True,
        )

    return write_folder(Path(folder), fill, replaceable=is_saved_network)


def _encoded(text: str) -> bytes:
    """Names may hold what UTF-8 cannot: a backslash escape is also JSON's own way to write it."""
    return text.encode("utf-8", "backslashreplace")


def is_saved_network(path: Path) -> bool:
    """Whether a path is a folder that `save` wrote, with nothing else in it."""
    if not path.is_dir() or not all(map(_is_ours, path.iterdir())) or not (path / GRAPH).is_file():
        return False
    with (path / GRAPH).open("rb") as stream:
        return stream.read(len(START)) == START


def _is_ours(path: Path) -> bool:
    return path.name in (GRAPH, WEIGHTS, README) or is_named_by_content(path, WEIGHTS) or is_unfinished(path)


def state_arrays(network: Network) -> dict[str, Array]:
    """Return every learnable and statistic in torch's layout, by state-dict key."""
    arrays: dict[str, Array] = {}
    for layer in network.layers:
        for each in tensors(layer, given_sizes(network, layer)):
            key = f"{layer.name}.{each.local}"
            if key in arrays:
                raise UnsupportedError(
                    f"two tensors would be named '{key}'",
                    "dots in layer names can make them alike",
                    "rename a layer in MATLAB",
                )
            arrays[key] = each.array
    return arrays


def to_json(network: Network) -> dict[str, Any]:
    """Return everything but the arrays as plain JSON values."""
    return {
        "schema": SCHEMA,
        "bridge": __version__,
        "kind": network.kind,
        "source": {**asdict(network.source), "values": dict(network.source.values)},
        "inputs": list(network.inputs),
        "outputs": list(network.outputs),
        "classes": list(network.classes) if network.classes is not None else None,
        "notes": list(network.notes),
        "layers": [_layer(layer) for layer in network.layers],
        "connections": [[c.source, c.source_port, c.destination, c.destination_port] for c in network.connections],
        "training_options": plain(network.training_options),
        "training_info": plain(network.training_info),
        "detector": plain(network.detector),
    }


def _layer(layer: Layer) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "name": layer.name,
        "kind": layer.kind,
        "class": layer.row.matlab[0] if layer.row.matlab else "",
    }
    facts["properties"] = plain(layer.properties)
    facts["inputs"], facts["outputs"] = list(layer.inputs), list(layer.outputs)
    facts["learnables"] = {
        name: {
            "size": list(each.shape),
            "learn_rate_factor": plain(each.learn_rate_factor),
            "l2_factor": plain(each.l2_factor),
            "assumed": each.assumed,
            "initializer": each.initializer,
        }
        for name, each in layer.learnables.items()
    }
    facts["state"] = {name: list(array.shape) for name, array in layer.state.items()}
    return facts


def plain(value: Any) -> Any:
    """Turn tuples, arrays and mappings into JSON values; NaN and infinities into their names."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [plain(item) for item in value]
    if isinstance(value, np.ndarray):
        return plain(value.reshape(-1, order="F").tolist())
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, (str, int, float, bool)) or value is None else str(value)


def readme(network: Network) -> str:
    """Return the README of a saved folder: input, classes, provenance, notes, how to use it."""
    from bridge.network.contract import contracts

    source = network.source
    lines = [
        "# A network from MATLAB",
        "",
        f"{text(network.kind)}, {len(network.layers)} layers, read from {code(Path(source.path).name)}",
    ]
    made_by = ", ".join(text(each) for each in (source.producer, source.release) if each and source.producer)
    lines[-1] += f" ({made_by})." if made_by else "."
    if source.sha256:
        lines += ["", f"sha256 of the source: {code(source.sha256)}"]
    lines += ["", "## Input", "", *(f"- {text(contract)}" for contract in contracts(network))]
    if network.classes:
        lines += ["", "## Classes, in order", "", ", ".join(map(text, network.classes))]
    if network.notes:
        lines += ["", "## Notes", "", *(f"- {text(note)}" for note in network.notes)]
    lines += ["", "## Use", "", "```python", "import bridge", "", 'model = bridge.load(".").to_torch()', "```", ""]
    return "\n".join(lines)
