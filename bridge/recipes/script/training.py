"""Data, trainingOptions and the calls that train."""

from __future__ import annotations

import re
from typing import Any

from bridge.mapping import table
from bridge.recipes.script.evaluate import Call
from bridge.recipes.script.registry import named, reads
from bridge.recipes.script.values import Many, Options, Schedule, Sourced, Store, Symbol, Training, Unknown
from bridge.recipes.script.words import entries, words

STORES = (
    "imageDatastore", "pixelLabelDatastore", "fileDatastore", "arrayDatastore", "pixelLabelImageDatastore", "boxLabelDatastore",
    "signalDatastore", "audioDatastore",
)  # fmt: skip
VIEWS = ("augmentedImageDatastore", "combine", "transform", "subset", "shuffle", "copy", "minibatchqueue", "randomPatchExtractionDatastore")
SCHEDULES = tuple(table("training_options")["schedules"])


def _arguments(call: Call, first: int) -> dict[str, Sourced]:
    """Return arguments by position as "1", "2", ..., and those by name."""
    found = {str(index): Sourced(call.values[index - 1], call.places[index - 1]) for index in range(1, min(first, len(call.values)) + 1)}
    return found | {name: Sourced(value, call.places[at]) for name, (value, at) in named(call, first).items()}


@reads(*STORES)
def _store(call: Call) -> Any:
    return Store(call.function, call.text, call.place, _arguments(call, 1))


@reads("splitEachLabel")
def _split(call: Call) -> Any:
    store, *rest = call.values or (None,)
    numbers = [each for each in rest if isinstance(each, (int, float)) and not isinstance(each, bool)]
    words_given = [str(each).lower() for each in rest if isinstance(each, str)]
    if not isinstance(store, Store):
        return call.unknown()
    strange = len(numbers) + len(words_given) != len(rest) or not set(words_given) <= {"randomized", "randomize"}
    split = () if strange else tuple(map(float, numbers)), bool(words_given)
    parts = [Store(call.function, call.text, call.place, dict(store.arguments), store, index, split) for index in range(max(call.outputs, 1))]
    return Many(parts) if call.outputs > 1 else parts[0]


@reads(*VIEWS)
def _view(call: Call) -> Any:
    """A datastore made of another one."""
    at = next((index for index, each in enumerate(call.values) if isinstance(each, Store)), None)
    if at is None:
        return Store(call.function, call.text, call.place, _arguments(call, 2)) if call.function == "augmentedImageDatastore" else call.unknown()
    parent = call.values[at]
    arguments = _arguments(call, at + 1)
    return parent if call.function in ("shuffle", "copy") else Store(call.function, call.text, call.place, arguments, parent)


@reads("imageDataAugmenter")
def _augmenter(call: Call) -> Any:
    return Store(call.function, call.text, call.place, _arguments(call, 0))


@reads("countEachLabel", least=1)
def _count_each(call: Call) -> Any:
    return Symbol("label counts", data=call.values[0]) if isinstance(call.values[0], Store) else call.unknown()


@reads(*SCHEDULES)
def _schedule(call: Call) -> Any:
    return Schedule({"schedule": call.function, **{name: value for name, (value, _) in named(call, 0).items()}})


@reads("trainingOptions")
def _options(call: Call) -> Any:
    solver = call.values[0] if call.values else None
    if not isinstance(solver, str) or len(call.values) % 2 == 0:
        return call.unknown("the arguments of trainingOptions are not understood")
    known = {name.lower(): name for name in table("training_options")["options"]}
    given = {known.get(name.lower(), name): Sourced(value, call.places[at]) for name, (value, at) in named(call, 1).items()}
    if len(given) != (len(call.values) - 1) // 2:
        return call.unknown("an option has no name that is known, or is given twice")
    made = Options(solver.lower(), given, call.place)
    call.reader.options = made
    return made


@reads(*words("trainers"))
def _training(call: Call) -> Any:
    """Note what trains; the network it gives is known by its layers."""
    at = next((index for index, each in enumerate(call.values) if isinstance(each, Options)), None)
    at = len(call.values) - 1 if at is None else at
    loss = None
    is_detector = call.function not in ("trainNetwork", "trainnet")
    if call.function == "trainnet":
        loss = call.values[at - 1] if at > 0 else None
        at -= 1
    before = call.values[: max(at, 0)]
    network = before[1 if is_detector else -1] if len(before) > (1 if is_detector else 0) else Unknown(call.text, call.place, "the network is missing")
    end = 1 if is_detector else len(before) - 1
    options = call.values[at if call.function != "trainnet" else at + 1] if call.values else None
    data = before[: max(end, 0)]
    call.reader.trainings.append(Training(call.function, data, call.texts[: len(data)], network, options, loss, call.place))
    return Many((network, Unknown(call.text, call.place))) if call.outputs > 1 else network


@reads("minibatchpredict", "classify", "predict", "testnet", "scores2label", "imread", "imresize", "activations", "detect")
def _result(call: Call) -> Any:
    return Unknown(call.text, call.place) if call.outputs else None


@reads(*words("custom_loop"))
def _custom(call: Call) -> Any:
    """A part of a custom training loop: kept, with the solver and the numbers that are known."""
    call.reader.kept[call.entry("custom training loop")] = None
    call.reader.problems[call.entry("a custom training loop is kept as text only")] = None
    update = entries("updates").get(call.function)
    if update is not None:
        numbers = {name: at for name, at in update.items() if name != "solver"}
        given = {name: Sourced(call.values[at - 1], call.places[at - 1]) for name, at in numbers.items() if at <= len(call.values)}
        given = {name: each for name, each in given.items() if isinstance(each.value, (int, float))}
        call.reader.options = Options(update["solver"], {**given, "L2Regularization": Sourced(0.0, call.place)}, call.place)
        network = call.values[0] if call.values else None
        call.reader.custom = Training("custom loop", (), (), network, call.reader.options, None, call.place)
    return Unknown(call.text, call.place)


def plain_path(value: Any) -> str:
    """Return the path of a datastore, where it is written out and lies in the script's own folder, else ""."""
    if not isinstance(value, str) or re.match(r"[A-Za-z]:|[/\\~]", value) or not value:
        return ""
    return str(value).replace("\\", "/")
