"""Functions that make layers and graphs of layers."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from bridge.errors import UsageError
from bridge.layers import property_names, require_property
from bridge.network import nearest
from bridge.recipes.script.evaluate import Call
from bridge.recipes.script.graphs import chained, rows, with_names
from bridge.recipes.script.known import named, reads
from bridge.recipes.script.values import Graph, Item, Layers, Unknown, is_plain

WEIGHTED = ("W=layer.ClassWeights;", "N=size(Y,4);", "loss=-sum(W*(T.*log(Y)))/N;")


@reads(*rows())
def _constructor(call: Call) -> Any:
    """A layer: arguments by position, then by name in any case of letters."""
    row = rows()[call.function]
    known = {name.lower(): name for name in property_names(row)}
    by_name = (at for at, value in enumerate(call.values) if isinstance(value, str) and value.lower() in known)
    count = min(next(by_name, len(call.values)), len(row.arguments))
    given = dict(zip(row.arguments, call.values[:count], strict=False))
    for name, (value, _) in named(call, count).items():
        if name.lower() not in known:
            raise UsageError(f"{call.function} has no property '{name}'", nearest(name, known.values()))
        given[known[name.lower()]] = value
    if (len(call.values) - count) % 2:
        return call.unknown(f"the arguments of {call.function} are not understood")
    name = given.pop("Name", "")
    if not isinstance(name, str):
        return call.unknown(f"the Name of {call.function} is no text that is known")
    for key, value in given.items():
        if is_plain(value):
            require_property(row, key, value)
    return Layers((Item(name, call.function, row, call.place, given=given),))


@reads("custom layer")
def _custom(call: Call) -> Any:
    """A layer whose class is beside the script; `text` is its source. MathWorks' weighted classification becomes MATLAB's own."""
    name = next((str(each) for each in reversed(call.values) if isinstance(each, str)), "")
    weights = next((each for each in call.values if isinstance(each, (tuple, Unknown))), None)
    compact = re.sub(r"%[^\n]*|\s", "", call.text)
    if weights is None or not all(part in compact for part in WEIGHTED):
        return Layers((Item(name, call.function, None, call.place),))
    call.report(f"{call.function} is the documented weighted classification: classificationLayer with ClassWeights")
    return Layers((Item(name, "classificationLayer", rows()["classificationLayer"], call.place, given={"ClassWeights": weights}),))


@reads("layerGraph", "dlnetwork", "assembleNetwork", "DAGNetwork", "SeriesNetwork")
def _graph(call: Call) -> Any:
    value = call.values[0] if call.values else Layers()
    kind = {"layerGraph": "LayerGraph", "assembleNetwork": "DAGNetwork"}.get(call.function, call.function)
    if isinstance(value, Graph):
        return replace(value, kind=kind)
    if value == () or isinstance(value, Layers):
        layers = with_names(Layers(value))
        return Graph(layers, chained(layers), kind)
    return call.unknown("what the graph is made of is not known")


@reads("initialize", "resetState", takes=(object,))
def _same(call: Call, network: Any) -> Any:
    return network
