"""The words of a recipe's edits: each is a method of `Network`, and a table of the file.

    [[edits]]
    freeze = "1:10"

    [[edits]]
    set_learn_rate_factor = "conv1/Weights"
    factor = 0

    [[edits]]
    replace = "fc1000"
    layers = { layer = "fullyConnectedLayer", OutputSize = "data", Name = "fc" }

OutputSize and NumFilters may be "data": as many as the data has classes. `assemble` makes a network from nothing:
`layers` in a row, or with `connections` as pairs of names.
Layers are named as `Network.select` takes them, or by MATLAB's positions: "1:10", "5:end", "1:end-3".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bridge import layers as constructors
from bridge.errors import UsageError, nearest
from bridge.files.python import literal
from bridge.network import Layer, Network, checked_factor
from bridge.tables.layers import layer_mappings

RANGE = re.compile(r"(?:(?P<first>\d+)|end-(?P<first_back>\d+)):(?:(?P<last>\d+)|end(?:-(?P<last_back>\d+))?)")
FROM_DATA = "data"  # in place of class names, and of their number
COUNTS = ("OutputSize", "NumFilters")  # properties that may be the number of classes


@dataclass(frozen=True)
class Kind:
    """A kind of value in an edit.

    Attributes:
        check: raises UsageError for a value of another kind.
        value: (value, network, classes of the data) -> the argument of the method.
        source: the argument as Python source.
    """

    check: Callable[[Any], None]
    value: Callable[[Any, Network, Sequence[str] | None], Any] = lambda value, network, classes: value
    source: Callable[[Any], str] = lambda value: literal(plain(value))


@dataclass(frozen=True)
class Verb:
    """A word of a recipe.

    Attributes:
        target: the kind of its own value, the method's first argument.
        needs: further entries that must be there: the method's next arguments.
        takes: entries that may be there: arguments by name.
        spread: the own value is several arguments.
    """

    target: Kind
    needs: Mapping[str, Kind] = field(default_factory=dict)
    takes: Mapping[str, Kind] = field(default_factory=dict)
    spread: bool = False


@dataclass(frozen=True)
class Edit:
    """One edit of a recipe: `Edit("freeze", "1:10", {"batch_norm": False})`.

    Attributes:
        verb: a method of `Network`.
        target: what it is done to.
        arguments: the other entries, by name.
    """

    verb: str
    target: Any
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.verb not in VERBS:
            raise UsageError(f"'{self.verb}' is no edit", nearest(self.verb, VERBS))
        object.__setattr__(self, "target", frozen(self.target))
        object.__setattr__(self, "arguments", {key: frozen(value) for key, value in self.arguments.items()})
        verb = VERBS[self.verb]
        known = {**verb.needs, **verb.takes}
        for name in self.arguments:
            if name not in known:
                raise UsageError(
                    f"'{name}' is no entry of {self.verb}", nearest(name, known) if known else "it takes no other entry"
                )
        for name in verb.needs:
            if name not in self.arguments:
                raise UsageError(f"{self.verb} needs '{name}'", "it is missing")
        verb.target.check(self.target)
        for name, value in self.arguments.items():
            known[name].check(value)

    @classmethod
    def from_mapping(cls, entry: Any) -> Edit:
        """Return the edit in a table of a file.

        Raises:
            UsageError: it holds no word for an edit, or several, or another entry is unknown or makes no sense.
        """
        if not isinstance(entry, Mapping):
            raise UsageError(f"{entry!r} is no edit", "an edit is a table that begins with [[edits]]")
        verbs = [key for key in entry if key in VERBS]
        if len(verbs) > 1:
            raise UsageError(
                f"{' and '.join(verbs)} are two edits", "each has a table of its own", "begin each with [[edits]]"
            )
        verb = verbs[0] if verbs else next(iter(entry), "")
        return cls(verb, entry.get(verb), {key: value for key, value in entry.items() if key != verb})

    def to_mapping(self) -> dict[str, Any]:
        """Return the edit as plain values, which `from_mapping` turns back."""
        return {self.verb: plain(self.target), **{key: plain(value) for key, value in self.arguments.items()}}

    @property
    def makes_layers(self) -> bool:
        """Whether it holds new layers."""
        return LAYERS in (VERBS[self.verb].target, *VERBS[self.verb].needs.values())

    @property
    def takes_classes(self) -> bool:
        """Whether its class names, or their number, come from the data."""
        entries = [
            each
            for value in (self.target, self.arguments.get("layers"))
            for each in (value if isinstance(value, tuple) else (value,))
        ]
        counted = any(
            isinstance(each, Mapping) and FROM_DATA in (each.get(size) for size in COUNTS) for each in entries
        )
        return counted or (self.verb == "with_classes" and bool(self.target == FROM_DATA))

    def apply(self, network: Network, classes: Sequence[str] | None = None) -> Network:
        """Return `network` with this edit; `classes` are those of the data.

        Raises:
            UsageError: it does not fit the network.
        """
        verb = VERBS[self.verb]
        target = verb.target.value(self.target, network, classes)
        needed = [kind.value(self.arguments[name], network, classes) for name, kind in verb.needs.items()]
        named = {
            name: kind.value(self.arguments[name], network, classes)
            for name, kind in verb.takes.items()
            if name in self.arguments
        }
        edited: Network = getattr(network, self.verb)(*(target if verb.spread else [target]), *needed, **named)
        return edited

    def source(self) -> str:
        """Return the edit as Python source: `net = net.freeze(net.layers[:10])`."""
        verb = VERBS[self.verb]
        targets = [literal(each) for each in self.target] if verb.spread else [verb.target.source(self.target)]
        needed = [kind.source(self.arguments[name]) for name, kind in verb.needs.items()]
        named = [
            f"{name}={kind.source(self.arguments[name])}" for name, kind in verb.takes.items() if name in self.arguments
        ]
        owner = "bridge.Network" if self.verb == "assemble" else "net"
        return f"net = {owner}.{self.verb}({', '.join([*targets, *needed, *named])})"


def frozen(value: Any) -> Any:
    """Turn lists into tuples, all the way down."""
    if isinstance(value, Mapping):
        return {key: frozen(item) for key, item in value.items()}
    return tuple(frozen(item) for item in value) if isinstance(value, (list, tuple)) else value


def plain(value: Any) -> Any:
    """Turn tuples into lists, all the way down."""
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def _refusing(good: Callable[[Any], bool], wanted: str) -> Callable[[Any], None]:
    def check(value: Any) -> None:
        if not good(value):
            raise UsageError(f"{plain(value)!r} is not what is wanted", f"it takes {wanted}")

    return check


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _are_texts(value: Any) -> bool:
    return isinstance(value, tuple) and bool(value) and all(map(_is_text, value))


def _layers_in(value: Any, network: Network) -> list[Layer | str]:
    """Return what `Network.select` takes for names, patterns and MATLAB's ranges."""
    found: list[Layer | str] = []
    for text in value if isinstance(value, tuple) else (value,):
        match = RANGE.fullmatch(text)
        found += _positions(text, match, network) if match else [text]
    return found


def _positions(text: str, match: re.Match[str], network: Network) -> list[Layer]:
    count = len(network.layers)
    first = int(match["first"]) if match["first"] else count - int(match["first_back"])
    last = int(match["last"]) if match["last"] else count - int(match["last_back"] or 0)
    if not 1 <= first <= last <= count:
        raise UsageError(f"there are no layers {text}", f"the network has {count}, counted from 1")
    return list(network.layers[first - 1 : last])


def _selection(value: Any, network: Network, classes: Sequence[str] | None) -> Any:
    found = _layers_in(value, network)
    return found[0] if len(found) == 1 else found


def _selection_source(value: Any) -> str:
    if isinstance(value, str):
        match = RANGE.fullmatch(value)
        return _range_source(match) if match else literal(value)
    parts = [(RANGE.fullmatch(text), text) for text in value]
    return f"[{', '.join(f'*{_range_source(match)}' if match else literal(text) for match, text in parts)}]"


def _range_source(match: re.Match[str]) -> str:
    """MATLAB counts from 1 and includes the last."""
    first = str(int(match["first"]) - 1) if match["first"] else str(-int(match["first_back"]) - 1)
    last = match["last"] or (f"-{match['last_back']}" if int(match["last_back"] or 0) else "")
    return f"net.layers[{'' if first == '0' else first}:{last}]"


def _check_layers(value: Any) -> None:
    _refusing(
        lambda v: isinstance(v, (tuple, Mapping)) and bool(v), 'layers: [{ layer = "reluLayer", Name = "relu" }]'
    )(value)
    _made(value, None, None)


def _made(value: Any, network: Network | None, classes: Sequence[str] | None) -> Any:
    if not isinstance(value, Mapping):
        return [_made(entry, network, classes) for entry in value]
    counts = [size for size in COUNTS if value.get(size) == FROM_DATA]
    if counts and network is not None:
        _classes(FROM_DATA, network, classes)
    return constructors.from_mapping({**value, **dict.fromkeys(counts, len(classes or ("",)))})


def _layers_source(value: Any) -> str:
    if not isinstance(value, Mapping):
        return f"[{', '.join(map(_layers_source, value))}]"
    row = constructors.row_of(value)
    given = constructors.spelled(row, {key: item for key, item in value.items() if key != "layer"})
    name = {"name": given.pop("Name")} if "Name" in given else {}
    firsts = []
    for key in row.arguments:
        if key not in given:
            break
        firsts.append(_property_source(key, given.pop(key)))
    rest = [f"{key}={_property_source(key, item)}" for key, item in {**name, **given}.items()]
    return f"layers.{constructors.python_name(row)}({', '.join([*firsts, *rest])})"


def _property_source(name: str, value: Any) -> str:
    return "len(classes)" if name in COUNTS and value == FROM_DATA else literal(plain(value))


def _classes(value: Any, network: Network, classes: Sequence[str] | None) -> Sequence[str]:
    if value != FROM_DATA:
        return value  # type: ignore[no-any-return]
    if classes is None:
        raise UsageError(
            "the recipe takes its classes from the data", "no data was given", "pass classes=[...], or --data"
        )
    return classes


def _head_entries() -> dict[str, Kind]:
    """The factors and initializers that every kind of a head has."""
    row = next(row for row in layer_mappings() if "head" in row.traits)
    factors = [name for each in row.learnables.values() for name in (each.learn_rate, each.l2)]
    starts = [f"{name}Initializer" for name in row.learnables]
    return {"name": TEXT, **dict.fromkeys(factors, FACTOR), **dict.fromkeys(starts, TEXT)}


def _check_factor(value: Any) -> None:
    checked_factor(value)


TEXT = Kind(_refusing(_is_text, "text"))
FLAG = Kind(_refusing(lambda value: isinstance(value, bool), "true or false"))
FACTOR = Kind(_check_factor)
PAIR = Kind(_refusing(lambda value: _are_texts(value) and len(value) == 2, 'two ends, ["relu1", "add/in2"]'))
PAIRS = Kind(
    _refusing(
        lambda value: isinstance(value, tuple) and all(_are_texts(pair) and len(pair) == 2 for pair in value),
        'pairs of ends, [["in", "conv"], ["conv", "add/in2"]]',
    )
)
NUMBERS = Kind(
    _refusing(
        lambda value: isinstance(value, tuple) and all(isinstance(n, int) for n in value),
        "[height, width] in whole numbers",
    )
)
SELECTION = Kind(
    _refusing(lambda value: _is_text(value) or _are_texts(value), 'layers by name, pattern, class or "1:10"'),
    _selection,
    _selection_source,
)
LAYERS = Kind(_check_layers, _made, _layers_source)
CLASSES = Kind(
    _refusing(lambda value: value == FROM_DATA or _are_texts(value), f'a list of names, or "{FROM_DATA}"'),
    _classes,
    lambda value: "classes" if value == FROM_DATA else literal(plain(value)),
)

VERBS: Mapping[str, Verb] = {
    "freeze": Verb(SELECTION, takes={"batch_norm": FLAG}),
    "set_learn_rate_factor": Verb(TEXT, needs={"factor": FACTOR}),
    "set_l2_factor": Verb(TEXT, needs={"factor": FACTOR}),
    "replace": Verb(SELECTION, needs={"layers": LAYERS}),
    "remove": Verb(SELECTION),
    "add": Verb(LAYERS),
    "connect": Verb(PAIR, spread=True),
    "disconnect": Verb(PAIR, spread=True),
    "with_classes": Verb(CLASSES, takes=_head_entries()),
    "with_input_size": Verb(NUMBERS),
    "assemble": Verb(LAYERS, takes={"connections": PAIRS}),
}
