"""run.json and recipe.toml: how a run was started, each time, with what and by whom it can be repeated."""

from __future__ import annotations

import importlib.metadata
import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from bridge import __version__
from bridge.errors import UnreadableError, reading
from bridge.files.atomic import write_text
from bridge.files.run import RECIPE, STARTS

SCHEMA = "bridge.run/1"
PACKAGES = ("numpy", "pillow")  # beside bridge and torch, what numbers come from


@dataclass(frozen=True)
class Record:
    """What the folder of a run keeps of a start.

    Attributes:
        recipe: as TOML, whose files are named in full; "" where the training has none.
        facts: JSON values: the command, the data, the network and what else was given.
    """

    recipe: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    def write(self, folder: Path, found: Mapping[str, Any]) -> None:
        """Add a start to those of a folder, with what was found when it began.

        Raises:
            UsageError: the folder cannot be written to.
        """
        start = {
            "time": datetime.now().astimezone().isoformat(" ", "seconds"),
            "versions": versions(),
            **found,
            **self.facts,
        }
        facts = {"schema": SCHEMA, "starts": [*_starts(folder), start]}
        if self.recipe:
            write_text(folder / RECIPE, self.recipe, force=True)
        write_text(folder / STARTS, json.dumps(facts, indent=1, ensure_ascii=False) + "\n", force=True)


def versions() -> dict[str, str]:
    """Return the versions of what a training runs on, by name."""
    import torch  # not needed to read a record

    known = {name: importlib.metadata.version(name) for name in PACKAGES}
    own = {"bridge": __version__, "python": platform.python_version(), "torch": torch.__version__}
    return {**own, **known, "system": platform.platform()}


def last_start(folder: Path) -> Mapping[str, Any]:
    """Return the facts of the last start of a run, {} where the folder has none.

    Raises:
        UnreadableError: its run.json is damaged.
    """
    found = _starts(folder)
    return found[-1] if found else {}


def _starts(folder: Path) -> Sequence[Mapping[str, Any]]:
    path = folder / STARTS
    if not path.is_file():
        return []
    with reading(str(path)):
        facts = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(facts, dict) or facts.get("schema") != SCHEMA:
            raise UnreadableError(f"{path} is no record of a run", f"this version reads {SCHEMA}", "remove it")
        starts = facts["starts"]
        if not isinstance(starts, list) or not all(isinstance(each, dict) for each in starts):
            raise ValueError("starts is no list of objects")
        return starts
