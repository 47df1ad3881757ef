"""What an import proves, where an output is near 0 because large terms cancel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper

import bridge
from bridge.network import Network
from bridge.parity.proof import prove

COUNT = 128


@pytest.fixture
def cancelling(tmp_path: Path) -> Callable[..., Network]:
    """Make y = W x + (-W P') P x with a permutation P: what rounding leaves of 0, in two orders of sums."""

    def made() -> Network:
        rng = np.random.default_rng(0)
        weights = rng.standard_normal((COUNT, COUNT)).astype(np.float32)
        turn = np.eye(COUNT, dtype=np.float32)[rng.permutation(COUNT)]
        arrays = {"w": weights, "p": turn, "v": -weights @ turn.T}
        arrays |= {name: np.zeros(COUNT, np.float32) for name in ("b1", "b2", "b3")}
        nodes = [
            helper.make_node("Gemm", ["x", "w", "b1"], ["one"], "one", transB=1),
            helper.make_node("Gemm", ["x", "p", "b2"], ["turned"], "turned", transB=1),
            helper.make_node("Gemm", ["turned", "v", "b3"], ["other"], "other", transB=1),
            helper.make_node("Add", ["one", "other"], ["y"], "sum"),
        ]
        ends = [helper.make_tensor_value_info(each, onnx.TensorProto.FLOAT, ["N", COUNT]) for each in "xy"]
        stored = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
        model = helper.make_model(
            helper.make_graph(nodes, "net", ends[:1], ends[1:], stored), opset_imports=[helper.make_opsetid("", 13)]
        )
        model.ir_version = 8
        onnx.save(model, tmp_path / "net.onnx")
        return bridge.load(tmp_path / "net.onnx")

    return made


def test_an_output_that_cancels_is_held_against_what_rounding_makes_of_it(cancelling: Callable[..., Network]) -> None:
    network = cancelling()
    proof = prove(network, network.to_torch())
    assert proof.holds, str(proof)
    assert len(proof.cancelled) == 1 and "to what roundings of the input make of it" in str(proof)


def test_a_fault_beside_a_cancelled_output_is_found(cancelling: Callable[..., Network]) -> None:
    network = cancelling()
    model = network.to_torch()
    one = next(part for name, part in model.named_modules() if name == "other")
    one.bias.data += 0.01  # type: ignore[union-attr, operator]
    proof = prove(network, model)
    assert not proof.holds and not proof.cancelled


def test_several_observations_are_compared(cancelling: Callable[..., Network]) -> None:
    network = cancelling()
    proof = prove(network, network.to_torch())
    assert proof.comparison is not None and proof.comparison.layers[0].elements == 3 * COUNT
