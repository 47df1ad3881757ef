"""Sequences that SequenceLength splits: a piece is an iteration that begins with the recurrent state of the piece before it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from bridge.errors import UsageError
from bridge.network import Network
from bridge.options.options import TrainingOptions, training_options
from bridge.training.train import train
from fixtures import layers as L
from tests.training import nets

LENGTHS = (7, 4, 6, 5)
RATE, LENGTH = 0.05, 3


def regression(kind: str = "lstm") -> Network:
    """A recurrent layer of 3 units over 2 channels, and one response a step."""
    rng = np.random.default_rng(0)
    recurrent = L.lstmLayer(rng, "rnn", 2, 3) if kind == "lstm" else L.gruLayer(rng, "rnn", 2, 3)
    made = (
        L.sequenceInputLayer(2, "in"),
        recurrent,
        L.fullyConnectedLayer(rng, "fc", 3, 1),
        L.regressionLayer("out", ["y"]),
    )
    return nets.load(made)


def data(lengths: tuple[int, ...] = LENGTHS) -> tuple[list[Any], list[Any]]:
    rng = np.random.default_rng(1)
    return [rng.normal(size=(2, n)) for n in lengths], [rng.normal(size=(1, n)) for n in lengths]


def options(**more: Any) -> TrainingOptions:
    given = {
        "MaxEpochs": 2,
        "MiniBatchSize": 2,
        "InitialLearnRate": RATE,
        "Momentum": 0.0,
        "L2Regularization": 0.0,
        "Shuffle": "never",
    }
    return training_options("sgdm", SequenceLength=LENGTH, Verbose=False, **{**given, **more})


def test_pieces_are_iterations_that_hand_on_their_state() -> None:
    """Oracle: plain torch, written out: torch.lstm on each piece with the detached state of the one before, gradient descent by hand.

    trainNetwork goes down the sum over time steps, and logs it divided by them (proven on whole trainings).
    """
    network, (x, y) = regression(), data()
    model = network.to_torch().double()
    rnn, fc = model.get_submodule("rnn"), model.get_submodule("fc")
    assert isinstance(rnn, nn.LSTM) and isinstance(fc, nn.Linear)
    weights = [each for each in model.parameters() if each.requires_grad]
    losses = []
    for _ in range(2):
        for first in (0, 2):  # 7 and 4 steps become 9, 6 and 5 become 6
            longest = max(LENGTHS[first : first + 2])
            steps = -(-longest // LENGTH) * LENGTH
            padded = [
                torch.stack(
                    [
                        nn.functional.pad(torch.tensor(each), (0, steps - each.shape[1])).T
                        for each in part[first : first + 2]
                    ]
                )
                for part in (x, y)
            ]
            state = (torch.zeros(1, 2, 3, dtype=torch.double),) * 2
            for start in range(0, steps, LENGTH):
                hidden, after = nn.LSTM.forward(rnn, padded[0][:, start : start + LENGTH], state)
                loss = ((fc(hidden) - padded[1][:, start : start + LENGTH]) ** 2).sum() / (2 * 2)
                state = (after[0].detach(), after[1].detach())
                losses.append(loss.item() / LENGTH)
                for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
                    weight.data -= RATE * gradient
    info = train(network, (x, y), options())
    assert info.iterations == len(losses) == 10
    np.testing.assert_allclose(info.TrainingLoss, losses, rtol=1e-5)
    np.testing.assert_array_equal([row["Epoch"] for row in info.rows], [1] * 5 + [2] * 5)
    for (name, found), expected in zip(info.model.named_parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-7, msg=name)


def test_validation_sees_whole_sequences() -> None:
    """Oracle: the trained module on the padded sequences; for layers that look only back, pieces that hand on their state are the whole."""
    network, (x, y) = regression("gru"), data((6, 6))
    info = train(network, (x, y), options(), validation=(x, y))
    found = info.model(torch.tensor(np.stack([each.T for each in x])).float())
    errors = ((found.detach() - torch.tensor(np.stack([each.T for each in y])).float()) ** 2).sum()
    assert info.FinalValidationLoss == pytest.approx(float(errors) / (2 * 6 * 2), rel=1e-5)


def test_a_training_that_stopped_between_two_pieces_goes_on_to_the_same_bits(tmp_path: Path) -> None:
    network, held = regression(), data()
    each = {"CheckpointFrequency": 1, "CheckpointFrequencyUnit": "iteration"}
    whole = train(network, held, options(**each))
    train(network, held, options(**each, OutputFcn=lambda row: row["Iteration"] == 2), output=tmp_path / "run")
    info = train(network, held, options(**each), output=tmp_path / "run", resume=tmp_path / "run")
    assert info.iterations == whole.iterations
    for (name, found), expected in zip(info.model.state_dict().items(), whole.model.state_dict().values(), strict=True):
        assert torch.equal(found, expected), name


def test_epochs_of_different_numbers_of_pieces_are_refused() -> None:
    with pytest.raises(UsageError, match="SequenceLength 3 splits sequences") as caught:
        train(regression(), data((9, 2, 2, 8)), options(MaxEpochs=20, Shuffle="every-epoch"))
    assert "different numbers of iterations" in caught.value.cause


def test_input_statistics_are_those_of_sequences_without_padding() -> None:
    """Oracle: numpy over the steps that were given."""
    network, (x, y) = regression(), data()
    layer = network.layers["in"]
    normalised = network.with_layers(
        {"in": replace(layer, properties={**layer.properties, "Normalization": "zerocenter"})}
    )
    info = train(normalised, (x, y), options(MaxEpochs=1))
    np.testing.assert_allclose(info.model.get_buffer("in_.mean").flatten(), np.concatenate(x, 1).mean(1), rtol=1e-5)
