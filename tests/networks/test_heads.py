"""Segmentation networks and detectors on top of a backbone."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

import bridge
from bridge.errors import UsageError
from bridge.network import Network
from bridge.networks import BUILDERS, architecture, catalogue, segnet_layers, unet_layers, yolov2_layers
from tests.real import REAL, needs_real

CLASSES = ("road", "sky", "vehicle", "pedestrian", "background")


def counts(net: Network) -> tuple[int, int]:
    return len(net.layers), len(net.connections)


@pytest.mark.parametrize(("depth", "expected"), [(3, (45, 50)), (4, (59, 66))])
def test_segnet_has_matlabs_counts(depth: int, expected: tuple[int, int]) -> None:
    """Oracle: what MATLAB prints."""
    assert counts(segnet_layers((360, 480, 3), 11, depth)) == expected


@needs_real
def test_segnet_is_the_one_in_a_file_of_matlabs() -> None:
    """Oracle: a segnetLayers network of depth 3 that MATLAB trained and saved."""
    ours, theirs = segnet_layers((720, 960, 3), CLASSES, 3), bridge.load(REAL / "mat" / "segnet_R2020b.mat")
    assert (ours.connections, ours.classes) == (theirs.connections, theirs.classes)
    for a, b in zip(ours.layers, theirs.layers, strict=True):
        assert (a.name, a.kind) == (b.name, b.kind)
        derived = ("NumChannels", "NumTrainingSamples")
        assert {k: v for k, v in a.properties.items() if k not in derived} == {
            k: v for k, v in b.properties.items() if k not in derived
        }
        assert {k: (v.learn_rate_factor, v.l2_factor) for k, v in a.learnables.items()} == {
            k: (v.learn_rate_factor, v.l2_factor) for k, v in b.learnables.items()
        }


@pytest.mark.parametrize(("depth", "expected"), [(3, (46, 48)), (4, (58, 61))])
def test_unet_has_matlabs_counts(depth: int, expected: tuple[int, int]) -> None:
    """Oracle: what MATLAB prints for depth 3; each stage more has 12 layers and 13 connections."""
    assert counts(unet_layers((480, 640, 3), 5, EncoderDepth=depth)) == expected


@pytest.mark.parametrize(
    "net",
    [
        segnet_layers((32, 48, 3), 4, 2),
        segnet_layers((32, 48, 3), 4, "vgg16"),
        unet_layers((32, 48, 3), 4, EncoderDepth=2, NumFirstEncoderFilters=4),
    ],
    ids=["segnet", "segnet-vgg16", "unet"],
)
def test_pixels_get_probabilities(net: Network) -> None:
    """Oracle: the size of the image, and that a softmax sums to 1."""
    with torch.no_grad():
        found = net.initialize().to_torch()(torch.rand(2, 3, 32, 48))
    assert found.shape == (2, 4, 32, 48)
    torch.testing.assert_close(found.sum(1), torch.ones(2, 32, 48), rtol=0, atol=1e-5)


def test_sizes_that_do_not_halve_are_refused() -> None:
    with pytest.raises(UsageError, match="does not fit"):
        unet_layers((30, 32, 3), 2)
    with pytest.raises(UsageError, match="model of segnetLayers is 'vgg15'"):
        segnet_layers((32, 32, 3), 2, "vgg15")


@pytest.mark.parametrize(
    ("backbone", "feature", "stride"),
    [
        ("resnet50", "activation_40_relu", 16),
        ("squeezenet", "fire5-concat", 8),
        ("mobilenetv2", "block_6_expand_relu", 8),
        ("vgg16", "relu5_3", 16),
    ],
)
def test_yolov2_sits_on_any_layer(backbone: str, feature: str, stride: int) -> None:
    """Oracle: the documented layers of the head, their sizes in MATLAB's own detector, and the stride of the feature layer."""
    base = architecture(backbone)
    net = yolov2_layers((128, 128, 3), ["car", "bus"], [(8, 16), (32, 32), (64, 40)], base, feature)
    names = [layer.name for layer in net.layers]
    head = names[names.index("yolov2Conv1") :]
    assert head == [
        "yolov2Conv1", "yolov2Batch1", "yolov2Relu1", "yolov2Conv2", "yolov2Batch2", "yolov2Relu2", "yolov2ClassConv", "yolov2Transform",
        "yolov2OutputLayer",
    ]  # fmt: skip
    channels = base.sizes[feature][0].channels
    assert net.layers["yolov2Conv1"].NumFilters == net.layers["yolov2Conv2"].NumFilters == channels
    size = net.sizes["yolov2ClassConv"][0]
    assert (size.channels, size.spatial[0]) == (
        3 * (5 + 2),
        128 // stride if backbone != "squeezenet" else size.spatial[0],
    )
    assert net.layers["yolov2OutputLayer"].AnchorBoxes == (8, 32, 64, 16, 32, 40)
    assert net.classes == ("car", "bus")
    assert "yolov2OutputLayer" not in base.layers and set(names) - set(head) < {layer.name for layer in base.layers}


@pytest.mark.parametrize("backbone", BUILDERS)
def test_yolov2_sits_on_every_network(backbone: str) -> None:
    """Oracle: the sizes of the feature layers; what a fully connected layer puts out is no image."""
    base, anchors = architecture(backbone), [(8.0, 16.0), (32.0, 32.0)]
    for feature in catalogue()[backbone].features:
        size = base.sizes[feature][0]
        if size.spatial:
            net = yolov2_layers(base.layers[0].InputSize, 3, anchors, base, feature)
            assert net.sizes["yolov2ClassConv"][0] == size.resized(size.spatial, 2 * (5 + 3))
        else:
            with pytest.raises(UsageError, match="features are an image"):
                yolov2_layers(base.layers[0].InputSize, 3, anchors, base, feature)


@pytest.mark.parametrize("anchors", [[], [(8, 0)], [(8, 8, 8)]])
def test_anchors_are_checked(anchors: Sequence[tuple[float, float]]) -> None:
    with pytest.raises(UsageError, match="anchor boxes"):
        yolov2_layers((64, 64, 3), 1, anchors, architecture("squeezenet"), "fire5-concat")


def test_a_feature_layer_gives_an_image() -> None:
    with pytest.raises(UsageError, match="no layer 'fire5-conca'"):
        yolov2_layers((64, 64, 3), 1, [(8, 8)], architecture("squeezenet"), "fire5-conca")
