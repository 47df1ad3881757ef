"""The parts of a layer's row: properties, learnables, states."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.tables.forms import AUTO, FORMS


@dataclass(frozen=True)
class PropertyRow:
    """A property: `name` is MATLAB's public one.

    Attributes:
        saved: its field in a saved object.
        older: its field in the first versions of the class; padding was one number for each dimension there.
        onnx: the ONNX attribute that holds it.
        torch: the argument of the torch module it becomes, where the builder `module` makes that.
        default: its value where a file does not hold it.
        new: its value in a layer that MATLAB's constructor makes, where that is another one.
        values: saved value (as text) -> public value.
        form: a name of `bridge.tables.forms`, that of the default where no other is given; "" for any.
        words: texts that stand for a number.
        lengths: how many numbers its value may have where it has several, as many as the default; () for any.
    """

    name: str
    saved: str
    older: str = ""
    onnx: str | None = None
    torch: str | None = None
    default: Any = None
    new: Any = None
    values: Mapping[str, Any] = field(default_factory=dict)
    form: str = ""
    words: tuple[str, ...] = ()
    lengths: tuple[int, ...] = ()

    @property
    def takes(self) -> str:
        """What its value may be, in words; "" for anything."""
        return ", or ".join((FORMS[self.form][0], *map(repr, self.words))) if self.form else ""

    def fits(self, value: Any) -> bool:
        """Whether its value may be so."""
        if not self.form or FORMS[self.form][1](value):
            return not self.lengths or not isinstance(value, tuple) or len(value) in self.lengths
        return value in (AUTO, *self.words, *self.values.values())

    @property
    def made(self) -> Any:
        """Its value in a layer that MATLAB's constructor makes."""
        return self.default if self.new is None else self.new


@dataclass(frozen=True)
class LearnableRow:
    """A learnable: where its factors are, how its axes turn.

    Attributes:
        torch: names of the torch parameters; two where torch splits it along its first axis.
        matlab_axes, torch_axes: patterns of `bridge.arrays.axes.Turn`.
        learn_rate, l2: the layer's factor properties ("WeightLearnRateFactor").
        defaults: (learn-rate factor, L2 factor) that MATLAB gives a new layer.
        initializer: how MATLAB makes its values: a name of `bridge.network.initializers`, or a number for all of them.
        onnx: the operator's input that holds it.
        split_when: property values that it is split for; for others it becomes the first parameter alone.
    """

    name: str
    torch: tuple[str, ...]
    matlab_axes: str
    torch_axes: str
    learn_rate: str
    l2: str
    defaults: tuple[float, float] = (1.0, 1.0)
    initializer: str | float | None = None
    onnx: int | None = None
    split_when: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class StateRow:
    """An array that training does not learn by gradient: batch-norm statistics, input means, cell states.

    Attributes:
        initializer: its values in a new layer; without one it is absent there.
    """

    name: str
    torch: str
    matlab_axes: str
    torch_axes: str
    saved: tuple[str, ...]
    initializer: str | float | None = None
    onnx: int | None = None
