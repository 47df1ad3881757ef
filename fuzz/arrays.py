"""Changes of the headers and chunks of .npy, .npz and PNG files, with sums that fit again."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from random import Random

from fuzz.changes import changed_bytes, changed_text, number

MAGIC = b"\x93NUMPY"
TYPES = (
    "<f8",
    "<f4",
    "|u1",
    "|b1",
    "<c16",
    "|O",
    "<U3",
    "|S3",
    "<M8[s]",
    "|V4",
    "<f2",
    "[('a','<f4')]",
    ">f4",
    "x",
    "<f16",
)
SHAPES = (
    "()",
    "(0,)",
    "(1,)",
    "(3, -1)",
    "(99999, 99999)",
    "(2**40,)",
    "(1,)*40",
    "3",
    "None",
    "(1.5,)",
    "(12, 10, 1, 6)",
)
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def changed_npy(data: bytes, random: Random) -> bytes:
    """Change the header of an array file: its type, shape, order or length; or the numbers."""
    (length,) = struct.unpack_from("<H", data, 8)
    header, rest = data[10 : 10 + length].decode("latin-1"), data[10 + length :]
    what = random.randrange(6)
    if what == 0:
        return data[:6] + bytes([random.randrange(5), random.randrange(3)]) + data[8:]
    if what == 1:
        return data[:8] + struct.pack("<H", number(random) % 65536) + data[10:]
    if what == 2:
        rest = changed_bytes(rest, random)
    elif what == 3:
        header = changed_text(header, random)
    else:
        header = (
            f"{{'descr': '{random.choice(TYPES)}', 'fortran_order': {random.choice(('False', 'True', '1'))}, 'shape': "
        )
        header += f"{random.choice(SHAPES)}, }}\n"
    encoded = header.encode("latin-1", "replace")[:65535]
    return data[:8] + struct.pack("<H", len(encoded)) + encoded + rest


def changed_npz(data: bytes, random: Random) -> bytes:
    """Change a member of an archive of arrays, its name or its declared size."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, what = random.choice(list(members)), random.randrange(5)
    if what < 3:
        members[name] = changed_npy(members[name], random)
    elif what == 3:
        members[changed_text(name, random)[:2000] or "x"] = members.pop(name)
    else:
        members[name] = random.choice((b"", MAGIC, bytes(1 << 22), members[name] * 2))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as archive:
        for each, content in members.items():
            archive.writestr(zipfile.ZipInfo(each), content)
    return made.getvalue()


def changed_png(data: bytes, random: Random) -> bytes:
    """Change the chunks of a PNG: size, depth, colour type, order, content."""
    chunks = list(_chunks(data))
    at, what = random.randrange(len(chunks)), random.randrange(6)
    if what < 2:  # width, height, depth, colour type, compression, filter, interlacing
        kind, body = chunks[0]
        fields = list(struct.unpack(">IIBBBBB", body))
        place = random.randrange(len(fields))
        fields[place] = random.choice((0, 1, 2, 3, 4, 6, 8, 16, 255, 9000, 1 << 20)) % (1 << 31 if place < 2 else 256)
        chunks[0] = kind, struct.pack(">IIBBBBB", *fields)
    elif what == 2:
        del chunks[at]
    elif what == 3:
        other = random.randrange(len(chunks))
        chunks[at], chunks[other] = chunks[other], chunks[at]
    elif what == 4:
        extra = random.choice((b"bKGD", b"tRNS", b"PLTE", b"gAMA", b"acTL", b"fcTL", b"eXIf", b"zTXt", b"iCCP"))
        chunks.insert(at, (extra, random.randbytes(random.randrange(0, 30))))
    else:
        chunks[at] = chunks[at][0], changed_bytes(chunks[at][1], random)
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks
    )


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], len(SIGNATURE)
    while at < len(data):
        (size,) = struct.unpack_from(">I", data, at)
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found
