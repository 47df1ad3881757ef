"""What `bridge inspect` of a file takes, against a bare import of numpy: CPU time of fresh processes, in turn.

It measures every file given, a workspace of 300 variables without a network, in both containers, and one with a network
among them; and exits with 1 where a ratio is beyond its limit.

    python -m benchmarks.inspecting [FILE...]
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from fixtures import mat, networks
from fixtures.objects import Structs, categorical, cell, string, table

ROUNDS = 5
MOST = 5.5  # a bare import of numpy takes about 0.09 s, inspecting may take 0.5 s
VARIABLES = 300
ROOT = Path(__file__).resolve().parent.parent
NUMPY = [sys.executable, "-c", "import numpy"]


def workspace(rng: np.random.Generator) -> dict[str, Any]:
    """Return what lies in a workspace after a day's work: numbers, texts, cells, structs, tables and strings."""
    makers = (
        lambda: rng.standard_normal((200, 30)),
        lambda: "a text",
        lambda: cell([f"label {index}" for index in range(20)]),
        lambda: cell([rng.standard_normal((3, 5)) for _ in range(10)]),
        lambda: {"name": "a", "value": rng.standard_normal((1, 100)), "more": {"on": True}},
        lambda: Structs(tuple({"x": float(index), "y": "text"} for index in range(5))),
        lambda: categorical([f"class {index}" for index in range(10)], list(rng.integers(1, 11, 500))),
        lambda: string("one", "two", "three"),
        lambda: table({"time": rng.standard_normal((100, 1)), "value": rng.standard_normal((100, 1))}, 100),
        lambda: True,
    )
    return {f"x{index}": makers[index % len(makers)]() for index in range(VARIABLES)}


def files(folder: Path) -> Iterator[Path]:
    """Write the workspaces."""
    rng = np.random.default_rng(0)
    held = workspace(rng)
    for container in ("v5", "v7.3"):
        for name, extra in (("alone", {}), ("network", {"net": networks.feature_mlp()})):
            path = folder / f"workspace_{name}_{container}.mat"
            mat.write(path, {**held, **extra}, container)
            yield path


def _seconds(command: list[str]) -> float:
    start = os.times()
    subprocess.run(command, cwd=ROOT, capture_output=True, check=False, env={**os.environ, "OMP_NUM_THREADS": "1"})
    end = os.times()
    return end.children_user + end.children_system - start.children_user - start.children_system


def ratio(path: Path) -> float:
    """Return the median over pairs of the time of inspecting a file to that of importing numpy."""
    inspect = [sys.executable, "-m", "bridge", "inspect", str(path)]
    _seconds(inspect), _seconds(NUMPY)
    return statistics.median(_seconds(inspect) / _seconds(NUMPY) for _ in range(ROUNDS))


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        ratios = {
            path.name: ratio(path) for path in (*files(Path(folder)), *(Path(each).resolve() for each in sys.argv[1:]))
        }
    for name, value in sorted(ratios.items(), key=lambda each: -each[1]):
        print(f"{value:6.2f}  {name}{'  beyond the limit' if value > MOST else ''}")
    print(f"at most {MOST} for each")
    sys.exit(any(value > MOST for value in ratios.values()))


if __name__ == "__main__":
    main()
