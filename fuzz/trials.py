"""How an input is tried, and what may come of it: success, or a BridgeError in three parts with its exit code."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random

import bridge
from bridge.commands import main
from bridge.errors import FaultError
from fuzz.inputs import Input
from fuzz.originals import FILES

LABELS = ("error: ", "cause: ", "hint:  ")
TOLD_BY_CODE_3 = ("recipe", "read")  # lines of a script that were not understood are listed on stdout

COMMANDS: dict[str, list[str]] = tomllib.loads(Path(__file__).with_name("commands.toml").read_text(encoding="utf-8"))


def attempt(given: Input, made: Path, out: Path) -> str:
    """Try an input: "done" or "refused".

    Args:
        given: the input.
        made: the folder of originals.
        out: a folder for what is written; what is in it is removed.

    Raises:
        AssertionError: a command ended in another way than it may.
        Exception: whatever else leaves bridge.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if given.original.role == "network":
        try:
            network = bridge.load(given.path)
            _ = network.sizes
            network.to_torch()
        except bridge.BridgeError as error:
            _require_three_parts(error)
            if given.random.random() < 0.8:  # most commands begin with the same refusal
                return "refused"
    line = command(given, made, out)
    try:
        return "refused" if _run(line, out) else "done"
    except Exception as error:
        error.add_note(f"bridge {shlex.join(line)}")
        raise


def command(given: Input, made: Path, out: Path) -> list[str]:
    """Choose what is done with an input."""
    line = given.random.choice(COMMANDS[given.original.role])
    names = {"FILE": str(given.path), "OUT": str(out), "MADE": str(made), "KEPT": str(FILES)}
    return [
        "/".join([names.get(head, head), *rest]) for head, *rest in (word.split("/") for word in _words(line, names))
    ]


def _words(line: str, names: dict[str, str]) -> Iterator[str]:
    for word in line.split():
        file, colon, variable = word.partition(":")
        yield f"{names[file]}{colon}{variable}" if colon and file in names else word


def _require_three_parts(error: bridge.BridgeError) -> None:
    assert error.error and error.cause and error.hint, f"{error!r} has no three parts"
    assert not isinstance(error, FaultError), error.error
    chain: BaseException | None = error
    while chain is not None:
        assert not isinstance(chain, MemoryError), f"memory ran out: {error}"
        chain = chain.__cause__ or chain.__context__


def _run(line: list[str], out: Path) -> int:
    """Run a command of the command line in this process and return its exit code."""
    sys.argv = ["bridge", *line]
    told, code = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else -1
    text = told.getvalue()
    assert "Traceback" not in text and "MemoryError" not in text, text[-2000:]
    assert code in (0, 2, 3) or (code == 1 and line[0] in ("check", "import")), f"exit code {code}: {text[-2000:]}"
    if code >= 2 and tuple(line[:2]) != TOLD_BY_CODE_3:
        last = text.splitlines()[-3:]
        assert tuple(each[:7] for each in last) == LABELS, f"no three parts: {text[-2000:]}"
        assert line[0] == "train" or not any(out.iterdir()), f"left behind: {sorted(out.iterdir())}"
    return code if code >= 2 else 0


def summary(error: BaseException) -> str:
    """Return what left bridge, and from where, in a form that is the same for the same fault."""
    frames = [
        each for each in traceback.extract_tb(error.__traceback__) if "/bridge/" in each.filename.replace("\\", "/")
    ]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"
    return f"{type(error).__name__} in {where}: {error}"


def seeded(random: Random) -> None:
    """Give torch and numpy the same random numbers for the same input."""
    import numpy as np
    import torch

    torch.manual_seed(random.randrange(1 << 31))
    np.random.seed(random.randrange(1 << 31))
