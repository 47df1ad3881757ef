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
from bridge.networks import BUILDERS, build, catalogue
from bridge.networks.nasnet import nasnet
from bridge.tables.layers import layer_mappings
from tests.real import REAL

FACTS = REAL.parent / "facts" / "networks"

# Digests of MATLAB's own layer lists (names in order; connections sorted), and exact numbers of learnables for 1000 classes, where
# MathWorks states millions only. Networks without a list of MATLAB's have no digest: their counts and ends are the catalogue's.
DIGESTS = {
    "densenet201": ("3c1415ffd218", "d9a4e0de2d8e"),
    "googlenet": ("613411f0a35e", "8d6f0e71751d"),
    "inceptionv3": ("b4ee707e2c79", "de97d6d832c0"),
    "mobilenetv2": ("39d1a69878dd", "737fbea86a61"),
    "resnet18": ("2092e12aaf9b", "b030474e3671"),
    "resnet50": ("7d7989d41b5b", "f23d25312969"),
    "shufflenet": ("dac0dd99eeeb", "84ec2c2e3b48"),
}
NASNET_LARGE = ("f52b9a9f6784", "8d30914a4795")
NOT_STATED = 0  # of NASNet, which is no sequence of modules, MathWorks states no depth
LEAST = {"inceptionv3": 107}  # the height and width that a fully convolutional network is run with here; 64 otherwise
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
        assert (digest(layer.name for layer in net.layers), digest(sorted(connections(net)))) == DIGESTS[name]
    first = net.layers[0]
    assert (first.InputSize, first.Normalization) == (entry.input_size, entry.normalization)
    assert net.kind == ("DAGNetwork" if name not in (*FIXED, "darknet19") else "SeriesNetwork")
    learnables = sum(each.array.size for _, _, each in net.learnables())
    assert learnables / 1e6 == pytest.approx(entry.learnables, abs=0.006), "MathWorks states two digits"


def test_every_layer_is_matlabs(net: Network, name: str) -> None:
    """Oracle: MATLAB's own lists of arguments, options and activation sizes; a retrained copy's number of classes is its own."""
    path = FACTS / f"{name}.json"
    if not path.is_file():
        pytest.skip("MATLAB's list of this network is not here")
    listed = json.loads(path.read_text())
    assert [layer.name for layer in net.layers] == [each["name"] for each in listed["layers"]]
    assert set(connections(net)) == {f"{a} {b}" for a, b in listed["connections"]}
    for ours, each in zip(net.layers, listed["layers"], strict=True):
        theirs = listed_layer(each)
        assert ours.kind == theirs.kind
        told = ("NumChannels", "NumChannelsPerGroup", "InputSize", "NumTrainingSamples")
        for key, value in theirs.properties.items():
            assert (
                key in told
                or (ours.kind == "FullyConnectedLayer" and key == "OutputSize")
                or ours.properties[key] == value
            ), (ours.name, key)
        assert {key: (a.learn_rate_factor, a.l2_factor) for key, a in ours.learnables.items()} == {
            key: (a.learn_rate_factor, a.l2_factor) for key, a in theirs.learnables.items()
        }, ours.name
        if each["shape"][:2] != [1, 1]:
            size = net.sizes[ours.name][0]
            assert [*size.spatial, size.channels] == each["shape"], ours.name


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


def test_nasnet_large_of_the_same_builder_is_matlabs() -> None:
    """Oracle: MATLAB's list of NASNet-Large, of which digests of the sorted names and connections; the order is Keras's, not MATLAB's."""
    large = nasnet(5, 331, stem=96, filters=168, blocks=6, skips_reduction=True, instance=2).network()
    assert (len(large.layers), len(large.connections)) == (1243, 1462)
    assert (digest(sorted(layer.name for layer in large.layers)), digest(sorted(connections(large)))) == NASNET_LARGE
    path = FACTS / "nasnetlarge.json"
    if not path.is_file():
        pytest.skip(
            "MATLAB's list of this network is not here: its names and connections were compared, its options were not"
        )
    for each in json.loads(path.read_text())["layers"]:
        ours = large.layers[each["name"]]
        if each["type"] == "zeroPadding":
            assert list(ours.PaddingSize) == value(each["args"][0])
        elif each["type"] == "crop2dLayer":
            assert list(ours.Location) == value(each["args"][0])
        else:
            theirs = listed_layer(each)
            assert ours.kind == theirs.kind
            assert {key: ours.properties[key] for key in theirs.properties} == theirs.properties, ours.name
            assert {key: a.learn_rate_factor for key, a in ours.learnables.items()} == {
                k: a.learn_rate_factor for k, a in theirs.learnables.items()
            }
        if each["shape"][:2] != [1, 1]:
            size = large.sizes[ours.name][0]
            assert [*size.spatial, size.channels] == each["shape"], ours.name


def test_depth_is_the_longest_way(net: Network, name: str) -> None:
    """Oracle: the definition, the most convolutions and fully connected layers on a way through the network."""
    longest: dict[str, int] = {}
    for layer in net.order:
        before = max((longest[c.source] for c in net.incoming[layer.name]), default=0)
        longest[layer.name] = before + (layer.kind.endswith(("Convolution2DLayer", "ConnectedLayer")))
    assert catalogue()[name].depth in (max(longest.values()), NOT_STATED)


def test_it_computes_probabilities(net: Network, name: str) -> None:
    """Oracle: the size of the output, and that a softmax sums to 1 (to single precision over 1000 classes)."""
    if name not in FIXED:
        net = net.with_input_size((LEAST.get(name, 64),) * 2)
    height, width, channels = net.layers[0].InputSize
    with torch.no_grad():
        found = net.to_torch()(torch.rand(1, channels, height, width) * 255)
    assert found.shape == (1, 1000) and torch.isfinite(found).all()
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
