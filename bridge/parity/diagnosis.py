"""Why a model differs: known causes are tried, and the one with which it agrees is named with the evidence.

A cause is a hypothesis about the input, about one layer (or every layer of its kind) or about learnables. It is tried on
the batch in which the first diverging layer differs most, up to that layer; the best one is then proven by the whole
comparison, run again. Nothing is said to agree that has not been run.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, fx, nn

from bridge.errors import BridgeError
from bridge.modules.build import build_layer
from bridge.parity.differences import Comparison, LayerDifference
from bridge.parity.learnables import LearnableDifference, differing, normalizations, with_theirs
from bridge.parity.oracles import Recording
from bridge.parity.profiles import Profile
from bridge.parity.references import Labels
from bridge.parity.variants import PIXELS, Wrapped, variants
from bridge.parity.watching import OUTPUT, Batch, Expected, Oracle, Reached, Subject, Tally, compare, exactly, first
from bridge.tensors import given_sizes

MOST_SINGLE = 40  # layers, up to which each is also tried alone where nothing tells which one it is
MOST_CHANNELS = 2048  # whose order is searched for
FAILURES = (BridgeError, RuntimeError, ValueError, IndexError, TypeError)  # of a variant that does not fit


@dataclass(frozen=True)
class Cause:
    """Why a model differs.

    Attributes:
        name: the kind of mistake: "input scale", "epsilon", "gate order", "learnable", ...
        layer: the layer it lies in; "" for the input.
        text: with what the model agrees: "the input is divided by 255".
        agrees_to: the largest difference that is left, relative to a layer's range, over all layers; None where it was
            seen and cannot be run: of a learnable whose samples alone are known.
        remaining: the verdict on what still differs then; "" where nothing does.
        alternatives: other texts with which it agrees as well.
    """

    name: str
    layer: str
    text: str
    agrees_to: float | None
    remaining: str = ""
    alternatives: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.agrees_to is None:
            return self.text
        others = f" (as well as when {' or when '.join(self.alternatives)})" if self.alternatives else ""
        return f"agrees to {self.agrees_to:.1e} when {self.text}{others}" + (f"; then {self.remaining}" if self.remaining else "")


@dataclass(frozen=True)
class Diagnosis:
    """The cause, if one was found, and how many were tried."""

    cause: Cause | None
    tried: int


@dataclass(frozen=True)
class Hypothesis:
    """One possible cause: what would run if it were so.

    Attributes:
        rank: 0 names a mistake, 1 describes a change, 2 takes over the oracle's values or layer; the lowest is named.
        of_learnables: whether it is the same as other learnables of the layer.
        spreads: whether other layers, further on, may have the same mistake.
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
class Tried:
    """A hypothesis and the difference it leaves in the first diverging layer, relative to its range."""

    hypothesis: Hypothesis
    left: float


def diagnose(subject: Subject, batches: Sequence[Batch], oracle: Oracle, profile: Profile, found: Comparison) -> Diagnosis:
    """Try the known causes of a difference.

    Args:
        subject, batches, oracle, profile: of the comparison.
        found: the comparison, which has a first divergence.
    """
    return _Search(subject, batches, oracle, profile, found).run()


class _Search:
    """The search for the cause of one difference."""

    def __init__(self, subject: Subject, batches: Sequence[Batch], oracle: Oracle, profile: Profile, found: Comparison) -> None:
        divergence = found.first_divergence
        assert divergence is not None
        self.subject, self.batches, self.oracle, self.profile = subject, batches, oracle, profile
        self.found, self.at = found, divergence
        self.batch = batches[divergence.batch]
        self.suspects, self.from_input = _suspects(subject, oracle, divergence.layer)
        before = max((each.relative for each in found.agreeing), default=0.0)
        allowed = divergence.allowed / (divergence.scale or 1.0)
        # As well as the layers before, or far below what is allowed; and far better than without the change.
        self.agrees = min(max(allowed / 20, 3 * before), max(allowed, before), divergence.relative / 4)
        self.tried = 0

    def run(self) -> Diagnosis:
        self.inputs, self.expected, self.ours = self._captured()
        agreeing = [tried for tried in map(self._try, self._hypotheses()) if tried is not None and tried.left <= self.agrees]
        chosen = _best(agreeing)
        if chosen:
            return Diagnosis(self._proven(chosen), self.tried)
        return Diagnosis(self._unproven(), self.tried)

    def _captured(self) -> tuple[dict[str, tuple[Any, ...]], Expected | None, Any]:
        """Run the batch up to the first diverging layer; return the inputs of the suspects, what is expected, and what came out."""
        held: dict[str, tuple[Any, ...]] = {}
        seen: dict[str, Any] = {}

        def look(layer: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> Any:
            if layer in self.suspects:
                held[layer] = inputs
            expected = self.oracle.expect(layer) if layer in self.oracle.layers else None
            chosen = self.oracle.indices(layer)
            if layer == self.at.layer:
                seen.update(expected=expected, ours=first(output))
                raise Reached
            same = chosen is not None and isinstance(output, tuple) and chosen.shape == output[1].shape
            return (output[0], chosen % (inputs[0].shape[2] * inputs[0].shape[3]), output[2]) if same and chosen is not None else None

        with self.subject.watched(look) as run, exactly(self.subject.model, *self.oracle.models), suppress(Reached):
            self.oracle.begin(self.batch)
            run(self.batch)
        return held, seen.get("expected"), seen.get("ours")

    # Which hypotheses there are

    def _hypotheses(self) -> Iterator[Hypothesis]:
        if self.from_input:
            yield from self._of_the_input()
        yield from self._of_observations()
        yield from self._of_layers()
        yield from self._of_channels()
        yield from self._of_learnables()
        yield from self._as_the_network_says()
        yield from self._as_the_oracles()
        yield from self._of_precision()

    def _of_the_input(self) -> Iterator[Hypothesis]:
        for name, text, change in input_changes(self.batch.inputs[0]):
            own = self.subject.prepare
            changed = replace(self.subject, prepare=lambda x, c=change, p=own: c(p(x)))
            yield Hypothesis(name, "", text, changed, self.batches)

    def _of_layers(self) -> Iterator[Hypothesis]:
        """Group the variants of all suspects by what they do: one layer alone, and every layer of its kind."""
        groups: dict[tuple[str, str], dict[str, Any]] = {}
        for layer in self.suspects:
            if layer in self.inputs and layer != OUTPUT:
                given = next((x for x in self.inputs[layer] if isinstance(x, Tensor)), torch.empty(0))
                for variant in variants(self.subject.module(layer), given, layer in self.subject.outputs):
                    groups.setdefault((variant.cause, variant.text), {})[layer] = variant
        for (cause, text), by_layer in groups.items():
            modules = {layer: variant.module for layer, variant in by_layer.items()}
            general, of_learnables = (getattr(next(iter(by_layer.values())), each) for each in ("general", "of_learnables"))
            if len(by_layer) > 1 and not general:
                yield Hypothesis(cause, "", text.format(layer="every layer of its kind"), self.subject.with_modules(modules), self.batches, 0, of_learnables)
            if len(self.suspects) <= MOST_SINGLE:
                spreads = not general and len(self.suspects) == 1
                for layer, module in modules.items():
                    changed = self.subject.with_modules({layer: module})
                    yield Hypothesis(cause, layer, text.format(layer=layer), changed, self.batches, int(general), of_learnables, spreads)

    def _of_observations(self) -> Iterator[Hypothesis]:
        """Observations in another order: found by matching whole outputs."""
        if not isinstance(self.oracle, Recording) or len(self.oracle.reference.outputs) != 1 or self.oracle.reference.observations < 2:
            return
        theirs, inputs = self.oracle.reference.outputs[0], self.oracle.reference.inputs
        if isinstance(theirs, (Labels, list)) or any(isinstance(values, list) for values in inputs) or not self.from_input:
            return
        with exactly(self.subject.model):
            ours = torch.cat([first(self.subject.model(*self.subject.prepared(batch).inputs)) for batch in self.batches])
        order = matching(ours.flatten(1), torch.from_numpy(theirs).flatten(1).float(), self.agrees)
        if order is None:
            return
        whole = [torch.cat([batch.inputs[at] for batch in self.batches])[order.cpu().argsort()] for at in range(len(inputs))]
        starts = [batch.start for batch in self.batches] + [len(whole[0])]
        changed = [Batch(tuple(x[a:b] for x in whole), a) for a, b in zip(starts, starts[1:], strict=False)]
        backwards = order.tolist() == list(range(len(order)))[::-1]
        text = "the observations are taken in reverse" if backwards else "the observations are put in the reference's order"
        yield Hypothesis("observation order", "", text, self.subject, changed)

    def _of_channels(self) -> Iterator[Hypothesis]:
        """What the layer puts out in another order of channels: found by matching them."""
        layer = self.at.layer
        if layer == OUTPUT or self.expected is None or not isinstance(self.ours, Tensor) or self.ours.dim() < 2:
            return
        theirs = self.expected(self.ours)
        axis = 2 if self.ours.dim() == 3 else 1
        if theirs.theirs.numel() != self.ours.numel() or not 1 < self.ours.shape[axis] <= MOST_CHANNELS:
            return
        # `expected` pairs values in one order, so the pairing of positions tells how to lay out the oracle's values alike
        places = self.expected(torch.arange(self.ours.numel(), dtype=torch.float64, device=self.ours.device).view_as(self.ours)).ours.reshape(-1).long()
        laid_out = torch.empty_like(self.ours).reshape(-1)
        laid_out[places] = theirs.theirs.reshape(-1).to(laid_out)
        rows = [each.movedim(axis, 0).flatten(1) for each in (self.ours, laid_out.view_as(self.ours))]
        order = matching(rows[0], rows[1], self.agrees)
        if order is None:
            return
        name, shown = "channel order", " ".join(str(int(at) + 1) for at in order[:12]) + (" ..." if len(order) > 12 else "")
        network = self.subject.network
        if network is not None and network.classes and self.ours.shape[axis] == len(network.classes):
            name = "class order"
        changed = Wrapped(self.subject.module(layer), after=lambda y: first(y).index_select(axis, order))
        kind = "classes" if name == "class order" else "channels"
        text = f"the {kind} that {layer} puts out are in the order {shown}"
        yield Hypothesis(name, layer, text, self.subject.with_modules({layer: changed}), self.batches, 0, True)

    def _of_learnables(self) -> Iterator[Hypothesis]:
        """The oracle's learnables in the place of those that differ."""
        self.differing: dict[str, list[LearnableDifference]] = {}
        for layer in self.suspects:
            differences = differing(self.subject, self.oracle, layer)
            if differences:
                self.differing[layer] = differences
            for text, module in normalizations(self.subject, self.oracle, layer):
                yield Hypothesis("normalization missing", layer, text, self.subject.with_modules({layer: module}), self.batches, 1)
        for layer, differences in self.differing.items():
            if all(each.theirs for each in differences):
                changed = self.subject.with_modules({layer: with_theirs(self.subject.module(layer), differences)})
                yield Hypothesis("learnable", layer, told(layer, differences), changed, self.batches, 2, True)

    def _as_the_network_says(self) -> Iterator[Hypothesis]:
        """A module built anew, where the one under check was changed after it was built."""
        network = self.subject.network
        for layer in self.suspects:
            if network is not None and network.layers.has(layer):
                with suppress(*FAILURES):
                    built = build_layer(network.layers[layer], given_sizes(network, network.layers[layer]), {})
                    text = f"{layer} computes what the network says"
                    yield Hypothesis("layer", layer, text, self.subject.with_modules({layer: built}), self.batches, 2)

    def _as_the_oracles(self) -> Iterator[Hypothesis]:
        """The other network's layer in the place of ours."""
        network, other = self.subject.network, self.oracle.network
        layer = self.oracle.layers.get(self.at.layer, "")
        if network is None or other is None or not other.layers.has(layer) or not network.layers.has(self.at.layer) or len(self.suspects) > 1:
            return
        with suppress(*FAILURES):
            theirs = Subject.of(other).module(layer)
            mine, its = network.layers[self.at.layer], other.layers[layer]
            words = [f"a {its.kind} and not a {mine.kind}"] if its.kind != mine.kind else []
            for name in sorted(set(mine.properties) | set(its.properties)):
                a, b = mine.properties.get(name), its.properties.get(name)
                if a != b and its.kind == mine.kind:
                    words.append(f"of {name} {b} and not {a}")
            text = f"{self.at.layer} is {', '.join(words) or 'the one of the other network'}"
            yield Hypothesis("layer", self.at.layer, text, self.subject.with_modules({self.at.layer: theirs}), self.batches, 2)

    def _of_precision(self) -> Iterator[Hypothesis]:
        if self.at.relative > 1e-3:
            return
        double = copy.deepcopy(self.subject.model).double()
        changed = replace(self.subject, model=double, prepare=lambda x: self.subject.prepare(x).double())
        yield Hypothesis("precision", "", "it is computed in double precision", changed, self.batches, 0, False)

    # Trying and proving them

    def _try(self, hypothesis: Hypothesis) -> Tried | None:
        self.tried += 1
        with suppress(*FAILURES):
            return Tried(hypothesis, self._left(hypothesis))
        return None

    def _left(self, hypothesis: Hypothesis) -> float:
        """Return what differs in the first diverging layer under a hypothesis: of that layer alone where it says no more."""
        layer, subject = self.at.layer, hypothesis.subject
        if set(subject.replaced) == {layer} and hypothesis.layer == layer and self.expected is not None and layer in self.inputs:
            module = subject.replaced[layer]
            with exactly(module):
                tally = Tally(layer, self.profile)
                tally.add(self.expected(first(module(*self.inputs[layer]))), 0)
            return tally.result(0.0).relative
        at = self.batches.index(self.batch)
        found = compare(subject, [hypothesis.batches[at]], self.oracle, self.profile, until=layer)
        return next(each for each in found.layers if each.layer == layer).relative

    def _proven(self, agreeing: Sequence[Tried]) -> Cause:
        """Run the whole comparison with the best hypothesis; where more layers of its kind differ, with the change in all of them."""
        best = agreeing[0].hypothesis
        found = compare(best.subject, best.batches, self.oracle, self.profile)
        text = best.text
        if found.first_above is not None and best.spreads:
            wider = self._in_every_layer(best)
            everywhere = compare(wider, best.batches, self.oracle, self.profile)
            if everywhere.first_above is None or self._later(everywhere, found):
                found, text = everywhere, f"{best.text}, and so in every layer of its kind"
        agreed = found.agreeing if found.first_above else found.layers
        left = max((each.relative for each in agreed), default=agreeing[0].left)
        others = tuple(dict.fromkeys(each.hypothesis.text for each in agreeing[1:]))
        return Cause(best.name, best.layer, text, left, found.verdict if found.first_above else "", others)

    def _later(self, one: Comparison, other: Comparison) -> bool:
        return len(one.agreeing) > len(other.agreeing)

    def _in_every_layer(self, hypothesis: Hypothesis) -> Subject:
        """Make the same change in every layer it fits: the variant with the same words."""
        words = hypothesis.text.replace(hypothesis.layer, "{layer}")
        modules = dict(hypothesis.subject.replaced)
        captured: dict[str, tuple[Any, ...]] = {}

        def look(layer: str, module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
            captured[layer] = inputs

        with self.subject.watched(look) as run, exactly(self.subject.model):
            run(self.batch)
        for layer, inputs in captured.items():
            if layer not in modules and layer != OUTPUT:
                given = next((x for x in inputs if isinstance(x, Tensor)), torch.empty(0))
                same = [each for each in variants(self.subject.module(layer), given) if (each.cause, each.text) == (hypothesis.name, words)]
                modules.update({layer: each.module for each in same[:1]})
        return self.subject.with_modules(modules)

    def _unproven(self) -> Cause | None:
        """A learnable that differs, where the oracle's is known by samples only."""
        for layer, differences in self.differing.items():
            return Cause("learnable", layer, told(layer, differences), None)
        return None


def _best(agreeing: Sequence[Tried]) -> list[Tried]:
    """Return the hypotheses to name, the best first; the others agree as well and explain no less.

    Where the oracle's learnables make a layer agree, they are what differs: then only what amounts to other learnables counts.
    """
    if any(each.hypothesis.name == "learnable" for each in agreeing):
        agreeing = [each for each in agreeing if each.hypothesis.of_learnables]
    lowest = min((each.hypothesis.rank for each in agreeing), default=0)
    chosen = sorted((each for each in agreeing if each.hypothesis.rank == lowest), key=lambda each: each.left)
    return [each for each in chosen if each.left <= 10 * chosen[0].left + 1e-9]


def told(layer: str, differences: Sequence[LearnableDifference]) -> str:
    """Say which learnables of a layer differ, and by how much."""
    listed = " and ".join(f"the {each.name} of {layer}, which differ {each}" for each in differences)
    whole = all(each.theirs for each in differences)
    return f"it has the reference's {listed.removeprefix('the ')}" if whole else f"{listed.replace(', which differ', ' differ')} from the reference's"


def _suspects(subject: Subject, oracle: Oracle, layer: str) -> tuple[list[str], bool]:
    """Return the layers in which a difference that first shows in `layer` may arise, and whether the input may be at fault.

    They are the layer itself and, back from it, all that were not compared.
    """
    model = subject.model
    if not isinstance(model, fx.GraphModule):
        before = list(subject.layers)[: list(subject.layers).index(layer)] if layer in subject.layers else []
        return [layer], not any(each in oracle.layers for each in before)
    names = {path: name for name, path in subject.layers.items()}
    nodes = {names[node.target]: node for node in model.graph.nodes if node.op == "call_module" and node.target in names}
    found, waiting, from_input = [], [nodes[layer]] if layer in nodes else [], layer not in nodes
    seen = set(waiting)
    while waiting:
        node = waiting.pop(0)
        name = names.get(str(node.target), "") if node.op == "call_module" else ""
        if name and name != layer and name in oracle.layers:
            continue
        from_input = from_input or node.op == "placeholder"
        found += [name] if name else []
        new = [each for each in node.all_input_nodes if each not in seen]
        seen.update(new)
        waiting += new
    return found[::-1], from_input


def matching(ours: Tensor, theirs: Tensor, tolerance: float) -> Tensor | None:
    """Return the order of the rows of `ours` that makes it `theirs` within a tolerance of its range; None if there is none.

    The order of the rows as they are is no answer, nor is one that is not the only one.
    """
    theirs = theirs.to(ours)
    scale = float(theirs.abs().max()) or 1.0
    distances = torch.stack([(ours - row).abs().amax(1) for row in theirs])
    near = distances <= tolerance * scale
    order = distances.argmin(1)
    if bool((near.sum(1) != 1).any()) or len(order.unique()) < len(order) or torch.equal(order, torch.arange(len(order), device=order.device)):
        return None
    return order


def input_changes(x: Tensor) -> Iterator[tuple[str, str, Callable[[Tensor], Tensor]]]:
    """Yield known mistakes in the input: (kind, what undoes it, the change)."""
    yield "input scale", "the input is divided by 255", lambda x: x / PIXELS
    yield "input scale", "the input is multiplied by 255", lambda x: x * PIXELS
    yield "input scale", "the input is brought from 0..255 to -1..1", lambda x: x / (PIXELS / 2) - 1
    yield "input scale", "the input is brought from -1..1 to 0..255", lambda x: (x + 1) * (PIXELS / 2)
    if x.dim() == 4:
        yield from _image_changes(x)
    if x.dim() == 3:
        yield "time order", "the sequences run backwards", lambda x: x.flip(1)
        if x.shape[1] == x.shape[2]:
            yield "input layout", "time and channels of the input are swapped", lambda x: x.transpose(1, 2)
        n, t, c = x.shape
        yield "input layout", "the elements of the input are read in the other order", lambda x: x.reshape(-1, c, t).transpose(1, 2)


def _image_changes(x: Tensor) -> Iterator[tuple[str, str, Callable[[Tensor], Tensor]]]:
    n, c, h, w = x.shape
    if 1 < c <= 3:
        for order in permutations(range(c)):
            if list(order) != sorted(order):
                known = {(2, 1, 0): "BGR and not RGB"}.get(order, f"in the order {' '.join(str(each + 1) for each in order)}")
                yield "input channels", f"the channels of the input are {known}", lambda x, o=order: x[:, list(o)]
    if h == w:
        yield "height and width", "height and width of the input are swapped", lambda x: x.transpose(2, 3)
    else:
        yield "height and width", "the pixels of the input are read row by row", lambda x: x.reshape(-1, c, w, h).transpose(2, 3)
    yield "input layout", "the input is read as N,H,W,C", lambda x: x.reshape(-1, h, w, c).permute(0, 3, 1, 2)
    yield "input layout", "the input is read as H,W,C,N", lambda x: x.reshape(h, w, c, -1).permute(3, 2, 0, 1)
