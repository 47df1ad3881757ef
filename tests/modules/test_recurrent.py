"""predict_and_update_state: a sequence in parts gives what the whole gives. Oracle: the module run on the whole."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import bridge
from fixtures import layers as L
from fixtures.layers import Net
from tests.modules.cases import chain, saved, sequence, with_states
from tests.modules.conftest import Read

RNG = np.random.default_rng(9)
STEPS = 7


def stacked() -> Net:
    """A normalised input, recurrent layers of three kinds with layers between, every step put out."""
    statistics = L.input_statistics(RNG, "zscore", (3, 1))
    layers = (
        L.lstmLayer(RNG, "a", 3, 4),
        L.dropoutLayer("d"),
        L.gruLayer(RNG, "b", 4, 5),
        L.lstmProjectedLayer(RNG, "c", 5, 4, 2, 3),
    )
    return chain(L.sequenceInputLayer(3, "in", "zscore", **statistics), *layers, L.fullyConnectedLayer(RNG, "fc", 4, 2))


OTHER = {"StateActivationFunction": "softsign", "GateActivationFunction": "hard-sigmoid"}
NETWORKS: dict[str, Net] = {
    "lstm": chain(sequence(3), L.lstmLayer(RNG, "r", 3, 4)),
    "lstm with states": chain(sequence(3), with_states(L.lstmLayer(RNG, "r", 3, 4), RNG)),
    "lstm of other activations": chain(sequence(3), saved(L.lstmLayer(RNG, "r", 3, 4), **OTHER)),
    "projected lstm": chain(sequence(3), with_states(L.lstmProjectedLayer(RNG, "r", 3, 4, 2, 3), RNG)),
    "gru": chain(sequence(3), with_states(L.gruLayer(RNG, "r", 3, 4), RNG)),
    "gru with reset before": chain(sequence(3), L.gruLayer(RNG, "r", 3, 4, reset_gate="before-multiplication")),
    "gru with recurrent bias": chain(
        sequence(3), L.gruLayer(RNG, "r", 3, 4, reset_gate="recurrent-bias-after-multiplication")
    ),
    "stacked": stacked(),
}
MODELS: dict[str, torch.fx.GraphModule] = {}


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=8)
@given(cuts=st.lists(st.integers(1, STEPS - 1), max_size=4, unique=True).map(sorted))
def test_parts_give_what_the_whole_gives(name: str, cuts: list[int], read: Read) -> None:
    model = MODELS.setdefault(name, read(NETWORKS[name]).to_torch().double())
    x = torch.randn(2, STEPS, 3, dtype=torch.float64)
    state, parts = None, []
    with torch.no_grad():
        for start, stop in zip([0, *cuts], [*cuts, STEPS], strict=True):
            y, state = bridge.predict_and_update_state(model, x[:, start:stop], state=state)
            parts.append(y)
        torch.testing.assert_close(torch.cat(parts, 1), model(x), rtol=0, atol=1e-14)
    assert state is not None and set(state) == {
        name for name, part in model.named_children() if hasattr(part, "initial_state")
    }


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_last_output_of_parts_is_that_of_the_whole(kind: str, read: Read) -> None:
    layer = L.lstmLayer(RNG, "r", 3, 4, last=True) if kind == "lstm" else L.gruLayer(RNG, "r", 3, 4, last=True)
    model, x = read(chain(sequence(3), layer)).to_torch().double(), torch.randn(2, STEPS, 3, dtype=torch.float64)
    with torch.no_grad():
        _, state = bridge.predict_and_update_state(model, x[:, :3])
        y, _ = bridge.predict_and_update_state(model, x[:, 3:], state=state)
        torch.testing.assert_close(y, model(x), rtol=0, atol=1e-14)


def test_a_state_is_of_its_call_alone(read: Read) -> None:
    """Calls share nothing: the module keeps no state, and a state can be used twice."""
    model, x = read(NETWORKS["stacked"]).to_torch(), torch.randn(2, STEPS, 3)
    with torch.no_grad():
        first, state = bridge.predict_and_update_state(model, x)
        kept = {name: tuple(each.clone() for each in part) for name, part in state.items()}
        again = [bridge.predict_and_update_state(model, x, state=state)[0] for _ in range(2)]
        assert torch.equal(first, model(x)) and torch.equal(*again) and not torch.equal(first, again[0])
    assert all(torch.equal(a, b) for name in kept for a, b in zip(kept[name], state[name], strict=True))
