"""bridge recipe: what a recipe will do, before anything runs."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table

    from bridge.network import Network
    from bridge.options.options import Explanation
    from bridge.recipes.effective import Effect
    from bridge.recipes.recipe import Recipe
    from bridge.scripts import Reading

app = typer.Typer(
    help="Show a recipe, or read the one in a MATLAB script.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def recipe() -> None:
    pass


@app.command("show")
def show(
    recipe: str = typer.Argument(
        ..., help="A recipe (TOML), or the name of one that ships: googlenet-transfer, alexnet-transfer, ..."
    ),
    network: Path | None = typer.Option(None, help="The network to train, instead of the recipe's own file."),
    factors: Path | None = typer.Option(None, help="For an .onnx: a .mat of the same network, with its factors."),
    python: bool = typer.Option(False, "--python", help="Print Python source that does the same instead."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Show what a recipe will do, before anything runs. The effective rate and L2 of each learnable, the options, and
    what is not confirmed.
    """
    from bridge.commands import print_json
    from bridge.recipes.recipe import Recipe

    read = Recipe.load(recipe)
    if python:
        print(read.python(), end="")
        return
    edited, notes = _edited(read, network, factors)
    if as_json:
        print_json("recipe.show", _facts(read, edited, notes))
    else:
        _print(read, edited, notes)


@app.command("read")
def read(
    script: Path = typer.Argument(
        ..., help="A MATLAB script, .m. It is read, not run; only files in its own folder are opened."
    ),
    output: Path | None = typer.Option(
        None, "-o", "--output", help="The recipe to write (TOML); without it nothing is written."
    ),
    network: Path | None = typer.Option(
        None, help="The network that the script starts from: .onnx, .mat or a saved folder."
    ),
    force: bool = typer.Option(False, "--force", help="Replace a recipe that is there."),
    python: bool = typer.Option(False, "--python", help="Print the recipe as Python source instead."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Read the recipe in a MATLAB script, without running it. Lines that were not understood are listed, with exit code
    3.
    """
    from bridge.commands import print_json
    from bridge.scripts import read as read_script

    reading = read_script(script, network)
    if output is not None:
        reading.save(output, force=force)
    if python:
        print(reading.recipe.python() if reading.recipe is not None else "", end="")
    elif as_json:
        print_json("recipe.read", reading.to_mapping())
    else:
        _print_reading(reading)
    if (python or as_json) and reading.not_understood:
        print(*(f"line {entry.line}: {entry.what}" for entry in reading.not_understood), sep="\n", file=sys.stderr)
    raise typer.Exit(reading.exit_code)


def _print_reading(reading: Reading) -> None:
    from bridge.commands.tables import console

    table = _table("Line", "Read as", "Script")
    groups = {
        "": reading.facts,
        "kept as text: ": reading.kept,
        "odd: ": reading.reports,
        "NOT UNDERSTOOD: ": reading.not_understood,
    }
    for kind, entries in groups.items():
        for entry in entries:
            table.add_row(str(entry.line), _escape(f"{kind}{entry.what}"), _escape(entry.text))
    console().print(table)
    counts = [
        f"{len(reading.facts)} facts read",
        f"{len(reading.kept)} kept as text",
        f"{len(reading.not_understood)} not understood",
    ]
    print(", ".join(counts))


def _edited(recipe: Recipe, file: Path | None, factors: Path | None) -> tuple[Network | None, list[str]]:
    """Return the network after the recipe's edits, where there is one, and notes on it."""
    from bridge.data.expected import lacking
    from bridge.readers import load
    from bridge.recipes.effective import frozen_notes
    from bridge.recipes.recipe import STAND_INS

    if file is None and not (recipe.base.file or recipe.base.name or recipe.is_new):
        return None, [
            "no network was given (--network), so that factors are not known",
            *recipe.options.notes(lacking(None, recipe.options.trainer, recipe.loss.name)),
        ]
    base = load(file, factors=factors) if file is not None else recipe.load_base()
    notes: list[str] = []
    classes = (base.classes or STAND_INS) if recipe.takes_classes else None
    if classes is not None:
        notes.append(
            "the classes come from the data; here they are "
            f"{', '.join(classes[:5])}{', ...' if len(classes) > 5 else ''}"
        )
    edited = recipe.network(base, classes=classes)
    lacks = lacking(edited, recipe.options.trainer, recipe.loss.name)
    return edited, [*recipe.options.notes(lacks), *notes, *frozen_notes(edited), *edited.notes]


def _facts(recipe: Recipe, network: Network | None, notes: list[str]) -> dict[str, Any]:
    from dataclasses import asdict

    from bridge.recipes.effective import effects
    from bridge.writers.folder import plain

    rows = [asdict(row) for row in effects(network, recipe.options)] if network is not None else None
    options = [asdict(row) for row in recipe.options.explain() if row.given]
    edits = [edit.source() for edit in recipe.edits]
    return {
        "recipe": plain(recipe.to_mapping()),
        "edits": edits,
        "learnables": plain(rows),
        "options": plain(options),
        "notes": notes,
    }


def _print(recipe: Recipe, network: Network | None, notes: list[str]) -> None:
    from bridge.commands.tables import console
    from bridge.recipes.effective import effects

    out = console()
    for line in _head(recipe):
        out.print(line, soft_wrap=True, markup=False)
    if network is not None:
        rows = effects(network, recipe.options)
        out.print(_effect_table(rows))
        out.print(_totals(rows), soft_wrap=True, markup=False)
    out.print(_option_table([row for row in recipe.options.explain() if row.given]))
    for note in notes:
        out.print(f"note: {note}", soft_wrap=True, markup=False)


def _head(recipe: Recipe) -> Iterator[str]:
    from bridge.recipes.parts import changed

    if recipe.description:
        yield recipe.description
    base = "assembled anew" if recipe.is_new else recipe.base.file or recipe.base.name or "any network"
    yield f"network {base}, trainer {recipe.trainer}, solver {recipe.options.solver}, seed {recipe.seed}"
    yield from (f"  {edit.source()}" for edit in recipe.edits)
    for name, part in (("loss", recipe.loss), ("data", recipe.data)):
        given = changed(part)
        if given:
            yield f"{name}: {', '.join(f'{key} = {value}' for key, value in given.items())}"


def _effect_table(rows: list[Effect]) -> Table:
    from bridge.commands.tables import factor_text

    table = _table("Learnable", "Size", "LearnRateFactor", "L2Factor", "rate", "L2", "", "group")
    for row in rows:
        size = "×".join(map(str, row.size))
        factors = factor_text(row.learn_rate_factor, row.assumed), factor_text(row.l2_factor, row.assumed)
        effective = factor_text(row.learn_rate, False), factor_text(row.l2, False)
        table.add_row(
            _escape(row.learnable), size, *factors, *effective, "frozen" if row.frozen else "", str(row.group or "")
        )
    return table


def _totals(rows: list[Effect]) -> str:
    groups = {row.group for row in rows if row.group is not None}
    return f"{len(rows)} learnables, {sum(row.frozen for row in rows)} of them frozen, {len(groups)} parameter groups"


def _option_table(rows: list[Explanation]) -> Table:
    table = _table("Option", "Value", "Default", "in PyTorch")
    for row in rows:
        table.add_row(row.name, _escape(str(row.value)), _escape(str(row.default)), _escape(row.torch))
    return table


def _table(*columns: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        table.add_column(
            column,
            overflow="fold",
            justify="right" if column in ("rate", "L2", "group", "Size") or column.endswith("Factor") else "left",
        )
    return table


def _escape(text: str) -> str:
    from rich.markup import escape

    from bridge.errors import printable

    return escape(printable(text))
