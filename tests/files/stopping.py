"""Runs of a call that end at its n-th file-system call, killed or with an error, each in a process of its own.

Python reports every such call before it is made (PEP 578): opening, renaming, removing, making and listing.
"""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge.errors import BridgeError

CALLS = ("open", "os.", "fcntl.")
KILLED, FINISHED, TOLD, OTHER = 137, 0, 3, 4  # exit codes
MOST = 2000
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot copy a process")


def run_until(call: Callable[[], object], number: int, folder: Path, *, fails: bool) -> tuple[bool, int]:
    """Run a call in a copy of this process up to its `number`-th file-system call below a folder.

    Args:
        call: what to run.
        number: counted from 0.
        folder: calls elsewhere, as Python's own imports, do not count; names without a folder are those of a folder
            that is being removed.
        fails: that one call raises OSError, once; else the process ends there and then, as at kill -9.

    Returns:
        Whether there are so many calls; and KILLED, FINISHED, TOLD (a BridgeError) or OTHER.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child:
        os.close(writing)
        with open(reading, "rb") as stream:
            reached = bool(stream.read())
        return reached, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    try:
        sys.addaudithook(_hook(number, folder, fails, writing))
        call()
        os._exit(FINISHED)
    except BridgeError:
        os._exit(TOLD)
    except BaseException:
        traceback.print_exc()
        os._exit(OTHER)


def _hook(number: int, folder: Path, fails: bool, tell: int) -> Callable[[str, tuple[Any, ...]], None]:
    seen = -1

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        if not event.startswith(CALLS):
            return
        paths = arguments[: 2 if event == "os.rename" else 1]
        named = [Path(each) for each in paths if isinstance(each, (str, os.PathLike))]
        below = [path.is_relative_to(folder) or (not path.is_absolute() and not path.exists()) for path in named]
        if named and not any(below):
            return
        seen += 1
        if seen == number:
            os.write(tell, b"reached")
            if fails:
                raise OSError(28, "No space left on device")
            os._exit(KILLED)

    return hook
