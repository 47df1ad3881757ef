"""bridge inspect: what a file holds, without torch and without reading its weights."""

from __future__ import annotations

from pathlib import Path

import typer


def inspect(
    file: Path = typer.Argument(..., help="An .onnx or .mat file, or a saved folder."),
    factors: Path | None = typer.Option(
        None, help="A .mat of the same network: its factors, class names and layer classes."
    ),
    variable: str | None = typer.Option(
        None, help="Which network of a .mat, by its address as inspect lists them: results{3}.net."
    ),
    mappings: Path | None = typer.Option(None, help="A TOML file with rows for layer classes of your own."),
    classes: Path | None = typer.Option(
        None, help="Class names: a text file with one a line, a .mat, or vars.mat:NAME."
    ),
    html: Path | None = typer.Option(None, help="Write graph, tables and search as one HTML page."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show layers, factors, sizes, input, classes and notes. Weights are not read."""
    from bridge import pages
    from bridge.commands import print_json, tables
    from bridge.readers import load
    from bridge.readers.mat.choice import NoNetworkError, SeveralNetworksError

    if html is not None:
        pages.require_html(html)
    try:
        network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes)
    except SeveralNetworksError as error:
        if html is not None or error.held.path != file:
            raise
        from bridge.commands import networks

        listed = networks.entries(error, mappings)
        print_json("inspect", networks.facts(error.held, listed)) if as_json else networks.show(error.held, listed)
        return
    except NoNetworkError as error:
        if not error.held.options and not error.held.logs:
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
