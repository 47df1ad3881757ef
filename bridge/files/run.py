"""What lies in the folder of a training."""

from __future__ import annotations

from pathlib import Path

NETWORK = "network"  # the trained network, a saved folder
HISTORY, INFO, PLOT = "history.json", "info.mat", "training.html"
CHECKPOINT = "checkpoint.safetensors"
RECIPE, STARTS = "recipe.toml", "run.json"  # how it was started
NAMES = frozenset((NETWORK, HISTORY, INFO, PLOT, CHECKPOINT, RECIPE, STARTS))


def is_run(path: Path) -> bool:
    """Whether a path is a folder that a training was written to, finished or not."""
    return path.is_dir() and any((path / name).is_file() for name in (STARTS, CHECKPOINT, HISTORY))
