"""bridge trace: which seed and place of MATLAB's random stream a network's first weights came from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bridge.commands import arguments
from bridge.commands.terminal import Rows, passing, say
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.parity.trace import Trace

LARGEST = 1_000_000_000  # doubles: 16 GB


def trace(
    file: arguments.File,
    seeds: str = typer.Option("0-100", help="Seeds of rng to search: 3, 0-100 or 1,5,12."),
    doubles: int = typer.Option(10_000_000, help="How much of each stream is searched; about 16 bytes each."),
    variable: arguments.Variable = None,
    mappings: arguments.Mappings = None,
    as_json: arguments.AsJson = False,
) -> None:
    """Find the seed and the place in MATLAB's random stream that a trained network began with.

    Seeds are searched in turn until one has some of its layers. A layer of other numbers is taken for found with a
    chance below 1e-6 in the whole search.
    """
    from dataclasses import asdict

    from bridge.commands import print_json
    from bridge.parity.conclusions import conclusions
    from bridge.parity.trace import trace as traced
    from bridge.readers import load

    wanted = _seeds(seeds)
    if not 0 < doubles <= LARGEST:
        raise UsageError(f"--doubles {doubles}", f"it is a whole number from 1 to {LARGEST:,}")
    network = load(file, variable=variable, mappings=mappings)
    found = traced(network, wanted, doubles, progress=lambda seed: passing(f"seed {seed}"))
    passing()
    if as_json:
        print_json("trace", {**asdict(found), "conclusions": conclusions(found)})
    else:
        _show(file, found)


def _seeds(text: str) -> list[int]:
    """Return the seeds that a text lists.

    Raises:
        UsageError: it lists none, or not as numbers.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not (first.isdecimal() and (last.isdecimal() if dash else not last)):
            raise UsageError(f"--seeds {text}", f"{part.strip()!r} is no seed", "write 3, 0-100 or 1,5,12")
        if max(int(first), int(last or first)) >= 2**32:
            raise UsageError(f"--seeds {text}", "MATLAB's seeds are whole numbers from 0 to 4294967295")
        seeds += range(int(first), int(last or first) + 1)
    if not seeds:
        raise UsageError(f"--seeds {text}", "the first seed is larger than the last", "write 0-100")
    return list(dict.fromkeys(seeds))


def _show(file: Path, found: Trace) -> None:
    from bridge.parity.conclusions import conclusions

    numbers = ("From double", "To", "Drawn by", "Sigma", "Correlation", "Scale")
    rows = Rows("Layer", "Learnable", *numbers, "Place", right=numbers)
    for each in found.origins:
        place = (f"{each.begin:,}", f"{each.end:,}", each.kind) if each.place else ("", "", "")
        fit = (f"{each.sigma:.1f}", f"{each.correlation:.3f}", f"{each.scale:.3f} x {each.initializer}")
        stands = f"{each.place or 'none'}{', frozen' if each.frozen else ''}"
        rows.add(each.layer, each.learnable, *place, *(fit if each.sigma else ("", "", "")), stands)
    say(f"{file}: searched {_searched(found)}")
    rows.print()
    say(*conclusions(found))


def _searched(found: Trace) -> str:
    seeds = f"rng({found.seeds[0]})" if len(found.seeds) == 1 else f"{len(found.seeds)} seeds"
    return f"{found.doubles:,} doubles of {seeds}; found is what stands out by {found.limit:.1f} sigma"
