"""trainingOptions and the loss: from the script's values to the recipe's."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from bridge.errors import UsageError
from bridge.mapping import table
from bridge.recipes.parts import Loss
from bridge.recipes.script.values import Handle, Options, Schedule, Store, Symbol, Unknown, find, is_plain_type
from bridge.training.options import TrainingOptions, training_options

if TYPE_CHECKING:
    from bridge.recipes.script.assembly import Assembly

TEXT_ONLY = ("OutputFcn", "CheckpointPath", "WorkerLoad", "Plots", "Verbose", "VerboseFrequency", "ExecutionEnvironment")
DEFAULT_SOLVER = "sgdm"


def options_of(made: Assembly, trainer: str) -> tuple[TrainingOptions, bool]:
    """Return the options, and whether ValidationFrequency is the number of iterations of an epoch."""
    found = made.call.options
    if not isinstance(found, Options):
        place, text = (found.place, found.why or found.text) if isinstance(found, Unknown) else (made.call.place, "they are missing")
        made.problem(place, f"the options of the training are not known: {text}")
        return training_options(DEFAULT_SOLVER, trainer=trainer), False
    try:
        options = training_options(found.solver, trainer=trainer)
    except UsageError as error:
        made.problem(found.place, f"{error.error}; {error.hint}")
        return training_options(DEFAULT_SOLVER, trainer=trainer), False
    made.fact(found.place, f"solver {found.solver}, trained by {made.call.function}", ("options", "solver"))
    per_epoch = False
    rows = table("training_options")["options"]
    for name, (value, place) in {name: (each.value, each.place) for name, each in found.given.items()}.items():
        if name in rows and rows[name]["kind"] == "data":
            if name != "ValidationData":
                made.keep(place, f"{name} = {getattr(value, 'text', value)}")
            continue
        if isinstance(value, Symbol) and value.kind == "iterations" and name == "ValidationFrequency":
            batch = found.given["MiniBatchSize"].value if "MiniBatchSize" in found.given else options.MiniBatchSize
            data = next((each for each in made.call.data if isinstance(each, Store)), None)
            if value.divisor == batch and data is not None and isinstance(value.data, Store) and value.data.images is data.images:
                per_epoch = True
                made.fact(place, "ValidationFrequency = the iterations of an epoch", ("data", "validate_each_epoch"))
                continue
        options = _with_option(made, options, name, value, place)
    return options, per_epoch


def _with_option(made: Assembly, options: TrainingOptions, name: str, value: Any, place: Any) -> TrainingOptions:
    """Return options with one set; one that is not understood is listed, one that changes no number is kept as text."""
    missing = find(value, lambda each: isinstance(each, (Unknown, Symbol, Handle)))
    if missing is not None:
        what = "a number of the data" if isinstance(missing, Symbol) else missing.text
        why = f" ({missing.why})" if isinstance(missing, Unknown) and missing.why else ""
        (made.keep if name in TEXT_ONLY else made.problem)(place, f"{name} is not known: {what}{why}")
        return options
    if find(value, lambda each: not isinstance(each, Schedule) and not is_plain_type(each)) is not None:
        made.problem(place, f"{name} is neither number nor text")
        return options
    try:
        options = options.replace(**{name: _written(value)})
    except UsageError as error:
        made.problem(place, f"{error.error}: {error.cause or error.hint}")
        return options
    held = getattr(options, name)
    made.fact(place, f"{name} = {held}", ("options", name))
    return options


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Schedule) and len(value) == 1:
        return str(value["schedule"]).removesuffix("LearnRate")  # without properties the object is what the word means
    if isinstance(value, Schedule):
        return {key: _written(each) for key, each in value.items()}
    return tuple(_written(each) for each in value) if isinstance(value, tuple) else value


def loss_of(made: Assembly, trainer: str) -> Loss:
    """Return the loss that trainnet is given."""
    loss = made.call.loss
    if trainer != "trainnet" or loss is None:
        return Loss()
    if isinstance(loss, str):
        made.fact(made.call.place, f"loss {loss}", ("loss", "name"))
        return Loss(str(loss).lower())
    if isinstance(loss, Handle) and loss.name and loss.name not in made.reader.script.functions:
        made.fact(made.call.place, f"loss {loss.name}", ("loss", "name"))
        return Loss(loss.name)
    if isinstance(loss, Handle):
        plain = re.fullmatch(r"@\((\w+),(\w+)\)(crossentropy|mse|l1loss|l2loss|huber)\(\1,\2\)", re.sub(r"\s", "", loss.text))
        if plain:
            made.fact(made.call.place, f"loss {plain[3]}", ("loss", "name"))
            return Loss(plain[3])
        weighted = _weighted(loss)
        if weighted:
            made.fact(loss.place, f"loss crossentropy with class weights {weighted}", ("loss", "class_weights"))
            return Loss("crossentropy", weighted)
        made.keep(loss.place, f"loss {loss.text}")
        made.problem(loss.place, f"the loss is a function of the script's own: {loss.text}")
        return Loss()
    made.problem(made.call.place, "the loss is not known")
    return Loss()


def _weighted(loss: Handle) -> tuple[float, ...]:
    """Return the class weights w of the documented `crossentropy(Y,T,w,WeightsFormat="C",NormalizationFactor="all-elements")*numClasses`."""
    form = r"@\((\w+),(\w+)\)crossentropy\(\1,\2,(\w+),WeightsFormat=[\"']U?C[\"'],NormalizationFactor=[\"']all-elements[\"']\)\*(\w+)"
    match = re.fullmatch(form, re.sub(r"\s|\.\.\.", "", loss.text))
    weights = loss.variables.get(match[3]) if match else None
    count = (int(match[4]) if match[4].isdigit() else loss.variables.get(match[4])) if match else None
    numbers = isinstance(weights, tuple) and all(isinstance(each, (int, float)) for each in weights)
    fits = numbers and isinstance(weights, tuple) and (count == len(weights) or isinstance(count, Symbol))
    return tuple(float(each) for each in weights) if fits and isinstance(weights, tuple) else ()
