"""Named values of a file that somebody saved: .mat, .npz, .npy or .csv. Nothing here imports torch."""

from __future__ import annotations

import csv
import fnmatch
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays import matlab
from bridge.arrays.lazy import Array, NDArray
from bridge.arrays.matlab import Categorical, Object, Unread
from bridge.errors import UnreadableError, UsageError, nearest, reading
from bridge.readers.mat.file import variables

WHOLE = "data"  # what the only array of a .npy, or of a .csv without a header, is called


@dataclass(frozen=True)
class Variables:
    """The variables of a file, by name; the columns of a .csv."""

    path: Path
    values: Mapping[str, Any]

    @staticmethod
    def of(path: Path) -> Variables:
        """Open a file.

        Raises:
            UsageError: it does not exist or is of another kind.
            UnreadableError: it is damaged.
        """
        if not os.path.isfile(path):  # of a name that cannot be, Path.is_file raises
            if os.path.isdir(path):
                raise UsageError(
                    f"{path} is a folder", f"values come in files: {', '.join(READERS)}", "name the file itself"
                )
            raise UsageError(f"{path} does not exist", "there is no such file", "check the name")
        if path.suffix.lower() not in READERS:
            raise UsageError(
                f"{path} is no file of values", f"values come as {', '.join(READERS)}", "--against takes networks"
            )
        with reading(str(path)):
            try:
                return Variables(path, READERS[path.suffix.lower()](path))
            except (csv.Error, zipfile.BadZipFile, zlib.error) as error:
                raise ValueError(error) from error

    def of_format(self, name: str) -> dict[str, Any] | None:
        """Return the struct that one of bridge's MATLAB functions wrote, by the name of its format; None where there is
        none.
        """
        structs = (value for value in self.values.values() if isinstance(value, dict))
        return next((each for each in structs if isinstance(each.get("Format"), str) and each["Format"] == name), None)

    @staticmethod
    def find(name: str, default: Variables | None) -> Any:
        """Return the value a name means: "X", "data.mat:X", "scores.csv", "options.ValidationData.2".

        A part after a dot is a field, or counts the cells from 1; a glob of a .csv takes several columns.

        Raises:
            UsageError: there is no such value.
        """
        file, _, variable = name.rpartition(":")
        if os.path.isfile(name):
            file, variable = name, ""
        source = Variables.of(Path(file)) if file else default
        if source is None:
            raise UsageError(f"'{name}' names no file", "there is no other file it could be in", f"FILE:{name}")
        if variable in source.values:
            return plain(source.values[variable])
        if source.path.suffix.lower() == ".csv":
            return source._columns(variable or "*")
        if not variable and len(source.values) == 1:
            return plain(next(iter(source.values.values())))
        first, *rest = variable.split(".")
        if first not in source.values:
            hint = nearest(first, source.values) if first else f"name one: {source.path}:NAME"
            raise UsageError(f"{source.path} holds no '{variable}'", f"it holds {source}", hint)
        return plain(_inside(source.values[first], rest, variable))

    def _columns(self, pattern: str) -> Any:
        chosen = {name: column for name, column in self.values.items() if fnmatch.fnmatchcase(name, pattern)}
        if not chosen:
            raise UsageError(f"{self.path} has no column '{pattern}'", nearest(pattern, self.values))
        columns = list(chosen.values())
        if len(columns) == 1:
            return columns[0]
        if any(isinstance(column, list) for column in columns):
            raise UsageError(
                f"'{pattern}' takes columns of text from {self.path}",
                f"they are {', '.join(chosen)}",
                "name one of them",
            )
        return np.stack(columns, 1) if columns[0].ndim == 1 else columns[0]

    def __str__(self) -> str:
        return (
            ", ".join(f"{name} ({matlab.describe(value)})" for name, value in list(self.values.items())[:12])
            or "nothing"
        )


def plain(value: Any) -> Any:
    """Return an array, a text, or a list of them; lazy arrays are read.

    Raises:
        UnreadableError: it could not be decoded.
    """
    if isinstance(value, Unread) and value.error is not None:
        raise UnreadableError(value.error.error, value.error.cause, value.error.hint)
    if isinstance(value, Array):
        return value.read()
    if isinstance(value, Categorical):
        return texts(value)
    return [plain(each) for each in value] if isinstance(value, list) else value


def texts(value: Any) -> list[str] | None:
    """Return a text, a cell of texts or categorical labels as texts; None for anything else.

    Raises:
        UsageError: a label is undefined.
    """
    if isinstance(value, str):
        return [value]
    if isinstance(value, Categorical):
        codes = matlab.read(value.codes)
        if (codes == 0).any():
            raise UsageError(
                f"{int((codes == 0).sum())} of {codes.size} labels are undefined",
                "there is nothing to compare them with",
                "leave them out",
            )
        return [str(label) for label in value.labels.reshape(-1, order="F")]
    if isinstance(value, np.ndarray) and value.dtype.kind == "U":
        return [str(each) for each in value.reshape(-1)]
    return list(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else None


def _inside(value: Any, steps: Sequence[str], name: str) -> Any:
    for step in steps:
        fields = value.properties if isinstance(value, Object) else value
        if isinstance(fields, Mapping) and step in fields:
            value = fields[step]
        elif isinstance(fields, list) and step.isdigit() and 0 < int(step) <= len(fields):
            value = fields[int(step) - 1]
        else:
            known = (
                list(fields)
                if isinstance(fields, Mapping)
                else [f"1 to {len(fields)}"]
                if isinstance(fields, list)
                else []
            )
            raise UsageError(
                f"'{name}': there is no '{step}'",
                f"there are {', '.join(known[:12])}" if known else "there is nothing inside",
            )
    return value


def _npz(path: Path) -> dict[str, NDArray]:
    with np.load(path, allow_pickle=False) as archive:
        return {name: archive[name] for name in archive.files}


def _csv(path: Path) -> dict[str, Any]:
    with path.open(newline="", encoding="utf-8-sig") as stream:
        lines = [line for line in csv.reader(stream) if line]
    if not lines:
        raise UnreadableError(f"{path} is empty", "it has no lines", "write it again")
    header = not all(_is_number(cell) for cell in lines[0])
    lines, names = (lines[1:], lines[0]) if header else (lines, [WHOLE])
    width = len(names) if header else len(lines[0])
    ragged = next((number for number, line in enumerate(lines, 1 + header) if len(line) != width), None)
    if ragged is not None:
        raise UnreadableError(
            f"line {ragged} of {path} has {len(lines[ragged - 1 - header])} columns, the first has {width}",
            "it was cut short or edited",
        )
    if not header:
        return {WHOLE: np.array([[float(cell) for cell in line] for line in lines])}
    columns = {name: [line[at] for line in lines] for at, name in enumerate(names)}
    return {
        name: np.array(column, float) if all(map(_is_number, column)) else column for name, column in columns.items()
    }


READERS: Mapping[str, Callable[[Path], Mapping[str, Any]]] = {
    ".mat": lambda path: dict(variables(path)),
    ".npz": _npz,
    ".npy": lambda path: {WHOLE: np.load(path, allow_pickle=False)},
    ".csv": _csv,
}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
