"""Write out the MATLAB functions that ship with bridge."""

from __future__ import annotations

from functools import partial
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

from bridge.errors import UsageError
from bridge.files.atomic import write_file


def write_functions(folder: Path, *, force: bool = False) -> list[Path]:
    """Copy every .m file, those of `private/` into `folder/private/`; return what was written.

    Raises:
        UsageError: a file of that name exists (without `force`), or the folder cannot be written to.
    """
    shipped = dict(_functions(files("bridge") / "matlab", ""))
    taken = [name for name in shipped if (folder / name).exists()]
    if taken and not force:
        raise UsageError(
            f"{folder / taken[0]} exists", "existing files are kept", "choose another folder, or pass --force"
        )
    written = []
    for name, source in shipped.items():
        target = folder / name
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"cannot write to {folder}", str(error), "check the folder and its permissions") from error
        written.append(write_file(target, partial(_copy, source), force=True))
    return written


def _copy(source: Traversable, target: Path) -> None:
    target.write_bytes(source.read_bytes())


def _functions(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found = []
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        if entry.is_dir():
            found += _functions(entry, f"{prefix}{entry.name}/")
        elif entry.name.endswith(".m"):
            found.append((prefix + entry.name, entry))
    return found
