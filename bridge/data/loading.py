"""Mini-batches of a source in order, from worker processes where it has some."""

from __future__ import annotations

import logging
import pickle
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.reduction import ForkingPickler
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, get_worker_info

from bridge.data.kept import Kept, is_free, room_needed
from bridge.data.pixels import PixelSource
from bridge.data.sources import Batch, ImageSource, Request, Source
from bridge.errors import BridgeError, UsageError

AHEAD = 2  # mini-batches that each process has ready
_log = logging.getLogger(__name__)


@contextmanager
def telling_of_ended_processes() -> Iterator[None]:
    """Raise UsageError where a process that loads observations has ended: torch tells of it in a signal, wherever the
    process that waits for it is.
    """
    try:
        yield
    except RuntimeError as error:
        if "DataLoader worker" not in str(error):
            raise
        hint = "try DispatchInBackground=False; a script of yours needs `if __name__ == '__main__':` where it starts"
        raise UsageError("a process that loads observations ended", str(error), hint) from error


class Loader:
    """Loads mini-batches of a source.

    Worker processes start with the first request, live until `close` and load ahead of what is asked for.

    Args:
        source: the observations.
        pins: whether mini-batches are put into memory that a GPU copies from while it computes.
        keeps: whether observations stay in memory once they are loaded; for a source whose observations never change.
    """

    def __init__(self, source: Source, pins: bool = False, keeps: bool = False) -> None:
        self.source, self._pins = source, pins
        self._kept = Kept(len(source)) if keeps else None
        self._requests: list[Request] = []
        self._workers = source.workers
        self._processes: DataLoader[Batch | BridgeError] | None = None

    def load(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Yield what is asked for.

        Raises:
            BridgeError: an observation cannot be loaded.
            UsageError: a worker process ended.
        """
        kept = self._kept
        if kept is None:
            yield from self._anew(requests)
            return
        known = [kept.holds(each.wanted) for each in requests]
        loaded = self._anew([each for each, is_known in zip(requests, known, strict=True) if not is_known])
        if all(known):
            self._processes = None  # they have nothing left to do
        for request, is_known in zip(requests, known, strict=True):
            if not is_known:
                kept.keep(request.wanted, batch := next(loaded))
                yield batch
            else:
                batch = kept.get(request.wanted)
                yield _pinned(batch) if self._pins else batch

    def _anew(self, requests: Sequence[Request]) -> Iterator[Batch]:
        if not requests:
            return
        self._requests[:] = requests
        processes = self._started() if self._workers else None
        if processes is None:
            for request in requests:
                batch = self.source.load(request)
                yield _pinned(batch) if self._pins else batch
            return
        with telling_of_ended_processes():
            for loaded in processes:
                if isinstance(loaded, BridgeError):
                    raise loaded
                yield loaded

    def close(self) -> None:
        """End the worker processes and forget what is kept; the next request begins anew."""
        self._processes = None
        self._kept = None if self._kept is None else Kept(len(self.source))

    def _started(self) -> DataLoader[Batch | BridgeError] | None:
        """Return the worker processes; None where they cannot be given the source."""
        if self._processes is None:
            loads = _Loads(self.source)
            if torch.multiprocessing.get_start_method() != "fork" and not _is_picklable(loads):
                self._workers = 0
                return None
            self._processes = DataLoader(
                loads,
                batch_size=None,
                sampler=self._requests,
                num_workers=self._workers,
                prefetch_factor=AHEAD,
                persistent_workers=True,
                pin_memory=self._pins,
                collate_fn=_as_it_is,
                generator=torch.Generator().manual_seed(0),  # that of the training is left alone
                worker_init_fn=_ignore_interrupts,
            )
        return self._processes


def loaders(sources: Sequence[Source], pins: bool, again: bool) -> tuple[list[Loader], int]:
    """Return loaders of sources; those of images keep them where they fit into memory together and never change.

    Args:
        sources: the observations, those that matter most first.
        pins: see `Loader`.
        again: whether observations are asked for more than once.

    Returns:
        The loaders, and how many bytes they will keep.
    """
    found, room = [], 0
    for source in sources:
        needed = 0
        if again and isinstance(source, (ImageSource, PixelSource)) and not source.changing:
            inputs, targets = source.load(Request(1, np.array([0])))
            needed = room_needed((*inputs, targets), len(source))
        keeps = needed > 0 and is_free(room + needed)
        room += needed if keeps else 0
        found.append(Loader(source, pins, keeps))
    return found, room


def _pinned(batch: Batch) -> Batch:
    return Batch(tuple(each.pin_memory() for each in batch.inputs), batch.targets.pin_memory())


class _Loads(Dataset[Batch | BridgeError]):
    """A source as the dataset of a DataLoader, whose items are mini-batches."""

    def __init__(self, source: Source) -> None:
        self._source = source

    def __getitem__(self, request: Request) -> Batch | BridgeError:
        if get_worker_info() is not None:
            _seed(request)
        try:
            return self._source.load(request)
        except BridgeError as error:  # handed over as it is: a DataLoader raises one whose text is the worker's trace
            return error


def _seed(request: Request) -> None:
    """Let what a Dataset draws depend on the mini-batch alone, in whatever process, also when a training goes on."""
    first = int(request.indices[0]) if len(request.indices) else 0
    seed = int(np.random.SeedSequence((request.epoch, first)).generate_state(1)[0])
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)


def _is_picklable(loads: _Loads) -> bool:
    try:
        ForkingPickler.dumps(loads)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        _log.warning("the data cannot be handed to worker processes and are loaded by the training itself: %s", error)
        return False
    return True


def _ignore_interrupts(worker: int) -> None:
    """Leave Ctrl-C to the process that trains: it ends with a whole iteration, which needs its mini-batch."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _as_it_is(batch: Any) -> Any:
    return batch
