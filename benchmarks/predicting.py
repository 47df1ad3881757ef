"""Prediction of a ResNet-50 by `to_torch(optimize=True)`, beside torchvision's: eager, channels_last and compiled.

Ratios to torchvision's eager module, CPU time, one thread, in turn. MATLAB's ResNet-50 has biases in its convolutions.

    python -m benchmarks.predicting
"""

from __future__ import annotations

import copy
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

LIMITS = {1: 0.85, 8: 0.95}  # of the optimized module, by images in a batch
COMPILED = 0.70  # of the optimized module under torch.compile with frozen weights, one image
ROUNDS = {1: 15, 8: 5}


def ratios(calls: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Return the median of each call / the first one, over rounds in which all run in turn."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for call in calls.values():
        call(), call()
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            taken[name].append(time.process_time() - start)
    first = next(iter(taken.values()))
    return {name: statistics.median(a / b for a, b in zip(each, first, strict=True)) for name, each in taken.items()}


def runner(model: nn.Module, x: Tensor) -> Callable[[], object]:
    def run() -> object:
        with torch.no_grad():
            return model(x)

    return run


def main() -> int:
    import torch._inductor.config as inductor
    from torchvision.models import resnet50

    from bridge.networks import build

    torch.set_num_threads(1)
    torch.manual_seed(0)
    inductor.freezing = True
    network = build("resnet50", classes=1000)
    network = network.with_weights(trained(network.to_torch()))
    fast = network.to_torch(include_normalization=False, optimize=True)
    eager = resnet50(weights=None).eval()
    last = copy.deepcopy(eager).to(memory_format=torch.channels_last)
    slow = False
    for images, limit in LIMITS.items():
        x = torch.randn(images, 3, 224, 224)
        x_last = x.contiguous(memory_format=torch.channels_last)
        require_equal(fast, network.to_torch(include_normalization=False), x)
        torch._dynamo.reset()
        calls = {
            "torchvision": runner(eager, x),
            "torchvision, channels_last": runner(last, x_last),
            "torchvision, torch.compile": runner(torch.compile(copy.deepcopy(eager)), x),
            "to_torch()": runner(network.to_torch(include_normalization=False), x),
            "to_torch(optimize=True)": runner(fast, x),
            "the same, torch.compile": runner(torch.compile(copy.deepcopy(fast)), x_last),
        }
        found = ratios(calls, ROUNDS[images])
        print(f"{images} image{'s' if images > 1 else ''}, x torchvision eager (within {limit}):")
        for name, ratio in found.items():
            print(f"  {name:28}{ratio:.2f}")
        slow |= found["to_torch(optimize=True)"] > limit or found["the same, torch.compile"] > max(
            COMPILED, limit - 0.15
        )
    return int(slow)


def trained(model: nn.Module) -> nn.Module:
    """Give batch normalisations statistics of their own, so that folding changes the weights."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_var, 0.5, 2), nn.init.normal_(module.running_mean, 0, 0.1)
    return model


def require_equal(fast: nn.Module, plain: nn.Module, x: Tensor) -> None:
    """Equal to 1e-5 of the largest output, as `to_torch` says."""
    with torch.no_grad():
        ours, theirs = fast(x), plain(x)
    assert (ours - theirs).abs().max() <= 1e-5 * theirs.abs().max()


if __name__ == "__main__":
    sys.exit(main())
