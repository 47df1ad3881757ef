"""The anchor boxes of a detector whose network comes alone, as an .onnx does: a small TOML file in MATLAB's words."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from bridge.errors import UnreadableError, UsageError, nearest, reading
from bridge.network import Network, make_layer
from bridge.tables.detectors import DetectorRow, alone, detector_rows
from bridge.tables.layers import Mappings

KEYS = ("AnchorBoxes", "ClassNames", "Detector", "WH2HW")
EXAMPLE = "AnchorBoxes = [[8, 8], [32, 48]] holds [height width] in pixels"


def with_anchors(network: Network, path: Path, tables: Mappings) -> Network:
    """Return a network as that of a detector with the anchors of a TOML file.

    The file has AnchorBoxes, rows of [height, width] in pixels of the network's input, or a list of such for each head;
    ClassNames where the network names none; the class of the Detector where it is no yolov2ObjectDetector; and
    `WH2HW = true` where the rows are [width, height]. A last layer of unknown class that the file names
    after yolov2TransformLayer, as the Placeholder of an exporter that could not write it, is taken to be that layer,
    with a note.

    Raises:
        UsageError: there is no such file, or the network has a detector's facts already.
        UnreadableError: the file is no TOML, or holds something else.
    """
    if not path.is_file():
        raise UsageError(f"{path} does not exist", "--anchors takes a TOML file", EXAMPLE)
    if network.detector is not None:
        raise UsageError(
            f"{network.source.path} has anchor boxes already", "it holds a detector", "leave the anchors out"
        )
    with reading(str(path)):
        facts = tomllib.loads(path.read_text(encoding="utf-8"))
    unknown = sorted(facts.keys() - set(KEYS))
    if unknown:
        raise UnreadableError(f"{path} has the key '{unknown[0]}'", nearest(unknown[0], KEYS), EXAMPLE)
    names = facts.get("ClassNames")
    if names is not None and not (isinstance(names, list) and names and all(isinstance(each, str) for each in names)):
        raise UnreadableError(
            f"{path}: ClassNames is {names!r}", "it is a list of names", 'write ClassNames = ["car", "bus"]'
        )
    if not isinstance(facts.get("WH2HW", False), bool):
        raise UnreadableError(f"{path}: WH2HW is {facts['WH2HW']!r}", "it is true or false", EXAMPLE)
    with reading(f"AnchorBoxes of {path}"):
        boxes = _boxes(path, facts)
    row = _detector(path, facts)
    held = {key: value for key, value in facts.items() if key != "Detector"}
    detector = {"class": row.name, **held, "AnchorBoxes": boxes}
    named = replace(network, detector=detector, classes=tuple(names) if names is not None else network.classes)
    return _with_transform(named, row, len(boxes), tables)


def _detector(path: Path, facts: Mapping[str, Any]) -> DetectorRow:
    rows, name = detector_rows(), facts.get("Detector", alone().name)
    if not isinstance(name, str) or name not in rows:
        raise UnreadableError(f"{path}: Detector is {name!r}", nearest(str(name), rows), "it is the class of an object")
    return rows[name]


def _with_transform(network: Network, row: DetectorRow, anchors: int, tables: Mappings) -> Network:
    """Make the last layer the one that ends networks of the detector, where it is unknown and has its name."""
    own = next((each for each in tables if each.detector == row.name and not each.is_output), None)
    last = network.layers[network.outputs[0].partition("/")[0]]
    words = f"{last.name} {last.row.name}".replace("_", "").lower()
    if own is None or not last.row.is_unknown or len(last.inputs) != 1:
        return network
    if own.constructor.removesuffix("Layer").lower() not in words:
        return network
    layer = make_layer(own, last.name, dict.fromkeys(own.arguments, anchors))
    note = (
        f"'{last.name}' is a {last.row.name}, by its name read as {own.constructor} of {anchors} anchor boxes "
        "(unconfirmed)"
    )
    return network.with_layers({last.name: layer}).with_notes(note)


def _boxes(path: Path, facts: Mapping[str, Any]) -> tuple[Any, ...]:
    rows: Any = facts.get("AnchorBoxes")
    heads: Any = rows if isinstance(rows, list) and rows and all(map(_is_list_of_pairs, rows)) else [rows]
    if not all(map(_is_list_of_pairs, heads)):
        raise UnreadableError(f"{path}: AnchorBoxes is {rows!r}", "it is a list of pairs of numbers above 0", EXAMPLE)
    made = tuple(tuple((float(height), float(width)) for height, width in head) for head in heads)
    return made if heads is rows else made[0]


def _is_list_of_pairs(rows: Any) -> bool:
    return isinstance(rows, list) and bool(rows) and all(map(_is_pair, rows))


def _is_pair(row: Any) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 2
        and all(type(side) in (int, float) and 0 < side < float("inf") for side in row)
    )
