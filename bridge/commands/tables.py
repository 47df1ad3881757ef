"""How a network is shown: the layer table, the input contract, connections, options, log and notes."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from bridge.commands.terminal import Rows, say, title
from bridge.errors import BridgeError
from bridge.network import Layer, Learnable, Network
from bridge.network.contract import constant_shift, contracts
from bridge.pages.learnables import factor_text as factor_text

if TYPE_CHECKING:
    from bridge.readers.mat.contents import Contents


def show(network: Network) -> None:
    """Print everything known of a network."""
    inputs, source = list(contracts(network)), network.source  # what is wrong with the sizes is said first
    title(source.path, about(network))
    batch = "free" if source.batch is None else f"fixed at {source.batch} in the file, free here"
    say(*(f"input {contract}; batch {batch}" for contract in inputs))
    layer_table(network).print()
    if not is_chain(network):
        connection_table(network).print()
    say(totals(network), *extras(network), *(f"note: {note}" for note in notes(network)))


def about(network: Network) -> str:
    """What kind of network it is, and what wrote its file."""
    source = network.source
    producer = ", ".join(
        part for part in (source.producer, source.release, f"opset {source.opset}" if source.opset else "") if part
    )
    form = ", ".join(dict.fromkeys((network.kind, source.format)))
    return f"{form} ({producer})" if producer else form


def layer_table(network: Network) -> Rows:
    """One row a layer, and one more for each further learnable; indices are MATLAB's, from 1."""
    numbers = ("", "Activations", "LearnRateFactor", "L2Factor")
    table = Rows(
        "", "Name", "Type", "Activations", "Learnables", "LearnRateFactor", "L2Factor", " ",
        right=numbers, whole=(*numbers, " "),
    )  # fmt: skip
    for index, layer in enumerate(network.layers, 1):
        rows: list[tuple[str, Learnable | None]] = list(layer.learnables.items()) or [("", None)]
        for position, (name, learnable) in enumerate(rows):
            lead = (index, layer.name, layer.kind, size_text(network, layer)) if position == 0 else ("", "", "", "")
            table.add(*lead, *_learnable_cells(name, learnable), _mark(layer, learnable, position))
    return table


def _learnable_cells(name: str, learnable: Learnable | None) -> tuple[str, str, str]:
    if learnable is None:
        return "", "", ""
    size = "×".join(map(str, learnable.shape)) if learnable.array.size else "not trained"
    return (
        f"{name} {size}",
        factor_text(learnable.learn_rate_factor, learnable.assumed),
        factor_text(learnable.l2_factor, learnable.assumed),
    )


def _mark(layer: Layer, learnable: Learnable | None, position: int) -> str:
    marks = ["frozen"] if learnable is not None and learnable.frozen and not learnable.assumed else []
    if position == 0 and layer.row.evidence == "unseen":
        marks.append("unproven")
    return " ".join(marks)


def size_text(network: Network, layer: Layer) -> str:
    """The activation size in MATLAB's order, or "" where it is an output layer's or cannot be told."""
    try:
        return "" if layer.row.is_output else str(network.sizes[layer.name][0])
    except BridgeError:
        return "?"


def is_chain(network: Network) -> bool:
    """Whether each layer is connected to the next, and nothing else is."""
    following = {(a.name, b.name) for a, b in zip(network.layers, network.layers[1:], strict=False)}
    return {(c.source, c.destination) for c in network.connections} == following and len(network.connections) == len(
        following
    )


def connection_table(network: Network) -> Rows:
    """The connections in MATLAB's spelling."""
    table = Rows("Source", "Destination")
    for source, destination in connection_names(network):
        table.add(source, destination)
    return table


def connection_names(network: Network) -> Iterator[tuple[str, str]]:
    """Yield (source, destination), with ports where a layer has several."""
    for c in network.connections:
        source, destination = network.layers[c.source], network.layers[c.destination]
        a = c.source if len(source.outputs) == 1 else f"{c.source}/{c.source_port}"
        yield a, c.destination if len(destination.inputs) == 1 else f"{c.destination}/{c.destination_port}"


def totals(network: Network) -> str:
    """Count layers, connections, learnables and frozen ones."""
    learnables = [each for _, _, each in network.learnables()]
    values, frozen = (
        sum(each.array.size for each in learnables),
        sum(each.array.size for each in learnables if each.frozen),
    )
    text = f"{len(network.layers)} layers, {len(network.connections)} connections, {len(learnables)} learnables"
    text += f" with {values:,} values" if values else ", none trained" if learnables else ""
    return f"{text}, {frozen:,} of them frozen" if frozen else text


def extras(network: Network) -> Iterator[str]:
    """Yield lines for class names, detector, training options and log."""
    if network.classes:
        yield f"classes ({len(network.classes)}): {', '.join(network.classes)}"
    if network.detector:
        yield f"detector {_object_text(network.detector)}"
    if network.training_options:
        yield f"training options {_object_text(network.training_options)}"
    if network.training_info:
        yield f"training log {_log_text(network.training_info)}"


def show_records(held: Contents) -> None:
    """Print the training options and logs of a .mat file without a network."""
    title(str(held.path), f"no network, {held.format}")
    say(*(f"{name}: training options {_object_text(options)}" for name, options in held.options.items()))
    say(*(f"{name}: training log {_log_text(log)}" for name, log in held.logs.items()))


def record_facts(held: Contents) -> dict[str, Any]:
    """What `show_records` prints, and the numbers of the logs, as JSON values."""
    from bridge.writers.folder import plain

    return {
        "source": {"path": str(held.path), "format": held.format},
        "training_options": plain(held.options),
        "training_info": plain(held.logs),
    }


def _object_text(facts: Mapping[str, Any]) -> str:
    """Name an object's class, and its properties that have a value."""
    shown = (
        f"{name} {_short(value)}"
        for name, value in facts.items()
        if value not in (None, "", ()) and name not in ("class", "Version")
    )
    return f"{str(facts.get('class', '')).rpartition('.')[2]}: {', '.join(shown)}"


def _log_text(log: Mapping[str, Any]) -> str:
    lengths = [
        math.prod(each.shape) if hasattr(each, "shape") else len(each)
        for each in log.values()
        if hasattr(each, "shape") or isinstance(each, list)
    ]
    return f"of {max(lengths, default=0):,} iterations: {', '.join(log)}"


def _short(value: Any) -> str:
    """Write a property's value as MATLAB does."""
    if isinstance(value, tuple) and all(isinstance(each, str) for each in value):
        text = ", ".join(value)
    elif isinstance(value, tuple):
        rows = value if all(isinstance(each, tuple) for each in value) else (value,)
        text = f"[{'; '.join(' '.join(map(_short, row)) for row in rows)}]"
    elif isinstance(value, bool) or value in (math.inf, -math.inf):
        text = {math.inf: "Inf", -math.inf: "-Inf"}.get(value, str(value).lower())
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def notes(network: Network) -> list[str]:
    """What was repaired, inferred or cannot be proven."""
    rows = {layer.kind: layer.row for layer in network.layers}
    unseen = sorted(name for name, row in rows.items() if row.evidence == "unseen" and row.build != "unknown")
    listed = [*network.notes, *constant_shift(network)]
    if unseen:
        listed.append(
            f"these layers follow MATLAB's documentation and were never held against its numbers: {', '.join(unseen)}"
        )
    if any(each.assumed for _, _, each in network.learnables()):
        listed.append("the file holds no factors; MATLAB's defaults are assumed (--factors net.mat gives them)")
    ends = [network.layers[name] for name in network.outputs if network.layers.has(name)]
    if network.classes is None and any("softmax" in layer.row.traits for layer in ends):
        listed.append("the file holds no class names (--classes names.txt or vars.mat gives them)")
    return listed


def facts(network: Network) -> dict[str, Any]:
    """Everything `show` prints, as JSON values."""
    from dataclasses import asdict

    from bridge.writers.folder import plain, to_json

    known = to_json(network)
    for index, (row, layer) in enumerate(zip(known["layers"], network.layers, strict=True), 1):
        frozen = [name for name, each in layer.learnables.items() if each.frozen]
        row.update(index=index, activations=size_text(network, layer), evidence=layer.row.evidence, frozen=frozen)
    known.pop("schema")
    known["notes"] = notes(network)
    known["contracts"] = [plain(asdict(contract)) for contract in contracts(network)]
    return known
