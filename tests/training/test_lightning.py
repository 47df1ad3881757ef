"""MATLAB's factors in the loop of PyTorch Lightning."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import bridge
from bridge.options.options import training_options
from tests.training import nets

lightning = pytest.importorskip("pytorch_lightning", reason="PyTorch Lightning is not installed")

OPTIONS = training_options("sgdm", InitialLearnRate=0.01)
EPOCHS, SIZE = 3, 4


Make = Callable[[nn.Module], torch.optim.Optimizer]


def torchs(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(bridge.param_groups(model, OPTIONS), momentum=OPTIONS.Momentum)


def loss(model: nn.Module, batch: list[Tensor]) -> Tensor:
    return nn.functional.cross_entropy(model(batch[0]), batch[1])


@pytest.mark.parametrize("optimizer", [torchs, OPTIONS.optimizer], ids=["param_groups", "options.optimizer"])
def test_lightning_trains_with_the_same_numbers_as_plain_torch(optimizer: Make) -> None:
    """Oracle: the same groups, mini-batches and optimizer in a loop of plain torch, bit for bit; the first layer is frozen."""

    class Module(lightning.LightningModule):  # type: ignore[misc, name-defined]
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def training_step(self, batch: list[Tensor], index: int) -> Tensor:
            return loss(self.network, batch)

        def configure_optimizers(self) -> Any:
            return optimizer(self)

    generator = torch.Generator().manual_seed(0)
    data = TensorDataset(torch.randn(12, nets.FEATURES, generator=generator), torch.arange(12) % len(nets.CLASSES))
    loader = DataLoader(data, SIZE)
    plain = nets.classifier(frozen=True).to_torch(include_softmax=False).train()
    module = Module(copy.deepcopy(plain))
    before = copy.deepcopy(plain.state_dict())

    solver = optimizer(plain)
    for _ in range(EPOCHS):
        for batch in loader:
            solver.zero_grad()
            loss(plain, batch).backward()
            solver.step()
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    lightning.Trainer(accelerator="cpu", max_epochs=EPOCHS, **quiet).fit(module, loader)

    for name, value in plain.state_dict().items():
        assert torch.equal(module.network.state_dict()[name], value), name
    assert torch.equal(plain.state_dict()["fc1.weight"], before["fc1.weight"]) and not torch.equal(
        plain.state_dict()["fc2.weight"], before["fc2.weight"]
    )
