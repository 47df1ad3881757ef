"""Annotations of GitHub Actions: lines that the runner shows beside a file, and on the page of the run."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.errors import printable

ENCODED = {"%": "%25", "\r": "%0D", "\n": "%0A"}


def in_github_actions() -> bool:
    """Whether this runs in GitHub Actions, which says so in the environment."""
    return os.environ.get("GITHUB_ACTIONS") == "true"


def annotation(title: str, message: str, file: Path, line: int = 1) -> str:
    """Return the line that makes an error of a message, at a line of a file; the runner reads it on stdout and on
    stderr.
    """
    root, path = Path(os.environ.get("GITHUB_WORKSPACE", ".")).resolve(), file.resolve()
    shown = (path.relative_to(root) if path.is_relative_to(root) else path).as_posix()
    return f"::error file={_property(shown)},line={line},title={_property(title)}::{_data(message)}"


def _data(text: str) -> str:
    """Percent-encode what would end a command; what a terminal would obey becomes "?"."""
    return "".join(ENCODED.get(letter) or printable(letter) for letter in text)


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
