"""`python -m fuzz` tries changed inputs: only a BridgeError in three parts may leave bridge, within bounds of time and
memory.

    python -m fuzz --seconds 60
    python -m fuzz --inputs 100000
    python -m fuzz --first 4711 --inputs 1 --keep here     # writes that input, and tells what comes of it
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import torch

from fuzz import inputs
from fuzz.originals import Original, originals
from fuzz.process import Result, results

SHOWN = 20  # faults that are told in full; each kind once


def main() -> int:
    """Try inputs, and return the exit code: 1 where one had a fault."""
    given = _arguments()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="fuzz") as held:
        folder = Path(held) / "originals"
        folder.mkdir()
        sound = originals(folder)
        if given.keep is not None:
            kept = inputs.build(given.seed, given.first, sound, given.keep)
            print(f"input {given.first} is {kept.path}, made from {kept.original.path.name}")
        found = list(_until(given, sound, folder))
    return report(found)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description="Tries changed inputs.")
    parser.add_argument("--inputs", type=int, default=None, help="how many; without, as many as --seconds allow")
    parser.add_argument("--seconds", type=float, default=60, help="how long, where --inputs is not given (60)")
    parser.add_argument("--seed", type=int, default=0, help="of the run; with the number it rebuilds any input (0)")
    parser.add_argument("--first", type=int, default=0, help="the number of the first input (0)")
    parser.add_argument("--keep", type=Path, help="an empty folder, to which the first input is written")
    return parser.parse_args()


def _until(given: argparse.Namespace, sound: tuple[Original, ...], folder: Path) -> Iterator[Result]:
    """Yield results until there are enough; faults are told as they come."""
    count = given.inputs if given.inputs is not None else 1 << 30
    end = time.monotonic() + given.seconds
    for result in results(given.seed, given.first, count, sound, folder):
        if result.outcome == "fault":
            print(f"input {result.number} ({result.original}): {result.told}", file=sys.stderr, flush=True)
        yield result
        if given.inputs is None and time.monotonic() > end:
            return


def report(found: list[Result]) -> int:
    """Print what came of all inputs; return 1 where there was a fault."""
    counts = Counter(result.outcome for result in found)
    faults = [result for result in found if result.outcome == "fault"]
    slowest, largest = (max(found, key=key) for key in (lambda each: each.seconds, lambda each: each.memory))
    print(f"{len(found):,} inputs: {counts['done']:,} done, {counts['refused']:,} refused, {len(faults):,} faults")
    for role in sorted({result.role for result in found}):
        of_role = Counter(result.outcome for result in found if result.role == role)
        print(f"  {role:<10} {sum(of_role.values()):>7,}  {of_role['done']:>7,} done {of_role['refused']:>7,} refused")
    print(f"the slowest took {slowest.seconds:.1f} s (input {slowest.number}, {slowest.original})")
    print(f"the largest took {largest.memory >> 20} MB (input {largest.number}, {largest.original})")
    kinds = Counter(result.told.splitlines()[0][:150] for result in faults)
    for told, count in kinds.most_common(SHOWN):
        print(f"  {count:>5} x {told}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
