"""bridge: networks that MATLAB trained, as PyTorch modules that keep MATLAB's names, factors and numbers.

Importing this package imports nothing heavy; each public name is loaded when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.errors import BridgeError as BridgeError
    from bridge.modules.factors import learnables as learnables
    from bridge.modules.recurrent import predict_and_update_state as predict_and_update_state
    from bridge.network import Network as Network
    from bridge.readers import load as load

__version__ = "0.1.0"

PUBLIC = {
    "BridgeError": "bridge.errors",
    "Network": "bridge.network",
    "learnables": "bridge.modules.factors",
    "load": "bridge.readers",
    "predict_and_update_state": "bridge.modules.recurrent",
}
__all__ = ["BridgeError", "Network", "learnables", "load", "predict_and_update_state"]


def __getattr__(name: str) -> Any:
    if name not in PUBLIC:
        raise AttributeError(f"module 'bridge' has no attribute {name!r}")
    return getattr(import_module(PUBLIC[name]), name)
