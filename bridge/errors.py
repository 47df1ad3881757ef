"""What can go wrong, in three parts: the error, its cause, and what to do about it."""

from __future__ import annotations


class BridgeError(Exception):
    """Base of every error that bridge raises on purpose.

    Attributes:
        error: what happened, naming the layer, file or option.
        cause: why.
        hint: what to do.
        exit_code: what a command exits with.
    """

    exit_code = 2

    def __init__(self, error: str, cause: str = "", hint: str = "") -> None:
        self.error, self.cause, self.hint = error, cause, hint
        super().__init__(str(self))

    def __str__(self) -> str:
        parts = [("error", self.error), ("cause", self.cause), ("hint", self.hint)]
        return "\n".join(f"{label + ':':<7}{text}" for label, text in parts if text)

    def __reduce__(self) -> tuple[type[BridgeError], tuple[str, str, str]]:
        return type(self), (self.error, self.cause, self.hint)


class DifferenceError(BridgeError):
    """Two things that were compared are not the same."""

    exit_code = 1


class UsageError(BridgeError):
    """The call, an option or an edit makes no sense."""


class UnreadableError(BridgeError):
    """The input is damaged, or not what it was said to be."""


class UnsupportedError(BridgeError):
    """The input is sound, and holds something bridge cannot do."""

    exit_code = 3


class MissingExtraError(BridgeError):
    """An optional dependency is not installed."""

    exit_code = 4
