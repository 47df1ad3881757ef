"""What a training will do to each learnable: factors times the options, before anything runs and without torch."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.network import Factor, Network, simplest
from bridge.options.options import TrainingOptions


@dataclass(frozen=True)
class Effect:
    """One row of the table.

    Attributes:
        learnable: "layer/name".
        size: in MATLAB's layout.
        learn_rate_factor, l2_factor: MATLAB's factors.
        assumed: the file holds no factors; these are MATLAB's defaults.
        learn_rate: InitialLearnRate x factor; a schedule changes the first.
        l2: L2Regularization x L2 factor; 0 for a frozen learnable, which does not decay.
        frozen: no update.
        group: learnables with the same number make one parameter group; None for frozen ones.
    """

    learnable: str
    size: tuple[int, ...]
    learn_rate_factor: Factor
    l2_factor: Factor
    assumed: bool
    learn_rate: Factor
    l2: Factor
    frozen: bool
    group: int | None


def effects(network: Network, options: TrainingOptions) -> list[Effect]:
    """Return a row for every learnable, in MATLAB's order; groups are numbered as `bridge.param_groups` makes them."""
    groups: dict[tuple[Factor, Factor], int] = {}
    rows = []
    for layer, name, learnable in network.learnables():
        rate, decay, frozen = simplest(learnable.learn_rate_factor), simplest(learnable.l2_factor), learnable.frozen
        group = None if frozen else groups.setdefault((rate, decay), len(groups) + 1)
        base = options.InitialLearnRate if options.schedules else 0.0  # lbfgs and lm have none
        effective = _times(base, rate), 0.0 if frozen else _times(options.L2Regularization, decay)
        rows.append(
            Effect(f"{layer.name}/{name}", learnable.shape, rate, decay, learnable.assumed, *effective, frozen, group)
        )
    return rows


def frozen_notes(network: Network) -> list[str]:
    """Say what freezing leaves as it is."""
    frozen = {layer.name for layer, _, each in network.learnables() if each.frozen}
    statistics = [layer.name for layer in network.layers if layer.name in frozen and "TrainedMean" in layer.row.state]
    named = f"{', '.join(statistics[:5])}{', ...' if len(statistics) > 5 else ''}"
    return (
        [f"frozen batch normalisation still takes its statistics from the new data (inferred, unconfirmed): {named}"]
        if statistics
        else []
    )


def _times(base: float, factor: Factor) -> Factor:
    return tuple(base * each for each in factor) if isinstance(factor, tuple) else base * factor
