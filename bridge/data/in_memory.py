"""Arrays, lists of sequences and labels as sources."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from bridge.arrays.lazy import NDArray
from bridge.data import convert
from bridge.data.expected import Expected
from bridge.data.sources import ArraySource, SequenceSource, Source
from bridge.errors import UsageError
from bridge.network.activations import Activation
from bridge.options.options import TrainingOptions


def array_source(
    inputs: Any, targets: Any, expected: Expected, options: TrainingOptions, layout: str | None, what: str
) -> Source:
    """Return observations in memory.

    Args:
        inputs: an array; a tuple of arrays for several inputs; a list of sequences.
        targets: class names, class indices from 0, one number for each class, or responses.
        expected: what the network expects.
        options: how sequences lie and are padded.
        layout: "HWCN" or "NCHW", where both could be meant.
        what: how errors call the data.

    Raises:
        UsageError: they do not fit the network, or each other.
    """
    if isinstance(inputs, list) and inputs and np.ndim(inputs[0]) > 0:
        return _sequence_source(
            inputs, targets, expected, options, what, _channels_first(options, options.InputDataFormats)
        )
    several = inputs if isinstance(inputs, tuple) else (inputs,)
    if expected.inputs and len(several) != len(expected.inputs):
        raise UsageError(
            f"{what} have {len(several)} inputs",
            f"the network has {len(expected.inputs)}",
            "pass ((first, second, ...), targets)",
        )
    found = tuple(
        _input(each, at, layout) for each, at in zip(several, expected.inputs or [None] * len(several), strict=True)
    )
    if (
        isinstance(options.SequenceLength, int)
        and expected.inputs
        and expected.inputs[0].over_time
        and found[0].dim() == 3
    ):
        return _sequence_source(list(found[0]), targets, expected, options, what, channels_first=False)
    expected.require_range(float(found[0].max()) if found[0].numel() else 0.0, what)
    target, classes = _targets(targets, expected, layout, what)
    _require_count(len(found[0]), len(target), what)
    return ArraySource(found, target, classes)


def _input(values: Any, at: Activation | None, layout: str | None) -> Tensor:
    if at is None:
        return convert.tensor(values)
    if at.spatial and not at.over_time:
        return convert.images(values, at, layout)
    if not at.over_time:
        return convert.vectors(values, at.channels)
    x = convert.tensor(values)
    if x.dim() < 3 or at.channels not in (None, x.shape[2]):
        raise UsageError(
            f"an array of shape {tuple(x.shape)} holds no sequences of {at}",
            "an array is N x T x C",
            "pass a list with one matrix a sequence",
        )
    return x


def _targets(values: Any, expected: Expected, layout: str | None, what: str) -> tuple[Tensor, tuple[str, ...]]:
    """Return class indices with the class names, or numbers."""
    names = convert.texts(values)
    if names is not None:
        expected.require_classes(what)
        indices, classes = convert.class_indices(names, expected.classes, what, every_class=expected.every_class)
        return (indices if expected.by_element else indices.reshape(-1)), classes
    numbers = convert.tensor(values)
    if expected.by_class is None and not numbers.is_floating_point():
        return numbers.long(), ()
    if not expected.by_class:
        return _responses(numbers if numbers.is_floating_point() else numbers.float(), expected.output, layout), ()
    if numbers.is_floating_point() and numbers.dim() < 2:
        raise UsageError(
            f"{what} have targets of {numbers.dtype}",
            "class indices are integers from 0",
            "pass integers, class names, or one number for each class",
        )
    if numbers.is_floating_point():
        return numbers, ()
    _require_indices(numbers, expected, what)
    return (numbers.long() if expected.by_element else numbers.long().reshape(-1)), expected.classes or ()


def _responses(values: Tensor, at: Activation | None, layout: str | None) -> Tensor:
    if at is None or at.over_time:
        return values
    return (
        convert.images(values, at, layout, "target")
        if at.spatial and set(at.spatial) != {1}
        else convert.vectors(values, at.channels, "target")
    )


def _require_indices(indices: Tensor, expected: Expected, what: str) -> None:
    count, classes = (expected.output.channels if expected.output is not None else None), expected.classes or ()
    if not indices.numel():
        return
    greatest, least = int(indices.max()), int(indices.min())
    if count is not None and greatest >= count:
        from_one = greatest == count and least >= 1
        cause = "indices count from 0" + (", and these from 1, as MATLAB's do" if from_one else "")
        hint = "subtract 1" if from_one else "pass class names, or a network with that many classes"
        raise UsageError(f"{what} have the class index {greatest}, the network has {count} classes", cause, hint)
    if classes and all(name.isdecimal() for name in classes) and list(classes) != [str(n) for n in range(len(classes))]:
        shown = ", ".join(classes[:4])
        raise UsageError(
            f"{what} have numbers as labels, and classes are {shown}",
            "they could be names or indices",
            "pass names: [str(y) for y in labels]",
        )


def _require_count(inputs: int, targets: int, what: str) -> None:
    if inputs != targets:
        raise UsageError(
            f"{what} have {inputs} inputs and {targets} targets",
            "each observation has one of both",
            "check the order of the axes",
        )


def _sequence_source(
    inputs: Sequence[Any], targets: Any, expected: Expected, options: TrainingOptions, what: str, channels_first: bool
) -> Source:
    found = convert.sequences(inputs, expected.inputs[0].channels if expected.inputs else None, channels_first, what)
    padding: dict[str, Any] = {
        "length": options.SequenceLength,
        "whole_pieces": options.semantics.sequence_splitting == "whole",
        "value": options.SequencePaddingValue,
        "left": options.SequencePaddingDirection == "left",
    }
    if expected.output is None or not expected.output.over_time:
        target, classes = _targets(targets, expected, None, what)
        _require_count(len(found), len(target), what)
        return SequenceSource(found, target, classes=classes, **padding)
    _require_count(len(found), len(targets), what)
    steps, classes = _steps(
        targets, expected, _channels_first(options, options.TargetDataFormats, channels_first), what
    )
    for index, (sequence, target) in enumerate(zip(found, steps, strict=True)):
        if len(sequence) != len(target):
            raise UsageError(
                f"sequence {index} of {what} has {len(sequence)} steps, its target {len(target)}",
                "the network predicts every step",
            )
    return SequenceSource(found, steps, classes=classes, **padding)


def _steps(
    targets: Sequence[Any], expected: Expected, channels_first: bool, what: str
) -> tuple[list[Tensor], tuple[str, ...]]:
    """Return a target for every step of every sequence: T class indices, or T x R responses."""
    rows = [_row(each) for each in targets]
    if expected.by_class is False or (expected.by_class is None and rows[0].dtype.kind == "f"):
        assert expected.output is not None
        return convert.sequences(targets, expected.output.channels, channels_first, f"targets of {what}"), ()
    flat, classes = _targets(np.concatenate(rows), expected, None, what)
    return list(flat.split([len(row) for row in rows])), classes


def _row(labels: Any) -> NDArray:
    names = convert.texts(labels)
    return np.ravel(labels if names is None else names)


def _channels_first(options: TrainingOptions, given: str | tuple[str, ...], otherwise: bool | None = None) -> bool:
    """Return whether formats put channels before time; if they do not tell, `otherwise`, or what the trainer does."""
    formats = given if isinstance(given, str) else "".join(given[:1])
    if "C" in formats and "T" in formats:
        return formats.index("C") < formats.index("T")
    return options.trainer == "trainNetwork" if otherwise is None else otherwise
