"""Writing TOML. Oracle: tomllib reads the same values back."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UsageError
from bridge.files.toml import dumps

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.one_of(st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False), TEXTS)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(TEXTS, inner, max_size=3)),
    max_leaves=8,
)


@given(st.dictionaries(TEXTS, VALUES, max_size=5))
def test_what_is_written_reads_back(document: dict[str, Any]) -> None:
    assert tomllib.loads(dumps(document)) == document


def test_the_form() -> None:
    document = {
        "a": 1,
        "edits": [{"freeze": "1:10"}, {"factor": [1, 0.5]}],
        "data": {"split": [0.7], "augmentation": {"RandXReflection": True}},
    }
    tables = [
        '[[edits]]\nfreeze = "1:10"',
        "[[edits]]\nfactor = [1, 0.5]",
        "[data]\nsplit = [0.7]",
        "[data.augmentation]\nRandXReflection = true",
    ]
    assert dumps(document) == "\n\n".join(["a = 1", *tables]) + "\n"


def test_a_comment_is_one() -> None:
    """A text of any kind behind a value says nothing of its own."""
    hostile = 'x\ny = 1\n[z]\r\u2028w = """\0\x1b[31m'
    written = dumps({"a": {"b": 1}}, {("a", "b"): hostile})
    assert tomllib.loads(written) == {"a": {"b": 1}} and len(written.splitlines()) == 2


def test_what_toml_cannot_hold() -> None:
    with pytest.raises(UsageError, match="half a character"):
        dumps({"a": "x\ud800"})
    for value in (None, object(), b"x"):
        with pytest.raises(TypeError, match="TOML has no"):
            dumps({"a": [value]})
