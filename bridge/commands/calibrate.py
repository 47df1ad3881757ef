"""bridge calibrate: turn the answers of bridgeProbe.m into a profile of training switches."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from bridge.parity.calibration import Calibration


def calibrate(
    probe: Path = typer.Argument(..., help="probe.mat, which bridgeProbe wrote in MATLAB."),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="The profile to write; nothing is written without it."
    ),
    force: bool = typer.Option(False, "--force", help="Write over a file of that name."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
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
    print(f"saved to {output}" if output is not None else "nothing was written (-o profile.toml)")


def show(found: Calibration) -> None:
    """Print one row for each experiment, then what stays open."""
    from rich import box
    from rich.table import Table

    from bridge.commands.tables import console

    out = console()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("Switch", "Trainer", "Value", "Told by", "Numbers"):
        table.add_column(name, overflow="fold")
    for each in found.answers:
        table.add_row(
            each.switch,
            " ".join(each.trainers),
            "?" if each.value is None else str(each.value),
            each.experiment,
            each.told,
        )
    out.print(f"{found.name}, {len(found.answers)} experiments tell of switches", markup=False)
    out.print(table)
    for name, message in found.failed.items():
        out.print(f"note: this release could not run {name}: {message}", markup=False, soft_wrap=True)
    for switch, trainers in found.open.items():
        out.print(f"open: {switch} stays at its default for {' and '.join(trainers)}", markup=False, soft_wrap=True)
