"""bridge: networks that MATLAB trained, as PyTorch modules that keep MATLAB's names, factors and numbers.

Importing this package imports nothing heavy; each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge import layers as layers
    from bridge.errors import BridgeError as BridgeError
    from bridge.modules.factors import learnables as learnables
    from bridge.modules.recurrent import predict_and_update_state as predict_and_update_state
    from bridge.network import Network as Network
    from bridge.readers import load as load
    from bridge.recipes.recipe import Recipe as Recipe
    from bridge.training.groups import param_groups as param_groups
    from bridge.training.options import TrainingOptions as TrainingOptions
    from bridge.training.options import training_options as training_options

__version__ = "0.1.0"

PUBLIC = {
    "BridgeError": "bridge.errors",
    "Network": "bridge.network",
    "Recipe": "bridge.recipes.recipe",
    "TrainingOptions": "bridge.training.options",
    "learnables": "bridge.modules.factors",
    "load": "bridge.readers",
    "param_groups": "bridge.training.groups",
    "predict_and_update_state": "bridge.modules.recurrent",
    "training_options": "bridge.training.options",
}
MODULES = ("layers",)
__all__ = [
    "BridgeError", "Network", "Recipe", "TrainingOptions", "layers", "learnables", "load", "param_groups", "predict_and_update_state", "training_options",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in MODULES:
        return import_module(f"bridge.{name}")
    if name not in PUBLIC:
        raise AttributeError(f"module 'bridge' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
