"""A module for prediction alone: batch normalisations are folded into what is before them, layers that do nothing in
inference are left out, and 2-D convolutions run on channels_last images with weights that are packed once.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights, fuse_linear_bn_weights

from bridge.modules.normalization import VARIANCE_MOMENTUM, BatchNormOverTime, InputNormalization
from bridge.modules.shape import FullyConnected, SpatialDropout
from bridge.modules.windows import CROPPED, PADDED, PaddedConv2d

NORMALIZATIONS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, BatchNormOverTime)
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d, *CROPPED.values())
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *PADDED, *TRANSPOSED)
LINEAR = (nn.Linear, FullyConnected)
IDLE = (nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout, nn.Identity, SpatialDropout)
FOLDED = "batch normalizations are folded into the layers before them: "


class PackedConv2d(nn.Conv2d):
    """Conv2d that keeps its weights in the order in which oneDNN computes with them, for the size of the last input.

    Only where nothing is differentiated, on a processor, in single precision; else it is torch's own.
    """

    _packed: tuple[Any, Tensor] | None = None

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _packs(x, weight):
            plain: Tensor = super()._conv_forward(x, weight, bias)
            return plain
        assert not isinstance(self.padding, str)
        pads, stride, dilation = list(self.padding), list(self.stride), list(self.dilation)
        x = x.contiguous(memory_format=torch.channels_last)
        made_for = (weight.data_ptr(), weight._version, x.shape, torch.get_num_threads())
        if self._packed is None or self._packed[0] != made_for:
            size, groups = list(x.shape), self.groups
            packed = torch.ops.mkldnn._reorder_convolution_weight(weight, pads, stride, dilation, groups, size)
            self._packed = made_for, packed
        return torch.ops.mkldnn._convolution_pointwise(  # type: ignore[no-any-return]
            x, self._packed[1], bias, pads, stride, dilation, self.groups, "none", [], ""
        )

    def __getstate__(self) -> dict[str, Any]:
        """Leave the packed weights out of copies: they are made again."""
        return {name: value for name, value in self.__dict__.items() if name != "_packed"}


class PackedPaddedConv2d(PaddedConv2d, PackedConv2d):
    """The same with MATLAB's padding."""


PACKED: dict[type[nn.Module], type[PackedConv2d]] = {nn.Conv2d: PackedConv2d, PaddedConv2d: PackedPaddedConv2d}


def _packs(x: Any, weight: Any) -> bool:
    """Whether oneDNN's own order is of use: it lacks gradients, other devices, other precisions and graphs."""
    if torch.compiler.is_compiling() or not torch.backends.mkldnn.is_available() or weight.is_inference():
        return False
    if torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad):
        return False
    plain = all(each.device.type == "cpu" and each.dtype == torch.float32 for each in (x, weight))
    return bool(plain and x.dim() == 4 and x.numel() > 0 and not torch.is_autocast_enabled("cpu"))


def optimized(model: fx.GraphModule) -> fx.GraphModule:
    """Return a module of `bridge.modules.build.to_torch`, which is changed, for prediction alone.

    Its outputs are equal to 1e-5 of the largest one: folding multiplies the weights by scale / sqrt(variance + epsilon)
    in double precision, and a convolution of another order of channels adds in another order. Layers that remain have
    their names; `meta["layers"]` holds those alone, and `meta["notes"]` says which were folded and which left out. No
    parameter requires a gradient, and `Network.with_weights` does not take the module where learnables were folded.
    """
    folded, idle = [], []
    for node in list(model.graph.nodes):
        if node.op != "call_module":
            continue
        if _is_idle(model.get_submodule(node.target)):
            idle.append(_left_out(model, node))
        elif _folds(model, node):
            _fold(model.get_submodule(node.args[0].target), model.get_submodule(node.target))
            folded.append(_left_out(model, node))
    for name, module in list(model.named_children()):
        if type(module) in PACKED:
            model.add_module(name, _packed(module))
    model.delete_all_unused_submodules()
    model.recompile()
    model.meta["notes"] = tuple(
        text + ", ".join(names)
        for text, names in ((FOLDED, folded), ("layers that do nothing in inference are left out: ", idle))
        if names
    )
    if any(type(module) in PACKED.values() for module in model.children()):
        model.to(memory_format=torch.channels_last)
    return model.requires_grad_(False)


def _is_idle(module: nn.Module) -> bool:
    return type(module) in IDLE or (type(module) is InputNormalization and module.kind == "none")


def _folds(model: fx.GraphModule, node: fx.Node) -> bool:
    """Whether a node is a batch normalisation of what a layer with weights puts out, which nothing else reads."""
    module, before = model.get_submodule(str(node.target)), node.args[0]
    if type(module) not in NORMALIZATIONS or not isinstance(before, fx.Node) or before.op != "call_module":
        return False
    if module._forward_hooks and not hasattr(module, VARIANCE_MOMENTUM):  # the user's; ours are for training
        return False
    source = model.get_submodule(str(before.target))
    grouped = type(source) in TRANSPOSED and source.groups != 1
    return len(before.users) == 1 and type(source) in (*CONVOLUTIONS, *LINEAR) and not grouped


def _fold(source: Any, normalization: Any) -> None:
    """Change weights so that they do what the normalisation after them does."""
    fuse: Any = fuse_linear_bn_weights
    if type(source) not in LINEAR:
        fuse = partial(fuse_conv_bn_weights, transpose=type(source) in TRANSPOSED)
    n = normalization
    held = source.weight, source.bias, n.running_mean, n.running_var, n.weight, n.bias
    weight, bias, mean, variance, scale, offset = (None if each is None else each.detach().double() for each in held)
    made = fuse(weight, bias, mean, variance, n.eps, scale, offset)
    source.weight, source.bias = (nn.Parameter(each.detach().float()) for each in made)


def _left_out(model: fx.GraphModule, node: fx.Node) -> str:
    """Take a node out of the graph; return the name of its layer."""
    node.replace_all_uses_with(node.args[0])  # type: ignore[arg-type]
    model.graph.erase_node(node)
    return str(model.meta["layers"].pop(str(node.target)))


def _packed(module: nn.Module) -> nn.Module:
    """Return the same convolution, with the same parameters and attributes, as one that packs its weights."""
    made = PACKED[type(module)].__new__(PACKED[type(module)])
    made.__dict__.update(module.__dict__)
    return made
