"""Functions that make layers and networks of layers, and that change them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from bridge.errors import UsageError, nearest
from bridge.layers import new_layer, property_names, require_property, rows
from bridge.network import LayerList, check_structure, checked_factor, edit, factor_names
from bridge.network.head import head
from bridge.network.network import NORMALIZATION
from bridge.network.ports import connect
from bridge.scripts.language.calls import Call, reads
from bridge.scripts.language.values import Char, Many, Table, Unknown, is_plain, unknown_in
from bridge.scripts.reading.graphs import changed, with_names
from bridge.scripts.reading.objects import Initialized, LayerArray, ToldLayer, ToldNetwork
from bridge.tables.layers import LayerRow, table

Names = (str, tuple)
STAND_INS: Sequence[Any] = (1, "x")  # in place of an argument that is not known, while its layer is made
LAYERS_OF_A_STEP = 4  # of the work that a script may be, where the structure of a network is checked
KINDS = table("scripts")["network_kinds"]
ALIASES: Mapping[str, str] = table("scripts")["aliases"]
WITHOUT_EFFECT: Mapping[str, Mapping[str, Any]] = table("scripts")["without_effect"]


# Layers and networks made


@reads(*rows())
def _constructor(call: Call) -> Any:
    """A layer: arguments by position, then by name in any case of letters."""
    row = rows()[call.function]
    known = {name.lower(): ALIASES.get(name, name) for name in (*property_names(row), *ALIASES)}
    ignored = WITHOUT_EFFECT.get(call.function, {})
    by_name = (at for at, value in enumerate(call.values) if isinstance(value, str) and value.lower() in known)
    count = min(next(by_name, len(call.values)), len(row.arguments))
    given = dict(zip(row.arguments, call.values[:count], strict=False))
    for name, (value, _) in call.named(count).items():
        if name in ignored and value == ignored[name]:
            continue
        if name.lower() not in known or known[name.lower()] not in property_names(row):
            raise UsageError(f"{call.function} has no property '{name}'", nearest(name, known.values()))
        given[known[name.lower()]] = value
    if (len(call.values) - count) % 2:
        return call.unknown(f"the arguments of {call.function} are not understood")
    name = given.pop("Name", "")
    if not isinstance(name, str):
        return call.unknown(f"the Name of {call.function} is no text that is known")
    return _made(call, row, name, given)


def _made(call: Call, row: LayerRow, name: str, given: dict[str, Any]) -> Any:
    """Return a layer of which some properties may not be known."""
    known = {key: value for key, value in given.items() if is_plain(value)}
    for key, value in known.items():
        require_property(row, key, value)
    open_ones = {key: value for key, value in given.items() if key not in known}
    missing = [key for key in row.arguments if key in open_ones]
    for stand_in in STAND_INS if missing else (None,):
        try:
            layer = new_layer(row, name, {**dict.fromkeys(missing, stand_in), **known})
        except UsageError:
            if not missing:
                raise
            continue
        return LayerArray((ToldLayer.of(layer, call.place, open=open_ones),))
    return call.unknown(f"what {call.function} makes of {', '.join(missing)} is not known")


@reads(*KINDS)
def _network(call: Call) -> Any:
    value = call.values[0] if call.values else LayerArray()
    kind = KINDS[call.function]
    if isinstance(value, ToldNetwork):
        made = replace(value, kind=kind)
    elif value == () or isinstance(value, LayerArray):
        made = _checked(ToldNetwork.of(with_names(LayerArray(value)), None, kind), call)
    else:
        return call.unknown("what the graph is made of is not known")
    draws = kind == "dlnetwork" and call.option(1, "Initialize", True) is not False
    return _initialized(call, made) if draws and made.inputs else made


@reads("initialize", takes=(object,))
def _initialize(call: Call, network: Any) -> Any:
    return _initialized(call, network) if isinstance(network, ToldNetwork) else network


@reads("resetState", takes=(object,))
def _same(call: Call, network: Any) -> Any:
    return network


def _initialized(call: Call, network: ToldNetwork) -> ToldNetwork:
    """Return a network whose initial values are drawn, where any are: as much as its layers tell."""
    names, before = tuple(layer.name for layer in network.layers), network.initialized
    if not any(layer.learnables and layer.origin is None for layer in network.told) or (
        before is not None and before.layers == names
    ):
        return network
    draws = call.reader.draws
    call.reader.draws = draws.deferring()
    return replace(network, initialized=Initialized(draws, names))


# Layers replaced, connected, frozen: by the edits of a network


def _names(value: Any) -> list[str]:
    """Return names as a list; none where one of them is no text."""
    items = [value] if isinstance(value, str) else list(value)
    return items if all(isinstance(each, str) for each in items) else []


def _checked(network: ToldNetwork, call: Call) -> ToldNetwork:
    """Return a network whose structure was changed, if MATLAB takes it."""
    call.reader.steps += len(network.layers) // LAYERS_OF_A_STEP
    if network.layers:
        check_structure(network)
    return network


@reads("removeLayers", takes=(ToldNetwork, Names), why="which layers are removed is not known")
def _remove(call: Call, network: ToldNetwork, given: Any) -> Any:
    names = _names(given)
    if not names:
        return call.unknown("which layers are removed is not known")
    return _checked(edit.remove(network, [network.layers[name] for name in names]), call)


@reads("addLayers", takes=(ToldNetwork, (LayerArray, ToldNetwork)), why="which layers are added is not known")
def _add(call: Call, network: ToldNetwork, given: LayerArray | ToldNetwork) -> Any:
    added = with_names(given.told if isinstance(given, ToldNetwork) else given)
    return _checked(edit.add(network, added), call)


@reads("connectLayers", takes=(ToldNetwork, str, str), why="which layers are connected is not known")
def _connect(call: Call, network: ToldNetwork, source: str, destination: str) -> Any:
    return _checked(edit.connected(network, source, destination), call)


@reads("disconnectLayers", takes=(ToldNetwork, str, str), why="which layers are connected is not known")
def _disconnect(call: Call, network: ToldNetwork, source: str, destination: str) -> Any:
    return _checked(edit.disconnected(network, source, destination), call)


@reads("replaceLayer", takes=(ToldNetwork, str, LayerArray), why="which layer is replaced by what is not known")
def _replace(call: Call, network: ToldNetwork, name: str, new: LayerArray) -> Any:
    if len(new) == 1 and not new[0].name:
        new = LayerArray((replace(new[0], name=name, automatic=True),))
    return _checked(edit.replace_layers(network, name, with_names(new)), call)


@reads(
    "createLgraphUsingConnections",
    takes=(LayerArray, Table),
    why="the layers or connections are not known",
    carried=True,
)
def _create(call: Call, layers: LayerArray, connections: Table) -> Any:
    if unknown_in(connections) or {"Source", "Destination"} - set(connections):
        return call.unknown("the layers or connections are not known")
    pairs = zip(connections["Source"], connections["Destination"], strict=True)
    return _checked(ToldNetwork.of(layers, connect(pairs, LayerList(layers)), "LayerGraph"), call)


@reads("findLayersToReplace", "networkHead", takes=(ToldNetwork,), carried=True)
def _find_head(call: Call, network: ToldNetwork) -> Any:
    """The last layer with weights, walking up from the output, and the output layer."""
    found = head(network)
    if call.function == "networkHead":
        paths = tuple(f"{found.layer.name}/{name}" for name in found.layer.learnables)
        return Many((Char(found.layer.name), paths))
    end = found.output or network.layers[network.outputs[0]]
    return Many((LayerArray((found.layer,)), LayerArray((end,))))  # type: ignore[arg-type]


@reads("freezeWeights", takes=(LayerArray,), why="which layers are frozen is not known", carried=True)
def _freeze_weights(call: Call, layers: LayerArray) -> Any:
    """MathWorks' helper, where its source is not beside the script: every learn-rate factor, as the newer one does."""
    if any(is_normalization(layer) for layer in layers):
        call.report("freezeWeights is not in the folder; the newer one, which freezes Scale and Offset too, is taken")
    return LayerArray(layer.freeze(call.place) for layer in layers)


def is_normalization(layer: ToldLayer) -> bool:
    """Whether a layer has the learnables that the older freezeWeights leaves alone."""
    return set(NORMALIZATION) <= layer.learnables.keys()


@reads("freezeNetwork", takes=(ToldNetwork,), why="which layers are frozen is not known", carried=True)
def _freeze_network(call: Call, network: ToldNetwork) -> Any:
    """MathWorks' helper: every layer but those that are named, by name or by class."""
    options = {name.lower(): value for name, (value, _) in call.named(1).items()}
    known = len(call.values) % 2 and all(
        "ignore" in name and isinstance(value, Names) and _names(value) for name, value in options.items()
    )
    if not known:
        return call.unknown("which layers are frozen is not known")
    spared = {part for value in options.values() for each in _names(value) for part in (each, each.partition("/")[0])}
    kept = {each.name for each in network.told if spared & {each.name, each.matlab, each.kind}}
    frozen = (layer if layer.name in kept else layer.freeze(call.place) for layer in network.told)
    return network.with_told(frozen)


@reads("setLearnRateFactor", "setL2Factor")
def _set_factor(call: Call) -> Any:
    """The three forms: (layer, learnable, factor), (network, layer, learnable, factor), (network, "layer/learnable",
    factor).
    """
    held, *rest = call.values or (None,)
    if isinstance(held, LayerArray) and len(held) == 1 and len(rest) == 2:
        return LayerArray((_with_factor(held[0], rest[0], rest[1], call),))
    if len(rest) == 2 and isinstance(rest[0], str):
        rest = [*rest[0].rpartition("/")[::2], rest[1]]
    if not isinstance(held, ToldNetwork) or len(rest) != 3 or not all(isinstance(each, str) for each in rest[:2]):
        return call.unknown("whose factor is set is not known")
    name, learnable, factor = rest
    return changed(held, name, lambda layer: _with_factor(layer, learnable, factor, call))


def _with_factor(layer: ToldLayer, learnable: str, factor: Any, call: Call) -> ToldLayer:
    if learnable not in layer.learnables:
        known = ", ".join(layer.learnables) or "none"
        raise UsageError(
            f"layer '{layer.name}' has no learnable '{learnable}'", f"its learnables are {known}", "check the name"
        )
    if not isinstance(factor, Unknown):
        checked_factor(factor)
    name = factor_names(layer.row, learnable)[call.function == "setL2Factor"]
    return layer.set(name, factor, call.place) or layer
