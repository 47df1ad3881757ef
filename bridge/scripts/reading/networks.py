"""Functions that give networks: pretrained ones, files, networks that MATLAB builds, detectors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bridge import layers as constructors
from bridge import networks
from bridge.errors import BridgeError
from bridge.network import Layer, Network
from bridge.network.assembly import network_of
from bridge.network.head import head
from bridge.readers import load
from bridge.recipes.verbs import COUNTS
from bridge.scripts.language.calls import Call, reads
from bridge.scripts.language.values import Many, Unknown, is_plain, unknown_in
from bridge.scripts.reading.graphs import changed, view_of
from bridge.scripts.reading.objects import Boxes, OfData, Origin, ToldLayer, ToldNetwork, UnknownNetwork
from bridge.scripts.reading.study import Loaded, study
from bridge.tables.detectors import detector_rows
from bridge.tables.layers import table

DEEPEST = {"EncoderDepth": 16, "StackDepth": 300}  # each stage of an encoder halves the image; blocks of all stacks
UNBUILT = "the layers of {} are not built in; pass the saved network with --network"
PRETRAINED = tuple(sorted({*table("pretrained"), *table("scripts")["pretrained_elsewhere"]}))
ROLES: dict[str, str] = table("scripts")["roles"]
MADE: dict[str, dict[str, Any]] = table("scripts")["builders"]
MOST_BOXES = 100
TWO_COUNTS = (2, 3)  # of classes: the layers that differ are those that depend on it


def _unbuilt(call: Call, name: str) -> UnknownNetwork:
    return UnknownNetwork(call.text, call.place, UNBUILT.format(name), network=name)


@reads(*PRETRAINED)
def _pretrained(call: Call) -> Any:
    weights = call.option(0, "Weights", "imagenet")
    if not isinstance(weights, str):
        return call.unknown("which weights the network has is not known")
    weights = weights.lower()
    other = f"{call.function}-{weights}"  # the name of these weights in imagePretrainedNetwork
    name = other if other in PRETRAINED else call.function
    found = study(call).known(name)
    if found is None:
        return _unbuilt(call, name)
    if weights not in ("imagenet", "none") and name != other:
        call.report(f"the weights are those of '{weights}'; pass the saved network with --network")
    chain = all(len(sources) == 1 for name, sources in found.incoming.items() if name not in found.inputs)
    kind = "LayerGraph" if weights == "none" else "SeriesNetwork" if chain else "DAGNetwork"
    made = view_of(Origin(name, "", found, call.place, weights == "none"), kind)
    return made.told if weights == "none" and chain else made


@reads("imagePretrainedNetwork")
def _image_pretrained(call: Call) -> Any:
    known = {name.lower(): name for name in PRETRAINED}
    first = call.values[0] if call.values else ""
    by_position = isinstance(first, str) and first.lower() in known
    if len(call.values) % 2 != by_position:
        return call.unknown(f"{call.texts[0]} is no network that is known")
    name = known[first.lower()] if by_position else table("scripts")["default_pretrained"]
    network = study(call).known(name)
    if network is None:
        return _unbuilt(call, name)
    count, weights = (call.option(int(by_position), each) for each in ("NumClasses", "Weights"))
    if weights is not None and not isinstance(weights, str):
        return call.unknown("which weights the network has is not known")
    untrained = weights is not None and weights.lower() == "none"
    made = view_of(Origin(name, "", network, call.place, untrained), "dlnetwork")
    if count is not None:
        made = changed(made, head(network).layer.name, lambda layer: _resized(layer, count, call))
    return Many((made, OfData("class names"))) if call.outputs > 1 else made


def _resized(old: ToldLayer, count: Any, call: Call) -> ToldLayer:
    """Return a new layer like the old one for a number of classes, which may not be known."""
    size = next(key for key in COUNTS if key in old.row.properties)
    rates = {name for each in old.row.learnables.values() for name in (each.learn_rate, each.l2)}
    entry = {key: value for key, value in constructors.to_mapping(old).items() if key not in rates}
    known = is_plain(count)
    made = constructors.from_mapping({**entry, size: count if known else TWO_COUNTS[0]})
    return ToldLayer.of(made, call.place, open={} if known else {size: count})


@reads("load", "importNetworkFromONNX", "importONNXNetwork")
def _load(call: Call) -> Any:
    """A file of the script's own folder, or the network that was passed instead."""
    name = next((str(each) for each in call.values if isinstance(each, str)), "")
    found: Any = _loaded(call, name)
    if found is None:
        missing = (
            f"{name} holds no network that could be read, or is not beside the script; pass the network with --network"
        )
        found = UnknownNetwork(call.text, call.place, missing, file=name)
    if call.function != "load":
        return found
    loaded = Loaded(found, call.text, call.place)
    if call.outputs:
        return loaded
    study(call).loaded = loaded
    return None


def _loaded(call: Call, name: str) -> ToldNetwork | None:
    network, file = study(call).network, name if "." in name else f"{name}.mat"
    path = call.reader.script.around.file(file) if name else None
    if network is None and path is not None:
        file = path.relative_to(call.reader.script.around.root).as_posix()
        try:
            network = load(path)
        except BridgeError:
            return None
    return view_of(Origin("", file, network, call.place), network.kind) if network is not None and name else None


# Networks that MATLAB builds: by the same builders, on the layers of another network where they take one


@reads(*MADE)
def _built(call: Call) -> Any:
    row = MADE[call.function]
    build: Callable[..., Network] | None = getattr(networks, row["builder"], None)
    if build is None:
        return call.unknown(UNBUILT.format(call.function))
    given = [_argument(each, row.get(str(at))) for at, each in enumerate(call.values[: row["arguments"]])]
    options = {name: value for name, (value, _) in call.named(row["arguments"]).items() if name in row["options"]}
    depths = {**options, "EncoderDepth": given[-1]} if row.get("depth") else options
    if any(_blocks(depths.get(name)) > most for name, most in DEEPEST.items()):
        return call.unknown(f"{call.function} would make a network deeper than any that is trained")
    only_classes = all(each.kind == "class count" for each in given if isinstance(each, OfData))
    if unknown_in((*given, *options.values())) is not None or not only_classes:
        return call.unknown(f"an argument of {call.function} is not known")
    if any(isinstance(each, str) for each in given[2:3]) and "encoders" in row:
        what = f"the encoder starts with the weights of {given[2]}, the recipe's with new ones"
        call.reader.findings.problem(call.place, f"{what}; pass the saved network with --network")
    made = [build(*_known(given, count), **options) for count in TWO_COUNTS]
    boxes = next((each for each in given if isinstance(each, Boxes)), None)
    layers = [_told(layer, made[1], given, boxes, call) for layer in made[0].layers]
    _tell_of_values(call, made[0])
    kind = "dlnetwork" if made[0].kind == "dlnetwork" else "LayerGraph"
    found = ToldNetwork.of(layers, made[0].connections, kind)
    return Many((found, call.unknown())) if call.outputs > 1 else found


def _blocks(depth: Any) -> int:
    """Return how many stages or blocks a depth stands for, 0 where it is not known."""
    return sum(each for each in (depth if isinstance(depth, tuple) else (depth,)) if isinstance(each, int))


def _tell_of_values(call: Call, made: Network) -> None:
    """List a line whose function gives layers values, which a recipe has no place for."""
    new = [layer for layer in made.layers if not isinstance(layer, ToldLayer)]
    valued = [layer.name for layer in new if any(each.array.size for each in layer.learnables.values())]
    if valued:
        what = f"{call.function} gives {', '.join(valued)} values that the recipe has not"
        call.reader.findings.problem(call.place, f"{what}; pass the saved network with --network")


def _argument(value: Any, kind: str | None) -> Any:
    """Return an argument as a builder takes it: a number for class names, rows of anchor boxes."""
    if kind == "classes" and isinstance(value, tuple) and value and all(isinstance(each, str) for each in value):
        return len(value)
    if kind == "classes" and (isinstance(value, OfData) or (isinstance(value, Unknown) and not value.why)):
        return OfData("class count", value)
    if kind == "boxes" and isinstance(value, tuple) and value and not isinstance(value[0], tuple):
        return (value,)
    if isinstance(value, ToldNetwork):
        return network_of(Network, value.kind, value.layers, value.connections, value.source)
    return str(value) if isinstance(value, str) else value


def _known(given: list[Any], count: int) -> list[Any]:
    """Return arguments with something in the place of what only the data tell."""
    return [count if isinstance(each, OfData) else each.stand_in if isinstance(each, Boxes) else each for each in given]


def _told(layer: Layer, other: Network, given: list[Any], boxes: Boxes | None, call: Call) -> ToldLayer:
    """Return a layer of a built network; what depends on the data is open."""
    if isinstance(layer, ToldLayer):
        return layer
    count = next((each for each in given if isinstance(each, OfData)), None)
    opened: dict[str, Any] = {}
    for key, value in layer.properties.items():
        varied = value, other.layers[layer.name].properties[key]
        if varied == TWO_COUNTS:
            opened[key] = count
        elif varied[0] != varied[1]:
            opened[key] = call.unknown(
                f"it depends on the number of classes, which {call.function} takes from the data"
            )
        elif boxes is not None and key == ROLES["boxes"]:
            opened[key] = boxes
    learnables = {name: replace(each, array=constructors.NO_VALUES) for name, each in layer.learnables.items()}
    # training computes its statistics
    return replace(ToldLayer.of(layer, call.place, open=opened), learnables=learnables, state={})


@reads(*detector_rows())
def _detector(call: Call) -> Any:
    """A detector: by the name of a pretrained one; what a constructor adds to the layers of another is not built."""
    name = call.values[0] if call.values else None
    if isinstance(name, str):
        return _unbuilt(call, str(name))
    return call.unknown(f"the layers that {call.function} adds are not built in")


@reads("estimateAnchorBoxes")
def _estimated(call: Call) -> Any:
    """Anchor boxes of the data: as many as are asked for, of unknown sizes."""
    call.reader.draws = call.reader.draws.unknown("estimateAnchorBoxes starts its clusters at random")
    count = call.values[1] if len(call.values) > 1 else None
    if not isinstance(count, int) or not 0 < count <= MOST_BOXES:
        return call.unknown("how many anchor boxes are estimated is not known")
    boxes = Boxes(count, call.text)
    return Many((boxes, call.unknown())) if call.outputs > 1 else boxes


@reads("mtimes", "times", "mrdivide", "rdivide", "floor", "ceil", "round", of=Boxes)
def _scaled(call: Call) -> Any:
    return next(each for each in call.values if isinstance(each, Boxes))


@reads("size", "height", of=Boxes)
def _box_count(call: Call) -> Any:
    count = call.values[0].count
    return count if call.values[1:] == (1,) or call.function == "height" else (count, 2)
