"""bridgeRebuild.m, run by GNU Octave on files of the writer.

Octave has no Deep Learning Toolbox: `rebuilding/` holds functions of the documented names that keep what they are called with.
What they kept is compared with the documentation's calls, written down here by hand, and with the arrays of the fixtures.
"""

from __future__ import annotations

import inspect
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

import bridge
from bridge.network import Connection, LayerList, Network, make_layer
from bridge.tables.layers import unknown_row
from fixtures import layers as L
from fixtures import mat, networks
from fixtures.layers import Layer, Net, Param
from fixtures.objects import row
from tests.modules.cases import saved, with_states
from tests.readers.test_structs import struct_of

HERE = Path(__file__).parent
FUNCTIONS = HERE.parents[1] / "bridge" / "matlab"
CLASSES = ["b", "a", "ü"]

rng = np.random.default_rng(5)


def statistics(kind: str, *shape: int) -> dict[str, Any]:
    return L.input_statistics(rng, kind, shape)


# One call for each thing a constructor can be asked for, as MathWorks documents it: the layer, the function, its arguments by position,
# and those by name but for arrays and factors.
Call = tuple[Layer, str, list[Any], dict[str, Any]]
NORMALIZED = {"Normalization": "zerocenter", "NormalizationDimension": "auto"}
NOT_NORMALIZED = {"Normalization": "none", "NormalizationDimension": "auto"}
CONV = {"NumChannels": 3, "Stride": [2, 1], "DilationFactor": [1, 2], "Padding": [0, 1, 2, 3]}
RECURRENT = {"OutputMode": "sequence", "StateActivationFunction": "tanh", "GateActivationFunction": "sigmoid"}
RESIZE = {"GeometricTransformMode": "half-pixel", "NearestRoundingMode": "round"}
CALLS: dict[str, Call] = {
    "image": (L.imageInputLayer((8, 6, 3), "", "zerocenter", **statistics("zerocenter", 1, 1, 3)), "imageInputLayer", [[8, 6, 3]], NORMALIZED),
    "image_none": (L.imageInputLayer((8, 6, 3), "", "none"), "imageInputLayer", [[8, 6, 3]], NOT_NORMALIZED),
    "image_rescale": (
        L.imageInputLayer((8, 6, 3), "", "rescale-symmetric", **statistics("rescale-symmetric", 8, 6, 3)),
        "imageInputLayer", [[8, 6, 3]], {"Normalization": "rescale-symmetric", "NormalizationDimension": "auto"},
    ),
    "volume": (L.image3dInputLayer((5, 4, 3, 2), "", "none"), "image3dInputLayer", [[5, 4, 3, 2]], NOT_NORMALIZED),
    "sequence": (L.sequenceInputLayer(4, "", "zscore", **statistics("zscore", 4, 1)), "sequenceInputLayer", [4], NORMALIZED | {"Normalization": "zscore"}),
    "sequence_long": (saved(L.sequenceInputLayer((8, 3), ""), MinLength=5.0), "sequenceInputLayer", [[8, 3]], NOT_NORMALIZED | {"MinLength": 5}),
    "features": (L.featureInputLayer(5, ""), "featureInputLayer", [5], NOT_NORMALIZED),
    "conv2d": (L.convolution2dLayer(rng, "", (3, 2), 3, 4, stride=(2, 1), dilation=(1, 2), padding=(0, 1, 2, 3)), "convolution2dLayer", [[3, 2], 4], CONV),
    "conv2d_same": (
        L.convolution2dLayer(rng, "", (3, 3), 3, 1, padding="same", weight_factor=0.0, bias_factor=10.0),
        "convolution2dLayer", [[3, 3], 1], {"NumChannels": 3, "Stride": [1, 1], "DilationFactor": [1, 1], "Padding": "same"},
    ),
    "conv2d_value": (saved(L.convolution2dLayer(rng, "", (3, 2), 3, 4, stride=(2, 1), dilation=(1, 2), padding=(0, 1, 2, 3)), PaddingValue="replicate"),
                     "convolution2dLayer", [[3, 2], 4], CONV | {"PaddingValue": "replicate"}),
    "conv1d": (L.convolution1dLayer(rng, "", 3, 4, 6, stride=2, padding=(1, 0)), "convolution1dLayer", [3, 6],
               {"NumChannels": 4, "Stride": 2, "DilationFactor": 1, "Padding": [1, 0]}),
    "conv1d_causal": (saved(L.convolution1dLayer(rng, "", 3, 4, 6), PaddingMode="causal"), "convolution1dLayer", [3, 6],
                      {"NumChannels": 4, "Stride": 1, "DilationFactor": 1, "Padding": "causal"}),
    "conv3d": (L.convolution3dLayer(rng, "", (3, 2, 1), 2, 4, padding=((1, 0, 2), (1, 1, 0))), "convolution3dLayer", [[3, 2, 1], 4],
               {"NumChannels": 2, "Stride": [1, 1, 1], "DilationFactor": [1, 1, 1], "Padding": [[1, 0, 2], [1, 1, 0]]}),
    "grouped": (L.groupedConvolution2dLayer(rng, "", (3, 3), 2, 4, 3, padding="same"), "groupedConvolution2dLayer", [[3, 3], 4, 3],
                {"Stride": [1, 1], "DilationFactor": [1, 1], "Padding": "same"}),
    "transposed2d": (L.transposedConv2dLayer(rng, "", (4, 3), 4, 3, stride=(2, 1), cropping=(1, 1, 0, 0)), "transposedConv2dLayer", [[4, 3], 3],
                     {"NumChannels": 4, "Stride": [2, 1], "Cropping": [1, 1, 0, 0]}),
    "transposed3d": (L.transposedConv3dLayer(rng, "", (2, 3, 2), 2, 3, stride=(2, 2, 1), cropping="same"), "transposedConv3dLayer", [[2, 3, 2], 3],
                     {"NumChannels": 2, "Stride": [2, 2, 1], "Cropping": "same"}),
    "fc_image": (L.fullyConnectedLayer(rng, "", (6, 5, 4), 5), "fullyConnectedLayer", [5], {}),
    "fc": (L.with_factors(L.fullyConnectedLayer(rng, "", 4, 2), Weights=(20.0, 0.5), Bias=(20.0, 1.0)), "fullyConnectedLayer", [2], {}),
    "batchnorm": (L.batchNormalizationLayer(rng, "", 4, epsilon=1e-3), "batchNormalizationLayer", [], {"Epsilon": 1e-3}),
    "batchnorm_moving": (saved(L.batchNormalizationLayer(rng, "", 4, channel_dim=1, moving=True), MeanDecay=0.2), "batchNormalizationLayer", [],
                         {"Epsilon": 1e-5, "MeanDecay": 0.2}),
    "layernorm": (L.layerNormalizationLayer(rng, "", 4), "layerNormalizationLayer", [], {"Epsilon": 1e-5}),
    "layernorm_channels": (L.layerNormalizationLayer(rng, "", 4, operation="channel-only"), "layerNormalizationLayer", [],
                           {"Epsilon": 1e-5, "OperationDimension": "channel-only"}),
    "instancenorm": (L.instanceNormalizationLayer(rng, "", 4), "instanceNormalizationLayer", [], {"Epsilon": 1e-5}),
    "groupnorm": (L.groupNormalizationLayer(rng, "", 4, 2), "groupNormalizationLayer", [2], {"Epsilon": 1e-5}),
    "groupnorm_all": (saved(L.groupNormalizationLayer(rng, "", 4, 1), NumGroups="all-channels"), "groupNormalizationLayer", ["all-channels"],
                      {"Epsilon": 1e-5}),
    "cross_channel": (L.crossChannelNormalizationLayer("", 5, k=1.0), "crossChannelNormalizationLayer", [5], {"Alpha": 1e-4, "Beta": 0.75, "K": 1}),
    "lstm": (with_states(L.with_factors(L.lstmLayer(rng, "", 3, 4, last=True), InputWeights=(row(1, 2, 0, 0.5), 1.0)), rng), "lstmLayer", [4],
             RECURRENT | {"OutputMode": "last"}),
    "bilstm": (L.bilstmLayer(rng, "", 3, 4), "bilstmLayer", [4], RECURRENT),
    "gru": (L.gruLayer(rng, "", 3, 4, reset_gate="before-multiplication"), "gruLayer", [4], RECURRENT | {"ResetGateMode": "before-multiplication"}),
    "lstm_projected": (L.lstmProjectedLayer(rng, "", 3, 4, 2, 3), "lstmProjectedLayer", [4, 3, 2], RECURRENT),
    "attention": (L.with_factors(L.selfAttentionLayer(rng, "", 6, 2, 4, mask="causal"), QueryWeights=(3.0, 0.5)), "selfAttentionLayer", [2, 4],
                  {"NumValueChannels": 4, "OutputSize": 6, "AttentionMask": "causal", "DropoutProbability": 0, "HasPaddingMaskInput": False,
                   "HasScoresOutput": False}),
    "gru_projected": (L.gruProjectedLayer(rng, "", 3, 4, 2, 3), "gruProjectedLayer", [4, 3, 2],
                      RECURRENT | {"ResetGateMode": "after-multiplication"}),
    "transposed1d": (L.transposedConv1dLayer(rng, "", 3, 2, 4, stride=2, cropping=(1, 0)), "transposedConv1dLayer", [3, 4],
                     {"NumChannels": 2, "Stride": 2, "Cropping": [1, 0]}),
    "dot_attention": (L.attentionLayer("", 2), "attentionLayer", [2],
                      {"Scale": "auto", "AttentionMask": "none", "DropoutProbability": 0, "HasPaddingMaskInput": False, "HasScoresOutput": False}),
    "sinusoids": (L.sinusoidalPositionEncodingLayer("", 6), "sinusoidalPositionEncodingLayer", [6], {"Positions": "auto"}),
    "words": (L.wordEmbeddingLayer(rng, "", 4, 7), "wordEmbeddingLayer", [4, 7], {}),
    "positions": (L.positionEmbeddingLayer(rng, "", 6, 9), "positionEmbeddingLayer", [6, 9], {}),
    "max1d": (L.maxPooling1dLayer("", 2, stride=2, padding=(0, 1)), "maxPooling1dLayer", [2], {"Stride": 2, "Padding": [0, 1]}),
    "max2d": (L.maxPooling2dLayer("", (2, 3), stride=(2, 2), unpooling=True), "maxPooling2dLayer", [[2, 3]],
              {"Stride": [2, 2], "Padding": [0, 0, 0, 0], "HasUnpoolingOutputs": True}),
    "max3d": (L.maxPooling3dLayer("", (2, 2, 2), padding=((1, 0, 1), (0, 0, 1))), "maxPooling3dLayer", [[2, 2, 2]],
              {"Stride": [1, 1, 1], "Padding": [[1, 0, 1], [0, 0, 1]]}),
    "average1d": (L.averagePooling1dLayer("", 3, padding="same"), "averagePooling1dLayer", [3], {"Stride": 1, "Padding": "same"}),
    "average2d": (L.averagePooling2dLayer("", (2, 2), padding_value="mean"), "averagePooling2dLayer", [[2, 2]],
                  {"Stride": [1, 1], "Padding": [0, 0, 0, 0], "PaddingValue": "mean"}),
    "average3d": (L.averagePooling3dLayer("", (2, 2, 2)), "averagePooling3dLayer", [[2, 2, 2]], {"Stride": [1, 1, 1], "Padding": [[0, 0, 0], [0, 0, 0]]}),
    **{f"global_max{n}d": (getattr(L, f"globalMaxPooling{n}dLayer")(""), f"globalMaxPooling{n}dLayer", [], {}) for n in (1, 2, 3)},
    **{f"global_average{n}d": (getattr(L, f"globalAveragePooling{n}dLayer")(""), f"globalAveragePooling{n}dLayer", [], {}) for n in (1, 2, 3)},
    "unpooling": (L.maxUnpooling2dLayer(""), "maxUnpooling2dLayer", [], {}),
    "relu": (L.reluLayer(""), "reluLayer", [], {}),
    "leaky_relu": (L.leakyReluLayer("", 0.1), "leakyReluLayer", [0.1], {}),
    "clipped_relu": (L.clippedReluLayer("", 6), "clippedReluLayer", [6], {}),
    "prelu": (L.preluLayer(rng, "", 4), "preluLayer", [], {}),
    "elu": (L.eluLayer("", 0.7), "eluLayer", [0.7], {}),
    "gelu": (L.geluLayer("", "tanh"), "geluLayer", [], {"Approximation": "tanh"}),
    "swish": (L.swishLayer(""), "swishLayer", [], {}),
    "softplus": (L.softplusLayer(""), "softplusLayer", [], {}),
    "tanh": (L.tanhLayer(""), "tanhLayer", [], {}),
    "sigmoid": (L.sigmoidLayer(""), "sigmoidLayer", [], {}),
    "softmax": (L.softmaxLayer(""), "softmaxLayer", [], {}),
    "addition": (L.additionLayer("", 3), "additionLayer", [3], {}),
    "multiplication": (L.multiplicationLayer("", 2), "multiplicationLayer", [2], {}),
    "concatenation": (L.concatenationLayer("", 3, 2), "concatenationLayer", [3, 2], {}),
    "depth_concatenation": (L.depthConcatenationLayer("", 4), "depthConcatenationLayer", [4], {}),
    "dropout": (L.dropoutLayer("", 0.1), "dropoutLayer", [0.1], {}),
    "spatial_dropout": (L.spatialDropoutLayer("", 0.2), "spatialDropoutLayer", [0.2], {}),
    "flatten": (L.flattenLayer(""), "flattenLayer", [], {}),
    "fold": (L.sequenceFoldingLayer(""), "sequenceFoldingLayer", [], {}),
    "unfold": (L.sequenceUnfoldingLayer(""), "sequenceUnfoldingLayer", [], {}),
    "space_to_depth": (L.spaceToDepthLayer("", (2, 3)), "spaceToDepthLayer", [[2, 3]], {}),
    "depth_to_space": (L.depthToSpace2dLayer("", (2, 2), "crd"), "depthToSpace2dLayer", [[2, 2]], {"Mode": "crd"}),
    "resize2d": (L.resize2dLayer("", scale=(2.0, 0.5)), "resize2dLayer", [], RESIZE | {"Scale": [2, 0.5], "Method": "nearest"}),
    "resize2d_reference": (L.resize2dLayer("", reference=True, method="bilinear"), "resize2dLayer", [],
                           RESIZE | {"EnableReferenceInput": True, "Method": "bilinear"}),
    "resize3d": (L.resize3dLayer("", size=(7, 2, 5)), "resize3dLayer", [], RESIZE | {"OutputSize": [7, 2, 5], "Method": "nearest"}),
    "crop": (L.crop2dLayer(""), "crop2dLayer", ["centercrop"], {}),
    "crop_at": (L.crop2dLayer("", (3, 2)), "crop2dLayer", [[3, 2]], {}),
    "crop_volume_at": (L.crop3dLayer("", (2, 3, 1)), "crop3dLayer", [[2, 3, 1]], {}),
    "scaling": (L.scalingFactorLayer("", 0.5), "scalingFactorLayer", [0.5], {}),
    "rl_scaling": (L.scalingLayer("", 0.5, 2.0), "scalingLayer", [], {"Scale": 0.5, "Bias": 2}),
    "quadratic": (L.quadraticLayer(""), "quadraticLayer", [], {}),
    "indexing": (L.indexing1dLayer("", "last"), "indexing1dLayer", ["last"], {"HasPaddingMaskInput": False}),
    "identity": (L.identityLayer(""), "identityLayer", [], {}),
    "yolo_transform": (L.yolov2TransformLayer("", 3), "yolov2TransformLayer", [3], {}),
    "yolo_output": (L.yolov2OutputLayer("", [(12, 8), (6, 20), (5, 5)], CLASSES), "yolov2OutputLayer", [[[12, 8], [6, 20], [5, 5]]],
                    {"LossFactors": [5, 1, 1, 1], "Classes": CLASSES}),
    "classification": (L.classificationLayer("", CLASSES, weights=(0.5, 1, 2)), "classificationLayer", [],
                       {"Classes": CLASSES, "ClassWeights": [0.5, 1, 2]}),
    "classification_one": (L.classificationLayer("", ["only"]), "classificationLayer", [], {"Classes": ["only"]}),
    "regression": (L.regressionLayer("", ["Response"]), "regressionLayer", [], {"ResponseNames": ["Response"]}),
    "pixels": (L.pixelClassificationLayer("", CLASSES, (6, 5)), "pixelClassificationLayer", [], {"Classes": CLASSES}),
    "dice": (L.dicePixelClassificationLayer("", CLASSES, (6, 5)), "dicePixelClassificationLayer", [], {"Classes": CLASSES}),
    "focal": (L.focalLossLayer("", CLASSES), "focalLossLayer", [], {"Classes": CLASSES, "Alpha": 0.25, "Gamma": 2}),
}  # fmt: skip
STATES = {
    "AverageImage": "Mean",
    "StandardDeviation": "StandardDeviation",
    "Min": "Min",
    "Max": "Max",
}  # in Normalization, and as arguments
FACTOR = {
    "Weights": "Weight",
    "Bias": "Bias",
}  # the stem of the factors' names of layers that have these two; others: the learnable's own name


@dataclass(frozen=True)
class Scenario:
    """A network to write, and how MATLAB behaves when it is rebuilt.

    Attributes:
        network: makes it.
        inputs, outputs: the names that the rebuilt network gives, where it gives any, in its order.
        answers: what predict returns; default: the file's own outputs, with `added` added.
        arguments: of bridgeRebuild, as Octave's text.
        change: of the struct, before it is rebuilt, as MATLAB's source; None takes a field away.
    """

    network: Callable[[], Network]
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    answers: tuple[Any, ...] = ()
    added: float = 0.0
    arguments: str = "{}"
    change: Mapping[str, Any] = field(default_factory=dict)


def read(net: Net) -> Network:
    with tempfile.TemporaryDirectory() as folder:
        mat.write(Path(folder) / "net.mat", {"net": net})
        return bridge.load(Path(folder) / "net.mat")


def all_layers() -> Network:
    return read(Net("Layers", tuple(replace(layer, name=name) for name, (layer, *_) in CALLS.items())))


def fork() -> Network:
    """Two inputs and two outputs, one of which is read inside too; no output layers."""
    layers = (
        L.imageInputLayer((2, 2, 1), "left", "none"), L.imageInputLayer((2, 2, 1), "right", "none"),
        L.additionLayer("add"), L.reluLayer("relu"),
    )  # fmt: skip
    made = read(Net("LayerGraph", layers, (("left", "add/in1"), ("right", "add/in2"), ("add", "relu"))))
    return replace(made, kind="dlnetwork", outputs=("relu", "add"))


def with_two_output_layers() -> Network:
    layers = (
        L.featureInputLayer(3, "in"), L.fullyConnectedLayer(rng, "one", 3, 2), L.fullyConnectedLayer(rng, "two", 3, 4),
        L.regressionLayer("first"), L.regressionLayer("second"),
    )  # fmt: skip
    return read(Net("DAGNetwork", layers, (("in", "one"), ("in", "two"), ("one", "first"), ("two", "second"))))


def mlp() -> Network:
    return read(networks.feature_mlp())


def custom() -> Network:
    base = mlp()
    own = make_layer(unknown_row("my.GateLayer"), "gate", {"Rate": 3})
    function = make_layer(unknown_row("nnet.cnn.layer.FunctionLayer"), "twice", {})
    last = base.layers[-1].name
    wired = (Connection(last, "gate"), Connection("gate", "twice"))
    return replace(
        base,
        layers=LayerList([*base.layers, own, function]),
        connections=(*base.connections, *wired),
        outputs=("twice",),
    )


def untrained() -> Network:
    layers = (
        L.imageInputLayer((8, 8, 1), "in", "none"),
        L.untrained(L.convolution2dLayer(rng, "conv", (3, 3), 1, 4)),
        L.reluLayer("relu"),
    )
    return replace(read(Net("Layers", layers)), kind="dlnetwork")


def attention_without_factors() -> Network:
    network = read(Net("Layers", (replace(CALLS["attention"][0], name="attention"),)))
    (layer,) = network.layers
    return network.with_layers(
        {
            layer.name: replace(
                layer, learnables={name: replace(each, assumed=True) for name, each in layer.learnables.items()}
            )
        }
    )


SCENARIOS: dict[str, Scenario] = {
    "layers": Scenario(all_layers),
    "attention": Scenario(attention_without_factors),
    "series": Scenario(
        lambda: read(networks.chain_cnn()), arguments="{'Save', fullfile(fileparts(file), 'saved.mat')}"
    ),
    "graph": Scenario(lambda: read(networks.segnet())),
    "sequences": Scenario(lambda: read(networks.lstm_classifier())),
    "sequence_to_sequence": Scenario(lambda: read(networks.bilstm_regression())),
    "features": Scenario(mlp, outputs=("layer",), inputs=("input_2",)),
    "fork": Scenario(fork, inputs=("right", "left"), outputs=("relu",)),
    "two_outputs": Scenario(
        with_two_output_layers, inputs=("in",), outputs=("second", "first"), answers=("second", "first")
    ),
    "layer_graph": Scenario(lambda: replace(read(networks.segnet()), kind="LayerGraph")),
    "edited_series": Scenario(lambda: replace(read(networks.residual()), kind="SeriesNetwork")),
    "untrained": Scenario(untrained),
    "different": Scenario(mlp, added=0.01),
    "allowed": Scenario(mlp, added=0.01, arguments="{'tolerance', 0.1}"),
    "other_size": Scenario(mlp, answers=(np.zeros((1, 3), np.float32),)),
    "not_a_number": Scenario(mlp, answers=(np.full((1, 1), np.nan, np.float32),)),
    "custom": Scenario(custom),
    "missing": Scenario(
        lambda: read(Net("Layers", (L.featureInputLayer(2, "in"), L.reluLayer("r")))),
        change={"Constructor": "'notThereLayer'"},
    ),
    "code": Scenario(
        lambda: read(Net("Layers", (L.featureInputLayer(2, "in"), L.reluLayer("r")))),
        change={"Constructor": "'system'"},
    ),
    "no_value": Scenario(
        lambda: read(Net("Layers", (L.featureInputLayer(2, "in"), L.reluLayer("r")))),
        change={"Arguments": "{2, {struct('of', 1)}}"},
    ),
    "of_bridge_export": Scenario(lambda: read(Net("Layers", (L.reluLayer("r"),))), change={"Constructor": None}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where every scenario was written, rebuilt by one run of Octave, and its result saved as <name>.result.mat."""
    octave = shutil.which("octave-cli") or shutil.which("octave")
    if octave is None:
        pytest.skip("GNU Octave is not installed: octave-cli runs bridgeRebuild.m")
    made = tmp_path_factory.mktemp("rebuild")
    for _, constructor, *_ in CALLS.values():
        (made / f"{constructor}.m").write_text(
            f"function layer = {constructor}(varargin)\n    layer = constructed('{constructor}', varargin);\nend\n"
        )
    paths = ",".join(f"'{path}'" for path in (FUNCTIONS, HERE / "rebuilding", made))
    script = [f"addpath({paths});"]
    for name, scenario in SCENARIOS.items():
        script += prepared(made, name, scenario)
    script.append(f"bridge = 'text'; save('{made}/other.mat', 'bridge', '-v7');")
    script += [
        f"rebuilt('{made}/{name}.mat', struct('Outputs', {{{{1}}}}, 'Arguments', {{{{}}}}), '{made}/{name}.result.mat');"
        for name in ("other", "absent")
    ]
    for name in WALKED:
        savemat(made / f"{name}.expected.mat", {"bridge": struct_of(SCENARIOS[name].network())}, long_field_names=True)
        script += [
            f"leaves('{made}/{name}.{kind}mat', '{made}/{name}.{kind}leaves.mat');" for kind in ("", "expected.")
        ]
    (made / "rebuild_all.m").write_text("\n".join(script), encoding="utf-8")
    run = subprocess.run(
        [octave, "--no-gui", "--quiet", "--norc", str(made / "rebuild_all.m")],
        capture_output=True,
        text=True,
        cwd=made,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    return made


def prepared(made: Path, name: str, scenario: Scenario) -> list[str]:
    """Write the file of a scenario and return the lines that rebuild it."""
    network, file = scenario.network(), made / f"{name}.mat"
    bridge.export(network, file, tell=lambda text: None)
    answers = [each if not isinstance(each, str) else outputs_of(file)[each] for each in scenario.answers]
    cell = np.empty((len(answers), 1), object)
    for index, each in enumerate(answers):
        cell[index, 0] = each
    savemat(made / f"{name}.answers.mat", {"answers": cell})
    lines = [f"file = '{file}'; answers = load('{made}/{name}.answers.mat').answers;"]
    for key, value in scenario.change.items():
        changed = (
            f"bridge.Layers{{1}} = rmfield(bridge.Layers{{1}}, '{key}');"
            if value is None
            else f"bridge.Layers{{1}}.{key} = {value};"
        )
        lines.append(f"load(file); {changed} save(file, 'bridge', '-v7');")
    inputs, outputs = (
        "{{" + ", ".join(f"'{each}'" for each in given) + "}}" for given in (scenario.inputs, scenario.outputs)
    )
    facts = f"'InputNames', {inputs}, 'OutputNames', {outputs}, 'Outputs', {{answers}}, 'Added', {scenario.added}"
    return [
        *lines,
        f"rebuilt(file, struct({facts}, 'Arguments', {{{scenario.arguments}}}), '{made}/{name}.result.mat');",
    ]


def outputs_of(file: Path) -> dict[str, Any]:
    """The outputs that a file holds, as rows, by the name that MATLAB gives them."""
    struct = loadmat(file, struct_as_record=False)["bridge"][0, 0]
    return {str(each[0, 0].Name[0]): each[0, 0].Value.reshape(1, -1) for each in struct.TestOutput.ravel()}


@dataclass(frozen=True)
class Result:
    """What bridgeRebuild has done."""

    error: str
    warning: str
    net: Any
    classes: list[str]
    called: list[Any]


def result(folder: Path, name: str) -> Result:
    held = loadmat(folder / f"{name}.result.mat", struct_as_record=False)
    return Result(
        text(held["Error"]),
        text(held["Warning"]),
        held["Net"],
        [text(each) for each in held["Classes"].ravel()],
        list(held["Called"].ravel()),
    )


def text(value: Any) -> str:
    return str(value.ravel()[0]) if value.size else ""


def plain(value: Any) -> Any:
    """A value of Octave's as Python has it: text, list of texts, logical, number, list, list of rows."""
    if value.dtype.kind == "U":
        return text(value)
    if value.dtype == object:
        return [plain(each) for each in value.ravel()]
    if value.size == 1:
        return value.item()
    return value.ravel().tolist() if value.shape[0] == 1 else value.tolist()


@dataclass(frozen=True)
class Made:
    """One recorded call of a constructor."""

    constructor: str
    arguments: list[Any]
    factors: dict[tuple[str, str], Any]

    def named(self, count: int) -> dict[str, Any]:
        """The arguments behind the first `count`, by name, each given once."""
        rest = self.arguments[count:]
        names = [text(each) for each in rest[::2]]
        assert len(rest) % 2 == 0 and len(set(names)) == len(names)
        return dict(zip(names, rest[1::2], strict=True))


def layers_of(net: Any) -> list[Made]:
    """The recorded layers of an array, or of the cell of a graph."""
    found = []
    for each in net.ravel():
        layer = each[0, 0] if isinstance(each, np.ndarray) else each
        calls = {(text(a), text(b)): plain(value) for a, b, value in layer.Factors} if layer.Factors.size else {}
        found.append(Made(text(layer.Constructor), list(layer.Arguments.ravel()), calls))
    return found


# Layers


def test_every_maker_of_a_layer_is_rebuilt() -> None:
    makers = {
        name
        for name, _ in inspect.getmembers(L, inspect.isfunction)
        if name.endswith("Layer") and not name.startswith("_")
    }
    assert {constructor for _, constructor, *_ in CALLS.values()} == makers - {
        "functionLayer",
        "networkLayer",
        "tverskyPixelClassificationLayer",
    }


@pytest.fixture(scope="module")
def layers(folder: Path) -> dict[str, Made]:
    found = result(folder, "layers")
    assert not found.error
    return dict(zip(CALLS, layers_of(found.net[0, 0].Layers), strict=True))


@pytest.mark.parametrize("name", CALLS)
def test_a_layer_is_made_by_its_documented_call(layers: dict[str, Made], name: str) -> None:
    """Oracles: the table above, and the fixture's own arrays and factors."""
    layer, constructor, positional, named = CALLS[name]
    made = layers[name]
    given = made.named(len(positional))
    assert made.constructor == constructor
    assert [plain(each) for each in made.arguments[: len(positional)]] == positional
    assert text(given.pop("Name")) == name
    for key, array in arrays_of(layer).items():
        np.testing.assert_array_equal(given.pop(key), mat.trimmed(array), strict=True)
    factors = {key: plain(given.pop(key)) for key in list(given) if key.endswith(("LearnRateFactor", "L2Factor"))}
    assert {key: plain(value) for key, value in given.items()} == {key: value for key, value in named.items()}
    if name == "attention":
        assert not factors and made.factors == {
            (f"set{kind}Factor", key): value
            for key, param in layer.params.items()
            for kind, value in (("LearnRate", param.learn_rate), ("L2", param.l2))
        }
    elif layer.saveobj:
        assert factors == expected_factors(layer) and not made.factors


def test_factors_that_no_file_held_are_matlabs_defaults(layers: dict[str, Made], folder: Path) -> None:
    """Where no file says what the factors are, none is passed or set: the constructor knows them."""
    assert not any(key.endswith("Factor") for key in layers["prelu"].named(0))
    (made,) = layers_of(result(folder, "attention").net)
    assert made.constructor == "selfAttentionLayer" and not made.factors


def arrays_of(layer: Layer) -> dict[str, Any]:
    """Learnables, statistics and states as the constructor takes them."""
    found = {name: matlabs(layer, name, param) for name, param in layer.params.items()}
    found |= {name: layer.saved[name] for name in ("TrainedMean", "TrainedVariance") if name in layer.saved}
    found |= {name: layer.saved[name]["Value"] for name in ("CellState", "HiddenState") if name in layer.saved}
    normalization = layer.saved.get("Normalization")
    held = normalization if isinstance(normalization, dict) else {}
    return found | {argument: held[name] for name, argument in STATES.items() if name in held and held[name].size}


def matlabs(layer: Layer, name: str, param: Param) -> Any:
    """A fully connected layer shows Weights as Out x (H W C), H fastest, whatever dimensions it saves."""
    if "FullyConnected" not in layer.cls:
        return param.value
    count = int(layer.saved["OutputSize"].ravel()[-1])
    return param.value.reshape(-1, count, order="F").T if param.value.ndim > 2 else param.value.reshape(count, -1)


def expected_factors(layer: Layer) -> dict[str, Any]:
    stems = FACTOR if set(layer.params) <= set(FACTOR) else {}
    return {
        f"{stems.get(name, name)}{kind}Factor": value.ravel().tolist() if isinstance(value, np.ndarray) else value
        for name, param in layer.params.items()
        for kind, value in (("LearnRate", param.learn_rate), ("L2", param.l2))
    }


# Networks


def ends(graph: Any) -> list[list[str]]:
    return [[text(a), text(b)] for a, b in graph.Connections]


def test_a_chain_becomes_a_series_network(folder: Path) -> None:
    found = result(folder, "series")
    net = found.net[0, 0]
    assert (found.error, found.warning, text(net.Made)) == ("", "", "assembleNetwork")
    assert [made.constructor for made in layers_of(net.From)][:3] == [
        "imageInputLayer",
        "convolution2dLayer",
        "batchNormalizationLayer",
    ]
    assert len(layers_of(net.From)) == 19 and found.classes == ["0", "1", "2", "3", "4"]


def test_a_graph_keeps_its_ports(folder: Path) -> None:
    found = result(folder, "graph")
    net = found.net[0, 0]
    graph = net.From[0, 0]
    assert found.error == "" and text(net.Made) == "assembleNetwork" and len(layers_of(graph.Layers)) == 19
    assert ends(graph) == [list(pair) for pair in networks.segnet().connections or ()]


def test_a_network_without_output_layers_becomes_a_dlnetwork(folder: Path) -> None:
    found = result(folder, "features")
    net = found.net[0, 0]
    assert (found.error, text(net.Made), net.Arguments.size, found.classes) == ("", "dlnetwork", 0, [])
    assert ends(net.From[0, 0])[0] == ["input_2", "fc_"]


def test_outputs_that_are_read_inside_are_named(folder: Path) -> None:
    """dlnetwork takes layers that nothing reads as outputs, unless OutputNames says otherwise."""
    found = result(folder, "fork")
    net = found.net[0, 0]
    assert found.error == ""
    assert [text(net.Arguments.ravel()[0]), plain(net.Arguments.ravel()[1])] == ["OutputNames", ["relu", "add"]]


@pytest.mark.parametrize("name", ["layers", "layer_graph", "untrained"])
def test_what_cannot_run_comes_back_unassembled(folder: Path, name: str) -> None:
    found = result(folder, name)
    assert (found.error, found.warning, found.called) == ("", "bridge:untested", [])
    assert not hasattr(found.net.ravel()[0], "Made")


def test_a_network_that_is_no_chain_is_connected_whatever_its_kind(folder: Path) -> None:
    found = result(folder, "edited_series")
    assert found.error == "" and len(ends(found.net[0, 0].From[0, 0])) == len(networks.residual().connections or ())


# Test input and output


CALLED: dict[str, Callable[[list[Any]], Any]] = {
    "series": lambda called: called[0].shape == (50, 20, 3),
    "graph": lambda called: called[0].shape == (16, 24, 3),
    "sequences": lambda called: called[0].shape == (1, 1) and called[0][0, 0].shape == (4, 7),
    "two_outputs": lambda called: called[0].shape == (1, 3),
}


@pytest.mark.parametrize("name", CALLED)
def test_predict_gets_the_test_input_as_it_takes_it(folder: Path, name: str) -> None:
    """Images H x W x C, features in a row, sequences C x T in a cell; on the CPU."""
    called = result(folder, name).called
    assert CALLED[name](called) and [text(each) for each in called[1:]] == ["ExecutionEnvironment", "cpu"]


def test_a_dlnetwork_gets_formatted_arrays_in_its_own_order(folder: Path) -> None:
    called = result(folder, "fork").called
    given = {
        text(each[0, 0].Name): each[0, 0]
        for each in loadmat(folder / "fork.mat", struct_as_record=False)["bridge"][0, 0].TestInput.ravel()
    }
    for found, name in zip(called, ("right", "left"), strict=False):
        np.testing.assert_array_equal(found[0, 0].Data, given[name].Value)
        assert text(found[0, 0].Format) == "SSCB"
    assert [plain(each) for each in called[2:]] == ["Outputs", ["relu", "add"]]


@pytest.mark.parametrize(
    "name", ["series", "graph", "sequences", "sequence_to_sequence", "features", "fork", "two_outputs", "allowed"]
)
def test_equal_outputs_are_accepted(folder: Path, name: str) -> None:
    found = result(folder, name)
    assert (found.error, found.warning) == ("", "")


@pytest.mark.parametrize(
    ("name", "part"),
    [("different", "a difference of 0.01"), ("other_size", "3 values instead of 1"), ("not_a_number", "NaN")],
)
def test_other_outputs_are_an_error(folder: Path, name: str, part: str) -> None:
    error = result(folder, name).error
    assert error.startswith("bridge:difference\nerror: output layer is not what PyTorch computed") and part in error


@pytest.mark.parametrize("name", ["series", "graph", "sequences", "sequence_to_sequence", "two_outputs"])
def test_the_output_in_the_file_is_that_of_the_module(folder: Path, name: str) -> None:
    """Oracle: the torch module of the network read back, on the input in the file."""
    file = folder / f"{name}.mat"
    network = bridge.load(file)
    struct = loadmat(file, struct_as_record=False)["bridge"][0, 0]
    (given,) = struct.TestInput.ravel()
    with torch.no_grad():
        found = network.to_torch()(torch.from_numpy(torch_layout(given[0, 0])))
    for output, kept in zip(found if isinstance(found, tuple) else (found,), struct.TestOutput.ravel(), strict=True):
        np.testing.assert_array_equal(torch_layout(kept[0, 0]).reshape(output.shape), output.numpy())


def torch_layout(sample: Any) -> Any:
    """The value of a sample as N,C,H,W, N,C or N,T,C."""
    form = text(sample.Format)
    value = sample.Value.reshape(sample.Value.shape + (1,) * (len(form) - sample.Value.ndim))
    order = [form.index(letter) for letter in "BTC" if letter in form] + [
        index for index, letter in enumerate(form) if letter == "S"
    ]
    return np.ascontiguousarray(value.transpose(order))


# Saving, refusals


def test_the_network_is_saved_alone(folder: Path) -> None:
    """coder.loadDeepLearningNetwork wants a file with one variable."""
    held = {name for name in loadmat(folder / "saved.mat") if not name.startswith("__")}
    assert held == {"net"}


REFUSALS = {
    "custom": ("unsupported", "gate (my.GateLayer), twice (nnet.cnn.layer.FunctionLayer)"),
    "missing": ("unsupported", "in (notThereLayer)"),
    "code": ("unsupported", "in (nnet.cnn.layer.FeatureInputLayer)"),
    "no_value": ("unsupported", "no plain values: in (nnet.cnn.layer.FeatureInputLayer)"),
    "of_bridge_export": ("unsupported", "bridgeExport"),
    "other": ("unreadable", "its variable 'bridge' is missing or another one"),
    "absent": ("usage", "there is no file"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_rebuilt_is_refused_by_name(folder: Path, name: str) -> None:
    kind, part = REFUSALS[name]
    identifier, *lines = result(folder, name).error.split("\n")
    assert identifier == f"bridge:{kind}" and part in "\n".join(lines)
    assert [line.partition(":")[0] for line in lines] == ["error", "cause", "hint"]


# The file, as Octave loads it


WALKED = ("graph", "sequences", "features", "series")
ADDED = {"RenamedLayers", "TestInput", "TestOutput", "Tolerance"}
ADDED_TO_LAYERS = {"Constructor", "Arguments", "SetsFactors"}


def leaves(path: Path) -> dict[str, tuple[str, list[int], Any]]:
    held = loadmat(path)
    rows = zip(*(held[name].ravel() for name in ("paths", "classes", "sizes", "values")), strict=True)
    return {text(path): (text(kind), size.ravel().tolist(), value) for path, kind, size, value in rows}


@pytest.mark.parametrize("name", WALKED)
def test_octave_loads_every_field_of_the_documented_layout(folder: Path, name: str) -> None:
    """Oracle: the same network written by scipy, by a maker of the layout in the tests of the reader."""
    found, expected = leaves(folder / f"{name}.leaves.mat"), leaves(folder / f"{name}.expected.leaves.mat")
    for path, (kind, size, value) in expected.items():
        if path in ("bridge.Release", "bridge.Toolbox"):  # those of the file it came from
            continue
        assert found[path][0] == kind, path
        assert found[path][1] == size or (0 in size and 0 in found[path][1]), path
        np.testing.assert_array_equal(found[path][2], value, err_msg=path, strict=bool(value.size))
    new = {re.sub(r"\{\d+\}", "", path).split(".")[1] for path in found.keys() - expected.keys()} - {"Layers"}
    new_in_layers = {
        part[2]
        for part in (path.split(".") for path in found.keys() - expected.keys())
        if part[1].startswith("Layers") and len(part) > 2
    }
    assert new == ADDED and {part.partition("{")[0] for part in new_in_layers} - {"Learnables"} == ADDED_TO_LAYERS
    assert all("Initializer" in path for path in found.keys() - expected.keys() if ".Learnables." in path)


def test_classes_of_the_new_fields(folder: Path) -> None:
    found = leaves(folder / "graph.leaves.mat")
    assert found["bridge.Layers{2}.SetsFactors"][:2] == ("logical", [1, 1]) and found["bridge.Tolerance"][:2] == (
        "double",
        [1, 1],
    )
    assert found["bridge.TestInput{1}.Value"][:2] == ("single", [16, 24, 3]) and found["bridge.TestOutput{1}.Value"][
        :2
    ] == ("single", [16, 24, 5])
    assert found["bridge.Layers{2}.Constructor"][0] == "char" and found["bridge.Layers{2}.Arguments"][0] == "cell"
