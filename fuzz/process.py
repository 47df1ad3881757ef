"""One process tries input after input, under a limit of memory; a watchdog ends it where one takes too long."""

from __future__ import annotations

import contextlib
import faulthandler
import json
import os
import resource
import select
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from fuzz import inputs, trials
from fuzz.originals import Original

SECONDS = 10  # of its own time that an input may take
BUSY = 6  # how much longer where other processes use the machine
MEMORY = 1 << 30  # bytes that an input may take
ADDRESSES = 3 * MEMORY  # what may be asked for: reserving is not taking
STACK = 1_500  # characters of a stack that are told, the innermost calls first
LIFE = 2_000  # inputs, after which the process starts anew: no input answers for what thousands before it left behind


@dataclass(frozen=True)
class Result:
    """What came of an input.

    Attributes:
        number: of the input.
        role, original: what it was tried as, and what it was made from.
        outcome: "done", "refused" or "fault".
        told: of a fault, what happened.
        seconds: of its own time.
        memory: bytes taken, at most.
    """

    number: int
    role: str
    original: str
    outcome: str
    told: str
    seconds: float
    memory: int


def results(seed: int, first: int, count: int, originals: Sequence[Original], folder: Path) -> Iterator[Result]:
    """Try inputs one after the other, and yield what comes of each.

    Args:
        seed: of the run.
        first: number of the first input.
        count: how many.
        originals: all sound inputs.
        folder: that of the originals; inputs and what is written go to folders beside it.
    """
    number, end = first, first + count
    while number < end:
        for result in _one_process(seed, range(number, min(number + LIFE, end)), originals, folder):
            yield result
            number = result.number + 1


def _one_process(seed: int, numbers: range, originals: Sequence[Original], folder: Path) -> Iterator[Result]:
    """Let a new process try inputs until it ends."""
    ours, theirs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        try:
            _work(seed, numbers, originals, folder, theirs)
        finally:
            os._exit(1)
    os.close(theirs)
    number = numbers.start
    try:
        with os.fdopen(ours, "rb", buffering=0) as stream:
            for line in _lines(stream.fileno(), child):
                result = Result(**json.loads(line))
                number = result.number + 1
                yield result
    finally:
        _, status = os.waitpid(child, 0)  # of itself, or because nobody reads any more
    if status:
        original = inputs.build(seed, number, originals, folder.parent / "input").original
        told = f"ended by {_signal(status)}\n{_log(folder).read_text(errors='replace')[:STACK]}"
        yield Result(number, original.role, original.path.name, "fault", told, float(SECONDS), 0)


def _lines(stream: int, child: int) -> Iterator[bytes]:
    """Yield what the process reports; it is ended when nothing comes for too long."""
    held = b""
    while True:
        if not select.select([stream], [], [], BUSY * SECONDS)[0]:
            os.kill(child, signal.SIGKILL)
        piece = os.read(stream, 1 << 16)
        if not piece:
            return
        *lines, held = (held + piece).split(b"\n")
        yield from lines


def _signal(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return f"exit code {os.waitstatus_to_exitcode(status)}"
    ended = signal.Signals(os.WTERMSIG(status))
    causes = {signal.SIGPROF: f"{SECONDS} s of its own time", signal.SIGKILL: f"{BUSY * SECONDS} s"}
    return f"{ended.name}: {causes.get(ended, 'a crash')}"


def _log(folder: Path) -> Path:
    """Return where the process writes its stack when it is ended."""
    return folder.parent / "stack.txt"


def _work(seed: int, numbers: Sequence[int], originals: Sequence[Original], folder: Path, pipe: int) -> None:
    held = _memory()
    resource.setrlimit(resource.RLIMIT_AS, (held["VmSize"] + ADDRESSES,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    stack = _log(folder).open("w")
    faulthandler.enable(stack)
    faulthandler.register(signal.SIGPROF, stack, all_threads=False, chain=True)
    for number in numbers:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        result = _tried(seed, number, originals, folder)
        os.write(pipe, json.dumps(result.__dict__).encode() + b"\n")
    os._exit(0)


def _tried(seed: int, number: int, originals: Sequence[Original], folder: Path) -> Result:
    given = inputs.build(seed, number, originals, folder.parent / "input")
    trials.seeded(given.random)
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the peak counts anew
    before, start, told = _memory()["VmRSS"], time.process_time(), ""
    try:
        outcome = trials.attempt(given, folder, folder.parent / "out")
    except Exception as error:
        outcome, told = "fault", "\n".join([trials.summary(error), *getattr(error, "__notes__", ())])
    seconds, memory = time.process_time() - start, _memory()["VmHWM"] - before
    if outcome != "fault" and memory > MEMORY:
        outcome, told = "fault", f"took {memory >> 20} MB"
    original = given.original
    return Result(number, original.role, original.path.name, outcome, told, seconds, max(memory, 0))


def _memory() -> dict[str, int]:
    """Return the memory of this process by the system's names, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return {line.split(":")[0]: int(line.split()[1]) << 10 for line in lines if line.startswith("Vm")}
