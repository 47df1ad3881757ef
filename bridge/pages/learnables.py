"""The table of learnables and statistics, with MATLAB's factors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

from bridge.network import Factor, Learnable, Network
from bridge.pages import Cell, Row, table

Differences = Mapping[tuple[str, str], str]
NO_FACTORS = (Cell(""), Cell(""))


def factor_text(factor: Factor, assumed: bool) -> str:
    """Print a factor; one the file does not hold is `1 (assumed)`."""
    text = " ".join(f"{each:g}" for each in factor) if isinstance(factor, tuple) else f"{factor:g}"
    return f"{text} (assumed)" if assumed else text


def learnable_table(network: Network, differences: Differences | None = None) -> str:
    """Return one row for each learnable and statistic of a network, in MATLAB's order; "" where it has none.

    Args:
        network: the network; no values are read.
        differences: (layer, name) -> how it differs from another's; None where it is held against nothing.
    """
    told = {} if differences is None else {"Difference": ""}
    flags = (
        {"frozen": "only frozen"} if differences is None else {"differs": "only what differs", "frozen": "only frozen"}
    )
    columns = {
        "Layer": "",
        "Learnable": "",
        "Size": "number",
        **told,
        "LearnRateFactor": "number",
        "L2Factor": "number",
        "Note": "",
    }
    rows = list(_rows(network, differences))
    return table("learnables", columns, rows, flags) if rows else ""


def _rows(network: Network, differences: Differences | None) -> Iterator[Row]:
    for layer in network.layers:
        for name, each in layer.learnables.items():
            factors = _factor(each.learn_rate_factor, each), _factor(each.l2_factor, each)
            yield _row(layer.name, name, each.shape, differences, factors, "frozen" if each.frozen else "")
        for name, array in layer.state.items():
            yield _row(layer.name, name, array.shape, differences, NO_FACTORS, "statistic")


def _factor(factor: Factor, of: Learnable) -> Cell:
    return Cell(factor_text(factor, of.assumed), factor[0] if isinstance(factor, tuple) else factor)


def _row(
    layer: str,
    name: str,
    shape: tuple[int, ...],
    differences: Differences | None,
    factors: tuple[Cell, Cell],
    note: str,
) -> Row:
    found = (differences or {}).get((layer, name), "")
    told = () if differences is None else (found,)
    size = Cell("×".join(map(str, shape)), math.prod(shape))
    flags = [flag for flag, holds in (("frozen", note == "frozen"), ("differs", found)) if holds]
    return Row([layer, name, size, *told, *factors, note], flags=flags)
