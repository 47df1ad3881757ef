"""Options that do not fit the file, and places that cannot be written to."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bridge.errors import DifferenceError, UsageError
from bridge.readers import load
from fixtures import layers as L
from fixtures import mat
from fixtures.__main__ import shapes, signs
from fixtures.layers import Net
from tests.bad_input.trial import FILES, Answer, listing, refused

ONNX, MAT = FILES / "signs.onnx", FILES / "signs.mat"


# --factors


def changed(net: Net, which: str, **fields: Any) -> Net:
    return replace(
        net, layers=tuple(replace(layer, **fields) if layer.name == which else layer for layer in net.layers)
    )


def with_weight(value: float) -> Net:
    """The signs with one number of one layer changed."""
    net = signs()
    layer = next(layer for layer in net.layers if layer.name == "conv_2")
    weights = layer.params["Weights"].value.copy()
    weights[0, 0, 0, 0] = value
    return changed(net, "conv_2", params=layer.params | {"Weights": replace(layer.params["Weights"], value=weights)})


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (shapes, ["'batchnorm_1'"]),
        (lambda: changed(signs(), "conv_2", name="conv_two"), ["conv_2", "conv_two"]),
        (lambda: with_weight(1000.0), ["conv_2", "Weights", "1e+03", "1 of 1,152"]),
        (lambda: with_weight(np.nan), ["conv_2", "Weights", "nan"]),
        (lambda: with_weight(np.inf), ["conv_2", "Weights", "inf"]),
        (lambda: replace(signs(), layers=signs().layers[:5]), ["conv_2"]),
    ],
)
def test_factors_of_another_network(
    tmp_path: Path, bridge: Callable[..., Answer], made: Callable[[], Net], told: list[str]
) -> None:
    mat.write(tmp_path / "other.mat", {"net": made()})
    before = listing(tmp_path)
    answer = bridge("import", ONNX, "--factors", tmp_path / "other.mat", "-o", tmp_path / "out")
    assert answer.code == 1 and not answer.out
    assert [line[:7] for line in answer.err.splitlines()] == ["error: ", "cause: ", "hint:  "]
    assert all(each in answer.err for each in told), answer.err
    assert listing(tmp_path) == before


def test_layers_that_an_onnx_cannot_tell_apart(tmp_path: Path) -> None:
    net = changed(signs(), "conv_2", name="conv-1")
    mat.write(tmp_path / "other.mat", {"net": net})
    assert "'conv_1' and 'conv-1'" in refused(lambda: load(ONNX, factors=tmp_path / "other.mat"), DifferenceError).error


def test_factors_that_are_no_network(tmp_path: Path, refusal: Callable[..., Answer]) -> None:
    mat.write(tmp_path / "data.mat", {"x": np.eye(3)})
    (tmp_path / "text.mat").write_text("conv_1 10\n")
    for other, told in (
        ("data.mat", "holds no network"),
        ("text.mat", "is text"),
        ("none.mat", "does not exist"),
        (".", "network.json"),
    ):
        assert told in refusal("import", ONNX, "--factors", tmp_path / other).err
    assert "cannot take factors" in refusal("import", ONNX, "--factors", ONNX).err
    assert "cannot take factors" in refusal("import", MAT, "--factors", MAT).err


# --classes


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"blue\ngreen\nred\nwhite\n", "4 class names for 5 outputs"),
        (b"a\nb\nc\nd\ne\nf\n", "6 class names for 5 outputs"),
        (b"", "0 class names"),
        (b"\n\n", "0 class names"),
        (b"bl\xfcu\n" * 5, "cannot be read"),
        (bytes(range(256)), "cannot be read"),
        (b"MATLAB 5.0 MAT-file", "is no MAT v5 file"),
    ],
)
def test_classes_that_do_not_fit(tmp_path: Path, refusal: Callable[..., Answer], content: bytes, told: str) -> None:
    (tmp_path / "classes.txt").write_bytes(content)
    assert told in refusal("inspect", ONNX, "--classes", tmp_path / "classes.txt").err
    assert "does not exist" in refusal("inspect", ONNX, "--classes", tmp_path / "nothing.txt").err
    assert "does not exist" in refusal("inspect", ONNX, "--classes", tmp_path).err


def test_classes_of_a_mat_file(tmp_path: Path, refusal: Callable[..., Answer], bridge: Callable[..., Answer]) -> None:
    mat.write(tmp_path / "classes.mat", {"classes": list("abcd")})
    assert "4 class names" in refusal("inspect", ONNX, "--classes", tmp_path / "classes.mat").err
    mat.write(tmp_path / "classes.mat", {"data": np.eye(3)})
    assert "no class names" in refusal("inspect", ONNX, "--classes", tmp_path / "classes.mat").err
    mat.write(tmp_path / "classes.mat", {"classes": list("abcde")})
    assert "classes (5): a, b, c, d, e" in bridge("inspect", ONNX, "--classes", tmp_path / "classes.mat").out


def test_one_class_for_each_channel_of_an_image() -> None:
    """A segmentation network puts out a map for each class."""
    names = load(FILES / "segnet.mat").classes
    assert names and load(FILES / "segnet.onnx", classes=names).classes == names
    assert refused(lambda: load(FILES / "segnet.onnx", classes=names[1:]), UsageError)


# --mappings

ROW = '[Mine]\nmatlab = "my.Layer"\nconstructor = "mine"\ntorch = "Identity"\n'


@pytest.mark.parametrize(
    "content",
    [
        b"[Mine",
        b"\xff\xfe",
        b"a.b.c = 1",
        b"x = 1",
        b"x = []",
        b"[Mine]",
        b'[Mine]\nmatlab = 7\nconstructor = "mine"',
        b'[Mine]\nmatlab = "my.Layer"\nconstructor = "mine"\nunheard = "of"',
        ROW.encode() + b'evidence = "hearsay"',
        ROW.encode() + b'size = "no_such_rule"',
        ROW.encode() + b'build = "no_such_builder"',
        ROW.encode() + b'torch = "NoSuchModule"',
        ROW.encode() + b'torch = "functional"',
        ROW.encode() + b"inputs = 7",
        ROW.encode() + b"properties = []",
        ROW.encode() + b"[Mine.properties]\nA = 7",
        ROW.encode() + b"[Mine.learnables]\nW = {}",
        ROW.encode()
        + b'[Mine.learnables]\nW = { torch = "w", matlab_axes = 1, torch_axes = "c", learn_rate = "a", l2 = "b" }',
        ROW.encode()
        + b'[Mine.learnables]\nW = { torch = "w", matlab_axes = "c", torch_axes = "c", learn_rate = "a", l2 = "b", defaults = { l2 = "x" } }',
        b'[ReLULayer]\nmatlab = "my.Layer"\nconstructor = "mine"\ntorch = "Identity"',
        b'[Mine]\nmatlab = "nnet.cnn.layer.ReLULayer"\nconstructor = "mine"\ntorch = "Identity"',
        b"a = " + b"[" * 50_000,
    ],
)
def test_mappings_that_are_none(tmp_path: Path, refusal: Callable[..., Answer], content: bytes) -> None:
    layer = L.Layer("mine", "my.Layer", {})
    mat.write(tmp_path / "net.mat", {"net": Net("SeriesNetwork", (L.featureInputLayer(3, "in"), layer))})
    (tmp_path / "mine.toml").write_bytes(content)
    assert refusal("import", tmp_path / "net.mat", "--mappings", tmp_path / "mine.toml")


def test_mappings_that_do_not_exist(tmp_path: Path, refusal: Callable[..., Answer]) -> None:
    for path in (tmp_path / "nothing.toml", tmp_path):
        assert "mapping table" in refusal("inspect", MAT, "--mappings", path).err


# --modules


@pytest.fixture
def custom(tmp_path: Path) -> Path:
    layer = L.Layer("mine", "my.Layer", {})
    mat.write(
        tmp_path / "net.mat",
        {"net": Net("SeriesNetwork", (L.featureInputLayer(3, "in"), layer, L.regressionLayer("out")))},
    )
    return tmp_path / "net.mat"


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("MODULES = {", "SyntaxError"),
        ("raise ValueError('no\\nway')", "ValueError: no way"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("import no_such_package", "ModuleNotFoundError"),
        ("", "defines no MODULES"),
        ("MODULES = 7", "defines no MODULES"),
        ("MODULES = {'my.Layer': 7}", "defines no MODULES"),
        ("MODULES = {7: print}", "is a my.Layer"),
        ("MODULES = {'your.Layer': print}", "is a my.Layer"),
        ("MODULES = {'my.Layer': lambda: 1}", "TypeError"),
        ("MODULES = {'my.Layer': lambda layer: layer.NoSuchProperty}", "NoSuchProperty"),
        ("MODULES = {'my.Layer': lambda layer: None}", "is a NoneType"),
        ("MODULES = {'my.Layer': lambda layer: 1 / 0}", "ZeroDivisionError"),
    ],
)
def test_modules_that_fail(custom: Path, refusal: Callable[..., Answer], source: str, told: str) -> None:
    modules = custom.with_name("mine.py")
    modules.write_text(source)
    assert told in refusal("import", custom, "--modules", modules, "--no-check").err


def test_modules_that_do_not_exist(custom: Path, refusal: Callable[..., Answer]) -> None:
    assert "cannot run" in refusal("import", custom, "--modules", custom.with_name("nothing.py")).err
    assert "cannot run" in refusal("import", custom, "--modules", custom.parent).err


# -o


def test_an_existing_file_or_folder_is_kept(tmp_path: Path, bridge: Callable[..., Answer]) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "mine.txt").write_text("mine")
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "network.json").write_text('{"nodes": []}')
    load(MAT).save(tmp_path / "saved")
    (tmp_path / "saved" / "notes.txt").write_text("mine")
    before = listing(tmp_path)
    for name in ("file", "folder", "json", "saved", ".", "file/below"):
        answer = bridge("import", MAT, "--no-check", "-o", tmp_path / name)
        assert answer.code == 2 and "hint: " in answer.err, name
    assert listing(tmp_path) == before


def test_a_saved_network_is_replaced_as_a_whole(tmp_path: Path) -> None:
    load(MAT).save(tmp_path / "net")
    load(FILES / "shapes.mat").save(tmp_path / "net")
    assert len(load(tmp_path / "net").layers) == 10
    assert [path.name for path in tmp_path.iterdir()] == ["net"]


@pytest.mark.skipif(getattr(os, "geteuid", lambda: 0)() == 0, reason="permissions do not bind root, nor on Windows")
def test_a_read_only_place(tmp_path: Path, bridge: Callable[..., Answer]) -> None:
    tmp_path.chmod(0o555)
    assert bridge("import", MAT, "--no-check", "-o", tmp_path / "net").code == 2
    tmp_path.chmod(0o755)
    assert not listing(tmp_path)


@pytest.mark.parametrize("place", ["/dev/null/net", "/proc/net/net", "a" * 300])
def test_places_that_cannot_be_written_to(tmp_path: Path, bridge: Callable[..., Answer], place: str) -> None:
    answer = bridge("import", MAT, "--no-check", "-o", tmp_path / place)
    assert answer.code == 2 and "cannot write" in answer.err
    assert not listing(tmp_path)


@pytest.mark.parametrize(
    ("name", "limit"), [("signs.mat", 20_000), ("shapes.mat", 5_000)], ids=["model.safetensors", "network.json"]
)
def test_a_full_place(tmp_path: Path, name: str, limit: int) -> None:
    """A limit on the size of files stands for a full disk: one file or the other is cut short."""

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

    command = [
        sys.executable,
        "-B",
        "-m",
        "bridge",
        "import",
        str(FILES / name),
        "--no-check",
        "-o",
        str(tmp_path / "net"),
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, preexec_fn=limited, cwd=FILES.parents[1], timeout=120
    )
    assert done.returncode == 2, done
    assert "cannot write" in done.stderr and "Traceback" not in done.stderr
    assert not listing(tmp_path)


def test_an_interruption_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bridge: Callable[..., Answer]
) -> None:
    load(MAT).save(tmp_path / "net")
    before = listing(tmp_path)

    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("bridge.writers.folder.readme", interrupted)
    answer = bridge("import", FILES / "shapes.mat", "--no-check", "-o", tmp_path / "net")
    assert answer.code == 130 and not answer.err
    assert listing(tmp_path) == before
