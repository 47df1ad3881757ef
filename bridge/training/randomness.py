"""What of a training's random numbers is MATLAB's own, in one line."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from torch import nn

from bridge.data.observations import Sources
from bridge.data.sources import DatasetSource
from bridge.network import Network
from bridge.network.initialize import EVIDENCE, drawn, told, weakest
from bridge.options.options import TrainingOptions
from bridge.random import MatlabStream
from bridge.tables.layers import table
from bridge.training.features import drops
from bridge.training.order import Order

SWITCHES = ("epoch_order", "validation_draws")  # of training, that order epochs


@dataclass(frozen=True)
class Chance:
    """Something in a training that random numbers decide.

    Attributes:
        told: what the line says of it.
        evidence: how sure it is that the numbers are MATLAB's: "P" proven, "L" likely, "U" unconfirmed, "" they are
            not.
    """

    told: str
    evidence: str = "P"


def in_a_line(chances: Iterable[Chance]) -> str:
    """Return the line.

    Example:
        >>> in_a_line([Chance("initial weights: rng(0), proven"), Chance("order: likely", "L"), Chance("no dropout")])
        'initial weights: rng(0), proven · order: likely · no dropout · comparable number by number'
    """
    chances = list(chances)
    evidence = {each.evidence for each in chances}
    verdict = "comparable number by number"
    if "" in evidence:
        verdict = f"not {verdict}"
    elif "U" in evidence:
        verdict += " if the unconfirmed holds"
    return " · ".join([*(each.told for each in chances), verdict])


def of_weights(network: Network | None, rng: MatlabStream) -> Chance:
    """Return what is known of the initial values of a network, before they are drawn."""
    values = drawn(network) if network is not None else ()
    return Chance(told(values, rng), weakest(each.evidence for each in values))


def of_training(order: Order, options: TrainingOptions, module: nn.Module, held: Sources) -> Iterator[Chance]:
    """Yield what random numbers decide in a training, beside the initial values."""
    yield _of_order(order, options, len(held.train))
    yield Chance("dropout: not MATLAB's", "") if any(map(drops, module.modules())) else Chance("no dropout")
    if isinstance(held.train, DatasetSource):
        yield Chance(f"data: unconfirmed ({held.train.changing})", "U")
    elif held.train.changing:
        yield Chance("augmentation: not MATLAB's", "")


def not_random(order: Order, options: TrainingOptions, held: Sources) -> set[str]:
    """Return which words of `needs` in `mappings/solvers.toml` a training lacks."""
    plain = not order.drawn or options.MaxEpochs == 1 or _is_one_batch(options, len(held.train))
    return {*(("shuffling",) if plain else ()), *(("validation",) if held.validation is None else ())}


def _of_order(order: Order, options: TrainingOptions, count: int) -> Chance:
    if _is_one_batch(options, count):
        return Chance("order: one mini-batch")
    if not order.drawn:
        return Chance("order: as given")
    rows = table("solvers")["semantics"]
    switches = SWITCHES if order.varies and options.MaxEpochs > 1 else ()
    evidence = weakest(["L", *(rows[name]["evidence"] for name in switches if name not in options.settled)])
    return Chance(f"order: {EVIDENCE[evidence]}", evidence)


def _is_one_batch(options: TrainingOptions, count: int) -> bool:
    """Whether each epoch is one mini-batch, in which the order changes nothing but rounding."""
    return bool(count <= options.MiniBatchSize)
