"""One fault, two tools: a wrong batch-norm variance in the shape of ResNet-50, found by bridge and by NVIDIA's polygraphy.

Both compare the same two .onnx files on onnxruntime, every tensor of them, as their documentation tells. Counted are the
seconds of the whole command, the lines it prints, and where it names the layer. polygraphy is no dependency of anything here; where
it is not installed, this says so.

    python -m pip install polygraphy
    python -m benchmarks.side_by_side
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from fixtures import networks, onnx

LAYER, DIALECT = "bn3a_branch2b", "24.2.0"


@dataclass(frozen=True)
class Ran:
    """What a command did: its seconds, exit code and lines."""

    seconds: float
    code: int
    lines: list[str]


def ran(*commands: list[str]) -> Ran:
    """Run commands one after the other."""
    lines, code, begin = list[str](), 0, time.perf_counter()
    for command in commands:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        lines, code = lines + (done.stdout + done.stderr).splitlines(), done.returncode
    return Ran(time.perf_counter() - begin, code, lines)


def pair(folder: Path, factor: float) -> tuple[str, str]:
    """Write a network, and the same with a variance scaled; return both paths."""
    net = networks.resnet50()
    onnx.write(folder / "right.onnx", net, DIALECT)
    (layer,) = (each for each in net.layers if each.name == LAYER)
    layer.saved["TrainedVariance"][...] *= factor
    onnx.write(folder / "wrong.onnx", net, DIALECT)
    return str(folder / "right.onnx"), str(folder / "wrong.onnx")


def polygraphy(right: str, wrong: str, folder: Path, *options: str) -> Ran:
    """Save what one network computes, load it for the other: every tensor, the same random inputs, the tolerance of profile matlab."""
    every = ["--onnxrt", "--onnx-outputs", "*", "--graph-optimization-level", "ORT_DISABLE_ALL"]
    saved, inputs = str(folder / "outputs.json"), str(folder / "inputs.json")
    first = ["polygraphy", "run", right, *every, "--save-outputs", saved, "--save-inputs", inputs]
    second = [
        "polygraphy",
        "run",
        wrong,
        *every,
        "--load-outputs",
        saved,
        "--load-inputs",
        inputs,
        "--atol",
        "1e-4",
        "--rtol",
        "1e-4",
        *options,
    ]
    return ran(first, second)


def failed(lines: list[str]) -> list[tuple[int, str]]:
    """Return the tensors that polygraphy says have failed, each with the number of the line."""
    found = ((number, re.search(r"FAILED \| Output: '([^']+)'", line)) for number, line in enumerate(lines, 1))
    return [(number, match[1]) for number, match in found if match]


def main() -> None:
    if shutil.which("polygraphy") is None:
        print("polygraphy is not installed: python -m pip install polygraphy")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for factor in (1.0, 1.3):
            right, wrong = pair(folder, factor)
            print(f"\n{LAYER}: variance x {factor}")
            ours = ran([sys.executable, "-m", "bridge", "check", wrong, "--against", right])
            print(f"  bridge check             {ours.seconds:6.1f} s {len(ours.lines):5} lines  exit {ours.code}")
            print(*(f"      {line}" for line in ours.lines[-2:] if line.strip()), sep="\n")
            for options in ((), ("--fail-fast",)):
                theirs = polygraphy(right, wrong, folder, *options)
                print(
                    f"  polygraphy run {' '.join(options):<11}{theirs.seconds:6.1f} s {len(theirs.lines):5} lines  exit {theirs.code}"
                )
                for number, tensor in failed(theirs.lines)[:1]:
                    print(f"      {len(failed(theirs.lines))} tensors failed, the first, in line {number}: {tensor}")


if __name__ == "__main__":
    main()
