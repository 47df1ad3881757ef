"""Network -> back.mat, plain structs from which `bridgeRebuild.m` makes the network in MATLAB."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import numpy as np

from bridge.errors import DAMAGE, BridgeError, UnsupportedError
from bridge.files.atomic import write_file
from bridge.files.matlab import literal
from bridge.files.names import distinct
from bridge.network import Layer, LayerList, Network
from bridge.writers import mat5, mat73, trial
from bridge.writers.constructors import MATHWORKS, call_of
from bridge.writers.losses import Export, Written
from bridge.writers.mat5 import Value
from bridge.writers.state import Modules
from bridge.writers.structs import Content, option
from bridge.writers.values import FIELD, lowered

VARIABLE, LOG = "bridge", "info"
LARGEST = 2**31  # bytes; MATLAB's limit for a variable of version 7
FUNCTION = "bridgeRebuild.m"
REFUSED = re.compile(r"[/\x00-\x1f\x7f]|^$")  # in names of layers: "/" parts a layer from its port


def save(network: Network, export: Export, *, test: bool = True, modules: Modules | None = None) -> Written:
    """Write a network as structs, version 7 below 2^31 bytes and version 7.3 above, with `bridgeRebuild.m` beside it.

    Args:
        network: what to write. Arrays that are still in a file are read one at a time.
        export: of the .mat file. What the network loses that bridgeRebuild makes of it is lost too.
        test: put in a test input and what the torch module makes of it, for bridgeRebuild to compare with.
        modules: torch modules for layers of your own, for the test; see `Network.to_torch`.

    Raises:
        UnsupportedError: a layer is none of MATLAB's, or, if `strict`, something would be lost.
        UsageError: the file exists (without `force`) or cannot be written.
    """
    require_matlab_layers(network)
    renamed = matlab_names(network)
    export.lose(*losses_of(network, renamed))
    paths = [export.path]

    def write(target: Path) -> None:
        named = with_names(network, renamed)
        content = Content(named, renamed, _trial(named, modules, export.notes) if test else None)
        held = variables(content)
        encoded = {name: mat5.encoded(name, value) for name, value in held.items()}
        sizes = [mat5.size_of(pieces) for pieces in encoded.values()]
        if max(sizes) < LARGEST:
            mat5.write(target, [piece for pieces in encoded.values() for piece in pieces])
        else:
            mat73.write(target, held, sum(sizes))
        export.with_nan += content.with_nan
        paths.extend(_function_beside(export))

    write_file(export.path, write, force=export.force)
    return export.written(paths, f"in MATLAB: net = bridgeRebuild({literal(export.path.name)})")


def variables(content: Content) -> dict[str, Value]:
    """Return what the file holds: the network, and the log of its training beside it, where `trainNetwork` would return
    it.
    """
    struct = content.struct()
    return {VARIABLE: struct} | ({LOG: struct["TrainingInfo"]} if content.network.training_info else {})


def _trial(network: Network, modules: Modules | None, notes: list[str]) -> trial.Trial | None:
    try:
        return trial.run(network, modules)
    except BridgeError as error:
        notes.append(f"there is no test input in it: {error.error} ({error.cause})")
    except DAMAGE as error:  # what a module raises when its input does not fit
        notes.append(
            f"there is no test input in it: its torch module does not run ({str(error).partition(chr(10))[0]})"
        )
    return None


def _function_beside(export: Export) -> Iterator[Path]:
    """Write bridgeRebuild.m beside the file; another one that is there stays, without `force`."""
    target, shipped = export.path.with_name(FUNCTION), (files("bridge") / "matlab" / FUNCTION).read_bytes()

    def write(made: Path) -> None:
        made.write_bytes(shipped)

    if not target.exists() or export.force:
        yield write_file(target, write, force=True)
    elif target.read_bytes() != shipped:
        export.notes.append(f"{target} is not the one of this version, and is kept (--force replaces it)")


def require_matlab_layers(network: Network) -> None:
    """Raise UnsupportedError, naming every layer that is no MATLAB layer."""
    foreign = [f"'{layer.name}' is a {layer.kind}" for layer in network.layers if not layer.row.matlab]
    if foreign:
        cause = "MATLAB has no layer for these nodes of an .onnx file"
        raise UnsupportedError(
            f"{len(foreign)} layer(s) cannot be written: {'; '.join(foreign)}",
            cause,
            "replace them with layers that MATLAB has",
        )


def losses_of(network: Network, renamed: Mapping[str, str]) -> Iterator[str]:
    """Yield what a network has that its structs, or the network that bridgeRebuild makes of them, have not."""
    for old, new in renamed.items():
        yield f"layer '{old}' becomes '{new}': in MATLAB a name has characters, and neither \"/\" nor control ones"
    for layer in network.layers:
        yield from (
            f"layer '{renamed.get(layer.name, layer.name)}' ({layer.kind}): {loss}" for loss in _losses_of_layer(layer)
        )
    for title, facts in (("training options", network.training_options), ("training log", network.training_info)):
        yield from (
            f"{name} of the {title}"
            for name, value in (facts or {}).items()
            if not FIELD.fullmatch(name) or option(name, value) is None
        )
    if network.detector:
        yield (
            "what the detector has beside its network: "
            f"{', '.join(name for name in network.detector if name != 'class')}"
        )


def _losses_of_layer(layer: Layer) -> Iterator[str]:
    call = call_of(layer)
    if not call.constructor:
        why = (
            "which no function of MATLAB's makes"
            if layer.row.matlab[0].startswith(MATHWORKS)
            else "which is not MathWorks'"
        )
        yield f"bridgeRebuild refuses its class {layer.row.matlab[0]}, {why}"
    yield from (f"{layer.row.constructor} takes no {name}, which is {layer.properties[name]}" for name in call.lost)
    yield from (
        f"its property {name}"
        for name, value in layer.properties.items()
        if not FIELD.fullmatch(name) or lowered(value) is None
    )
    arrays = {**{name: each.array for name, each in layer.learnables.items()}, **layer.state}
    yield from (
        f"the half precision of {name}, which becomes single"
        for name, array in arrays.items()
        if array.dtype == np.float16
    )
    yield from (f"its array {name}" for name in arrays if not FIELD.fullmatch(name))


def matlab_names(network: Network) -> dict[str, str]:
    """Return the names of layers that MATLAB refuses, each with the one it gets."""
    names = [layer.name for layer in network.layers]
    return distinct(((name, REFUSED.sub("_", name)) for name in names if REFUSED.search(name)), names)


def with_names(network: Network, renamed: Mapping[str, str]) -> Network:
    """Return the network with other names for some of its layers."""

    def new(name: str) -> str:
        if network.layers.has(name):
            return renamed.get(name, name)
        layer, _, port = name.rpartition("/")
        return f"{renamed.get(layer, layer)}/{port}"

    if not renamed:
        return network
    return replace(
        network,
        layers=LayerList(replace(layer, name=new(layer.name)) for layer in network.layers),
        connections=tuple(
            replace(c, source=new(c.source), destination=new(c.destination)) for c in network.connections
        ),
        inputs=tuple(map(new, network.inputs)),
        outputs=tuple(map(new, network.outputs)),
    )
