"""A script -> recipes, with the line of each entry, and the list of what was not understood."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.network import Network
from bridge.options.options import TRAINERS
from bridge.recipes.parts import Base
from bridge.recipes.recipe import Recipe
from bridge.scripts.language import general, paths, random, texts  # the functions that are known
from bridge.scripts.language.evaluate import Evaluator
from bridge.scripts.language.findings import Entry, Findings, Key
from bridge.scripts.language.statements import same
from bridge.scripts.language.syntax import Script
from bridge.scripts.language.values import Place, Unknown, described
from bridge.scripts.reading import networks, surgery, training
from bridge.scripts.reading.data import data_of
from bridge.scripts.reading.graphs import as_network
from bridge.scripts.reading.objects import LayerArray, ToldNetwork, Training, UnknownNetwork
from bridge.scripts.reading.randomness import rng_of
from bridge.scripts.reading.settings import loss_of, options_of
from bridge.scripts.reading.structure import Placed, Unreadable, assembly_of, edits_of
from bridge.scripts.reading.study import Study
from bridge.scripts.reading.traps import image_input, report_traps
from bridge.tables.layers import table
from bridge.tables.pretrained import without_weights

KNOWN = (general, texts, paths, random, networks, surgery, training)
MOST_TRAININGS = 100
UPDATED = {"rules": "trainnet", "recipe": True}  # of a custom loop


@dataclass(frozen=True)
class Reading:
    """What a script says of one training.

    Attributes:
        recipe: the recipe; None where the network, or what is done to it, was not understood.
        facts: what was read, each with its line.
        kept: what was kept as text.
        not_understood: lines that affect training and were not understood.
        reports: what is odd in the script.
        lines: entry of the recipe, ("options", "MaxEpochs") or ("edits", 0) -> the line that says it, for comments.
        number, count: which training of the script it is, and how many there are.
    """

    recipe: Recipe | None
    facts: list[Entry]
    kept: list[Entry]
    not_understood: list[Entry]
    reports: list[Entry]
    lines: Mapping[Key, str] = field(default_factory=dict)
    number: int = 1
    count: int = 1

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
        return self.recipe.seen_from(Path(path).parent).save(path, force=force, comments=self.lines)

    @property
    def entries(self) -> dict[str, list[Entry]]:
        """All that is told, by kind."""
        return {name: getattr(self, name) for name in ("facts", "kept", "reports", "not_understood")}

    def by_line(self) -> dict[Place, list[tuple[str, Entry]]]:
        """Return what is told of each line, with its kind, file by file in the order of the lines."""
        told: dict[Place, list[tuple[str, Entry]]] = {}
        for kind, entries in self.entries.items():
            for entry in entries:
                told.setdefault(entry.place, []).append((kind, entry))
        return dict(sorted(told.items()))

    def to_mapping(self) -> dict[str, Any]:
        """Return everything as plain values, for JSON."""
        found = {
            name: [{"file": e.place[0], "line": e.line, "text": e.text, "what": e.what} for e in entries]
            for name, entries in self.entries.items()
        }
        return {
            "recipe": self.recipe.to_mapping() if self.recipe is not None else None,
            "training": self.number,
            "trainings": self.count,
            **found,
            "exit_code": self.exit_code,
        }


def read(path: str | Path, network: str | Path | Network | None = None, *, training: int | None = None) -> Reading:
    """Read the recipe in a MATLAB script. Nothing is executed, and no file outside the script's folder is opened.

    Args:
        path: the .m file.
        network: the network that the script starts from, as a Network or a file; without it, MATLAB's pretrained
            networks are known by their architectures, and files beside the script are opened.
        training: which training of the script, from 1; without it the last one.

    Raises:
        UnreadableError: the file is no script, or holds no training.
        UsageError: there is no training of that number.
    """
    found = read_all(path, network)
    number = len(found) if training is None else training
    if not 1 <= number <= len(found):
        raise UsageError(
            f"{path} has no training number {number}", f"it trains {len(found)} times", "they are counted from 1"
        )
    return found[number - 1]


def read_all(path: str | Path, network: str | Path | Network | None = None) -> list[Reading]:
    """Read the recipe of each training in a MATLAB script; see `read`. Those that are alike count once."""
    script = Script.load(Path(path))
    given = network
    if isinstance(network, (str, Path)):
        from bridge.readers import load

        given = load(network)
    file = os.path.relpath(network, script.path.parent) if isinstance(network, (str, Path)) else ""
    study, findings = Study(given if isinstance(given, Network) else None), Findings(script)
    variables: dict[str, Any] = {}
    with _followed(path):
        Evaluator(script, study, findings).main(variables)
        calls = _distinct(study.trainings, findings)
        calls = calls or [each for each in (study.custom or _without_call(study, variables),) if each is not None]
        if not calls:
            raise UnreadableError(
                f"{path} holds no training that was found",
                "it calls none of MATLAB's functions that train",
                "give the script that trains",
            )
        return [
            _reading(call, study, findings.copy(), file, number, len(calls)) for number, call in enumerate(calls, 1)
        ]


def _distinct(trainings: list[Training], findings: Findings) -> list[Training]:
    """Return the trainings without those that a loop repeats."""
    found: list[Training] = []
    for each in trainings:
        if not any(same(each, other) for other in found if other.place == each.place):
            found.append(each)
    for place in dict.fromkeys(each.place for each in found):
        calls = sum(each.place == place for each in trainings)
        kinds = sum(each.place == place for each in found)
        if calls > kinds:
            findings.report(place, f"it trains {calls} times, {'all alike' if kinds == 1 else f'in {kinds} ways'}")
    if len(found) > MOST_TRAININGS:
        findings.problem(found[MOST_TRAININGS].place, f"only {MOST_TRAININGS} of {len(found)} trainings are read")
    return found[:MOST_TRAININGS]


@contextmanager
def _followed(path: str | Path) -> Iterator[None]:
    try:
        yield
    except RecursionError as error:
        cause = "calls, blocks or operators within each other go beyond what can be followed"
        raise UnreadableError(
            f"{path} is nested too deeply, or holds too long an expression", cause, "split the expression"
        ) from error


def _without_call(study: Study, variables: Mapping[str, Any]) -> Training | None:
    """Return the training that a script prepares without a call, None where it prepares none."""
    found = [each for each in variables.values() if isinstance(each, (ToldNetwork, LayerArray))]
    if study.options is None or not found:
        return None
    newer = any(isinstance(each, ToldNetwork) and each.kind == "dlnetwork" for each in found)
    return Training(TRAINERS[newer], (), (), found[-1], study.options, None, study.options.place)


def _reading(call: Training, study: Study, findings: Findings, file: str, number: int, count: int) -> Reading:
    """Return what a script says of one training, as far as it was understood.

    Args:
        file: the network that was passed for the one that the script starts from, "" without.
    """
    network = as_network(call.network)
    row = table("scripts")["trainers"].get(call.function, UPDATED)
    if network is not None:
        base, edits = _base_and_edits(call, network, findings, file)
    else:
        base, edits = _unknown_base(call, study, findings, file), []
    options, per_epoch = options_of(call, row["rules"], network, findings)
    data = data_of(call, image_input(network), per_epoch, findings)
    loss = loss_of(call, network, findings)
    rng = rng_of(call, network, findings)
    report_traps(call, network, findings)
    _report_detector(call, row, findings)
    recipe = None
    if base is not None:
        edited = tuple(each.edit for each in edits)
        recipe = Recipe(base, options, edited, loss, data, rng, folder=findings.script.path.parent)
    found = (findings.facts, findings.kept, findings.problems, findings.reports)
    facts, kept, problems, reports = (sorted(each, key=lambda entry: entry.place) for each in found)
    return Reading(recipe, facts, kept, problems, reports, findings.lines, number, count)


def _report_detector(call: Training, row: Mapping[str, Any], findings: Findings) -> None:
    """Tell what of a detector's training a recipe has no word for."""
    if not row.get("recipe"):
        findings.problem(
            call.place, f"{call.function} trains a {row['family']} detector: a recipe has no word for that"
        )
    for name, given in call.arguments.items():
        findings.keep(given.place, f"{name} = {described(given.value)}")
        if name not in row.get("harmless", ()) and row.get("recipe"):
            findings.problem(given.place, f"{name} of {call.function} is kept as text only")


def _unknown_base(call: Training, study: Study, findings: Findings, file: str) -> Base | None:
    """Return where a recipe of an unknown network starts: at the one that was passed, or at a name or a file."""
    found = call.network
    place, text = (
        (found.place, found.why or found.text)
        if isinstance(found, Unknown)
        else (call.place, "it is no network, or has no layers")
    )
    taken = "; the one that was passed is taken as it is" if study.network is not None else ""
    findings.problem(place, f"the network that is trained is not known: {text}{taken}")
    if taken:
        return Base(file=file)
    named = isinstance(found, UnknownNetwork) and bool(found.network or found.file)
    return Base(found.network, found.file) if named and isinstance(found, UnknownNetwork) else None


def _base_and_edits(
    call: Training, network: ToldNetwork, findings: Findings, file: str
) -> tuple[Base | None, list[Placed]]:
    """Return where the recipe starts, None where that is not known, and its edits."""
    origin = network.origin
    base = Base(name=origin.name, file=file or origin.file, untrained=origin.untrained) if origin is not None else None
    if base is not None and origin is not None:
        findings.fact(origin.place, f"network {base.name or base.file}", ("network", "name" if base.name else "file"))
        if base.name and not base.file and not origin.untrained:
            findings.report(origin.place, without_weights(base.name))
    trained = next((layer.trained for layer in network.told if layer.trained is not None), None)
    if trained is not None:
        what = f"it goes on with the network that line {trained[1]} trains; pass that with --network"
        findings.problem(call.place, what)
    try:
        edits = edits_of(network, origin.network, findings) if origin is not None else assembly_of(network, findings)
    except Unreadable as error:
        findings.problem(error.place, error.what)
        return base, []
    except BridgeError as error:
        findings.problem(call.place, f"the network cannot be made from the recipe: {error.error}; {error.cause}")
        return base, []
    for index, each in enumerate(edits):
        findings.fact(each.place, each.edit.source().removeprefix("net = net."), ("edits", index))
    return base or Base(), edits
