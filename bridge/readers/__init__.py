"""path -> Network: what a file is, is told by its content, never by its name."""

from __future__ import annotations

import codecs
import struct
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bridge.errors import UnreadableError, UsageError, reading
from bridge.files.atomic import is_file
from bridge.files.run import INFO, NETWORK, is_run
from bridge.network import Network
from bridge.network.sizes import SIZE_RULES
from bridge.tables.layers import Mappings, layer_mappings

PROTOBUF_STARTS = (
    0x08,
    0x12,
    0x1A,
    0x22,
    0x2A,
    0x32,
    0x3A,
    0x42,
    0x72,
)  # first byte of an ONNX model: the key of one of its fields
FORMS = "a network comes as .onnx, .mat or a saved folder"
KNOWN = {
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"PK\x03\x04": "a zip archive",
    b"%PDF": "a PDF document",
    b"\x1f\x8b": "a gzip archive",
}


def load(
    path: str | Path,
    *,
    factors: str | Path | None = None,
    mappings: str | Path | None = None,
    variable: str | None = None,
    classes: str | Path | Iterable[str] | None = None,
    anchors: str | Path | None = None,
) -> Network:
    """Read a network that MATLAB wrote, another ONNX file, or a saved folder.

    Args:
        path: an .onnx or .mat file, a folder of `Network.save`, or that of a training.
        factors: a .mat that holds the same network; gives an .onnx its factors, class names and layer classes.
            Without it, a `<name>.bridge.mat` beside the .onnx is taken.
        mappings: a TOML file with rows for layer classes of your own.
        variable: which network of a .mat that holds several.
        classes: class names for a network that has none: a list, a text file with one a line, or a .mat.
        anchors: a TOML file with the anchor boxes of a YOLO v2 detector whose network comes alone; see
            `bridge.readers.anchors`.

    Raises:
        UnreadableError: the file is damaged or holds no network.
        UnsupportedError: it is sound and holds something that cannot be read.
        UsageError: the call makes no sense, a file does not exist, or there is not one class name for each output.
        DifferenceError: `factors` holds another network.
    """
    path = Path(path)
    tables = tables_with(mappings)
    network = _of_run(path, tables) if _is_run(path) else _read(path, tables, variable)
    if factors is None and network.source.format == "onnx" and path.is_file():
        beside = path.with_name(path.stem + ".bridge.mat")
        factors = beside if is_file(beside) else None
    if factors is not None:
        from bridge.readers.join import join

        holder = _read(Path(factors), tables, None)
        if network.source.format != "onnx" or holder.source.format == "onnx":
            hint = "name the .onnx first, and the .mat after --factors"
            raise UsageError(f"{path} cannot take factors from {factors}", "an .onnx holds none, its .mat does", hint)
        network = join(network, holder)
    if anchors is not None:
        from bridge.readers.anchors import with_anchors

        network = with_anchors(network, Path(anchors), tables)
    if classes is not None:
        network = replace(network, classes=_classes(classes))
        _require_one_for_each_output(network)
    return network


def _is_run(path: Path) -> bool:
    return is_run(path) and not (path / "network.json").is_file()


def _of_run(path: Path, tables: Mappings) -> Network:
    """Read the network that a training has written, with its log."""
    if not (path / NETWORK).is_dir():
        raise UnreadableError(
            f"{path} holds a training that has no network yet",
            "it is written when the training ends",
            f"`bridge train --resume {path}` goes on with it",
        )
    network = _read(path / NETWORK, tables, None)
    if not (path / INFO).is_file():
        return network
    from bridge.readers.mat.contents import contents

    with reading(str(path / INFO)):
        logs = contents(path / INFO).logs
    return replace(network, training_info=next(iter(logs.values()), None))


def kind_of(path: Path) -> str:
    """Tell what a path is: "folder", "mat" or "onnx".

    Raises:
        UnreadableError: it is something else; what it looks like is named.
    """
    if path.is_dir():
        if not (path / "network.json").is_file():
            cause = "a saved network is a folder that `bridge import -o` wrote"
            raise UnreadableError(f"{path} is a folder without network.json", cause, "name the file itself")
        return "folder"
    if not path.is_file():
        what = "is no file" if path.exists() else "does not exist"
        raise UsageError(f"{path} {what}", FORMS, "check the name")
    with path.open("rb") as stream:
        head = stream.read(520)
    if not head:
        raise UnreadableError(f"{path} is empty", "nothing was written to it", "export or copy it again")
    if (
        head.startswith(b"MATLAB 5.0")
        or head[126:128] in (b"IM", b"MI")
        or b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520])
    ):
        return "mat"
    for start, name in KNOWN.items():
        if head.startswith(start):
            raise UnreadableError(f"{path} is {name}", "it is no network file", "name the .onnx or .mat file")
    if _is_version_4(head):
        cause = "that format holds matrices only, no networks"
        raise UnreadableError(f"{path} is a version 4 .mat file", cause, "save('net.mat', 'net') writes today's format")
    if head[0] in PROTOBUF_STARTS and not _is_text(head):
        return "onnx"
    what = "text" if _is_text(head) else "of no format that is known here"
    raise UnreadableError(f"{path} is {what}", FORMS, "export it with exportONNXNetwork, or save('net.mat', 'net')")


def _is_text(head: bytes) -> bool:
    try:
        text, _ = codecs.utf_8_decode(head[:256], "strict", False)
    except UnicodeDecodeError:
        return False
    return all(each.isprintable() or each.isspace() for each in text)


def _is_version_4(head: bytes) -> bool:
    """Whether a file starts with a version 4 array: type (its digits: byte order, 0, precision, kind), size,
    complexity, length of the name.
    """
    if len(head) < 20:
        return False
    for order, thousands in (("<", 0), (">", 1)):
        kind, rows, columns, is_complex, length = struct.unpack(order + "5i", head[:20])
        if (
            kind - 1000 * thousands in range(60)
            and kind % 10 < 3
            and rows >= 0
            and columns >= 0
            and is_complex in (0, 1)
            and 0 < length <= 64
        ):
            return True
    return False


def tables_with(mappings: str | Path | None) -> Mappings:
    """Return the layer rows, with those of a user's TOML file.

    Raises:
        UsageError: the file holds no rows, or one with a size rule that there is none.
    """
    if mappings is None:
        return layer_mappings()
    tables = layer_mappings().extended(mappings)
    for row in tables:
        if row.size not in SIZE_RULES:
            known = f"it is one of {', '.join(sorted(SIZE_RULES))}"
            raise UsageError(f"the row [{row.name}] of {mappings} has the size rule {row.size!r}", known)
    return tables


def _read(path: Path, tables: Mappings, variable: str | None) -> Network:
    with reading(str(path)):
        kind = kind_of(path)
        if variable is not None and kind != "mat":
            raise UsageError(f"{path} has no variables", "--variable chooses among the networks of a .mat file")
        if kind == "onnx":
            from bridge.readers import onnx

            return onnx.load(path, tables)
        if kind == "mat":
            from bridge.readers.mat import networks

            return networks.load(path, tables, variable)
        from bridge.readers import folder

        return folder.load(path, tables)


def _classes(classes: str | Path | Iterable[str]) -> tuple[str, ...]:
    if not isinstance(classes, (str, Path)):
        return tuple(classes)
    path, variable = Path(classes), ""
    if not path.is_file():
        file, _, variable = str(classes).rpartition(":")
        path = Path(file) if file else path
    if not path.is_file():
        what = "--classes takes a text file with one name a line, a .mat, or a .mat and the name of a variable in it"
        raise UsageError(f"{classes} does not exist", what, "names.txt, vars.mat or vars.mat:classes")
    with reading(str(path)):
        with path.open("rb") as stream:
            is_mat = stream.read(6) == b"MATLAB"
        if is_mat:
            from bridge.readers.mat.classes import class_names

            return class_names(path, variable)
        return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())


def _require_one_for_each_output(network: Network) -> None:
    """Raise UsageError unless an output of the network has as many channels as there are class names; a detector's has
    more.
    """
    names, channels = len(network.classes or ()), [network.size_of(output).channels for output in network.outputs]
    if network.detector is None and None not in channels and names not in channels:
        counts = ", ".join(map(str, channels))
        hint = "list one name for each output, in MATLAB's order"
        raise UsageError(
            f"{names} class names for {counts} outputs", "the network gives one number for each class", hint
        )
