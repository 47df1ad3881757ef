"""A training step of small networks, of which what lies around the arithmetic is most, against a loop written by hand.

    python -m benchmarks.steps

The loop by hand trains the same network of torch's own modules with torch's optimizer, shuffles, and keeps loss and
accuracy of every step; bridge keeps MATLAB's log beside. CPU time, one thread, the two in turn; the lower quartile over
the steps, since such short ones are easily disturbed. Exits with 1 where a ratio is above its limit.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from bridge import layers
from bridge.network import Network
from bridge.networks.graph import Graph
from bridge.options.options import training_options
from bridge.training.train import train

COUNT, BATCH, EPOCHS, TURNS, CLASSES, LIMIT = 640, 32, 2, 60, 3, 1.1
FEATURES, STEPS, UNITS = 12, 20, 50
RATE, L2 = 1e-3, 1e-4

Data = tuple[Tensor, Tensor]


class ByHand(nn.Module):
    """An LSTM whose last output is classified."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(FEATURES, UNITS, batch_first=True), nn.Linear(UNITS, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.lstm(x)[0][:, -1])  # type: ignore[no-any-return]


def mlp() -> tuple[Network, Callable[[], nn.Module], Tensor]:
    graph = Graph()
    graph.add(layers.feature_input(FEATURES, name="input", Normalization="none"))
    for number in (1, 2):
        graph.add(layers.fully_connected(UNITS, name=f"fc{number}"))
        graph.relu(f"relu{number}")
    graph.classifier(CLASSES, "fc", "prob", "output")

    def by_hand() -> nn.Module:
        hidden = nn.Linear(FEATURES, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU()
        return nn.Sequential(*hidden, nn.Linear(UNITS, CLASSES))

    return graph.network().initialize(0), by_hand, torch.randn(COUNT, FEATURES)


def lstm() -> tuple[Network, Callable[[], nn.Module], Tensor]:
    graph = Graph()
    graph.add(layers.sequence_input(FEATURES, name="input", Normalization="none"))
    graph.add(layers.lstm(UNITS, name="lstm", OutputMode="last"))
    graph.classifier(CLASSES, "fc", "prob", "output")
    return graph.network().initialize(0), ByHand, torch.randn(COUNT, STEPS, FEATURES)


def trained_by_hand(model: nn.Module, data: Data, solver: str) -> list[float]:
    """Return when each step was done."""
    parameters = list(model.parameters())
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(parameters, RATE, momentum=0.9, weight_decay=L2)
        if solver == "sgdm"
        else torch.optim.Adam(parameters, RATE, weight_decay=L2)
    )
    log, done = [], []
    for _ in range(EPOCHS):
        for indices in torch.randperm(COUNT).split(BATCH):
            scores, labels = model(data[0][indices]), data[1][indices]
            loss = nn.functional.cross_entropy(scores, labels)
            log.append((loss.item(), 100 * (scores.argmax(1) == labels).double().mean().item()))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            done.append(time.process_time())
    return done


def trained(network: Network, data: Data, solver: str) -> list[float]:
    """Return when each step was done."""
    done: list[float] = []
    options = training_options(
        solver,
        MaxEpochs=EPOCHS,
        MiniBatchSize=BATCH,
        InitialLearnRate=RATE,
        Shuffle="every-epoch",
        Verbose=False,
        ResetInputNormalization=False,
        OutputFcn=lambda row: done.append(time.process_time()),
    )
    train(network, data, options, cache_features=False)
    return done


def ratio(make: Callable[[], tuple[Network, Callable[[], nn.Module], Tensor]], solver: str) -> float:
    network, by_hand, inputs = make()
    data: Any = inputs, torch.arange(COUNT) % CLASSES
    times: dict[bool, list[float]] = {False: [], True: []}
    for turn in range(TURNS + 1):
        for is_ours in (bool(turn % 2), not turn % 2):
            done = trained(network, data, solver) if is_ours else trained_by_hand(by_hand(), data, solver)
            times[is_ours] += [after - before for before, after in itertools.pairwise(done)] if turn else []
    ours, theirs = (statistics.quantiles(times[each], n=4)[0] for each in (True, False))
    return ours / theirs


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    print(f"{'time of a step, bridge / by hand (at most':40} {LIMIT})")
    found = {f"{make.__name__}, {solver}": ratio(make, solver) for make in (mlp, lstm) for solver in ("sgdm", "adam")}
    for name, each in found.items():
        print(f"{name:40}{each:6.2f}")
    return int(any(each > LIMIT for each in found.values()))


if __name__ == "__main__":
    sys.exit(main())
