"""Whose fault it is: what a file explains is told of the file, and what nothing explains is bridge's own; nested and long content."""

from __future__ import annotations

import json
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import bridge
from bridge.errors import FaultError, UnreadableError, UsageError, reading
from bridge.images import imread
from bridge.modules.builders import BUILDERS
from bridge.network import Network
from bridge.network.sizes import SIZE_RULES
from bridge.tables.forms import FORMS
from bridge.tables.layers import layer_mappings
from tests.bad_input.trial import FILES, Answer, refused

PNG = b"\x89PNG\r\n\x1a\n"
OURS: list[Exception] = [
    AttributeError("x"),
    TypeError("x"),
    KeyError("x"),
    IndexError("x"),
    AssertionError("x"),
    NameError("x"),
]
THEIRS: list[Exception] = [
    ValueError("x"),
    OverflowError("x"),
    RuntimeError("x"),
    ZeroDivisionError("x"),
    MemoryError("x"),
]


@pytest.fixture
def network() -> Network:
    return bridge.load(FILES / "shapes.mat")


def raising(error: Exception) -> Callable[..., Any]:
    def rule(*arguments: Any, **more: Any) -> Any:
        raise error

    return rule


def broken(monkeypatch: pytest.MonkeyPatch, error: Exception, room: str) -> None:
    """Let the size rule, or the builder, of convolutions raise."""
    registry: Any = SIZE_RULES if room == "size rule" else BUILDERS
    monkeypatch.setitem(registry._functions, "convolution", raising(error))


@pytest.mark.parametrize("room", ["size rule", "builder"])
@pytest.mark.parametrize("error", OURS, ids=lambda error: type(error).__name__)
def test_a_fault_of_a_rule_is_not_told_as_damage(
    network: Network, room: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is sound, and the code fails."""
    broken(monkeypatch, error, room)
    with pytest.raises(FaultError, match=f"bridge failed at layer 'conv-1' .*{type(error).__name__}") as caught:
        replace(network).to_torch()
    assert caught.value.exit_code == 70 and caught.value.__cause__ is error
    assert "fault of bridge" in caught.value.cause and "report" in caught.value.hint


@pytest.mark.parametrize("room", ["size rule", "builder"])
@pytest.mark.parametrize("error", [*OURS, *THEIRS], ids=lambda error: type(error).__name__)
def test_what_the_layer_explains_is_told_of_the_layer(
    network: Network, room: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same exceptions, where a property has a value that no such layer can have."""
    layer = network.layers["conv-1"]
    odd = replace(layer, properties={**layer.properties, "Stride": (2, "text")})
    _ = network.sizes
    broken(monkeypatch, error, room)
    with pytest.raises(
        UnreadableError, match=r"layer 'conv-1' .*\ncause: its Stride is \(2, 'text'\), it takes whole numbers"
    ):
        network.with_layers({"conv-1": odd}).to_torch()


@pytest.mark.parametrize("error", THEIRS, ids=lambda error: type(error).__name__)
def test_values_that_do_not_fit_each_other_are_the_files(
    network: Network, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken(monkeypatch, error, "builder")
    refused(lambda: network.to_torch(), UnreadableError)


@pytest.mark.parametrize("name", ["NumFilters", "FilterSize"])
def test_a_property_that_is_missing_is_named(network: Network, name: str) -> None:
    layer = network.layers["conv-1"]
    properties = {key: value for key, value in layer.properties.items() if key != name}
    changed = network.with_layers({"conv-1": replace(layer, properties=properties)})
    assert refused(lambda: changed.sizes).cause == f"it has no {name}"


WRONG: dict[str, list[Any]] = {
    "count": [0, -1, 1.5, "text", (1, 2), (), None, {}, float("nan"), float("inf"), 2**31, True],
    "sizes": [0, -1, 1.5, "text", (1, "a"), (), None, {}, (1, float("nan")), 2**40],
    "number": ["text", (1, 2), (), None, {}],
    "numbers": ["text", ("a",), None, {}],
    "text": [1, (1,), None, {}, True],
    "flag": ["text", (), None, {}],
}  # fmt: skip
RIGHT: dict[str, list[Any]] = {
    "count": [1, 2.0, 2**31 - 1], "sizes": [1, (1, 2), (3.0,)], "number": [0, -0.5, float("inf")],
    "numbers": [0, (1.5, -2), ()], "text": ["", "text"], "flag": [True, 0, 1.0],
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    """Cases worked out by hand."""
    fits = FORMS[form][1]
    assert all(map(fits, RIGHT[form])) and not any(map(fits, WRONG[form]))


def test_every_property_that_new_layers_have_fits_its_form() -> None:
    """The tables against themselves: a default, a new value, a word and a public value of each property."""
    for row in layer_mappings():
        for name, each in row.properties.items():
            values = [each.default, each.new, *each.words, *each.values.values()]
            plain = [tuple(value) if isinstance(value, list) else value for value in values if value is not None]
            assert all(map(each.fits, plain)), f"{row.name}.{name}"


# The command line


@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("as_json", [False, True])
def test_an_exception_that_nobody_expected(
    trace: bool, as_json: bool, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three parts and exit code 70, with BRIDGE_TRACEBACK=1 also where it was raised."""
    monkeypatch.setattr(bridge.readers, "load", raising(TypeError("nobody expected this")))
    if trace:
        monkeypatch.setenv("BRIDGE_TRACEBACK", "1")
    answer = run("inspect", FILES / "signs.mat", *["--json"] * as_json)
    assert answer.code == 70 and answer.err.splitlines()[-3] == "error: bridge failed: TypeError: nobody expected this"
    assert ("Traceback" in answer.err) is trace and ("in rule" in answer.err) is trace
    assert (json.loads(answer.out)["schema"] == "bridge.error/1") if as_json else not answer.out


@pytest.mark.parametrize("trace", [False, True])
def test_a_traceback_goes_with_any_error_that_was_asked_for_it(
    trace: bool, run: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if trace:
        monkeypatch.setenv("BRIDGE_TRACEBACK", "1")
    answer = run("inspect", tmp_path / "missing.mat")
    assert answer.code == 2 and ("Traceback" in answer.err) is trace


# Content that is deep or long


@pytest.mark.parametrize(
    ("arguments", "file", "content"),
    [
        (("inspect", "net"), "net/network.json", '{"a":' * 100_000),
        (("train", "deep.toml", "-o", "run"), "deep.toml", "a = " + "[" * 100_000),
        (("recipe", "show", "deep.toml"), "deep.toml", "a = " + "[" * 100_000),
        (("train", "retrain-head", "--network", "signs.mat", "--data", "x", "-o", "run", "--profile", "deep.toml"), "deep.toml", "a = " + "[" * 100_000),
        (("inspect", "signs.mat", "--mappings", "deep.toml"), "deep.toml", "a = " + "[" * 100_000),
        (("predict", "drones.onnx", "x.png", "--anchors", "deep.toml"), "deep.toml", "a = " + "[" * 100_000),
        (("check", "--log", "info.mat", "run/info.mat"), "run/history.json", "[" * 100_000),
    ],
)  # fmt: skip
def test_what_is_nested_too_deep_is_told_so(
    arguments: tuple[str, ...],
    file: str,
    content: str,
    refusal: Callable[..., Answer],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """JSON and TOML, wherever a user names them: no fault of bridge's."""
    monkeypatch.chdir(tmp_path)
    for name in ("signs.mat", "drones.onnx"):
        (tmp_path / name).write_bytes((FILES / name).read_bytes())
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(content, encoding="utf-8")
    answer = refusal(*arguments)
    assert answer.code == 2 and "report" not in answer.err


def test_long_texts_of_a_file_are_quoted_in_part() -> None:
    name = "a" * 5_000 + "b c" * 5_000
    error = UsageError(f"layer '{name}' is no layer", f"there is {name[:5000]}", f'write "{name}"')
    assert all(len(part) < 260 for part in (error.error, error.cause, error.hint))
    assert error.error.startswith("layer 'aaaa") and error.error.endswith("c' is no layer")
    assert pickle.loads(pickle.dumps(error)).error == error.error
    plain = "the layer's own words, and no file's: " + "word " * 100 + "it's long"
    assert UsageError(plain).error == plain


@pytest.mark.parametrize(
    "error", [AttributeError("'Opaque' object has no attribute 'shape'"), TypeError("Unread"), KeyError("Name")]
)
def test_no_class_of_bridge_is_named(error: Exception) -> None:
    with pytest.raises(UnreadableError) as caught, reading("it"):
        raise error
    assert not any(word in str(caught.value) for word in ("Opaque", "Unread", "object", "attribute"))


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


@pytest.mark.parametrize("depth", [1, 8, 16])
@pytest.mark.parametrize("after", [b"iCCP", b"gAMA", b"pHYs", b"eXIf", b"acTL", b"tRNS"])
def test_images_with_chunks_cut_short(depth: int, after: bytes, tmp_path: Path) -> None:
    """Chunks of 0 to 8 bytes after the pixels, where Pillow looks at them last."""
    pixels = b"".join(b"\0" + bytes(range((3 * depth + 7) // 8)) for _ in range(2))
    head = chunk(b"IHDR", struct.pack(">2I5B", 3, 2, depth, 0, 0, 0, 0)) + chunk(b"IDAT", zlib.compress(pixels))
    for length in range(9):
        path = tmp_path / f"{length}.png"
        path.write_bytes(PNG + head + chunk(after, bytes(range(length))) + chunk(b"IEND", b""))
        try:
            assert imread(path).shape == (2, 3)
        except UnreadableError as error:
            assert error.cause


def test_an_input_without_a_size(
    tmp_path: Path, refusal: Callable[..., Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A graph may have an input of no dimensions, or of one: it is inspected, imported and proven."""
    from onnx import TensorProto, helper, save

    scalar = helper.make_tensor_value_info("factor", TensorProto.FLOAT, [])
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 5]) for name in ("x", "y"))
    graph = helper.make_graph([helper.make_node("Mul", ["x", "factor"], ["y"])], "g", [x, scalar], [y])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 14)], ir_version=8), tmp_path / "net.onnx")
    network = bridge.load(tmp_path / "net.onnx")
    module = network.to_torch()
    assert torch.equal(module(torch.ones(2, 5), torch.tensor(3.0)), 3 * torch.ones(2, 5))
    assert bridge.check(network).first_divergence is None
