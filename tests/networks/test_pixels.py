"""Networks for pixels and voxels: U-Net, DeepLab v3+."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bridge import layers
from bridge.errors import UsageError
from bridge.network import Network
from bridge.networks import (
    architecture,
    deeplabv3plus,
    deeplabv3plus_layers,
    unet,
    unet3d,
    unet3d_layers,
    unet_layers,
)
from bridge.networks.deeplab import BACKBONES, bilinear
from bridge.tables.layers import layer_mappings
from tests.networks.test_networks import connections, require_same
from tests.networks.test_residual import counts

CLASSES = ("road", "sky", "vehicle")


@pytest.mark.parametrize(
    ("net", "kind", "expected", "ends"),
    [
        (unet_layers((480, 640, 3), 5, EncoderDepth=3), "DAGNetwork", (46, 48, 36, 0), ("ImageInputLayer", "Segmentation-Layer")),
        (
            unet3d_layers((128, 128, 128, 3), 5, EncoderDepth=2, NumFirstEncoderFilters=16),
            "DAGNetwork", (40, 41, 46, 20), ("ImageInputLayer", "Segmentation-Layer"),
        ),
        (unet((480, 640, 3), 5, EncoderDepth=3), "dlnetwork", (48, 53, 36, 0), ("encoderImageInputLayer", "FinalNetworkSoftmax-Layer")),
        (
            unet3d((128, 128, 128, 3), 5, EncoderDepth=2, NumFirstEncoderFilters=16),
            "dlnetwork", (45, 48, 46, 20), ("encoderImageInputLayer", "FinalNetworkSoftmax-Layer"),
        ),
    ],
    ids=["unetLayers", "unet3dLayers", "unet", "unet3d"],
)  # fmt: skip
def test_unets_have_matlabs_counts(net: Network, kind: str, expected: tuple[int, ...], ends: tuple[str, str]) -> None:
    """Oracle: what the documentation of each function prints for these arguments."""
    assert (net.kind, counts(net)) == (kind, expected)
    assert (net.layers[0].name, net.layers[-1].name) == ends


UP: dict[str, Any] = {"BiasLearnRateFactor": 2, "WeightsInitializer": "he"}
HE: dict[str, Any] = {"Padding": "same", "WeightsInitializer": "he"}
DEEPLAB: dict[str, Any] = {"BiasLearnRateFactor": 0, "WeightLearnRateFactor": 10}
FIXED: dict[str, Any] = {"BiasLearnRateFactor": 0, "WeightLearnRateFactor": 0}

# Lines of code that MATLAB generated from such networks: a layer, its constructor's arguments, its options; and connections.
GENERATED: dict[str, tuple[Callable[[], Network], list[tuple[str, str, list[Any], dict[str, Any]]], set[str]]] = {
    "unet3dLayers": (
        lambda: unet3d_layers((32, 32, 32, 1), 3, EncoderDepth=2, NumFirstEncoderFilters=16),
        [
            ("Encoder-Stage-1-Conv-1", "convolution3dLayer", [[3, 3, 3], 16], HE),
            ("Encoder-Stage-2-Conv-2", "convolution3dLayer", [[3, 3, 3], 64], HE),
            ("Encoder-Stage-2-MaxPool", "maxPooling3dLayer", [[2, 2, 2]], {"Stride": [2, 2, 2]}),
            ("Bridge-Conv-2", "convolution3dLayer", [[3, 3, 3], 128], HE),
            ("Decoder-Stage-1-UpConv", "transposedConv3dLayer", [[2, 2, 2], 128], {**UP, "Stride": [2, 2, 2]}),
            ("Decoder-Stage-1-Conv-1", "convolution3dLayer", [[3, 3, 3], 64], HE),
            ("Decoder-Stage-2-UpConv", "transposedConv3dLayer", [[2, 2, 2], 64], {**UP, "Stride": [2, 2, 2]}),
            ("Decoder-Stage-2-Concatenation", "concatenationLayer", [4, 2], {}),
            ("Decoder-Stage-2-Conv-2", "convolution3dLayer", [[3, 3, 3], 32], HE),
            ("Final-ConvolutionLayer", "convolution3dLayer", [[1, 1, 1], 3], HE),
        ],
        {
            "Encoder-Stage-1-ReLU-2 Decoder-Stage-2-Concatenation/in2", "Encoder-Stage-2-ReLU-2 Decoder-Stage-1-Concatenation/in2",
            "Decoder-Stage-1-UpConv Decoder-Stage-1-Concatenation/in1", "Bridge-ReLU-2 Decoder-Stage-1-UpConv",
        },
    ),
    "unet": (
        lambda: unet((352, 352, 7), 3, NumFirstEncoderFilters=8),
        [
            ("Encoder-Stage-4-Conv-2", "convolution2dLayer", [[3, 3], 64], HE),
            ("LatentNetwork-Bridge-Conv-1", "convolution2dLayer", [[3, 3], 128], HE),
            ("Decoder-Stage-1-UpConv", "transposedConv2dLayer", [[2, 2], 64], {**UP, "Stride": [2, 2]}),
            ("encoderDecoderSkipConnectionCrop4", "crop2dLayer", ["centercrop"], {}),
            ("encoderDecoderSkipConnectionFeatureMerge4", "concatenationLayer", [3, 2], {}),
            ("Decoder-Stage-4-UpConv", "transposedConv2dLayer", [[2, 2], 8], {**UP, "Stride": [2, 2]}),
            ("encoderDecoderFinalConvLayer", "convolution2dLayer", [[1, 1], 3], {}),
        ],
        {
            "Encoder-Stage-1-ReLU-2 encoderDecoderSkipConnectionCrop1/in", "Encoder-Stage-4-DropOut encoderDecoderSkipConnectionCrop4/in",
            "Decoder-Stage-1-UpReLU encoderDecoderSkipConnectionCrop4/ref", "Decoder-Stage-1-UpReLU encoderDecoderSkipConnectionFeatureMerge4/in2",
            "encoderDecoderSkipConnectionCrop4 encoderDecoderSkipConnectionFeatureMerge4/in1",
        },
    ),
    "deeplabv3plusLayers(resnet18)": (
        lambda: deeplabv3plus_layers((360, 480, 3), 11, "resnet18"),
        [
            ("conv1", "convolution2dLayer", [[7, 7], 64], {"BiasLearnRateFactor": 0, "Padding": 3, "Stride": [2, 2]}),
            ("res3a_branch2a", "convolution2dLayer", [[3, 3], 128], {"BiasLearnRateFactor": 0, "Padding": 1, "Stride": [2, 2]}),
            ("res4a_branch2a", "convolution2dLayer", [[3, 3], 256], {"BiasLearnRateFactor": 0, "Padding": "same", "Stride": [2, 2]}),
            ("res4a_branch1", "convolution2dLayer", [[1, 1], 256], {"BiasLearnRateFactor": 0, "Padding": "same", "Stride": [2, 2]}),
            ("res4b_branch2a", "convolution2dLayer", [[3, 3], 256], {"BiasLearnRateFactor": 0, "Padding": 1}),
            ("res5a_branch2a", "convolution2dLayer", [[3, 3], 512], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("res5a_branch1", "convolution2dLayer", [[1, 1], 512], {"BiasLearnRateFactor": 0}),
            ("res5a_branch2b", "convolution2dLayer", [[3, 3], 512], {"BiasLearnRateFactor": 0, "Padding": "same", "DilationFactor": [2, 2]}),
            ("res5b_branch2b", "convolution2dLayer", [[3, 3], 512], {"BiasLearnRateFactor": 0, "Padding": "same", "DilationFactor": [2, 2]}),
            ("aspp_Conv_1", "convolution2dLayer", [[1, 1], 256], {**DEEPLAB, "Padding": "same"}),
            ("aspp_Conv_4", "convolution2dLayer", [[3, 3], 256], {**DEEPLAB, "Padding": "same", "DilationFactor": [18, 18]}),
            ("dec_upsample1", "transposedConv2dLayer", [[8, 8], 256], {**FIXED, "Cropping": 2, "Stride": [4, 4]}),
            ("dec_c2", "convolution2dLayer", [[1, 1], 48], DEEPLAB),
            ("dec_c3", "convolution2dLayer", [[3, 3], 256], {**DEEPLAB, "Padding": "same"}),
            ("scorer", "convolution2dLayer", [[1, 1], 11], DEEPLAB),
            ("dec_upsample2", "transposedConv2dLayer", [[8, 8], 11], {**FIXED, "Cropping": 2, "Stride": [4, 4]}),
        ],
        {
            "data dec_crop2/ref", "res2b_relu dec_c2", "res5b_relu aspp_Conv_4", "aspp_Relu_4 catAspp/in4", "dec_upsample1 dec_crop1/in",
            "dec_relu2 dec_crop1/ref", "dec_relu2 dec_cat1/in1", "dec_crop1 dec_cat1/in2", "dec_upsample2 dec_crop2/in", "softmax-out classification",
        },
    ),
    "deeplabv3plusLayers(resnet50)": (
        lambda: deeplabv3plus_layers((512, 512, 3), 38, "resnet50"),
        [
            ("res4a_branch2a", "convolution2dLayer", [[1, 1], 256], {"BiasLearnRateFactor": 0, "Padding": "same", "Stride": [2, 2]}),
            ("res5a_branch2a", "convolution2dLayer", [[1, 1], 512], {"BiasLearnRateFactor": 0}),
            ("res5a_branch1", "convolution2dLayer", [[1, 1], 2048], {"BiasLearnRateFactor": 0}),
            ("res5c_branch2b", "convolution2dLayer", [[3, 3], 512], {"BiasLearnRateFactor": 0, "Padding": "same", "DilationFactor": [2, 2]}),
            ("scorer", "convolution2dLayer", [[1, 1], 38], DEEPLAB),
        ],
        {"input_1 dec_crop2/ref", "activation_10_relu dec_c2", "activation_49_relu aspp_Conv_1"},
    ),
    "deeplabv3plusLayers(xception)": (
        lambda: deeplabv3plus_layers((1024, 1280, 3), 3, "xception"),
        [
            ("block1_conv1", "convolution2dLayer", [[3, 3], 32], {"BiasLearnRateFactor": 0, "Padding": "same", "Stride": [2, 2]}),
            ("block1_conv2", "convolution2dLayer", [[3, 3], 64], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("conv2d_3", "convolution2dLayer", [[1, 1], 728], {"BiasLearnRateFactor": 0, "Padding": "same", "Stride": [2, 2]}),
            ("block13_pool", "maxPooling2dLayer", [[3, 3]], {"Padding": "same"}),
            ("conv2d_4", "convolution2dLayer", [[1, 1], 1024], {"BiasLearnRateFactor": 0}),
            ("block14_sepconv2_channel-wise", "groupedConvolution2dLayer", [[3, 3], 1, 1536], {"BiasLearnRateFactor": 0, "Padding": "same"}),
            ("aspp_Conv_1_pointwise", "convolution2dLayer", [[1, 1], 256], DEEPLAB),
            ("dec_c1", "convolution2dLayer", [[1, 1], 256], DEEPLAB),
            ("dec_c3_pointwise", "convolution2dLayer", [[1, 1], 256], DEEPLAB),
        ],
        {
            "input_1 dec_crop2/ref", "add_1 dec_c2", "block14_sepconv2_act aspp_Conv_4_depthwise", "aspp_Conv_2_depthwise aspp_Conv_2_pointwise",
            "dec_cat1 dec_c3_depthwise",
        },
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", GENERATED)
def test_lines_of_generated_code_agree(name: str) -> None:
    """Oracle: lines of code that MATLAB generated from such networks, in public projects."""
    make, lines, links = GENERATED[name]
    net = make()
    for layer, kind, arguments, options in lines:
        row = next(row for row in layer_mappings() if row.constructor == kind)
        require_same(net.layers[layer], layers.constructor(row)(*arguments, name=layer, **options))
    assert links <= set(connections(net))


# The numbers that a public script gives to layers of a network of deeplabv3plusLayers with ResNet-50.
INDICES = {
    "res2a_branch2c": 12, "res2b_branch2c": 24, "res2c_branch2c": 34, "res3a_branch2c": 44, "res3a_branch1": 45, "res3b_branch2c": 56,
    "res3c_branch2c": 66, "res3d_branch2c": 76, "res4a_branch2c": 86, "res4b_branch2c": 98, "res4c_branch2c": 108, "res4d_branch2c": 118,
    "res4e_branch2c": 128, "res4f_branch2c": 138, "res5a_branch2c": 148, "res5b_branch2c": 160, "res5c_branch2c": 170, "aspp_Conv_1": 174,
    "aspp_Conv_2": 177, "aspp_Conv_3": 180, "aspp_Conv_4": 183, "dec_c1": 187, "dec_c2": 192, "dec_c3": 196, "dec_c4": 199, "scorer": 202,
    "dec_upsample2": 203,
}  # fmt: skip


def test_deeplab_lists_its_layers_as_matlab_does() -> None:
    """Oracle: INDICES; they swap 4c and 4d, whose names the script lists in the other order."""
    names = [layer.name for layer in deeplabv3plus_layers((512, 512, 3), 2, "resnet50").layers]
    assert {name: names.index(name) + 1 for name in INDICES} == INDICES
    assert len(names) == 206


@pytest.mark.parametrize("factor", [16, 8])
@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_keeps_its_size(name: str, factor: int) -> None:
    """Oracle: the definition of the downsampling factor; features of a quarter of the image; scores of all its pixels."""
    net = deeplabv3plus_layers((64, 96), CLASSES, name, DownsamplingFactor=factor)
    assert net.layers[0].InputSize == (64, 96, 3) and net.classes == CLASSES
    assert net.sizes["catAspp"][0].spatial == (64 // factor, 96 // factor)
    assert net.sizes[BACKBONES[name].low][0].spatial == (16, 24) == net.sizes["dec_crop1"][0].spatial
    assert net.sizes["softmax-out"][0].size == (64, 96, 3)
    derived = not BACKBONES[name].seen or factor != 16
    assert any("derived, not seen" in note for note in net.notes) == derived


def test_sizes_that_do_not_halve_are_cropped() -> None:
    """Oracle: the size of the image, and that a softmax sums to 1."""
    net = deeplabv3plus((37, 50), CLASSES, "resnet18")
    assert (net.kind, net.outputs, net.classes) == ("dlnetwork", ("softmax-out",), CLASSES)
    with torch.no_grad():
        found = net.initialize().to_torch()(torch.rand(1, 3, 37, 50) * 255)
    assert found.shape == (1, 3, 37, 50)
    torch.testing.assert_close(found.sum(1), torch.ones(1, 37, 50), rtol=0, atol=1e-5)


def test_a_trained_network_keeps_its_values() -> None:
    """Oracle: the network that is built on."""
    trained = architecture("resnet18", classes=4).initialize(3)
    net = deeplabv3plus_layers((64, 64), CLASSES, trained).initialize()
    for layer in net.layers:
        if trained.layers.has(layer.name):
            for key, learnable in layer.learnables.items():
                np.testing.assert_array_equal(learnable.value, trained.layers[layer.name].learnables[key].value)


@pytest.mark.parametrize("factor", [2, 4])
def test_the_upsampling_is_bilinear(factor: int) -> None:
    """Oracle: torch's bilinear interpolation, away from the border, where a transposed convolution reads zeros. Tolerance:
    single precision.
    """
    x, weights = torch.rand(1, 1, 7, 9), torch.from_numpy(bilinear(factor)).float()
    found = F.conv_transpose2d(x, weights[None, None], stride=factor, padding=factor // 2)
    expected = F.interpolate(x, scale_factor=factor, mode="bilinear")
    inner = slice(factor, -factor)
    torch.testing.assert_close(found[..., inner, inner], expected[..., inner, inner], rtol=0, atol=1e-6)
    net = deeplabv3plus((64, 64), 2, "resnet18", DownsamplingFactor=4 * factor)
    up = net.layers["dec_upsample1"]
    assert up.Weights.shape == (2 * factor, 2 * factor, 256, 256) and not up.Bias.any()
    np.testing.assert_array_equal(up.Weights[:, :, 5, 5], bilinear(factor).astype(np.float32))
    assert not up.Weights[:, :, 5, 6].any() and up.learnables["Weights"].frozen


def test_valid_convolutions_shrink_volumes() -> None:
    """Oracle: the paper of 3-D U-Net, whose input of 132 x 132 x 116 voxels becomes 44 x 44 x 28."""
    for make in (unet3d_layers, unet3d):
        net = make((132, 132, 116, 3), 3, ConvolutionPadding="valid")
        last = "Softmax-Layer" if make is unet3d_layers else "FinalNetworkSoftmax-Layer"
        assert net.sizes[last][0].spatial == (44, 44, 28)
    assert "Crop3d-1" in unet3d_layers((132, 132, 116, 3), 3, ConvolutionPadding="valid").layers


@pytest.mark.parametrize(
    "net",
    [
        unet((32, 48, 3), CLASSES, EncoderDepth=2, NumFirstEncoderFilters=4),
        unet3d((16, 8, 8, 2), CLASSES, EncoderDepth=2, NumFirstEncoderFilters=2),
        unet3d_layers((16, 8, 8, 2), CLASSES, EncoderDepth=2, NumFirstEncoderFilters=2),
    ],
    ids=["unet", "unet3d", "unet3dLayers"],
)
def test_pixels_and_voxels_get_probabilities(net: Network) -> None:
    """Oracle: the size of the input, and that a softmax sums to 1."""
    *space, channels = net.layers[0].InputSize
    with torch.no_grad():
        found = net.initialize().to_torch()(torch.rand(2, channels, *space))
    assert found.shape == (2, 3, *space) and net.classes == CLASSES
    torch.testing.assert_close(found.sum(1), torch.ones(2, *space), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: unet((32, 32, 3), 2, ConvolutionPadding="full"), "ConvolutionPadding is 'full'"),
        (lambda: unet3d_layers((32, 32, 32, 1), 2, EncoderDepth=0), "are 0, 32 and 3"),
        (lambda: unet((20, 20, 1), 2, ConvolutionPadding="valid"), "does not fit"),
        (lambda: deeplabv3plus((64, 64), 2, "resnet101"), "not built on 'resnet101'"),
        (lambda: deeplabv3plus((64, 64), 2, architecture("squeezenet")), "not built on 'DAGNetwork'"),
        (lambda: deeplabv3plus((64, 64), 2, "resnet18", DownsamplingFactor=4), "DownsamplingFactor is 4"),
    ],
)
def test_mistakes_are_told(make: Callable[[], Network], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        make()
    assert caught.value.cause and caught.value.hint
