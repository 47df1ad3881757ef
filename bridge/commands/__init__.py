"""The command line: one file for each verb. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

import typer

from bridge import __version__
from bridge.commands import import_, inspect, matlab
from bridge.errors import BridgeError

app = typer.Typer(
    help="Networks that MATLAB trained, as PyTorch modules with MATLAB's names, factors and numbers.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("inspect")(inspect.inspect)
app.command("import")(import_.import_)
app.command("matlab")(matlab.matlab)


def _version(value: bool) -> None:
    if value:
        print(f"bridge {__version__}")
        raise typer.Exit


@app.callback()
def bridge(version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version and exit.")) -> None:
    pass


def main() -> None:
    """Run the command line; a BridgeError becomes its three parts on stderr and its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # terminals that cannot show "×" show "?"
    try:
        app()
    except BridgeError as error:
        print(error, file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(0)
    except KeyboardInterrupt:
        sys.exit(130)


def print_json(verb: str, facts: Mapping[str, Any]) -> None:
    """Print one JSON document with its schema."""
    print(json.dumps({"schema": f"bridge.{verb}/1", **facts}, ensure_ascii=False, indent=1))
