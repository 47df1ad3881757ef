"""bridge check: is this network the same as what MATLAB computed, or as another one?"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from bridge.commands import arguments, completion
from bridge.commands.terminal import Rows, say, tell

if TYPE_CHECKING:
    from bridge.parity.check import Check

WORST = 10  # layers in the table
PRINTED = ("html", "annotate", "as_json")

ReferenceFile: TypeAlias = Annotated[
    Path | None,
    typer.Argument(help="reference.mat of bridgeReference, or a .mat, .npz or .csv with inputs and outputs."),
]
Against: TypeAlias = Annotated[
    Path | None, typer.Option(help="Instead, another network: an .onnx is run by onnxruntime.")
]
ToleranceProfile: TypeAlias = Annotated[
    str,
    typer.Option(
        help="How far they may differ: exact, float32, matlab or float16.", autocompletion=completion.tolerances
    ),
]
Tolerances: TypeAlias = Annotated[
    list[str],
    typer.Option(help="LAYER=1e-3, for single layers or a glob; relative to the layer's range. May be repeated."),
]
Detections: TypeAlias = Annotated[
    str, typer.Option(help="Of a detector, instead of outputs: its boxes, scores and labels, as bboxes,scores,labels.")
]
Steps: TypeAlias = Annotated[
    Path | None, typer.Option(help="reference.steps.mat: training iterations, of a recipe (TOML) or a network.")
]
TrainingProfile: TypeAlias = Annotated[
    Path | None, typer.Option(help="For --steps: a profile of bridge calibrate, the switches of a release of MATLAB.")
]
Log: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="MATLAB's training log, to be laid over that of a run: bridge check RUN --log info.mat."),
]
Html: TypeAlias = Annotated[
    Path | None, typer.Option(help="Write a report as one HTML page: charts, graph, values, tables.")
]
Annotate: TypeAlias = Annotated[
    bool,
    typer.Option("--annotate", help="Print an annotation of GitHub where it differs; so by itself in GitHub Actions."),
]


def check(
    context: typer.Context,
    file: arguments.File,
    reference: ReferenceFile = None,
    against: Against = None,
    profile: ToleranceProfile = "matlab",
    tolerance: Tolerances = [],  # noqa: B006 (typer makes a list of its own)
    inputs: str = typer.Option("", help="Where the inputs are: X, data.mat:X, X.csv; commas between several."),
    outputs: str = typer.Option("", help="Where MATLAB's outputs are, or its labels: YPred, scores.csv."),
    targets: str = typer.Option("", help="Instead of outputs, what was to be predicted."),
    input_dims: arguments.InputDims = "",
    output_dims: str = typer.Option("", help="The outputs' dimensions in order: NC."),
    resize: str = typer.Option("", help="Resize image inputs as imresize does: bilinear, bicubic, nearest."),
    detections: Detections = "",
    threshold: float = typer.Option(0.5, help="Of MATLAB's detect, where --detections are named."),
    factors: arguments.Factors = None,
    variable: arguments.Variable = None,
    mappings: arguments.Mappings = None,
    modules: arguments.Modules = None,
    classes: arguments.Classes = None,
    seed: int = typer.Option(0, help="Of the random inputs on which two networks are compared."),
    steps: Steps = None,
    training_profile: TrainingProfile = None,
    log: Log = None,
    html: Html = None,
    annotate: Annotate = False,
    as_json: arguments.AsJson = False,
) -> None:
    """Compare layer by layer, and tell where two differ and why. Exit code 1 where they do."""
    from bridge.modules.build import modules_from
    from bridge.parity import check as parity
    from bridge.parity import logs
    from bridge.parity.references import Names
    from bridge.readers import load

    _require_page(html)
    if log is not None:
        _require_only(context, ("file", "log"), "--log")
        found = logs.check_log(file, log)
    elif steps is not None:
        found = _steps(context, file, steps, profile, training_profile)
    else:
        lacking = {"training_profile", "seed" if reference else "", "" if detections else "threshold"}
        _require_only(
            context, {*context.params} - lacking, f"a check against a {'reference' if reference else 'network'}"
        )
        network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes)
        names = Names(inputs, outputs, targets, input_dims, output_dims, resize, detections, threshold)
        found = parity.check(
            network if modules is None else network.to_torch(modules=modules_from(modules)),
            reference,
            against=against,
            profile=profile,
            tolerances=_tolerances(tolerance),
            network=network,
            data=None if names == Names() else names,
            seed=seed,
            evidence=html is not None,
        )
    finish(found, as_json, html, annotate)


def _require_page(html: Path | None) -> None:
    from bridge.parity.report import page as report

    if html is not None:
        report.require(html)


def _require_only(context: typer.Context, taken: Collection[str], what: str) -> None:
    """Raise UsageError for options that a kind of check would pass over."""
    from bridge.errors import UsageError

    sources = {name: context.get_parameter_source(name) for name in context.params if name not in (*taken, *PRINTED)}
    odd = [
        name.replace("_", "-")
        for name, source in sources.items()
        if source is not None and source.name == "COMMANDLINE"
    ]
    if odd:
        listed = ", ".join(name if name == "reference" else f"--{name}" for name in odd)
        raise UsageError(f"{listed} and {what} at once", f"{what} takes no {listed}", "leave one of them out")


def finish(found: Check, as_json: bool, html: Path | None = None, annotate: bool = False) -> None:
    """Print a check, write its report, and exit with 1 where it did not pass."""
    from bridge.commands import print_json
    from bridge.parity.annotations import annotation, in_github_actions
    from bridge.parity.report import page as report

    if html is not None:
        report.write(found, html)

    if as_json:
        print_json("check", found.to_json())
    else:
        show(found)
    if not found.passed:
        if annotate or in_github_actions():
            message = "\n".join(filter(None, (found.verdict, found.explanation, f"against {found.comparison.oracle}")))
            tell(annotation("bridge check", message, Path(found.model)))
        raise typer.Exit(1)


def _steps(context: typer.Context, file: Path, steps: Path, profile: str, training_profile: Path | None) -> Check:
    """Check the training iterations of a network, or of a recipe's with the recipe's switches."""
    from bridge.options.profile import TrainingProfile
    from bridge.parity.steps import check_steps
    from bridge.readers import load
    from bridge.recipes.recipe import Recipe

    _require_only(context, ("file", "steps", "profile", "training_profile"), "--steps")
    settled = None if training_profile is None else TrainingProfile.load(training_profile)
    if file.suffix.lower() != ".toml":
        return check_steps(load(file), steps, profile=profile, settled=settled)
    recipe = Recipe.load(file)
    network = recipe.load_base().initialize(recipe.rng.stream())
    return check_steps(network, steps, semantics=recipe.options.semantics.overrides(), profile=profile, settled=settled)


def _tolerances(given: Sequence[str]) -> dict[str, float]:
    from bridge.errors import UsageError

    tolerances = {}
    for each in given:
        layer, _, number = each.rpartition("=")
        try:
            tolerances[layer] = float(number)
        except ValueError:
            layer = ""
        if not layer:
            raise UsageError(
                f"'{each}' is no tolerance", "it is a layer's name or a glob, and a number", "--tolerance 'pool*=1e-3'"
            )
    return tolerances


def show(found: Check) -> None:
    """Print the worst layers, the notes and, last, the cause and the verdict."""
    say(f"{found.model} against {found.comparison.oracle}, profile {found.profile.name}")
    if found.layers:
        _worst(found).print()
    say(*(f"note: {note}" for note in found.notes), *filter(None, (found.explanation, found.verdict)))


def _worst(found: Check) -> Rows:
    """Return the layers that differ most, in the order they run."""
    of_layers = found.comparison.unit == "layer"
    numbers = ("max |d|", "of range", "allowed", *(("ULPs", "cosine", "outside", "classes") if of_layers else ()))
    table = Rows(found.comparison.unit.capitalize(), *numbers, right=numbers, whole=numbers)
    table.table.padding = (0, 1, 0, 0)
    worst = sorted(found.layers, key=lambda each: each.relative, reverse=True)[:WORST]
    for each in found.layers:
        if each in worst or each is found.first_divergence:
            told = f"{each.agreement[0]}/{each.agreement[1]}" if each.agreement else ""
            cells = [f"{number:.1e}" for number in (each.max_abs, each.relative, each.allowed)]
            if of_layers:
                cells += [f"{each.ulps:.3g}", f"{each.cosine:.7f}", f"{each.outside:.1%}", told]
            table.add(each.layer, *([each.size] if each.size else cells))
    return table
