"""The folder that a training writes to: free, or its own, and one training's at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bridge.errors import UsageError
from bridge.files.locks import sole_writer
from bridge.files.run import CHECKPOINT, HISTORY, NAMES
from bridge.network import Network
from bridge.options.options import TrainingOptions
from bridge.training import distributed


@contextmanager
def own_folder(
    output: str | Path | None, network: Network | None, resume: str | Path | None, options: TrainingOptions
) -> Iterator[Path | None]:
    """Make the output folder, and keep it, or that of CheckpointPath, for this training while it runs.

    Raises:
        UsageError: the folder holds other files, or a training that is not to go on, or another process trains into it.
    """
    folder = Path(output) if output is not None else None
    kept = folder or checkpoint_path(options)
    if folder is not None:
        require_own(folder, network, resume)
    if kept is None or distributed.rank() > 0:
        yield folder
        return
    try:
        kept.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make the folder {kept}", str(error), "choose another one") from error
    with sole_writer(kept):
        if folder is not None:
            require_own(folder, network, resume)  # another training may have ended since
        yield folder


def require_own(folder: Path, network: Network | None, resume: str | Path | None) -> None:
    """Raise UsageError unless a folder is free for a training, or holds the one that goes on."""
    if network is None:
        raise UsageError(
            "a module alone is not saved",
            "the names and layout of MATLAB are the Network's",
            "pass the Network, or save the module yourself",
        )
    held = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    if resume is None and held & {HISTORY, CHECKPOINT}:
        raise UsageError(
            f"{folder} holds a training already",
            "it is left as it is",
            "choose another folder, or go on with it: --resume",
        )
    others = sorted(name for name in held - NAMES if not name.startswith("."))
    if others:
        raise UsageError(
            f"{folder} holds other files: {', '.join(others[:3])}",
            "a training has a folder of its own",
            "choose another folder",
        )


def checkpoint_path(options: TrainingOptions) -> Path | None:
    """Return the folder of CheckpointPath, which must be there already, as in MATLAB."""
    if options.CheckpointPath and not Path(options.CheckpointPath).is_dir():
        raise UsageError(
            f"CheckpointPath is {options.CheckpointPath!r}",
            "there is no such folder",
            "make it, or leave CheckpointPath out",
        )
    return Path(options.CheckpointPath) if options.CheckpointPath else None
