"""A folder has one writer at a time; the lock of a process that has ended is free."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bridge.errors import UsageError
from bridge.files import locks
from bridge.files.locks import is_free, locked, sole_writer

HOLD = "import sys\nfrom pathlib import Path\nfrom bridge.files.locks import sole_writer\nwith sole_writer(Path(sys.argv[1])):\n    print('held', flush=True)\n    sys.stdin.read()"


def holder(folder: Path) -> subprocess.Popen[str]:
    """A process that holds a folder until its stdin ends."""
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=-1, stdout=-1, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    return process


def test_the_second_is_told_who_the_first_is(tmp_path: Path) -> None:
    process = holder(tmp_path)
    with pytest.raises(UsageError) as caught, sole_writer(tmp_path):
        pass
    since = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\S+"
    who = rf"process {process.pid} on {re.escape(socket.gethostname())}, since {since}"
    assert re.fullmatch(rf"{re.escape(str(tmp_path))} is in use by {who}", caught.value.error)
    process.communicate("")
    assert process.returncode == 0 and not list(tmp_path.iterdir())
    with sole_writer(tmp_path):
        pass


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL")
def test_a_killed_process_holds_nothing(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert (tmp_path / locks.OWNER).exists(), "it could not clean up"
    with sole_writer(tmp_path):
        assert str(os.getpid()) in (tmp_path / locks.OWNER).read_text(encoding="utf-8")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [None, b"", b"\xff", b"[]", b"{}", b"[" * 100_000, b'{"process": 1}'])
def test_an_owner_that_cannot_be_read_is_another_process(tmp_path: Path, content: bytes | None) -> None:
    with locked(tmp_path / locks.LOCK):
        if content is not None:
            (tmp_path / locks.OWNER).write_bytes(content)
        with pytest.raises(UsageError, match="is in use by another process"), sole_writer(tmp_path):
            pass


def test_errors_inside_go_through_and_free_the_folder(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), sole_writer(tmp_path):
        1 / 0  # noqa: B018
    with pytest.raises(OSError, match="inside"), sole_writer(tmp_path):
        raise OSError("inside")
    assert not list(tmp_path.iterdir())


def test_where_there_are_no_locks_work_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network file system may know none; nobody can tell there whether what is left is in use, so it stays."""
    import filelock

    def unknown(self: object, *arguments: object, **more: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(filelock.FileLock, "acquire", unknown)
    entered = []
    with sole_writer(tmp_path):
        entered.append(True)
    assert entered and not is_free(tmp_path / "lock")
