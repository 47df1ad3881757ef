"""bridge: networks that MATLAB trained, as PyTorch modules that keep MATLAB's names, factors and numbers.

Importing this package imports nothing heavy; each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge import detection as detection
    from bridge import images as images
    from bridge import layers as layers
    from bridge import networks as networks
    from bridge import random as random
    from bridge.errors import BridgeError as BridgeError
    from bridge.modules.factors import learnables as learnables
    from bridge.modules.recurrent import predict_and_update_state as predict_and_update_state
    from bridge.network import Network as Network
    from bridge.options.options import TrainingOptions as TrainingOptions
    from bridge.options.options import training_options as training_options
    from bridge.parity.check import check as check
    from bridge.readers import load as load
    from bridge.recipes.recipe import Recipe as Recipe
    from bridge.recipes.running import train as train
    from bridge.training.batch_norm import finalize_batch_norm as finalize_batch_norm
    from bridge.training.groups import param_groups as param_groups
    from bridge.writers import export as export

__version__ = "0.1.0"

PUBLIC = {
    "BridgeError": "bridge.errors",
    "Network": "bridge.network",
    "Recipe": "bridge.recipes.recipe",
    "TrainingOptions": "bridge.options.options",
    "check": "bridge.parity.check",
    "export": "bridge.writers",
    "finalize_batch_norm": "bridge.training.batch_norm",
    "learnables": "bridge.modules.factors",
    "load": "bridge.readers",
    "param_groups": "bridge.training.groups",
    "predict_and_update_state": "bridge.modules.recurrent",
    "train": "bridge.recipes.running",
    "training_options": "bridge.options.options",
}
MODULES = ("detection", "images", "layers", "networks", "random")
__all__ = [
    "BridgeError", "Network", "Recipe", "TrainingOptions", "check", "detection", "export", "finalize_batch_norm",
    "images", "layers",
    "learnables", "load", "networks", "param_groups", "predict_and_update_state", "random", "train", "training_options",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return import_module(f"bridge.{name}")
    if name not in PUBLIC:
        raise AttributeError(f"module 'bridge' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
