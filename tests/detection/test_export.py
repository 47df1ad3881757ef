"""What a detector is exported to: the heads as the network puts them out, and source code that decodes them."""

from __future__ import annotations

import runpy
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import bridge
from bridge.network import Network
from bridge.parity import onnx_runtime
from fixtures import networks
from fixtures import onnx as onnx_file
from tests.detection.nets import detector

X = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))


def exported(network: Network, path: Path) -> Path:
    return bridge.export(network, path, tell=lambda loss: None).paths[0]


def test_an_onnx_ends_in_the_head(tmp_path: Path) -> None:
    """Oracle: onnxruntime. No box is decoded in the graph, and none suppressed."""
    network = detector(tmp_path)
    path = exported(network, tmp_path / "net.onnx")
    model = onnx.load(path)
    assert {node.op_type for node in model.graph.node}.isdisjoint({"NonMaxSuppression", "TopK", "Loop"})
    (output,) = (each.name for each in model.graph.output)
    theirs = onnx_runtime.run(path, [X.numpy()], [output])[output]
    ours = network.to_detector()(X).detach()
    assert theirs.shape == (2, 14, 8, 8)
    np.testing.assert_allclose(theirs, ours.numpy(), rtol=1e-5, atol=1e-5)  # both in single precision


def test_a_pt2_ends_in_the_head(tmp_path: Path) -> None:
    network = detector(tmp_path)
    program = torch.export.load(exported(network, tmp_path / "net.pt2"))
    torch.testing.assert_close(program.module()(X), network.to_detector()(X))


@pytest.mark.parametrize("ends_in_a_convolution", [False, True])
def test_source_code_decodes(tmp_path: Path, ends_in_a_convolution: bool) -> None:
    """Oracle: the candidates of the detector, bit for bit: the function is its own."""
    network = detector(tmp_path)
    if ends_in_a_convolution:
        (tmp_path / "anchors.toml").write_text("AnchorBoxes = [[12, 8], [6, 20]]", encoding="utf-8")
        onnx_file.write(tmp_path / "net.onnx", networks.yolov2_exported(), "24.2.0")
        network = bridge.load(tmp_path / "net.onnx", anchors=tmp_path / "anchors.toml")
    held = runpy.run_path(str(exported(network, tmp_path / "net.py")))
    model = held["Network"]()
    held["load_weights"](model)
    model.eval()
    output = held["YOLOv2Transform"](2)(model(X)) if ends_in_a_convolution else model(X)
    made = network.to_detector()
    for ours, theirs in zip(
        held["decode"](output, held["ANCHORS"], held["STRIDE"]), made.family.candidates(made(X)), strict=True
    ):
        torch.testing.assert_close(ours, theirs)
    called = "YOLOv2Transform(2)(model(x))" if ends_in_a_convolution else "model(x)"
    assert f"corners, scores, labels = decode({called}, ANCHORS, STRIDE)" in held["__doc__"]


def test_a_network_alone_has_no_decoding(tmp_path: Path) -> None:
    held = runpy.run_path(str(exported(bridge.load("fixtures/files/signs.mat"), tmp_path / "net.py")))
    assert "decode" not in held and "ANCHORS" not in held
