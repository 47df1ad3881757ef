"""Network -> torch module: one nn.Module for each MATLAB layer, called exactly once.

A row of the tables names its builder, a function here or beside the modules it makes. A builder makes the module
without weights (on the meta device); `fill` then moves every learnable and statistic of the layer into it, turned as
the row says.
"""

from __future__ import annotations

import runpy
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, fx, nn

from bridge.arrays.lazy import Array
from bridge.errors import UnreadableError, UnsupportedError, UsageError, quoted
from bridge.files.names import KEYWORDS, distinct, module_name
from bridge.modules import attention, factors, foreign, general, normalization, recurrent, regions, shape, windows  # noqa: F401
from bridge.modules.builders import BUILDERS, Given
from bridge.modules.graph import graph_of, relu_in_place, works_on_images
from bridge.modules.inference import optimized
from bridge.network.blame import interpreting
from bridge.network.tensors import given_sizes, tensors

if TYPE_CHECKING:
    from bridge.network import Layer, Network


def to_torch(
    network: Network,
    *,
    include_normalization: bool = True,
    include_softmax: bool = True,
    modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    optimize: bool = False,
) -> fx.GraphModule:
    """Build the PyTorch module of a network.

    Args:
        network: what to build.
        include_normalization: whether input layers normalise; else the module takes normalised data.
        include_softmax: whether a softmax that the network ends in stays; leave it out for torch's own losses.
        modules: for classes of your own, what makes the torch module of a layer: {"my.Layer": MyLayer}.
        optimize: whether the module is for prediction alone, and faster; see `bridge.modules.inference.optimized`.

    Returns:
        An ordinary module in eval mode. Images are N,C,H,W, sequences N,T,C. Submodules carry MATLAB's layer names
        (`meta["layers"]` maps them back where a name had to change); frozen learnables do not require gradients.

    Raises:
        UnsupportedError: every layer that cannot be built, with its reason.
        UnreadableError: a learnable whose shape does not fit its layer.
    """
    _require_single(network)
    names = module_names(layer.name for layer in network.layers)
    made = build_modules(network, modules or {}, include_normalization)
    if not include_softmax:
        read = {each.source for each in network.connections if not network.layers[each.destination].row.is_output}
        for output in network.outputs:
            if output in made and output not in read and "softmax" in network.layers[output].row.traits:
                made[output] = nn.Identity()
    relu_in_place(network, made)
    graph = graph_of(network, made, names)
    model = fx.GraphModule({names[name]: module for name, module in made.items()}, graph, "Network")
    model.meta["layers"] = {names[name]: name for name in made}
    return optimized(model.eval()) if optimize else model.eval()


def _require_single(network: Network) -> None:
    """Refuse an ONNX graph in another precision: what its inputs are, the single-precision weights of a module do not
    take.
    """
    held = {str(each.array.dtype) for _, _, each in network.learnables()}
    other = next(
        (layer for layer in network.layers if layer.properties.get("Type") in held & {"float16", "float64"}), None
    )
    if other is not None:
        cause, hint = (
            "modules compute in single precision, as MATLAB does",
            "export it in single precision: model.float() in PyTorch",
        )
        raise UnsupportedError(f"the weights and the input '{other.name}' are {other.Type}", cause, hint)


def build_modules(
    network: Network, modules: Mapping[str, Callable[[Layer], nn.Module]], include_normalization: bool = True
) -> dict[str, nn.Module]:
    """Build the module of every layer that has one, by layer name, in run order."""
    made: dict[str, nn.Module] = {}
    problems: list[UnsupportedError] = []
    for layer in network.order:
        if layer.row.is_output:
            continue
        given = given_sizes(network, layer)
        if works_on_images(layer, given):
            given = [at.at_one_time() for at in given]
        try:
            made[layer.name] = build_layer(layer, given, modules, include_normalization)
        except UnsupportedError as error:
            problems.append(error.with_traceback(None))  # which would keep the file open
    if problems:
        raise joined(problems, network)
    return made


def joined(problems: Sequence[UnsupportedError], network: Network) -> UnsupportedError:
    """Return one error of those that single layers raised."""
    texts = [
        error.error if error.cause == UnsupportedError.cause else f"{error.error} ({error.cause})" for error in problems
    ]
    hints = {error.hint for error in problems}
    hint = hints.pop() if len(hints) == 1 else UnsupportedError.hint
    return UnsupportedError("; ".join(texts), f"{len(problems)} of {len(network.layers)} layers cannot be built", hint)


UNTRAINED = "`bridge inspect` shows an untrained network, network.initialize(seed) gives it values in Python"


def build_layer(
    layer: Layer, given: Given, modules: Mapping[str, Callable[[Layer], nn.Module]], include_normalization: bool = True
) -> nn.Module:
    """Build one layer's module with its weights."""
    made = _build(layer, given, modules, include_normalization)
    setattr(made, factors.LAYER_ATTRIBUTE, layer.name)
    return made


ADDS_PORTS = ("HasStateInputs", "HasStateOutputs", "HasPaddingMaskInput", "HasScoresOutput")


def _build(
    layer: Layer, given: Given, modules: Mapping[str, Callable[[Layer], nn.Module]], include_normalization: bool
) -> nn.Module:
    own = own_module(layer, modules)
    if own is not None:
        return _own_module(own, layer)
    if "normalizes" in layer.row.traits and not include_normalization:
        return normalization.InputNormalization("none")
    with interpreting(layer):
        module = unfilled(layer, given)
        fill(module, layer, given)
        _require_numbers(layer)
    return module


def own_module(
    layer: Layer, modules: Mapping[str, Callable[[Layer], nn.Module]]
) -> Callable[[Layer], nn.Module] | None:
    """Return what the user passed for the class of a layer, or None."""
    return next((modules[name] for name in (*layer.row.matlab, layer.kind) if name in modules), None)


def unfilled(layer: Layer, given: Given) -> nn.Module:
    """Build one layer's module on the meta device, without weights.

    Raises:
        UnsupportedError: it cannot be built.
    """
    more_ports = [name for name in ADDS_PORTS if layer.properties.get(name)]
    if more_ports:
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) has {' and '.join(more_ports)}",
            "its module has no such inputs and outputs",
        )
    empty = [name for name, learnable in layer.learnables.items() if learnable.array.size == 0]
    if empty:
        raise UnsupportedError(
            f"layer '{layer.name}' is not trained: its {', '.join(empty)} hold no values", hint=UNTRAINED
        )
    with torch.device("meta"):
        return BUILDERS[layer.row.build](layer, given)


def _require_numbers(layer: Layer) -> None:
    """Raise ValueError where a property that is a number in the tables is none here: torch would notice in the first
    run only.
    """
    for name, known in layer.row.properties.items():
        value = layer.properties.get(name, known.default)
        if known.form in ("flag", "number") and value is not None and not known.fits(value):
            raise ValueError(f"its {name} is {quoted(repr(value))}, it takes {known.takes}")


def _own_module(make: Callable[[Layer], nn.Module], layer: Layer) -> nn.Module:
    try:
        made = make(layer)
    except Exception as error:  # whatever the user's own code raises
        cause = f"{type(error).__name__}: {error}"
        raise UsageError(
            f"your module for layer '{layer.name}' ({layer.kind}) cannot be made", cause, "it is called with the layer"
        ) from error
    if not isinstance(made, nn.Module):
        raise UsageError(
            f"your module for layer '{layer.name}' ({layer.kind}) is a {type(made).__name__}",
            "it is no module",
            "return a torch.nn.Module",
        )
    own = dict(made.named_parameters(recurse=False))
    for name in layer.learnables:
        row = layer.row.learnables.get(name)
        for local in row.torch if row else (name,):
            if local in own:
                _set_factors(made, local, own[local], layer, name)
    return made


def _set_factors(module: nn.Module, local: str, parameter: nn.Parameter, layer: Layer, name: str) -> None:
    learnable = layer.learnables[name]
    parameter.requires_grad_(not learnable.frozen)
    known: dict[str, factors.Factors] = getattr(module, factors.ATTRIBUTE, {})
    facts = factors.Factors(f"{layer.name}/{name}", learnable.learn_rate_factor, learnable.l2_factor, learnable.assumed)
    setattr(module, factors.ATTRIBUTE, {**known, local: facts})


def fill(module: nn.Module, layer: Layer, given: Given) -> None:
    """Move a layer's learnables and statistics into its module, with their factors.

    Raises:
        UnsupportedError: a parameter of the module got no values.
        UnreadableError: an array does not fit.
    """
    setattr(module, factors.ATTRIBUTE, {})
    for each in tensors(layer, given):
        if not each.learnable and each.local not in module._buffers:
            continue
        expected = getattr(module, each.local, None)
        if expected is not None and tuple(expected.shape) != each.array.shape and "normalizes" not in layer.row.traits:
            raise UnreadableError(
                f"{each.name} of layer '{layer.name}' ({layer.kind}) has shape {each.array.shape} in torch's order",
                f"the layer's other properties ask for {tuple(expected.shape)}",
                "the file is damaged or of an unknown form",
            )
        tensor = as_tensor(each.array)
        if not each.learnable:
            module._buffers[each.local] = tensor
            continue
        parameter = nn.Parameter(tensor)
        setattr(module, each.local, parameter)
        _set_factors(module, each.local, parameter, layer, each.name)
    _zero_the_rest(module, layer)


def as_tensor(array: Array) -> Tensor:
    """Read an array into a single-precision tensor of its own: copied at most once between the file and the tensor.

    MATLAB computes in single precision, so what a file holds in double (a mean, say) is rounded to single here too.
    """
    value = array.read()
    owned = value.flags.writeable and value.flags.c_contiguous and value.dtype == np.float32
    return torch.from_numpy(value if owned else np.array(value, np.float32, order="C"))


def _zero_the_rest(module: nn.Module, layer: Layer) -> None:
    """Give biases MATLAB does not have (torch's second LSTM bias), frozen, and states that are empty zeros."""
    for local, parameter in list(module.named_parameters()):
        if parameter.is_meta:
            if not local.startswith("bias"):
                raise UnsupportedError(f"layer '{layer.name}' ({layer.kind}) has no {local}")
            setattr(module, local, nn.Parameter(torch.zeros(parameter.shape), requires_grad=False))
    for local, buffer in list(module.named_buffers()):
        if buffer.is_meta:
            if not local.endswith(("_state", "num_batches_tracked")):
                raise UnsupportedError(
                    f"layer '{layer.name}' ({layer.kind}) holds no {local}", "its statistics were not computed yet"
                )
            module._buffers[local] = torch.zeros(buffer.shape, dtype=buffer.dtype)


# Names and the graph


def module_names(layers: Iterable[str]) -> dict[str, str]:
    """Return the submodule name of each layer name: the same, wherever torch can take it.

    See `bridge.files.names.module_name`; names that a module already has, and Python's keywords, get a trailing "_".
    A name that can stay keeps it, whatever another becomes.
    """
    wanted = sorted(((layer, module_name(layer)) for layer in layers), key=lambda pair: pair[0] != pair[1])
    return distinct(wanted, {*KEYWORDS, *dir(fx.GraphModule({}, fx.Graph()))})


def modules_from(path: Path) -> Mapping[str, Callable[[Layer], nn.Module]]:
    """Run a Python file the user named and return its MODULES: MATLAB class -> what makes the module of a layer.

    Raises:
        UsageError: the file cannot be run, or has no such mapping.
    """
    try:
        found = runpy.run_path(str(path)).get("MODULES")
    except (Exception, SystemExit) as error:  # whatever the user's own file raises
        raise UsageError(
            f"cannot run {path}", f"{type(error).__name__}: {error}", "it is a Python file of yours"
        ) from error
    if not isinstance(found, Mapping) or not all(callable(each) for each in found.values()):
        raise UsageError(
            f"{path} defines no MODULES",
            "that is a dict of MATLAB class names and callables",
            "MODULES = {'my.Layer': MyLayer}",
        )
    return found
