"""Observations by number: arrays in memory, images in files, sequences of any length, anyone's torch Dataset.

A source gives the same observation for the same number and epoch in whatever process it is asked, so that a training
can be continued. Images are N,C,H,W, features N,C, sequences N,T,C.
"""

from __future__ import annotations

import math
import multiprocessing
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, default_collate

from bridge.arrays.lazy import NDArray
from bridge.data.files import require_bytes
from bridge.errors import UsageError
from bridge.images import augmentedImageDatastore

ALL = slice(None)
UNDEFINED = -1  # the index of an undefined label


FILES_WORTH_WORKERS = 512  # fewer images are read sooner than worker processes have started
MOST_WORKERS = 4
CHANGED_AT_RANDOM = "the images are changed at random in every epoch"


class Batch(NamedTuple):
    """Observations: the inputs of the network, and the targets (class indices or numbers)."""

    inputs: tuple[Tensor, ...]
    targets: Tensor


class Request(NamedTuple):
    """A mini-batch that is asked for.

    Attributes:
        epoch: from 1; augmentation differs from epoch to epoch.
        indices: the observations of the whole mini-batch.
        part: which of them are wanted, where several processes share a mini-batch.
        piece: which piece of split sequences; None: whole sequences.
    """

    epoch: int
    indices: NDArray
    part: slice = ALL
    piece: int | None = None

    @property
    def wanted(self) -> list[int]:
        """The observations to load."""
        chosen: list[int] = self.indices[self.part].tolist()
        return chosen


class Source(Protocol):
    """Observations that can be loaded in any order.

    Attributes:
        classes: names of the class indices in the targets; () where those are numbers, or the names are not known.
        changing: why an observation may differ from epoch to epoch, or "".
        ragged: whether observations have different lengths.
        workers: how many processes load them.
    """

    classes: tuple[str, ...]
    changing: str
    ragged: bool
    workers: int

    def __len__(self) -> int: ...

    def load(self, request: Request) -> Batch: ...


class ArraySource:
    """Tensors in memory, the observations along their first dimension."""

    changing, ragged, workers = "", False, 0

    def __init__(self, inputs: tuple[Tensor, ...], targets: Tensor, classes: tuple[str, ...] = ()) -> None:
        self.inputs, self.targets, self.classes = inputs, targets, classes

    def __len__(self) -> int:
        return len(self.targets)

    def load(self, request: Request) -> Batch:
        index = torch.from_numpy(request.indices[request.part])
        return Batch(tuple(each.index_select(0, index) for each in self.inputs), self.targets.index_select(0, index))


class SequenceSource:
    """Sequences T x C in memory, brought to one length in each mini-batch.

    Padding is data to the network, as in MATLAB. In targets, padded steps of classes are undefined and do not count,
    those of numbers have the padding value and count (both unconfirmed). A number as length splits the sequences of a
    mini-batch into pieces (documented); what has one target for a whole sequence has it for each piece (unconfirmed).

    Args:
        sequences: the inputs, each T x C.
        targets: one target for each sequence, or a list with a target for each step of each.
        length: SequenceLength: "longest", "shortest" or the number of steps of a piece.
        whole_pieces: whether the last piece is padded to that number too (the switch `sequence_splitting`).
        value: SequencePaddingValue.
        left: whether padding and cutting happen at the beginning (SequencePaddingDirection "left").
        classes: names of the class indices.
    """

    changing, ragged, workers = "", True, 0

    def __init__(
        self,
        sequences: Sequence[Tensor],
        targets: Tensor | Sequence[Tensor],
        *,
        length: str | int = "longest",
        whole_pieces: bool = True,
        value: float = 0.0,
        left: bool = False,
        classes: tuple[str, ...] = (),
    ) -> None:
        self.sequences, self.targets, self.classes = sequences, targets, classes
        self.length, self.whole_pieces, self.value, self.left = length, whole_pieces, value, left

    def unpadded(self) -> SequenceSource:
        """Return a source of the same sequences that pads none where they are asked for one by one."""
        return SequenceSource(self.sequences, self.targets, value=self.value, left=self.left, classes=self.classes)

    def pieces(self, indices: NDArray) -> int:
        """Return into how many pieces the sequences of a mini-batch are split."""
        return math.ceil(self._longest(indices) / self.length) if isinstance(self.length, int) else 1

    def _longest(self, indices: NDArray) -> int:
        return max(len(self.sequences[index]) for index in indices)

    def _steps(self, indices: NDArray) -> int:
        if self.length == "shortest":
            return min(len(self.sequences[index]) for index in indices)
        if isinstance(self.length, int) and self.whole_pieces:
            return self.pieces(indices) * self.length
        return self._longest(indices)

    @property
    def pads_targets(self) -> bool:
        """Whether mini-batches may hold targets that are padding."""
        return (
            not isinstance(self.targets, Tensor)
            and len(set(map(len, self.sequences))) > 1
            and self.length != "shortest"
        )

    def __len__(self) -> int:
        return len(self.sequences)

    def load(self, request: Request) -> Batch:
        steps, wanted, piece = self._steps(request.indices), request.wanted, self._piece(request.piece)
        inputs = torch.stack([self._fit(self.sequences[index], steps, self.value) for index in wanted])[:, piece]
        if isinstance(self.targets, Tensor):
            return Batch((inputs,), self.targets[torch.as_tensor(wanted)])
        filler = self.value if self.targets[0].is_floating_point() else UNDEFINED
        return Batch(
            (inputs,), torch.stack([self._fit(self.targets[index], steps, filler) for index in wanted])[:, piece]
        )

    def _piece(self, number: int | None) -> slice:
        return (
            slice(number * self.length, (number + 1) * self.length)
            if number is not None and isinstance(self.length, int)
            else ALL
        )

    def _fit(self, sequence: Tensor, steps: int, filler: float) -> Tensor:
        missing = steps - len(sequence)
        if missing <= 0:
            return sequence[-missing:] if self.left else sequence[:steps]
        padding = sequence.new_full((missing, *sequence.shape[1:]), filler)
        return torch.cat([padding, sequence] if self.left else [sequence, padding])


class ImageSource:
    """Images in files, or an array, brought to one size: each is read, changed and resized when it is asked for.

    What changes an image at random is drawn from (seed, epoch, number), in whatever process.

    Args:
        images: the datastore.
        seed: of augmentation.
        classes: names of the class indices.
        targets: of each image.
        in_background: whether worker processes load them; None: where they are many.
    """

    ragged = False

    def __init__(
        self,
        images: augmentedImageDatastore,
        seed: int,
        classes: tuple[str, ...],
        targets: Tensor,
        in_background: bool | None = None,
    ) -> None:
        self._images, self._seed, self.classes, self._targets = images, seed, classes, targets
        at_random = images.DataAugmentation is not None or images.OutputSizeMode == "randcrop"
        self.changing = CHANGED_AT_RANDOM if at_random else ""
        self.workers = workers_for(len(images), in_background)

    def __len__(self) -> int:
        return len(self._images)

    def load(self, request: Request) -> Batch:
        """Return images in the type of their files, which is that of the smallest room."""
        wanted, files = request.wanted, self._images.files
        pixels = [
            self._images.pixels(index, np.random.default_rng((self._seed, request.epoch, index))) for index in wanted
        ]
        if files is not None:
            require_bytes(pixels, [files.Files[index] for index in wanted])
        return Batch((torch.from_numpy(np.stack(pixels)),), self._targets[torch.as_tensor(wanted)])


def workers_for(count: int, asked: bool | None) -> int:
    """Return how many processes read images from files.

    Args:
        count: of images.
        asked: what the options say; None: where there are many, and processes are sure to start. One that does not fork
            runs the script of its user again, which only a script made for it bears.
    """
    pays = count >= FILES_WORTH_WORKERS and _starts_anywhere() if asked is None else asked
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_WORKERS, cores) if pays else 0


def _starts_anywhere() -> bool:
    script = sys.modules["__main__"]
    own = getattr(sys.modules.get("bridge.commands"), "main", None)
    runs_again = hasattr(script, "__file__") and (own is None or getattr(script, "main", None) is not own)
    return multiprocessing.get_start_method() == "fork" or not runs_again


class DatasetSource:
    """Anyone's map-style Dataset of (inputs..., target)."""

    changing = "a Dataset may draw at random"
    ragged = False

    def __init__(
        self, dataset: Dataset[Any], collate: Callable[[list[Any]], Any] = default_collate, workers: int = 0
    ) -> None:
        self._dataset, self._collate, self.workers = dataset, collate, workers
        self.classes = tuple(map(str, getattr(dataset, "classes", ())))

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def load(self, request: Request) -> Batch:
        parts = self._collate([self._dataset[index] for index in request.wanted])
        if (
            not isinstance(parts, (tuple, list))
            or len(parts) < 2
            or not all(isinstance(part, Tensor) for part in parts)
        ):
            raise UsageError(
                f"an item of the dataset is collated to {type(parts).__name__}",
                "it should be (input, target), with more inputs first for a network that takes several",
                "wrap the dataset, or pass a DataLoader with a collate_fn",
            )
        return Batch(tuple(parts[:-1]), parts[-1])
