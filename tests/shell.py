"""bridge commands as their user runs them, inside the process of the tests: the fixture `command`."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from bridge.commands import main

THREE_PARTS = re.compile(r"error: .+\ncause: .+\nhint:  .+\n")


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def facts(self) -> dict[str, Any]:
        """What it printed with --json, and did."""
        found: dict[str, Any] = json.loads(self.out)
        assert self.code == 0 and found["schema"].startswith("bridge.")
        return found


Command = Callable[..., Ran]


def runner(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Return a function that runs `bridge` with arguments, and returns its exit code and what it printed alone."""

    def run(*arguments: object) -> Ran:
        monkeypatch.setattr(sys, "argv", ["bridge", *map(str, arguments)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main()
        return Ran(int(stop.value.code or 0), *capsys.readouterr())

    return run
