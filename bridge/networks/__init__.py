"""MATLAB's networks as MATLAB has them: `build("googlenet", classes=5)`, and what is known of them in `catalogue()`."""

from __future__ import annotations

from bridge.networks.build import BUILDERS, architecture, build
from bridge.networks.deeplab import deeplabv3plus, deeplabv3plus_layers
from bridge.networks.residual import resnet_layers, resnet_network
from bridge.networks.segnet import segnet_layers
from bridge.networks.unets import unet, unet3d, unet3d_layers, unet_layers
from bridge.networks.yolov2 import yolov2_layers
from bridge.tables.pretrained import Entry, catalogue

__all__ = [
    "BUILDERS", "Entry", "architecture", "build", "catalogue", "deeplabv3plus", "deeplabv3plus_layers", "resnet_layers",
    "resnet_network", "segnet_layers", "unet", "unet3d", "unet3d_layers", "unet_layers", "yolov2_layers",
]  # fmt: skip
