"""Mini-batches of a source as what the part of the network that trains takes: inputs, or features of the part before
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import nn

from bridge.arrays.lazy import NDArray
from bridge.data.kept import Kept
from bridge.data.loading import Loader
from bridge.data.sources import ALL, Batch, Request, SequenceSource


class Feed:
    """Loads mini-batches in order.

    Args:
        loader: of the observations.
        like: a module; inputs get its device and precision.
        fixed: the part of the network before the one that is fed, or None.
        cache: keeps what `fixed` computes, or None.
    """

    def __init__(
        self, loader: Loader, like: nn.Module, fixed: nn.Module | None = None, cache: Kept | None = None
    ) -> None:
        self.loader, self._fixed, self._cache = loader, fixed, cache
        first = next(like.parameters())
        self._device, self._dtype = first.device, first.dtype

    def __len__(self) -> int:
        return len(self.loader.source)

    def batches(self, epoch: int, divided: Iterable[NDArray], part: slice = ALL) -> Iterator[Batch]:
        """Yield mini-batches.

        Args:
            epoch: from 1.
            divided: the numbers of the observations of each mini-batch.
            part: which of them to load, where several processes share a mini-batch.
        """
        return self.load([Request(epoch, indices, part) for indices in divided])

    def pieces(self, indices: NDArray) -> Sequence[int | None]:
        """Return the pieces that the sequences of a mini-batch are split into; (None,) where they stay whole."""
        source = self.loader.source
        return (
            range(source.pieces(indices))
            if isinstance(source, SequenceSource) and isinstance(source.length, int)
            else (None,)
        )

    def load(self, requests: Sequence[Request]) -> Iterator[Batch]:
        """Yield what is asked for."""
        cache = self._cache
        if cache is None:
            yield from map(self._through_fixed, map(self._placed, self.loader.load(requests)))
            return
        known = [cache.holds(each.wanted) for each in requests]
        if requests and all(known):
            self.loader.close()  # its room is better used
        unknown = [each for each, is_known in zip(requests, known, strict=True) if not is_known]
        loaded = map(self._placed, self.loader.load(unknown))
        for request, is_known in zip(requests, known, strict=True):
            if is_known:
                yield self._placed(cache.get(request.wanted))
            else:
                cache.keep(request.wanted, features := self._through_fixed(next(loaded)))
                yield features

    def _through_fixed(self, batch: Batch) -> Batch:
        if self._fixed is None:
            return batch
        with torch.no_grad():
            return Batch(self._fixed(*batch.inputs), batch.targets)

    def _placed(self, batch: Batch) -> Batch:
        """Copy to the device in the type that takes least room, while it may compute; then convert."""
        inputs, targets = batch
        if self._device.type != "cpu":
            inputs = tuple([each.to(self._device, non_blocking=True) for each in inputs])
            targets = targets.to(self._device, non_blocking=True)
        kind = self._dtype if targets.is_floating_point() else torch.long
        return Batch(tuple([each.to(self._device, self._dtype) for each in inputs]), targets.to(self._device, kind))
