"""Changes of bytes, numbers and texts, whatever they stand for. Each draws from a `random.Random` alone."""

from __future__ import annotations

import struct
from collections.abc import Callable
from random import Random

NUMBERS = (
    0, 1, 2, 3, 7, 8, 15, 16, 64, 127, 128, 255, 256, 1000, 32767, 32768, 65535, 65536, 99_999, 1_000_000,
    (1 << 31) - 1, 1 << 31, (1 << 32) - 1, 1 << 32, (1 << 62) + 1, (1 << 63) - 1, 1 << 63, (1 << 64) - 1,
)  # fmt: skip
REALS = (0.0, -0.0, 1e-45, 0.5, -1.0, 1e10, 3.5e38, 1.8e308, float("inf"), -float("inf"), float("nan"))
TEXTS = (
    "", " ", "a", "0", "in", "in1", "out", "Weights", "Bias", "none", "same", "all", "*", "1:3", "end", "true", "NaN",
    "relu", "conv-1", "../../outside", "/etc/passwd", "C:\\con", "net\x00.mat", "a/b", "a.b.c", "self", "forward",
    "__class__", "class", "import", "ﬁ", "\u2028", "é" * 30, "{}", "{0.__class__}", "%s%n", "a\nb", "\x1b[31m", "<b>&",
    '"""', "'''", "\\", "'+str(1)+'", "nnet.cnn.layer.ReLULayer", "nnet.cnn.layer.SoftmaxLayer", "softmax", "double",
    "bridge.network/1", "bridge.network/99", "x" * 5000,
)  # fmt: skip


def changed_bytes(data: bytes, random: Random) -> bytes:
    """Change one to three places of some bytes, or cut them short."""
    for _ in range(random.choice((1, 1, 1, 2, 3))):
        data = random.choice(_CHANGES)(data, random)
    return data


def changed_integer(value: int, random: Random) -> int:
    """Return another integer: a neighbour, a boundary, or its opposite."""
    return random.choice((value + 1, value - 1, -value, value * 2, value ^ (1 << random.randrange(32)), number(random)))


def number(random: Random) -> int:
    """Return an integer where things go wrong."""
    return random.choice(NUMBERS) * random.choice((1, 1, 1, -1))


def changed_text(text: str, random: Random) -> str:
    """Return another text: one of those that mean something somewhere, or this one changed in one place."""
    at, length = random.randrange(len(text) + 1), random.randrange(1, 9)
    return random.choice(
        (
            random.choice(TEXTS),
            text[:at] + random.choice(TEXTS) + text[at:],
            text[:at] + text[at + length :],
            text[:at] + chr(random.choice((0, 10, 13, 34, 39, 46, 47, 92, 127, 233, 0x2028, 0x1F600))) + text[at + 1 :],
            text.swapcase(),
            text * 2,
        )
    )


def _put(data: bytes, random: Random) -> bytes:
    new, at = _lie(random), _place(data, random)
    return data[:at] + new + data[at + len(new) :]


def _flip(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + bytes([data[at] ^ 1 << random.randrange(8)]) + data[at + 1 :] if data else b"\0"


def _insert(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + _lie(random) + data[at:]


def _remove(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[:at] + data[at + random.randrange(1, 65) :]


def _repeat(data: bytes, random: Random) -> bytes:
    at = _place(data, random)
    return data[: at + random.randrange(1, 65)] + data[at:]


def _end(data: bytes, random: Random) -> bytes:
    return data[: _place(data, random)]


def _move(data: bytes, random: Random) -> bytes:
    """Write a stretch over another place."""
    length = random.randrange(1, 65)
    piece, at = data[(start := _place(data, random)) : start + length], _place(data, random)
    return data[:at] + piece + data[at + len(piece) :]


def _place(data: bytes, random: Random) -> int:
    """Return a position; headers lie at the start of a file, so that is drawn more often."""
    end = max(len(data), 1)
    return random.randrange(min(end, 256) if random.random() < 0.3 else end)


def _lie(random: Random) -> bytes:
    if random.random() < 0.3:
        return random.randbytes(random.randrange(1, 5))
    if random.random() < 0.1:
        return struct.pack(random.choice("<>") + random.choice("fd"), random.choice(REALS[:3] + REALS[8:]))
    size = random.choice((1, 2, 4, 8))
    return (random.choice(NUMBERS) % (1 << 8 * size)).to_bytes(size, random.choice(("little", "big")))


_CHANGES: tuple[Callable[[bytes, Random], bytes], ...] = (
    _put,
    _put,
    _put,
    _flip,
    _insert,
    _remove,
    _repeat,
    _end,
    _move,
)
