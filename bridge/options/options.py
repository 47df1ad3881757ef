"""trainingOptions: names, defaults and checks from `mappings/training_options.toml`, switches from
`mappings/solvers.toml`.

Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import TYPE_CHECKING, Any

from bridge.errors import UsageError
from bridge.options.values import (
    SETTLED,
    STOCHASTIC,
    Pairs,
    Row,
    Schedule,
    assumed_properties,
    checked,
    known_name,
    word_among,
    word_of,
)
from bridge.tables.layers import table

if TYPE_CHECKING:
    from torch import nn

    from bridge.training.solver import Solver


TRAINERS = ("trainNetwork", "trainnet")


@dataclass(frozen=True)
class Semantics:
    """How a trainer counts, where its documentation leaves a choice; `mappings/solvers.toml` explains each.

    Make one with `Semantics.of`. The values are words of the table, not code.
    """

    trainer: str
    adam_epsilon: str
    l2_before_clipping: bool
    frozen_in_global_norm: bool
    schedule_counting: str
    batchnorm_auto: str
    batchnorm_variance: str
    patience_resets: bool
    crossentropy_over: str
    undefined_labels_count: bool
    rmse_over: str
    sequence_splitting: str
    epoch_order: str
    validation_draws: bool
    zscore_divisor: str
    yolov2_iou_target: str
    yolov2_box_sizes: str
    yolov2_divided_by: str
    yolov2_resize: str

    @classmethod
    def of(cls, trainer: str, overrides: Mapping[str, Any] | None = None) -> Semantics:
        """Return the switches of "trainNetwork" or "trainnet", some of them set by a profile.

        Raises:
            UsageError: the trainer, a switch or its value is unknown.
        """
        trainer = word_among(trainer, TRAINERS, "trainer")
        switches = table("solvers")["semantics"]
        values = {name: _for(row["default"], "", trainer) for name, row in switches.items()}
        for given, value in (overrides or {}).items():
            name = known_name(given, switches, "switch of training")
            values[name] = word_among(value, switches[name]["choices"], name)
        return cls(trainer, **values)

    def overrides(self) -> dict[str, Any]:
        """Return the switches that differ from the trainer's defaults."""
        plain = Semantics.of(self.trainer)
        return {f.name: getattr(self, f.name) for f in fields(self) if getattr(self, f.name) != getattr(plain, f.name)}


@dataclass(frozen=True)
class Explanation:
    """One option: what it is, what MATLAB would take without it, and what it becomes in PyTorch."""

    name: str
    value: Any
    default: Any
    given: bool
    torch: str
    evidence: str
    since: str | None


@dataclass(frozen=True)
class TrainingOptions:
    """The options of one training. Every option of the solver is an attribute in MATLAB's spelling.

    Make one with `training_options`, `TrainingOptions.from_mapping` or `saved_training_options`.

    Attributes:
        solver: "sgdm", "adam", "rmsprop", "lbfgs" or "lm".
        semantics: the rules of the trainer.
        given: the options that were set, in the order of the table; the others have their defaults.
        ignored: fields of a saved object that are no option.
        profile: the name of the profile that has settled switches, "R2024b"; see `bridge.options.profile`.
        settled: those switches.
    """

    solver: str
    semantics: Semantics
    given: Pairs = ()
    ignored: tuple[str, ...] = ()
    profile: str = ""
    settled: tuple[str, ...] = ()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name in (f.name for f in fields(TrainingOptions)):
            raise AttributeError(name)
        rows = _rows(self.solver)
        if name not in rows:
            raise AttributeError(f"the options of {self.solver!r} have no {name!r}")
        given = dict(self.given)
        value = given[name] if name in given else self._default(rows[name])
        vars(self)[name] = value  # the next time it is there
        return value

    @property
    def trainer(self) -> str:
        """The trainer whose rules hold: "trainNetwork" or "trainnet"."""
        return self.semantics.trainer

    @property
    def schedules(self) -> tuple[str | Schedule, ...]:
        """LearnRateSchedule as a chain, for a solver that has one."""
        if "LearnRateSchedule" not in _rows(self.solver):
            return ()
        value = self.LearnRateSchedule
        return value if isinstance(value, tuple) else (value,)

    def replace(self, **names: Any) -> TrainingOptions:
        """Return these options with some set anew.

        Raises:
            UsageError: as `training_options`.
        """
        rows = _rows(self.solver)
        merged = {**dict(self.given), **dict(checked(rows, self.solver, names))}
        return replace(self, given=tuple((name, merged[name]) for name in rows if name in merged))

    def optimizer(self, model: nn.Module, *, foreach: bool | None = None) -> Solver:
        """Return the solver of these options over the learnables of `model`; see
        `bridge.training.groups.options_optimizer`.
        """
        from bridge.training.groups import options_optimizer

        return options_optimizer(model, self, foreach=foreach)

    def explain(self) -> list[Explanation]:
        """Return a row for every option of the solver, in the order of the table."""
        given = dict(self.given)
        return [
            Explanation(
                name,
                getattr(self, name),
                self._default(row),
                name in given,
                row["torch"],
                self._for(row["evidence"]),
                row.get("since"),
            )
            for name, row in _rows(self.solver).items()
        ]

    def notes(self, lacks: Collection[str] = ()) -> list[str]:
        """Return what a training with these options depends on and no run of MATLAB has confirmed.

        Args:
            lacks: what the training is known not to have; see `bridge.data.expected.lacking`.
        """
        notes = [
            note
            for name, row in table("solvers")["semantics"].items()
            if self.depends_on(name, lacks) and name not in self.settled
            if (note := self._note(name, row))
        ]
        if self.profile:
            notes.append(f"the profile {self.profile} has settled {', '.join(self.settled) or 'none of the switches'}")
        for item in self.schedules:
            notes += assumed_properties(item)
        if self.ignored:
            notes.append(f"fields of the saved object that are no options were ignored: {', '.join(self.ignored)}")
        return notes

    def _note(self, name: str, row: Mapping[str, Any]) -> str:
        """Say that a switch is unconfirmed, or set to what MATLAB is known not to do; "" where neither is so."""
        value, default = getattr(self.semantics, name), self._for(row["default"])
        if self._for(row["evidence"]) not in SETTLED:
            return f"{name} = {value!r}, unconfirmed: {row['meaning']} ({row['source']})"
        return "" if value == default else f"{name} = {value!r}, MATLAB's is {default!r}: {row['meaning']}"

    def to_mapping(self) -> dict[str, Any]:
        """Return solver, trainer, the options that were set and the switches that differ, as plain values; data is left
        out.
        """
        rows = _rows(self.solver)
        options = {name: _plain(value) for name, value in self.given if rows[name]["kind"] != "data"}
        switches = self.semantics.overrides()
        return {
            "solver": self.solver,
            "trainer": self.trainer,
            **options,
            **({"semantics": switches} if switches else {}),
        }

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any], solver: str | None = None) -> TrainingOptions:
        """Return the options in a mapping as `to_mapping` and a parsed TOML file make it.

        Args:
            mapping: option -> value; also "solver", "trainer" and "semantics".
            solver: the solver where the mapping names none.

        Raises:
            UsageError: as `training_options`; no solver is named.
        """
        names = dict(mapping)
        solver = names.pop("solver", solver)
        if solver is None:
            raise UsageError("the options name no solver", hint=f'add solver = "sgdm" (or {", ".join(STOCHASTIC[1:])})')
        return training_options(solver, **names)

    def _for(self, value: Any) -> Any:
        return _for(value, self.solver, self.trainer)

    def _default(self, row: Row) -> Any:
        return self._for(row["default"])

    def depends_on(self, switch: str, lacks: Collection[str] = ()) -> bool:
        """Whether a switch of `Semantics` matters to a training with these options; `lacks` is that of `notes`."""
        row = table("solvers")["semantics"][switch]
        needs, excuses = row.get("depends", {}), row.get("unless", {})
        return (
            set(lacks).isdisjoint(row.get("needs", ()))
            and all(self._any(name, values) for name, values in needs.items())
            and not any(self._any(name, values) for name, values in excuses.items())
        )

    def _any(self, name: str, values: Sequence[Any]) -> bool:
        if name == "LearnRateSchedule":
            return any(word_of(item) in values for item in self.schedules)
        if name == "Metrics":
            return any(
                item.lower() in values for item in ([self.Metrics] if isinstance(self.Metrics, str) else self.Metrics)
            )
        return getattr(self, name, None) in values


def training_options(
    solver: str, *, trainer: str = "trainNetwork", semantics: Mapping[str, Any] | None = None, **names: Any
) -> TrainingOptions:
    """Return MATLAB's trainingOptions.

    Args:
        solver: "sgdm", "adam", "rmsprop"; "lbfgs" and "lm" are known by their options, but have no optimizer.
        trainer: "trainNetwork" or "trainnet" (R2023b on): their losses and logs are counted differently.
        semantics: switches of `Semantics` that a profile sets.
        names: options by MATLAB's names, in any case of letters.

    Raises:
        UsageError: the solver, an option or a value is unknown, or the option belongs to another solver.

    Example:
        >>> options = training_options("sgdm", initiallearnrate=3e-4, MaxEpochs=6)
        >>> options.InitialLearnRate, options.Momentum
        (0.0003, 0.9)
    """
    solver = known_name(solver, table("solvers")["solvers"], "solver")
    return TrainingOptions(solver, Semantics.of(trainer, semantics), checked(_rows(solver), solver, names))


def saved_training_options(
    class_name: str, saved: Mapping[str, Any], *, trainer: str = "trainNetwork"
) -> TrainingOptions:
    """Return the options in an object that MATLAB saved.

    Args:
        class_name: the object's class, "nnet.cnn.TrainingOptionsADAM".
        saved: its fields: arrays (numpy, 1x1 for numbers), text, anything for data. A field with the default value
            counts as set.
        trainer: the object does not say for which trainer it was made.

    Raises:
        UsageError: the class is no trainingOptions object, or a value makes no sense.
    """
    classes = {row["matlab"]: solver for solver, row in table("solvers")["solvers"].items()}
    if class_name not in classes:
        raise UsageError(f"{class_name} is no trainingOptions object", f"those are {', '.join(classes)}")
    solver = classes[class_name]
    rows = _rows(solver)
    names = {name: _from_matlab(saved[name]) for name in rows if name in saved and not _is_empty(saved[name])}
    unread = [
        name
        for name, value in names.items()
        if rows[name]["kind"] == "text" and not isinstance(value, str | list | tuple)
    ]
    options = training_options(
        solver, trainer=trainer, **{name: value for name, value in names.items() if name not in unread}
    )
    return replace(options, ignored=(*(name for name in saved if name not in rows and name != "Version"), *unread))


@cache  # asked for with every option, several times in an iteration
def _rows(solver: str) -> Mapping[str, Row]:
    rows = table("training_options")["options"]
    return {name: row for name, row in rows.items() if solver in row.get("solvers", STOCHASTIC)}


def _for(value: Any, solver: str, trainer: str) -> Any:
    """Take the solver's or the trainer's entry where the table has one for each."""
    if not isinstance(value, Mapping):
        return value
    return value[solver] if solver in value else value[trainer]


def _is_empty(value: Any) -> bool:
    return bool(getattr(value, "size", 1) == 0)


def _from_matlab(value: Any) -> Any:
    """Return the number, text or list in a saved array; anything else as it is."""
    if getattr(value, "dtype", None) is None or value.dtype == object:
        return value
    return value.item() if value.size == 1 else value


def _plain(value: Any) -> Any:
    if isinstance(value, Schedule):
        return value.to_mapping()
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
