"""Why a model differs: known causes are tried, and the one with which it agrees is named with the evidence.

A cause is tried on the batch in which the first diverging layer differs most, up to that layer; the best one is then
proven by the whole comparison, run again. Nothing is said to agree that has not been run.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor, fx, nn

from bridge.parity.causes.hypotheses import FAILURES, Case, Hypothesis, hypotheses, in_every_layer, of_learnables, told
from bridge.parity.compare import Batch, Oracle, Subject, capture, compare, exactly, first
from bridge.parity.differences import Comparison
from bridge.parity.oracles import Recording
from bridge.parity.profiles import Profile
from bridge.parity.references import Labels
from bridge.parity.tally import Tally

AS_GOOD = 5e-6  # of a layer's range: what another order of sums leaves, in single precision
ENOUGH, NUMBER = 20.0, 13.0  # bits that a reference of outputs must hold; bits of a number that agrees to 1e-4


@dataclass(frozen=True)
class Cause:
    """Why a model differs.

    Attributes:
        name: the kind of mistake: "input scale", "epsilon", "gate order", "learnable", ...
        layer: the layer it lies in; "" for the input, or for every layer of a kind.
        text: with what the model agrees: "the input is divided by 255". A whole sentence where `agrees_to` is None.
        agrees_to: the largest difference that is left then, relative to a layer's range, over all layers that agree;
            None where the cause was seen and not run: of a learnable that is known by samples only, or of targets.
        remaining: the verdict on what still differs then; "" where nothing does.
        alternatives: other texts with which it agrees as well.
    """

    name: str
    layer: str
    text: str
    agrees_to: float | None = None
    remaining: str = ""
    alternatives: tuple[str, ...] = ()

    def __str__(self) -> str:
        if self.agrees_to is None:
            return self.text
        others = f" (as well as when {', or when '.join(self.alternatives)})" if self.alternatives else ""
        return f"agrees to {self.agrees_to:.1e} when {self.text}{others}" + (
            f"; then {self.remaining}" if self.remaining else ""
        )


@dataclass(frozen=True)
class Diagnosis:
    """The cause, if one was found, and how many were tried."""

    cause: Cause | None
    tried: int


@dataclass(frozen=True)
class Tried:
    """A hypothesis, and the difference it leaves in the first diverging layer relative to its range."""

    hypothesis: Hypothesis
    left: float


def diagnose(
    subject: Subject, batches: Sequence[Batch], oracle: Oracle, profile: Profile, found: Comparison
) -> Diagnosis:
    """Try the known causes of a difference.

    Args:
        subject, batches, oracle, profile: of the comparison.
        found: the comparison, which has a first divergence.
    """
    case = _case(subject, batches, oracle, found)
    if not _telling(case):
        return Diagnosis(None, 0)
    trial = _Trial(case, profile)
    tried = [each for each in map(trial, hypotheses(case)) if each is not None]
    for candidates in _ranked([each for each in tried if each.left <= case.tolerance]):
        cause = _proven(case, candidates, profile, found)
        if cause is not None:
            return Diagnosis(cause, trial.count)
    for layer, differences in case.differing.items():
        return Diagnosis(Cause("learnable", layer, told(layer, differences)), trial.count)
    return Diagnosis(None, trial.count)


def _case(subject: Subject, batches: Sequence[Batch], oracle: Oracle, found: Comparison) -> Case:
    at = found.first_divergence
    assert at is not None
    before = max((each.relative for each in found.agreeing), default=0.0)
    allowed = at.allowed / (at.scale or 1.0)
    # As well as the layers before, far better than allowed, or as well as single precision can; and much better than
    # without the change.
    tolerance = min(max(allowed / 20, 3 * before, AS_GOOD), max(allowed, before), at.relative / 4)
    suspects, from_input = _suspects(subject, oracle, at.layer)
    case = Case(
        subject,
        batches,
        oracle,
        at,
        tolerance,
        suspects,
        from_input,
        {},
        differing=of_learnables(subject, oracle, suspects),
    )
    caught = capture(subject, batches[at.batch], oracle, at.layer, suspects)
    return replace(case, inputs=caught.inputs, expected=caught.expected, ours=caught.ours)


def _telling(case: Case) -> bool:
    """Whether a hypothesis cannot agree by chance: outputs alone may be a few labels, or probabilities of 0 and 1."""
    if not isinstance(case.oracle, Recording) or case.oracle.reference.records:
        return True
    whole = case.oracle.reference.outputs[0]
    bits = (
        case.oracle.reference.observations * math.log2(max(case.ours.shape[1], 2))
        if isinstance(case.ours, Tensor)
        else 0.0
    )
    if not isinstance(whole, Labels):
        values = np.concatenate([each.reshape(-1) for each in whole])
        within = (values > values.min() + case.at.allowed) & (values < values.max() - case.at.allowed)
        bits += NUMBER * int(within.sum())
    return bits >= ENOUGH


def _suspects(subject: Subject, oracle: Oracle, layer: str) -> tuple[list[str], bool]:
    """Return the layers in which a difference that first shows in `layer` may arise, and whether the input may be at
    fault.

    They are the layer itself and, back from it, all that were not compared.
    """
    model, names = subject.model, {path: name for name, path in subject.layers.items()}
    if not isinstance(model, fx.GraphModule):
        known = list(subject.layers)
        return [layer], not any(each in oracle.layers for each in known[: known.index(layer)])
    nodes = {
        names[str(node.target)]: node
        for node in model.graph.nodes
        if node.op == "call_module" and str(node.target) in names
    }
    waiting = [nodes[layer]]
    seen, found, from_input = set(waiting), list[str](), False
    while waiting:
        node = waiting.pop(0)
        name = names.get(str(node.target), "") if node.op == "call_module" else ""
        if name not in ("", layer) and name in oracle.layers:
            continue
        from_input = from_input or node.op == "placeholder"
        found += [name] if name else []
        waiting += [each for each in node.all_input_nodes if each not in seen]
        seen.update(node.all_input_nodes)
    return found[::-1], from_input


class _Trial:
    """Tries hypotheses on as little as shows the difference: the layer alone, one batch up to it, or all batches."""

    def __init__(self, case: Case, profile: Profile) -> None:
        self.case, self.profile, self.count = case, profile, 0
        layer = case.at.layer
        self._alone = (
            case.suspects == [layer]
            and layer in case.inputs
            and self._left_alone(case.subject.module(layer)) > case.tolerance
        )
        one = slice(case.at.batch, case.at.batch + 1)
        as_it_is = Hypothesis("", "", "", case.subject, case.batches)
        self._part = one if self._left_in(as_it_is, one) > case.tolerance else slice(None)

    def __call__(self, hypothesis: Hypothesis) -> Tried | None:
        """Return how much differs under a hypothesis; None where it does not fit."""
        self.count += 1
        layer, replaced = self.case.at.layer, hypothesis.subject.replaced
        with suppress(*FAILURES):
            alone = self._alone and hypothesis.layer == layer and set(replaced) == {layer}
            return Tried(
                hypothesis, self._left_alone(replaced[layer]) if alone else self._left_in(hypothesis, self._part)
            )
        return None

    def _left_alone(self, module: nn.Module) -> float:
        value = None
        with exactly(module):
            value = first(module(*self.case.inputs[self.case.at.layer]))
        tally = Tally(self.case.at.layer, self.profile)
        if self.case.expected is not None and isinstance(value, Tensor):
            tally.add(self.case.expected(value), 0)
        return tally.result(0.0).relative

    def _left_in(self, hypothesis: Hypothesis, part: slice) -> float:
        layer = self.case.at.layer
        found = compare(hypothesis.subject, hypothesis.batches[part], self.case.oracle, self.profile, until=layer)
        return next(each for each in found.layers if each.layer == layer).relative


def _ranked(agreeing: Sequence[Tried]) -> Iterator[list[Tried]]:
    """Yield the hypotheses to name, the best first, each with those that agree as well and explain no less.

    Where the oracle's learnables make a layer agree, they are what differs: then only what amounts to other learnables
    counts.
    """
    if any(each.hypothesis.name == "learnable" for each in agreeing):
        agreeing = [each for each in agreeing if each.hypothesis.of_learnables]
    for rank in (0, 1, 2):
        chosen = sorted((each for each in agreeing if each.hypothesis.rank == rank), key=lambda each: each.left)
        for at, best in enumerate(chosen):
            yield [best, *(each for each in chosen[at + 1 :] if each.left <= 10 * best.left + 1e-9)]


def _proven(case: Case, candidates: Sequence[Tried], profile: Profile, before: Comparison) -> Cause | None:
    """Run the whole comparison with a hypothesis; None if the layer, or one before it, still differs.

    Where a layer further on differs then, the same change is tried in every layer of the kind.
    """
    best = candidates[0].hypothesis
    found = compare(best.subject, best.batches, case.oracle, profile)
    if found.first_above is not None and best.spreads:
        everywhere = in_every_layer(case, best)
        all_found = compare(everywhere.subject, everywhere.batches, case.oracle, profile)
        if all_found.first_above is None or len(all_found.agreeing) > len(found.agreeing):
            best, found = everywhere, all_found
    if found.first_above is not None and len(found.agreeing) <= len(before.agreeing):
        return None
    left = max((each.relative for each in found.agreeing), default=0.0)
    others = tuple(dict.fromkeys(each.hypothesis.text for each in candidates[1:]))
    return Cause(best.name, best.layer, best.text, left, found.verdict if found.first_above else "", others)
