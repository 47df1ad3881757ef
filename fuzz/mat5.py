"""Changes of the elements of a MAT v5 file, in its object data too, with sizes that fit again unless they are to lie.

The layout is that of MathWorks' "MAT-File Format": elements of a type and a size, arrays made of elements. It shares no
code with the reader.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from fuzz.changes import NUMBERS, REALS, changed_bytes, changed_text

HEADER, SUBSYSTEM = 128, 116  # bytes of the header; where it says at which byte the object data lie
UINT8, MATRIX, COMPRESSED = 2, 14, 15
PREAMBLE = b"\0\1IM"  # of the object data: a small file in an array of bytes
INTEGERS = {1: "b", 2: "B", 3: "h", 4: "H", 5: "i", 6: "I", 12: "q", 13: "Q"}
FLOATS = {7: "f", 9: "d"}
TEXT = (1, 2, 4, 16, 17)
DEEPEST, MOST = 40, 1 << 16  # levels that are looked into; bytes that are copied


@dataclass
class Element:
    """An element: the elements it is made of, or its bytes.

    Attributes:
        kind: its type.
        data: the bytes of a leaf; before its `parts`, the preamble of object data.
        parts: what it is made of.
        packed: whether it is compressed.
        lie: the size it claims, instead of its own.
    """

    kind: int
    data: bytes = b""
    parts: list[Element] = field(default_factory=list)
    packed: bool = False
    lie: int | None = None

    def body(self) -> bytes:
        """Return the element without its tag."""
        return self.data + b"".join(part.encoded() for part in self.parts)

    def encoded(self) -> bytes:
        """Return the element with its tag."""
        body = self.body()
        if self.lie is None and 0 < len(body) <= 4 and self.kind != MATRIX:
            return struct.pack("<HH", self.kind, len(body)) + body.ljust(4, b"\0")
        made = struct.pack("<II", self.kind, len(body) if self.lie is None else self.lie)
        made += body + (b"" if self.kind == MATRIX else bytes(-len(body) % 8))
        return made if not self.packed else _compressed(made)

    def below(self) -> Iterator[Element]:
        """Yield this element and all it is made of."""
        yield self
        for part in self.parts:
            yield from part.below()


def _compressed(made: bytes) -> bytes:
    packed = zlib.compress(made, 1)
    return struct.pack("<II", COMPRESSED, len(packed)) + packed


def change(data: bytes, random: Random) -> bytes:
    """Change one to three elements of a file."""
    (subsystem,) = struct.unpack_from("<Q", data, SUBSYSTEM)
    places, top = _top(data)
    for _ in range(random.choice((1, 1, 2, 3))):
        _change_one(top, random)
    made, content = bytearray(data[:HEADER]), b""
    for place, element in zip(places, top, strict=False):
        if place == subsystem:
            struct.pack_into("<Q", made, SUBSYSTEM, HEADER + len(content))
        content += element.encoded()
    return bytes(made) + content


def _top(data: bytes) -> tuple[list[int], list[Element]]:
    """Return where the variables of a file begin, and the variables."""
    places, found, at = [], [], HEADER
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        body = data[at + 8 : at + 8 + size]
        (element,) = _parsed(zlib.decompress(body) if kind == COMPRESSED else data[at : at + 8 + size], 0)
        element.packed = kind == COMPRESSED
        places.append(at)
        found.append(element)
        at += 8 + size
    return places, found


def _parsed(data: bytes, depth: int) -> list[Element]:
    found, at = [], 0
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<II", data, at)
        start = at + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, at + 4
        body = data[start : start + size]
        at = at + 8 if start == at + 4 else start + size + (-size % 8 if kind != MATRIX else 0)
        if kind == MATRIX and depth < DEEPEST:
            found.append(Element(kind, parts=_parsed(body, depth + 1)))
        elif kind == UINT8 and body.startswith(PREAMBLE):
            found.append(Element(kind, body[:8], _parsed(body[8:], depth + 1)))
        else:
            found.append(Element(kind, body))
    return found


def _change_one(top: list[Element], random: Random) -> None:
    elements = [each for element in top for each in element.below()]
    holders = [each for each in elements if each.parts]
    leaves = [each for each in elements if not each.parts]
    if random.random() < 0.65 and leaves:
        _change_leaf(random.choice(leaves), random)
    elif random.random() < 0.1:
        random.choice(elements).lie = random.choice(NUMBERS) % (1 << 32)
    elif holders:
        _change_parts(random.choice(holders), elements, random)


def _change_leaf(leaf: Element, random: Random) -> None:
    """Change a number, a text, the length or the type of a leaf."""
    what = random.random()
    if what < 0.08:
        leaf.kind = random.choice((*INTEGERS, *FLOATS, *TEXT, 0, 10, 14, 18, 77))
    elif what < 0.2:
        at = random.randrange(len(leaf.data) + 1)
        leaf.data = random.choice((b"", leaf.data[:at], leaf.data * 2, leaf.data + bytes(random.randrange(1, 40))))
    elif what < 0.35:
        leaf.data = changed_bytes(leaf.data, random)
    elif leaf.kind in TEXT and what < 0.6:
        leaf.data = changed_text(leaf.data.decode("latin-1"), random).encode("latin-1", "replace")
    else:
        _change_number(leaf, random)


def _change_number(leaf: Element, random: Random) -> None:
    """Put another number into one place; bytes are often words, as those of the object data."""
    form = FLOATS.get(leaf.kind) or (
        "I" if len(leaf.data) >= 40 and leaf.kind == UINT8 else INTEGERS.get(leaf.kind, "B")
    )
    size = struct.calcsize(form)
    count = len(leaf.data) // size
    if not count:
        return
    at = size * random.randrange(min(count, 20) if random.random() < 0.3 else count)
    if form in FLOATS.values():
        new = struct.pack("<" + form, random.choice(REALS if form == "d" else (*REALS[:6], *REALS[8:])))
    else:
        old = int.from_bytes(leaf.data[at : at + size], "little")
        near = (old + 1, old - 1, old + random.randrange(-9, 10), random.randrange(64), random.choice(NUMBERS))
        new = (random.choice(near) % (1 << 8 * size)).to_bytes(size, "little")
    leaf.data = leaf.data[:at] + new + leaf.data[at + size :]


def _change_parts(holder: Element, elements: list[Element], random: Random) -> None:
    """Remove, double, exchange or replace an element of an array, or put it deeper."""
    parts, at = holder.parts, random.randrange(len(holder.parts))
    what = random.randrange(6)
    if what == 0:
        del parts[at]
    elif what == 1:
        parts.insert(at, parts[at])
    elif what == 2:
        other = random.randrange(len(parts))
        parts[at], parts[other] = parts[other], parts[at]
    elif what == 3:
        parts[at] = _copied(random.choice(elements))
    elif what == 4 and parts[at].kind == MATRIX:
        parts[at] = _in_cells(parts[at], random.choice((1, 3, 30, 70, 2000)))
    else:
        parts[at] = Element(MATRIX)


def _copied(element: Element) -> Element:
    """Return the bytes of an element as another one; of a large one the beginning, so that files do not grow."""
    return Element(element.kind, element.body()[:MOST])


def _in_cells(element: Element, depth: int) -> Element:
    """Return an array in a cell in a cell, without the recursion that encoding them would take."""
    made = Element(element.kind, element.body()).encoded()
    head = struct.pack("<IIII", 6, 8, 1, 0) + struct.pack("<IIII", 5, 8, 1, 1) + struct.pack("<II", 1, 0)
    for _ in range(depth):
        made = struct.pack("<II", MATRIX, len(head) + len(made)) + head + made
    return Element(MATRIX, made[8:])
