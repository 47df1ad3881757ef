"""Recurrent layers that take and return their state; sequences are N,T,C.

Every module here has `forward(x, state=None)`. With `state=None` it starts from its own initial state
(buffers `hidden_state`, `cell_state`: MATLAB's HiddenState, CellState) and returns its output; given a state
it returns (output, new state). `predict_and_update_state` carries the states of a whole network.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx, nn

from bridge.errors import UnsupportedError
from bridge.modules.builders import BUILDERS
from bridge.network.activations import Activation

if TYPE_CHECKING:
    from bridge.network import Layer

State = tuple[Tensor, ...]

ACTIVATIONS: Mapping[str, Callable[[Tensor], Tensor]] = {
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "softsign": nn.functional.softsign,
    "relu": torch.relu,
    # MATLAB's hard sigmoid is clip(0.2 x + 0.5); torch's own has slope 1/6.
    "hard-sigmoid": lambda x: (0.2 * x + 0.5).clamp(0, 1),
}
RESET_GATE_MODES = ("after-multiplication", "before-multiplication", "recurrent-bias-after-multiplication")


class Recurrent(nn.Module):
    """What recurrent layers share: the initial state, and which steps they put out."""

    last_only: bool
    directions: int = 1

    def initial_state(self, batch: int) -> State:
        """Return the layer's own initial state for a batch: tensors of (directions, N, hidden)."""
        names = [name for name in ("hidden_state", "cell_state") if hasattr(self, name)]
        return tuple(
            getattr(self, name).view(self.directions, 1, -1).expand(-1, batch, -1).contiguous() for name in names
        )

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """Return the output of every step and the state after the last one."""
        raise NotImplementedError

    def forward(self, x: Tensor, state: State | None = None) -> Any:
        y, after = self.run(x, self.initial_state(x.shape[0]) if state is None else state)
        if self.last_only:  # the backward direction ends at the first step, so its last value stands at time step 1
            y = y[:, -1] if self.directions == 1 else torch.cat([y[:, -1].chunk(2, -1)[0], y[:, 0].chunk(2, -1)[1]], -1)
        return y if state is None else (y, after)


class LSTM(Recurrent, nn.LSTM):  # type: ignore[misc]
    """torch's LSTM with MATLAB's one bias (the second is zero and frozen) and initial state."""

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        return nn.LSTM.forward(self, x, (state[0], state[1]))


class GRU(Recurrent, nn.GRU):  # type: ignore[misc]
    """torch's GRU: MATLAB's 'after-multiplication' (second bias zero and frozen) and
    'recurrent-bias-after-multiplication'.
    """

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        y, hidden = nn.GRU.forward(self, x, state[0])
        return y, (hidden,)


class Projected(Recurrent):
    """Weights that are products: InputWeights * InputProjector', RecurrentWeights * OutputProjector'."""

    input_weights: Tensor
    recurrent_weights: Tensor
    input_projector: Tensor
    output_projector: Tensor
    bias: Tensor

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    def products(self) -> list[Tensor]:
        """Return the weights of inputs and of the state before, as torch's kernels take them."""
        return [
            self.input_weights @ self.input_projector.T,
            self.recurrent_weights @ self.output_projector.T,
        ]


class ProjectedLSTM(Projected):
    """LSTM whose weights are products."""

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        weights = [*self.products(), self.bias, torch.zeros_like(self.bias)]
        y, hidden, cell = torch.lstm(x, [state[0], state[1]], weights, True, 1, 0.0, False, False, True)
        return y, (hidden, cell)


class ProjectedGRU(Projected):
    """GRU whose weights are products; a bias of 6H ends with the recurrent one."""

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        inputs, recurrent = self.products()
        rows = len(inputs)
        behind = self.bias[rows:] if len(self.bias) > rows else torch.zeros_like(self.bias)
        y, hidden = torch.gru(
            x, state[0], [inputs, recurrent, self.bias[:rows], behind], True, 1, 0.0, False, False, True
        )
        return y, (hidden,)


class LSTMCellLoop(Recurrent):
    """An LSTM step by step, for activation functions torch's kernel does not have."""

    def __init__(self, sizes: tuple[int, int], state_activation: str, gate_activation: str) -> None:
        super().__init__()
        inputs, hidden = sizes
        self.weight_ih_l0 = nn.Parameter(torch.empty(4 * hidden, inputs))
        self.weight_hh_l0 = nn.Parameter(torch.empty(4 * hidden, hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(4 * hidden))
        self.state_activation, self.gate_activation = state_activation, gate_activation

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        squash, gate = ACTIVATIONS[self.state_activation], ACTIVATIONS[self.gate_activation]
        hidden, cell = state[0][0], state[1][0]
        steps = []
        for z in nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0).unbind(1):
            i, f, g, o = (z + hidden @ self.weight_hh_l0.T).chunk(4, -1)
            cell = gate(f) * cell + gate(i) * squash(g)
            hidden = gate(o) * squash(cell)
            steps.append(hidden)
        return torch.stack(steps, 1), (hidden[None], cell[None])


class GRUCellLoop(Recurrent):
    """A GRU step by step: the reset-gate mode 'before-multiplication', and other activation functions.

    r = gate(Wr x + Rr h + br), z likewise; h = (1 - z) * c + z * h with c = squash(Wc x + bc + R(r, h)), where
    R(r, h) is Rc (r * h) before, r * (Rc h) after, r * (Rc h + rb) with the recurrent bias after multiplication.
    """

    def __init__(self, sizes: tuple[int, int], state_activation: str, gate_activation: str, mode: str) -> None:
        super().__init__()
        inputs, hidden = sizes
        self.weight_ih_l0 = nn.Parameter(torch.empty(3 * hidden, inputs))
        self.weight_hh_l0 = nn.Parameter(torch.empty(3 * hidden, hidden))
        self.bias_ih_l0 = nn.Parameter(torch.empty(3 * hidden))
        self.bias_hh_l0 = nn.Parameter(torch.empty(3 * hidden))
        self.state_activation, self.gate_activation, self.mode = state_activation, gate_activation, mode

    def run(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        squash, gate = ACTIVATIONS[self.state_activation], ACTIVATIONS[self.gate_activation]
        hidden = state[0][0]
        both = 2 * hidden.shape[-1]  # rows of the reset and update gates
        recurrent_gates, recurrent_candidate = self.weight_hh_l0[:both], self.weight_hh_l0[both:]
        bias_gates, bias_candidate = self.bias_hh_l0[:both], self.bias_hh_l0[both:]
        steps = []
        for inputs in nn.functional.linear(x, self.weight_ih_l0, self.bias_ih_l0).unbind(1):
            z_rz, z_c = inputs[:, :both], inputs[:, both:]
            r, z = gate(z_rz + hidden @ recurrent_gates.T + bias_gates).chunk(2, -1)
            if self.mode == "before-multiplication":
                c = squash(z_c + (r * hidden) @ recurrent_candidate.T)
            else:
                c = squash(z_c + r * (hidden @ recurrent_candidate.T + bias_candidate))
            hidden = (1 - z) * c + z * hidden
            steps.append(hidden)
        return torch.stack(steps, 1), (hidden[None],)


class _Stateful(fx.Interpreter):
    """Runs a network, giving each recurrent layer its state and keeping the new one."""

    def __init__(self, model: fx.GraphModule, state: Mapping[str, State]) -> None:
        super().__init__(model)
        self.before, self.after = state, dict[str, State]()

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        module = self.fetch_attr(target)
        if not isinstance(module, Recurrent):
            return super().call_module(target, args, kwargs)
        state = self.before.get(target) or module.initial_state(args[0].shape[0])
        y, self.after[target] = module(*args, state)
        return y


def predict_and_update_state(
    model: fx.GraphModule, *inputs: Tensor, state: Mapping[str, State] | None = None
) -> tuple[Any, dict[str, State]]:
    """Predict on a part of a sequence, as MATLAB's predictAndUpdateState.

    Args:
        model: a module of `Network.to_torch()`.
        inputs: the network's inputs; sequences are N,T,C.
        state: what the call on the part before returned; None at the start.

    Returns:
        The output and the state, by layer name, for the next part.
    """
    runner = _Stateful(model, state or {})
    return runner.run(*inputs), runner.after


# Builders


def _sizes(layer: Layer) -> tuple[int, int]:
    return layer.learnables["InputWeights"].shape[1], int(layer.properties["NumHiddenUnits"])


def _with_state(made: Recurrent, layer: Layer, names: Sequence[str], directions: int = 1) -> nn.Module:
    for name in names:
        made.register_buffer(name, torch.empty(int(layer.properties["NumHiddenUnits"]) * directions))
    made.last_only, made.directions = layer.properties["OutputMode"] == "last", directions
    return made


def _activations(layer: Layer) -> tuple[str, str]:
    pair = layer.properties["StateActivationFunction"], layer.properties["GateActivationFunction"]
    unknown = [name for name in pair if name not in ACTIVATIONS]
    if unknown:
        raise UnsupportedError(
            f"layer '{layer.name}' uses the activation '{unknown[0]}'",
            "recurrent layers know " + ", ".join(ACTIVATIONS),
        )
    return pair


def _require_standard(layer: Layer) -> None:
    if _activations(layer) != ("tanh", "sigmoid"):
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) has other activations than tanh and sigmoid",
            "torch has no kernel for it",
        )


@BUILDERS("lstm")
def lstm(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    directions, states = layer.row.directions, ("hidden_state", "cell_state")
    if directions == 1 and _activations(layer) != ("tanh", "sigmoid"):
        return _with_state(LSTMCellLoop(_sizes(layer), *_activations(layer)), layer, states)
    _require_standard(layer)
    made = LSTM(*_sizes(layer), batch_first=True, bidirectional=directions == 2)
    return _with_state(made, layer, states, directions)


@BUILDERS("gru")
def gru(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    mode = layer.properties["ResetGateMode"]
    state, gate = _activations(layer)
    if mode not in RESET_GATE_MODES:
        raise UnsupportedError(
            f"layer '{layer.name}' has the reset-gate mode '{mode}'", f"known are {', '.join(RESET_GATE_MODES)}"
        )
    if mode != "before-multiplication" and (state, gate) == ("tanh", "sigmoid"):
        return _with_state(GRU(*_sizes(layer), batch_first=True), layer, ("hidden_state",))
    return _with_state(GRUCellLoop(_sizes(layer), state, gate, mode), layer, ("hidden_state",))


def _projected_shapes(layer: Layer) -> dict[str, tuple[int, ...]]:
    shapes = {row.torch[0]: layer.learnables[name].shape for name, row in layer.row.learnables.items()}
    return shapes | {"bias": (layer.learnables["Bias"].array.size,)}


@BUILDERS("projected_lstm")
def projected_lstm(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    _require_standard(layer)
    return _with_state(ProjectedLSTM(**_projected_shapes(layer)), layer, ("hidden_state", "cell_state"))


@BUILDERS("projected_gru")
def projected_gru(layer: Layer, given: Sequence[Activation]) -> nn.Module:
    _require_standard(layer)
    mode = layer.properties["ResetGateMode"]
    if mode not in RESET_GATE_MODES or mode == "before-multiplication":
        raise UnsupportedError(
            f"layer '{layer.name}' ({layer.kind}) has the reset-gate mode '{mode}'",
            "projected GRU layers know after-multiplication and recurrent-bias-after-multiplication",
        )
    return _with_state(ProjectedGRU(**_projected_shapes(layer)), layer, ("hidden_state",))
