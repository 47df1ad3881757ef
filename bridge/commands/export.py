"""bridge export: write a network for MATLAB, or for whom the ending of the file names: .onnx, .pt2,
.safetensors, .py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from bridge.commands import arguments
from bridge.commands.terminal import say, tell


def export(
    file: arguments.File,
    output: Path = typer.Option(
        ...,
        "-o",
        "--output",
        help="What to write; its ending tells the form: .mat (for MATLAB), .onnx, .pt2, .safetensors or .py.",
    ),
    force: bool = typer.Option(False, "--force", help="Replace a file that is there."),
    strict: bool = typer.Option(False, "--strict", help="Write nothing if the form cannot hold all of the network."),
    test: bool | None = typer.Option(
        None, "--test/--no-test", help="For MATLAB: put in a test input and torch's output. Default: yes."
    ),
    opset: int | None = typer.Option(None, help="For .onnx: the opset of its operators. Default: 14."),
    unpooling: str | None = typer.Option(
        None, help="For .onnx: max unpooling as 'onnx' or 'mathworks' has it. Default: onnx."
    ),
    steps: int | None = typer.Option(
        None, help="For .pt2: how long sequences are, where torch.export fixes that. Default: 7."
    ),
    factors: arguments.Factors = None,
    variable: arguments.Variable = None,
    mappings: arguments.Mappings = None,
    modules: arguments.Modules = None,
    classes: arguments.Classes = None,
    as_json: arguments.AsJson = False,
) -> None:
    """Write a network as .mat, .onnx, .pt2, .safetensors or .py. What is lost is told first."""
    from bridge.commands import print_json
    from bridge.readers import load
    from bridge.writers import export as write

    given: dict[str, Any] = {"test": test, "opset": opset, "unpooling": unpooling, "steps": steps}
    if modules is not None:
        from bridge.modules.build import modules_from

        given["modules"] = modules_from(modules)
    network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes)
    options = {name: value for name, value in given.items() if value is not None}
    written = write(network, output, force=force, strict=strict, tell=lambda text: tell(f"note: {text}"), **options)
    if as_json:
        print_json(
            "export",
            {
                "written": [str(path) for path in written.paths],
                "losses": list(written.losses),
                "notes": list(written.notes),
            },
        )
    else:
        say(*(f"wrote {path}" for path in written.paths), written.hint)
