"""Source of plain values: read back it is equal, and it is nothing but the value."""

from __future__ import annotations

import ast
import io
import math
import tokenize
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.files import python

ODD = ('"', "'", "\\", '\\"', "\\'\"", "\\N{BULLET}", "\n", "\r", "\u2028", "\0", "{}", "{0}", "#", '"""', "'''", "\ud800", "\U0001f600")  # fmt: skip
TEXT = st.one_of(st.text(), st.lists(st.sampled_from(ODD)).map("".join))
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.lists(inner, max_size=3).map(tuple), st.dictionaries(TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)


@given(VALUES)
def test_values_read_back_equal(value: Any) -> None:
    """Oracle: ast.literal_eval, which takes nothing but values."""
    source = python.literal(value)
    assert repr(ast.literal_eval(source)) == repr(value)
    assert source.isascii() and "\n" not in source


def test_texts_look_as_people_write_them() -> None:
    assert python.literal("conv_1") == '"conv_1"'
    assert python.literal("it's") == '"it\'s"'
    assert python.literal('say "x"') == "'say \"x\"'"
    assert python.literal((1,)) == "(1,)"
    assert python.literal({"a": [1.5, None]}) == '{"a": [1.5, None]}'


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_that_have_no_literal(value: float) -> None:
    found = eval(python.literal(value))
    assert found == value or (math.isnan(found) and math.isnan(value))


class Loud(str):
    def __repr__(self) -> str:
        return "exit()"


@pytest.mark.parametrize("value", [Loud("x"), np.float64(1.5), np.str_("x")])
def test_values_of_other_classes_are_the_plain_ones(value: Any) -> None:
    assert ast.literal_eval(python.literal(value)) == value


def test_names_of_arguments_are_identifiers() -> None:
    assert python.call("f", 1, x="a") == 'f(1, x="a")'
    for name in ("a=1, b", "class", "a b"):
        with pytest.raises(ValueError, match="no name of an argument"):
            python.call("f", **{name: 1})


@pytest.mark.parametrize("value", [object(), b"x", {1, 2}, [len], ({"a": int},), 1j])
def test_other_values_have_no_source(value: Any) -> None:
    with pytest.raises(TypeError, match="has no source"):
        python.literal(value)


@given(TEXT)
def test_a_docstring_is_its_text(text: str) -> None:
    (node,) = ast.parse(python.docstring(text.encode("utf-8", "replace").decode())).body
    assert isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    assert node.value.value == text.encode("utf-8", "replace").decode()


def test_a_docstring_is_laid_out_in_lines() -> None:
    assert python.docstring('The "net" of C:\\x.\n\nUse it.\n') == '"""The "net" of C:\\\\x.\n\nUse it.\n"""'


@given(TEXT)
def test_a_comment_is_one(text: str) -> None:
    """Oracle: Python's tokenizer."""
    source = f"x = 1  {python.comment(text)}\n"
    kinds = [token.type for token in tokenize.generate_tokens(io.StringIO(source).readline)]
    assert kinds == [
        tokenize.NAME,
        tokenize.OP,
        tokenize.NUMBER,
        tokenize.COMMENT,
        tokenize.NEWLINE,
        tokenize.ENDMARKER,
    ]
    assert len(source) < 100
