"""Each pass alone: what it changes, what it must leave alone, and that its input stays as it was."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from bridge.arrays.lazy import Array, NDArray
from bridge.readers.onnx import formulas, passes, recurrent
from bridge.readers.onnx.graph import Graph, Node, Pass
from bridge.readers.onnx.match import Matcher
from tests.readers.onnx.graphs import graph, step, weights


def run(each: Pass, given: Graph) -> tuple[Graph, str]:
    """Run a pass and require that it left its graph as it was."""
    before = (given.nodes, dict(given.inputs), given.outputs, dict(given.constants), dict(given.shapes))
    attributes = [dict(node.attributes) for node in given.nodes]
    made, note = each(given)
    assert (given.nodes, dict(given.inputs), given.outputs, dict(given.constants), dict(given.shapes)) == before
    assert [dict(node.attributes) for node in given.nodes] == attributes
    return made, note


def cleaned(each: Pass, given: Graph) -> tuple[Graph, str]:
    """Run a pass, and take away what only fed what it joined."""
    made, note = run(each, given)
    return passes.drop_unused(made)[0], note


def unchanged(each: Pass, given: Graph) -> bool:
    made, note = run(each, given)
    return made.nodes == given.nodes and note == ""


def ops(made: Graph) -> list[str]:
    return [node.operator for node in made.nodes]


# Inputs, opsets and constants


def test_initializers_are_no_inputs() -> None:
    given = replace(
        graph(step("Conv", "x W", "y"), constants={"W": weights(4, 3, 3, 3)}),
        inputs={"W": (4, 3, 3, 3), "x": (1, 3, 8, 8)},
    )
    assert list(run(passes.drop_initializer_inputs, given)[0].inputs) == ["x"]


def test_attributes_of_opset_6_are_dropped() -> None:
    old = graph(
        step(
            "BatchNormalization", "x s b m v", "n", is_test=1, consumed_inputs=(0, 0, 0, 1, 1), spatial=1, epsilon=1e-5
        ),
        step("Add", "n c", "y", broadcast=1, axis=1),
        opset=6,
        matlab=True,
    )
    made, note = run(passes.repair_opset6, old)
    assert [dict(node.attributes) for node in made.nodes] == [{"epsilon": 1e-5}, {}]
    assert note == "repaired 2 node(s) with attributes of opset 6"
    assert unchanged(passes.repair_opset6, replace(old, opset=7))


def test_an_axis_of_opset_6_stays_where_matlab_did_not_write_it() -> None:
    """There it may name any axis, and a spatial of 0 normalises each pixel by itself."""
    old = graph(
        step("Add", "x c", "n", broadcast=1, axis=0), step("BatchNormalization", "n s b m v", "y", spatial=0), opset=6
    )
    made, _ = run(passes.repair_opset6, old)
    assert [dict(node.attributes) for node in made.nodes] == [{"axis": 0}, {"spatial": 0}]


def test_constants_are_worked_out() -> None:
    given = graph(
        step("Concat", "a b", "shape", axis=0),
        step("Identity", "W", "same"),
        step("Transpose", "W", "turned", perm=(1, 0)),
        step("Reshape", "x shape", "flat"),
        step("MatMul", "flat turned", "y"),
        constants={"a": [0], "b": [-1], "W": weights(4, 6)},
    )
    made, note = run(passes.fold_constants, given)
    assert ops(made) == ["Reshape", "MatMul"] and note == ""
    np.testing.assert_array_equal(made.constants["shape"].read(), [0, -1])
    np.testing.assert_array_equal(made.constants["turned"].read(), weights(4, 6).T)


def test_a_weight_is_turned_unread() -> None:
    def load() -> NDArray:
        raise AssertionError("it was read")

    given = graph(step("Transpose", "W", "turned"), step("Identity", "turned", "same"), step("MatMul", "x same", "y"))
    given = replace(given, constants={"W": Array((4, 6), np.dtype(np.float32), load, (4, 6))})
    assert run(passes.fold_constants, given)[0].constants["same"].shape == (6, 4)


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (step("ConstantOfShape", "n", "c"), {"n": [1_000_000, 1_000_000]}),
        (step("Expand", "v n", "c"), {"v": [1.0], "n": [2_000_000]}),
        (step("Tile", "v n", "c"), {"v": [1.0] * 8, "n": [1_000_000]}),
        (step("Range", "n n n", "c"), {"n": 1}),
        (step("RandomNormalLike", "v", "c"), {"v": [1.0]}),
        (step("NoSuchOperator", "v", "c"), {"v": [1.0]}),
        (step("my.domain::Add", "v v", "c"), {"v": [1.0]}),
    ],
    ids=lambda value: value.operator if isinstance(value, Node) else "",
)
def test_constants_that_are_not_worked_out(node: Node, constants: Mapping[str, Any]) -> None:
    """They may be of any size, random, or unknown."""
    given = graph(node, step("Add", "x c", "y"), constants=constants)
    assert ops(run(passes.fold_constants, given)[0]) == [node.operator, "Add"]


@pytest.mark.parametrize(
    ("node", "constants", "attributes"),
    [
        (step("Clip", "x low high", "y"), {"low": 0.0, "high": 6.0}, {"min": 0.0, "max": 6.0}),
        (step("Clip", "x - high", "y"), {"high": 6.0}, {"max": 6.0}),
        (step("Dropout", "x ratio", "y"), {"ratio": 0.25}, {"ratio": 0.25}),
        (step("Dropout", "x ratio off", "y"), {"ratio": 0.25, "off": False}, {"ratio": 0.25}),
        (step("ReduceMean", "x axes", "y", keepdims=0, noop_with_empty_axes=0), {"axes": [1]}, {"keepdims": 0, "axes": (1,)}),
        (step("Split", "x parts", "a b", axis=1), {"parts": [1, 2]}, {"axis": 1, "split": (1, 2)}),
        (step("Squeeze", "x axes", "y"), {"axes": [2, 3]}, {"axes": (2, 3)}),
        (step("Unsqueeze", "x axes", "y"), {"axes": [0]}, {"axes": (0,)}),
    ],
    ids=lambda value: value.op if isinstance(value, Node) else "",
)  # fmt: skip
def test_constant_inputs_become_the_attributes_they_were(
    node: Node, constants: Mapping[str, Any], attributes: Mapping[str, Any]
) -> None:
    (made,) = run(passes.settle_forms, graph(node, constants=constants))[0].nodes
    assert made.inputs == ("x",) and made.attributes == attributes


@pytest.mark.parametrize(
    ("node", "constants"),
    [
        (step("Clip", "x low high", "y"), {"low": 0}),  # high is computed
        (step("Clip", "x low", "y"), {"low": 0}),  # of integers
        (step("Dropout", "x ratio on", "y"), {"ratio": 0.25, "on": True}),  # it drops
        (step("Pad", "x pads value", "y"), {"pads": [1, 1], "value": 0.0}),
        (step("Squeeze", "x axes", "y"), {}),
    ],
    ids=["computed", "integers", "training", "today's form", "all computed"],
)
def test_inputs_that_stay(node: Node, constants: Mapping[str, Any]) -> None:
    assert unchanged(passes.settle_forms, graph(node, constants=constants))


def test_attributes_become_the_inputs_they_are_now() -> None:
    given = graph(
        step("Slice", "x", "s", starts=(1,), ends=(5,), axes=(2,)), step("Pad", "s", "p", mode="constant", pads=(1, 0), value=0.5),
        step("Upsample", "p", "y", scales=(1.0, 1.0, 2.0, 2.0), mode="nearest"),
    )  # fmt: skip
    made, _ = run(passes.settle_forms, given)
    assert [(node.operator, node.inputs, node.attributes) for node in made.nodes] == [
        ("Slice", ("x", "s starts", "s ends", "s axes"), {}), ("Pad", ("s", "p pads", "p value"), {"mode": "constant"}),
        ("Resize", ("p", "y scales"), {"mode": "nearest"}),
    ]  # fmt: skip
    assert made.constants["s ends"].dtype == np.int64 and made.constants["p value"].read() == np.float32(0.5)
    assert made.constants["y scales"].read().tolist() == [1, 1, 2, 2]


# 'same' padding


def padded(strides: tuple[int, int] = (2, 2), value: float = 0.0, **more: Any) -> Graph:
    """A convolution behind padding that is worked out from the shape of x, in the way of R2024b, for strides of 2 and a filter of 3."""
    return graph(
        step("Shape", "x", "shape"),
        step("Cast", "shape", "sizes", to=1),
        step("Div", "sizes stride", "quotient"),
        step("Sub", "quotient filter", "pads"),
        step("Pad", "x pads value", "padded", mode="constant"),
        step("Conv", "padded W", "y", kernel_shape=(3, 3), strides=strides, **more),
        constants={
            "stride": [1.0, 1.0, 2.0, 2.0],
            "filter": [1.0, 1.0, 3.0, 3.0],
            "value": value,
            "W": weights(4, 3, 3, 3),
        },
    )


def test_computed_same_padding_is_folded() -> None:
    made, note = cleaned(passes.fold_same_padding, padded())
    (convolution,) = made.nodes
    assert convolution.inputs == ("x", "W") and convolution.attributes["auto_pad"] == "SAME_UPPER"
    assert note == "folded the 'same' padding of 1 convolution(s)"


@pytest.mark.parametrize(
    "given",
    [
        padded(strides=(1, 1)),
        padded(value=1.0),
        padded(dilations=(2, 2)),
        padded(pads=(1, 1, 1, 1)),
        replace(padded(), nodes=(step("Shape", "other", "shape"), *padded().nodes[1:])),
        replace(padded(), outputs=("y", "z"), nodes=(*padded().nodes, step("Relu", "padded", "z"))),
        graph(
            step("Pad", "x pads", "padded"),
            step("Conv", "padded W", "y"),
            constants={"pads": [0] * 8, "W": weights(4, 3, 3, 3)},
        ),
    ],
    ids=["other stride", "pads with ones", "other filter", "pads again", "of another value", "read twice", "static"],
)
def test_padding_that_is_not_same(given: Graph) -> None:
    assert unchanged(passes.fold_same_padding, given)


# Unpooling, biases, fully connected layers


def test_a_pooling_gets_the_size_its_unpooling_reads() -> None:
    given = graph(
        step("Shape", "x", "size"),
        step("MaxPool", "x", "out indices"),
        step("com.mathworks::MaxUnpool", "out indices size", "y"),
    )
    made, note = run(passes.join_unpooling, given)
    assert [node.outputs for node in made.nodes] == [("out", "indices", "size"), ("y",)]
    assert note == "joined 1 max pooling(s) with their unpooling sizes"
    elsewhere = replace(given, nodes=(*given.nodes, step("Cast", "size", "z")), outputs=("y", "z"))
    assert unchanged(passes.join_unpooling, elsewhere)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
def test_a_constant_added_behind_a_convolution_is_its_bias(op: str) -> None:
    kernel = weights(4, 3, 3, 3) if op == "Conv" else weights(3, 4, 3, 3)
    given = graph(
        step(op, "x W", "product"), step("Add", "b product", "y"), constants={"W": kernel, "b": weights(1, 4, 1, 1)}
    )
    made, note = cleaned(passes.join_bias, given)
    (convolution,) = made.nodes
    assert convolution.inputs[:2] == ("x", "W") and convolution.outputs == ("y",)
    np.testing.assert_array_equal(made.constants[convolution.inputs[2]].read(), weights(1, 4, 1, 1).reshape(4))
    assert note == "1 constant(s) added after a convolution became its bias"


@pytest.mark.parametrize(
    ("b", "more"), [(weights(1, 4, 8, 8), ()), (weights(4), ()), (1, ()), (weights(1, 4, 1, 1), (step("Relu", "product", "z"),))],
    ids=["each pixel", "each column", "integer", "read twice"],
)  # fmt: skip
def test_additions_that_are_no_bias(b: Any, more: tuple[Node, ...]) -> None:
    """[4] is added along the width, of which there are 8 here: it is no valid model, and no bias either."""
    given = graph(
        step("Conv", "x W", "product"),
        step("Add", "product b", "y"),
        *more,
        constants={"W": weights(4, 3, 3, 3), "b": b},
    )
    assert unchanged(passes.join_bias, given)


DENSE = {"W": weights(5, 4), "b": weights(4), "column": weights(4, 1), "R": weights(4, 5)}


@pytest.mark.parametrize(
    ("nodes", "attributes", "inputs"),
    [
        ([step("MatMul", "x W", "p"), step("Add", "p b", "y")], {"transB": 1, "last_axis": 1}, 3),
        ([step("MatMul", "x W", "p"), step("Add", "b p", "y")], {"transB": 1, "last_axis": 1}, 3),
        ([step("MatMul", "x W", "y")], {"transB": 1, "last_axis": 1}, 2),
        ([step("Gemm", "x R b", "y", transB=1, alpha=1.0, beta=1.0)], {"transB": 1}, 3),
        ([step("Gemm", "x W b", "y")], {"transB": 1}, 3),
        ([step("Gemm", "x W", "p"), step("Add", "p b", "y")], {"transB": 1}, 3),
    ],
    ids=["MatMul, Add", "Add to a constant", "MatMul", "Gemm", "Gemm of columns", "Gemm, Add"],
)
def test_forms_of_a_fully_connected_layer(nodes: list[Node], attributes: Mapping[str, Any], inputs: int) -> None:
    made, _ = cleaned(passes.join_fully_connected, graph(*nodes, constants=DENSE))
    (gemm,) = made.nodes
    assert (
        gemm.operator == "Gemm"
        and gemm.outputs == ("y",)
        and gemm.attributes == attributes
        and len(gemm.inputs) == inputs
    )
    rows = DENSE["R"] if attributes == {"transB": 1} and nodes[0].inputs[1] == "R" else DENSE["W"].T
    np.testing.assert_array_equal(made.constants[gemm.inputs[1]].read(), rows)


@pytest.mark.parametrize(
    "node",
    [
        step("MatMul", "W x", "y"),
        step("MatMul", "x x", "y"),
        step("Gemm", "x W b", "y", alpha=0.5),
        step("Gemm", "x W b", "y", transA=1),
        step("Gemm", "x W column", "y"),
        step("Gemm", "x W x", "y"),
    ],
    ids=["constant first", "both computed", "scaled", "turned", "bias of each row", "computed bias"],
)
def test_products_that_are_no_fully_connected_layer(node: Node) -> None:
    assert unchanged(passes.join_fully_connected, graph(node, constants=DENSE))


def test_a_constant_added_for_each_row_stays_behind_the_product() -> None:
    given = graph(step("MatMul", "x W", "p"), step("Add", "p column", "y"), constants=DENSE)
    assert ops(cleaned(passes.join_fully_connected, given)[0]) == ["Gemm", "Add"]


def test_what_nothing_reads_is_dropped() -> None:
    given = replace(
        graph(step("Relu", "x", "y"), step("Tanh", "x", "lost"), step("Sigmoid", "lost", "z")), outputs=("y",)
    )
    assert ops(run(passes.drop_unused, given)[0]) == ["Relu"]


# Formulas


def test_swish() -> None:
    given = graph(step("Sigmoid", "x", "s"), step("Mul", "s x", "y"))
    made, _ = cleaned(formulas.join_swish, given)
    assert [(node.operator, node.inputs, node.outputs) for node in made.nodes] == [("Swish", ("x",), ("y",))]
    assert unchanged(
        formulas.join_swish, graph(step("Sigmoid", "x", "s"), step("Relu", "x", "r"), step("Mul", "s r", "y"))
    )
    read_twice = replace(given, nodes=(*given.nodes, step("Tanh", "s", "z")), outputs=("y", "z"))
    assert unchanged(formulas.join_swish, read_twice)
    assert unchanged(formulas.join_swish, replace(given, outputs=("y", "s")))


HALF, ONE, ROOT = {"half": 0.5}, {"one": 1.0}, {"root": math.sqrt(2)}
ERF = (step("Div", "x root", "a"), step("Erf", "a", "e"), step("Add", "e one", "f"))
GELUS = {
    "half first": ((*ERF, step("Mul", "x half", "h"), step("Mul", "h f", "y")), "none"),
    "half last": ((*ERF, step("Mul", "x f", "h"), step("Mul", "h half", "y")), "none"),
    "half inside": ((*ERF, step("Mul", "half f", "h"), step("Mul", "x h", "y")), "none"),
    "tanh": (
        (
            step("Pow", "x three", "cube"), step("Mul", "cube small", "c"), step("Add", "x c", "sum"), step("Mul", "sum scale", "s"),
            step("Tanh", "s", "t"), step("Add", "one t", "f"), step("Mul", "x half", "h"), step("Mul", "f h", "y"),
        ),
        "tanh",
    ),
}  # fmt: skip
NUMBERS = {**HALF, **ONE, **ROOT, "three": 3.0, "small": 0.044715, "scale": math.sqrt(2 / math.pi)}


@pytest.mark.parametrize("form", GELUS)
def test_gelu(form: str) -> None:
    nodes, approximate = GELUS[form]
    made, _ = cleaned(formulas.join_gelu, graph(*nodes, constants=NUMBERS))
    assert [(node.operator, node.inputs, dict(node.attributes)) for node in made.nodes] == [
        ("Gelu", ("x",), {"approximate": approximate})
    ]
    for name in NUMBERS:
        if any(name in node.inputs for node in nodes):
            assert unchanged(formulas.join_gelu, graph(*nodes, constants={**NUMBERS, name: 1.001 * NUMBERS[name]})), (
                name
            )


def layer_norm(
    square: Node, axes: tuple[int, ...] = (-1,), variance_axes: tuple[int, ...] = (-1,), keepdims: int = 1
) -> Graph:
    nodes = (
        step("ReduceMean", "x", "mean", axes=axes, keepdims=keepdims), step("Sub", "x mean", "d"), square,
        step("ReduceMean", "q", "variance", axes=variance_axes, keepdims=keepdims), step("Add", "variance eps", "v"),
        step("Sqrt", "v", "s"), step("Div", "d s", "n"), step("Mul", "n g", "m"), step("Add", "m b", "y"),
    )  # fmt: skip
    return graph(*nodes, constants={"eps": 1e-3, "g": weights(8), "b": weights(8), "two": 2.0, "three": 3.0})


@pytest.mark.parametrize("square", [step("Mul", "d d", "q"), step("Pow", "d two", "q")], ids=["product", "power"])
def test_layer_normalization(square: Node) -> None:
    made, _ = cleaned(formulas.join_layer_normalization, layer_norm(square))
    (node,) = made.nodes
    assert (node.operator, node.inputs, node.outputs) == ("LayerNormalization", ("x", "g", "b"), ("y",))
    assert node.attributes == {"axes": (-1,), "epsilon": pytest.approx(1e-3)}


@pytest.mark.parametrize(
    "given",
    [
        layer_norm(step("Pow", "d three", "q")),
        layer_norm(step("Mul", "x d", "q")),
        layer_norm(step("Mul", "d d", "q"), variance_axes=(1,)),
        layer_norm(step("Mul", "d d", "q"), keepdims=0),
    ],
    ids=["cube", "not centred", "other axes", "without axes"],
)
def test_formulas_that_are_no_layer_normalization(given: Graph) -> None:
    assert unchanged(formulas.join_layer_normalization, given)


def group_norm(
    shape: Any = (0, 6, 4, 4), groups: tuple[int, ...] = (0, 3, -1), ones: float = 1.0, back: str = "shape"
) -> Graph:
    nodes = (
        step("Reshape", "x groups", "r"), step("InstanceNormalization", "r ones zeros", "i", epsilon=1e-4),
        step("Shape", "r" if back == "other" else "x", back if back != "shape" else "unread"),
        step("Reshape", f"i {back}", "n"), step("Mul", "n g", "m"), step("Add", "m b", "y"),
    )  # fmt: skip
    scale = {"g": weights(6, 1, 1), "b": weights(6, 1, 1), "ones": [ones] * 3, "zeros": [0.0] * 3}
    return graph(*nodes, x=("N", 6, 4, 4), constants={**scale, "groups": groups, "shape": shape})


@pytest.mark.parametrize(("back", "shape"), [("shape", (0, 6, 4, 4)), ("own", None)], ids=["constant", "of x"])
def test_group_normalization(back: str, shape: Any) -> None:
    made, _ = cleaned(formulas.join_group_normalization, group_norm(back=back))
    (node,) = made.nodes
    assert (node.operator, node.inputs) == ("GroupNormalization", ("x", "g", "b"))
    assert node.attributes == {"num_groups": 3, "epsilon": 1e-4, "shape": shape}


@pytest.mark.parametrize(
    "given",
    [group_norm(groups=(0, 3, 32)), group_norm(ones=2.0), group_norm(back="other")],
    ids=["fixed rows", "scaled rows", "other shape"],
)
def test_formulas_that_are_no_group_normalization(given: Graph) -> None:
    assert unchanged(formulas.join_group_normalization, given)


def test_products_of_a_multiplication_layer() -> None:
    nodes = (
        step("Relu", "x", "r"),
        Node("Mul", "mul_Mul1", ("x", "r"), ("p",)),
        Node("Mul", "mul", ("p", "r"), ("y",)),
    )
    made, _ = cleaned(formulas.join_multiplications, graph(*nodes, matlab=True))
    assert [node.inputs for node in made.nodes if node.op == "Mul"] == [("x", "r", "r")]
    assert unchanged(formulas.join_multiplications, graph(*nodes))
    other = (nodes[0], replace(nodes[1], name="another"), nodes[2])
    assert unchanged(formulas.join_multiplications, graph(*other, matlab=True))


def test_a_pattern_binds_each_name_once() -> None:
    matcher = Matcher(graph(step("Relu", "x", "r"), step("Add", "x r", "s"), step("Mul", "s s", "y")))
    assert matcher.find("y", ("Mul", "a", "a")) is not None
    assert matcher.find("s", ("Add", "a", "a")) is None
    assert matcher.find("s", ("Add", ("Relu", "a"), "a")) is not None  # in the other order
    assert matcher.find("y", ("Mul", "a", "b"), a=("Add", "p", ("Relu", "p"))) is not None
    assert matcher.find("y", ("Mul", "$a", "b")) is None


# Recurrent layers


def lstm(directions: int = 1, last: bool = False, op: str = "LSTM", **more: Any) -> Graph:
    gates, hidden, inputs = (4 if op == "LSTM" else 3), 2, 3
    both = directions == 2
    node = Node(op, "rnn", ("x", "W", "R", "B"), ("", "Y_h") if last else ("Y",), {"hidden_size": hidden, **more})
    if both:
        node = replace(node, attributes={**node.attributes, "direction": "bidirectional"})
    raw = "Y_h" if last else "Y"
    ending: tuple[Node, ...]
    if both:
        ending = (
            step("Transpose", raw, "t", perm=(1, 0, 2) if last else (0, 2, 1, 3)),
            step("Reshape", "t shape", "y"),
        )
    else:
        ending = (step("Squeeze", raw, "y", axes=(0,) if last else (1,)),)
    rows = gates * hidden
    constants = {
        "W": weights(directions, rows, inputs), "R": weights(directions, rows, hidden, seed=1), "B": weights(directions, 2 * rows, seed=2),
        "shape": [0, 2 * hidden] if last else [0, 0, -1], "P": weights(directions, 3 * hidden), "zeros": [[[0.0] * hidden]],
        "h": [[[1.0] * hidden]],
    }  # fmt: skip
    return graph(node, *ending, x=("T", "N", 3), constants=constants)


@pytest.mark.parametrize("last", [False, True], ids=["sequence", "last"])
@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("op", ["LSTM", "GRU"])
def test_recurrent_layers(op: str, directions: int, last: bool) -> None:
    """Oracle: the documented orders of the gates, ONNX's i, o, f, c and z, r, h, MATLAB's i, f, c, o and r, z, h."""
    given = lstm(directions, last, op)
    if op == "GRU" and directions == 2:
        assert unchanged(recurrent.join_recurrent, given)  # MATLAB has no such layer
        return
    made, _ = cleaned(recurrent.join_recurrent, given)
    (node,) = made.nodes
    assert (node.operator, node.inputs[0], node.outputs, node.attributes["last"]) == (op, "x", ("y",), int(last))
    names, theirs = ("ifco", "iofc") if op == "LSTM" else ("rzh", "zrh")
    for index, source in ((1, "W"), (2, "R")):
        value = given.constants[source].read()
        wanted = [part for one in value for gate in names for part in np.split(one, len(names))[theirs.index(gate)]]
        np.testing.assert_array_equal(made.constants[node.inputs[index]].read(), wanted)
    bias = given.constants["B"].read().reshape(directions, 2, len(names), 2)
    wanted_bias = [sum(one[:, theirs.index(gate)]) for one in bias for gate in names]
    np.testing.assert_array_equal(made.constants[node.inputs[3]].read(), np.concatenate(wanted_bias))


def test_the_recurrent_bias_of_a_gru() -> None:
    """It matters by itself where the reset gate acts on R*h, and only there; MATLAB then keeps both biases."""
    for after, both in ((1, True), (0, False)):
        (node,) = cleaned(recurrent.join_recurrent, lstm(op="GRU", linear_before_reset=after))[0].nodes
        assert (node.attributes["after"], node.attributes["recurrent_bias"]) == (after, both)
    given = lstm(op="GRU", linear_before_reset=1)
    zero = replace(given, constants={**given.constants, "B": Array.of(np.array([[1.0] * 6 + [0.0] * 6], np.float32))})
    made = cleaned(recurrent.join_recurrent, zero)[0]
    assert made.nodes[0].attributes["recurrent_bias"] == 0 and made.constants["B [gates]"].shape == (6,)


def with_inputs(given: Graph, *inputs: str) -> Graph:
    return replace(given, nodes=(replace(given.nodes[0], inputs=inputs), *given.nodes[1:]))


def test_initial_states_of_zero_are_none() -> None:
    """Constants, and zeros that are spread over the batch when the network runs."""
    assert ops(cleaned(recurrent.join_recurrent, with_inputs(lstm(), "x", "W", "R", "B", "", "zeros", "zeros"))[0]) == [
        "LSTM"
    ]
    given = with_inputs(lstm(), "x", "W", "R", "B", "", "spread", "spread")
    spread = (step("Shape", "x", "s"), step("Expand", "zeros s", "spread"))
    assert ops(cleaned(recurrent.join_recurrent, replace(given, nodes=(*spread, *given.nodes)))[0]) == ["LSTM"]
    filled = (step("Shape", "x", "s"), step("ConstantOfShape", "s", "spread", value=np.zeros(1, np.float32)))
    assert ops(cleaned(recurrent.join_recurrent, replace(given, nodes=(*filled, *given.nodes)))[0]) == ["LSTM"]


@pytest.mark.parametrize(
    "given",
    [
        with_inputs(lstm(), "x", "W", "R", "B", "", "h", "zeros"),
        with_inputs(lstm(), "x", "W", "R", "B", "lengths"),
        with_inputs(lstm(), "x", "W", "R", "B", "", "", "", "P"),
        with_inputs(lstm(), "x", "x", "R", "B"),
        lstm(direction="reverse"),
        lstm(clip=3.0),
        lstm(input_forget=1),
        lstm(layout=1),
        lstm(activations=("Sigmoid", "Tanh", "Relu")),
        lstm(activations=("Affine", "Tanh", "Tanh")),
        replace(lstm(), outputs=("Y", "y")),
        replace(lstm(), nodes=(lstm().nodes[0], step("Squeeze", "Y", "y", axes=(0,)))),
        replace(lstm(2), constants={**lstm(2).constants, "shape": Array.of(np.array([0, 0, 3]))}),
    ],
    ids=[
        "initial state", "lengths", "peepholes", "computed weights", "backwards", "clipped", "coupled gates", "batch first",
        "two functions", "unknown function", "output of directions", "other axis", "other shape",
    ],
)  # fmt: skip
def test_recurrent_nodes_that_are_no_matlab_layer(given: Graph) -> None:
    assert unchanged(recurrent.join_recurrent, given)


def test_the_passes_run_in_order_and_collect_their_notes() -> None:
    given = replace(padded(), inputs={"W": (4, 3, 3, 3), "x": ("N", 3, 8, 8)})
    made, notes = passes.normalise(given)
    assert ops(made) == ["Conv"] and list(made.inputs) == ["x"]
    assert notes == ["folded the 'same' padding of 1 convolution(s)"]
