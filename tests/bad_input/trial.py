"""What every bad input gets: an answer in three parts, in bounded time and memory, and nothing is written."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from bridge.commands import tables
from bridge.errors import BridgeError, FaultError
from bridge.readers import load

FILES = Path(__file__).parents[2] / "fixtures" / "files"
SECONDS = 10
BUSY = 6  # how much longer a trial may take where other processes use the machine
MEMORY = 1 << 30  # bytes beyond what the test process already holds


@dataclass(frozen=True)
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


def refused(call: Callable[[], object], kind: type[BridgeError] = BridgeError) -> BridgeError:
    """Return the error of a call that has to be refused with all three parts."""
    try:
        call()
    except kind as error:
        assert error.error and error.cause and error.hint and not isinstance(error, FaultError), str(error)
        return error
    raise AssertionError("it was not refused")


def in_bounds(trials: Iterable[tuple[str, Callable[[], object]]]) -> dict[str, str]:
    """Make named trials in a process of its own and return what came of each: "done" or the error.

    The process may take `SECONDS` for a trial and `MEMORY` more than it starts with. Anything but success and an error
    in three parts fails, and so does the end of the process: too slow, too large, or crashed.
    """
    if not hasattr(os, "fork"):
        pytest.skip("bounds on time and memory need a forked process")
    _load_libraries()
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        _make(trials, theirs)
    os.close(theirs)
    with os.fdopen(ours, encoding="utf-8") as stream:
        lines = stream.read().splitlines()
    _, status = os.waitpid(child, 0)
    outcomes = dict(zip(lines[::2], lines[1::2], strict=False))
    failed = {name: outcome for name, outcome in outcomes.items() if outcome.startswith("FAILED")}
    assert not failed, "\n".join(f"{name}: {outcome}" for name, outcome in list(failed.items())[:10])
    assert status == 0, f"the process ended with {status} in {lines[-1] if lines else 'its first trial'}"
    return outcomes


@cache
def _load_libraries() -> None:
    """Have torch, onnx and h5py in memory, so that they count for no trial."""
    for name in ("segnet.onnx", "shapes_v73.mat"):
        network = load(FILES / name)
        tables.facts(network)
        network.to_torch()


def _make(trials: Iterable[tuple[str, Callable[[], object]]], pipe: int) -> None:
    import resource

    held = (
        int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
        if Path("/proc/self/statm").exists()
        else 0
    )
    if held:
        resource.setrlimit(resource.RLIMIT_AS, (held + MEMORY, held + MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for limit in (signal.SIGALRM, signal.SIGPROF):
        signal.signal(limit, signal.SIG_DFL)
    try:
        for name, call in trials:
            os.write(pipe, f"{name}\n".encode())
            signal.setitimer(signal.ITIMER_PROF, SECONDS)  # of its own time: a busy machine is no hang,
            signal.alarm(BUSY * SECONDS)  # but waiting for ever is one
            os.write(pipe, f"{_outcome(call)}\n".encode(errors="replace"))
        os._exit(0)
    finally:
        os._exit(1)


def _outcome(call: Callable[[], object]) -> str:
    try:
        call()
    except FaultError as error:
        return f"FAILED: {error.error}".replace("\n", " ")
    except BridgeError as error:
        complete = error.error and error.cause and error.hint
        return " | ".join(str(error).splitlines()) if complete else f"FAILED: {error.error!r} has no cause or hint"
    except Exception as error:
        return f"FAILED: {type(error).__name__}: {error}".replace("\n", " ")
    return "done"


def listing(folder: Path) -> dict[str, tuple[int, int]]:
    """Return name, time and size of everything in a folder, to see that nothing was written."""
    return {
        str(path.relative_to(folder)): (path.lstat().st_mtime_ns, path.lstat().st_size)
        for path in sorted(folder.rglob("*"))
    }
