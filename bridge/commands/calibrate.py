"""bridge calibrate: turn the answers of bridgeProbe.m into a profile of training switches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from bridge.commands import arguments
from bridge.commands.terminal import Rows, say

if TYPE_CHECKING:
    from bridge.parity.calibration import Calibration


def calibrate(
    probe: Path = typer.Argument(..., help="probe.mat, which bridgeProbe wrote in MATLAB."),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="The profile to write; nothing is written without it."
    ),
    force: bool = typer.Option(False, "--force", help="Write over a file of that name."),
    as_json: arguments.AsJson = False,
) -> None:
    """Turn the answers of bridgeProbe into a profile of training."""
    from dataclasses import asdict

    from bridge.commands import print_json
    from bridge.options.options import TRAINERS
    from bridge.parity.calibration import calibrate as answered
    from bridge.writers.folder import plain

    found = answered(probe)
    if output is not None:
        found.save(output, force=force)
    if as_json:
        settled = {trainer: found.overrides(trainer) for trainer in TRAINERS}
        print_json(
            "calibrate",
            plain({**asdict(found), "settled": settled, "open": found.open, "saved": str(output) if output else None}),
        )
        return
    show(found)
    say(f"saved to {output}" if output is not None else "nothing was written (-o profile.toml)")


def show(found: Calibration) -> None:
    """Print one row for each experiment, then what stays open."""
    table = Rows("Switch", "Trainer", "Value", "Told by", "Numbers")
    for each in found.answers:
        value = "?" if each.value is None else each.value
        table.add(each.switch, " ".join(each.trainers), value, each.experiment, each.told)
    say(f"{found.name}, {len(found.answers)} experiments tell of switches")
    table.print()
    say(*(f"note: this release could not run {name}: {message}" for name, message in found.failed.items()))
    say(*(f"open: {switch} stays at its default for {' and '.join(names)}" for switch, names in found.open.items()))
