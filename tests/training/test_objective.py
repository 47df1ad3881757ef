"""Which loss a network is trained with, and what is logged."""

from __future__ import annotations

from typing import Any

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
    assert pixels.count(scores, labels) == 24 and pixels.metrics[0].count(scores, labels) == 24
    assert objective(nets.classifier(), old()).count(torch.zeros(5, 3), torch.zeros(5)) == 5
    assert objective(nets.regression(), new()).count(torch.zeros(5, 2), torch.zeros(5, 2)) == 10
    assert (
        objective(nets.regression(), new(), "binary-crossentropy").count(
            torch.zeros(2, 3, 4, 4), torch.zeros(2, 3, 4, 4)
        )
        == 32
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
