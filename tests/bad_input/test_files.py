"""Files that are no networks, or only part of one."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io
import scipy.sparse

from bridge.commands import main, tables
from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.options.profile import TrainingProfile
from bridge.readers import load
from bridge.recipes.recipe import Recipe
from fixtures import mat
from tests.bad_input.trial import FILES, Answer, in_bounds, listing, refused

PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(200)


@pytest.mark.parametrize("name", ["net.mat", "net.onnx"])
@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is empty"),
        (b"layers = [imageInputLayer([28 28 1])\n", "is text"),
        ("schön\n".encode() * 60, "is text"),
        (PNG, "a PNG image"),
        (b"\xff\xd8\xff\xe0" + bytes(100), "a JPEG image"),
        (b"PK\x03\x04" + bytes(100), "a zip archive"),
        (b"%PDF-1.7\n" + bytes(100), "a PDF document"),
        (b"\x1f\x8b\x08" + bytes(100), "a gzip archive"),
        (bytes(100), "is of no format"),
        (b"\x01" + bytes(1000), "is of no format"),
        (b"\xff" * 4096, "is of no format"),
        (b"\x80\x04K\x01.", "is of no format"),
        (b"\x89HDF\r\n\x1a\n" + bytes(600), "cannot be read"),
        (b"MATLAB 5.0 MAT-file", "is no MAT v5 file"),
        (b"MATLAB 5.0 MAT-file".ljust(124) + b"\0\1IM\x0e\0", "is damaged"),
        (b"\x08\x07\x12\x04test", "no ONNX model"),
    ],
)
def test_content_decides_and_is_named(
    tmp_path: Path, refusal: Callable[..., Answer], name: str, content: bytes, told: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    before = listing(tmp_path)
    assert told in refused(lambda: load(path), UnreadableError).error
    assert told in refusal("inspect", path).err
    assert refusal("import", path, "-o", tmp_path / "out").code == 2
    assert listing(tmp_path) == before


def test_version_4(tmp_path: Path) -> None:
    """scipy writes version 4; a big-endian file starts with 1000 instead of 0."""
    for name, value in (("matrix", np.eye(3)), ("text", "hello"), ("sparse", scipy.sparse.eye(4))):
        path = tmp_path / f"{name}.mat"
        scipy.io.savemat(path, {"x": value}, format="4")
        assert "version 4" in refused(lambda path=path: load(path)).error  # type: ignore[misc]
    path.write_bytes(struct.pack(">5i", 1000, 1, 1, 0, 2) + b"x\0" + bytes(8))
    assert "version 4" in refused(lambda: load(path)).error


def test_paths_that_are_no_files(tmp_path: Path, refusal: Callable[..., Answer]) -> None:
    assert "does not exist" in refusal("inspect", tmp_path / "nothing.mat").err
    assert "without network.json" in refusal("inspect", tmp_path).err
    os.mkfifo(tmp_path / "pipe.mat")  # opening it would wait for ever
    assert "is no file" in refusal("inspect", tmp_path / "pipe.mat").err
    assert "is no file" in refusal("inspect", "/dev/zero").err
    (tmp_path / "loop.mat").symlink_to(tmp_path / "loop.mat")
    assert refused(lambda: load(tmp_path / "loop.mat"), UsageError)


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="permissions do not bind root, nor on Windows")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "net.mat"
    path.write_bytes(PNG)
    path.chmod(0)
    assert "PermissionError" in refused(lambda: load(path)).cause


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_no_network_in_a_mat_file(tmp_path: Path, refusal: Callable[..., Answer], container: str) -> None:
    path = tmp_path / "data.mat"
    mat.write(
        path,
        {"images": np.zeros((4, 4, 3, 9), np.float32), "labels": ["cat", "dog"], "note": "hello", "s": {"a": 1.0}},
        container,
    )  # type: ignore[arg-type]
    answer = refusal("inspect", path)
    assert "holds no network" in answer.err
    for held in ("images (4x4x3x9 single)", "labels (1x2 cell)", "note (char)", "s (struct)"):
        assert held in answer.err
    mat.write(path, {})
    assert "nothing" in refused(lambda: load(path)).cause


@pytest.mark.parametrize(
    "name", ["signs.mat", "segnet.mat", "shapes_v73.mat", "signs.onnx", "shapes_18_1_0.onnx", "segnet.onnx"]
)
def test_cut_short(tmp_path: Path, name: str) -> None:
    """No prefix of a file is read as a whole network, but for an .onnx that ends where its opset does not matter."""
    whole = (FILES / name).read_bytes()
    offsets = sorted({*range(0, len(whole), max(len(whole) // 150, 1)), *range(len(whole) - 20, len(whole))})
    path = tmp_path / name

    def cut(offset: int) -> None:
        path.write_bytes(whole[:offset])
        tables.facts(load(path))

    outcomes = in_bounds((str(offset), lambda offset=offset: cut(offset)) for offset in offsets)
    assert len(outcomes) == len(offsets)
    assert "done" not in [
        outcome for offset, outcome in outcomes.items() if name.endswith(".mat") or int(offset) < len(whole) - 40
    ]


def test_files_joined_end_to_end(tmp_path: Path) -> None:
    path = tmp_path / "two.mat"
    whole = (FILES / "signs.mat").read_bytes()
    for more in (whole, struct.pack("<II", 14, 1 << 31)):  # what comes before is read, and what comes behind told
        path.write_bytes(whole + more)
        (note,) = load(path).notes
        assert f"a part of the file cannot be read: the .mat file is damaged at byte {len(whole):,}" in note


@pytest.mark.parametrize(
    "arguments",
    [
        ["import", f"{'a' * 5000}.onnx"],
        ["recipe", "show", "a" * 5000],
        ["import", str(FILES / "signs.mat"), "--classes", "a" * 5000],
    ],
    ids=["network", "recipe", "classes"],
)
def test_a_name_that_the_system_refuses(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["bridge", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capsys.readouterr().err
    assert ended.value.code == 2 and told.startswith("error: ") and "\ncause: " in told and "\nhint: " in told


def test_toml_nested_too_deeply(tmp_path: Path) -> None:
    path = tmp_path / "deep.toml"
    path.write_text(f"a = {'[' * 5000}{']' * 5000}\n")
    for read in (Recipe.load, TrainingProfile.load):
        with pytest.raises(BridgeError):
            read(path)
