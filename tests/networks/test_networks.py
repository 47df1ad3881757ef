"""Every network: its structure against MATLAB's, what it computes, and what people do with it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
import torch

from bridge import layers
from bridge.errors import UsageError
from bridge.network import Layer, Network
from bridge.networks import BUILDERS, architecture, build, catalogue
from bridge.tables.layers import layer_mappings
from tests.real import REAL

FACTS = REAL.parent / "facts" / "networks"

# Digests of lists of MATLAB's layers (their names, their connections, both sorted: code that MATLAB generates lists parallel branches
# in another order than the network). Networks without a list have no digest: their counts and ends are the catalogue's.
DIGESTS = {
    "densenet201": ("fe2efe12fe91", "d9a4e0de2d8e"),
    "googlenet": ("8878039960f1", "8d6f0e71751d"),
    "inceptionv3": ("b4cdf2efc22a", "de97d6d832c0"),
    "mobilenetv2": ("225fd64f273c", "737fbea86a61"),
    "nasnetlarge": ("f52b9a9f6784", "8d30914a4795"),
    "resnet18": ("4a5cf0ee4f6d", "b030474e3671"),
    "resnet50": ("ac40c674e341", "f23d25312969"),
    "shufflenet": ("f8497bc30730", "84ec2c2e3b48"),
}
EPSILONS = {
    "densenet201": 1e-5, "inceptionv3": 1e-3, "mobilenetv2": 1e-3, "nasnetlarge": 1e-3, "resnet18": 1e-5, "resnet50": 1e-3,
    "shufflenet": 1e-5,
}  # fmt: skip
LONGER = {"inceptionresnetv2": 176}
NOT_STATED = 0  # of NASNet, which is no sequence of modules, MathWorks states no depth
# Where lists that MATLAB printed of its ResNet-50 put the layers of parallel branches, and what follows them.
PRINTED = {
    12: ["res2a_branch2c", "res2a_branch1", "bn2a_branch2c", "bn2a_branch1", "add_1", "activation_4_relu"],
    44: ["res3a_branch2c", "res3a_branch1", "bn3a_branch2c", "bn3a_branch1", "add_4", "activation_13_relu"],
    86: ["res4a_branch2c", "res4a_branch1", "bn4a_branch2c", "bn4a_branch1", "add_8", "activation_25_relu"],
    148: ["res5a_branch2c", "res5a_branch1", "bn5a_branch2c", "bn5a_branch1", "add_14", "activation_43_relu"],
    173: ["activation_49_relu", "avg_pool", "fc1000", "fc1000_softmax", "ClassificationLayer_fc1000"],
}
LEAST = {
    "inceptionv3": 107,
    "inceptionresnetv2": 107,
}  # the height and width that a fully convolutional network is run with here; 64 otherwise
LOCATED = {"zeroPadding": "PaddingSize", "crop2dLayer": "Location"}  # layers that are listed with one property only
COUNTED = (
    "additionLayer",
    "depthConcatenationLayer",
    "channelShuffleLayer",
)  # constructors with a number, by position or as NumInputs
FIXED = ("alexnet", "vgg16", "vgg19")  # networks whose fully connected layers fix the size of the input


@pytest.fixture(scope="module", params=sorted(BUILDERS))
def net(request: pytest.FixtureRequest) -> Network:
    """Each network in turn, untrained, for 1000 classes."""
    return build(request.param)


@pytest.fixture
def name(net: Network, request: pytest.FixtureRequest) -> str:
    return str(request.node.callspec.params["net"])


def digest(lines: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:12]


def connections(net: Network) -> Iterator[str]:
    """Yield each connection in MATLAB's spelling."""
    for c in net.connections:
        port = f"/{c.destination_port}" if len(net.layers[c.destination].inputs) > 1 else ""
        yield f"{c.source} {c.destination}{port}"


def test_structure_is_matlabs(net: Network, name: str) -> None:
    """Oracle: MATLAB's layer lists, and the counts that MATLAB prints."""
    entry = catalogue()[name]
    assert (len(net.layers), len(net.connections)) == (entry.layers, entry.connections)
    if name in DIGESTS:
        names = sorted(layer.name for layer in net.layers)
        assert (digest(names), digest(sorted(connections(net)))) == DIGESTS[name]
    first = net.layers[0]
    assert (first.InputSize, first.Normalization) == (entry.input_size, entry.normalization)
    assert net.kind == ("DAGNetwork" if name not in (*FIXED, "darknet19") else "SeriesNetwork")
    millions = sum(each.array.size for _, _, each in net.learnables()) / 1e6
    one_digit = entry.learnables == round(entry.learnables, 1)
    assert millions == pytest.approx(entry.learnables, abs=0.06 if one_digit else 0.006), "MathWorks states one or two"


def test_every_layer_is_matlabs(net: Network, name: str) -> None:
    """Oracle: MATLAB's own lists of arguments, options and activation sizes; a retrained copy's number of classes is its own."""
    path = FACTS / f"{name}.json"
    if not path.is_file():
        pytest.skip("MATLAB's list of this network is not here")
    listed = json.loads(path.read_text())
    assert {layer.name for layer in net.layers} == {each["name"] for each in listed["layers"]}
    assert set(connections(net)) == {f"{a} {b}" for a, b in listed["connections"]}
    for each in listed["layers"]:
        ours = net.layers[each["name"]]
        if each["type"] in LOCATED:
            assert list(ours.properties[LOCATED[each["type"]]]) == value(each["args"][0])
        else:
            require_same(ours, listed_layer(each))
        if each["shape"][:2] != [1, 1]:
            size = net.sizes[ours.name][0]
            assert [*size.spatial, size.channels] == each["shape"], ours.name


def require_same(ours: Layer, theirs: Layer) -> None:
    """Require the class, the properties and the factors of a layer; a retrained copy has classes of its own."""
    assert ours.kind == theirs.kind
    told = {"NumChannels", "NumChannelsPerGroup", "InputSize", "NumTrainingSamples"}
    if ours.kind == "FullyConnectedLayer":
        told.add("OutputSize")
    for key, expected in theirs.properties.items():
        assert key in told or ours.properties[key] == expected, (ours.name, key)
    factors = [
        {key: (a.learn_rate_factor, a.l2_factor) for key, a in each.learnables.items()} for each in (ours, theirs)
    ]
    assert factors[0] == factors[1], ours.name


def listed_layer(each: dict[str, Any]) -> Layer:
    """Return the layer that a line of MATLAB's code makes."""
    kind = each["type"] if each["type"].endswith("Layer") else f"{each['type']}Layer"
    row = next(row for row in layer_mappings() if row.constructor == kind)
    arguments = [value(text) for text in each["args"]][: 1 if kind in COUNTED else len(row.arguments)]
    return layers.constructor(row)(
        *arguments, name=each["name"], **{key: value(text) for key, text in each["options"].items()}
    )


def value(text: str) -> Any:
    """Read a value of MATLAB's code: a number, a row of numbers or a text."""
    if text.startswith('"'):
        return text.strip('"')
    numbers = [float(n) if "." in n else int(n) for n in text.strip("[]").split()]
    return numbers if text.startswith("[") else numbers[0]


@pytest.mark.parametrize("name", EPSILONS)
def test_epsilons_are_matlabs(name: str) -> None:
    """Oracle: MATLAB's lists of layers, which name an Epsilon where it is not 1e-5: in every batch normalisation, or in none."""
    found = {layer.Epsilon for layer in architecture(name).layers if layer.kind == "BatchNormalizationLayer"}
    assert found == {EPSILONS[name]}


def test_resnet50_is_listed_as_matlab_prints_it() -> None:
    """Oracle: two prints of its 177 layers in public notes, and the indices that a public script gives to 27 of them."""
    names = [layer.name for layer in architecture("resnet50").layers]
    for first, expected in PRINTED.items():
        assert names[first - 1 : first - 1 + len(expected)] == expected


# Lines of code that MATLAB generated from copies of networks: a layer, its constructor's arguments, its options; and connections.
GENERATED: dict[str, tuple[list[tuple[str, str, list[Any], dict[str, Any]]], set[str]]] = {
    "resnet101": (
        [
            ("data", "imageInputLayer", [[224, 224, 3]], {}),
            ("conv1", "convolution2dLayer", [[7, 7], 64], {"BiasLearnRateFactor": 0, "Padding": 3, "Stride": [2, 2]}),
            ("bn_conv1", "batchNormalizationLayer", [], {}),
            ("pool1", "maxPooling2dLayer", [[3, 3]], {"Padding": [0, 1, 0, 1], "Stride": [2, 2]}),
            ("res2a_branch1", "convolution2dLayer", [[1, 1], 256], {"BiasLearnRateFactor": 0}),
            ("res3a_branch2a", "convolution2dLayer", [[1, 1], 128], {"BiasLearnRateFactor": 0, "Stride": [2, 2]}),
            ("res3b3_branch2b", "convolution2dLayer", [[3, 3], 128], {"BiasLearnRateFactor": 0, "Padding": 1}),
            ("res4b22_branch2c", "convolution2dLayer", [[1, 1], 1024], {"BiasLearnRateFactor": 0}),
            ("res5a_branch1", "convolution2dLayer", [[1, 1], 2048], {"BiasLearnRateFactor": 0, "Stride": [2, 2]}),
            ("fc1000", "fullyConnectedLayer", [1000], {}),
        ],
        {
            "pool1 res2a_branch2a", "pool1 res2a_branch1", "bn2a_branch2c res2a/in1", "bn2a_branch1 res2a/in2",
            "res4b21_relu res4b22_branch2a", "res4b21_relu res4b22/in2", "res4b22_relu res5a_branch1", "prob ClassificationLayer_predictions",
        },
    ),
    "xception": (
        [
            ("input_1", "imageInputLayer", [[299, 299, 3]], {"Normalization": "rescale-symmetric"}),
            ("block1_conv1", "convolution2dLayer", [[3, 3], 32], {"BiasLearnRateFactor": 0, "Stride": [2, 2]}),
            ("block2_sepconv1_channel-wise", "groupedConvolution2dLayer", [[3, 3], 1, 64], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("block2_sepconv1_point-wise", "convolution2dLayer", [[1, 1], 128], {"BiasLearnRateFactor": 0}),
            ("block2_sepconv1_bn", "batchNormalizationLayer", [], {"Epsilon": 0.001}),
            ("block4_pool", "maxPooling2dLayer", [[3, 3]], {"Padding": "same", "Stride": [2, 2]}),
            ("conv2d_3", "convolution2dLayer", [[1, 1], 728], {"BiasLearnRateFactor": 0, "Padding": "same", "Stride": [2, 2]}),
            ("block12_sepconv3_channel-wise", "groupedConvolution2dLayer", [[3, 3], 1, 728], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("block13_sepconv2_point-wise", "convolution2dLayer", [[1, 1], 1024], {"BiasLearnRateFactor": 0}),
            ("block14_sepconv2_channel-wise", "groupedConvolution2dLayer", [[3, 3], 1, 1536], {"BiasLearnRateFactor": 0, "Padding": "same"}),
        ],
        {
            "block1_conv2_act block2_sepconv1_channel-wise", "block1_conv2_act conv2d_1", "block2_pool add_1/in1",
            "batch_normalization_1 add_1/in2", "add_1 block3_sepconv1_act", "add_3 add_4/in2", "block5_sepconv3_bn add_4/in1",
            "add_11 conv2d_4", "block13_pool add_12/in1", "add_12 block14_sepconv1_channel-wise", "block14_sepconv2_act avg_pool",
        },
    ),
    "inceptionresnetv2": (
        [
            ("input_1", "imageInputLayer", [[299, 299, 3]], {"Normalization": "rescale-symmetric"}),
            ("conv2d_3", "convolution2dLayer", [[3, 3], 64], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("batch_normalization_5", "batchNormalizationLayer", [], {"Epsilon": 0.001, "ScaleLearnRateFactor": 0}),
            ("average_pooling2d_1", "averagePooling2dLayer", [[3, 3]], {"Padding": "same"}),
            ("block35_1_conv", "convolution2dLayer", [[1, 1], 320], {"Padding": "same"}),
            ("block35_1_scale", "scalingFactorLayer", [0.17], {}),
            ("conv2d_17", "convolution2dLayer", [[3, 3], 48], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("conv2d_203", "convolution2dLayer", [[3, 1], 256], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("block8_10_conv", "convolution2dLayer", [[1, 1], 2080], {"Padding": "same"}),
            ("block8_10_scale", "scalingFactorLayer", [1], {}),
            ("conv_7b", "convolution2dLayer", [[1, 1], 1536], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("conv_7b_bn", "batchNormalizationLayer", [], {"Epsilon": 0.001, "ScaleLearnRateFactor": 0}),
        ],
        {
            "max_pooling2d_2 conv2d_9", "max_pooling2d_2 average_pooling2d_1", "activation_6 mixed_5b/in1", "activation_8 mixed_5b/in2",
            "activation_11 mixed_5b/in3", "activation_12 mixed_5b/in4", "mixed_5b block35_1/in1", "block35_1_scale block35_1/in2",
            "activation_18 block35_1_mixed/in3", "block35_10_ac conv2d_74", "max_pooling2d_3 mixed_6a/in3", "activation_76 mixed_6a/in2",
            "activation_80 block17_1_mixed/in2", "block17_20_ac conv2d_161", "activation_163 mixed_7a/in3", "max_pooling2d_4 mixed_7a/in4",
            "activation_167 block8_1_mixed/in2", "block8_10 conv_7b",
        },
    ),
    "efficientnetb0": (
        [
            ("efficientnet-b0|model|stem|conv2d|Conv2D", "convolution2dLayer", [[3, 3], 32], {"Padding": [0, 1, 0, 1], "Stride": [2, 2]}),
            ("efficientnet-b0|model|stem|tpu_batch_normalization|FusedBatchNorm", "batchNormalizationLayer", [], {"Epsilon": 0.00100000004749745}),
            ("efficientnet-b0|model|blocks_0|depthwise_conv2d|depthwise", "groupedConvolution2dLayer", [[3, 3], 1, 32], {"Padding": 1}),
            ("Conv__301", "convolution2dLayer", [[1, 1], 8], {}),
            ("efficientnet-b0|model|blocks_1|conv2d|Conv2D", "convolution2dLayer", [[1, 1], 96], {}),
            ("efficientnet-b0|model|blocks_3|depthwise_conv2d|depthwise", "groupedConvolution2dLayer", [[5, 5], 1, 144], {"Padding": [1, 2, 1, 2], "Stride": [2, 2]}),
            ("efficientnet-b0|model|blocks_5|conv2d_1|Conv2D", "convolution2dLayer", [[1, 1], 80], {}),
            ("Conv__424", "convolution2dLayer", [[1, 1], 1152], {}),
            ("Conv__439", "convolution2dLayer", [[1, 1], 48], {}),
            ("efficientnet-b0|model|head|conv2d|Conv2D", "convolution2dLayer", [[1, 1], 1280], {}),
        ],
        {
            "efficientnet-b0|model|stem|tpu_batch_normalization|FusedBatchNorm efficientnet-b0|model|stem|MulLayer/in1",
            "efficientnet-b0|model|stem|SigmoidLayer efficientnet-b0|model|stem|MulLayer/in2",
            "efficientnet-b0|model|blocks_0|MulLayer efficientnet-b0|model|blocks_0|se|MulLayer_1/in2",
            "Conv__373 efficientnet-b0|model|blocks_8|se|MulLayer/in1",
            "efficientnet-b0|model|blocks_9|se|SigmoidLayer_1 efficientnet-b0|model|blocks_9|se|MulLayer_1/in1",
            "efficientnet-b0|model|blocks_8|tpu_batch_normalization_2|FusedBatchNorm efficientnet-b0|model|blocks_9|Add/in2",
            "efficientnet-b0|model|blocks_10|tpu_batch_normalization_2|FusedBatchNorm efficientnet-b0|model|blocks_10|Add/in1",
            "Conv__439 efficientnet-b0|model|blocks_15|se|SigmoidLayer",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GENERATED)
def test_lines_of_generated_code_agree(name: str) -> None:
    """Oracle: lines of code that MATLAB generated from copies of the network, in public projects."""
    net, (lines, links) = architecture(name), GENERATED[name]
    for layer, kind, arguments, options in lines:
        row = next(row for row in layer_mappings() if row.constructor == kind)
        require_same(net.layers[layer], layers.constructor(row)(*arguments, name=layer, **options))
    assert links <= set(connections(net))


def test_depth_is_the_longest_way(net: Network, name: str) -> None:
    """Oracle: the definition, the most convolutions and fully connected layers on a way through the network; LONGER are
    those of which MathWorks states another number.
    """
    longest: dict[str, int] = {}
    for layer in net.order:
        before = max((longest[c.source] for c in net.incoming[layer.name]), default=0)
        longest[layer.name] = before + (layer.kind.endswith(("Convolution2DLayer", "ConnectedLayer")))
    assert LONGER.get(name, catalogue()[name].depth) in (max(longest.values()), NOT_STATED)


def test_it_computes_probabilities(net: Network, name: str, pytestconfig: pytest.Config) -> None:
    """Oracle: the size of the output, and that a softmax sums to 1 (to single precision over 1000 classes)."""
    if name == "vgg19" and not pytestconfig.getoption("--slow"):
        pytest.skip("slow: 144 million weights, of the layer classes that vgg16 runs with; runs with --slow")
    if name not in FIXED:
        net = net.with_input_size((LEAST.get(name, 64),) * 2)
    height, width, channels = net.layers[0].InputSize
    with torch.no_grad():
        found = net.to_torch()(torch.rand(1, channels, height, width) * 255)
    assert found.shape == (1, catalogue()[name].classes) and torch.isfinite(found).all()
    torch.testing.assert_close(found.sum(1), torch.ones(1), rtol=0, atol=1e-5)


def test_initial_layers_freeze(net: Network) -> None:
    initial = {layer.name for layer in net.layers[:10]}
    known = [(layer, each.frozen) for layer, _, each in net.learnables()]
    for (layer, before), (_, _, each) in zip(known, net.freeze(net.layers[:10]).learnables(), strict=True):
        assert each.frozen == (before or layer.name in initial)
    assert all(each.frozen for _, _, each in net.freeze("*").learnables())


def test_the_documented_head_is_replaced(net: Network, name: str) -> None:
    """Oracle: the names that MATLAB's documentation gives to the layers to replace."""
    entry = catalogue()[name]
    head = net.head()
    assert head.layer.name == entry.head[0] and head.output is not None and head.output.name == entry.head[-1]
    assert head.softmax is not None and (len(entry.head) < 3 or head.softmax.name in entry.head)
    changed = net.with_classes(["cap", "cube", "torch"], WeightLearnRateFactor=10)
    assert changed.classes == ("cap", "cube", "torch")
    assert changed.head().layer.WeightLearnRateFactor == 10
    assert changed.sizes[changed.outputs[0]][0].channels == 3
    assert len(changed.layers) == len(net.layers)


def test_features_get_smaller(net: Network, name: str) -> None:
    sizes = [net.sizes[feature][0] for feature in catalogue()[name].features]
    elements = [size.spatial or (1, 1) for size in sizes]
    assert elements == sorted(elements, reverse=True)


@pytest.mark.parametrize("small", ["squeezenet", "shufflenet"])
def test_it_exports(small: str) -> None:
    """Oracle: the module itself."""
    model = build(small, classes=3).with_input_size((64, 64)).to_torch()
    x = torch.rand(2, 3, 64, 64)
    exported = torch.export.export(model, (x,))
    torch.testing.assert_close(exported.module()(x), model(x), rtol=0, atol=0)


def test_seeds_and_classes() -> None:
    a, b, c = build("squeezenet", classes=5), build("squeezenet", classes=5), build("squeezenet", classes=5, rng=1)
    assert (a.layers["conv1"].Weights == b.layers["conv1"].Weights).all()
    assert (a.layers["conv1"].Weights != c.layers["conv1"].Weights).any()
    assert a.layers["conv10"].NumFilters == 5 and a.classes is None
    named = build("squeezenet", classes=["f", "m"])
    assert named.classes == named.layers[-1].Classes == ("f", "m") and named.layers["conv10"].NumFilters == 2
    assert any("not set: Mean 0 until training" in note for note in named.notes)


def test_an_unknown_network_is_told() -> None:
    with pytest.raises(UsageError, match="no network 'squeezent'") as caught:
        build("squeezent")
    assert "squeezenet" in caught.value.cause


def test_the_catalogue_knows_every_builder() -> None:
    assert set(catalogue()) == set(BUILDERS)


def test_earlier_lists_have_one_layer_more() -> None:
    """Oracle: where the input layer subtracts and divides today, a layer of its own did up to R2019a."""
    for entry in catalogue().values():
        assert entry.earlier_layers in (0, entry.layers + 1)
        assert not entry.earlier_layers or entry.normalization in ("zscore", "rescale-symmetric")
    assert catalogue()["resnet18"].earlier_layers == 72
