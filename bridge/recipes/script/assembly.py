"""From what a script's variables hold, where it trains, to the recipe."""

from __future__ import annotations

from bridge.errors import BridgeError
from bridge.recipes.parts import Base
from bridge.recipes.recipe import Recipe
from bridge.recipes.script.data import data_of
from bridge.recipes.script.edits import assembly_of, edits_of
from bridge.recipes.script.findings import Findings
from bridge.recipes.script.graphs import chained, with_names
from bridge.recipes.script.settings import loss_of, options_of
from bridge.recipes.script.traps import report_traps
from bridge.recipes.script.values import Graph, Layers, Training, Unknown
from bridge.recipes.script.writing import Placed, Unreadable


def recipe_of(call: Training, findings: Findings, file: str) -> Recipe | None:
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
    return Recipe(base, options, tuple(each.edit for each in edits), loss, data, folder=findings.script.path.parent) if base is not None else None


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
        place, text = (found.place, found.why or found.text) if isinstance(found, Unknown) else (call.place, "it is no network, or has no layers")
        findings.problem(place, f"the network that is trained is not known: {text}")
        return Base(found.network, found.file) if isinstance(found, Unknown) and (found.network or found.file) else None, []
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
