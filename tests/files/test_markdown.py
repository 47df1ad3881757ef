"""Markdown of plain texts. Oracle: two renderers, which show the text and nothing else."""

from __future__ import annotations

import html
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from bridge.errors import printable
from bridge.files import markdown, matlab

COMMONMARK = MarkdownIt("commonmark", {"html": True})
MARKS = ("*", "_", "`", "``", "[", "](", ")", "<", ">", "&lt;", "\\", "#", "- ", "1. ", "~~", "|", "://", "www.", "a", " ", "é", "\n")  # fmt: skip
TEXT = st.one_of(st.text(max_size=20), st.lists(st.sampled_from(MARKS), max_size=12).map("".join))


def shown(source: str) -> str:
    """Return what a paragraph of Markdown shows, which must be one without any tag in it."""
    rendered = COMMONMARK.render(source).strip()
    match = re.fullmatch(r"<p>(.*)</p>", rendered, re.DOTALL)
    assert match is not None, rendered
    return match[1]


@given(TEXT)
def test_texts_are_shown(text: str) -> None:
    found = shown(f"x {markdown.text(text)}")
    assert "<" not in found
    assert html.unescape(found) == f"x {printable(text).strip()}".strip()


@given(TEXT)
def test_texts_begin_no_block(text: str) -> None:
    rendered = COMMONMARK.render(f"- {markdown.text(text)}\n")
    assert re.sub(r"</?p>", "", rendered).count("<") == 4, rendered  # a list, an item


@given(TEXT)
def test_code_is_shown(text: str) -> None:
    match = re.fullmatch("x <code>(.*)</code>", shown(f"x {markdown.code(text)}"), re.DOTALL)
    assert match is not None
    assert html.unescape(match[1]).strip() == printable(text).strip()


def test_usual_names_stay_readable() -> None:
    assert markdown.text("conv_1 of net-2.mat, 0..255 (R2024b)") == "conv_1 of net-2.mat, 0..255 (R2024b)"
    assert markdown.code("net_1.mat") == "`net_1.mat`"


@pytest.mark.parametrize(("text", "source"), [("it's", "'it''s'"), ("a\nb", "'a b'"), ("", "''")])
def test_text_of_matlab(text: str, source: str) -> None:
    assert matlab.literal(text) == source
