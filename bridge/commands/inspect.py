"""bridge inspect: what a file holds, without torch and without reading its weights."""

from __future__ import annotations

from pathlib import Path

import typer


def inspect(
    file: Path = typer.Argument(..., help="An .onnx or .mat file, or a saved folder."),
    factors: Path | None = typer.Option(None, help="A .mat of the same network: its factors, class names and layer classes."),
    variable: str | None = typer.Option(None, help="Which network of a .mat that holds several."),
    mappings: Path | None = typer.Option(None, help="A TOML file with rows for layer classes of your own."),
    classes: Path | None = typer.Option(None, help="Class names: a text file with one a line, or a .mat."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show layers, factors, sizes, input contract, classes, options and notes of a network."""
    from bridge.commands import print_json, tables
    from bridge.readers import load

    network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes)
    if as_json:
        print_json("inspect", tables.facts(network))
    else:
        tables.show(network)
