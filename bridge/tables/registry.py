"""Functions that rows name, tied to their names where they are defined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from bridge.errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])


class Registry(Mapping[str, F]):
    """The functions of one kind, by the names that rows give: a registry is the decorator that ties them.

        SIZE_RULES: Registry[Rule] = Registry("size rule")

        @SIZE_RULES("flattened")
        def flattened(layer, given): ...

    Args:
        kind: what its functions are, for errors ("size rule").
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._functions: dict[str, F] = {}

    def __call__(self, *names: str) -> Callable[[F], F]:
        """Return a decorator that ties a function to names.

        Raises:
            ValueError: a name is taken; a fault of the code, so it is told when the module is imported.
        """

        def tie(function: F) -> F:
            for name in names:
                if name in self._functions:
                    raise ValueError(f"there are two functions for the {self.kind} {name!r}")
                self._functions[name] = function
            return function

        return tie

    def __getitem__(self, name: str) -> F:
        """Return the function of a name.

        Raises:
            UsageError: there is none; those that there are are listed.
        """
        if name not in self._functions:
            raise UsageError(f"there is no {self.kind} {name!r}", f"there are {', '.join(sorted(self._functions))}")
        return self._functions[name]

    def get(self, name: str, default: Any = None) -> Any:
        """Return the function of a name, or the default where there is none."""
        return self._functions.get(name, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._functions)

    def __len__(self) -> int:
        return len(self._functions)

    def __contains__(self, name: object) -> bool:
        return name in self._functions
