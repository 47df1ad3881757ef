"""The rows of `mappings/losses.toml`: what a training minimises, by the name of the loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

from bridge.errors import UsageError
from bridge.tables.layers import LayerRow, layer_mappings, table


@dataclass(frozen=True)
class LossRow:
    """A loss; the head of the table explains the entries."""

    name: str
    trainer: str
    function: str
    targets: str
    divides: str
    also: tuple[str, ...] = ()
    per_step: bool = False
    arguments: Mapping[str, str] = field(default_factory=dict)
    follows: bool = False
    evidence: str = "U"
    note: str = ""


@cache
def loss_rows(trainer: str) -> Mapping[str, LossRow]:
    """Return the losses of "trainNetwork" or "trainnet" by each of their names."""
    made = [LossRow(name, **{**row, "also": tuple(row.get("also", ()))}) for name, row in table("losses").items()]
    return {name: row for row in made if row.trainer == trainer for name in (row.name, *row.also)}


def loss_of(output: LayerRow, trainer: str) -> str:
    """Return the name of the loss that an output layer means to a trainer; the layer's own where there is none, "" of a
    class that no table knows.
    """
    return output.loss.get(trainer, "" if output.is_unknown else output.name)


def loss_row(name: str, trainer: str) -> LossRow:
    """Return the row of a loss: by its name, or by the class of an output layer.

    Raises:
        UsageError: the trainer has no such loss; those that it has are listed.
    """
    rows, output = loss_rows(trainer), layer_mappings().rows.get(name)
    known = loss_of(output, trainer) if output is not None and trainer == "trainNetwork" else name
    if known not in rows:
        raise UsageError(f"{trainer} has no loss {name!r}", f"it has {', '.join(rows)}")
    return rows[known]
