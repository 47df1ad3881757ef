"""Where in MATLAB's random stream a training begins: the recipe's [rng], or why it is not known."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from bridge.recipes.parts import Rng
from bridge.scripts.language.draws import Draws
from bridge.scripts.language.findings import Findings
from bridge.scripts.reading.objects import ToldNetwork, Training


def rng_of(call: Training, network: ToldNetwork | None, findings: Findings) -> Rng:
    """Return where the split, the initial values and the order of a training are drawn; a fresh session without rng."""
    if call.draws is None:
        return Rng()
    steps = list(_steps(call, network))
    begin = steps[0] if steps else call.draws
    why = begin.lost or _apart(steps, call.draws) or _edited(network)
    if why:
        findings.report(call.place, f"not reproducible: its random numbers are not MATLAB's: {why}")
        return Rng()
    what = f"random numbers of rng({begin.seed})" if begin.seeded else "no rng: a fresh session is assumed, rng(0)"
    what += f" after {begin.position:,} doubles" if begin.position else ""
    if call.draws.trusted:
        what += f"; taken to draw none: {', '.join(call.draws.trusted)}"
    findings.fact(begin.place or call.place, what, ("rng", "seed"), *([("rng", "skip")] if begin.position else []))
    return Rng(begin.seed, begin.position)


def _steps(call: Training, network: ToldNetwork | None) -> Iterator[Draws]:
    """Yield what draws before the training and is repeated with it, in the order of a recipe: split, initial values."""
    for store in call.store.chain() if call.store is not None else ():
        if store.draws is not None and store.part >= 0:
            yield store.draws
            break
    if network is not None and network.initialized is not None:
        yield network.initialized.draws


def _apart(steps: list[Draws], end: Draws) -> str:
    """Return why the draws of a script are not its recipe's: something else draws between them, or seeds anew."""
    if end.lost:
        return end.lost
    for one, other in pairwise([*steps, end]):
        if (other.seed, other.position, other.calls) != (one.seed, one.position, one.calls + 1):
            return "rng, or something that draws, stands between the split, the initial values and the training"
    if end.deferred != len(steps):
        return "a split or a network that it does not train draws before it"
    return ""


def _edited(network: ToldNetwork | None) -> str:
    """Return why the initial values are not those of a network that was initialised."""
    if network is None or network.initialized is None:
        return ""
    same = network.initialized.layers == tuple(layer.name for layer in network.layers)
    return "" if same else "layers are changed after the network was initialised"
