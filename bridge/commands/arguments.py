"""Arguments and options that several verbs take, in the same words."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from bridge.commands import completion

File: TypeAlias = Annotated[
    Path, typer.Argument(help="The network: an .onnx or .mat file, a saved folder, or the folder of a training.")
]
Factors: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="A .mat of the same network, with its factors, classes and layer names, proven by equal arrays."),
]
Variable: TypeAlias = Annotated[
    str | None,
    typer.Option(help="Which network of a .mat, by its address as inspect lists them: results{3}.net."),
]
Mappings: TypeAlias = Annotated[Path | None, typer.Option(help="A TOML file with rows for layer classes of your own.")]
Modules: TypeAlias = Annotated[
    Path | None, typer.Option(help="A Python file of yours (it is run) with MODULES = {'my.Layer': MyLayer}.")
]
Classes: TypeAlias = Annotated[
    Path | None, typer.Option(help="Class names: a text file with one a line, a .mat, or vars.mat:NAME.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
InputDims: TypeAlias = Annotated[str, typer.Option(help="The dimensions of input arrays in order, H W D C N T: HWCN.")]
Recipe: TypeAlias = Annotated[
    str,
    typer.Argument(
        help="A recipe (TOML), a MATLAB script (.m), the name of a recipe that ships (googlenet-transfer, ...), or the "
        "folder of a run.",
        autocompletion=completion.recipes,
    ),
]
Setting: TypeAlias = Annotated[
    list[str], typer.Option("--set", help="NAME=VALUE: an option of trainingOptions, as MaxEpochs=3. May be repeated.")
]
Base: TypeAlias = Annotated[
    Path | None, typer.Option("--network", help="The network to train, instead of the recipe's own file.")
]
Untrained: TypeAlias = Annotated[
    bool,
    typer.Option("--untrained", help="Begin a network that the recipe names alone, as squeezenet, at random weights."),
]
BaseFactors: TypeAlias = Annotated[
    Path | None, typer.Option("--factors", help="For an .onnx: a .mat of the same network, with its factors.")
]
