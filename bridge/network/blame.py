"""Whose fault an exception is: that of the layer in the file, or bridge's own.

Size rules and builders take a layer as the file describes it. Where one of them raises, the layer is looked at: a
property that is missing, or that no layer of the class can have, explains it. Values that do not fit each other are the
file's matter too. What nothing explains is told as a fault of bridge.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.errors import DAMAGE, BridgeError, FaultError, UnreadableError, UsageError, meaning, quoted

if TYPE_CHECKING:
    from bridge.network.layer import Layer

# What right code does not raise for values of the right form, even where they do not fit each other.
FAULTS = (AssertionError, AttributeError, LookupError, NameError, NotImplementedError, TypeError)


@contextmanager
def interpreting(layer: Layer) -> Iterator[None]:
    """Run what is made for the class of a layer.

    Raises:
        UnreadableError: the layer's own properties, arrays or ports are the cause.
        FaultError: they are not.
    """
    try:
        yield
    except (*DAMAGE, *FAULTS) as error:
        what = f"layer '{layer.name}' ({layer.kind})"
        cause = oddity(layer, error)
        if not cause and isinstance(error, FAULTS):
            raise FaultError.of(what, error) from error
        hint = "copy the file again, or save or export the network again in MATLAB"
        raise UnreadableError(f"{what} cannot be read", cause or meaning(error), hint) from error


@contextmanager
def computing(layers: Iterable[Layer], what: str) -> Iterator[None]:
    """Run the module of a network, of these layers, on something.

    Raises:
        UsageError: torch refuses, or a layer that is no MATLAB layer fails; its message is passed on.
        FaultError: MATLAB's layers alone fail.
    """
    try:
        yield
    except BridgeError:
        raise
    except Exception as error:
        others = [layer.name for layer in layers if layer.row.is_foreign or layer.row.is_unknown]
        if isinstance(error, FAULTS) and not others:
            raise FaultError.of(f"{what}, in the network", error) from error
        hint = "if that is what the network takes, please report it, with all that BRIDGE_TRACEBACK=1 prints"
        if others:
            hint = f"{len(others)} of its layers are no MATLAB layers, as '{quoted(others[0])}'; look there first"
        cause = quoted(str(error).partition("\n")[0]) or meaning(error)
        raise UsageError(f"the network cannot compute {what}", cause, hint) from error


def oddity(layer: Layer, error: BaseException) -> str:
    """Return what is wrong with a layer that raised an error, "" where nothing is seen: a property, learnable or
    statistic that its row has and it has not, a value of another form, an array with too few dimensions, other ports.
    """
    row, held = layer.row, {**layer.properties, **layer.learnables, **layer.state}
    name = error.args[0] if isinstance(error, KeyError) and error.args else getattr(error, "name", None)
    known = {**row.properties, **row.learnables, **row.state}
    if (name in known or not row.matlab) and isinstance(name, str) and held.get(name) is None:
        return f"it has no {name}"
    for name, each in row.properties.items():
        if name in layer.properties and not each.fits(layer.properties[name]):
            return f"its {name} is {quoted(repr(layer.properties[name]))}, it takes {each.takes}"
    arrays = {**{name: each.array for name, each in layer.learnables.items()}, **layer.state}
    for name, array in arrays.items():
        if len(array.shape) < 2:
            return f"its {name} has the size {array.shape}, arrays of MATLAB have two dimensions or more"
    for ports, expected in ((layer.inputs, row.inputs), (layer.outputs, row.outputs)):
        if row.ports is None and row.matlab and ports != expected:
            return f"its ports are {', '.join(ports) or 'none'}, not {', '.join(expected)}"
    return ""
