"""From arrays in MATLAB's or torch's order, and from labels, to the tensors a network takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bridge.arrays.lazy import NDArray
from bridge.data.sources import UNDEFINED
from bridge.errors import UsageError, nearest
from bridge.network.activations import Activation

MATLAB, TORCH = "HWCN", "NCHW"  # orders of the axes of images; a depth follows the width


def tensor(values: Any) -> Tensor:
    """Return an array as a tensor of its own, or sharing its memory where that can be written to."""
    if isinstance(values, Tensor):
        return values
    array = np.asarray(values)
    if array.dtype.kind not in "biuf":
        raise UsageError(
            f"an array of {array.dtype} is no data of a network", "it holds numbers", "pass an array of numbers"
        )
    signed = (
        array.astype(np.int64) if array.dtype.kind == "u" and array.itemsize > 1 else array
    )  # torch computes with no uint16 and above
    return torch.from_numpy(
        np.require(signed.astype(signed.dtype.newbyteorder("="), copy=False), requirements=("C", "W"))
    )


def images(values: Any, at: Activation, layout: str | None, what: str = "input") -> Tensor:
    """Return images as N,C,H,W (volumes as N,C,H,W,D).

    Args:
        values: an array whose order is told by its shape, or by `layout` where both orders fit.
        at: the size that one image should have.
        layout: "HWCN" (MATLAB's) or "NCHW" (torch's).
        what: how errors call the array.

    Raises:
        UsageError: no order fits, or both do and `layout` does not say which.
    """
    if layout not in (None, MATLAB, TORCH):
        raise UsageError(f"layout is {layout!r}", f"it is {MATLAB!r} or {TORCH!r}")
    x, wanted = tensor(values), (at.channels, *at.spatial)
    turned = {TORCH: x, MATLAB: x.movedim((-1, -2), (0, 1)) if x.dim() > 2 else x}
    fitting = [name for name in ((layout,) if layout else (MATLAB, TORCH)) if _fits(turned[name].shape[1:], wanted)]
    if len(fitting) != 1:
        cause = (
            "both orders fit the network"
            if fitting
            else f"one image is {at}" + (f", told to lie in {layout}" if layout else "")
        )
        hint = f"pass layout={MATLAB!r} or {TORCH!r}" if fitting else f"pass an array in the order {MATLAB} or {TORCH}"
        raise UsageError(
            f"{what} of shape {tuple(x.shape)} "
            f"{'could be either of two orders' if fitting else 'does not fit the network'}",
            cause,
            hint,
        )
    return turned[fitting[0]]


def _fits(shape: Sequence[int], wanted: Sequence[int | None]) -> bool:
    return len(shape) == len(wanted) and all(
        length is None or n == length for n, length in zip(shape, wanted, strict=True)
    )


def vectors(values: Any, channels: int | None, what: str = "input") -> Tensor:
    """Return features or responses as N,C; N responses may come alone, and as MATLAB's 1 x 1 x C x N.

    Raises:
        UsageError: the shape does not fit.
    """
    x = tensor(values)
    if x.dim() == 4 and x.shape[:2] == (1, 1):
        x = x[0, 0].T
    if x.dim() == 1 or (channels == 1 and x.dim() == 2 and len(x) == 1):
        x = x.reshape(-1, 1)
    if x.dim() != 2 or channels not in (None, x.shape[1]):
        raise UsageError(
            f"{what} of shape {tuple(x.shape)} does not fit the network",
            f"it should be N x {channels}",
            "observations lie along the first dimension",
        )
    return x


def sequences(
    values: Sequence[Any], channels: int | None, channels_first: bool, what: str = "sequences"
) -> list[Tensor]:
    """Return sequences as T x C.

    Args:
        values: one matrix for each sequence.
        channels: how many channels each should have.
        channels_first: whether they are C x T (trainNetwork's) and not T x C (trainnet's).
        what: how errors call them.

    Raises:
        UsageError: a sequence has another number of channels.
    """
    given = [tensor(each) for each in values]
    given = [
        each.reshape(1, -1) if each.dim() == 1 and channels_first else each.reshape(-1, 1) if each.dim() == 1 else each
        for each in given
    ]
    turned = [each.T if channels_first else each for each in given]
    for index, each in enumerate(turned):
        if each.dim() != 2 or channels not in (None, each.shape[1]):
            order, other = ("C x T", "T x C") if channels_first else ("T x C", "C x T")
            fits = all(one.dim() == 2 and one.shape[0] == channels for one in turned)
            raise UsageError(
                f"{what}: number {index} of shape {tuple(given[index].shape)} does not have {channels} channels",
                f"they are read as {order}" + (f", and would fit as {other}" if fits else ""),
                "trainNetwork takes C x T, trainnet T x C; InputDataFormats='CTB' or 'TCB' says otherwise",
            )
    return turned


def texts(values: Any) -> NDArray | None:
    """Return labels that are names as an array of texts, "" where they are undefined; None where they are numbers."""
    if isinstance(values, Tensor):
        return None
    array = values if isinstance(values, np.ndarray) else np.array(values, dtype=object)
    is_text = array.dtype.kind in "US" or (array.dtype == object and array.size > 0 and isinstance(array.flat[0], str))
    return array.astype(object) if is_text else None


def class_indices(
    names: NDArray, classes: Sequence[str] | None, what: str, *, every_class: bool = False
) -> tuple[Tensor, tuple[str, ...]]:
    """Join labels and classes by name.

    Args:
        names: labels, of any shape; "" is undefined.
        classes: the class names of the network; None: those of the labels, in MATLAB's order of categories.
        what: how errors call the data.
        every_class: whether each class must occur.

    Returns:
        The index of each label, -1 where it is undefined, and the classes.

    Raises:
        UsageError: a label is no class, or a class does not occur.
    """
    present = {str(name) for name in names.flat} - {""}
    known = tuple(classes) if classes is not None else tuple(sorted(present))
    unknown, absent = sorted(present - set(known)), [name for name in known if name not in present]
    hint = "give the network the classes of the data: net = net.with_classes([...])"
    if unknown:
        raise UsageError(
            f"{what} have the label '{unknown[0]}', the network has no such class", nearest(unknown[0], known), hint
        )
    if every_class and absent:
        raise UsageError(
            f"{what} have no observation of class '{absent[0]}'",
            f"{len(absent)} of the {len(known)} classes of the network do not occur",
            hint,
        )
    index = {"": UNDEFINED, **{name: position for position, name in enumerate(known)}}
    return torch.tensor([index[str(name)] for name in names.flat], dtype=torch.long).view(names.shape), known
