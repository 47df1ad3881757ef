"""bridge import: read a network, build its PyTorch module, prove it, and save it on request."""

from __future__ import annotations

from pathlib import Path

import typer

from bridge.commands import arguments
from bridge.commands.terminal import say


def import_(
    file: arguments.File,
    factors: arguments.Factors = None,
    output: Path | None = typer.Option(
        None, "-o", "--output", help="The folder to save to; nothing is written without it."
    ),
    check: bool = typer.Option(True, help="Prove the module against the file."),
    variable: arguments.Variable = None,
    mappings: arguments.Mappings = None,
    modules: arguments.Modules = None,
    classes: arguments.Classes = None,
    as_json: arguments.AsJson = False,
) -> None:
    """Build the PyTorch module of a network, and prove it. Its arrays and outputs are held against the file."""
    from bridge.commands import print_json, tables
    from bridge.modules.build import modules_from
    from bridge.parity.proof import prove
    from bridge.readers import load

    network = load(file, factors=factors, mappings=mappings, variable=variable, classes=classes)
    model = network.to_torch(modules=modules_from(modules) if modules is not None else None)
    network = network.with_notes(
        *(
            f"layer '{name}' is the submodule '{module}'"
            for module, name in model.meta["layers"].items()
            if module != name
        )
    )
    if not as_json:
        tables.show(network)
    proof = prove(network, model, file) if check else None
    saved = network.save(output) if output is not None and (proof is None or proof.holds) else None
    if as_json:
        print_json(
            "import",
            {
                **tables.facts(network),
                "proof": str(proof) if proof else None,
                "holds": proof.holds if proof else None,
                "saved": str(saved) if saved else None,
            },
        )
    else:
        say(proof if proof is not None else "nothing was checked (--no-check)")
        if saved is not None:
            say(f"saved to {saved}")
    if proof is not None and not proof.holds:
        raise typer.Exit(1)
