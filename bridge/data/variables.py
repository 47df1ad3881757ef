"""Named values of a file that somebody saved: .mat, .npz, .npy or .csv. Nothing here imports torch."""

from __future__ import annotations

import csv
import fnmatch
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays import matlab
from bridge.arrays.lazy import Array
from bridge.arrays.matlab import Categorical, Object, Unread
from bridge.arrays.npy import read_npy, read_npz
from bridge.errors import UnreadableError, UsageError, nearest, reading
from bridge.readers.mat.file import MatFile
from bridge.tables.layers import EMPTY

WHOLE = "data"  # what the only array of a .npy, or of a .csv without a header, is called
TOLD = ("cell", "struct")  # what a .mat file tells the size of before it is decoded; that of objects is in their data


class Values(Mapping[str, Any]):
    """The values of a file, each read when it is asked for.

    Args:
        readers: what reads them, by name.
        described: their size and class, where these are known without reading.
    """

    def __init__(self, readers: Mapping[str, Callable[[], Any]], described: Mapping[str, str] = EMPTY) -> None:
        self._readers, self._described = readers, described
        self._read: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._read:
            self._read[name] = self._readers[name]()
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._readers)

    def __len__(self) -> int:
        return len(self._readers)

    def __contains__(self, name: object) -> bool:
        return name in self._readers

    def described(self, name: str) -> str:
        """Say size and class of a value: "3x3x3x10000 single"."""
        return self._described.get(name) or matlab.describe(self[name])

    @staticmethod
    def known(values: Mapping[str, Any]) -> Values:
        """Return values that are read already, or are lazy arrays."""
        return Values({name: partial(values.__getitem__, name) for name in values})


@dataclass(frozen=True)
class Variables:
    """The variables of a file, by name; the columns of a .csv."""

    path: Path
    values: Values

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
            except csv.Error as error:
                raise ValueError(error) from error

    def of_format(self, name: str) -> dict[str, Any] | None:
        """Return the struct that one of bridge's MATLAB functions wrote, by the name of its format; None where there is
        none.
        """
        structs = (self.values[each] for each in self.values if self.values.described(each) == "struct")
        formats = ((each.get("Format"), each) for each in structs if isinstance(each, dict))
        return next((each for found, each in formats if isinstance(found, str) and found == name), None)

    def require_format(self, name: str, lacks: str, hint: str) -> dict[str, Any]:
        """Return that struct.

        Raises:
            UnreadableError: there is none: the file `lacks` ("is no probe") it, or is damaged.
        """
        held = self.of_format(name)
        if held is None:
            self.require_whole()
            raise UnreadableError(f"{self.path} {lacks}", f"it holds {self}", hint)
        return held

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
            source.require_whole()
            hint = nearest(first, source.values) if first else f"name one: {source.path}:NAME"
            raise UsageError(f"{source.path} holds no '{variable}'", f"it holds {source}", hint)
        return plain(_inside(source.values[first], rest, variable))

    def require_whole(self) -> None:
        """Raise the damage of a file of which a part cannot be told apart: what is missed may be in it."""
        if "" in self.values:
            plain(self.values[""])

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
        return ", ".join(f"{name} ({self.values.described(name)})" for name in list(self.values)[:12]) or "nothing"


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
        if isinstance(value, Unread):
            plain(value)
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


def _mat(path: Path) -> Values:
    held = {each.name: each for each in MatFile(path).variables()}
    told = {name: each.described for name, each in held.items() if each.plain or each.described.endswith(TOLD)}
    return Values({name: partial(getattr, each, "value") for name, each in held.items()}, told)


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


READERS: Mapping[str, Callable[[Path], Values]] = {
    ".mat": _mat,
    ".npz": lambda path: Values.known(read_npz(path)),
    ".npy": lambda path: Values.known({WHOLE: read_npy(path)}),
    ".csv": lambda path: Values.known(_csv(path)),
}


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
