"""What a script is read for: the calls that train, and what they need."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any, cast

from bridge.layers import new_layer, rows
from bridge.network import Network, make_layer
from bridge.networks import BUILDERS, architecture
from bridge.scripts.language.calls import Call
from bridge.scripts.language.values import Object, Place, Unknown
from bridge.scripts.reading.objects import LayerArray, OfData, ToldLayer, ToldOptions, Training
from bridge.tables.layers import table, unknown_row


class Study:
    """What was found so far; see `bridge.scripts.language.calls.Subject`.

    Attributes:
        network: the network that was passed for the one that the script starts from.
        trainings: the calls that train; `custom` one made of updates, `options` the last trainingOptions.
        loaded: what the script loaded without naming it.
    """

    def __init__(self, network: Network | None = None) -> None:
        self.network = network
        self.trainings: list[Training] = []
        self.options: ToldOptions | None = None
        self.custom: Training | None = None
        self.loaded: Loaded | None = None
        self.sought = frozenset(table("scripts")["trainers"])

    def count(self) -> int:
        return len(self.trainings)

    def variable(self, name: str) -> Any:
        return self.loaded.get(name) if self.loaded is not None else None

    def part(self, value: Unknown, name: str) -> Any:
        """Return what the data tell, of data that are made elsewhere."""
        kind = table("scripts")["of_datastores"].get(name)
        return OfData(kind, value) if kind and not value.why else value

    def returned(self, value: Any, call: Call) -> Any:
        """Return layers that a function froze with the place of its call: also those without learnables."""
        given = next((each for each in call.values if isinstance(each, LayerArray)), None)
        if not isinstance(value, LayerArray) or given is None or len(given) != len(value):
            return value
        if not any(new.is_frozen and new.told != old.told for old, new in zip(given, value, strict=True)):
            return value
        return LayerArray(replace(each, frozen=call.place) for each in value)

    def instance(self, call: Call, source: str) -> Any:
        """Return a layer of the script's own; MathWorks' weighted classification becomes MATLAB's own."""
        name = next((str(each) for each in reversed(call.values) if isinstance(each, str)), "")
        weights = next((each for each in call.values if isinstance(each, (tuple, Unknown))), None)
        compact = re.sub(r"%[^\n]*|\s", "", source)
        known = table("scripts")["weighted_classification"]
        if weights is None or not all(part in compact for part in known["parts"]):
            made = make_layer(unknown_row(call.function), name, {})
            return LayerArray((ToldLayer.of(made, call.place),))
        layer = new_layer(rows()[known["layer"]], name, {})
        call.report(f"{call.function} is the documented weighted classification: {known['layer']} with ClassWeights")
        return LayerArray((ToldLayer.of(layer, call.place, open={known["weights"]: weights}),))

    def known(self, name: str) -> Network | None:
        """Return the network that was passed, or an untrained one that MATLAB calls so; None where none is built in."""
        return self.network if self.network is not None else untrained(name) if name in BUILDERS else None


untrained = cache(architecture)


class Loaded(Object):
    """The variables of a file: its network under any name that speaks of one; data are not read."""

    def __init__(self, network: Any, text: str, place: Place) -> None:
        self.network, self.text, self.place = network, text, place

    def get(self, name: str) -> Any:
        of_networks = any(word in name.lower() for word in table("scripts")["names_of_networks"])
        return self.network if of_networks else Unknown(name, self.place)


def study(call: Call) -> Study:
    """Return what the script of a call is read for."""
    return cast(Study, call.reader.subject)
