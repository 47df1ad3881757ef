"""What the inputs of a prediction name: files, patterns, folders, folders of class folders, and lists with labels."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bridge.errors import UnreadableError, UsageError
from bridge.images import imageDatastore

PATH, LABEL = "path", "label"  # columns of a list of images, as bridgeData writes it


@dataclass(frozen=True)
class Inputs:
    """Files, and the labels of those that have one.

    Attributes:
        files: in the order they were named.
        labels: by file: the name of its class folder, or what a list says.
    """

    files: tuple[str, ...]
    labels: Mapping[str, str] = field(default_factory=dict)


def inputs_of(named: Sequence[str], takes_images: bool) -> Inputs:
    """Return what is named. A pattern (`*`, `?`, `[ab]`, `**`) is expanded here, as cmd and PowerShell hand it over.

    Args:
        named: files, patterns and, where the network takes images, folders and lists.
        takes_images: whether it does: a folder without images in itself is one of class folders, and a .csv with the
            columns path and label is a list of images, whose paths are seen from its own folder.

    Raises:
        UsageError: a pattern fits no file, or a folder holds no images.
        UnreadableError: a list names a file that does not exist, or is no table.
    """
    files: list[str] = []
    labels: dict[str, str] = {}
    for text in (each for name in named for each in _expanded(name)):
        found = _in(text) if takes_images else Inputs((text,))
        files += found.files
        labels |= found.labels
    return Inputs(tuple(files), labels)


def _expanded(name: str) -> list[str]:
    if os.path.lexists(name) or not glob.has_magic(name):
        return [name]
    found = sorted(glob.glob(name, recursive=True))
    if not found:
        raise UsageError(f"no file fits {name}", "it is a pattern", "check the folder, and the ending of the files")
    return found


def _in(name: str) -> Inputs:
    if os.path.isdir(name):
        with os.scandir(name) as entries:
            divided = not any(
                each.is_file() and not each.name.startswith(".") and _is_image(each.name) for each in entries
            )
        images = imageDatastore(name, IncludeSubfolders=divided, LabelSource="foldernames" if divided else "none")
        return Inputs(images.Files, dict(zip(images.Files, images.Labels or (), strict=False)))
    return _listed(Path(name)) if name.lower().endswith(".csv") and os.path.isfile(name) else Inputs((name,))


def _is_image(name: str) -> bool:
    from bridge.images.folders import EXTENSIONS

    return os.path.splitext(name)[1].lower() in EXTENSIONS


def _listed(path: Path) -> Inputs:
    """Return the images of a list; a .csv of other columns holds an array."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = csv.DictReader(stream)
            if PATH not in (rows.fieldnames or ()):
                return Inputs((str(path),))
            found = [(str(path.parent / row[PATH].replace("\\", "/")), row.get(LABEL)) for row in rows if row[PATH]]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UnreadableError(f"cannot read {path}", str(error), f"its header is {PATH},{LABEL}") from error
    missing = [file for file, _ in found if not os.path.isfile(file)]
    if missing:
        cause = f"{path} names it, and {len(missing) - 1} others that do not exist"
        raise UnreadableError(f"{missing[0]} does not exist", cause, "correct the paths in the file")
    return Inputs(tuple(file for file, _ in found), {file: label for file, label in found if label})
