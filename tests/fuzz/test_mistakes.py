"""The list of deliberate mistakes: each can still be planted. Whether the tests find them is told by `python -m fuzz.mistakes`."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from fuzz import mistakes
from fuzz.mistakes import Mistake


@pytest.mark.parametrize("mistake", mistakes.mistakes(), ids=lambda each: f"{each.room}: {each.what}")
def test_a_mistake_can_be_planted(mistake: Mistake) -> None:
    """Its text is in one place, each of its tests in one file, and the file with the mistake is still Python or TOML."""
    assert mistake.problems == []
    (place,) = mistake.places
    changed = place.read_text(encoding="utf-8").replace(mistake.old, mistake.new)
    if place.suffix == ".toml":
        tomllib.loads(changed)
    elif place.suffix == ".py":
        ast.parse(changed)


def test_what_no_longer_applies_is_told() -> None:
    def problems(old: str, *tests: str) -> list[str]:
        return Mistake("training", "a mistake", old, "", tests).problems

    test = test_a_mistake_can_be_planted.__name__
    assert problems("there is no such text", test) == ["0 places hold 'there is no such text'"]
    assert problems("from __future__ import annotations", test)[0].endswith("hold 'from __future__ import annotations'")
    assert problems("class BridgeError(Exception):", "test_that_is_not_there") == [
        "0 files hold test_that_is_not_there"
    ]
    assert problems("class BridgeError(Exception):") == ["no test is named"]


def test_a_mistake_is_planted_and_taken_away_again(tmp_path: Path) -> None:
    mistake = Mistake("errors", "a mistake", "class BridgeError(Exception):", "class BridgeError(ValueError):", ())
    (place,) = mistake.places
    copy = tmp_path / place.relative_to(mistakes.ROOT)
    copy.parent.mkdir(parents=True)
    mistake.plant(tmp_path)
    assert "class BridgeError(ValueError):" in copy.read_text(encoding="utf-8")
    mistake.remove(tmp_path)
    assert copy.read_bytes() == place.read_bytes()
