"""Functions of paths and folders. A script is taken to be run from its own folder, as MATLAB's Run button does."""

from __future__ import annotations

import re
from typing import Any

from bridge.scripts.language.calls import Call, reads
from bridge.scripts.language.indexing import are_texts, items_of
from bridge.scripts.language.values import Char, Many

OUTSIDE = r"[A-Za-z]:|[/\\~]"  # how a path begins that is not seen from the script's folder


def is_relative(path: str) -> bool:
    """Whether a path is seen from the script's own folder."""
    return re.match(OUTSIDE, path) is None


@reads("pwd")
def _pwd(call: Call) -> Any:
    return Char(".")


@reads("cd")
def _cd(call: Call) -> Any:
    if call.values:
        call.report("the script changes its folder; paths are read as seen from its own")
    return Char(".")


@reads("mfilename")
def _mfilename(call: Call) -> Any:
    name = call.reader.script.path.stem
    return Char(f"./{name}" if call.values == ("fullpath",) else name)


@reads("fullfile")
def _fullfile(call: Call) -> Any:
    if not call.values or not are_texts(call.values):
        return call.unknown()
    first, *rest = (each.rstrip("/\\") for each in call.values)
    return Char("/".join(rest if first == "." and rest else [first, *rest]))


@reads("fileparts", takes=(str,))
def _fileparts(call: Call, path: str) -> Any:
    folder, slash, name = path.replace("\\", "/").rpartition("/")
    stem, dot, ending = name.rpartition(".")
    return Many(map(Char, (folder or slash, stem if dot else name, f"{dot}{ending}" if dot else "")))


@reads("genpath", takes=(str,))
def _genpath(call: Call, folder: str) -> Any:
    return Char(";".join(call.reader.script.around.below(folder.replace("\\", "/"))))


@reads("addpath")
def _addpath(call: Call) -> Any:
    """Functions are searched in folders below the script's own, never in others."""
    texts = [text for each in call.values for text in items_of(each) if isinstance(text, str)]
    named = (folder for text in texts for folder in text.replace("\\", "/").split(";"))
    folders = [folder for folder in named if folder and not folder.startswith("-")]
    outside = [folder for folder in folders if not call.reader.script.around.add(folder)]
    if outside:
        call.report(f"functions in {', '.join(outside[:3])} are not read: it is no folder below the script's own")
    return None
