"""Which loss a network is trained with, and what is logged."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from bridge.errors import UsageError
from bridge.options.options import training_options
from bridge.training.objective import objective
from fixtures import layers as L
from fixtures import networks
from tests.training import nets


def old(**more: Any) -> Any:
    return training_options("sgdm", **more)


def new(**more: Any) -> Any:
    return training_options("sgdm", trainer="trainnet", **more)


@pytest.mark.parametrize(
    ("network", "options", "name", "metrics"),
    [
        (nets.classifier(), old(), "ClassificationOutputLayer", ["Accuracy"]),
        (nets.regression(), old(), "RegressionOutputLayer", ["RMSE"]),
        (nets.classifier(), new(), "crossentropy", []),
        (nets.classifier(), new(Metrics=["accuracy", "rmse"]), "crossentropy", ["Accuracy", "RMSE"]),
        (nets.regression(), new(Metrics="RMSE"), "mse", ["RMSE"]),
        (nets.load(networks.unet()), old(), "PixelClassificationLayer", ["Accuracy"]),
        (nets.load(networks.as_dlnetwork(networks.chain_cnn())), new(), "crossentropy", []),
    ],
)
def test_the_output_layer_says_the_loss(network: Any, options: Any, name: str, metrics: list[str]) -> None:
    found = objective(network, options)
    assert found.name == name and [each.name for each in found.metrics] == metrics


def test_class_weights_of_the_output_layer_count_and_can_be_replaced() -> None:
    """By hand: -(0.5 log 0.2 + 2 log 0.5) / 2 observations; the weights are divided by observations, not by their sum (a printed value)."""
    network = nets.mlp(L.classificationLayer("output", nets.CLASSES, weights=(0.5, 1.0, 2.0)), 3)
    logits, targets = torch.tensor([[0.2, 0.3, 0.5], [0.2, 0.3, 0.5]]).log(), torch.tensor([0, 2])
    expected = -(0.5 * torch.tensor(0.2).log() + 2 * torch.tensor(0.5).log()) / 2
    torch.testing.assert_close(objective(network, old()).loss(logits, targets), expected)
    plain = objective(network, old(), class_weights=(1.0, 1.0, 1.0)).loss(logits, targets)
    torch.testing.assert_close(plain, -(torch.tensor(0.2).log() + torch.tensor(0.5).log()) / 2)


def test_partial_mini_batches_weigh_as_much_as_they_count() -> None:
    """Pixels without a label do not count, observations do; classes of pixels are weighed by labelled pixels."""
    pixels = objective(nets.load(networks.unet()), old())
    scores, labels = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)
    labels[0, :, :2] = -1
    assert pixels.count(scores, labels) == 24 and pixels.metrics[0].measure(scores, labels)[1] == 24
    assert objective(nets.classifier(), old()).count(torch.zeros(5, 3), torch.zeros(5)) == 5
    assert objective(nets.regression(), new()).count(torch.zeros(5, 2), torch.zeros(5, 2)) == 10
    assert (
        objective(nets.regression(), new(), "binary-crossentropy").count(
            torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
        )
        == 96
    )


def test_a_function_of_ones_own_is_taken_as_it_is() -> None:
    found = objective(nets.classifier(), old(), torch.nn.functional.nll_loss)
    assert found.name == "nll_loss" and not found.logits and not found.metrics


def test_with_a_function_of_ones_own_the_network_still_tells_what_targets_are() -> None:
    networks_ = nets.classifier(), nets.regression(), None
    assert [objective(each, old(), torch.nn.functional.nll_loss).by_class for each in networks_] == [True, False, None]
    assert [each.name for each in objective(None, new(Metrics="accuracy"), torch.nn.CrossEntropyLoss()).metrics] == [
        "Accuracy"
    ]


@pytest.mark.parametrize(
    "weights", [(1, 2), (1, 2, 3, 4), (1, 2, -3), (1, 2, float("nan")), ("a", "b", "c"), [[1, 2, 3]], 2]
)
def test_class_weights_that_do_not_fit(weights: Any) -> None:
    with pytest.raises(UsageError, match="the class weights are"):
        objective(nets.classifier(), old(), class_weights=weights)


@pytest.mark.parametrize("loss", [None, "binary-crossentropy", torch.nn.functional.mse_loss])
def test_accuracy_is_not_counted_where_numbers_are_predicted(loss: Any) -> None:
    with pytest.raises(UsageError, match="'accuracy' counts classes"):
        objective(nets.regression(), new(Metrics=["rmse", "accuracy"]), loss)


@pytest.mark.parametrize(
    ("network", "loss", "kind", "message"),
    [
        (nets.load(networks.feature_mlp()), None, UsageError, "not said which loss"),
        (nets.classifier(), "hinge", UsageError, "trainNetwork has no loss 'hinge'"),
    ],
)
def test_losses_that_are_not_there(network: Any, loss: str | None, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        objective(network, old(), loss)


def test_sequences_are_logged_per_time_step_and_trained_on_their_sum() -> None:
    """By hand, trainNetwork: two sequences of four steps, errors of 1 and of 2. Sum of squares 4*1 + 4*4 = 20."""
    recurrent = L.lstmLayer(np.random.default_rng(0), "rnn", 2, 3)
    layers = (L.sequenceInputLayer(2, "in"), recurrent, L.fullyConnectedLayer(np.random.default_rng(0), "fc", 3, 1))
    network = nets.load((*layers, L.regressionLayer("out", ["y"])))
    targets = torch.tensor([1.0, 2.0]).reshape(2, 1, 1).expand(2, 4, 1)
    found = objective(network, old())
    loss = found.loss(torch.zeros(2, 4, 1), targets)
    assert loss.item() == 20 / (2 * 2) and found.logged(loss, targets).item() == 20 / (2 * 2 * 4)
    assert not objective(network, new()).per_step


def test_labels_of_time_steps_begin_at_the_logarithm_of_their_number() -> None:
    """By hand: equal scores over 5 classes log ln 5 for each real step; padded steps count in the divisor only."""
    rng = np.random.default_rng(0)
    layers = (L.sequenceInputLayer(2, "in"), L.lstmLayer(rng, "rnn", 2, 3), L.fullyConnectedLayer(rng, "fc", 3, 5))
    ends = (L.softmaxLayer("softmax"), L.classificationLayer("out", [*"abcde"]))
    found = objective(nets.load((*layers, *ends)), old())
    scores, labels = torch.zeros(3, 8, 5), torch.zeros(3, 8, dtype=torch.long)
    loss = found.loss(scores, labels)
    assert found.logged(loss, scores).item() == pytest.approx(math.log(5), rel=1e-6)
    labels[0, 4:] = -1
    loss = found.loss(scores, labels)
    assert loss.item() == pytest.approx(20 * math.log(5) / 3, rel=1e-6)
    assert found.logged(loss, scores).item() == pytest.approx(20 * math.log(5) / 24, rel=1e-6)


def test_a_saturated_focal_loss_is_finite() -> None:
    network = nets.mlp(L.focalLossLayer("output", nets.CLASSES), 3)
    found = objective(network, old())
    scores = torch.tensor([[0.0, 1.0, 0.0]], requires_grad=True)
    loss = found.loss(scores, torch.tensor([0]))
    loss.backward()
    assert loss.isfinite() and scores.grad is not None and scores.grad.isfinite().all()
    assert any("unconfirmed" in note for note in found.notes)


@pytest.mark.parametrize(("name", "told"), [("mse", False), ("mae", False), ("huber", True), ("crossentropy", False)])
def test_an_unconfirmed_loss_is_told(name: str, told: bool) -> None:
    network = nets.classifier() if name == "crossentropy" else nets.regression()
    assert bool(objective(network, new(), name).notes) == told
