"""Genuine .mat files of other projects: none is called damaged that scipy reads.

scipy's lie in its package; mat-io's are in its source distribution only.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import scipy.io
import scipy.io.matlab

from bridge.errors import BridgeError
from bridge.readers import load
from bridge.readers.mat.contents import contents
from tests.real import MATIO, SCIPY, needs_matio, needs_scipy


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.mat"))


def refusal(path: Path) -> BridgeError:
    with pytest.raises(BridgeError) as refused:
        load(path)
    return refused.value


def is_read_by_scipy(path: Path) -> bool:
    try:
        scipy.io.loadmat(path)
    except Exception:  # whatever it raises
        return False
    return True


@needs_scipy
@pytest.mark.parametrize("path", files(SCIPY), ids=lambda path: path.stem)
def test_files_of_scipy(path: Path) -> None:
    error = refusal(path)
    assert error.error and error.cause and error.hint
    if "version 4" in error.error:
        assert "save('net.mat', 'net')" in error.hint
    elif is_read_by_scipy(path) or "holds no network" in error.error:
        assert "holds no network" in error.error and error.cause.startswith("it holds ")
        assert not contents(path).spoiled
    else:
        assert "at byte" in error.error  # which contradicts the format
    assert not any(word in str(error) for word in ("Opaque", "Unread"))


@needs_matio
@pytest.mark.parametrize("path", files(MATIO / "tests"), ids=lambda path: path.stem)
def test_files_of_mat_io(path: Path) -> None:
    error = refusal(path)
    if path.stem == "test_corrupted_mcos_object_metadata":
        assert "at byte 96 of its object table: object number 3 of 1" in error.error
        return
    assert "version 4" in error.error or error.cause.startswith("it holds ")
    if "version 4" not in error.error:
        assert not contents(path).spoiled


@needs_scipy
def test_what_they_hold_is_told_in_matlabs_words() -> None:
    """Oracle: the scripts that made the files, as their names say."""

    def held(name: str) -> dict[str, str]:
        return dict(contents(SCIPY / f"{name}_7.4_GLNX86.mat").others)

    assert held("testcomplex") == {"testcomplex": "1x9 complex double"}
    assert held("testsparse") == {"testsparse": "sparse double"}
    assert held("testfunc") == {"testfunc": "function_handle"}
    assert held("testobject") == {"testobject": "inline"}
    assert held("teststructarr") == {"teststructarr": "1x2 struct"}
    assert held("testcellnest") == {"testcellnest": "1x2 cell"}
    assert contents(SCIPY / "logical_sparse.mat").others == {"sp_log_5_4": "sparse logical"}
    assert contents(SCIPY / "nasty_duplicate_fieldnames.mat").others.keys()
