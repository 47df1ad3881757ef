"""Whether two sides of a check are of the same network: their inputs, layers and class names."""

from __future__ import annotations

from bridge.errors import UsageError, nearest
from bridge.network import Network
from bridge.network.activations import Activation
from bridge.parity.compare import OUTPUT, Oracle, Subject
from bridge.parity.references import Reference


def require_same_inputs(ours: Network, theirs: Network) -> None:
    """Raise UsageError unless what one network takes the other takes too; a length that is free fits any."""
    mine, others = ([network.sizes[name][0] for name in network.inputs] for network in (ours, theirs))
    if len(mine) == len(others) and all(map(_fits, mine, others)):
        return
    shown = (", ".join(map(str, sizes)) or "nothing" for sizes in (mine, others))
    raise UsageError(
        "the two networks take different inputs", " and ".join(shown), "compare networks of the same architecture"
    )


def _fits(ours: Activation, theirs: Activation) -> bool:
    lengths = zip(ours.size, theirs.size, strict=False)
    alike = ours.format == theirs.format and len(ours.size) == len(theirs.size)
    return alike and all(None in pair or pair[0] == pair[1] for pair in lengths)


def require_same_layers(reference: Reference, subject: Subject) -> list[str]:
    """Raise UsageError where a reference is of another network; return what the two do not share."""
    network, notes = subject.network, list[str]()
    lost = [
        layer for layer in reference.records if layer.partition("/")[0] not in (*subject.layers, *reference.skipped)
    ]
    if lost and len(lost) < len(reference.records) and subject.named:
        notes.append(f"not compared, for names maps no submodule to them: {', '.join(lost)}")
    elif lost:
        cause = nearest(lost[0], subject.layers)
        raise UsageError(
            f"the reference has the layer '{lost[0]}', the network has not ({len(lost)} such layer(s))",
            cause,
            "it is of another network",
        )
    missing = (
        [layer for layer in subject.layers if layer not in (*reference.records, *reference.skipped, OUTPUT)]
        if reference.records
        else []
    )
    if missing:
        raise UsageError(
            f"the reference lacks the layer '{missing[0]}' ({len(missing)} such layer(s))",
            "it is of another network, or was cut",
            "save it of this network",
        )
    if network is not None and reference.classes and network.classes and set(reference.classes) != set(network.classes):
        strange = sorted(set(reference.classes) ^ set(network.classes))[0]
        side = "reference" if strange in reference.classes else "network"
        raise UsageError(
            f"only the {side} has the class '{strange}'",
            f"the network's classes are {', '.join(network.classes)}",
            "check the class names",
        )
    if network is not None and network.classes is None and reference.classes:
        notes.append("the network has no class names, so its classes were not compared")
    return notes


def require_same_class_order(reference: Reference, subject: Subject) -> None:
    """Raise UsageError where the numbers agree and the class names stand in another order."""
    network = subject.network
    if network is not None and reference.classes and network.classes and reference.classes != network.classes:
        pairs = zip(reference.classes, network.classes, strict=True)
        at, (theirs, ours) = next((at, pair) for at, pair in enumerate(pairs, 1) if pair[0] != pair[1])
        found = f"class {at} is '{ours}' in the network and '{theirs}' in the reference"
        raise UsageError(found, "the numbers agree, the names stand in another order", "check the class names")


def uncompared(subject: Subject, oracle: Oracle) -> list[str]:
    """Return what two networks do not share; raise UsageError if that is every layer with learnables."""
    network = subject.network
    alone = [layer for layer in subject.layers if layer not in oracle.layers and layer != OUTPUT]
    trained = (
        [layer.name for layer in network.layers if layer.learnables and layer.name in subject.layers]
        if network is not None
        else []
    )
    if not oracle.layers or (trained and set(trained) <= set(alone)):
        raise UsageError(
            f"no layer with learnables is in both networks: '{(trained or alone)[0]}', say",
            "they are different networks",
            "names= maps the layers of modules",
        )
    return [f"not compared, for they are in one network only: {', '.join(alone)}"] if alone else []
