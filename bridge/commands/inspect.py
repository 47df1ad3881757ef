"""bridge inspect: what a file holds, without torch and without reading its weights."""

from __future__ import annotations

from pathlib import Path

import typer

from bridge.commands import arguments


def inspect(
    file: arguments.File,
    factors: arguments.Factors = None,
    variable: arguments.Variable = None,
    mappings: arguments.Mappings = None,
    classes: arguments.Classes = None,
    html: Path | None = typer.Option(None, help="Write graph, tables and search as one HTML page."),
    as_json: arguments.AsJson = False,
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
