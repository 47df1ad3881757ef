"""The state of recurrent layers, handed on from one piece of split sequences to the next (SequenceLength
as a number).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from bridge.modules.recurrent import Recurrent, State


class CarriedState:
    """What the recurrent layers of a module end a piece with, without its gradient (truncated back-propagation).

    Args:
        model: any module.
    """

    def __init__(self, model: nn.Module) -> None:
        self._layers = {name: module for name, module in model.named_modules() if isinstance(module, Recurrent)}
        self._held: dict[str, State] = {}

    def clear(self) -> None:
        """Let the next piece begin with the layers' own initial state."""
        self._held.clear()

    @contextmanager
    def handed_on(self) -> Iterator[None]:
        """Let layers that train begin with the state that they ended with; validation begins with their own."""
        hooks = []
        for name, module in self._layers.items():
            hooks += [
                module.register_forward_pre_hook(self._begin(name), with_kwargs=True),
                module.register_forward_hook(self._end(name)),
            ]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    def _begin(self, name: str) -> Any:
        def hook(
            module: Recurrent, arguments: tuple[Tensor], named: dict[str, Any]
        ) -> tuple[tuple[Tensor], dict[str, Any]] | None:
            if not module.training:
                return None
            return arguments, {**named, "state": self._held.get(name) or module.initial_state(len(arguments[0]))}

        return hook

    def _end(self, name: str) -> Any:
        def hook(module: Recurrent, arguments: tuple[Tensor], output: Any) -> Any:
            if not module.training:
                return None
            y, state = output
            self._held[name] = tuple(each.detach() for each in state)
            return y

        return hook

    def tensors(self) -> dict[str, Tensor]:
        """Return the state, by layer and number."""
        return {f"{name}/{index}": each for name, state in self._held.items() for index, each in enumerate(state)}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put back what `tensors` gave."""
        held: dict[str, list[Tensor]] = {}
        for key in sorted(tensors):
            held.setdefault(key.rpartition("/")[0], []).append(tensors[key])
        self._held = {name: tuple(state) for name, state in held.items()}
