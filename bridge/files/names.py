"""Names that are safe, of whatever text a file holds: identifiers in source code, and names of a module's parts."""

from __future__ import annotations

import keyword
import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Hashable, Iterable
from typing import TypeVar

KEYWORDS = frozenset(keyword.kwlist)
BEGINNING = re.compile(r"[A-Za-z]|_[A-Za-z0-9]")  # of a name that Python leaves as it is inside of a class, unlike __x
Key = TypeVar("Key", bound=Hashable)


def identifier(text: str, prefix: str = "layer_") -> str:
    """Return a text as an identifier of ASCII: in the form in which Python reads it (NFKC), "_" for all else.

    >>> identifier("fire2-squeeze1x1"), identifier("2nd"), identifier("ﬁre")
    ('fire2_squeeze1x1', 'layer_2nd', 'fire')

    Args:
        text: any text.
        prefix: what comes before a text that begins with a digit, with "__", or with what no identifier can hold.
    """
    name = re.sub(r"\W", "_", unicodedata.normalize("NFKC", text), flags=re.ASCII)
    return name if BEGINNING.match(name) else f"{prefix}{name}"


def module_name(text: str) -> str:
    """Return a text as torch takes it for the name of a submodule: the same, wherever it can be.

    Dots, quotes, backslashes and control characters become "_", as torch.fx writes names into code, and so do brackets,
    "," and ";", by which torch.export takes the names in its files apart; an identifier is written in the form in which
    Python reads it (NFKC), and "self" gets a trailing "_".
    """
    name = "".join("_" if c in '."\\()[],;' or not c.isprintable() else c for c in text) or "_"
    name = unicodedata.normalize("NFKC", name) if name.isidentifier() else name
    return f"{name}_" if name.lower() == "self" else name


def distinct(wanted: Iterable[tuple[Key, str]], taken: Collection[str] = ()) -> dict[Key, str]:
    """Return a name of its own for each key: the wanted one, with "_", "_2", "_3", ... behind it where it is taken.

    >>> distinct([("a-b", "a_b"), ("a b", "a_b"), ("to", "to")], taken={"to"})
    {'a-b': 'a_b', 'a b': 'a_b_', 'to': 'to_'}

    Args:
        wanted: keys with their names; those that come first keep theirs.
        taken: what no key may be called.
    """
    used, repeated = set(taken), Counter[str]()
    names = {}
    for key, name in wanted:
        made = name
        while made in used:
            repeated[name] += 1
            made = f"{name}_{repeated[name] if repeated[name] > 1 else ''}"
        used.add(made)
        names[key] = made
    return names
