"""MATLAB's initializers: how the first values of a learnable are drawn from MATLAB's random stream.

Arithmetic is in double precision and rounded once, to single. What each is known from stands in `mappings/random.toml`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.errors import UsageError, nearest
from bridge.random import MatlabStream
from bridge.tables.layers import table
from bridge.tables.registry import Registry

PIECE = 1 << 20  # numbers drawn at once: a large layer never lies in memory in double precision


@dataclass(frozen=True)
class Target:
    """What is to be filled.

    Attributes:
        shape: in MATLAB's layout.
        inputs, outputs: how many numbers each output is made of, and the other way round (numIn, numOut).
        gates: of a recurrent layer, whose rows are as many blocks.
    """

    shape: tuple[int, ...]
    inputs: int = 1
    outputs: int = 1
    gates: int = 1


Initializer = Callable[[MatlabStream, Target], NDArray]
INITIALIZERS: Registry[Initializer] = Registry("initializer")


@INITIALIZERS("glorot")
def glorot(stream: MatlabStream, target: Target) -> NDArray:
    """sqrt(6 / (numIn + numOut)) * (2 * rand - 1) (Glorot and Bengio 2010)."""
    bound = math.sqrt(6 / (target.inputs + target.outputs))
    return _drawn(target.shape, lambda count: bound * (2 * stream.rand(count, 1) - 1))


@INITIALIZERS("he")
def he(stream: MatlabStream, target: Target) -> NDArray:
    """sqrt(2 / numIn) * randn (He et al. 2015)."""
    return _normal(stream, target, math.sqrt(2 / target.inputs))


@INITIALIZERS("narrow-normal")
def narrow_normal(stream: MatlabStream, target: Target) -> NDArray:
    """0.01 * randn."""
    return _normal(stream, target, 0.01)


@INITIALIZERS("orthogonal")
def orthogonal(stream: MatlabStream, target: Target) -> NDArray:
    """The factor Q of the QR decomposition of randn, with the signs that make R's diagonal positive (Saxe et al. 2013).

    That a matrix of more columns than rows is the transpose of such a one is unconfirmed.
    """
    rows, columns = target.shape[0], math.prod(target.shape[1:])
    q, r = np.linalg.qr(stream.randn(max(rows, columns), min(rows, columns)))
    q = q * np.sign(np.diag(r))
    return (q if rows >= columns else q.T).reshape(target.shape, order="F")


@INITIALIZERS("zeros")
def zeros(stream: MatlabStream, target: Target) -> NDArray:
    return np.zeros(target.shape, np.float32)


@INITIALIZERS("ones")
def ones(stream: MatlabStream, target: Target) -> NDArray:
    return np.ones(target.shape, np.float32)


@INITIALIZERS("unit-forget-gate")
def unit_forget_gate(stream: MatlabStream, target: Target) -> NDArray:
    """Ones for the forget gate, the second of the four of each direction, and zeros for the others."""
    gates = np.zeros((target.gates, math.prod(target.shape) // target.gates), np.float32)
    gates[1::4] = 1
    return gates.reshape(target.shape)


def _normal(stream: MatlabStream, target: Target, deviation: float) -> NDArray:
    return _drawn(target.shape, lambda count: deviation * stream.randn(count, 1))


def _drawn(shape: tuple[int, ...], draw: Callable[[int], NDArray]) -> NDArray:
    """Return an array filled in column-major order, in single precision."""
    values = np.empty(math.prod(shape), np.float32)
    for start in range(0, len(values), PIECE):
        piece = values[start : start + PIECE]
        piece[:] = draw(len(piece))[:, 0]
    return values.reshape(shape, order="F")


def initializer_name(given: str) -> str:
    """Return the name of an initializer given in any case of letters, or as the class a file names.

    Raises:
        UsageError: there is none of that name.
    """
    last = given.rpartition(".")[2]
    names = {saved: name for name, row in table("random")["initializers"].items() for saved in row.get("saved", ())}
    name: str = names.get(last, last.lower())
    if name not in INITIALIZERS:
        raise UsageError(
            f"{given!r} is no initializer",
            nearest(name, INITIALIZERS),
            "functions are not read; give the values themselves",
        )
    return name
