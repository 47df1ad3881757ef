"""The layer tables: whole, consistent, and truthful about what was seen of MATLAB."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from torch import nn

import bridge
from bridge.errors import UsageError
from bridge.modules import activation, attention, normalization, recurrent, regions, shape
from bridge.modules.build import BUILDERS
from bridge.network import make_layer
from bridge.network.sizes import SIZE_RULES
from bridge.readers.mat.networks import contents
from bridge.readers.onnx.properties import READS
from bridge.tables.layers import LayerRow, layer_mappings, parse_row, table
from bridge.writers.onnx.layers import WRITES
from fixtures.layers import UNSEEN
from tests.real import REAL, needs_real

ROWS = tuple(layer_mappings())
# Files whose networks are compared, in tests/test_real.py, with what MATLAB computed or exported itself: every .onnx
# (by onnxruntime), the .mat of the same networks, and those beside which MATLAB stored what they gave.
COMPARED = (
    "object_recognition_R2019a",
    "traffic_light_R2020b",
    "segnet_R2020b",
    "recycling_R2024b",
    "fault_lstm_R2020a",
    "cnn_with_image_and_score",
    "shallow_network_with_outputs",
)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_names_what_exists(row: LayerRow) -> None:
    assert row.build in BUILDERS and row.size in SIZE_RULES
    assert row.reads is None or row.reads in READS
    assert row.writes is None or row.writes in WRITES
    families = (nn, activation, attention, normalization, recurrent, regions, shape)
    torch_has = row.torch == "MaxUnpooling" or any(hasattr(family, row.torch or "") for family in families)
    assert row.is_output or torch_has or row.refused
    assert row.ports is None or row.ports in row.properties
    assert row.is_output == (not row.outputs)
    assert row.build == "module" or not any(each.torch for each in row.properties.values())  # which nothing else reads
    layer = make_layer(row, "layer", {})
    assert bool(layer.inputs) == (not row.name.endswith("InputLayer"))


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_a_row_has_one_place_for_each_thing(row: LayerRow) -> None:
    tensors = Counter(name for each in row.learnables.values() for name in each.torch)
    tensors.update(each.torch for each in row.state.values())
    assert not [name for name, count in tensors.items() if count > 1]
    factors = Counter(name for each in row.learnables.values() for name in (each.learn_rate, each.l2))
    assert not [name for name, count in factors.items() if count > 1]
    assert all(
        each.learn_rate.endswith("LearnRateFactor") and each.l2.endswith("L2Factor") for each in row.learnables.values()
    )


def test_a_table_is_parsed_once() -> None:
    """Solvers and writers ask for one with every option and layer."""
    assert table("solvers") is table("solvers")


def test_a_bias_does_not_decay() -> None:
    """MATLAB's defaults: every learn-rate factor is 1, every L2 factor too, but 0 for what is called Bias."""
    for row in ROWS:
        for name, each in row.learnables.items():
            assert each.defaults == (1.0, 0.0 if name.endswith("Bias") else 1.0), f"{row.name}.{name}"


def test_a_class_or_constructor_means_one_row() -> None:
    assert not [name for name, count in Counter(name for row in ROWS for name in row.matlab).items() if count > 1]
    assert not [
        name for name, count in Counter(row.constructor for row in ROWS if row.constructor).items() if count > 1
    ]
    for row in ROWS:
        assert all(layer_mappings().by_class(name) is row for name in (*row.matlab, row.name))


def kinds(path: Path) -> set[str]:
    names = contents(path).networks if path.suffix == ".mat" else (None,)
    return {layer.kind for name in names for layer in bridge.load(path, variable=name).layers}


@needs_real
def test_proven_is_what_was_compared_with_matlab() -> None:
    files = [*REAL.glob("onnx/*.onnx"), *(REAL / "mat" / f"{name}.mat" for name in COMPARED)]
    compared = {kind for path in files for kind in kinds(path) if not kind.startswith("onnx:")}  # nodes, no layers
    assert {row.name for row in ROWS if row.evidence == "proven"} == compared


def test_unseen_is_what_no_file_has_shown() -> None:
    """Oracle: the list that the makers of files keep, and the classes that have no maker."""
    expected = {row.name for row in ROWS if set(row.matlab) & UNSEEN} - {"SoftplusLayer"}  # rl.layer's was seen
    nowhere = {
        "TverskyPixelClassificationLayer",
        "ChannelShuffleLayer",
        "XceptionPreprocessingLayer",
        "ZeroPadding2DLayer",
        "ScalingFactorLayer",
        "TransferFunctionLayer",
        "RPNSoftmaxLayer",
        "RegionProposalLayer",
        "ROIInputLayer",
        "ROIAlignLayer",
    }
    found = {row.name for row in ROWS if row.evidence == "unseen" and not row.refused}
    assert found == expected | nowhere, (
        "a class without a file needs a maker in fixtures/layers.py, and a place in UNSEEN there"
    )


# The functions of MathWorks' "List of Deep Learning Layers" and of its pages of built-in layers, up to R2026a.
LISTED = """
imageInputLayer image3dInputLayer sequenceInputLayer featureInputLayer inputLayer pointCloudInputLayer roiInputLayer
convolution1dLayer convolution2dLayer convolution3dLayer groupedConvolution2dLayer transposedConv1dLayer transposedConv2dLayer
transposedConv3dLayer fullyConnectedLayer lstmLayer lstmProjectedLayer bilstmLayer gruLayer gruProjectedLayer
sequenceFoldingLayer sequenceUnfoldingLayer flattenLayer wordEmbeddingLayer selfAttentionLayer attentionLayer
positionEmbeddingLayer sinusoidalPositionEncodingLayer embeddingConcatenationLayer indexing1dLayer patchEmbeddingLayer
neuralODELayer reluLayer leakyReluLayer preluLayer clippedReluLayer eluLayer geluLayer tanhLayer swishLayer softplusLayer
sigmoidLayer softmaxLayer functionLayer complexReluLayer zreluLayer complexToRealLayer realToComplexLayer
batchNormalizationLayer groupNormalizationLayer instanceNormalizationLayer layerNormalizationLayer
crossChannelNormalizationLayer dropoutLayer spatialDropoutLayer identityLayer reshapeLayer permuteLayer crop2dLayer crop3dLayer
scalingLayer quadraticLayer stftLayer istftLayer cwtLayer icwtLayer modwtLayer resize2dLayer resize3dLayer
averagePooling1dLayer averagePooling2dLayer averagePooling3dLayer adaptiveAveragePooling2dLayer globalAveragePooling1dLayer
globalAveragePooling2dLayer globalAveragePooling3dLayer globalMaxPooling1dLayer globalMaxPooling2dLayer
globalMaxPooling3dLayer maxPooling1dLayer maxPooling2dLayer maxPooling3dLayer maxUnpooling2dLayer additionLayer
multiplicationLayer depthConcatenationLayer concatenationLayer spaceToDepthLayer depthToSpace2dLayer yolov2TransformLayer
yolov2OutputLayer regionProposalLayer roiMaxPooling2dLayer roiAlignLayer rpnSoftmaxLayer rpnClassificationLayer
rcnnBoxRegressionLayer anchorBoxLayer ssdMergeLayer focalLossLayer classificationLayer regressionLayer
pixelClassificationLayer dicePixelClassificationLayer
"""


def test_every_layer_that_mathworks_lists_has_a_row() -> None:
    """A row that computes it, or one that says why it is only shown."""
    made = {row.constructor.lower() for row in ROWS} | {row.name.lower() for row in ROWS if row.refused}
    assert [name for name in LISTED.split() if name.lower() not in made] == []


def test_what_is_only_shown_says_why() -> None:
    """Oracle: the page of layers."""
    page = (Path(__file__).parents[2] / "docs" / "mapping.md").read_text(encoding="utf-8")
    for row in ROWS:
        if row.refused:
            assert not (row.constructor or row.onnx or row.learnables) and row.refused in page


MALFORMED: dict[str, dict[str, Any]] = {
    "unknown entry": {"matlab": "my.Layer", "constructor": "mine", "colour": "red"},
    "no class": {"constructor": "mine"},
    "evidence": {"matlab": "my.Layer", "constructor": "mine", "evidence": "sure"},
    "learnable without axes": {"matlab": "my.Layer", "constructor": "mine", "learnables": {"W": {"torch": "w"}}},
    "learnable without name": {"matlab": "my.Layer", "constructor": "mine", "learnables": {"W": {}}},
    "factor that is no number": {
        "matlab": "my.Layer",
        "constructor": "mine",
        "learnables": {
            "W": {
                "torch": "w",
                "matlab_axes": "a",
                "torch_axes": "a",
                "learn_rate": "x",
                "l2": "y",
                "defaults": {"l2": "none"},
            }
        },
    },
    "unknown entry of a property": {
        "matlab": "my.Layer",
        "constructor": "mine",
        "properties": {"Size": {"default": 1, "unit": "px"}},
    },
    "property that is no table": {"matlab": "my.Layer", "constructor": "mine", "properties": {"Size": 3}},
    "state that is no table": {"matlab": "my.Layer", "constructor": "mine", "state": {"Mean": "mean"}},
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_malformed_row_is_told(name: str) -> None:
    with pytest.raises(UsageError, match=r"\[MyLayer\] of mine\.toml") as caught:
        parse_row("MyLayer", MALFORMED[name], "mine.toml")
    assert caught.value.cause and caught.value.hint


OWN = """
[MyScaleLayer]
matlab = "my.pkg.MyScaleLayer"
constructor = "myScaleLayer"
torch = "(yours)"
build = "unknown"
[MyScaleLayer.learnables.Factor]
torch = "factor"
matlab_axes = "c"
torch_axes = "c"
learn_rate = "FactorLearnRateFactor"
l2 = "FactorL2Factor"
"""


def test_a_users_table_extends_a_copy(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(OWN, encoding="utf-8")
    extended = layer_mappings().extended(path)
    row = extended.by_class("my.pkg.MyScaleLayer")
    assert row is not None and row.learnables["Factor"].defaults == (1.0, 1.0)
    assert extended.by_class("nnet.cnn.layer.ReLULayer") is layer_mappings().by_class("ReLULayer")
    assert layer_mappings().by_class("my.pkg.MyScaleLayer") is None
    with pytest.raises(UsageError, match="MyScaleLayer again"):
        extended.extended(path)


@pytest.mark.parametrize("content", [b"[Broken", b"\xff\xfe", None], ids=["toml", "utf-8", "missing"])
def test_an_unreadable_table_is_told(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match="cannot read the mapping table"):
        layer_mappings().extended(path)


def test_operators_find_their_rows_in_the_order_of_the_tables() -> None:
    tables = layer_mappings()
    for operator in {operator for row in ROWS for operator in row.onnx}:
        assert tables.by_operator(operator) == tuple(row for row in ROWS if operator in row.onnx)
    assert tables.by_operator("NoSuchOperator") == ()
