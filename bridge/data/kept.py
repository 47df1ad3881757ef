"""Observations that are loaded or computed once and then kept."""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from bridge.data.sources import Batch
from bridge.errors import UsageError

MEMORY_SHARE = 0.25  # of the memory that is free
DISK_SHARE = 0.5  # of the free space of the folder for temporary files, where memory is too small


class Kept:
    """What is known of every observation, in memory or, where that is too small, in a temporary file.

    It is kept as a mini-batch had it, so that the numbers are those of a run that keeps nothing.

    Args:
        count: how many observations there are.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._present = torch.zeros(count, dtype=torch.bool)
        self._stores: list[Tensor] = []
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def holds(self, indices: list[int]) -> bool:
        """Whether all these observations are known."""
        return bool(self._present[indices].all())

    def get(self, indices: list[int]) -> Batch:
        """Return known inputs, or features, and targets."""
        *inputs, targets = (store[indices] for store in self._stores)
        return Batch(tuple(inputs), targets)

    def keep(self, indices: list[int], batch: Batch) -> None:
        """Keep a mini-batch.

        Raises:
            UsageError: there is room for all observations neither in memory nor on disk.
        """
        values = (*batch.inputs, batch.targets)
        if not self._stores:
            self._stores = self._rooms(values)
        for store, each in zip(self._stores, values, strict=True):
            store[indices] = each.to(store.device)
        self._present[indices] = True

    def _rooms(self, examples: Sequence[Tensor]) -> list[Tensor]:
        size = room_needed(examples, self._count)
        if is_free(size):
            return [torch.empty((self._count, *each.shape[1:]), dtype=each.dtype) for each in examples]
        memory = MEMORY_SHARE * free_memory()
        disk = DISK_SHARE * shutil.disk_usage(tempfile.gettempdir()).free
        if size > disk:
            raise UsageError(
                f"the features of {self._count} observations need {size / 2**30:.1f} GB",
                f"they may take {memory / 2**30:.1f} GB of the free memory, or {disk / 2**30:.1f} GB of the free disk "
                "space",
                "train without cache_features, or set TMPDIR to a larger disk",
            )
        self._folder = tempfile.TemporaryDirectory(prefix="bridge-features-")
        return [self._room_on_disk(each, Path(self._folder.name) / str(index)) for index, each in enumerate(examples)]

    def _room_on_disk(self, example: Tensor, path: Path) -> Tensor:
        shape = (self._count, *example.shape[1:])
        return torch.from_file(str(path), shared=True, size=math.prod(shape), dtype=example.dtype).view(shape)


def room_needed(examples: Sequence[Tensor], count: int) -> int:
    """Return the bytes that `count` observations like those of a mini-batch need."""
    return sum(each[0].numel() * each.element_size() * count for each in examples)


def is_free(size: int) -> bool:
    """Whether so many bytes may be kept in memory."""
    return size <= MEMORY_SHARE * free_memory()


def free_memory() -> int:
    """Return the memory that is free, in bytes; a quarter of all where the system does not tell."""
    meminfo = Path("/proc/meminfo")
    if meminfo.is_file():
        for line in meminfo.read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4 if hasattr(os, "sysconf") else 2**30
