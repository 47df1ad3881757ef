"""Arguments in the commands that hints and listings show, to be copied into a shell."""

from __future__ import annotations

import re

BARE = re.compile(r"[\w./:@+=][\w./:@+=-]*", re.ASCII)
IN_QUOTES = re.compile(r"[\w./:@+=(){}\[\],~ -]+")


def argument(text: str, placeholder: str) -> str:
    """Return a text as bash, PowerShell and cmd all read it; the placeholder where they read it differently.

    >>> argument("net.mat", "FILE"), argument("s(2).net", "ADDRESS"), argument("$(x)", "ADDRESS")
    ('net.mat', '"s(2).net"', 'ADDRESS')
    """
    if BARE.fullmatch(text):
        return text
    return f'"{text}"' if IN_QUOTES.fullmatch(text) else placeholder
