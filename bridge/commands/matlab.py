"""bridge matlab: write out the MATLAB functions that ship with bridge."""

from __future__ import annotations

from pathlib import Path

import typer

from bridge.commands import arguments
from bridge.commands.terminal import say


def matlab(
    folder: Path = typer.Argument(..., help="Where to write them; addpath(folder) in MATLAB."),
    force: bool = typer.Option(False, "--force", help="Write over files of the same names."),
    as_json: arguments.AsJson = False,
) -> None:
    """Write out the functions for MATLAB. They are bridgeExport, bridgeRebuild, bridgeReference, bridgeProbe and
    bridgeData.
    """
    from bridge.commands import print_json
    from bridge.files.matlab import literal
    from bridge.writers.matlab_functions import write_functions

    written = write_functions(folder, force=force)
    if as_json:
        print_json("matlab", {"folder": str(folder), "files": [path.name for path in written]})
    else:
        say(f"{len(written)} files in {folder}; in MATLAB: addpath({literal(str(folder))})")
