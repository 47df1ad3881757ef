"""The rows of `mappings/detectors.toml`: what is known of a detector, by the class of MATLAB's object."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from types import MappingProxyType
from typing import Any

from bridge.tables.layers import table


@dataclass(frozen=True)
class DetectorRow:
    """A detector; the head of the table explains the entries.

    Attributes:
        name: the class of MATLAB's object, without its namespace.
    """

    name: str
    title: str
    family: str = ""
    refused: str = "its outputs are not decoded"
    loss: str = ""
    logs_rmse: bool = False
    training: Mapping[str, Any] = field(default_factory=dict)
    alone: bool = False
    resize: str = "bicubic"
    anchor_order: str = "height width"
    rounding: str = "down"
    evidence: str = "U"
    versions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def of_version(self, version: Any) -> DetectorRow:
        """Return the row as it is for objects of a version."""
        return replace(self, **self.versions.get(str(version), {}))


@cache
def detector_rows() -> Mapping[str, DetectorRow]:
    """Return the rows by class."""
    return MappingProxyType({name: DetectorRow(name, **row) for name, row in table("detectors").items()})


def detector_row(class_name: str) -> DetectorRow | None:
    """Return the row of a class, with its namespace or without; None for a class that is no detector."""
    return detector_rows().get(class_name.rpartition(".")[2])


def alone() -> DetectorRow:
    """Return the detector that a network is taken for whose anchors come in a file."""
    return next(row for row in detector_rows().values() if row.alone)
