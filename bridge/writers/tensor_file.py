"""Arrays -> a .safetensors file: a length, a JSON header of that length and the tensors' bytes.

The safetensors library writes it too, but takes all tensors at once and copies each.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bridge.arrays.lazy import Array
from bridge.errors import UnsupportedError
from bridge.readers.folder import DTYPES
from bridge.writers.outgoing import Outgoing

TYPES = {np.dtype(code).name: name for name, code in DTYPES.items()}


def write(path: Path, arrays: Mapping[str, Array], with_nan: list[str]) -> None:
    """Write a file of arrays, and list those that hold NaN. The header is padded so that the data begin at a multiple
    of eight bytes.

    Raises:
        UnsupportedError: a name is no Unicode text.
    """
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, array in arrays.items():
        if any("\ud800" <= each <= "\udfff" for each in name):
            raise UnsupportedError(
                f"{name!r} cannot be the name of a tensor",
                "it holds half of a character (a surrogate)",
                "rename the layer in MATLAB",
            )
        end = offset + array.size * array.dtype.itemsize
        header[name] = {"dtype": TYPES[array.dtype.name], "shape": list(array.shape), "data_offsets": [offset, end]}  # type: ignore[dict-item]
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
