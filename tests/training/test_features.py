"""Features that are computed once: the same bits as without, and refused where they would be others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import TensorDataset

from bridge.data import kept
from bridge.errors import UsageError
from bridge.images import augmentedImageDatastore, imageDataAugmenter
from bridge.network import Network
from bridge.options.options import training_options
from bridge.training import features
from bridge.training.history import TrainingInfo
from bridge.training.train import train
from fixtures import networks
from tests.training import nets
from tests.training.test_loop import bits, images, observations


def options(**more: Any) -> Any:
    return training_options(
        "sgdm",
        **{
            "MaxEpochs": 4,
            "MiniBatchSize": 5,
            "Verbose": False,
            "InitialLearnRate": 1e-3,
            "ValidationFrequency": 3,
            **more,
        },
    )


def same(one: TrainingInfo, other: TrainingInfo) -> bool:
    logged = [
        [{name: value for name, value in row.items() if name != "TimeElapsed"} for row in each.rows]
        for each in (one, other)
    ]
    return bits(one) == bits(other) and logged[0] == logged[1] and one.final == other.final


@pytest.mark.parametrize("shuffle", ["once", "every-epoch"])
@pytest.mark.parametrize("network", ["frozen", "dropout", "batch norm"])
def test_cached_and_uncached_runs_are_bit_equal(network: str, shuffle: str) -> None:
    """Oracle: the same training without cache: learnables, statistics, the whole log. Partial mini-batches, in training and validation."""
    net: Network = nets.classifier(frozen=True) if network == "batch norm" else nets.cnn(dropout=network == "dropout")
    data, held = (
        (observations(13, True, 1), observations(7, True, 2)) if network == "batch norm" else (images(13), images(7, 1))
    )
    runs = [
        train(net, data, options(Shuffle=shuffle), validation=held, cache_features=cached) for cached in (True, False)
    ]
    assert same(*runs)
    assert "features of the frozen layers are computed once for each observation" in runs[0].notes


def test_the_frozen_layers_run_once_for_each_mini_batch() -> None:
    model = nets.cnn().to_torch()
    seen: list[int] = []
    model.conv1.register_forward_hook(lambda module, arguments, output: seen.append(len(output)))
    train(
        model,
        (torch.from_numpy(images(10)[0]).float(), torch.arange(10) % 3),
        options(ResetInputNormalization=False),
        loss="ClassificationOutputLayer",
    )
    assert seen == [5, 5, 5]  # once to see how large they are, then two mini-batches of the first of four epochs


def test_without_a_cache_nothing_is_recorded_for_frozen_layers() -> None:
    model = nets.cnn(dropout=True).to_torch()
    recorded: dict[str, set[bool]] = {"relu1": set(), "drop": set(), "conv2": set()}
    for name, found in recorded.items():
        model.get_submodule(name).register_forward_hook(
            lambda module, arguments, output, found=found: found.add(output.requires_grad)
        )
    data = torch.from_numpy(images(10)[0]).float(), torch.arange(10) % 3
    train(model, data, options(ResetInputNormalization=False), loss="ClassificationOutputLayer", cache_features=False)
    assert recorded == {"relu1": {False}, "drop": {False}, "conv2": {True}}


def test_features_that_do_not_fit_into_memory_go_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    expected = train(nets.cnn(), images(10), options(), cache_features=False)
    monkeypatch.setattr(kept, "MEMORY_SHARE", 0.0)
    assert same(train(nets.cnn(), images(10), options(), cache_features=True), expected)
    unasked = train(nets.cnn(), images(10), options())
    assert same(unasked, expected) and not any("features" in note for note in unasked.notes)
    monkeypatch.setattr(kept, "DISK_SHARE", 0.0)
    with pytest.raises(UsageError, match="the features of 10 observations need"):
        train(nets.cnn(), images(10), options(), cache_features=True)


def test_a_cache_on_disk_is_removed_with_its_training(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(kept, "MEMORY_SHARE", 0.0)
    monkeypatch.setattr(kept.tempfile, "tempdir", str(tmp_path))
    train(nets.cnn(), images(10), options(), cache_features=True)
    assert not list(tmp_path.iterdir())


def augmented() -> augmentedImageDatastore:
    pixels, labels = images(12)
    return augmentedImageDatastore(
        (8, 8), pixels.transpose(2, 3, 1, 0), labels, DataAugmentation=imageDataAugmenter(RandXReflection=True)
    )


@pytest.mark.parametrize(
    ("network", "data", "reason"),
    [
        (nets.cnn(frozen=False), images(12), "layer 'conv1' trains"),
        (nets.cnn(), augmented(), "the images are changed at random in every epoch"),
        (nets.load(networks.lstm_classifier()).freeze("lstm*"), "sequences", "sequences are brought to one length in each mini-batch"),
    ],
)  # fmt: skip
def test_where_it_would_change_the_numbers_it_is_refused(network: Network, data: Any, reason: str) -> None:
    if data == "sequences":
        data = (
            [np.random.default_rng(i).normal(size=(4, 3 + i % 3)) for i in range(9)],
            ["healthy", "leak", "worn"] * 3,
        )
    with pytest.raises(UsageError, match="cache_features") as caught:
        train(network, data, options(MiniBatchSize=3), cache_features=True)
    assert reason in caught.value.cause
    info = train(network, data, options(MiniBatchSize=3, MaxEpochs=2))
    assert not any("features" in note for note in info.notes)


def test_what_ends_the_frozen_part_is_named() -> None:
    model = nets.cnn(dropout=True).to_torch()
    parts = features.split(model)
    assert parts.reason == "layer 'drop' drops at random" and parts.layers == 1
    x = torch.rand(4, 3, 8, 8)
    assert parts.fixed is not None
    model.eval()
    assert torch.equal(parts.rest(*parts.fixed(x)), model(x))
    frozen_norm = features.split(nets.load(networks.residual()).freeze("*conv1").to_torch())
    assert (
        frozen_norm.reason == "layer 'bn_conv1' normalises with the statistics of the mini-batch"
        and frozen_norm.layers == 1
    )
    assert features.split(torch.nn.Linear(2, 2)).fixed is None


def test_a_branch_that_leaves_the_frozen_part_is_kept_too() -> None:
    """Two convolutions read one frozen layer: two features cross the border, or one that is read twice."""
    network = nets.load(networks.squeeze())
    model = network.freeze(network.layers[:6]).to_torch()
    parts = features.split(model.train(False))
    x = torch.rand(2, 3, 32, 32) * 255
    assert parts.fixed is not None
    assert torch.equal(parts.rest(*parts.fixed(x)), model(x))


def test_a_dataset_is_only_cached_when_its_user_says_that_it_never_changes() -> None:
    pixels, _ = images(10)
    data = TensorDataset(torch.from_numpy(pixels).float(), torch.arange(10) % 3)
    automatic, asked = (train(nets.cnn(), data, options(), cache_features=cached) for cached in (None, True))
    assert not any("features" in note for note in automatic.notes) and any("features" in note for note in asked.notes)
    assert same(automatic, asked)


def test_modules_of_ones_own_may_do_anything() -> None:
    class Mine(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    model = nets.cnn().to_torch()
    model.relu1 = Mine()
    assert features.split(model).reason == "layer 'relu1' is a module of your own, which may do anything"
