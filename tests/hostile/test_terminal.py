"""What the verbs print of hostile texts: nothing that a terminal obeys, and no style that a plain text has not."""

from __future__ import annotations

import ast
import io
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import bridge.commands
from bridge.commands import check, main, recipe, tables, terminal
from bridge.errors import BridgeError
from bridge.network import Network
from bridge.parity.annotations import annotation
from bridge.parity.calibration import Answer, Calibration
from bridge.training.progress import Progress
from tests.hostile.test_pages import named
from tests.hostile.test_written import is_text
from tests.hostile.test_written import recipe as hostile_recipe
from tests.hostile.texts import HOSTILE, NETWORKS, PLAIN, filled, signs

COMMANDS = Path(bridge.commands.__file__).parent
EVERY = pytest.mark.parametrize("text", HOSTILE.values(), ids=[*HOSTILE])
STYLE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[[Callable[[], object]], str]:
    """What something prints on a terminal of colours."""

    def console() -> Console:
        return Console(
            force_terminal=True, color_system="truecolor", highlight=False, emoji=False, markup=False, width=200
        )

    monkeypatch.setattr(terminal, "console", console)

    def run(action: Callable[[], object]) -> str:
        capsys.readouterr()
        action()
        return "".join(capsys.readouterr())

    return run


Printed = Callable[[Callable[[], object]], str]


def require_shown(hostile: str, plain: str) -> None:
    """Assert that texts change neither the styles nor anything else that a terminal obeys, and begin no line."""
    assert {*STYLE.findall(hostile)} == {*STYLE.findall(plain)}
    odd = {letter for letter in STYLE.sub("", hostile) if not letter.isprintable() and letter != "\n"}
    assert not odd, odd


@EVERY
@pytest.mark.parametrize("make", NETWORKS)
def test_a_network(make: Callable[[], Network], text: str, printed: Printed) -> None:
    require_shown(*(printed(lambda each=each: tables.show(filled(make(), each))) for each in (text, PLAIN)))


@EVERY
def test_a_check(text: str, printed: Printed) -> None:
    require_shown(*(printed(lambda each=each: check.show(named(each))) for each in (text, PLAIN)))


@EVERY
def test_a_recipe(text: str, tmp_path: Path, printed: Printed) -> None:
    def show(each: str) -> None:
        made = hostile_recipe(each, tmp_path)
        recipe._print(made, made.network(replace(filled(signs(), each), classes=None)), [each])
        terminal.say(*made.python().splitlines())

    require_shown(*(printed(lambda each=each: show(each)) for each in (text, PLAIN)))


@EVERY
def test_a_profile(text: str, printed: Printed) -> None:
    from bridge.commands import calibrate

    def show(each: str) -> None:
        answers = (Answer("adam_epsilon", ("trainnet",), "A", each, each),)
        calibrate.show(Calibration(each, {}, answers, {each: each}))

    require_shown(*(printed(lambda each=each: show(each)) for each in (text, PLAIN)))


@EVERY
@pytest.mark.parametrize("more", [(), ("--python",), ("--json",)], ids=str)
def test_a_script(
    text: str,
    more: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    quoted = "".join(text.splitlines()).replace("'", "''")
    lines = (
        "net = alexnet;",
        f"options = trainingOptions('sgdm', 'CheckpointPath', '{quoted}'); % {text}",
        f"{quoted}('{quoted}')",
        f"net = trainNetwork(imageDatastore('{quoted}'), net.Layers, options);",
    )
    (tmp_path / "train.m").write_bytes("\n".join(lines).encode(errors="surrogatepass"))
    monkeypatch.setattr(sys, "argv", ["bridge", "recipe", "read", str(tmp_path / "train.m"), *more])
    with pytest.raises(SystemExit) as stop:
        main()
    shown = "".join(capsys.readouterr())
    assert stop.value.code in (0, 2, 3) and "Traceback" not in shown
    require_shown(shown, "")


@EVERY
def test_an_error(text: str) -> None:
    shown = str(BridgeError(text, text, text))
    assert len(shown.splitlines()) == 3
    require_shown(shown, "")


@EVERY
def test_no_text_begins_a_line(text: str, printed: Printed) -> None:
    assert len(printed(lambda: terminal.say(f"a{text}b", f"c{text}")).splitlines()) == 2
    assert len(printed(lambda: terminal.tell(text or "x")).splitlines()) == 1


@EVERY
def test_an_annotation(text: str) -> None:
    """One command of GitHub Actions, whose properties the text does not add to."""
    line = annotation(text, text, Path("net.mat"))
    head, _, message = line.removeprefix("::error ").partition("::")
    assert "\n" not in line and "\r" not in line and line.count("::") >= 2
    assert [part.partition("=")[0] for part in head.split(",")] == ["file", "line", "title"]
    assert "::" not in head and "\n" not in message
    require_shown(line, "")


@EVERY
def test_a_training(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    from bridge.options.options import training_options

    shown = []
    for trainer in ("trainNetwork", "trainnet"):
        options = training_options("sgdm", trainer=trainer, Verbose=True)
        row: dict[str, Any] = {
            "Epoch": 1, "Iteration": 1, "TimeElapsed": 1.0, "TrainingLoss": 1.0, f"Training{text}": 1.0, "BaseLearnRate": 0.1,
        }  # fmt: skip
        with Progress(options, [text], False, 1, None, [row]) as progress:
            progress.update(row)
            progress.say(text)
            progress.finish(text)
        shown.append("".join(capsys.readouterr()))
    require_shown("".join(shown), "")


@EVERY
def test_an_export(
    text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Losses, notes, paths and hints."""
    if not is_text(text):
        return  # such a network cannot be saved
    filled(signs(), text).save(tmp_path / "net")
    monkeypatch.chdir(tmp_path)
    for target in ("net.py", "net.mat", "net.onnx", "net.safetensors", "it's.py", "it's.mat", "a b.onnx"):
        monkeypatch.setattr(sys, "argv", ["bridge", "export", "net", "-o", target, "--force"])
        with pytest.raises(SystemExit) as stop:
            main()
        shown = "".join(capsys.readouterr())
        assert stop.value.code == 0, shown
        require_shown(shown, "")


def test_the_verbs_print_through_the_terminal_alone() -> None:
    """So that no text reaches it by another way: `print` stands in terminal.py, and where JSON of ASCII is printed."""
    found = []
    for path in sorted(COMMANDS.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in (
                "print",
                "sys.stdout.write",
                "sys.stderr.write",
            ):
                found.append(f"{path.name}: {ast.unparse(node)}")
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("rich"):
                found.append(f"{path.name}: rich")
    allowed = ("terminal.py: ", "__init__.py: print(end='', flush=True)", "__init__.py: print(json.dumps(")
    assert [each for each in found if not each.startswith(allowed)] == []


def test_a_table_cuts_long_cells() -> None:
    rows = terminal.Rows("Name")
    rows.add("ab" * 5000)
    out = io.StringIO()
    Console(file=out, width=1000).print(rows.table)
    assert max(map(len, out.getvalue().split())) == terminal.LONGEST
