"""bridge inspect: what a file holds, without torch and without reading its weights."""

from __future__ import annotations

from pathlib import Path

import typer


def inspect(
    file: Path = typer.Argument(..., help="An .onnx or .mat file, or a saved folder."),
    factors: Path | None = typer.Option(
        None, help="A .mat of the same network: its factors, class names and layer classes."
    ),
    variable: str | None = typer.Option(None, help="Which network of a .mat that holds several."),
    mappings: Path | None = typer.Option(None, help="A TOML file with rows for layer classes of your own."),
    classes: Path | None = typer.Option(None, help="Class names: a text file with one a line, or a .mat."),
    html: Path | None = typer.Option(None, help="Write graph, tables and search as one HTML page."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show layers, factors, sizes, input, classes and notes. Weights are not read."""
    from bridge import pages
    from bridge.commands import print_json, tables
    from bridge.errors import UnreadableError
    from bridge.readers import load

    if html is not None:
        pages.require_html(html)
    try:
        network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes)
    except UnreadableError as error:
        from bridge.readers.mat.networks import NoNetworkError

        if not isinstance(error, NoNetworkError) or not (error.held.options or error.held.logs):
            raise
        print_json("inspect", tables.record_facts(error.held)) if as_json else tables.show_records(error.held)
        return
    if html is not None:
        from bridge.commands.inspect_page import page

        pages.write(html, page(network))
    if as_json:
        print_json("inspect", tables.facts(network))
    else:
        tables.show(network)
