"""Changed inputs: the seed of a run and the number of an input rebuild it, whatever was tried before."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fuzz import arrays, hdf5, mat5, messages, texts
from fuzz.changes import changed_bytes
from fuzz.originals import Original

OFTEN = {"network": 60, "recipe": 8, "script": 12, "reference": 8, "image": 8}  # how often a role is drawn; others once
RAW = 0.25  # of the inputs have bytes changed without regard to their form


@dataclass(frozen=True)
class Input:
    """A changed input.

    Attributes:
        number: which one of its run.
        original: what it was.
        path: the file or folder to try.
        random: what chooses how it is tried.
    """

    number: int
    original: Original
    path: Path
    random: Random


def build(seed: int, number: int, originals: Sequence[Original], folder: Path) -> Input:
    """Write an input into an empty folder.

    Args:
        seed: of the run.
        number: of the input.
        originals: all sound inputs.
        folder: where to; what is in it is removed.
    """
    random = Random(f"{seed}/{number}")
    roles = sorted({each.role for each in originals})
    (role,) = random.choices(roles, [OFTEN.get(each, 1) for each in roles])
    original = random.choice([each for each in originals if each.role == role])
    shutil.rmtree(folder, ignore_errors=True)
    if original.folder is None:
        folder.mkdir(parents=True)
        path = target = folder / original.path.name
        shutil.copyfile(original.path, target)
    else:
        path = folder / original.folder.name
        shutil.copytree(original.folder, path)
        target = path / original.path.relative_to(original.folder)
    _change(target, "bytes" if random.random() < RAW else original.form, random)
    return Input(number, original, path if original.role in ("network", "run") else target, random)


def _change(path: Path, form: str, random: Random) -> None:
    if form == "hdf5":
        hdf5.change(path, random)
        return
    path.write_bytes(_CHANGES[form](path.read_bytes(), random))


def _of_text(change: Callable[[str, Random], str]) -> Callable[[bytes, Random], bytes]:
    return lambda data, random: change(data.decode("utf-8", "surrogateescape"), random).encode("utf-8", "surrogatepass")


def _of_source(*phrases: str) -> Callable[[bytes, Random], bytes]:
    return _of_text(lambda text, random: texts.changed_source(text, random, phrases))


_CHANGES: Mapping[str, Callable[[bytes, Random], bytes]] = {
    "bytes": changed_bytes,
    "mat5": mat5.change,
    "onnx": messages.change,
    "json": _of_text(texts.changed_json),
    "safetensors": texts.changed_safetensors,
    "toml": _of_source(*texts.OF_TOML),
    "script": _of_source(*texts.OF_MATLAB),
    "csv": _of_source(),
    "npy": arrays.changed_npy,
    "npz": arrays.changed_npz,
    "png": arrays.changed_png,
}
