"""From what a script's variables hold, where it trains, to the parts of a recipe."""

from __future__ import annotations

from bridge.errors import BridgeError
from bridge.recipes.parts import Base
from bridge.recipes.recipe import Recipe
from bridge.recipes.script import graphs
from bridge.recipes.script.data import data_of
from bridge.recipes.script.edits import assembly_of, edits_of
from bridge.recipes.script.evaluate import Entry, Evaluator
from bridge.recipes.script.settings import loss_of, options_of
from bridge.recipes.script.traps import traps
from bridge.recipes.script.values import Graph, Layers, Place, Training, Unknown
from bridge.recipes.script.writing import Placed, Problems, Unreadable


class Assembly:
    """Puts the parts of a recipe together; what does not fit in is listed."""

    def __init__(self, reader: Evaluator, call: Training, file: str) -> None:
        self.reader, self.call, self.file = reader, call, file
        self.facts: list[Entry] = []
        self.lines: dict[tuple[str, str | int], str] = {}
        if len({each.place for each in reader.trainings}) > 1:
            self.problem(call.place, f"the script trains {len(reader.trainings)} times, a recipe once: the last one is read")

    def entry(self, place: Place, what: str) -> Entry:
        script = self.reader.script
        name, line = place
        found = script if name == script.path.name else next((each for each in script.beside.values() if each and each.path.name == name), script)
        return Entry(place, found.quote(line), what)

    def fact(self, place: Place, what: str, *keys: tuple[str, str | int]) -> None:
        entry = self.entry(place, what)
        self.facts.append(entry)
        for key in keys:
            self.lines[key] = f"line {entry.line}: {entry.text}"

    def problem(self, place: Place, what: str) -> None:
        self.reader.problems[self.entry(place, what)] = None

    def report(self, place: Place, what: str) -> None:
        self.reader.reports[self.entry(place, what)] = None

    def keep(self, place: Place, what: str) -> None:
        self.reader.kept[self.entry(place, what)] = None

    def recipe(self) -> Recipe | None:
        """Return the recipe, as far as it was understood; None where its network was not."""
        base, edits, graph = self.network()
        trainer = "trainnet" if self.call.function in ("trainnet", "custom loop") else "trainNetwork"
        options, per_epoch = options_of(self, trainer)
        data = data_of(self, graph, per_epoch)
        loss = loss_of(self, trainer)
        traps(self, graph)
        return Recipe(base, options, tuple(each.edit for each in edits), loss, data, folder=self.reader.script.path.parent) if base is not None else None

    def network(self) -> tuple[Base | None, list[Placed], Graph | None]:
        """Return where the recipe starts, its edits, and the graph that is trained."""
        found = self.call.network
        if isinstance(found, Layers):
            named = graphs.with_names(found)
            found = Graph(named, graphs.chained(named), "Layers")
        if not isinstance(found, Graph) or not found.layers:
            place, text = (found.place, found.why or found.text) if isinstance(found, Unknown) else (self.call.place, "it is no network, or has no layers")
            self.problem(place, f"the network that is trained is not known: {text}")
            base = Base(found.network, found.file) if isinstance(found, Unknown) else Base()
            return base if base != Base() else None, [], None
        origin = found.origin
        names = [item.name for item in found.layers]
        twice = next((item for item in found.layers if names.count(item.name) > 1), None)
        if twice is not None:
            self.problem(twice.frozen or twice.place, f"two layers are named '{twice.name}', which MATLAB refuses")
            return Base(origin.name, self.file or origin.file) if origin is not None else None, [], found
        base = Base(name=origin.name, file=self.file or origin.file) if origin is not None else Base()
        if origin is not None:
            self.fact(origin.place, f"network {base.name or base.file}", ("network", "name" if base.name else "file"))
        problems: Problems = []
        try:
            edits = edits_of(found, origin.network, problems) if origin is not None else assembly_of(found, problems)
        except Unreadable as error:
            self.problem(error.place, error.what)
            return base if origin is not None else None, [], found
        except BridgeError as error:
            self.problem(self.call.place, f"the network cannot be made from the recipe: {error.error}; {error.cause}")
            return base if origin is not None else None, [], found
        for problem in problems:
            self.problem(*problem)
        for index, each in enumerate(edits):
            self.fact(each.place, each.edit.source().removeprefix("net = net."), ("edits", index))
        return base, edits, found
