"""From the answers of bridgeProbe.m to the switches of training: what one release of MATLAB does, where its
documentation leaves a choice.

Each question is a small experiment whose outcome is computed here under every choice of a switch; the choice that gives
MATLAB's number is the answer. A number that no choice gives is told, and the switch stays at its default.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge.arrays.lazy import Array, NDArray
from bridge.data.variables import Variables
from bridge.errors import BridgeError, reading
from bridge.files import toml
from bridge.files.atomic import sha256, write_text
from bridge.options.options import TRAINERS, Semantics, training_options
from bridge.options.profile import SCHEMA
from bridge.options.schedules import rate
from bridge.options.values import schedule
from bridge.tables.layers import table
from bridge.training.order import Order, validations

FORMAT = "bridge.probe/1"
VALIDATED_EVERY = 2  # iterations, in bridgeProbe.m
CLOSE = 1e-5  # MATLAB answers in single precision


@dataclass(frozen=True)
class Answer:
    """What one experiment says of a switch.

    Attributes:
        switch: its name in `mappings/solvers.toml`.
        trainers: "trainNetwork", "trainnet" or both.
        value: the choice that gives MATLAB's number; None where none does.
        told: MATLAB's number, and those of the choices.
        experiment: its name in the probe.
    """

    switch: str
    trainers: tuple[str, ...]
    value: Any
    told: str
    experiment: str


@dataclass(frozen=True)
class Calibration:
    """The switches of one release of MATLAB.

    Attributes:
        name: "R2024b".
        facts: release, toolbox, hardware, and the hash of the probe.
        answers: what was told, in the order of the questions.
        failed: experiments that the release could not run: name -> its message.
    """

    name: str
    facts: Mapping[str, str]
    answers: tuple[Answer, ...]
    failed: Mapping[str, str]

    def overrides(self, trainer: str) -> dict[str, Any]:
        """Return the switches that are settled for a trainer, as `training_options(semantics=...)` takes them.

        Where several experiments tell of one switch, they must agree.
        """
        told = [each for each in self.answers if trainer in each.trainers]
        values = {each.switch: {other.value for other in told if other.switch == each.switch} for each in told}
        settled = {
            switch: next(iter(found)) for switch, found in values.items() if len(found) == 1 and None not in found
        }
        Semantics.of(trainer, settled)
        return settled

    @property
    def open(self) -> dict[str, tuple[str, ...]]:
        """The switches that stay at their defaults, with the trainers for which they do."""
        found = {
            name: tuple(trainer for trainer in TRAINERS if name not in self.overrides(trainer))
            for name in table("solvers")["semantics"]
        }
        return {name: trainers for name, trainers in found.items() if trainers}

    def to_toml(self) -> str:
        """Return the profile: the settled switches of each trainer, with MATLAB's numbers as comments."""
        told: dict[toml.Place, str] = {
            (trainer, each.switch): each.told
            for each in self.answers
            for trainer in each.trainers
            if each.value is not None
        }
        settled = {trainer: self.overrides(trainer) for trainer in TRAINERS}
        return toml.dumps({"schema": SCHEMA, "name": self.name, **self.facts, **settled}, told)

    def save(self, path: Path, *, force: bool = False) -> Path:
        """Write the profile.

        Raises:
            UsageError: the file exists, or cannot be written.
        """
        return write_text(path, self.to_toml(), force=force)


def calibrate(path: str | Path) -> Calibration:
    """Read a probe.mat of bridgeProbe.m and answer its questions.

    Raises:
        UnreadableError: the file is damaged, or no probe.
    """
    path = Path(path)
    hint = "bridgeProbe('probe.mat') writes one; bridge matlab DIR writes bridgeProbe"
    probe = Variables.of(path).require_format(FORMAT, "is no probe", hint)
    with reading(f"the probe {path}"):
        given = {name: answer["Values"] for name, answer in probe["Answers"].items() if not answer["Error"]}
        failed = {name: str(answer["Error"]) for name, answer in probe["Answers"].items() if answer["Error"]}
        facts = {
            "release": str(probe["Release"]),
            "toolbox": str(probe["Toolbox"]),
            "environment": str(probe["Hardware"]["Environment"]),
            "sha256": sha256(path),
        }
        answers = tuple(each for ask in QUESTIONS for each in ask(given))
    return Calibration(f"R{probe['Release'] or '?'}", facts, answers, failed)


# The questions

Values = Mapping[str, Any]
Given = Mapping[str, Values]


def _array(value: Any) -> NDArray:
    return np.asarray(value.read() if isinstance(value, Array) else value, np.float64)


def _numbers(values: Values, name: str) -> list[float]:
    return [float(each) for each in _array(values[name]).reshape(-1, order="F")]


def _decided(
    switch: str, trainers: Sequence[str], experiment: str, matlab: float, choices: Mapping[Any, float]
) -> Answer:
    """Return the choice whose number is MATLAB's; None if that is none of them, or more than one."""
    fitting = [choice for choice, value in choices.items() if math.isclose(matlab, value, rel_tol=CLOSE, abs_tol=1e-7)]
    listed = ", ".join(f"{toml.text(choice)} gives {value:.6g}" for choice, value in choices.items())
    return Answer(
        switch, tuple(trainers), fitting[0] if len(fitting) == 1 else None, f"MATLAB {matlab:.6g}; {listed}", experiment
    )


def _adam(given: Given) -> Iterator[Answer]:
    """The parameter after one adamupdate: rate 0.001, b1 0.9, b2 0.999, epsilon 1e-8, MATLAB's defaults."""
    if "AdamUpdate" in given:
        values = given["AdamUpdate"]
        (parameter,), gradient, updated = (
            _numbers(values, "Parameter"),
            _numbers(values, "Gradients")[0],
            _numbers(values, "Updated")[0],
        )
        m, v = 0.1 * gradient, 0.001 * gradient**2
        steps = {
            "A": (m / 0.1) / (math.sqrt(v / 0.001) + 1e-8),
            "B": math.sqrt(0.001) / 0.1 * m / (math.sqrt(v) + 1e-8),
        }
        # the step, not the parameter: both are near 1, and the choices differ in its third figure
        yield _decided(
            "adam_epsilon",
            TRAINERS,
            "AdamUpdate",
            _rounded((parameter - updated) / 0.001),
            {name: _rounded(step) for name, step in steps.items()},
        )


def _rounded(step: float) -> float:
    """Single precision keeps a parameter of 1 to 6e-8, so a step of 0.001 to four figures."""
    return round(step, 3)


def _clipping(given: Given) -> Iterator[Answer]:
    """One step of a single weight with decay and threshold; the step of a bias beside a frozen weight."""
    if "DecayAndClipping" in given:
        values = given["DecayAndClipping"]
        weight, loss, decay, limit, learn = (
            _numbers(values, name)[0]
            for name in ("Weight", "LossGradient", "L2Regularization", "GradientThreshold", "InitialLearnRate")
        )
        choices = {
            True: weight - learn * min(loss + decay * weight, limit),
            False: weight - learn * (min(loss, limit) + decay * weight),
        }
        yield _decided(
            "l2_before_clipping", ("trainNetwork",), "DecayAndClipping", _numbers(values, "Updated")[0], choices
        )
    if "FrozenInGlobalNorm" in given:
        values = given["FrozenInGlobalNorm"]
        frozen, own, limit, learn = (
            _numbers(values, name)[0]
            for name in ("FrozenGradient", "Gradient", "GradientThreshold", "InitialLearnRate")
        )
        choices = {
            counts: -learn * own * min(1.0, limit / math.hypot(own, frozen if counts else 0.0))
            for counts in (True, False)
        }
        yield _decided(
            "frozen_in_global_norm", ("trainNetwork",), "FrozenInGlobalNorm", _numbers(values, "Bias")[0], choices
        )


def _losses(given: Given) -> Iterator[Answer]:
    """What trainnet divides the cross-entropy of sequences by, and the errors in the RMSE of several responses."""
    if "TrainnetSequenceCrossentropy" in given:
        values = given["TrainnetSequenceCrossentropy"]
        scores, targets = _array(values["Inputs"]), _array(values["Targets"])  # channels x observations x time steps
        total = -float((targets * np.log(scores)).sum())
        choices = {"observations": total / scores.shape[1], "elements": total / (scores.shape[1] * scores.shape[2])}
        yield _decided(
            "crossentropy_over",
            ("trainnet",),
            "TrainnetSequenceCrossentropy",
            _numbers(values["TrainingHistory"], "Loss")[0],
            choices,
        )
    history = given.get("TrainnetMse", {}).get("TrainingHistory", {})
    column = next((name for name in history if "rmse" in name.lower()), None)
    if column is not None:
        values = given["TrainnetMse"]
        errors = (_array(values["Inputs"]) - _array(values["Targets"]))[:, :, 0]
        total = float((errors**2).sum())
        choices = {"observations": math.sqrt(total / errors.shape[1]), "elements": math.sqrt(total / errors.size)}
        yield _decided("rmse_over", ("trainnet",), "TrainnetMse", _numbers(history, column)[0], choices)


def _statistics(given: Given) -> Iterator[Answer]:
    """Stored statistics after one iteration: replaced by the population's, or moved by a tenth towards the batch's."""
    for trainer, prefix in (("trainNetwork", ""), ("trainnet", "Trainnet")):
        name = f"{prefix}DefaultStored"
        if name in given and given[name].get("BatchNormalizationStatistics") == "auto":
            values = given[name]
            stored, batch = _numbers(values, "Stored")[0], float(np.mean(_numbers(values, "Elements")))
            choices = {"population": batch, "moving": 0.9 * stored + 0.1 * batch}
            yield _decided("batchnorm_auto", (trainer,), name, _numbers(values, "TrainedMean")[0], choices)
        name = f"{prefix}MovingStored"
        if name in given:
            values = given[name]
            stored, elements = _numbers(values, "Stored")[1], _numbers(values, "Elements")
            choices = {
                kind: 0.9 * stored + 0.1 * float(np.var(elements, ddof=ddof))
                for kind, ddof in (("biased", 0), ("unbiased", 1))
            }
            yield _decided("batchnorm_variance", (trainer,), name, _numbers(values, "TrainedVariance")[0], choices)


def _schedules(given: Given) -> Iterator[Answer]:
    """The last rate that differs between the ways of counting, for each schedule of twelve epochs of one iteration."""
    for name in ("Exponential", "Polynomial", "Cosine", "Cyclical", "Warmup", "NamedPolynomial", "NamedCosine"):
        if name not in given:
            continue
        matlab = _numbers(given[name], "LearnRates")
        try:
            rates = {counting: _rates(given[name], counting, len(matlab)) for counting in ("k", "k-1")}
        except BridgeError as error:
            yield Answer(
                "schedule_counting", ("trainnet",), None, f"its properties are not known here: {error.error}", name
            )
            continue
        apart = [abs(a - b) for a, b in zip(rates["k"], rates["k-1"], strict=True)]
        at = apart.index(max(apart))
        yield _decided(
            "schedule_counting",
            ("trainnet",),
            name,
            matlab[at],
            {counting: each[at] for counting, each in rates.items()},
        )


def _rates(values: Values, counting: str, count: int) -> list[float]:
    given = values["Schedule"]
    item = given if isinstance(given, str) else schedule(given["Class"].rpartition(".")[2], **_known(given))
    options = training_options(
        "sgdm",
        trainer="trainnet",
        InitialLearnRate=1.0,
        MaxEpochs=count,
        LearnRateSchedule=item,
        semantics={"schedule_counting": counting},
    )
    return [rate(options, iteration, 1) for iteration in range(1, count + 1)]


def _known(given: Values) -> dict[str, Any]:
    rows = table("training_options")["schedules"].get(given["Class"].rpartition(".")[2], {})
    held = given["Properties"] if isinstance(given["Properties"], dict) else {}
    return {name: value if isinstance(value, str) else _plain(value) for name, value in held.items() if name in rows}


def _plain(value: Any) -> Any:
    number = float(_array(value).reshape(-1)[0])
    return int(number) if number.is_integer() else number


def _orders(given: Given) -> Iterator[Answer]:
    """Which observation each iteration saw: losses of half the square of its number, from rng(0) on."""
    for trainer, prefix in (("trainNetwork", ""), ("trainnet", "Trainnet")):
        plain, validated = (f"{prefix}EpochOrder{end}" for end in ("", "Validated"))
        choices: dict[Any, list[int]]
        if plain in given:
            choices = {name: _seen(given[plain], trainer, name == "composed", False) for name in ("fresh", "composed")}
            yield _ordered("epoch_order", trainer, plain, given[plain], choices)
        if validated in given:
            values = given[validated]
            for composed in (False, True):
                choices = {draws: _seen(values, trainer, composed, draws) for draws in (True, False)}
                answer = _ordered("validation_draws", trainer, validated, values, choices)
                if answer.value is not None or composed:
                    yield answer
                    break


def _seen(values: Values, trainer: str, composed: bool, draws: bool) -> list[int]:
    """Return the observations, from 1, in the order of a training in mini-batches of one."""
    observations, epochs, held = (
        int(_numbers(values, n)[0]) for n in ("Observations", "MaxEpochs", "ValidationObservations")
    )
    options = training_options("sgdm", trainer=trainer, ValidationFrequency=VALIDATED_EVERY)
    count = held if draws else 0
    order = Order(
        observations, "every-epoch", composed=composed, validated=lambda done: count * validations(done, options)
    )
    order.iterations = observations
    return [int(number) + 1 for epoch in range(1, epochs + 1) for number in order.epoch(epoch)]


def _ordered(switch: str, trainer: str, experiment: str, values: Values, choices: Mapping[Any, list[int]]) -> Answer:
    matlab = [round(math.sqrt(max(2 * loss, 0.0)), 3) for loss in _numbers(values, "TrainingLoss")]
    fitting = [choice for choice, seen in choices.items() if seen == matlab]
    listed = "; ".join(f"{toml.text(choice)} gives {_listed(seen)}" for choice, seen in choices.items())
    told = f"MATLAB {_listed(matlab)}; {listed}"
    return Answer(switch, (trainer,), fitting[0] if len(fitting) == 1 else None, told, experiment)


def _listed(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:g}" for number in numbers)


QUESTIONS: tuple[Callable[[Given], Iterator[Answer]], ...] = (
    _adam, _clipping, _losses, _statistics, _schedules, _orders,
)  # fmt: skip
