"""What an export has proven: the file is read again, and held against the module that the network has here."""

from __future__ import annotations

import runpy
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bridge.errors import UnsupportedError
from bridge.network import Network
from bridge.parity import onnx_runtime
from bridge.parity.profiles import Profile
from bridge.readers import load
from bridge.writers import trial
from bridge.writers.state import Modules

PROFILE = "float32"  # other kernels round otherwise
Inputs = tuple[Tensor, ...]


@dataclass(frozen=True)
class Back:
    """What a file gives when it is read again.

    Attributes:
        arrays: of its module, by their keys, some of which a form changes.
        by: what computes outputs from it; "" where nothing does.
        run: does so, for inputs of one observation.
    """

    arrays: Mapping[str, Tensor]
    by: str = ""
    run: Callable[[Inputs], Any] = lambda inputs: None


@dataclass(frozen=True)
class ExportProof:
    """The result of reading an export again.

    Attributes:
        equal, total: arrays of the module that the file gives bit for bit, and all of them.
        by: what computed outputs from the file, "" if nothing did.
        difference: of the outputs, as a part of the largest one.
        missing: why there are no outputs, where some are due.
    """

    equal: int
    total: int
    by: str = ""
    difference: float = 0.0
    missing: str = ""

    @property
    def holds(self) -> bool:
        return self.equal == self.total and self.difference <= Profile.of(PROFILE).relative

    def __str__(self) -> str:
        parts = [f"read again: {self.equal} of {self.total} arrays equal"]
        if self.missing:
            parts.append(f"outputs not compared: {self.missing}")
        elif self.by:
            exact = "bit for bit" if self.difference == 0 else f"to {self.difference:.1e} of the largest"
            parts.append(f"outputs of {self.by} equal {exact}")
        return "; ".join(parts)


def prove_export(
    network: Network, path: Path, *, modules: Modules | None = None, steps: int = trial.STEPS
) -> ExportProof:
    """Read an exported file again, and compare arrays and outputs with those of the network's own module.

    Args:
        network: what was written.
        path: the file, as `bridge.export` wrote it; a .py is run.
        modules: torch modules for layers of your own; see `Network.to_torch`.
        steps: how long sequences are.

    Raises:
        UnsupportedError: the network has no module.
    """
    model = network.to_torch(modules=modules)
    back, own = READ[path.suffix.lower()](path, modules or {}), model.state_dict()
    equal = sum(_is_held(key, array, back.arrays, own.keys()) for key, array in own.items())
    if not back.by:
        return ExportProof(equal, len(own))
    inputs = tuple(torch.from_numpy(each) for each in trial.observations(network, steps))
    with torch.no_grad():
        try:
            pairs = zip(_outputs(model(*inputs)), _outputs(back.run(inputs)), strict=True)
        except UnsupportedError as error:
            return ExportProof(equal, len(own), missing=f"{error.error} ({error.cause})")
        return ExportProof(equal, len(own), back.by, max(_difference(*pair) for pair in pairs))


def _is_held(key: str, array: Tensor, held: Mapping[str, Tensor], own: Collection[str]) -> bool:
    """Whether arrays hold one of the network's bit for bit, under its key or one that the network has not.

    A state that is zero may be left out, as modules begin there.
    """
    if key in held:
        return torch.equal(_bits(array), _bits(held[key]))
    renamed = (each for name, each in held.items() if name not in own and each.shape == array.shape)
    return any(torch.equal(_bits(array), _bits(each)) for each in renamed) or not array.any()


def _bits(array: Tensor) -> Tensor:
    """Return an array in which NaN equals itself."""
    return array.detach().contiguous().view(torch.uint8) if array.dim() else array.detach().reshape(1).view(torch.uint8)


def _outputs(found: Any) -> list[Tensor]:
    return list(found) if isinstance(found, (tuple, list)) else [found]


def _difference(ours: Tensor, theirs: Tensor) -> float:
    """Return the largest difference as a part of the largest number; NaN where both have it is none."""
    theirs = theirs.reshape(ours.shape)  # an image of one pixel is a vector in some forms
    if torch.equal(_bits(ours), _bits(theirs)):
        return 0.0
    apart = (ours.double() - theirs.double()).abs()[~(ours.isnan() & theirs.isnan())]
    return float(apart.max() / ours.double().abs().nan_to_num().max().clamp(min=torch.finfo(torch.float32).tiny))


def _network(path: Path, modules: Modules) -> Back:
    model = load(path).to_torch(modules=modules)
    return Back(model.state_dict(), "the network in it", lambda inputs: model(*inputs))


def _onnx(path: Path, modules: Modules) -> Back:
    network = load(path)
    values = [network.source.values[name] for name in network.outputs]

    def run(inputs: Inputs) -> list[Tensor]:
        found = onnx_runtime.run(path, [each.numpy() for each in inputs], values)
        return [torch.from_numpy(found[name]) for name in values]

    return Back(network.to_torch().state_dict(), "onnxruntime", run)


def _program(path: Path, modules: Modules) -> Back:
    program = torch.export.load(path)
    return Back(program.state_dict, "the program", lambda inputs: program.module()(*inputs))


def _tensors(path: Path, modules: Modules) -> Back:
    from safetensors.torch import load_file

    return Back(load_file(path))


def _source(path: Path, modules: Modules) -> Back:
    if modules:  # which its class takes as arguments, under names of its own
        return _tensors(path.with_suffix(".safetensors"), modules)
    held = runpy.run_path(str(path))
    model = held["Network"]().eval()
    held["load_weights"](model)
    return Back(model.state_dict(), "its class", lambda inputs: model(*inputs))


READ: Mapping[str, Callable[[Path, Modules], Back]] = {
    ".mat": _network,
    ".onnx": _onnx,
    ".pt2": _program,
    ".py": _source,
    ".safetensors": _tensors,
}
