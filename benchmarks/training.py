"""What caching the features of frozen layers brings, and what it costs to leave it to bridge.

Steps a second, as ratios inside one run, one thread; each number comes from the median over the steps: with a cache those from the second epoch
on, without one in CPU time. Exits with 1 where a ratio is below its limit.

    python -m benchmarks.training
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from typing import Any

import torch
from torch import Tensor, fx, nn

from bridge import layers
from bridge.network import Network
from bridge.networks import build
from bridge.networks.graph import Graph
from bridge.options.options import training_options
from bridge.training.train import train

CLASSES = 5
DEPTHS, FILTERS, FULLY = (2, 2, 3, 3, 3), (64, 128, 256, 512, 512), 4096


def vgg(size: int) -> Network:
    """VGG-16 for smaller images, without dropout."""
    graph = Graph()
    graph.image_input("input", (size, size, 3))
    for stage, (depth, filters) in enumerate(zip(DEPTHS, FILTERS, strict=True), 1):
        for index in range(1, depth + 1):
            graph.conv(f"conv{stage}_{index}", 3, filters, Padding=1)
            graph.relu(f"relu{stage}_{index}")
        graph.max_pool(f"pool{stage}", 2, 2)
    for number in (6, 7):
        graph.add(layers.fully_connected(FULLY, name=f"fc{number}"))
        graph.relu(f"relu{number}")
    graph.classifier(CLASSES, "fc8", "prob", "output")
    return graph.network().initialize(0)


def all_but(network: Network, last: str) -> Network:
    """Return the network with everything before its last layer with weights frozen."""
    return network.freeze(lambda layer: bool(layer.learnables) and layer.name != last)


def images(count: int, size: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, 3, size, size), generator=generator).float(), torch.arange(count) % CLASSES


def seconds(network: Network, data: Any, batch: int, epochs: int, cache: bool) -> float:
    """Return the median time of a step, from the second epoch on where there are several."""
    options = training_options(
        "sgdm",
        MaxEpochs=epochs,
        MiniBatchSize=batch,
        InitialLearnRate=1e-6,
        Verbose=False,
        ResetInputNormalization=False,
    )
    rows = train(network, data, options, cache_features=cache).rows
    times = [
        after["TimeElapsed"] - before["TimeElapsed"]
        for before, after in itertools.pairwise(rows)
        if before["Epoch"] == after["Epoch"] > epochs - 2
    ]
    return statistics.median(times)


def speedup(network: Network, size: int, batch: int) -> float:
    """Return how many times more steps a second training the head on cached features does than training everything."""
    data = images(4 * batch, size)
    full = seconds(network, data, batch, 1, False)
    return full / seconds(all_but(network, "fc8"), data, batch, 6, True)


def by_hand(model: fx.GraphModule, data: tuple[Tensor, Tensor], batch: int) -> list[float]:
    """Train the head in a loop written for it, with the fastest of torch's optimizers; return when each step was done, in CPU time.

    It does the same job: it shuffles, and keeps loss and accuracy of every step.
    """
    parts = [part for _, part in model.named_children()]
    cut = next(index for index, part in enumerate(parts) if any(weight.requires_grad for weight in part.parameters()))
    prefix, head = nn.Sequential(*parts[:cut]), nn.Sequential(*parts[cut:-1])
    optimizer = torch.optim.SGD(head.parameters(), lr=1e-6, momentum=0.9, weight_decay=1e-4, fused=True)
    log, done = [], []
    for indices in torch.randperm(len(data[1])).split(batch):
        with torch.no_grad():
            features = prefix(data[0][indices])
        scores, labels = head(features), data[1][indices]
        loss = nn.functional.cross_entropy(scores, labels)
        log.append((loss.item(), 100 * (scores.argmax(1) == labels).double().mean().item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        done.append(time.thread_time())
    return done


def by_bridge(model: fx.GraphModule, data: tuple[Tensor, Tensor], batch: int) -> list[float]:
    """Do the same with bridge.train, without a cache."""
    done: list[float] = []
    options = training_options(
        "sgdm",
        MaxEpochs=1,
        MiniBatchSize=batch,
        InitialLearnRate=1e-6,
        Verbose=False,
        ResetInputNormalization=False,
        OutputFcn=lambda row: done.append(time.thread_time()),
    )
    train(model, data, options, loss="ClassificationOutputLayer", cache_features=False)
    return done


def against_by_hand(size: int, batch: int, rounds: int) -> float:
    """Return how many times more steps a second ours does, without a cache, with everything frozen but the head.

    Both train the same module, so that no weights lie better in memory, one epoch each in turns. Nearly all of a step is the frozen
    layers, which are the same calls of torch; what can differ is what lies around them. Two runs of the same code differ by half a
    percent, so the ratio is rounded to percents.
    """
    model, data = all_but(vgg(size), "fc8").to_torch(), images(4 * batch, size)
    times: dict[Any, list[float]] = {by_bridge: [], by_hand: []}
    for turn in range(rounds + 1):
        for each in sorted(times, key=lambda loop: loop.__name__, reverse=bool(turn % 2)):
            done = each(model, data, batch)
            times[each] += (
                [after - before for before, after in itertools.pairwise(done)] if turn else []
            )  # the first turn warms up
    return round(statistics.median(times[by_hand]) / statistics.median(times[by_bridge]), 2)


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    found = {
        "VGG-shaped, head on cached features / everything": (speedup(vgg(64), 64, 8), 100.0),
        "AlexNet, head with live dropout before it / everything": (
            speedup(build("alexnet", classes=CLASSES), 227, 32),
            40.0,
        ),
        "VGG-shaped, frozen layers without cache / by hand": (against_by_hand(48, 16, 20), 1.0),
    }
    for name, (ratio, limit) in found.items():
        print(f"{name:58} {ratio:8.2f} x the steps a second (at least {limit:g})")
    return int(any(ratio < limit for ratio, limit in found.values()))


if __name__ == "__main__":
    sys.exit(main())
