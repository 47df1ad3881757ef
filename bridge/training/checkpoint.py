"""Checkpoints: everything a training needs to go on to the same bits, in one safetensors file that is whole or not
there.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from bridge.errors import UnreadableError, UsageError
from bridge.files.atomic import write_file
from bridge.files.run import CHECKPOINT
from bridge.modules.factors import ATTRIBUTE
from bridge.options.options import TrainingOptions
from bridge.tables.layers import table

SCHEMA = "bridge.checkpoint/1"
KEY = "bridge"  # of the JSON in the file's header
FACTS = ("schema", "identity", "computed with", "elapsed", "iteration", "rows", "best", "best_iteration", "misses")
DISPLAY_TEXT = "options that change no number may differ"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a training between two iterations.

    Attributes:
        tensors: by name; "model/...", "solver/...", "best/...", "random".
        facts: JSON values: the log, the counters, and the identity of the recipe.
    """

    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]

    def group(self, name: str) -> dict[str, Tensor]:
        """Return the tensors below a name."""
        return {
            key.removeprefix(f"{name}/"): value for key, value in self.tensors.items() if key.startswith(f"{name}/")
        }

    def save(self, folder: Path) -> Path:
        """Write the checkpoint over the one before.

        Raises:
            UsageError: it cannot be written; the one before is still there.
        """
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        def write(path: Path) -> None:
            try:
                save_file(
                    {name: value.contiguous() for name, value in self.tensors.items()},
                    path,
                    {KEY: json.dumps(self.facts)},
                )
            except SafetensorError as error:
                raise OSError(str(error)) from error

        return write_file(folder / CHECKPOINT, write, force=True)


def load(path: Path) -> Checkpoint:
    """Read a checkpoint, or the one in a folder.

    Raises:
        UnreadableError: the file is damaged, or no checkpoint.
    """
    from safetensors import SafetensorError, safe_open

    file = path / CHECKPOINT if path.is_dir() else path
    try:
        with safe_open(file, framework="pt") as stream:
            facts = json.loads((stream.metadata() or {})[KEY])
            if facts["schema"] != SCHEMA:
                raise UnreadableError(
                    f"{file} has the schema {facts['schema']!r}", f"this version reads {SCHEMA}", "train again"
                )
            tensors = {key: stream.get_tensor(key) for key in stream.keys()}  # noqa: SIM118 (it is no mapping)
            return Checkpoint(tensors, {name: facts[name] for name in FACTS})
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise UnreadableError(
            f"{file} is no checkpoint", f"{type(error).__name__}: {error}", "train again without --resume"
        ) from error


def identity(model: nn.Module, options: TrainingOptions, **more: Any) -> dict[str, Any]:
    """Return what must be the same for a checkpoint to be continued: layers, factors, frozen values, options and
    `more`.
    """
    rows = table("training_options")["options"]
    given = {name: value for name, value in options.to_mapping().items() if rows.get(name, {}).get("changes", True)}
    facts = {
        "options": given,
        "network": _structure(model),
        "frozen values": checksum(frozen_tensors(model).values()),
        **more,
    }
    plain: dict[str, Any] = json.loads(json.dumps(facts))
    return plain


def computed_with() -> str:
    """Return what the last bits of a training depend on, beside its recipe."""
    return f"torch {torch.__version__} and {torch.get_num_threads()} thread(s)"


def require_same(checkpoint: Checkpoint, expected: Mapping[str, Any], path: Path) -> None:
    """Raise UsageError, naming the first difference, unless a checkpoint agrees with all that is expected of it."""
    found = {name: checkpoint.facts["identity"].get(name) for name in expected}
    for name, here, there in _differences(expected, found):
        raise UsageError(
            f"{path} is a checkpoint of another recipe: {name} differs",
            f"here it is {here}, there {there}; {DISPLAY_TEXT}",
            "train into another folder, or continue with the recipe of the checkpoint",
        )


def _differences(here: Any, there: Any, name: str = "") -> Iterable[tuple[str, Any, Any]]:
    if isinstance(here, Mapping) and isinstance(there, Mapping):
        for key in [*here, *(key for key in there if key not in here)]:
            yield from _differences(here.get(key, "not set"), there.get(key, "not set"), f"{name} {key}".strip())
    elif here != there:
        yield name, here, there


def _structure(model: nn.Module) -> dict[str, str]:
    """Return for each parameter its shape and factors."""
    found = {}
    for prefix, module in model.named_modules():
        factors = getattr(module, ATTRIBUTE, {})
        for local, parameter in module.named_parameters(recurse=False):
            known = factors.get(local)
            text = f", learn-rate factor {known.learn_rate}, L2 factor {known.l2}" if known else ""
            found[f"{prefix}.{local}"] = f"{tuple(parameter.shape)}{text}"
    return found


def changing_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that train and all buffers, by name in the state dict."""
    trained = {name: value.detach() for name, value in model.named_parameters() if value.requires_grad}
    return {**trained, **dict(model.named_buffers())}


def frozen_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Return the parameters that do not train."""
    return {name: value.detach() for name, value in model.named_parameters() if not value.requires_grad}


def restore_tensors(model: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Put values back that `changing_tensors` gave."""
    for name, value in changing_tensors(model).items():
        value.copy_(tensors[name])


def random_state(device: torch.device) -> Tensor:
    """Return the state of torch's random numbers, and of those of a GPU where the training runs on one."""
    states = [torch.get_rng_state()] + ([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])
    return torch.cat(states)


def restore_random_state(state: Tensor, device: torch.device) -> None:
    """Put back what `random_state` gave."""
    expected, length = random_state(device), len(torch.get_rng_state())
    if state.shape != expected.shape or state.dtype != expected.dtype:
        raise ValueError("its random state is none")
    torch.set_rng_state(state[:length].clone())  # torch reads a view from the start of its memory
    if device.type == "cuda":
        torch.cuda.set_rng_state(state[length:].clone(), device)


def checksum(tensors: Iterable[Tensor]) -> int:
    """Return a number that tells tensors apart."""
    total = 0
    for tensor in tensors:
        total = zlib.crc32(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data, total)
    return total


def solver_tensors(optimizer: Optimizer) -> dict[str, Tensor]:
    """Return the averages of a solver, by number of the parameter and name."""
    state = optimizer.state_dict()["state"]
    return {f"{index}/{name}": value for index, averages in state.items() for name, value in averages.items()}


def restore_solver(optimizer: Optimizer, tensors: Mapping[str, Tensor], iteration: int) -> None:
    """Put averages back that `solver_tensors` gave, after `iteration` iterations."""
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        index, _, name = key.partition("/")
        state.setdefault(int(index), {})[name] = value
    parameters = [each for group in optimizer.param_groups for each in group["params"]]
    if state and len(state) != len(parameters):
        raise ValueError("its solver is of other learnables")
    for number, averages in state.items():
        if any(value.shape != parameters[number].shape for value in averages.values()):
            raise ValueError("its solver is of other learnables")
    groups = optimizer.state_dict()["param_groups"]
    optimizer.load_state_dict({"state": state, "param_groups": [{**group, "iteration": iteration} for group in groups]})
