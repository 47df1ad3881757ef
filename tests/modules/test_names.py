"""MATLAB's layer names as names of submodules: kept where torch can take them, changed and mapped where not, never run as code."""

from __future__ import annotations

import ast
import builtins
import copy
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.modules.build import module_names
from bridge.network import Connection, LayerList, Network, Source, make_layer
from bridge.tables.layers import layer_mappings
from fixtures import layers as L
from fixtures.layers import Net
from tests.modules.cases import IMAGE, graph
from tests.modules.conftest import Read

KEPT = (
    "conv1|7x7_s2",
    "fire2-squeeze1x1",
    "a b",
    "a/b",
    "0abc",
    "T",
    "x",
    "Größe",
    "x²",
    "{name}",
    "%s",
    "it's",
    "#",
    "$",
    "torch",
    "forward_2",
)
CHANGED = {
    "train": "train_",
    "forward": "forward_",
    "graph": "graph_",
    "code": "code_",
    "meta": "meta_",
    "training": "training_",
    "type": "type_",
    "_modules": "_modules_",
    "_parameters": "_parameters_",
    "_forward_hooks": "_forward_hooks_",
    "__class__": "__class___",
    "class": "class_",
    "None": "None_",
    "in": "in_",
    "self": "self_",
    "Self": "Self_",
    "res.1": "res_1",
    "": "_",
    'a"b': "a_b",
    "a\\b": "a_b_",
    "a\nb": "a_b_2",
    "a\u2028b": "a_b_3",
    "ﬁre": "fire",
    "𝐢𝐟": "if_",
    "x.y": "x_y_",  # the layer of that name keeps it
    "x_y": "x_y",
    "conv(1)": "conv_1_",
    "a,b;c[d]": "a_b_c_d_",
}
INJECTIONS = (
    '"); __import__("builtins").injected = 1; ("',
    "x\nimport builtins; builtins.injected = 1\n#",
    "'); __import__('builtins').injected = 1; ('",
    '\\"); __import__(\\"builtins\\").injected = 1; (\\"',
    "x): __import__('builtins').injected = 1 #",
    '"""',
    "{__import__('builtins')}",
    "a\r\n    return x\r\n",
)


def chain_of(*names: str) -> Network:
    """A chain of one input layer and ReLU layers with these names, without a file."""
    rows = layer_mappings().rows
    layers = [
        make_layer(rows["FeatureInputLayer"], names[0], {"InputSize": 3}),
        *(make_layer(rows["ReLULayer"], name, {}) for name in names[1:]),
    ]
    connections = tuple(Connection(a.name, b.name) for a, b in pairwise(layers))
    return Network("Layers", LayerList(layers), connections, (names[0],), (names[-1],), Source("", ""))


def check_code(code: str, known: set[str]) -> None:
    """Assert that generated code does nothing but call submodules of known names."""
    tree = ast.parse(code)
    assert not [node for node in ast.walk(tree) if isinstance(node, (ast.Import, ast.ImportFrom, ast.Global))]
    assert {
        node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)
    } <= known
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        assert isinstance(call.func, (ast.Attribute, ast.Call)) or (
            isinstance(call.func, ast.Name) and call.func.id == "getattr"
        ), ast.dump(call)
    assert not hasattr(builtins, "injected")


def test_names_torch_can_take_are_kept() -> None:
    assert module_names(KEPT) == {name: name for name in KEPT}


def test_other_names_are_changed_and_stay_apart() -> None:
    assert module_names(CHANGED) == CHANGED


def test_layers_of_any_name_run() -> None:
    names = (*KEPT, *(name for name in CHANGED if name), *INJECTIONS)
    model = chain_of(*names).to_torch()
    x = torch.randn(2, 3)
    assert torch.equal(model(x), x.relu())
    check_code(model.code, set(model.meta["layers"]))
    assert list(model.meta["layers"].values()) == list(names)
    assert [name for name, _ in model.named_children()] == list(model.meta["layers"])
    twin = copy.deepcopy(model)
    assert torch.equal(twin(x), x.relu()) and twin.meta["layers"] == model.meta["layers"]


@settings(max_examples=60)
@given(st.lists(st.text(min_size=1, max_size=12), min_size=2, max_size=6, unique=True))
def test_any_text_is_a_name(names: list[str]) -> None:
    model = chain_of(*names).to_torch()
    x = torch.randn(1, 3)
    assert torch.equal(model(x), x.relu())
    check_code(model.code, set(model.meta["layers"]))
    assert list(model.meta["layers"].values()) == names


@pytest.mark.parametrize("names", [("a-b", "a_b"), ("1x", "class"), ("x", "x_x"), INJECTIONS[:2]], ids=repr)
def test_inputs_of_any_name_are_arguments(names: tuple[str, str], read: Read) -> None:
    """In MATLAB's order, whatever they are called."""
    layers = (*(L.imageInputLayer(IMAGE, name, "none") for name in names), L.concatenationLayer("cat", 1))
    model = read(graph(layers, f"{names[0]}>cat/in1", f"{names[1]}>cat/in2")).to_torch()
    a, b = torch.randn(2, 2, 4, 6, 5)
    assert torch.equal(model(a, b), torch.cat([a, b], 2))
    assert len({node.target for node in model.graph.nodes if node.op == "placeholder"}) == 2


def test_export_and_compile_take_any_name(read: Read) -> None:
    net = Net(
        "SeriesNetwork",
        (
            L.imageInputLayer(IMAGE, "in", "none"),
            *(L.reluLayer(name) for name in (*KEPT, *INJECTIONS, "train", "res.1", "self")),
        ),
    )
    model, x = read(net).to_torch(), torch.randn(2, 4, 6, 5)
    assert torch.equal(torch.export.export(model, (x,)).module()(x), x.relu())
    torch._dynamo.reset()
    assert torch.equal(torch.compile(model, backend="aot_eager", fullgraph=True)(x), x.relu())
    assert not hasattr(builtins, "injected")
