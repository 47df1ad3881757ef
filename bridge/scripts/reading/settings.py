"""trainingOptions and the loss: from the script's values to the recipe's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from bridge.errors import BridgeError, UsageError
from bridge.network.activations import Activation
from bridge.options.options import TrainingOptions, training_options
from bridge.recipes.parts import Loss
from bridge.scripts.language.findings import Findings
from bridge.scripts.language.values import Handle, Objects, Unknown, described, find
from bridge.scripts.reading.objects import (
    Boxes,
    Datastore,
    OfData,
    Schedule,
    Sourced,
    ToldNetwork,
    ToldOptions,
    Training,
)
from bridge.scripts.reading.structure import head_of_classes
from bridge.tables.layers import table

WORDS: Mapping[str, Any] = table("scripts")
ROLES: Mapping[str, str] = WORDS["roles"]
DEFAULT_SOLVER = "sgdm"
WEIGHTED = (
    r"@\((\w+),(\w+)\)crossentropy\(\1,\2,(\w+),WeightsFormat=[\"']U?C[\"'],"
    r"NormalizationFactor=[\"']all-elements[\"']\)\*(\w+)"
)


def options_of(
    call: Training, trainer: str, network: ToldNetwork | None, findings: Findings
) -> tuple[TrainingOptions, bool]:
    """Return the options, and whether ValidationFrequency is the number of iterations of an epoch."""
    default, found = training_options(DEFAULT_SOLVER, trainer=trainer), call.options
    if not isinstance(found, ToldOptions):
        place, what = (
            (found.place, found.why or found.text) if isinstance(found, Unknown) else (call.place, "they are missing")
        )
        findings.problem(place, f"the options of the training are not known: {what}")
        return default, False
    try:
        options = training_options(found.solver, trainer=trainer)
    except UsageError as error:
        findings.problem(found.place, f"{error.error}; {error.hint}")
        return default, False
    findings.fact(found.place, f"solver {found.solver}, trained by {call.function}", ("options", "solver"))
    per_epoch = _validates_each_epoch(call, found, options, network)
    rows = table("training_options")["options"]
    for name, given in found.given.items():
        if name == ROLES["frequency"] and per_epoch:
            findings.fact(given.place, f"{name} = the iterations of an epoch", ("data", "validate_each_epoch"))
        elif name not in rows or rows[name]["kind"] != "data":
            options = _with_option(options, name, given, findings)
        elif name != ROLES["validation"]:
            findings.keep(given.place, f"{name} = {described(given.value)}")
    return options, per_epoch


def _validates_each_epoch(
    call: Training, found: ToldOptions, options: TrainingOptions, network: ToldNetwork | None
) -> bool:
    """Whether the validation frequency is the number of observations that are trained on, divided by the mini-batch."""
    count = found.get(ROLES["frequency"])
    batch = found.get(ROLES["batch"]) or getattr(options, ROLES["batch"])
    if not isinstance(count, OfData) or count.kind != "iterations" or count.divisor != batch:
        return False
    if isinstance(count.data, Datastore):
        return call.store is not None and count.data.images is call.store.images
    if isinstance(count.data, OfData):  # elements of the targets: one for each observation, if they are one number
        one = network is not None and (head_of_classes(network) or _responses(network) == 1)
        return bool(one and call.data) and _is_one(call.data[-1], count.data.data)
    return any(_is_one(each, count.data) for each in call.data)


def _is_one(value: Any, other: Unknown) -> bool:
    """Whether data that are made elsewhere are the same: a variable of the workspace is, wherever it stands."""
    if not isinstance(value, Unknown) or (value.text, value.output) != (other.text, other.output):
        return False
    return value.place == other.place or value.text.isidentifier()


def _with_option(options: TrainingOptions, name: str, given: Sourced, findings: Findings) -> TrainingOptions:
    """Return options with one set; one that is not understood is listed, one that changes no number is kept as text."""
    value, place = given.value, given.place
    missing = find(value, lambda each: isinstance(each, (Unknown, OfData, Boxes, Handle)))
    if missing is not None:
        what = missing.text if isinstance(missing, (Unknown, Handle)) else "a number of the data"
        why = f" ({missing.why})" if isinstance(missing, Unknown) and missing.why else ""
        changes = table("training_options")["options"].get(name, {}).get("changes", True)
        (findings.problem if changes else findings.keep)(place, f"{name} is not known: {what}{why}")
    elif find(
        value, lambda each: not isinstance(each, (str, int, float, tuple, Schedule)) or isinstance(each, Objects)
    ):
        findings.problem(place, f"{name} is neither number nor text")
    else:
        try:
            options = options.replace(**{name: _written(value)})
            findings.fact(place, f"{name} = {getattr(options, name)}", ("options", name))
        except UsageError as error:
            findings.problem(place, f"{error.error}: {error.cause or error.hint}")
    return options


def _is_no_value(value: Any) -> bool:
    return not isinstance(value, (str, int, float, tuple, Schedule)) or isinstance(value, Objects)


def _written(value: Any) -> Any:
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Schedule) and len(value) == 1:
        return str(value["schedule"]).removesuffix("LearnRate")  # without properties the object is what the word means
    if isinstance(value, Schedule):
        return {key: _written(each) for key, each in value.items()}
    return tuple(_written(each) for each in value) if isinstance(value, tuple) else value


def loss_of(call: Training, network: ToldNetwork | None, findings: Findings) -> Loss:
    """Return the loss that trainnet is given."""
    loss = call.loss
    if loss is None:
        return Loss()
    if isinstance(loss, str):
        findings.fact(call.place, f"loss {loss.lower()}", ("loss", "name"))
        return Loss(loss.lower())
    if not isinstance(loss, Handle):
        findings.problem(call.place, "the loss is not known")
        return Loss()
    name, weights = _named(loss, findings), _weighted(loss)
    if weights:
        findings.fact(loss.place, f"loss crossentropy with class weights {weights}", ("loss", "class_weights"))
        return Loss("crossentropy", weights)
    if name in WORDS["losses"] and _is_same(WORDS["losses"][name], network):
        findings.fact(call.place, f"loss {name}", ("loss", "name"))
        return Loss(name)
    findings.keep(loss.place, f"loss {loss.text}")
    what = f"the function {name} divides its sum by other numbers than trainnet's loss of that name"
    own = f"the loss is a function of the script's own: {loss.text}"
    findings.problem(loss.place, f"{what}: {loss.text}" if name in WORDS["losses"] else own)
    return Loss()


def _is_same(divided_by: str, network: ToldNetwork | None) -> bool:
    """Whether a loss of dlarray is what trainnet means by its name: the functions divide by the number of observations,
    trainnet by that of pixels and time steps, and for regressions by that of elements.
    """
    size = _output(network)
    if divided_by == "observations of a class":
        return size is None or size.format == "CB"
    return divided_by == "observations" and _responses(network) == 1


def _output(network: ToldNetwork | None) -> Activation | None:
    try:
        return network.size_of(network.outputs[0]) if network is not None else None
    except BridgeError:
        return None


def _responses(network: ToldNetwork | None) -> int | None:
    """Return how many numbers a network gives for an observation, None where that is not known."""
    size = _output(network)
    return size.elements if size is not None else None


def _named(loss: Handle, findings: Findings) -> str:
    """Return the function of MATLAB's that a handle is, or that its expression is nothing but; "" where it is another
    function.
    """
    if loss.name:
        return loss.name if findings.script.definition(loss.name)[1] is None else ""
    plain = re.fullmatch(r"@\((\w+),(\w+)\)(\w+)\(\1,\2\)", re.sub(r"\s", "", loss.text))
    return plain[3] if plain else ""


def _weighted(loss: Handle) -> tuple[float, ...]:
    """Return the class weights w of the documented
    `crossentropy(Y,T,w,WeightsFormat="C",NormalizationFactor="all-elements")*numClasses`.
    """
    compact = re.sub(r"[\"'](WeightsFormat|NormalizationFactor)[\"'],", r"\1=", re.sub(r"\s|\.\.\.", "", loss.text))
    match = re.fullmatch(WEIGHTED, compact)
    weights = loss.variables.get(match[3]) if match else None
    count = (int(match[4]) if match[4].isdigit() else loss.variables.get(match[4])) if match else None
    if not isinstance(weights, tuple) or not all(isinstance(each, (int, float)) for each in weights):
        return ()
    return tuple(map(float, weights)) if count == len(weights) or isinstance(count, OfData) else ()
