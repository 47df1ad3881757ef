"""Possible causes of a difference: in the input, in one layer or every one of its kind, in learnables, in the
precision.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any

import torch
from torch import Tensor, nn

from bridge.errors import BridgeError
from bridge.modules.build import build_layer
from bridge.network import Layer
from bridge.network.tensors import given_sizes
from bridge.parity.causes.changes import Wrapped
from bridge.parity.causes.inputs import input_changes
from bridge.parity.causes.learnables import LearnableDifference, differing, normalizations, with_theirs
from bridge.parity.causes.variants import variants
from bridge.parity.compare import OUTPUT, Batch, Expected, Oracle, Subject, exactly, first, places
from bridge.parity.differences import LayerDifference
from bridge.parity.oracles import Recording
from bridge.parity.references import resized

MOST_ALONE = 40  # layers, up to which each is also tried alone where nothing tells which one it is
MOST_CHANNELS = 2048  # whose order is searched for
FAILURES = (BridgeError, RuntimeError, ValueError, LookupError, TypeError)  # of a change that does not fit
EVERY = "every layer of its kind"


@dataclass(frozen=True)
class Hypothesis:
    """One possible cause: what would run if it were so.

    Attributes:
        name: the kind of mistake: "input scale", "epsilon", "gate order", ...
        layer: where it lies; "" for the input, or for every layer of a kind.
        text: what would have to be so: "the input is divided by 255".
        subject, batches: what runs then.
        rank: 0 names a mistake, 1 describes a change, 2 takes over the oracle's values or its layer; the lowest is
            named.
        of_learnables: whether it amounts to other learnables in the layer.
        spreads: whether layers further on may have the same mistake.
    """

    name: str
    layer: str
    text: str
    subject: Subject
    batches: Sequence[Batch]
    rank: int = 0
    of_learnables: bool = False
    spreads: bool = False


@dataclass(frozen=True)
class Case:
    """A difference that is to be explained.

    Attributes:
        subject, batches, oracle: of the comparison that found it.
        at: the first diverging layer.
        tolerance: up to which difference, relative to the layer's range, a hypothesis agrees.
        suspects: the layers it may arise in.
        from_input: whether it may arise in the input.
        inputs: what the suspects were given, in the batch that differs most.
        expected, ours: of the first diverging layer in that batch: what pairs its values with the oracle's, and its
            values.
        differing: the learnables that differ, by suspect.
    """

    subject: Subject
    batches: Sequence[Batch]
    oracle: Oracle
    at: LayerDifference
    tolerance: float
    suspects: Sequence[str]
    from_input: bool
    inputs: Mapping[str, tuple[Any, ...]]
    expected: Expected | None = None
    ours: Any = None
    differing: Mapping[str, Sequence[LearnableDifference]] = field(default_factory=dict)


def hypotheses(case: Case) -> Iterator[Hypothesis]:
    """Yield every possible cause of a difference."""
    if case.from_input:
        yield from of_the_input(case.subject, case.batches)
        yield from _of_observations(case)
        yield from _of_resizing(case)
    yield from of_layers(case.subject, case.batches, case.suspects, case.inputs)
    yield from _of_channels(case)
    yield from _of_learnables(case)
    yield from _as_the_network_says(case)
    yield from _as_the_oracles_layer(case)
    if case.at.relative < 1e-3:
        yield from _of_precision(case)


# The input


def of_the_input(subject: Subject, batches: Sequence[Batch]) -> Iterator[Hypothesis]:
    """Yield known mistakes in the input."""
    for name, text, change in input_changes(batches[0].inputs[0]):
        yield Hypothesis(name, "", text, _with_input(subject, change), batches)


def _with_input(subject: Subject, change: Callable[[Tensor], Tensor]) -> Subject:
    return replace(subject, prepare=lambda x: change(subject.prepare(x)))


def _of_resizing(case: Case) -> Iterator[Hypothesis]:
    """Images brought to the network's size by another method."""
    reference, network = case.oracle.reference if isinstance(case.oracle, Recording) else None, case.subject.network
    if reference is None or reference.images is None or network is None:
        return
    for method, antialiasing in product(("bilinear", "bicubic", "nearest"), (True, False)):
        if (method, antialiasing) not in ((reference.resize, True), ("nearest", False)):
            images = torch.tensor(resized(reference.images, network, method, antialiasing), dtype=torch.float32)
            batches = [
                Batch((images[batch.start : batch.start + len(batch.inputs[0])],), batch.start)
                for batch in case.batches
            ]
            words = f"'{method}'{'' if antialiasing else ' without antialiasing'}"
            yield Hypothesis("resize kernel", "", f"the images are resized by {words}", case.subject, batches)


def _of_observations(case: Case) -> Iterator[Hypothesis]:
    """Observations in another order, found by matching those of a layer that the reference holds whole."""
    oracle = case.oracle
    if not isinstance(oracle, Recording) or any(isinstance(values, list) for values in oracle.reference.inputs):
        return
    theirs = {layer: rows for layer in oracle.layers if (rows := oracle.rows(layer)) is not None}
    ours: dict[str, list[Tensor]] = {layer: [] for layer in theirs}

    def keep(layer: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        if layer in theirs:
            ours[layer].append(oracle.in_rows(layer, first(output)))

    with case.subject.watched(keep) as run, exactly(case.subject.model):
        for batch in case.batches:
            run(batch)
    for layer in reversed(theirs):
        order = matching(torch.cat(ours[layer]), theirs[layer], case.tolerance)
        if order is not None:
            backwards = torch.equal(order.flip(0), torch.arange(len(order), device=order.device))
            text = (
                "the observations are taken in reverse"
                if backwards
                else "the observations are put in the reference's order"
            )
            yield Hypothesis("observation order", "", text, case.subject, _reordered(case.batches, order.cpu()))
            return


def _reordered(batches: Sequence[Batch], order: Tensor) -> list[Batch]:
    inputs = [torch.cat(parts)[order] for parts in zip(*(batch.inputs for batch in batches), strict=True)]
    return [
        Batch(tuple(x[batch.start : batch.start + len(batch.inputs[0])] for x in inputs), batch.start)
        for batch in batches
    ]


def matching(ours: Tensor, theirs: Tensor, tolerance: float) -> Tensor | None:
    """Return the order of the rows of `ours` that makes it `theirs`, within a tolerance of the range; None if there is
    none.

    The order of the rows as they are is no answer, nor is one that is not the only one.
    """
    theirs = theirs.to(ours)
    if ours.shape != theirs.shape:
        return None
    distances = torch.stack([(ours - row).abs().amax(1) for row in theirs])
    near, order = distances <= tolerance * float(theirs.abs().max()), distances.argmin(1)
    alone = bool((near.sum(1) == 1).all()) and len(order.unique()) == len(order)
    return order if alone and not torch.equal(order, torch.arange(len(order), device=order.device)) else None


# Layers


def of_layers(
    subject: Subject, batches: Sequence[Batch], suspects: Sequence[str], inputs: Mapping[str, tuple[Any, ...]]
) -> Iterator[Hypothesis]:
    """Yield the variants of all suspects: of each layer alone, and of every layer of a kind at once."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for layer in suspects:
        if layer in inputs and layer != OUTPUT:
            for variant in variants(subject.module(layer), _tensor(inputs[layer]), layer in subject.outputs):
                groups.setdefault((variant.cause, variant.text), {})[layer] = variant
    for (cause, text), by_layer in groups.items():
        modules = {layer: variant.module for layer, variant in by_layer.items()}
        variant = next(iter(by_layer.values()))
        if len(modules) > 1 and not variant.general:
            yield Hypothesis(
                cause, "", text.format(layer=EVERY), subject.with_modules(modules), batches, 0, variant.of_learnables
            )
        if len(suspects) <= MOST_ALONE:
            for layer, module in modules.items():
                changed = subject.with_modules({layer: module})
                spreads = not variant.general and len(suspects) == 1
                yield Hypothesis(
                    cause,
                    layer,
                    text.format(layer=layer),
                    changed,
                    batches,
                    int(variant.general),
                    variant.of_learnables,
                    spreads,
                )


def in_every_layer(case: Case, hypothesis: Hypothesis) -> Hypothesis:
    """Return a hypothesis about one layer as one about every layer in which the same change, in the same
    words, fits.
    """
    inputs: dict[str, tuple[Any, ...]] = {}
    if hypothesis.name == "learnable":
        return _every_learnable(case, hypothesis)
    with (
        case.subject.watched(lambda layer, _, given, __: inputs.__setitem__(layer, given)) as run,
        exactly(case.subject.model),
    ):
        run(case.batches[case.at.batch])
    modules = dict(hypothesis.subject.replaced)
    for layer, given in inputs.items():
        if layer not in modules and layer != OUTPUT:
            for variant in variants(case.subject.module(layer), _tensor(given), layer in case.subject.outputs):
                if variant.cause == hypothesis.name and variant.text.format(layer=hypothesis.layer) == hypothesis.text:
                    modules[layer] = variant.module
    return replace(hypothesis, text=f"{hypothesis.text}, and so in {EVERY}", subject=case.subject.with_modules(modules))


def _every_learnable(case: Case, hypothesis: Hypothesis) -> Hypothesis:
    differences = of_learnables(case.subject, case.oracle, [layer for layer in case.subject.layers if layer != OUTPUT])
    modules = {
        layer: with_theirs(case.subject.module(layer), found)
        for layer, found in differences.items()
        if all(each.theirs for each in found)
    }
    text = f"{hypothesis.text}, as are learnables of {len(differences)} layers in all"
    return replace(hypothesis, text=text, subject=case.subject.with_modules(modules))


def _tensor(inputs: tuple[Any, ...]) -> Tensor:
    return next((x for x in inputs if isinstance(x, Tensor)), torch.empty(0))


def _of_channels(case: Case) -> Iterator[Hypothesis]:
    """What the first diverging layer puts out, in another order of channels: found by matching them."""
    layer, ours = case.at.layer, case.ours
    if layer == OUTPUT or case.expected is None or not isinstance(ours, Tensor) or ours.dim() < 2:
        return
    pair, axis = case.expected(ours), 2 if ours.dim() == 3 else 1
    if pair.theirs.numel() != ours.numel() or not 1 < ours.shape[axis] <= MOST_CHANNELS:
        return
    theirs = torch.empty_like(ours).reshape(-1)
    theirs[places(case.expected, ours)] = pair.theirs.reshape(-1).to(ours)
    order = matching(ours.movedim(axis, 0).flatten(1), theirs.view_as(ours).movedim(axis, 0).flatten(1), case.tolerance)
    if order is None:
        return
    network = case.subject.network
    classes = network is not None and network.classes is not None and len(network.classes) == len(order)
    shown = " ".join(str(int(at) + 1) for at in order[:12]) + (" ..." if len(order) > 12 else "")
    text = f"the {'classes' if classes else 'channels'} that {layer} puts out are in the order {shown}"
    changed = Wrapped(case.subject.module(layer), after=lambda y: first(y).index_select(axis, order))
    yield Hypothesis(
        "class order" if classes else "channel order",
        layer,
        text,
        case.subject.with_modules({layer: changed}),
        case.batches,
        0,
        True,
    )


# Learnables, and whole layers


def of_learnables(subject: Subject, oracle: Oracle, suspects: Sequence[str]) -> dict[str, list[LearnableDifference]]:
    """Return the learnables and statistics that differ, by suspect."""
    found = {layer: differing(subject, oracle, layer) for layer in suspects}
    return {layer: differences for layer, differences in found.items() if differences}


def _of_learnables(case: Case) -> Iterator[Hypothesis]:
    """The oracle's learnables in the place of those that differ, and its statistics of the input."""
    for layer, differences in case.differing.items():
        if all(each.theirs for each in differences):
            changed = case.subject.with_modules({layer: with_theirs(case.subject.module(layer), differences)})
            yield Hypothesis("learnable", layer, told(layer, differences), changed, case.batches, 2, True, True)
    for layer in case.suspects:
        for text, module in normalizations(case.subject, case.oracle, layer):
            yield Hypothesis("normalization", layer, text, case.subject.with_modules({layer: module}), case.batches, 1)


def told(layer: str, differences: Sequence[LearnableDifference]) -> str:
    """Say which learnables of a layer differ, and by how much."""
    if all(each.theirs for each in differences):
        names = " and ".join(f"the reference's {each.name}" for each in differences)
        return f"{layer} has {names} (different {' and '.join(map(str, differences))})"
    return " and ".join(f"the {each.name} of {layer} differ from the reference's {each}" for each in differences)


def _as_the_network_says(case: Case) -> Iterator[Hypothesis]:
    """A module built anew, where the one under check was changed after it was built."""
    network = case.subject.network
    for layer in case.suspects:
        if network is not None and network.layers.has(layer):
            with suppress(*FAILURES):
                built = build_layer(network.layers[layer], given_sizes(network, network.layers[layer]), {})
                text = f"{layer} computes what the network says{_normalization(network.layers[layer])}"
                yield Hypothesis("layer", layer, text, case.subject.with_modules({layer: built}), case.batches, 2)


def _as_the_oracles_layer(case: Case) -> Iterator[Hypothesis]:
    """The other network's layer in the place of ours."""
    network, other, layer = case.subject.network, case.oracle.network, case.at.layer
    if other is None or len(case.suspects) > 1:
        return
    theirs = case.oracle.layers.get(layer, "")
    theirs = {value: name for name, value in other.source.values.items()}.get(
        theirs, theirs
    )  # an .onnx is known by its values
    if not other.layers.has(theirs):
        return
    ours = network.layers[layer] if network is not None and network.layers.has(layer) else None
    with suppress(*FAILURES):
        built = build_layer(other.layers[theirs], given_sizes(other, other.layers[theirs]), {})
        text = f"{layer} is {_contrast(ours, other.layers[theirs])}"
        yield Hypothesis("layer", layer, text, case.subject.with_modules({layer: built}), case.batches, 2)


def _normalization(layer: Layer) -> str:
    return f", which normalises by {layer.Normalization}" if "normalizes" in layer.row.traits else ""


def _contrast(ours: Layer | None, theirs: Layer) -> str:
    if ours is None:
        return f"the one of the other network{_normalization(theirs)}"
    if ours.kind != theirs.kind:
        return f"a {theirs.kind} and not a {ours.kind}"
    pairs = {
        name: (ours.properties.get(name), theirs.properties.get(name))
        for name in sorted({**ours.properties, **theirs.properties})
    }
    words = [f"{name} {its} and not {own}" for name, (own, its) in pairs.items() if own != its]
    return f"one with {', '.join(words)}" if words else "the one of the other network"


def _of_precision(case: Case) -> Iterator[Hypothesis]:
    model = copy.deepcopy(case.subject.model).double()
    changed = replace(case.subject, model=model, prepare=lambda x: case.subject.prepare(x).double())
    yield Hypothesis("precision", "", "it is computed in double precision", changed, case.batches)
