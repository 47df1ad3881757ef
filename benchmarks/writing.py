"""How fast and how large: a MATLAB-shaped ResNet-50 (98 MB) exported, against numpy's writing of the same arrays.

Ratios inside one run, one thread, each pair in turn, every file synced to the disk; memory in a fresh process, beyond what it holds
before the call (read from /proc, so on Linux): the pages of a mapped file count as they are read.

    python -m benchmarks.writing
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.loading import paired

ROOT = Path(__file__).resolve().parent.parent
MEMORY = """
import sys, torch, bridge
from bridge.writers import matlab
torch.set_num_threads(1)
source, target, largest = sys.argv[1], sys.argv[2], int(sys.argv[3])
options = {"test": sys.argv[4] == "test"} if target.endswith("mat") else {}
small = bridge.load(sys.argv[5])
small.save(target + ".folder")
bridge.export(small, target, force=True, tell=len, **{**options, "test": True} if options else {})  # whatever is imported late
bridge.load(target + ".folder").layers[1].learnables["Weights"].value
matlab.LARGEST = largest

def resident(field):
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(field))

network = bridge.load(source)
before = resident("VmRSS:")
with open("/proc/self/clear_refs", "w") as clear:
    clear.write("5")  # the peak starts anew
bridge.export(network, target, force=True, tell=len, **options)
print(resident("VmHWM:") - before)
"""


def peak(source: Path, size: int, ending: str = "mat", *, largest: int = 2**31, test: bool = False) -> float:
    """Return the peak memory of writing a network, as a multiple of its weights."""
    small = ROOT / "fixtures" / "files" / "signs.mat"
    arguments = [source, source.parent / f"peak.{ending}", largest, "test" if test else "", small]
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, *map(str, arguments)], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return int(done.stdout) / size


def synced(write: Callable[[Path], object], path: Path) -> Callable[[], None]:
    """Return a call that writes a file and syncs it to the disk."""

    def call() -> None:
        write(path)
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)

    return call


def main() -> None:
    import torch

    import bridge
    from bridge.writers import matlab
    from fixtures import mat, networks

    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        mat.write(folder / "resnet50.mat", {"net": networks.resnet50(0)})
        network = bridge.load(folder / "resnet50.mat")
        network.save(folder / "net")
        saved = bridge.load(folder / "net")
        arrays = [
            array.read().ravel("F")
            for layer in network.layers
            for array in (*(each.array for each in layer.learnables.values()), *layer.state.values())
        ]
        size = sum(each.nbytes for each in arrays)

        def numpy_writes(path: Path) -> None:
            with path.open("wb") as stream:
                for array in arrays:
                    array.tofile(stream)

        def version_73(path: Path) -> None:
            matlab.LARGEST, usual = 0, matlab.LARGEST
            bridge.export(network, path, force=True, test=False)
            matlab.LARGEST = usual

        def exported(ending: str) -> Callable[[Path], object]:
            return lambda path: bridge.export(network, path.with_suffix(ending), force=True, tell=len)

        baseline = synced(numpy_writes, folder / "numpy.bin")
        print(f"{size / 1e6:.0f} MB of arrays; time by numpy's of writing them, median of pairs:")
        for what, (ending, write, bound) in {
            ".safetensors                      ": (".safetensors", exported(".safetensors"), "  (at most 1.5)"),
            ".onnx                             ": (".onnx", exported(".onnx"), ""),
            ".mat v7, network in memory        ": (
                ".mat",
                lambda path: bridge.export(network, path, force=True, test=False),
                "  (at most 3)",
            ),
            ".mat v7, network in a saved folder": (
                ".mat",
                lambda path: bridge.export(saved, path, force=True, test=False),
                "  (at most 3)",
            ),
            ".mat v7, with torch's test output ": (".mat", lambda path: bridge.export(network, path, force=True), ""),
            ".mat v7.3, network in memory      ": (".mat", version_73, ""),
        }.items():
            print(f"  {what} {paired(synced(write, folder / f'ours{ending}'), baseline):.2f}{bound}")
        print("peak memory, multiples of the weights (at most 1.2):")
        for what, source in {"in memory": folder / "resnet50.mat", "in a saved folder": folder / "net"}.items():
            print(
                f"  .mat v7, network {what}: {peak(source, size):.2f}, with torch's test output {peak(source, size, test=True):.2f}"
            )
            print(f"  .mat v7.3, network {what}: {peak(source, size, largest=0):.2f}")
            print(
                f"  .safetensors, .onnx, network {what}: {peak(source, size, 'safetensors'):.2f}, {peak(source, size, 'onnx'):.2f}"
            )


if __name__ == "__main__":
    main()
