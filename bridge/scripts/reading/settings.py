"""trainingOptions and the loss: from the script's values to the recipe's."""

from __future__ import annotations

import re
from typing import Any

from bridge.errors import UsageError
from bridge.options.options import TrainingOptions, training_options
from bridge.recipes.parts import Loss
from bridge.scripts.language.values import (
    Handle,
    Options,
    Schedule,
    Sourced,
    Store,
    Symbol,
    Training,
    Unknown,
    described,
    find,
    is_plain_type,
)
from bridge.scripts.reading.findings import Findings
from bridge.tables.layers import table

TEXT_ONLY = (
    "OutputFcn",
    "CheckpointPath",
    "WorkerLoad",
    "Plots",
    "Verbose",
    "VerboseFrequency",
    "ExecutionEnvironment",
)
DEFAULT_SOLVER = "sgdm"


def options_of(call: Training, trainer: str, findings: Findings) -> tuple[TrainingOptions, bool]:
    """Return the options, and whether ValidationFrequency is the number of iterations of an epoch."""
    default, found = training_options(DEFAULT_SOLVER, trainer=trainer), call.options
    if not isinstance(found, Options):
        place, text = (
            (found.place, found.why or found.text) if isinstance(found, Unknown) else (call.place, "they are missing")
        )
        findings.problem(place, f"the options of the training are not known: {text}")
        return default, False
    try:
        options = training_options(found.solver, trainer=trainer)
    except UsageError as error:
        findings.problem(found.place, f"{error.error}; {error.hint}")
        return default, False
    findings.fact(found.place, f"solver {found.solver}, trained by {call.function}", ("options", "solver"))
    per_epoch = _validates_each_epoch(call, found, options)
    rows = table("training_options")["options"]
    for name, given in found.given.items():
        if name == "ValidationFrequency" and per_epoch:
            findings.fact(
                given.place, "ValidationFrequency = the iterations of an epoch", ("data", "validate_each_epoch")
            )
        elif name not in rows or rows[name]["kind"] != "data":
            options = _with_option(options, name, given, findings)
        elif name != "ValidationData":
            findings.keep(given.place, f"{name} = {described(given.value)}")
    return options, per_epoch


def _validates_each_epoch(call: Training, found: Options, options: TrainingOptions) -> bool:
    """Whether ValidationFrequency is the number of images that are trained on, divided by the mini-batch."""
    frequency, batch = found.given.get("ValidationFrequency"), found.given.get("MiniBatchSize")
    count = frequency.value if frequency is not None else None
    if (
        not isinstance(count, Symbol)
        or count.kind != "iterations"
        or not isinstance(count.data, Store)
        or call.store is None
    ):
        return False
    return (
        count.divisor == (batch.value if batch is not None else options.MiniBatchSize)
        and count.data.images is call.store.images
    )


def _with_option(options: TrainingOptions, name: str, given: Sourced, findings: Findings) -> TrainingOptions:
    """Return options with one set; one that is not understood is listed, one that changes no number is kept as text."""
    value, place = given.value, given.place
    missing = find(value, lambda each: isinstance(each, (Unknown, Symbol, Handle)))
    if missing is not None:
        what = "a number of the data" if isinstance(missing, Symbol) else missing.text
        why = f" ({missing.why})" if isinstance(missing, Unknown) and missing.why else ""
        (findings.keep if name in TEXT_ONLY else findings.problem)(place, f"{name} is not known: {what}{why}")
    elif find(value, lambda each: not isinstance(each, Schedule) and not is_plain_type(each)) is not None:
        findings.problem(place, f"{name} is neither number nor text")
    else:
        try:
            options = options.replace(**{name: _written(value)})
            findings.fact(place, f"{name} = {getattr(options, name)}", ("options", name))
        except UsageError as error:
            findings.problem(place, f"{error.error}: {error.cause or error.hint}")
    return options


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Schedule) and len(value) == 1:
        return str(value["schedule"]).removesuffix("LearnRate")  # without properties the object is what the word means
    if isinstance(value, Schedule):
        return {key: _written(each) for key, each in value.items()}
    return tuple(_written(each) for each in value) if isinstance(value, tuple) else value


def loss_of(call: Training, trainer: str, findings: Findings) -> Loss:
    """Return the loss that trainnet is given."""
    loss = call.loss
    if trainer != "trainnet" or loss is None:
        return Loss()
    name = loss.lower() if isinstance(loss, str) else _named(loss, findings) if isinstance(loss, Handle) else ""
    if name:
        findings.fact(call.place, f"loss {name}", ("loss", "name"))
        return Loss(name)
    if isinstance(loss, Handle):
        weighted = _weighted(loss)
        if weighted:
            findings.fact(loss.place, f"loss crossentropy with class weights {weighted}", ("loss", "class_weights"))
            return Loss("crossentropy", weighted)
        findings.keep(loss.place, f"loss {loss.text}")
        findings.problem(loss.place, f"the loss is a function of the script's own: {loss.text}")
        return Loss()
    findings.problem(call.place, "the loss is not known")
    return Loss()


def _named(loss: Handle, findings: Findings) -> str:
    """Return the loss of MATLAB's that a handle is, or that its expression is nothing but; "" where it is another
    function.
    """
    if loss.name:
        return loss.name if findings.script.definition(loss.name)[1] is None else ""
    plain = re.fullmatch(
        r"@\((\w+),(\w+)\)(crossentropy|mse|l1loss|l2loss|huber)\(\1,\2\)", re.sub(r"\s", "", loss.text)
    )
    return plain[3] if plain else ""


def _weighted(loss: Handle) -> tuple[float, ...]:
    """Return the class weights w of the documented
    `crossentropy(Y,T,w,WeightsFormat="C",NormalizationFactor="all-elements")*numClasses`.
    """
    form = (
        r"@\((\w+),(\w+)\)crossentropy\(\1,\2,(\w+),WeightsFormat=[\"']U?C[\"'],"
        r"NormalizationFactor=[\"']all-elements[\"']\)\*(\w+)"
    )
    match = re.fullmatch(form, re.sub(r"\s|\.\.\.", "", loss.text))
    weights = loss.variables.get(match[3]) if match else None
    count = (int(match[4]) if match[4].isdigit() else loss.variables.get(match[4])) if match else None
    numbers = isinstance(weights, tuple) and all(isinstance(each, (int, float)) for each in weights)
    fits = numbers and isinstance(weights, tuple) and (count == len(weights) or isinstance(count, Symbol))
    return tuple(float(each) for each in weights) if fits and isinstance(weights, tuple) else ()
