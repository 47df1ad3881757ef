"""bridge recipe: what a recipe will do, before anything runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bridge.commands import arguments
from bridge.commands.terminal import Rows, say, styled, tell

if TYPE_CHECKING:
    from bridge.network import Network
    from bridge.options.options import Explanation
    from bridge.recipes.effective import Effect
    from bridge.recipes.recipe import Recipe
    from bridge.scripts import Reading

KINDS = {  # of what is read from a line: what is put before it, and its style
    "facts": ("", ""),
    "kept": ("kept as text: ", "cyan"),
    "reports": ("odd: ", "yellow"),
    "not_understood": ("NOT UNDERSTOOD: ", "bold red"),
}
INDENT = 9  # of what is read, below a line of the script

app = typer.Typer(
    help="Show a recipe, or read the one in a MATLAB script.", no_args_is_help=True, rich_markup_mode=None
)


@app.callback()
def recipe() -> None:
    pass


@app.command("show")
def show(
    recipe: arguments.Recipe,
    output: Path | None = typer.Option(
        None, "-o", "--output", help="Write the recipe (TOML), to change it; without it nothing is written."
    ),
    force: bool = typer.Option(False, "--force", help="Replace a recipe that is there."),
    setting: arguments.Setting = [],  # noqa: B006 (typer makes a list of its own)
    network: arguments.Base = None,
    untrained: arguments.Untrained = False,
    factors: arguments.BaseFactors = None,
    python: bool = typer.Option(False, "--python", help="Print Python source that does the same instead."),
    as_json: arguments.AsJson = False,
) -> None:
    """Show what a recipe will do, before anything runs. The effective rate and L2 of each learnable, the options, and
    what is not confirmed.
    """
    from bridge.commands import print_json
    from bridge.commands.train import recipe_of, with_settings

    read = recipe_of(recipe, network)
    read = with_settings(read.untrained() if untrained else read, setting)
    edited, notes = (None, []) if python else _edited(read, network, factors)
    if output is not None:
        read.seen_from(output.parent).save(output, force=force)
    if python:
        say(*read.python().splitlines())
    elif as_json:
        print_json("recipe.show", _facts(read, edited, notes))
    else:
        _print(read, edited, notes)
    if output is not None:
        (tell if python or as_json else say)(f"wrote {output}")


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
    training: int | None = typer.Option(None, help="Which training of the script, from 1; without it all are read."),
    force: bool = typer.Option(False, "--force", help="Replace a recipe that is there."),
    python: bool = typer.Option(False, "--python", help="Print the recipe as Python source instead."),
    as_json: arguments.AsJson = False,
) -> None:
    """Read the recipe in a MATLAB script, without running it. Lines that were not understood are listed, with exit code
    3. A script that trains several times gives a recipe each: -o recipe.toml writes recipe-1.toml, recipe-2.toml, ...
    """
    from bridge.commands import print_json
    from bridge.scripts import read as read_script
    from bridge.scripts import read_all

    readings = read_all(script, network) if training is None else [read_script(script, network, training=training)]
    if output is not None:
        for reading in readings:
            reading.save(_numbered(output, reading, len(readings)), force=force)
    if python:
        say(*(line for each in readings if each.recipe is not None for line in each.recipe.python().splitlines()))
    elif as_json:
        others = {"all": [each.to_mapping() for each in readings]} if len(readings) > 1 else {}
        print_json("recipe.read", {**readings[-1].to_mapping(), **others})
    else:
        for reading in readings:
            _print_reading(reading, script.name)
    if python or as_json:
        entries = [entry for reading in readings for entry in reading.not_understood]
        tell(*dict.fromkeys(f"line {entry.line}: {entry.what}" for entry in entries))
    raise typer.Exit(max(reading.exit_code for reading in readings))


def _numbered(output: Path, reading: Reading, count: int) -> Path:
    """Return where one of several recipes is written: recipe.toml, or recipe-2.toml."""
    return output if count == 1 else output.with_name(f"{output.stem}-{reading.number}{output.suffix}")


def _print_reading(reading: Reading, script: str) -> None:
    """Print each line of the script once, with all that was read from it."""
    if reading.count > 1:
        say(f"training {reading.number} of {reading.count}")
    for (file, line), entries in reading.by_line().items():
        where = f"{line:>5}" if file == script else f"{file}:{line}"
        styled(f"{where}  {entries[0][1].text}", "dim")
        for kind, entry in entries:
            styled(f"{KINDS[kind][0]}{entry.what}", KINDS[kind][1], INDENT)
    counts = {"facts read": reading.facts, "kept as text": reading.kept, "not understood": reading.not_understood}
    say(", ".join(f"{len(entries)} {what}" for what, entries in counts.items()))


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
    from bridge.recipes.effective import effects

    say(*_head(recipe))
    if network is not None:
        rows = effects(network, recipe.options)
        _effect_table(rows).print()
        say(_totals(rows))
    _option_table([row for row in recipe.options.explain() if row.given]).print()
    say(*(f"note: {note}" for note in notes))


def _head(recipe: Recipe) -> Iterator[str]:
    from bridge.recipes.parts import changed

    if recipe.description:
        yield recipe.description
    base = "assembled anew" if recipe.is_new else recipe.base.file or recipe.base.name or "any network"
    start = f"rng({recipe.rng.seed}){f' from double {recipe.rng.skip:,}' if recipe.rng.skip else ''}"
    yield f"network {base}, trainer {recipe.trainer}, solver {recipe.options.solver}, {start}"
    yield from (f"  {edit.source()}" for edit in recipe.edits)
    for name, part in (("loss", recipe.loss), ("data", recipe.data)):
        given = changed(part)
        if given:
            yield f"{name}: {', '.join(f'{key} = {value}' for key, value in given.items())}"


def _effect_table(rows: list[Effect]) -> Rows:
    from bridge.commands.tables import factor_text

    numbers = ("Size", "LearnRateFactor", "L2Factor", "rate", "L2")
    table = Rows("Learnable", *numbers, "", "group", right=(*numbers, "group"))
    for row in rows:
        size = "×".join(map(str, row.size))
        factors = factor_text(row.learn_rate_factor, row.assumed), factor_text(row.l2_factor, row.assumed)
        effective = factor_text(row.learn_rate, False), factor_text(row.l2, False)
        table.add(row.learnable, size, *factors, *effective, "frozen" if row.frozen else "", row.group or "")
    return table


def _totals(rows: list[Effect]) -> str:
    groups = {row.group for row in rows if row.group is not None}
    return f"{len(rows)} learnables, {sum(row.frozen for row in rows)} of them frozen, {len(groups)} parameter groups"


def _option_table(rows: list[Explanation]) -> Rows:
    table = Rows("Option", "Value", "Default", "in PyTorch")
    for row in rows:
        table.add(row.name, row.value, row.default, row.torch)
    return table
