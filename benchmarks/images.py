"""Images from files to tensors: read and resized, and augmented before, against torchvision's v2 transforms.

    python -m benchmarks.images

Made-up JPEGs of 500 x 375 with the spectrum of photographs (about 115 KB each) become 3 x 224 x 224 in single
precision: ratios of images a second, in CPU time, one thread. torchvision reads as its ImageFolder does, and transforms
either the PIL images that this gives, or tensors of bytes (the way that its documentation calls the fastest). It does
less: it neither mirrors at the edges nor rounds exactly.
"""

from __future__ import annotations

import os

os.environ |= {
    name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
}  # read when numpy is imported

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torchvision.datasets.folder import default_loader
from torchvision.transforms import InterpolationMode, v2

from benchmarks.loading import paired
from bridge.images import augmentedImageDatastore, imageDataAugmenter, imageDatastore, imread

IMAGES, HEIGHT, WIDTH, SIZE, ROUNDS = 16, 375, 500, (224, 224), 25


def photograph(rng: np.random.Generator) -> Image.Image:
    """Noise whose amplitude falls with the frequency, as in photographs; the channels mostly agree."""
    frequency = np.hypot(np.fft.fftfreq(HEIGHT)[:, None, None], np.fft.fftfreq(WIDTH)[None, :, None])
    frequency[0, 0] = np.inf
    noise = np.fft.fft2(rng.standard_normal((HEIGHT, WIDTH, 3)), axes=(0, 1)) / frequency
    channels = np.fft.ifft2(noise, axes=(0, 1)).real
    pixels = channels[..., :1] + 0.35 * channels
    return Image.fromarray((120 + 55 * pixels / pixels.std()).clip(0, 255).astype(np.uint8))


def made_up(folder: Path) -> list[str]:
    rng = np.random.default_rng(0)
    paths = [str(folder / f"{index:02}.jpg") for index in range(IMAGES)]
    for path in paths:
        photograph(rng).save(path, quality=90)
    return paths


def bridges(paths: list[str], augmenter: imageDataAugmenter | None) -> Callable[[], object]:
    store = augmentedImageDatastore(SIZE, imageDatastore(paths), DataAugmentation=augmenter, rng=0)
    return lambda: [store[index] for index in range(len(store))]


def torchvisions(paths: list[str], random: list[Any], on_tensors: bool) -> Callable[[], object]:
    steps = [*random, v2.Resize(SIZE, antialias=True)]
    steps = [v2.ToImage(), *steps] if on_tensors else [*steps, v2.ToImage()]
    transform = v2.Compose([*steps, v2.ToDtype(torch.float32)])
    return lambda: [transform(default_loader(path)) for path in paths]


def main() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    augmenter = imageDataAugmenter(
        RandXReflection=True, RandRotation=(-20, 20), RandScale=(0.9, 1.1), RandXTranslation=(-10, 10)
    )
    affine = v2.RandomAffine(20, (0.02, 0), (0.9, 1.1), interpolation=InterpolationMode.BILINEAR)
    jobs: dict[str, tuple[list[Any], imageDataAugmenter | None]] = {
        "read and resize": ([], None),
        "read, random affine map, resize": ([v2.RandomHorizontalFlip(), affine], augmenter),
    }
    print(f"{'images a second, bridge / torchvision':40}{'on PIL images':>16}{'on tensors':>12}")
    with tempfile.TemporaryDirectory() as name:
        paths = made_up(Path(name))
        for what, (random, ours) in jobs.items():
            ratios = [
                paired(torchvisions(paths, random, on_tensors), bridges(paths, ours), ROUNDS, time.process_time)
                for on_tensors in (False, True)
            ]
            print(f"{what:40}{ratios[0]:16.2f}{ratios[1]:12.2f}", flush=True)
        reading = paired(bridges(paths, None), lambda: [imread(path) for path in paths], ROUNDS, time.process_time)
    print(f"reading alone is {1 / reading:.2f} of the time of reading and resizing")


if __name__ == "__main__":
    main()
