"""The command line: one file for each verb. Results go to stdout, progress and errors to stderr."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from typing import Any, TextIO, cast

import typer

from bridge import __version__
from bridge.commands import calibrate, check, export, import_, inspect, matlab, models, predict, recipe, trace, train
from bridge.commands.terminal import say, tell
from bridge.errors import BridgeError, FaultError, UsageError

app = typer.Typer(
    help="Networks that MATLAB trained, as PyTorch modules with MATLAB's names, factors and numbers.",
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("inspect")(inspect.inspect)
app.command("import")(import_.import_)
app.command("predict")(predict.predict)
app.command("check")(check.check)
app.command("calibrate")(calibrate.calibrate)
app.command("export")(export.export)
app.command("matlab")(matlab.matlab)
app.add_typer(recipe.app, name="recipe")
app.command("train")(train.train)
app.command("trace")(trace.trace)
app.command("models")(models.models)

MISUSE: type[Exception] = typer.BadParameter.__mro__[
    1
]  # of every wrong call; which module has it depends on typer's version
INTERRUPTED = 130  # what shells report after Ctrl-C
TRACEBACK = "BRIDGE_TRACEBACK"  # of the environment: where it is set, an error is printed with where it was raised


def _version(value: bool) -> None:
    if value:
        say(f"bridge {__version__}")
        raise typer.Exit


@app.callback()
def bridge(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version and exit."
    ),
) -> None:
    pass


def main() -> None:
    """Run the command line. An error becomes its three parts on stderr and its exit code; with --json it is a document
    on stdout too.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # terminals that cannot show "×" show "?"
    try:
        with redirect_stdout(cast(TextIO, Results(sys.stdout)) if sys.stdout else None):
            sys.exit(_run())
    except BridgeError as error:  # stdout leads nowhere
        tell(*str(error).splitlines())
        sys.exit(error.exit_code)


def _run() -> int:
    """Run a verb and return its exit code."""
    try:
        try:
            return int(app(prog_name="bridge", standalone_mode=False) or 0)
        finally:
            print(end="", flush=True)
    except typer.Abort:
        return INTERRUPTED
    except Exception as caught:
        error = _in_three_parts(caught)
        if os.environ.get(TRACEBACK):
            traceback.print_exception(caught)
        tell(*str(error).splitlines())
        if "--json" in sys.argv:
            print_json("error", {"error": error.error, "cause": error.cause, "hint": error.hint})
            print(end="", flush=True)
        return error.exit_code


def _in_three_parts(error: Exception) -> BridgeError:
    if isinstance(error, BridgeError):
        return error
    if isinstance(error, MISUSE):
        return _misuse(error)
    if isinstance(error, OSError):  # a name that the system refuses, a folder that may not be seen
        return UsageError(
            f"{error.filename or 'a file'} cannot be used",
            error.strerror or str(error),
            "check the name and its permissions",
        )
    return FaultError.of("", error)


def _misuse(error: Any) -> BridgeError:
    """Return what typer says of a call that it cannot take, in three parts; a call without a verb gets the help."""
    message, context = error.format_message(), error.ctx
    if context is not None and message == context.get_help():
        tell(*message.splitlines())
        sys.exit(UsageError.exit_code)
    message = f"{message[0].lower()}{message[1:].rstrip('.')}"
    if context is None:
        return UsageError(
            message, "the call ends there", "`bridge --help` lists the verbs, `bridge VERB --help` their options"
        )
    what, _, why = message.partition(": ") if isinstance(error, typer.BadParameter) else (message, "", "")
    usage = " ".join((context.command_path, *context.command.collect_usage_pieces(context)))
    return UsageError(what, why or f"it is called as {usage}", f"`{context.command_path} --help` lists what it takes")


class Results:
    """stdout, whose reader may leave (the work goes on, and its exit code counts) or whose disk may be
    full (an error).
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> None:
        self._try(lambda: self._stream.write(text))

    def flush(self) -> None:
        self._try(self._stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except OSError as error:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # what is still buffered goes there
            os.close(nowhere)
            if not isinstance(error, BrokenPipeError):
                raise UsageError("the results cannot be written", str(error), "check where stdout leads") from error


def print_json(verb: str, facts: Mapping[str, Any]) -> None:
    """Print one JSON document with its schema, in ASCII: whatever the terminal's encoding is, it reads
    back the same.
    """
    print(json.dumps({"schema": f"bridge.{verb}/1", **facts}, indent=1))
