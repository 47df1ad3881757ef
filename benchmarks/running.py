"""How fast the module runs: eval and a training step against the same ResNet-50 written by hand in torch.

Median of paired runs, one thread. MATLAB's ResNet-50 has biases in its convolutions and the stride in the first 1x1.

    python -m benchmarks.running
"""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import Tensor, nn


def unit(inputs: int, outputs: int, kernel: int, stride: int = 1, relu: bool = True) -> nn.Sequential:
    parts: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2),
        nn.BatchNorm2d(outputs, eps=1e-3),
    ]
    return nn.Sequential(*parts, *([nn.ReLU(inplace=True)] if relu else []))


class Block(nn.Module):
    """A bottleneck block as MATLAB's resnet50 has it."""

    def __init__(self, inputs: int, width: int, stride: int, project: bool) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            unit(inputs, width, 1, stride), unit(width, width, 3), unit(width, 4 * width, 1, relu=False)
        )
        self.shortcut = unit(inputs, 4 * width, 1, stride, relu=False) if project else nn.Identity()
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.branch(x) + self.shortcut(x))


class ResNet50(nn.Module):
    """The whole network, without the input's mean."""

    def __init__(self) -> None:
        super().__init__()
        stages: list[nn.Module] = []
        inputs = 64
        for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
            for index in range(count):
                stages.append(Block(inputs, width, stride if index == 0 else 1, index == 0))
                inputs = 4 * width
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 7, 2, 3), nn.BatchNorm2d(64, eps=1e-3), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)
        )
        self.stages = nn.Sequential(*stages)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000), nn.Softmax(1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.stages(self.stem(x)))  # type: ignore[no-any-return]


def main() -> None:
    import bridge
    from benchmarks.loading import paired
    from fixtures import networks
    from fixtures import onnx as onnx_maker

    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "resnet50.onnx"
        onnx_maker.write(path, networks.resnet50(0), "20.2.2")
        model = bridge.load(path).to_torch(include_normalization=False)
    by_hand = ResNet50()
    own, written = (sum(p.numel() for p in m.parameters()) for m in (model, by_hand))
    assert own == written, f"{own:,} parameters, by hand {written:,}"
    x = torch.randn(4, 3, 224, 224)

    def evaluate(net: nn.Module) -> None:
        with torch.no_grad():
            net.eval()(x)

    def step(net: nn.Module) -> None:
        net.train()(x).square().sum().backward()
        net.zero_grad()

    print("median of paired runs, module / by hand (within 1.03):")
    print(f"  eval, 4 images          {paired(lambda: evaluate(model), lambda: evaluate(by_hand), 15):.3f}")
    print(f"  forward and backward    {paired(lambda: step(model), lambda: step(by_hand), 9):.3f}")


if __name__ == "__main__":
    main()
