"""MATLAB's networks as MATLAB has them: `build("googlenet", classes=5)`, and what is known of them in `catalogue()`."""

from __future__ import annotations

from bridge.networks.build import BUILDERS, architecture, build
from bridge.networks.segnet import segnet_layers
from bridge.networks.unet import unet_layers
from bridge.networks.yolov2 import yolov2_layers
from bridge.tables.pretrained import Entry, catalogue

__all__ = ["BUILDERS", "Entry", "architecture", "build", "catalogue", "segnet_layers", "unet_layers", "yolov2_layers"]
