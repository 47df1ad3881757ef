"""bridge export: write a network for MATLAB, or for whom the ending of the file names: .onnx, .pt2,
.safetensors, .py.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bridge.commands import arguments
from bridge.commands.terminal import say, tell

if TYPE_CHECKING:
    from bridge.network import Network
    from bridge.parity.exported import ExportProof


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
    check: bool = typer.Option(True, help="Read the file again, and hold it against the network."),
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
    written = write(network, output, force=force, strict=strict, tell=tell, **options)
    proof = _proof(network, written.paths[0], options) if check else None
    if as_json:
        print_json(
            "export",
            {
                "written": [str(path) for path in written.paths],
                "losses": list(written.losses),
                "notes": list(written.notes),
                "proof": str(proof) if proof else None,
                "holds": proof.holds if proof else None,
            },
        )
    else:
        checked = "nothing was checked (--no-check)" if not check else proof or "not checked: the network has no module"
        say(*(f"wrote {path}" for path in written.paths), written.hint, checked)
    if proof is not None and not proof.holds:
        raise typer.Exit(1)


def _proof(network: Network, path: Path, options: Mapping[str, Any]) -> ExportProof | None:
    """Return what reading the file again proves; None for a network without a module, which .mat and .onnx may hold."""
    from bridge.errors import UnsupportedError
    from bridge.parity.exported import prove_export

    try:
        return prove_export(network, path, **{name: options[name] for name in ("modules", "steps") if name in options})
    except UnsupportedError:
        return None
