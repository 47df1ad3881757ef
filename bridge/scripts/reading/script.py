"""A script -> a recipe, with the line of each entry, and the list of what was not understood."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.network import Network
from bridge.recipes.parts import Base
from bridge.recipes.recipe import Recipe
from bridge.scripts.language import general  # the functions that are known
from bridge.scripts.language.evaluate import Evaluator
from bridge.scripts.language.syntax import Script
from bridge.scripts.language.values import Graph, Layers, Training, Unknown
from bridge.scripts.reading import networks, surgery, training
from bridge.scripts.reading.data import data_of
from bridge.scripts.reading.edits import assembly_of, edits_of
from bridge.scripts.reading.findings import Entry, Findings, Key
from bridge.scripts.reading.graphs import chained, with_names
from bridge.scripts.reading.settings import loss_of, options_of
from bridge.scripts.reading.traps import report_traps
from bridge.scripts.reading.writing import Placed, Unreadable

KNOWN = (general, networks, surgery, training)


@dataclass(frozen=True)
class Reading:
    """What a script says.

    Attributes:
        recipe: the recipe; None where the network, or what is done to it, was not understood.
        facts: what was read, each with its line.
        kept: what was kept as text.
        not_understood: lines that affect training and were not understood.
        reports: what is odd in the script.
        lines: entry of the recipe, ("options", "MaxEpochs") or ("edits", 0) -> the line that says it, for comments.
    """

    recipe: Recipe | None
    facts: list[Entry]
    kept: list[Entry]
    not_understood: list[Entry]
    reports: list[Entry]
    lines: Mapping[Key, str] = field(default_factory=dict)

    @property
    def exit_code(self) -> int:
        """0, or 3 where something that affects training was not understood."""
        return 3 if self.not_understood or self.recipe is None else 0

    def to_toml(self) -> str:
        """Return the recipe as TOML, with the script's line beside each entry."""
        return self.recipe.to_toml(self.lines) if self.recipe is not None else ""

    def save(self, path: str | Path, *, force: bool = False) -> Path:
        """Write the recipe as TOML; the paths in it are seen from its own folder.

        Raises:
            UsageError: there is no recipe, the file exists (without `force`), or cannot be written.
        """
        if self.recipe is None:
            lines = "; ".join(f"line {entry.line}: {entry.what}" for entry in self.not_understood)
            raise UsageError(
                "there is no recipe to write", lines, "pass the network that the script starts from with --network"
            )
        return _seen_from(self.recipe, Path(path).parent).save(path, force=force, comments=self.lines)

    def to_mapping(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        lists = {"facts": self.facts, "kept": self.kept, "not_understood": self.not_understood, "reports": self.reports}
        found = {
            name: [{"file": e.place[0], "line": e.line, "text": e.text, "what": e.what} for e in entries]
            for name, entries in lists.items()
        }
        return {
            "recipe": self.recipe.to_mapping() if self.recipe is not None else None,
            **found,
            "exit_code": self.exit_code,
        }


def _seen_from(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe for another folder: its paths are relative to that."""

    def moved(path: str) -> str:
        return Path(os.path.relpath(recipe.folder / path, folder)).as_posix() if path else ""

    data = replace(recipe.data, path=moved(recipe.data.path), validation=moved(recipe.data.validation))
    return replace(recipe, base=replace(recipe.base, file=moved(recipe.base.file)), data=data, folder=folder)


def read(path: str | Path, network: str | Path | Network | None = None) -> Reading:
    """Read the recipe in a MATLAB script. Nothing is executed, and no file outside the script's folder is opened.

    Args:
        path: the .m file.
        network: the network that the script starts from, as a Network or a file; without it, MATLAB's pretrained
            networks are known by their architectures, and files beside the script are opened.

    Raises:
        UnreadableError: the file is no script, or holds no training.
        UsageError: the script refers to a layer that the network does not have, or assigns ranges of different lengths;
            the line is quoted.
    """
    script = Script.load(Path(path))
    given = network
    if isinstance(network, (str, Path)):
        from bridge.readers import load

        given = load(network)
    reader = Evaluator(script, given if isinstance(given, Network) else None)
    findings = reader.findings
    variables: dict[str, Any] = {}
    with _followed(path):
        reader.main(variables)
        call = reader.trainings[-1] if reader.trainings else reader.custom or _without_call(reader, variables)
        if call is None:
            raise UnreadableError(
                f"{path} holds no training that was found",
                "it calls neither trainNetwork nor trainnet",
                "give the script that trains",
            )
        if len({each.place for each in reader.trainings}) > 1:
            findings.problem(
                call.place, f"the script trains {len(reader.trainings)} times, a recipe once: the last one is read"
            )
        file = os.path.relpath(network, script.path.parent) if isinstance(network, (str, Path)) else ""
        recipe = _recipe(call, findings, file)
    facts, kept, problems, reports = (
        sorted(each, key=lambda e: e.place)
        for each in (findings.facts, findings.kept, findings.problems, findings.reports)
    )
    return Reading(recipe, facts, kept, problems, reports, findings.lines)


@contextmanager
def _followed(path: str | Path) -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        cause = "calls, blocks or operators within each other go beyond what can be followed"
        raise UnreadableError(
            f"{path} is nested too deeply, or holds too long an expression", cause, "split the expression"
        ) from error


def _without_call(reader: Evaluator, variables: Mapping[str, Any]) -> Training | None:
    """Return the training that a script prepares without a call, None where it prepares none."""
    networks = [each for each in variables.values() if isinstance(each, (Graph, Layers))]
    if reader.options is None or not networks:
        return None
    newer = any(isinstance(each, Graph) and each.kind == "dlnetwork" for each in networks)
    return Training(
        "trainnet" if newer else "trainNetwork", (), (), networks[-1], reader.options, None, reader.options.place
    )


def _recipe(call: Training, findings: Findings, file: str) -> Recipe | None:
    """Return the recipe of a training, as far as it was understood; None where its network was not.

    Args:
        file: the network that was passed for the one that the script starts from, "" without.
    """
    graph = _graph(call.network)
    base, edits = _network(call, graph, findings, file)
    trainer = "trainnet" if call.function in ("trainnet", "custom loop") else "trainNetwork"
    options, per_epoch = options_of(call, trainer, findings)
    data = data_of(call, graph, per_epoch, findings)
    loss = loss_of(call, trainer, findings)
    report_traps(call, graph, findings)
    return (
        Recipe(base, options, tuple(each.edit for each in edits), loss, data, folder=findings.script.path.parent)
        if base is not None
        else None
    )


def _graph(found: object) -> Graph | None:
    """Return the graph that is trained, None where it is not known."""
    if isinstance(found, Layers):
        layers = with_names(found)
        found = Graph(layers, chained(layers), "Layers")
    return found if isinstance(found, Graph) and found.layers else None


def _network(call: Training, graph: Graph | None, findings: Findings, file: str) -> tuple[Base | None, list[Placed]]:
    """Return where the recipe starts, None where that is not known, and its edits."""
    if graph is None:
        found = call.network
        place, text = (
            (found.place, found.why or found.text)
            if isinstance(found, Unknown)
            else (call.place, "it is no network, or has no layers")
        )
        findings.problem(place, f"the network that is trained is not known: {text}")
        return Base(found.network, found.file) if isinstance(found, Unknown) and (
            found.network or found.file
        ) else None, []
    origin = graph.origin
    base = Base(name=origin.name, file=file or origin.file) if origin is not None else None
    if base is not None and origin is not None:
        findings.fact(origin.place, f"network {base.name or base.file}", ("network", "name" if base.name else "file"))
    names = [item.name for item in graph.layers]
    twice = next((item for item in graph.layers if names.count(item.name) > 1), None)
    if twice is not None:
        findings.problem(twice.frozen or twice.place, f"two layers are named '{twice.name}', which MATLAB refuses")
        return base, []
    try:
        edits = edits_of(graph, origin.network, findings) if origin is not None else assembly_of(graph, findings)
    except Unreadable as error:
        findings.problem(error.place, error.what)
        return base, []
    except BridgeError as error:
        findings.problem(call.place, f"the network cannot be made from the recipe: {error.error}; {error.cause}")
        return base, []
    for index, each in enumerate(edits):
        findings.fact(each.place, each.edit.source().removeprefix("net = net."), ("edits", index))
    return base or Base(), edits
