"""What makes the module of a layer: the functions that rows name as `build`, tied to their names where they stand."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from torch import nn

from bridge.network.activations import Activation
from bridge.tables.registry import Registry

if TYPE_CHECKING:
    from bridge.network import Layer

Given = Sequence[Activation]
Builder = Callable[["Layer", Given], nn.Module]
BUILDERS: Registry[Builder] = Registry("builder")  # each makes a module without weights, on the meta device
