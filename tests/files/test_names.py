"""Any text has an identifier, and no two have the same one."""

from __future__ import annotations

import keyword

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.files.names import KEYWORDS, distinct, identifier, module_name

ANY = st.text(max_size=20)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("conv_1", "conv_1"),
        ("fire2-squeeze1x1", "fire2_squeeze1x1"),
        ("2nd", "layer_2nd"),
        ("", "layer_"),
        ("_", "layer__"),
        ("__x", "layer___x"),
        ("_1", "_1"),
        ("ﬁre", "fire"),  # one name to Python: NFKC
        ("ｘ", "x"),
        ("größe", "gr__e"),
        ("a\u2028b\0", "a_b_"),
    ],
)
def test_identifiers(text: str, name: str) -> None:
    assert identifier(text) == name


@given(ANY)
def test_any_text_becomes_an_identifier(text: str) -> None:
    """Oracle: str.isidentifier, and that Python reads it as it is written."""
    name = identifier(text)
    assert name.isidentifier() and name.isascii()
    held: dict[str, object] = {}
    if not keyword.iskeyword(name):
        exec(f"class A:\n    {name} = 1", held)  # of a name that passed isidentifier
        assert name in vars(held["A"])


@given(st.lists(ANY, unique=True), st.sets(ANY))
def test_names_are_distinct(texts: list[str], taken: set[str]) -> None:
    for spell in (identifier, module_name):
        names = distinct([(text, spell(text)) for text in texts], {*taken, *KEYWORDS})
        assert list(names) == texts
        assert len({*names.values()}) == len(texts) and not {*names.values()} & {*taken, *KEYWORDS}


def test_who_comes_first_keeps_the_name() -> None:
    assert distinct([("b", "a"), ("c", "a"), ("d", "a"), ("e", "a_")]) == {"b": "a", "c": "a_", "d": "a_2", "e": "a__"}


def test_many_equal_names_stay_short() -> None:
    """A "_" more for each would make 20,000 layers of one name 200 MB of names."""
    names = distinct((index, "x") for index in range(20_000))
    assert len({*names.values()}) == 20_000 and max(map(len, names.values())) == len("x_19999")
