"""The fuzzer itself: a number rebuilds an input, whatever leaves bridge or its bounds is told, and a short run is free of it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fuzz import inputs, process, trials
from fuzz.__main__ import report
from fuzz.originals import Original, originals

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="bounds on time and memory need Linux")

SHORT = 60  # inputs


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("fuzz") / "originals"
    made.mkdir()
    return made


@pytest.fixture(scope="module")
def sound(folder: Path) -> tuple[Original, ...]:
    return originals(folder)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def test_a_number_rebuilds_an_input(sound: tuple[Original, ...], tmp_path: Path) -> None:
    """Also after other inputs, and from originals that were made a second time."""
    (tmp_path / "originals").mkdir()
    again = originals(tmp_path / "originals")
    forms = set()
    for number in range(SHORT):
        made = inputs.build(7, number, sound, tmp_path / "first")
        rebuilt = inputs.build(7, number, again, tmp_path / "second")
        assert content(tmp_path / "first") == content(tmp_path / "second"), made.original
        assert made.random.random() == rebuilt.random.random()
        forms.add(made.original.form)
    assert len(forms) > 5


def test_every_form_is_changed_and_every_role_has_commands(sound: tuple[Original, ...]) -> None:
    assert {each.form for each in sound} == {*inputs._CHANGES, "hdf5"}
    assert {each.role for each in sound} == {*trials.COMMANDS}


def raise_foreign(*_: object) -> str:
    raise KeyError("a field")


def hang(*_: object) -> str:
    while True:
        pass


def take_memory(*_: object) -> str:
    return "done" if np.ones(process.MEMORY * 9 // 64, np.float64).all() else ""


def crash(*_: object) -> str:
    os.kill(os.getpid(), signal.SIGSEGV)
    return "done"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (raise_foreign, "KeyError in ?: 'a field'"),
        (hang, "ended by SIGPROF: 1 s of its own time"),
        (take_memory, "took 11"),
        (crash, "ended by SIGSEGV: a crash"),
    ],
)
def test_a_fault_is_told_and_the_run_goes_on(
    fault: Callable[..., str], told: str, sound: tuple[Original, ...], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "SECONDS", 1 if fault is hang else process.SECONDS)
    monkeypatch.setattr(trials, "attempt", lambda given, *_: fault() if given.number == 1 else "refused")
    first, second, third = process.results(0, 0, 3, sound, folder)
    assert (first.outcome, second.outcome, third.outcome) == ("refused", "fault", "refused")
    assert second.told.startswith(told), second.told
    assert report([first, second, third]) == 1 and report([first, third]) == 0


@pytest.mark.parametrize(
    ("printed", "code", "said"),
    [
        ("", 7, "exit code 7"),
        ("", 1, "exit code 1"),
        ("error: a\nhint:  b\n", 2, "no three parts"),
        ("Traceback (most recent call last):\n", 0, "Traceback"),
    ],
)
def test_a_command_that_ends_in_another_way_is_a_fault(
    printed: str, code: int, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def main() -> None:
        print(printed, end="", file=sys.stderr)
        sys.exit(code)

    monkeypatch.setattr(trials, "main", main)
    with pytest.raises(AssertionError, match=said):
        trials._run(["inspect", "x"], tmp_path)


def test_what_a_refused_command_leaves_behind_is_a_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def main() -> None:
        (tmp_path / "half").touch()
        print("error: a\ncause: b\nhint:  c", file=sys.stderr)
        sys.exit(2)

    monkeypatch.setattr(trials, "main", main)
    with pytest.raises(AssertionError, match="left behind"):
        trials._run(["export", "x"], tmp_path)


def test_a_short_run_finds_nothing(sound: tuple[Original, ...], folder: Path) -> None:
    found = list(process.results(1, 0, SHORT, sound, folder))
    assert [each.told for each in found if each.outcome == "fault"] == []
    assert {each.outcome for each in found} == {"done", "refused"}


def test_sound_networks_are_built(sound: tuple[Original, ...], folder: Path, tmp_path: Path) -> None:
    """Without a change each network is read and built: what is refused in a run is refused for its change."""
    import bridge

    for original in (each for each in sound if each.role == "network"):
        bridge.load(original.folder or original.path).to_torch()


def test_a_mat_file_is_taken_apart_and_put_together(sound: tuple[Original, ...]) -> None:
    """Encoded anew without a change, the elements of a file are those that it had."""
    from fuzz import mat5

    for original in (each for each in sound if each.form == "mat5"):
        data = original.path.read_bytes()
        _, top = mat5._top(data)
        _, again = mat5._top(data[:128] + b"".join(element.encoded() for element in top))
        assert [element.body() for element in again] == [element.body() for element in top], original
