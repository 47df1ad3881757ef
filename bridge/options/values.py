"""The values of options and schedule objects, as their rows say what they may be."""

from __future__ import annotations

import difflib
import math
import numbers
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

from bridge.errors import UsageError
from bridge.tables.layers import table

Pairs = tuple[tuple[str, Any], ...]
Row = Mapping[str, Any]


STOCHASTIC = tuple(name for name, row in table("solvers")["solvers"].items() if "refused" not in row)


SETTLED = ("P", "D")


SCHEDULE_SUFFIX = "LearnRate"


@dataclass(frozen=True)
class Schedule:
    """One of the schedule objects, `name` in MATLAB's spelling ("cosineLearnRate"). Its properties are attributes.

    Make one with `schedule`.
    """

    name: str
    given: Pairs = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in ("name", "given"):
            raise AttributeError(name)
        rows = table("training_options")["schedules"][self.name]
        if name not in rows:
            raise AttributeError(f"{self.name} has no property {name!r}")
        return dict(self.given).get(name, rows[name].get("default"))

    @property
    def goes_on(self) -> bool:
        """Whether it goes on to the end of the training; one with a number of steps hands on to the next."""
        return not any(name == "NumSteps" for name in table("training_options")["schedules"][self.name])

    def to_mapping(self) -> dict[str, Any]:
        """Return {"schedule": name, property: value, ...}, which `schedule` turns back."""
        return {"schedule": self.name, **dict(self.given)}


def schedule(name: str, **properties: Any) -> Schedule:
    """Return a schedule object: `schedule("warmupLearnRate", NumSteps=3)`.

    Args:
        name: piecewiseLearnRate, exponentialLearnRate, polynomialLearnRate, cosineLearnRate, cyclicalLearnRate or
            warmupLearnRate.
        properties: MATLAB's properties, in any case of letters.

    Raises:
        UsageError: the name or a property is unknown, a value is out of range, or a property without a known default is
            missing.
    """
    schedules = table("training_options")["schedules"]
    name = known_name(name, schedules, "schedule")
    rows = schedules[name]
    made = Schedule(name, checked(rows, name, properties))
    missing = [key for key, row in rows.items() if "default" not in row and key not in dict(made.given)]
    if missing:
        raise UsageError(
            f"{name} needs {', '.join(missing)}",
            "MATLAB's default for it is not known",
            f"give it, or say LearnRateSchedule={name.removesuffix(SCHEDULE_SUFFIX)!r} for a schedule as long as the "
            "training",
        )
    return made


def schedule_of(word: str, left: Mapping[str, int]) -> Schedule:
    """Return the object that a word of LearnRateSchedule means.

    Args:
        word: "cosine", "polynomial", ...
        left: the epochs and iterations ("epoch", "iteration") of the training that it may span.
    """
    made = Schedule(word + SCHEDULE_SUFFIX)
    rows = table("training_options")["schedules"][made.name]
    return replace(
        made, given=tuple((name, left[made.FrequencyUnit]) for name, row in rows.items() if row.get("spans"))
    )


def known_name(given: str, known: Iterable[str], what: str) -> str:
    """Return the spelling of `known` for a name given in any case of letters."""
    spelling = {name.lower(): name for name in known}
    if isinstance(given, str) and given.lower() in spelling:
        return spelling[given.lower()]
    near = difflib.get_close_matches(str(given).lower(), spelling, 1, 0.0)
    raise UsageError(f"{given!r} is no {what}", hint=f"did you mean {spelling[near[0]]}?")


def word_among(value: Any, choices: Sequence[Any], what: str) -> Any:
    """Return the choice that `value` is, in any case of letters."""
    for choice in choices:
        if value is choice or (isinstance(value, str) and isinstance(choice, str) and value.lower() == choice.lower()):
            return choice
    wrong(what, value, ", ".join(map(repr, choices)))


def checked(rows: Mapping[str, Row], owner: str, names: Mapping[str, Any]) -> Pairs:
    values: dict[str, Any] = {}
    for given, value in names.items():
        name = _option_name(given, rows, owner)
        if name in values:
            raise UsageError(f"{name} is given twice", hint="upper and lower case do not tell names apart")
        values[name] = _value(name, rows[name], value)
    return tuple((name, values[name]) for name in rows if name in values)


def _option_name(given: str, rows: Mapping[str, Row], owner: str) -> str:
    others = {name.lower(): name for name in table("training_options")["options"]}
    name = others.get(given.lower(), "")
    if name and name not in rows and owner in table("solvers")["solvers"]:
        solvers = table("training_options")["options"][name].get("solvers", STOCHASTIC)
        raise UsageError(
            f"{name} is no option of {owner!r}",
            f"it belongs to {', '.join(solvers)}",
            "leave it out, or change the solver",
        )
    return known_name(given, rows, f"option of {owner}")


def _value(name: str, row: Row, value: Any) -> Any:
    """Return `value` in the form that the row's kind has."""
    kind = row["kind"]
    if kind == "data":
        return value
    if getattr(value, "ndim", None) == 0:  # numpy's scalars
        value = value.item()
    if kind == "schedule":
        return _schedule_value(name, row, value)
    if kind == "text":
        return _text(name, value)
    if kind == "boolean":
        return (
            bool(value) if isinstance(value, numbers.Real) and value in (0, 1) else wrong(name, value, "true or false")
        )
    if kind == "choice" or (isinstance(value, str) and "choices" in row):
        return word_among(value, row["choices"], name)
    return _number(name, row, value)


def _number(name: str, row: Row, value: Any) -> int | float:
    number = _real(value)
    if number is not None and _inside(number, row["range"]):
        if row["kind"] == "real" or math.isinf(number):
            return number
        if number.is_integer():
            return int(number)
    words = "".join(f" or {word!r}" for word in row.get("choices", ()))
    wrong(name, value, f"{'an integer' if row['kind'] == 'integer' else 'a number'} in {row['range']}{words}")


def _real(value: Any) -> float | None:
    """Return a number in double precision; None for what is none, or beyond it."""
    try:
        return float(value) if isinstance(value, numbers.Real) and not isinstance(value, bool) else None
    except OverflowError:
        return None


def _inside(number: float, interval: str) -> bool:
    low, high = map(float, interval[1:-1].split(","))
    above = number >= low if interval[0] == "[" else number > low
    below = number <= high if interval[-1] == "]" else number < high
    return above and below


def _text(name: str, value: Any) -> str | tuple[str, ...]:
    if isinstance(value, str):
        return value
    if isinstance(value, Sequence) and all(isinstance(item, str) for item in value):
        return tuple(value)
    wrong(name, value, "text or a list of texts")


def _schedule_value(name: str, row: Row, value: Any) -> Any:
    if isinstance(value, str):
        return word_among(value, row["choices"], name)
    if isinstance(value, Schedule):
        return value
    if isinstance(value, Mapping) and "schedule" in value:
        return schedule(value["schedule"], **{key: item for key, item in value.items() if key != "schedule"})
    if isinstance(value, Sequence) and value:
        chain = tuple(_schedule_value(name, row, item) for item in value)
        if not any(isinstance(item, tuple) or item == "none" for item in chain):
            return chain
    wrong(name, value, f"{', '.join(map(repr, row['choices']))}, a schedule, or a chain of those")


def wrong(name: str, value: Any, wanted: str) -> NoReturn:
    raise UsageError(f"{name} is {value!r}", f"it takes {wanted}")


def word_of(item: str | Schedule) -> str:
    return item if isinstance(item, str) else item.name.removesuffix(SCHEDULE_SUFFIX)


def assumed_properties(item: str | Schedule) -> list[str]:
    """Say which properties of a schedule have a default that is not confirmed."""
    word = word_of(item)
    rows = table("training_options")["schedules"].get(word + SCHEDULE_SUFFIX, {})
    given = dict(item.given) if isinstance(item, Schedule) else {}
    assumed = [
        f"{name} = {row.get('default', 'the steps that are left')}"
        for name, row in rows.items()
        if name not in given and row["evidence"] not in SETTLED
    ]
    return [f"schedule '{word}', unconfirmed defaults: {', '.join(assumed)}"] if assumed else []
