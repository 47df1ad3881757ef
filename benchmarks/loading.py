"""How fast and how large: a MATLAB-shaped ResNet-50 (98 MB) from .onnx, .mat v5 and .mat v7.3.

Ratios inside one run, one thread, each pair in turn; memory in fresh processes, beyond what
the imports take (read from /proc, so on Linux).

    python -m benchmarks.loading
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROUNDS = 9

MEMORY = """
import sys
import numpy, torch, onnx, scipy.io, h5py
from bridge.readers import load
torch.set_num_threads(1)
load(sys.argv[3]).to_torch()  # whatever is imported late

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

path, before = sys.argv[1], resident("VmRSS:")
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")  # the peak starts anew
what = {"bridge": lambda: load(path).to_torch(), "inspect": lambda: load(path).sizes, "onnx": lambda: onnx.load(path), "scipy": lambda: scipy.io.loadmat(path)}
kept = what[sys.argv[2]]()
print(resident("VmHWM:") - before)
"""


def paired(
    ours: Callable[[], object],
    theirs: Callable[[], object],
    rounds: int = ROUNDS,
    clock: Callable[[], float] = time.perf_counter,
) -> float:
    """Return the median of ours / theirs over pairs run in turn; CPU time, where `clock` says so, is less disturbed."""
    ours(), theirs()
    ratios = []
    for _ in range(rounds):
        ratios.append(_seconds(ours, clock) / _seconds(theirs, clock))
    return statistics.median(ratios)


def _seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    start = clock()
    kept = call()
    elapsed = clock() - start
    del kept
    return elapsed


def peak(path: Path, what: str, warm_up: Path) -> float:
    """Return the peak memory of one call in a fresh process, as a multiple of the file's size."""
    root = Path(__file__).resolve().parent.parent
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, str(path), what, str(warm_up)],
        capture_output=True,
        text=True,
        check=True,
        cwd=root,
    )
    return int(done.stdout) / path.stat().st_size


def main() -> None:
    import onnx
    import onnx.version_converter
    import scipy.io
    import torch
    from onnx2torch import convert

    import bridge
    from fixtures import mat, networks
    from fixtures import onnx as onnx_maker

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        network = networks.resnet50(0)
        onnx_path, v5, v73 = folder / "resnet50.onnx", folder / "resnet50.mat", folder / "resnet50_v73.mat"
        onnx_maker.write(onnx_path, network, "20.2.2")
        mat.write(v5, {"net": network}, "v5")
        mat.write(v73, {"net": network}, "v7.3", compress=False)
        warm_onnx, warm_mat = (
            Path(__file__).resolve().parent.parent / "fixtures" / "files" / f"signs.{kind}" for kind in ("onnx", "mat")
        )

        print(
            f"files: {onnx_path.stat().st_size / 1e6:.0f} MB .onnx, {v5.stat().st_size / 1e6:.0f} MB .mat v5, {v73.stat().st_size / 1e6:.0f} MB .mat v7.3"
        )
        print("time, median of pairs:")
        print(
            f"  .onnx: load + to_torch / onnx.load       {paired(lambda: bridge.load(onnx_path).to_torch(), lambda: onnx.load(onnx_path)):.2f}  (at most 1.2)"
        )
        print(
            f"  .onnx: load + to_torch / onnx2torch      {paired(lambda: bridge.load(onnx_path).to_torch(), lambda: convert(lifted(onnx_path)), 3):.2f}  (at most 0.25)"
        )
        print(
            f"  .mat v5: load + to_torch / scipy.loadmat {paired(lambda: bridge.load(v5).to_torch(), lambda: scipy.io.loadmat(v5), 3):.2f}  (at most 1.3)"
        )
        print(
            f"  .mat v7.3: inspect / load + to_torch     {paired(lambda: bridge.load(v73).sizes, lambda: bridge.load(v73).to_torch(), 5):.2f}"
        )
        print("peak memory, multiples of the file:")
        print(
            f"  .onnx: bridge with module {peak(onnx_path, 'bridge', warm_onnx):.2f} (at most 1.2), onnx.load alone {peak(onnx_path, 'onnx', warm_onnx):.2f}"
        )
        print(
            f"  .mat v5: bridge with module {peak(v5, 'bridge', warm_mat):.2f}, scipy.loadmat alone {peak(v5, 'scipy', warm_mat):.2f}"
        )
        print(
            f"  .mat v7.3: inspect {peak(v73, 'inspect', warm_mat) * v73.stat().st_size / 1e6:.0f} MB, bridge with module {peak(v73, 'bridge', warm_mat):.2f}"
        )


def lifted(path: Path) -> object:
    """What onnx2torch needs: the file at an opset it knows."""
    import onnx
    import onnx.version_converter

    return onnx.version_converter.convert_version(onnx.load(path), 13)


if __name__ == "__main__":
    main()
