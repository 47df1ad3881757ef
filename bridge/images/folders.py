"""MATLAB's ``imageDatastore``: the image files of folders, their labels, and how to split them."""

from __future__ import annotations

import logging
import math
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.images.color import imread
from bridge.random import MatlabStream, stream_of

Location = str | os.PathLike[str]

EXTENSIONS = (  # of MATLAB's imformats, those that Pillow reads
    *(
        ".bmp",
        ".cur",
        ".fits",
        ".fts",
        ".gif",
        ".ico",
        ".j2c",
        ".j2k",
        ".jp2",
        ".jpeg",
        ".jpf",
        ".jpg",
        ".jpx",
        ".pbm",
        ".pcx",
    ),
    *(".pgm", ".png", ".pnm", ".ppm", ".ras", ".tif", ".tiff"),
)
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageDatastore:
    """Image files with their labels, as ``imageDatastore`` makes it; a map-style dataset of (H x W [x C] array, label
    index).

    Attributes:
        Files: paths.
        Labels: the label of each file, or None where the files have none.
        classes: all labels in MATLAB's order of categories (by character code). A subset keeps the classes of the
            whole.
    """

    Files: tuple[str, ...]
    Labels: tuple[str, ...] | None = None
    classes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.Files)

    def __getitem__(self, index: int) -> NDArray[Any] | tuple[NDArray[Any], int]:
        image = self.readimage(index)
        return image if self.Labels is None else (image, self.classes.index(self.Labels[index]))

    def readimage(self, index: int) -> NDArray[Any]:
        """The image with this index (Python's, from 0), as `imread` reads it."""
        return imread(self.Files[index])

    def subset(self, indices: Iterable[int]) -> ImageDatastore:
        """The files with these indices (Python's, from 0), in the order given."""
        chosen = list(indices)
        labels = None if self.Labels is None else tuple(self.Labels[i] for i in chosen)
        return replace(self, Files=tuple(self.Files[i] for i in chosen), Labels=labels)

    def countEachLabel(self) -> dict[str, int]:
        """How many files each class has, in the order of the classes; a class without files counts 0."""
        counts = Counter(self._labels("countEachLabel"))
        return {name: counts[name] for name in self.classes}

    def splitEachLabel(
        self, *parts: float, randomized: bool = False, rng: int | MatlabStream = 0
    ) -> tuple[ImageDatastore, ...]:
        """Splits the files of each label: the first part of them, the next, ..., and last those that remain.

        Args:
            parts: shares below 1 (rounded down to whole files, as documented), or numbers of files.
            randomized: shuffle the files of each label first, by a randperm for each (proven for how much is drawn,
                likely for which files come first).
            rng: of the shuffling: a seed of MATLAB's rng, or a stream, which goes on.

        Returns:
            One datastore more than there are parts; each is ordered by class.

        Raises:
            UsageError: shares beyond 1 in sum, shares mixed with numbers, or a label with fewer files than asked for.
        """
        labels = self._labels("splitEachLabel")
        self._check_parts(parts)
        stream = stream_of(rng)
        numbers: dict[str, list[int]] = defaultdict(list)
        for number, name in enumerate(labels):
            numbers[name].append(number)
        pieces: list[list[int]] = [[] for _ in range(len(parts) + 1)]
        for name in self.classes:
            files = np.array(numbers[name], np.intp)
            order = files[stream.randperm(len(files))[0] - 1] if randomized else files
            sizes = [math.floor(part * len(files)) if part < 1 else int(part) for part in parts]
            for piece, chosen in zip(pieces, np.split(order, np.cumsum(sizes)), strict=True):
                piece.extend(chosen.tolist())
        return tuple(self.subset(piece) for piece in pieces)

    def verify(self, skip_bad: bool = False) -> ImageDatastore:
        """Reads every file once.

        Args:
            skip_bad: leave unreadable files out, and log their names, instead of raising.

        Returns:
            The datastore, without the unreadable files.

        Raises:
            UnreadableError: some files cannot be read; all are named.
        """
        with ThreadPoolExecutor() as pool:
            problems = list(pool.map(_problem, self.Files))
        bad = {file: problem for file, problem in zip(self.Files, problems, strict=True) if problem}
        if not bad:
            return self
        listing = "\n".join(f"  {file}: {problem}" for file, problem in bad.items())
        if not skip_bad or len(bad) == len(self):
            hint = "replace these files, or leave them out with skip_bad=True"
            raise UnreadableError(
                f"{len(bad)} of {len(self)} images cannot be read", f"they are damaged or unsupported\n{listing}", hint
            )
        _log.warning("left out %d of %d images:\n%s", len(bad), len(self), listing)
        return self.subset(index for index, problem in enumerate(problems) if not problem)

    def _labels(self, asked_by: str) -> tuple[str, ...]:
        if self.Labels is None:
            raise UsageError(
                f"{asked_by}: the files have no labels", "LabelSource is 'none'", "pass LabelSource='foldernames'"
            )
        return self.Labels

    def _check_parts(self, parts: Sequence[float]) -> None:
        cause, fewest = "", min(filter(None, self.countEachLabel().values()))
        if not parts or any(part <= 0 for part in parts):
            cause = "each part is a positive number"
        elif all(part < 1 for part in parts):
            cause = "the shares exceed 1 in sum" if sum(parts) > 1 + 1e-9 else ""
        elif any(part % 1 for part in parts):
            cause = "parts are either all shares below 1, or all whole numbers of files"
        elif sum(parts) > fewest:
            cause = f"the smallest label has {fewest} files"
        if cause:
            raise UsageError(f"splitEachLabel: cannot split by {parts}", cause, "pass for example 0.7, or 0.7, 0.15")


def _problem(file: str) -> str:
    try:
        imread(file)
    except BridgeError as problem:
        return problem.cause
    return ""


def imageDatastore(
    location: Location | Sequence[Location],
    IncludeSubfolders: bool = False,
    LabelSource: str = "none",
    FileExtensions: str | Sequence[str] | None = None,
) -> ImageDatastore:
    """Collects image files, as MATLAB's ``imageDatastore`` with its defaults.

    Unconfirmed: in each folder the files come first, then the subfolders, both by character code. Hidden folders
    (.ipynb_checkpoints, .git) and hidden files (._a.jpg) that are not named in `location` are passed over.

    Args:
        location: a folder or a file, or several.
        IncludeSubfolders: search the folders below as well.
        LabelSource: "none", or "foldernames": the label of a file is the name of the folder that holds it.
        FileExtensions: such as ".jpg", upper or lower case; default: image formats that MATLAB and Pillow know. Files
            named in `location` are taken whatever their extension.

    Raises:
        UsageError: an unknown LabelSource, or a location without images.
        UnreadableError: a location that does not exist.
    """
    if LabelSource not in ("none", "foldernames"):
        raise UsageError(
            f"imageDatastore: LabelSource is {LabelSource!r}",
            "that is no source of labels",
            "choose 'none' or 'foldernames'",
        )
    locations = [location] if isinstance(location, (str, os.PathLike)) else location
    extensions = [FileExtensions] if isinstance(FileExtensions, str) else FileExtensions or EXTENSIONS
    suffixes = {extension.lower() for extension in extensions}
    found = [part for place in locations for part in _folders(str(Path(place)), IncludeSubfolders, suffixes)]
    files = tuple(os.path.join(folder, name) for folder, names in found for name in names)
    if not files:
        places = ", ".join(map(str, locations))
        cause = f"no file ends in {', '.join(sorted(suffixes))}"
        hint = (
            "name other FileExtensions"
            if IncludeSubfolders
            else "pass IncludeSubfolders=True if the images are in folders below"
        )
        raise UsageError(f"imageDatastore: no images in {places}", cause, hint)
    if LabelSource == "none":
        return ImageDatastore(files)
    labels = tuple(name for folder, names in found for name in [_name(folder)] * len(names))
    return ImageDatastore(files, labels, tuple(sorted(set(labels))))


def _folders(place: str, include_subfolders: bool, suffixes: set[str]) -> Iterator[tuple[str, list[str]]]:
    """Yields folders, each with the names of its images; the folder that is meant by none ("") is the current one."""
    if os.path.isfile(place):
        folder, name = os.path.split(place)
        yield folder, [name]
        return
    if not os.path.isdir(place):
        raise UnreadableError(
            f"imageDatastore: {place} does not exist", "it is neither a file nor a folder", "check the path"
        )
    try:
        with os.scandir(place) as listing:
            entries = sorted((each for each in listing if each.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        raise UnreadableError(f"imageDatastore: cannot list {place}", str(error), "check who may read it") from error
    folder = "" if place == os.curdir else place
    yield (
        folder,
        [each.name for each in entries if os.path.splitext(each.name)[1].lower() in suffixes and each.is_file()],
    )
    if include_subfolders:
        for each in entries:
            if each.is_dir():
                yield from _folders(os.path.join(folder, each.name), include_subfolders, suffixes)


def _name(folder: str) -> str:
    """The name of a folder, the current one among them."""
    return os.path.basename(os.path.abspath(folder))
