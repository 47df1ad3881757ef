"""Names that a terminal would obey, terminals that cannot show them, and readers that leave."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.commands import tables
from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.readers import load
from fixtures import layers as L
from fixtures import mat
from fixtures.layers import Layer, Net
from tests.bad_input.trial import FILES, Answer, refused

HOSTILE = {
    "newline": "a\nerror: all is lost",
    "return": "a\rb\x08\x08",
    "colour": "\x1b[31mred\x1b[0m",
    "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J\x1b[H",
    "8-bit": "\x9b31m\x90\x9d",
    "reversed": "\u202egnp.exe",
    "markup": "[red]x[/red]",
    "closing": "[/bold][link=file:///etc/passwd]",
    "emoji": ":smiley: :warning:",
    "quotes": 'it\'s "quoted" `twice`',
    "backslash": "a\\[b]\\",
    "long": "x" * 10_000,
    "wide": "層" * 5_000,
    "percent": "%s{0}{name}",
    "tab": "a\tb",
}
OBEYED = ("\x1b", "\x07", "\x08", "\r", "\x9b", "\x90", "\x9d", "\u202e")


def hostile_net(name: str) -> Net:
    rng = np.random.default_rng(0)
    custom = Layer(f"{name}!", f"my.{name}", {"Alpha": name})
    layers = (
        replace(L.featureInputLayer(3, "in"), name=f"{name}?"), replace(L.fullyConnectedLayer(rng, "fc", 3, 2), name=name), L.softmaxLayer("soft"),
        L.classificationLayer("classes", [name, f"not {name}"]), custom,
    )  # fmt: skip
    chain = [(a.name, b.name) for a, b in pairwise(layers[:4])]
    return Net("LayerGraph", layers, (*chain, (name, f"{name}!")))


@pytest.fixture(params=HOSTILE)
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    name = HOSTILE[request.param]
    file = tmp_path / (f"{name.replace('/', ' ')[:60]}.mat")
    mat.write(file, {"net": hostile_net(name)})
    return file


def test_tables_show_them_harmlessly(path: Path, bridge: Callable[..., Answer]) -> None:
    answer = bridge("inspect", path)
    assert answer.code == 0 and not answer.err
    assert not [each for each in OBEYED if each in answer.out]
    assert not [line for line in answer.out.splitlines() if line.startswith("error")]
    table = answer.out.split("note:")[0]
    assert table.count("LearnRateFactor") == 1 and "FullyConnectedLayer" in table
    rows = [line for line in table.split("classes (")[0].splitlines() if "input" not in line]
    assert max(map(len, rows)) <= 400  # a name without end is cut
    shown = load(path).layers[1].name
    if len(shown) < 60 and shown.isprintable():
        assert shown in table  # what is harmless is not changed


def test_errors_show_them_harmlessly(path: Path, refusal: Callable[..., Answer]) -> None:
    answer = refusal("import", path)
    assert answer.code == 3
    assert not [each for each in OBEYED if each in answer.err]


def test_json_gives_them_as_they_are(path: Path, bridge: Callable[..., Answer]) -> None:
    answer = bridge("inspect", "--json", path)
    facts: dict[str, Any] = json.loads(answer.out)
    assert [layer["name"] for layer in facts["layers"]] == [layer.name for layer in load(path).layers]
    assert not [each for each in OBEYED if each in answer.out]


def test_a_saved_folder_keeps_them(tmp_path: Path) -> None:
    for index, name in enumerate(HOSTILE.values()):
        net = hostile_net(name)
        mat.write(
            tmp_path / "net.mat",
            {"net": replace(net, layers=net.layers[:4], connections=net.connections[:3] if net.connections else ())},
        )
        saved = load(load(tmp_path / "net.mat").save(tmp_path / f"saved{index}"))
        assert saved.layers[1].name == name and saved.classes == (name, f"not {name}")
        readme = (tmp_path / f"saved{index}" / "README.md").read_text(encoding="utf-8")
        assert not [each for each in OBEYED if each in readme]
        assert saved.to_torch()


def test_every_error_has_three_parts_in_three_lines() -> None:
    for kind in (BridgeError, UnreadableError, UsageError):
        for parts in (("a",), ("a", "b"), ("a\nb\x1b[0m", "c\r\nd", "\u2028e")):
            error = kind(*parts)
            assert error.error and error.cause and error.hint
            assert [line[:7] for line in str(error).splitlines()] == ["error: ", "cause: ", "hint:  "]


# Terminals and readers


def command(*arguments: object, **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "bridge", *map(str, arguments)],
        capture_output="stdout" not in options,
        cwd=FILES.parents[1],
        timeout=120,
        **options,
    )


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "shift-jis", "utf-16"])
def test_terminals_that_are_not_utf_8(tmp_path: Path, encoding: str) -> None:
    mat.write(tmp_path / "net.mat", {"net": hostile_net("層 ü ×")})
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    shown = command("inspect", tmp_path / "net.mat", env=environment)
    assert shown.returncode == 0 and not shown.stderr
    assert "FullyConnectedLayer" in shown.stdout.decode(encoding)
    told = command("inspect", "--json", tmp_path / "net.mat", env=environment)
    assert json.loads(told.stdout.decode(encoding))["layers"][1]["name"] == "層 ü ×"
    error = command("inspect", tmp_path / "層.mat", env=environment)
    assert error.returncode == 2 and b"Traceback" not in error.stderr


def test_a_file_name_that_is_not_utf_8(tmp_path: Path, bridge: Callable[..., Answer]) -> None:
    path = os.fsdecode(os.fsencode(tmp_path) + b"/net\xe9.mat")
    try:
        Path(path).write_bytes((FILES / "shapes.mat").read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 only")
    assert bridge("inspect", path).code == bridge("inspect", "--json", path).code == 0
    assert load(load(path).save(tmp_path / "saved")).source.path == path


@pytest.mark.parametrize("arguments", [("inspect",), ("inspect", "--json")])
def test_a_reader_that_leaves(arguments: tuple[str, ...]) -> None:
    """The pipe is closed before the first byte is written; the exit code is that of the work."""
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as stdout:
        done = command(*arguments, FILES / "signs.mat", stdout=stdout, stderr=subprocess.PIPE)
    assert done.returncode == 0 and not done.stderr


def test_work_goes_on_when_the_reader_leaves(tmp_path: Path) -> None:
    ours, theirs = os.pipe()
    os.close(ours)
    with os.fdopen(theirs, "wb") as stdout:
        done = command(
            "import", FILES / "signs.mat", "--no-check", "-o", tmp_path / "net", stdout=stdout, stderr=subprocess.PIPE
        )
    assert done.returncode == 0 and not done.stderr
    assert load(tmp_path / "net").layers


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize("arguments", [("inspect",), ("inspect", "--json")])
def test_a_full_disk_behind_stdout(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("wb") as stdout:
        done = command(*arguments, FILES / "signs.mat", stdout=stdout, stderr=subprocess.PIPE)
    assert done.returncode == 2
    assert [line[:7] for line in done.stderr.decode().splitlines()] == ["error: ", "cause: ", "hint:  "]


def test_an_interruption(monkeypatch: pytest.MonkeyPatch, bridge: Callable[..., Answer]) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bridge.readers.load", interrupted)
    answer = bridge("inspect", FILES / "signs.mat")
    assert answer.code == 130 and not answer.err and not answer.out


def test_nothing_is_printed_before_an_error() -> None:
    """The sizes are worked out before the first line is shown."""
    network = load(FILES / "signs.mat")
    broken = replace(network, connections=network.connections[1:])
    assert "nothing connected" in refused(lambda: tables.show(broken)).error
