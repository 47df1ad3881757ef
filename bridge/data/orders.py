"""In which order the dimensions of an array stand: told, or found from the sizes a network expects, never guessed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError
from bridge.network.activations import Activation

LETTERS = "HWD"  # of spatial dimensions
# By the spatial dimensions of a format: what an array may look like, MATLAB's own order first.
IMAGES = {
    "": ("NC", "CN"),
    "S": ("HCN", "HC", "NHC", "NCH", "CH"),
    "SS": ("HWCN", "HWC", "NHWC", "NCHW", "CHW"),
    "SSS": ("HWDCN", "HWDC", "NHWDC", "NCHWD", "CHWD"),
}
SEQUENCES = {
    "": ("CT", "TC", "CNT", "NTC", "NCT", "TNC", "CTN", "TCN"),
    "S": ("HCT", "THC", "TCH", "HCNT", "NTCH"),
    "SS": ("HWCT", "THWC", "TCHW", "HWCNT", "NTCHW"),
}


def torch_order(size: Activation) -> str:
    """Return the order of torch's tensor: "NCHW", "NTC"."""
    return ("NTC" if size.over_time else "NC") + LETTERS[: len(size.spatial)]


def arrange(
    value: NDArray | Sequence[NDArray],
    size: Activation,
    order: str | None,
    what: str,
    *,
    count: int | None = None,
    matlab: bool = False,
    option: str = "dims",
) -> NDArray | list[NDArray]:
    """Return an array, or a cell of one array for each observation, in torch's layout.

    Args:
        value: the array; MATLAB drops dimensions of length one at the end.
        size: what the network expects of one observation.
        order: the dimensions in order, "HWCN"; None where they are to be found.
        what: names it in errors.
        count: the number of observations, where known.
        matlab: whether the order is known to be MATLAB's.
        option: what sets the order, for the hint.

    Raises:
        UsageError: no order fits, or more than one; or there are no values, or no real numbers.
    """
    orders = (SEQUENCES if size.over_time else IMAGES)["S" * len(size.spatial)]
    strange = next(
        (
            kind
            for each in (value if isinstance(value, (list, tuple)) else [value])
            if (kind := np.asarray(each).dtype).kind not in "biuf"
        ),
        None,
    )
    if strange is not None:
        raise UsageError(
            f"{what} holds no real numbers", f"it is of type {strange}", "name an array of numbers, or a cell of such"
        )
    if isinstance(value, (list, tuple)):
        single = tuple(dict.fromkeys(each.replace("N", "") for each in orders))
        chosen = _choose([np.shape(each) for each in value], size, order, single, what, None, matlab, option)
        arrays = [_turned(np.asarray(each), chosen, size) for each in value]
        return arrays if size.over_time else np.concatenate(arrays)
    value = np.asarray(value)
    if set(size.spatial) == {1}:
        orders = (*orders, *IMAGES[""])
    return _turned(value, _choose([value.shape], size, order, orders, what, count, matlab, option), size)


def by_format(value: NDArray, letters: str, size: Activation | None, what: str) -> NDArray:
    """Return an array with a dlarray format ("SSCB") in torch's layout; without a size it is taken as it is."""
    spatial = iter(LETTERS)
    order = "".join({"C": "C", "B": "N", "T": "T"}.get(each) or next(spatial, "?") for each in letters)
    shape = (*value.shape, *(1,) * (len(order) - value.ndim))
    size = size or Activation(letters, tuple(n for letter, n in zip(letters, shape, strict=True) if letter in "SC"))
    if not _fits(shape, order, size, None):
        raise UsageError(
            f"{what} is {_text(value.shape)} ({letters}), the network takes {size}",
            _swapped(shape, [order], size),
            "save it of this network",
        )
    return _turned(value, order, size)


def _choose(
    shapes: Sequence[tuple[int, ...]],
    size: Activation,
    order: str | None,
    orders: Sequence[str],
    what: str,
    count: int | None,
    matlab: bool,
    option: str,
) -> str:
    def fits(candidate: str) -> bool:
        return all(_fits(shape, candidate, size, count) for shape in shapes)

    if not shapes or any(0 in shape for shape in shapes):
        raise UsageError(
            f"{what} holds an observation without values, or none at all",
            "nothing can be computed from it",
            "save it again, with its values",
        )
    shown = " and ".join(sorted({_text(shape) for shape in shapes})[:3])
    wanted = f"{size} for each of {count} observations" if count is not None else str(size)
    if order is not None:
        if not fits(order):
            cause = (
                _swapped(shapes[0], [order], size)
                if len(order) == len(shapes[0])
                else f"{order} names {len(order)} dimensions"
            )
            raise UsageError(
                f"{what} is {shown}, which is no {wanted} in the order {order}",
                cause,
                f"{option} names the dimensions in order: {orders[0]}",
            )
        return order
    fitting = [candidate for candidate in orders if fits(candidate)]
    fitting = [
        candidate for candidate in fitting if len(candidate) == len(shapes[0])
    ] or fitting  # no dimension of one was dropped
    if not fitting:
        raise UsageError(
            f"{what} is {shown}, the network takes {wanted}",
            _swapped(shapes[0], orders, size),
            f"{option} names the dimensions in order: {orders[0]}",
        )
    if len({_meaning(shapes[0], candidate) for candidate in fitting}) > 1 and not matlab:
        raise UsageError(
            f"{what} is {shown}, which fits the network's {size} as {' or '.join(fitting)}",
            "nothing tells which is meant",
            f"{option} {fitting[0]}",
        )
    return fitting[0]


def _fits(shape: tuple[int, ...], order: str, size: Activation, count: int | None) -> bool:
    """Whether an array of `shape` has the expected lengths in `order`; ones at the end may be missing."""
    if len(shape) > len(order):
        shape = shape[: len(order)] + tuple(n for n in shape[len(order) :] if n != 1)
    if len(shape) > len(order):
        return False
    lengths = dict(zip(order, (*shape, *(1,) * (len(order) - len(shape))), strict=True))
    expected = {"C": size.channels, **dict(zip(LETTERS, size.spatial, strict=False))}
    if set(size.spatial) == {1} and "H" not in order:
        expected = {"C": size.channels}
    known = all(name in lengths and lengths[name] == n for name, n in expected.items() if n is not None)
    return known and (count is None or "N" not in order or lengths["N"] == count)


def _meaning(shape: tuple[int, ...], order: str) -> tuple[str, ...]:
    """The order without what has length one: two orders that differ in those alone are the same."""
    lengths = (*shape, *(1,) * (len(order) - len(shape)))
    return tuple(letter for letter, n in zip(order, lengths, strict=False) if n != 1)


def _swapped(shape: tuple[int, ...], orders: Sequence[str], size: Activation) -> str:
    """Say whether height and width are swapped."""
    for swapped in (order.translate(str.maketrans("HW", "WH")) for order in orders):
        if swapped not in orders and _fits(shape, swapped, size, None):
            return f"height and width are transposed: it fits as {swapped}"
    return "it is of another network, or resized differently"


def _turned(value: NDArray, order: str, size: Activation) -> NDArray:
    target = torch_order(size)
    if set(size.spatial) == {1} and "H" not in order:
        order += LETTERS[: len(size.spatial)]
    value = value.reshape(
        (*value.shape, *(1,) * (len(order) - value.ndim)) if value.ndim < len(order) else value.shape[: len(order)]
    )
    if "N" not in order:
        value, order = value[None], "N" + order
    return np.ascontiguousarray(value.transpose([order.index(letter) for letter in target]))


def _text(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) if shape else "1"
