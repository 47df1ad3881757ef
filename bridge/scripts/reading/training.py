"""Data, trainingOptions and the calls that train."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bridge.scripts.language.calls import Call, reads
from bridge.scripts.language.values import Many, Unknown
from bridge.scripts.reading.graphs import as_network
from bridge.scripts.reading.objects import Augmenter, Datastore, OfData, Schedule, Sourced, ToldOptions, Training
from bridge.scripts.reading.study import study
from bridge.tables.layers import table

WORDS: Mapping[str, Any] = table("scripts")
OPTIONS: Mapping[str, Any] = table("training_options")
TRAINERS: Mapping[str, Mapping[str, Any]] = WORDS["trainers"]


def _arguments(call: Call, first: int) -> dict[str, Sourced]:
    """Return arguments by position as "1", "2", ..., and those by name."""
    found = {
        str(index): Sourced(value, place)
        for index, (value, place) in enumerate(zip(call.values[:first], call.places, strict=False), 1)
    }
    return found | {name: Sourced(value, call.places[at]) for name, (value, at) in call.named(first).items()}


def _by_position(call: Call, least: int) -> int:
    """Return how many arguments stand before the first name."""
    return next((at for at in range(least, len(call.values)) if isinstance(call.values[at], str)), len(call.values))


@reads(*WORDS["datastores"])
def _store(call: Call) -> Any:
    return Datastore(call.function, call.text, call.place, _arguments(call, _by_position(call, 1)))


@reads("imageDataAugmenter")
def _augmenter(call: Call) -> Any:
    return Augmenter(call.text, _arguments(call, 0))


@reads("splitEachLabel", takes=(Datastore,))
def _split(call: Call, store: Datastore) -> Any:
    rest = call.values[1:]
    numbers = [each for each in rest if isinstance(each, (int, float)) and not isinstance(each, bool)]
    texts = [str(each).lower() for each in rest if isinstance(each, str)]
    strange = len(numbers) + len(texts) != len(rest) or not set(texts) <= {"randomized", "randomize"}
    split = () if strange else tuple(map(float, numbers)), bool(texts)
    draws = call.reader.draws if texts else None
    if draws is not None:
        call.reader.draws = draws.deferring()
    parts = [
        Datastore(call.function, call.text, call.place, dict(store.arguments), store, index, split, draws)
        for index in range(max(call.outputs, 1))
    ]
    return Many(parts) if call.outputs > 1 else parts[0]


@reads(*WORDS["views"])
def _view(call: Call) -> Any:
    """A datastore made of another one, or of arrays."""
    at = next((index for index, each in enumerate(call.values) if isinstance(each, Datastore)), None)
    if at is None and call.function not in WORDS["of_arrays"]:
        return call.unknown()
    arguments = _arguments(call, at + 1 if at is not None else _by_position(call, 0))
    return Datastore(call.function, call.text, call.place, arguments, None if at is None else call.values[at])


@reads("shuffle", "copy", takes=(object,))
def _alike(call: Call, store: Any) -> Any:
    return store


# Numbers and lists that the data tell


@reads("countEachLabel", takes=(Datastore,))
def _count_each(call: Call, store: Datastore) -> Any:
    return OfData("label counts", store)


@reads("numel", "length", "size", "height", of=OfData)
def _count(call: Call) -> Any:
    value = call.values[0]
    whole = call.function != "size" or call.values[1:] == (1,)
    kind = WORDS["counts"].get(value.kind) if whole else None
    return OfData(kind, value.data) if kind else call.unknown()


@reads("floor", "fix", "ceil", "round", "abs", "double", "single", of=OfData)
def _rounded(call: Call) -> Any:
    value = call.values[0]
    whole = value.kind in WORDS["counts"].values() or (value.kind == "iterations" and call.function in ("floor", "fix"))
    return value if whole else call.unknown()


@reads("max", of=OfData)
def _at_least(call: Call) -> Any:
    """`max(1, iterations)` is what it is of."""
    found = [each for each in call.values if isinstance(each, OfData)]
    return found[0] if len(found) == 1 and found[0].kind == "iterations" and 1 in call.values else call.unknown()


@reads("mrdivide", "rdivide", of=OfData)
def _divided(call: Call) -> Any:
    value, by = call.values
    if not isinstance(value, OfData) or not isinstance(by, (int, float)) or by <= 0:
        return call.unknown()
    of = {"observations": value.data, "elements": value}
    return OfData("iterations", of[value.kind], float(by)) if value.kind in of else call.unknown()


@reads("categories", "unique", of=OfData)
def _categories(call: Call) -> Any:
    """The class names of the data, whose number training requires the network to have."""
    value = call.values[0]
    return OfData("classes", value.data) if value.kind == "labels" else call.unknown()


@reads("categories", "unique", of=Unknown)
def _of_elsewhere(call: Call) -> Any:
    """The class names of data that are made elsewhere."""
    return call.unknown() if call.values[0].why else OfData("classes", call.values[0])


@reads("numel", "length", of=Unknown)
def _count_elsewhere(call: Call) -> Any:
    """How many there are of data that are made elsewhere; of targets, as many as observations."""
    return call.unknown() if call.values[0].why else OfData("elements", call.values[0])


# Options and the calls that train


@reads(*OPTIONS["schedules"])
def _schedule(call: Call) -> Any:
    return Schedule({"schedule": call.function, **{name: value for name, (value, _) in call.named(0).items()}})


@reads("trainingOptions", takes=(str,), why="the arguments of trainingOptions are not understood")
def _options(call: Call, solver: str) -> Any:
    if len(call.values) % 2 == 0:
        return call.unknown("the arguments of trainingOptions are not understood")
    known = {name.lower(): name for name in OPTIONS["options"]}
    given = {
        known.get(name.lower(), name): Sourced(value, call.places[at]) for name, (value, at) in call.named(1).items()
    }
    if len(given) != len(call.values) // 2:
        return call.unknown("an option has no name that is known, or is given twice")
    study(call).options = made = ToldOptions(solver.lower(), given, call.place, call.text)
    return made


@reads(*TRAINERS)
def _training(call: Call) -> Any:
    """Note what trains; the network it gives is known by its layers.

    The table tells what stands before the options: the data, then the network and, for some, a loss.
    """
    row, values = TRAINERS[call.function], call.values
    last = len(values) - 1
    at = next(
        (index for index, each in enumerate(values) if isinstance(each, ToldOptions)),
        min(last, row.get("options", last)),
    )
    loss = values[at - 1] if row.get("loss") and at > 0 else None
    end = row.get("network", at - 1 - bool(row.get("loss")))  # the data stand before it
    network = values[end] if 0 < end < at else Unknown(call.text, call.place, "the network is missing")
    options, data = values[at] if values else None, values[: max(end, 0)]
    arguments = {name: Sourced(value, call.places[index]) for name, (value, index) in call.named(at + 1).items()}
    texts, draws = call.texts[: len(data)], call.reader.draws
    study(call).trainings.append(
        Training(call.function, data, texts, network, options, loss, call.place, arguments, draws)
    )
    made = as_network(network)
    if made is not None:
        network = made.with_told(replace(layer, trained=call.place) for layer in made.told)
    call.reader.draws = draws.unknown(f"how much the training of line {call.place[1]} draws depends on its data")
    return Many((network, Unknown(call.text, call.place))) if call.outputs > 1 else network


@reads(*WORDS["custom_loop"])
def _custom(call: Call) -> Any:
    """A part of a custom training loop: kept, with the solver and the numbers that are known."""
    call.reader.findings.keep(call.place, "custom training loop")
    call.reader.findings.problem(call.place, "a custom training loop is kept as text only")
    update = WORDS["updates"].get(call.function)
    if update is not None:
        arguments = _arguments(call, len(call.values))
        held = {name: arguments.get(str(at)) for name, at in update["options"].items()}
        given = {name: each for name, each in held.items() if each is not None and isinstance(each.value, (int, float))}
        given |= {name: Sourced(value, call.place) for name, value in WORDS["absent_in_loops"].items()}
        found = study(call)
        found.options = ToldOptions(update["solver"], given, call.place, call.text)
        network = call.values[0] if call.values else None
        found.custom = Training(call.function, (), (), network, found.options, None, call.place)
    return Unknown(call.text, call.place)
