"""Write under a temporary name, then rename: a target is whole or not there."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from bridge.errors import UsageError

PREFIX = ".bridge."  # not the target's name, which may be as long as a name can be


def write_file(target: Path, write: Callable[[Path], None], *, force: bool = False) -> Path:
    """Let `write` make a file under a temporary name beside `target`, and rename it.

    Raises:
        UsageError: the target exists (without `force`), or its folder cannot be written to.
    """
    return write_files((target,), lambda made: write(made[0]), force=force)[0]


def write_files(
    targets: Sequence[Path], write: Callable[[Sequence[Path]], None], *, force: bool = False
) -> Sequence[Path]:
    """Let `write` make files of one folder under temporary names, and rename them once all are whole; see
    `write_file`.
    """
    first = targets[0]
    try:
        taken = [target for target in targets if target.exists()]
        if taken and not force:
            raise UsageError(f"{taken[0]} exists", "existing files are kept", "choose another name, or pass --force")
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=first.parent) as folder:
            made = [Path(folder) / target.name for target in targets]
            write(made)
            for source, target in zip(made, targets, strict=True):
                os.replace(source, target)
    except OSError as error:
        raise UsageError(
            f"cannot write {first}", str(error), "check the folder, its permissions and the space left"
        ) from error
    return targets


def write_folder(target: Path, write: Callable[[Path], None], *, replaceable: Callable[[Path], bool]) -> Path:
    """Let `write` fill a folder under a temporary name beside `target`, and rename it.

    Raises:
        UsageError: the target exists and is not `replaceable`, or cannot be written.
    """
    try:
        if target.exists() and not replaceable(target):
            raise UsageError(
                f"{target} exists and is no saved network, or holds other files too",
                "it is left as it is",
                "choose another folder",
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=PREFIX, dir=target.parent) as folder:
            made = Path(folder) / "new"
            made.mkdir()
            write(made)
            old = Path(folder) / "old"
            if target.exists():
                os.replace(target, old)
            try:
                os.replace(made, target)
            except OSError:
                if old.exists():
                    os.replace(old, target)  # else it would go with the temporary folder
                raise
    except OSError as error:
        raise UsageError(
            f"cannot write {target}", str(error), "check the folder, its permissions and the space left"
        ) from error
    return target
