"""bridge train: a recipe and data become a trained network."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from bridge.commands import arguments
from bridge.commands.confusion import show
from bridge.commands.terminal import say, tell
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.prediction.confusion import Confusion
    from bridge.recipes.recipe import Recipe
    from bridge.training.history import TrainingInfo

DataPath: TypeAlias = Annotated[
    Path | None,
    typer.Option(
        help="A folder with a folder for each class, a .csv of bridgeData, or a .mat; instead of the recipe's own."
    ),
]
Output: TypeAlias = Annotated[
    Path | None, typer.Option("-o", "--output", help="The folder for the network, the log and the checkpoint.")
]
Device: TypeAlias = Annotated[
    str | None, typer.Option(help="cpu, cuda, or cuda:1 for one of several. Default: what ExecutionEnvironment says.")
]
OrderFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="A text file with the order of the observations, from 0: one line, or one for each epoch."),
]
Rng: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--rng", help="The seed of MATLAB's rng: of the split, the first weights and the order. Default: the recipe's."
    ),
]
RngSkip: TypeAlias = Annotated[
    int | None,
    typer.Option("--rng-skip", help="How many doubles of that stream were drawn before. Default: the recipe's, or 0."),
]
CacheFeatures: TypeAlias = Annotated[
    bool | None,
    typer.Option(help="Compute frozen layers once for each observation. Default: where it pays and changes no number."),
]
TrainingSwitches: TypeAlias = Annotated[
    Path | None, typer.Option(help="A profile of bridge calibrate: the switches of training of a release of MATLAB.")
]
Resume: TypeAlias = Annotated[
    bool, typer.Option("--resume", help="Go on from the checkpoint in the output folder, to the same bits.")
]
Restart: TypeAlias = Annotated[
    bool, typer.Option("--restart", help="Take the learnables of that checkpoint and begin anew, as MATLAB does.")
]


def train(
    recipe: arguments.Recipe,
    data: DataPath = None,
    output: Output = None,
    setting: arguments.Setting = [],  # noqa: B006 (typer makes a list of its own)
    network: arguments.Base = None,
    untrained: arguments.Untrained = False,
    factors: arguments.BaseFactors = None,
    profile: TrainingSwitches = None,
    device: Device = None,
    resume: Resume = False,
    restart: Restart = False,
    order: OrderFile = None,
    rng: Rng = None,
    rng_skip: RngSkip = None,
    cache_features: CacheFeatures = None,
    as_json: arguments.AsJson = False,
) -> None:
    """Train a recipe as MATLAB would, or go on with it. `bridge train --resume RUN` needs nothing else."""
    from bridge.options.profile import TrainingProfile
    from bridge.prediction.testing import tested
    from bridge.readers import load
    from bridge.recipes.kept import started
    from bridge.recipes.running import train as train_recipe
    from bridge.training.distributed import rank

    if resume and restart:
        cause = "one goes on with the solver of the checkpoint, the other begins anew"
        raise UsageError("--resume and --restart", cause, "choose one")
    given: dict[str, Any] = {"factors": factors, "order": order, "cache_features": cache_features}
    if names_folder(recipe):
        output = _folder_of_run(Path(recipe), output, resume or restart)
        read, kept = started(output)
        given = {name: kept[name] if value is None else value for name, value in given.items()}
    elif output is None:
        raise UsageError(
            "missing option '--output'", "it is the folder for network, log and checkpoint", "write -o run"
        )
    else:
        read = recipe_of(recipe, network)
    read = with_settings(read.untrained() if untrained else read, setting)
    if profile is not None:
        read = replace(read, options=TrainingProfile.load(profile).apply(read.options))
    read = with_rng(read, rng, rng_skip)
    info = train_recipe(
        read,
        data,
        network=network,
        output=output,
        resume=(resume or restart) or None,
        solver="restart" if restart else "continue",
        device=device,
        command=sys.argv[1:],
        **given,
    )
    if rank() > 0:
        return
    _tell(info, output, tested(read, load(output), data, device=device), as_json)


def _tell(info: TrainingInfo, output: Path, found: Confusion | None, as_json: bool) -> None:
    """Print how the training ended, and what the test images made of it."""
    from bridge.commands import print_json

    if as_json:
        print_json("train", {**_facts(info, output), **({"test": found.facts()} if found is not None else {})})
        return
    if found is not None:
        show(found)
    say(_summary(info), *([f"test images: {found}"] if found is not None else []), f"saved to {output}")


def names_folder(recipe: str) -> bool:
    """Whether the word for a recipe is a folder; the name of a recipe that ships is none, unless a run lies there."""
    from bridge.files.run import is_run
    from bridge.recipes.recipe import shipped

    return Path(recipe).is_dir() and (is_run(Path(recipe)) or recipe not in shipped())


def recipe_of(name: str, network: Path | None = None) -> Recipe:
    """Return the recipe of a TOML file, of a name or of a run, or the one in a MATLAB script.

    Raises:
        UsageError: there is none.
        UnsupportedError: lines of the script that affect training were not understood.
    """
    from bridge.recipes.kept import started
    from bridge.recipes.recipe import Recipe

    if names_folder(name):
        return started(name)[0]
    if Path(name).suffix.lower() != ".m" or not Path(name).is_file():
        return Recipe.load(name)
    from bridge.errors import UnsupportedError
    from bridge.scripts import read

    reading = read(name, network)
    for entry in reading.reports:
        tell(f"note: line {entry.line} of {name}: {entry.what}")
    if reading.recipe is None or reading.not_understood:
        lines = "; ".join(f"line {entry.line}: {entry.what}" for entry in reading.not_understood)
        raise UnsupportedError(
            f"{len(reading.not_understood)} line(s) of {name} that affect training were not understood",
            lines,
            f"`bridge recipe read {name} -o recipe.toml` writes what was; complete that, and train it",
        )
    count = f"; the last of {reading.count} trainings is taken" if reading.count > 1 else ""
    tell(f"read {len(reading.facts)} facts in {name}{count}")
    return reading.recipe


def with_settings(recipe: Recipe, settings: list[str]) -> Recipe:
    """Return a recipe with options that were set on the command line, as NAME=VALUE; a value is TOML, or else text.

    Raises:
        UsageError: one has no value, or its name or value is none of trainingOptions.
    """
    import tomllib

    from bridge.recipes.parts import located

    values: dict[str, Any] = {}
    for each in settings:
        name, equals, text = each.partition("=")
        if not equals or not name.strip():
            raise UsageError(f"--set {each} sets nothing", "it takes a name and a value", "--set MaxEpochs=3")
        try:
            values[name.strip()] = tomllib.loads(f"value = {text.strip()}")["value"]
        except (tomllib.TOMLDecodeError, RecursionError):
            values[name.strip()] = text.strip()
    with located("--set"):
        return recipe.with_options(**values) if values else recipe


def with_rng(recipe: Recipe, seed: int | None, skip: int | None) -> Recipe:
    """Return a recipe that begins elsewhere in MATLAB's stream; another seed begins at its first double.

    Raises:
        UsageError: MATLAB has no such seed.
    """
    from bridge.recipes.parts import Rng, located

    if seed is None and skip is None:
        return recipe
    with located("--rng" if seed is not None else "--rng-skip"):
        begin = recipe.rng if seed is None else Rng(seed)
        return replace(recipe, rng=begin if skip is None else replace(begin, skip=skip))


def _folder_of_run(folder: Path, output: Path | None, goes_on: bool) -> Path:
    """Return the folder of a run that was named in the place of a recipe."""
    if not goes_on:
        raise UsageError(
            f"{folder} is a folder", "a recipe is a file", f"to go on with a training: bridge train --resume {folder}"
        )
    if output is not None and output.resolve() != folder.resolve():
        raise UsageError(f"-o {output} beside the run {folder}", "a training goes on in its own folder", "leave -o out")
    return folder


def _summary(info: TrainingInfo) -> str:
    found = ", ".join(f"{name} {value:.6g}" for name, value in info.final.items())
    return (
        f"{info.StopReason} after {info.iterations} iterations; output network of iteration "
        f"{info.OutputNetworkIteration}{f'; {found}' if found else ''}"
    )


def _facts(info: TrainingInfo, output: Path) -> dict[str, Any]:
    from bridge.training.history import number

    facts = {name: value for name, value in info.facts().items() if name not in ("schema", "rows")}
    last = {name: number(value) for name, value in info.rows[-1].items()} if info.rows else {}
    return {**facts, "iterations": info.iterations, "last": last, "output": str(output)}
