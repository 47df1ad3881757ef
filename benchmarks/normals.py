"""How long MATLAB's normal numbers take against numpy's, in one thread.

`python -m benchmarks.normals` prints the median ratio of paired runs of a million numbers, and exits with 1 where it is above
the limit. Both begin with MT19937: RandomState.standard_normal is numpy's polar method on the same words.
"""

from __future__ import annotations

import statistics
import sys
import time

import numpy as np

from bridge.random import MatlabStream

LIMIT = 4.0
COUNT, PAIRS = 1_000_000, 15


def main() -> int:
    ours, theirs = MatlabStream(0), np.random.RandomState(5489)
    ratios = []
    for _ in range(PAIRS):
        start = time.perf_counter()
        ours.randn(1, COUNT)
        between = time.perf_counter()
        theirs.standard_normal(COUNT)
        ratios.append((between - start) / (time.perf_counter() - between))
    value = statistics.median(ratios)
    print(f"a million of randn: {value:.2f} x RandomState.standard_normal (limit {LIMIT:.0f})")
    return int(value > LIMIT)


if __name__ == "__main__":
    sys.exit(main())
