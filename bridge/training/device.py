"""Where a training runs: chosen by name, and told as MATLAB tells it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import torch
from torch import nn

from bridge.errors import UsageError
from bridge.options.options import TrainingOptions
from bridge.training import distributed

NEEDS_GPU, ON_CPU = ("gpu", "multi-gpu", "parallel-gpu"), ("cpu", "parallel-cpu")  # words of ExecutionEnvironment


def device_of(options: TrainingOptions, name: str | None = None) -> torch.device | None:
    """Return the device of a training: the one that is named, else what ExecutionEnvironment asks for, else a GPU where
    torch finds one. None leaves a module where it is.

    Args:
        options: trainingOptions.
        name: "cpu", "cuda", or "cuda:1" for one of several.

    Raises:
        UsageError: there is no such device.
    """
    if name is not None:
        return named_device(name)
    wanted = options.ExecutionEnvironment
    if wanted in NEEDS_GPU and not torch.cuda.is_available():
        raise UsageError(
            f"ExecutionEnvironment is {wanted!r}, and there is no GPU",
            "torch finds no CUDA device",
            "choose 'auto' or 'cpu'",
        )
    if wanted in ON_CPU or not torch.cuda.is_available():
        return None
    number, count = distributed.local_rank(), torch.cuda.device_count()
    if number >= count:
        raise UsageError(
            f"process {number + 1} of this machine has no GPU of its own",
            f"there are {count}",
            f"start {count} processes, or choose 'cpu'",
        )
    return torch.device(f"cuda:{number}")


def named_device(name: str) -> torch.device:
    """Return the device of a name: "cpu", "cuda", or "cuda:1" for one of several.

    Raises:
        UsageError: there is no such device.
    """
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or (number and (kind == "cpu" or not number.isdecimal())):
        raise UsageError(f"{name!r} is no device", "it is cpu, cuda, or cuda:1 for one of several")
    if kind == "cpu":
        return torch.device("cpu")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    index = int(number or distributed.local_rank())
    if index >= count:
        raise UsageError(f"there is no device {kind}:{index}", f"torch finds {count} CUDA device(s)", "choose cpu")
    return torch.device(f"cuda:{index}")


def told(module: nn.Module) -> list[str]:
    """Return lines that say where a module trains, and how that is changed."""
    device, count = next(module.parameters()).device, torch.get_num_threads()
    if device.type != "cpu":
        name = f", {torch.cuda.get_device_name(device)}" if device.type == "cuda" else ""
        return [f"training on {device}{name}; --device cpu (device='cpu' in Python) to change"]
    lines = [f"training on CPU, {count} thread{'s' if count > 1 else ''}"]
    if torch.version.cuda is None and torch.version.hip is None and has_nvidia_gpu():
        lines.append("there is an NVIDIA GPU, but this torch is built for the CPU alone; pytorch.org has one for CUDA")
    return lines


def has_nvidia_gpu() -> bool:
    """Whether the system has the driver of an NVIDIA GPU, whatever torch can use."""
    if sys.platform == "win32":
        return Path(os.environ.get("SYSTEMROOT", r"C:\Windows"), "System32", "nvcuda.dll").is_file()
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
