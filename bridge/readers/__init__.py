"""path -> Network: what a file is, is told by its content, never by its name."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from bridge.errors import UnreadableError, UsageError
from bridge.mapping import Mappings, layer_mappings
from bridge.network import Network

PROTOBUF_STARTS = (0x08, 0x12, 0x1A, 0x22, 0x2A, 0x32, 0x3A, 0x42, 0x72)  # first byte of an ONNX model: the key of one of its fields
KNOWN = {b"\x89PNG": "a PNG image", b"\xff\xd8\xff": "a JPEG image", b"PK\x03\x04": "a zip archive", b"%PDF": "a PDF document", b"\x1f\x8b": "a gzip archive"}


def load(
    path: str | Path,
    *,
    factors: str | Path | None = None,
    mappings: str | Path | None = None,
    variable: str | None = None,
    classes: str | Path | Iterable[str] | None = None,
) -> Network:
    """Read a network that MATLAB wrote, another ONNX file, or a saved folder.

    Args:
        path: an .onnx or .mat file or a folder of `Network.save`.
        factors: a .mat that holds the same network; gives an .onnx its factors, class names and layer classes.
            Without it, a `<name>.bridge.mat` beside the .onnx is taken.
        mappings: a TOML file with rows for layer classes of your own.
        variable: which network of a .mat that holds several.
        classes: class names for a network that has none: a list, a text file with one a line, or a .mat.

    Raises:
        UnreadableError: the file is damaged or holds no network.
        UsageError: the call makes no sense, or a file does not exist.
        DifferenceError: `factors` holds another network.
    """
    path = Path(path)
    tables = layer_mappings() if mappings is None else layer_mappings().extended(mappings)
    network = _read(path, tables, variable)
    if factors is None and network.source.format == "onnx":
        beside = path.with_name(path.stem + ".bridge.mat")
        factors = beside if beside.is_file() else None
    if factors is not None:
        from bridge.readers.join import join

        network = join(network, _read(Path(factors), tables, None))
    if classes is not None:
        network = replace(network, classes=_classes(classes))
    return network


def kind_of(path: Path) -> str:
    """Tell what a path is: "folder", "mat" or "onnx".

    Raises:
        UnreadableError: it is something else; what it looks like is named.
    """
    if path.is_dir():
        if not (path / "network.json").is_file():
            raise UnreadableError(f"{path} is a folder without network.json", "a saved network is a folder that `bridge import -o` wrote", "name the file itself")
        return "folder"
    if not path.exists():
        raise UsageError(f"{path} does not exist", "there is no such file or folder", "check the name")
    with path.open("rb") as stream:
        head = stream.read(520)
    if not head:
        raise UnreadableError(f"{path} is empty", "nothing was written to it", "export or copy it again")
    if head.startswith(b"MATLAB 5.0") or head[126:128] in (b"IM", b"MI") or b"\x89HDF\r\n\x1a\n" in (head[:8], head[512:520]):
        return "mat"
    for start, name in KNOWN.items():
        if head.startswith(start):
            raise UnreadableError(f"{path} is {name}", "it is no network file", "name the .onnx or .mat file")
    if head[:4] in (b"\0\0\0\0", b"\x0a\0\0\0", b"\x14\0\0\0", b"\x1e\0\0\0", b"\0\0\x03\xe8") and len(head) > 20 and head[1:3] == b"\0\0":
        raise UnreadableError(f"{path} is a version 4 .mat file", "that format holds matrices only, no networks", "save('net.mat', 'net') writes today's format")
    if head[0] in PROTOBUF_STARTS and not _is_text(head):
        return "onnx"
    what = "text" if _is_text(head) else "of no format that is known here"
    raise UnreadableError(f"{path} is {what}", "a network comes as .onnx, .mat or a saved folder", "export it with exportONNXNetwork, or save('net.mat', 'net')")


def _is_text(head: bytes) -> bool:
    return all(byte >= 0x20 or byte in b"\t\n\r\f" for byte in head[:256])


def _read(path: Path, tables: Mappings, variable: str | None) -> Network:
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
    path = Path(classes)
    if not path.is_file():
        raise UsageError(f"{path} does not exist", "--classes takes a text file with one name a line, or a .mat")
    with path.open("rb") as stream:
        is_mat = stream.read(6) == b"MATLAB"
    if is_mat:
        from bridge.readers.mat import networks

        return networks.class_names(path)
    return tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
