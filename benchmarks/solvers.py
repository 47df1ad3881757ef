"""How long one step takes against torch's own optimizer, on the tensors of ResNet-50.

`python -m benchmarks.solvers` prints, for each solver, the median ratio of paired runs in one thread (ours first and torch's
first by turns), and exits with 1 where it is above the limit. torch's optimizers have their defaults (they choose foreach
themselves), the same momentum and averages, and weight_decay.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch.optim import Optimizer
from torchvision.models import resnet50  # type: ignore[import-untyped]

from bridge.options.options import training_options

LIMIT = 1.1
PAIRS = 15
RIVALS: dict[str, Callable[[list[torch.nn.Parameter]], Optimizer]] = {
    "sgdm": lambda weights: torch.optim.SGD(weights, lr=0.01, momentum=0.9, weight_decay=1e-4),
    "adam": lambda weights: torch.optim.Adam(weights, lr=0.001, weight_decay=1e-4),
    "rmsprop": lambda weights: torch.optim.RMSprop(weights, lr=0.001, alpha=0.9, weight_decay=1e-4),
}


def model_with_gradients() -> torch.nn.Module:
    """Return a ResNet-50 with random weights and gradients."""
    model: torch.nn.Module = resnet50()
    for weight in model.parameters():
        weight.grad = torch.randn_like(weight)
    return model


def seconds(optimizer: Optimizer) -> float:
    """Return the time of one step."""
    start = time.perf_counter()
    optimizer.step()
    return time.perf_counter() - start


def ratio(solver: str) -> float:
    """Return the median over pairs of steps of our time to torch's."""
    ours_model, torch_model = model_with_gradients(), model_with_gradients()
    ours: Optimizer = training_options(solver).optimizer(ours_model)
    theirs = RIVALS[solver](list(torch_model.parameters()))
    ratios = []
    for pair in range(PAIRS + 2):  # the first two warm up: the averages are allocated
        first, second = (ours, theirs) if pair % 2 else (theirs, ours)
        times = {id(first): seconds(first), id(second): seconds(second)}
        ratios.append(times[id(ours)] / times[id(theirs)])
    return statistics.median(ratios[2:])


def main() -> int:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    ratios = {solver: ratio(solver) for solver in RIVALS}
    for solver, value in ratios.items():
        print(f"{solver:8} {value:.2f} x torch's step (limit {LIMIT})")
    return int(max(ratios.values()) > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
