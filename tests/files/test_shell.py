"""Arguments of shells. Oracle: the shells that are here, which hand over what was meant."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from bridge.files.shell import argument
from tests.hostile.texts import HOSTILE

USUAL = {
    "net.mat": "net.mat", "s(2).net": '"s(2).net"', "results{3}.net": '"results{3}.net"', "a b/c-1": '"a b/c-1"',
    "-x": '"-x"', "größe": '"größe"', "": "IT",
}  # fmt: skip


@pytest.mark.parametrize(("text", "written"), USUAL.items())
def test_usual_ones(text: str, written: str) -> None:
    assert argument(text, "IT") == written


@pytest.mark.parametrize("text", [*HOSTILE.values(), *USUAL], ids=ascii)
@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell, which Windows has not")
def test_a_shell_hands_over_the_text(text: str) -> None:
    written = argument(text, "IT")
    done = subprocess.run(["sh", "-c", f"printf %s {written}"], capture_output=True, check=True)
    assert done.stdout.decode() == (text if written != "IT" else "IT")
