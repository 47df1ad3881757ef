"""imresize against torch's antialiased bicubic interpolation: 256 images of 512 x 512 to 227 x 227, one thread, ratios of one run.

    python -m benchmarks.imresize

torch does less: it neither mirrors at the edges nor rounds exactly, and differs from MATLAB in 15 to 18 % of uint8 values.
"""

from __future__ import annotations

import os

os.environ |= {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}  # read when numpy is imported

import time
from collections.abc import Callable
from functools import partial

import torch
from torch.nn.functional import interpolate

from bridge.images import imresize

IMAGES, SIZE, ROUNDS = 256, (227, 227), 3


def fastest(functions: list[Callable[[], object]]) -> list[float]:
    """The best time of each function in seconds; they take turns, so that a busy machine slows all of them alike."""
    best = [float("inf")] * len(functions)
    for _ in range(ROUNDS):
        for i, function in enumerate(functions):
            start = time.perf_counter()
            function()
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def main() -> None:
    torch.set_num_threads(1)
    print(f"{'images':<24}{'bridge':>12}{'torch':>12}{'ratio':>8}")
    for channels in (1, 3):
        for dtype in (torch.uint8, torch.float32):
            images = torch.randint(0, 256, (IMAGES, channels, 512, 512), dtype=torch.uint8).to(dtype)
            ours, theirs = fastest(
                [
                    partial(imresize, images, SIZE),
                    partial(interpolate, images, size=SIZE, mode="bicubic", antialias=True),
                ]
            )
            kind = f"{channels} channels, {str(dtype).removeprefix('torch.')}"
            print(f"{kind:<24}{ours / IMAGES * 1e3:>9.2f} ms{theirs / IMAGES * 1e3:>9.2f} ms{ours / theirs:>8.2f}")


if __name__ == "__main__":
    main()
