"""Write under a temporary name, then rename: a target is whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from bridge.errors import UsageError


def write_file(target: Path, write: Callable[[Path], None], *, force: bool = False) -> Path:
    """Let `write` make a file under a temporary name beside `target`, and rename it.

    Raises:
        UsageError: the target exists (without `force`), or its folder cannot be written to.
    """
    if target.exists() and not force:
        raise UsageError(f"{target} exists", "existing files are kept", "choose another name, or pass --force")
    try:
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            made = Path(folder) / target.name
            write(made)
            os.replace(made, target)
    except OSError as error:
        raise UsageError(f"cannot write {target}", str(error), "check the folder, its permissions and the space left") from error
    return target


def write_folder(target: Path, write: Callable[[Path], None], *, replaceable: Callable[[Path], bool]) -> Path:
    """Let `write` fill a folder under a temporary name beside `target`, and rename it.

    Raises:
        UsageError: the target exists and is not `replaceable`, or cannot be written.
    """
    try:
        if target.exists() and not replaceable(target):
            raise UsageError(f"{target} exists and is no saved network, or holds other files too", "it is left as it is", "choose another folder")
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as folder:
            made = Path(folder) / "new"
            made.mkdir()
            write(made)
            if target.exists():
                os.replace(target, Path(folder) / "old")
            os.replace(made, target)
    except OSError as error:
        raise UsageError(f"cannot write {target}", str(error), "check the folder, its permissions and the space left") from error
    return target
