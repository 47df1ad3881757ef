"""Data, trainingOptions and the calls that train."""

from __future__ import annotations

from typing import Any

from bridge.scripts.language.evaluate import Call
from bridge.scripts.language.values import Augmenter, Many, Options, Schedule, Sourced, Store, Symbol, Training, Unknown
from bridge.scripts.reading.known import entries, named, reads, words
from bridge.tables.layers import table

VIEWS = (
    "augmentedImageDatastore",
    "combine",
    "transform",
    "subset",
    "shuffle",
    "copy",
    "minibatchqueue",
    "randomPatchExtractionDatastore",
)
SCHEDULES = tuple(table("training_options")["schedules"])


def _arguments(call: Call, first: int) -> dict[str, Sourced]:
    """Return arguments by position as "1", "2", ..., and those by name."""
    found = {
        str(index): Sourced(value, place)
        for index, (value, place) in enumerate(zip(call.values[:first], call.places, strict=False), 1)
    }
    return found | {name: Sourced(value, call.places[at]) for name, (value, at) in named(call, first).items()}


def _by_position(call: Call, least: int) -> int:
    """Return how many arguments stand before the first name."""
    return next((at for at in range(least, len(call.values)) if isinstance(call.values[at], str)), len(call.values))


@reads(*words("datastores"))
def _store(call: Call) -> Any:
    return Store(call.function, call.text, call.place, _arguments(call, _by_position(call, 1)))


@reads("imageDataAugmenter")
def _augmenter(call: Call) -> Any:
    return Augmenter(call.text, _arguments(call, 0))


@reads("splitEachLabel", takes=(Store,))
def _split(call: Call, store: Store) -> Any:
    rest = call.values[1:]
    numbers = [each for each in rest if isinstance(each, (int, float)) and not isinstance(each, bool)]
    texts = [str(each).lower() for each in rest if isinstance(each, str)]
    strange = len(numbers) + len(texts) != len(rest) or not set(texts) <= {"randomized", "randomize"}
    split = () if strange else tuple(map(float, numbers)), bool(texts)
    parts = [
        Store(call.function, call.text, call.place, dict(store.arguments), store, index, split)
        for index in range(max(call.outputs, 1))
    ]
    return Many(parts) if call.outputs > 1 else parts[0]


@reads(*VIEWS)
def _view(call: Call) -> Any:
    """A datastore made of another one, or of arrays."""
    at = next((index for index, each in enumerate(call.values) if isinstance(each, Store)), None)
    if at is None and call.function != "augmentedImageDatastore":
        return call.unknown()
    if call.function in ("shuffle", "copy"):
        return call.values[at or 0]
    arguments = _arguments(call, at + 1 if at is not None else _by_position(call, 0))
    return Store(call.function, call.text, call.place, arguments, None if at is None else call.values[at])


@reads("countEachLabel", takes=(Store,))
def _count_each(call: Call, store: Store) -> Any:
    return Symbol("label counts", data=store)


@reads(*SCHEDULES)
def _schedule(call: Call) -> Any:
    return Schedule({"schedule": call.function, **{name: value for name, (value, _) in named(call, 0).items()}})


@reads("trainingOptions", takes=(str,), why="the arguments of trainingOptions are not understood")
def _options(call: Call, solver: str) -> Any:
    if len(call.values) % 2 == 0:
        return call.unknown("the arguments of trainingOptions are not understood")
    known = {name.lower(): name for name in table("training_options")["options"]}
    given = {
        known.get(name.lower(), name): Sourced(value, call.places[at]) for name, (value, at) in named(call, 1).items()
    }
    if len(given) != len(call.values) // 2:
        return call.unknown("an option has no name that is known, or is given twice")
    made = Options(solver.lower(), given, call.place)
    call.reader.options = made
    return made


@reads(*words("trainers"))
def _training(call: Call) -> Any:
    """Note what trains; the network it gives is known by its layers.

    trainNetwork takes (data, layers, options), trainnet (data, network, loss, options), detectors (data, network,
    options, ...).
    """
    values = call.values
    at = next(
        (index for index, each in enumerate(values) if isinstance(each, Options)), len(values) - 1
    )  # of the options
    behind = 2 if call.function == "trainnet" else 1
    loss = values[at - 1] if behind == 2 and at > 0 else None
    end = at - behind if call.function in ("trainNetwork", "trainnet") else 1  # the data stand before it
    network = values[end] if 0 < end < at else Unknown(call.text, call.place, "the network is missing")
    options = values[at] if values else None
    data = values[: max(end, 0)]
    call.reader.trainings.append(
        Training(call.function, data, call.texts[: len(data)], network, options, loss, call.place)
    )
    return Many((network, Unknown(call.text, call.place))) if call.outputs > 1 else network


@reads(*words("custom_loop"))
def _custom(call: Call) -> Any:
    """A part of a custom training loop: kept, with the solver and the numbers that are known."""
    call.reader.findings.keep(call.place, "custom training loop")
    call.reader.findings.problem(call.place, "a custom training loop is kept as text only")
    update = entries("updates").get(call.function)
    if update is not None:
        arguments = _arguments(call, len(call.values))
        held = {name: arguments.get(str(at)) for name, at in update.items()}
        given = {name: each for name, each in held.items() if each is not None and isinstance(each.value, (int, float))}
        call.reader.options = Options(
            update["solver"], {**given, "L2Regularization": Sourced(0.0, call.place)}, call.place
        )
        network = call.values[0] if call.values else None
        call.reader.custom = Training("custom loop", (), (), network, call.reader.options, None, call.place)
    return Unknown(call.text, call.place)
