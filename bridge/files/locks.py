"""Folders that one process at a time writes to. The system frees a lock whose process has ended, however it ended."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import datetime
from pathlib import Path

from bridge.errors import UsageError

LOCK = ".bridge.lock"
OWNER = ".bridge.owner"  # who holds the lock: on Windows nobody else can read the locked file itself


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file, which is made for it.

    Raises:
        TimeoutError: another process holds it, or another part of this one.
    """
    from filelock import FileLock

    lock = FileLock(path, timeout=0)
    lock.acquire()
    try:
        yield
    finally:
        with suppress(OSError):
            lock.release()


def is_free(path: Path) -> bool:
    """Whether nobody holds the lock of a file."""
    try:
        with locked(path):
            return True
    except OSError:  # also a file system that knows no locks: nobody can tell, so it is left alone
        return False


@contextmanager
def sole_writer(folder: Path) -> Iterator[None]:
    """Keep a folder for this process; two files `.bridge.*` in it say so. A file system without locks keeps nothing.

    Raises:
        UsageError: another process has it; which one is told.
    """
    with ExitStack() as held:
        try:
            held.enter_context(locked(folder / LOCK))
        except TimeoutError as error:
            raise UsageError(
                f"{folder} is in use by {_owner(folder)}",
                "two trainings in one folder would overwrite each other",
                "wait until it has ended, or choose another folder",
            ) from error
        except OSError:
            yield
            return
        held.callback(_remove, folder / LOCK)  # while it is held: filelock gives up a lock of a file that is gone
        held.callback(_remove, folder / OWNER)
        _sign(folder / OWNER)
        yield


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink()


def _sign(path: Path) -> None:
    now = datetime.now().astimezone().isoformat(" ", "seconds")
    with suppress(OSError):
        path.write_text(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": now}), "utf-8")


def _owner(folder: Path) -> str:
    try:
        facts = json.loads((folder / OWNER).read_text(encoding="utf-8"))
        return f"process {facts['process']} on {facts['host']}, since {facts['since']}"
    except (OSError, ValueError, LookupError, TypeError, RecursionError):
        return "another process"
