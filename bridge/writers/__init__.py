"""Network -> path: the ending of the name tells the form."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.errors import UsageError
from bridge.network import Network
from bridge.writers.losses import Export

if TYPE_CHECKING:
    from bridge.training.history import TrainingInfo
    from bridge.writers.losses import Written

# ending -> module here, with save(network, export, *, options of its own) -> Written
WRITERS = {".mat": "matlab", ".onnx": "onnx", ".pt2": "program", ".py": "source", ".safetensors": "safetensors"}


def export(
    network: Network | TrainingInfo,
    path: str | Path,
    *,
    force: bool = False,
    strict: bool = False,
    tell: Callable[[str], object] = warnings.warn,
    **options: Any,
) -> Written:
    """Write a network in the form that the ending of `path` names.

    Args:
        network: what to write; of a training, the network it trained, with its log.
        path: .mat for MATLAB (`bridge.writers.matlab`), .onnx, .pt2 (`bridge.writers.program`), .safetensors, or .py
            (`bridge.writers.source`).
        force: replace a file that is there.
        strict: refuse to lose anything that the form cannot hold.
        tell: called with "lost: ..." for each loss before anything is written, and with "note: ..." for each note after
            it.
        options: what the form takes besides: see `save` of its module.

    Raises:
        UsageError: the ending or an option is unknown, the file exists, or it cannot be written.
        UnsupportedError: the form has no place for a layer, or, if `strict`, for something else.
    """
    path = Path(path)
    if path.suffix.lower() not in WRITERS:
        raise UsageError(
            f"{path} has no ending that tells its form",
            f"a network is exported to {', '.join(WRITERS)}",
            "name it back.mat or net.onnx",
        )
    if not isinstance(network, Network):
        network = _trained(network)
    save = import_module(f"bridge.writers.{WRITERS[path.suffix.lower()]}").save
    unknown = options.keys() - signature(save).parameters.keys()
    if unknown:
        raise UsageError(
            f"a {path.suffix} file takes no option {', '.join(sorted(unknown))}", "it is for files of another form"
        )
    written: Written = save(network, Export(path, force, strict, tell), **options)
    return written


def _trained(info: TrainingInfo) -> Network:
    if info.network is None:
        raise UsageError(
            "a module alone was trained",
            "the names and layout of MATLAB are a Network's",
            "train the Network, not its module",
        )
    return replace(info.network, training_info=info.to_matlab())
