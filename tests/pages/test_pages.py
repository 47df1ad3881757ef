"""A page as such: texts stay texts, and what is not its own neither runs nor is fetched."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bridge import pages
from bridge.errors import UsageError
from bridge.pages import Cell, Row


def test_foreign_scripts_do_not_run_and_nothing_is_fetched(tmp_path: Path, browser: Any) -> None:
    """The second wall behind the escaping: whatever markup got into a page, its policy stops it."""
    body = """<script>document.title = "taken"</script><img src="http://127.0.0.1:9/a.png"><i onclick="document.title = 'taken'">x</i>
        <link rel="stylesheet" href="http://127.0.0.1:9/b.css"><iframe src="http://127.0.0.1:9/"></iframe>"""
    path, asked = pages.write(tmp_path / "page.html", pages.page("mine", body)), []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on(
        "requestfailed", lambda request: asked.remove(request.url) if "csp" in (request.failure or "").lower() else None
    )
    page.goto(path.as_uri())
    page.locator("i").click()
    assert page.title() == "mine" and asked == [path.as_uri()]
    page.close()


def test_the_policy_lets_the_page_s_own_script_run_and_nothing_else() -> None:
    """By hand: everything is refused, but for images in the page, styles, and the script of this digest."""
    text = pages.page("mine", "<p>body</p>")
    policy = re.search(r'<meta http-equiv="Content-Security-Policy" content="([^"]*)">', text)
    (script,) = re.findall(r"<script>(.*)</script>", text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy is not None and text.index("Content-Security-Policy") < text.index("<style>")
    assert dict(part.split(" ", 1) for part in policy[1].split("; ")) == {
        "default-src": "'none'", "img-src": "data:", "style-src": "'unsafe-inline'", "script-src": f"'sha256-{digest}'",
        "base-uri": "'none'", "form-action": "'none'",
    }  # fmt: skip


def test_texts_are_escaped_printable_and_end() -> None:
    assert pages.escaped("<a href='x'>\"&\x1b[31m\u202e") == "&lt;a href=&#x27;x&#x27;&gt;&quot;&amp;?[31m?"
    assert len(pages.escaped("x" * 10_000)) == pages.LONGEST
    table = pages.table("t", {"<b>": "", "n": "number"}, [Row(["<i>", Cell("1e-04", 1e-4)])])
    assert "<b>" not in table and "<i>" not in table and "data-order=0.0001" in table


@pytest.mark.parametrize("name", ["net.mat", "net.onnx", "page", ".html"])
def test_only_pages_are_overwritten(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious", encoding="utf-8")
    with pytest.raises(UsageError, match="is no name of a page"):
        pages.write(tmp_path / name, "page")
    assert (tmp_path / name).read_text(encoding="utf-8") == "precious"


def test_a_page_without_a_folder_is_refused_before_anything_is_computed(tmp_path: Path) -> None:
    (tmp_path / "folder.html").mkdir()
    for name in ("folder.html", "nowhere/page.html"):
        with pytest.raises(UsageError, match="cannot write"):
            pages.require_html(tmp_path / name)


def test_a_page_takes_the_place_of_an_older_one(tmp_path: Path) -> None:
    for text in ("old", "new"):
        assert pages.write(tmp_path / "page.html", text).read_text(encoding="utf-8") == text
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_on_a_small_screen_a_chart_is_scrolled_and_not_shrunk(tmp_path: Path, look: Callable[..., Any]) -> None:
    chart = '<div class="chart"><svg width="600pt" height="300pt" viewBox="0 0 600 300"></svg></div>'
    page = look(pages.write(tmp_path / "page.html", pages.page("chart", chart)))
    page.set_viewport_size({"width": 400, "height": 800})
    width, scrolled = page.evaluate(
        "[document.querySelector('.chart svg').getBoundingClientRect().width, document.documentElement.scrollWidth]"
    )
    assert (width, scrolled) == (800, 400)
