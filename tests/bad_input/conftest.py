from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from bridge.commands import main
from tests.bad_input.trial import Answer


@pytest.fixture
def bridge(run: Callable[..., Answer]) -> Callable[..., Answer]:
    """Runs the command line in this process."""
    return lambda *arguments: _without_traceback(run(*arguments))


def _without_traceback(answer: Answer) -> Answer:
    assert "Traceback" not in answer.err
    return answer


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Answer]:
    """Runs the command line in this process, where a traceback may be asked for."""

    def made(*arguments: object) -> Answer:
        monkeypatch.setattr(sys, "argv", ["bridge", *map(str, arguments)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        out, err = capsys.readouterr()
        return Answer(code, out, err)

    return made


@pytest.fixture
def refusal(bridge: Callable[..., Answer]) -> Callable[..., Answer]:
    """Runs a command that has to be refused: three parts on stderr, nothing on stdout, exit code 2 or 3."""

    def run(*arguments: object) -> Answer:
        answer = bridge(*arguments)
        assert answer.code in (2, 3), answer
        assert [line[:7] for line in answer.err.splitlines()] == ["error: ", "cause: ", "hint:  "], answer.err
        assert not answer.out
        return answer

    return run
