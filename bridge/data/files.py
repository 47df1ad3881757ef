"""Images in files: folders, and the .csv of bridgeData; looked through before training starts."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bridge.arrays.lazy import NDArray
from bridge.errors import UnreadableError, UnsupportedError, UsageError
from bridge.images import ImageDatastore, imageDatastore
from bridge.images.color import require_size

LOOKED_AT = 256  # images, before a training starts
HEADER = ["path", "label", "split", "position"]
CHANNELS = {
    "1": 1,
    "L": 1,
    "P": 1,
    "RGB": 3,
    "YCbCr": 3,
    "RGBA": 4,
    "LA": 2,
    "CMYK": 4,
}  # of Pillow's modes; imread blends a PNG's alpha


def folder(path: Path) -> ImageDatastore:
    """Return the images of a folder, labelled with the names of the folders they are in.

    Raises:
        UsageError: there are none, they lie in the folder itself, or a class has a single one.
    """
    images = imageDatastore(path, IncludeSubfolders=True, LabelSource="foldernames")
    if images.classes == (path.absolute().name,):
        raise UsageError(
            f"the images in {path} have no labels", "they lie in the folder itself", "make a folder for each class"
        )
    folders = {os.path.dirname(file) for file in images.Files}
    filled = {Path(each).relative_to(path).parts[0] for each in folders if Path(each) != path}
    empty = sorted(
        each.name
        for each in path.iterdir()
        if each.is_dir() and not each.name.startswith(".") and each.name not in filled
    )
    if empty:
        raise UsageError(
            f"the folder '{empty[0]}' in {path} holds no images", "a class needs images", "fill it, or remove it"
        )
    alone = [name for name, count in images.countEachLabel().items() if count == 1]
    if alone:
        raise UsageError(
            f"class '{alone[0]}' has a single image",
            f"{len(alone)} of {len(images.classes)} classes in {path} have one",
            "check that the folders are the classes",
        )
    return images


def table(path: Path) -> tuple[ImageDatastore, ImageDatastore | None]:
    """Read a file of bridgeData: path, label, split, position. Paths are seen from the file's own folder.

    Returns:
        The training and the validation images, each in MATLAB's order.

    Raises:
        UnreadableError: it is no such file, or an image does not exist.
        UsageError: it has no training images.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = list(csv.DictReader(stream))
        wrong = next(
            (
                row
                for row in rows
                if list(row) != HEADER or row["split"] not in ("train", "validation") or not row["position"].isdigit()
            ),
            None,
        )
    except (OSError, UnicodeDecodeError, csv.Error, AttributeError) as error:
        raise UnreadableError(f"cannot read {path}", str(error), "write it with bridgeData in MATLAB") from error
    if wrong is not None:
        raise UnreadableError(
            f"{path} is no file of bridgeData",
            f"a line holds {wrong}",
            f"its header is {','.join(HEADER)}, split is train or validation",
        )
    train, validation = (
        sorted((row for row in rows if row["split"] == split), key=lambda row: int(row["position"]))
        for split in ("train", "validation")
    )
    if not train:
        raise UsageError(
            f"{path} has no training images", "no line has split 'train'", "write it with bridgeData in MATLAB"
        )
    classes = tuple(sorted({row["label"] for row in rows}))
    return _store(path, train, classes), _store(path, validation, classes) if validation else None


def _store(path: Path, rows: Sequence[dict[str, str]], classes: tuple[str, ...]) -> ImageDatastore:
    files = [path.parent / row["path"] for row in rows]
    missing = [str(file) for file in files if not file.is_file()]
    if missing:
        raise UnreadableError(
            f"{missing[0]} does not exist",
            f"{path} names it, and {len(missing) - 1} others that do not exist",
            "correct the paths in the file",
        )
    return ImageDatastore(tuple(map(str, files)), tuple(row["label"] for row in rows), classes)


def stride(count: int) -> int:
    """Return how many files of a long list are skipped for each that is looked at before a training starts."""
    return max(1, -(-count // LOOKED_AT))


def require_alike(images: ImageDatastore, channels: int | None, color: str) -> None:
    """Look at the headers of images before the training starts: of all, or of as many as that takes no time for.

    What the others hold is checked when they are read.

    Raises:
        UnreadableError: some cannot be read; the first are named.
        UnsupportedError: an image has 16 bits a channel.
        UsageError: the images do not all have the channels of the input layer.
    """
    looked_at = images.Files[:: stride(len(images))]
    with ThreadPoolExecutor() as pool:
        found = dict(zip(looked_at, pool.map(_channels, looked_at), strict=True))
    unread = [file for file, count in found.items() if count is None]
    if unread:
        raise UnreadableError(
            f"{len(unread)} of {len(found)} images cannot be read",
            f"the first is {unread[0]}",
            "replace these files, or leave them out",
        )
    deep = [file for file, count in found.items() if count == 0]
    if deep:
        raise _too_deep(deep[0])
    wanted = {"gray2rgb": (1, 3), "rgb2gray": (1, 3)}.get(color, (channels,))
    other = [file for file, count in found.items() if channels is not None and count not in wanted]
    if other:
        mixed = len(other) < len(found)
        raise UsageError(
            f"{other[0]} has {found[other[0]]} channel(s), the network takes {channels}",
            "the images have different numbers of channels" if mixed else "all images have that many",
            "choose ColorPreprocessing 'gray2rgb' or 'rgb2gray'",
        )


def require_bytes(images: Sequence[NDArray], names: Sequence[str]) -> None:
    """Check the type of images that were read.

    Raises:
        UnsupportedError: one has 16 bits a channel.
    """
    for image, name in zip(images, names, strict=True):
        if image.dtype.itemsize > 1:
            raise _too_deep(name)


def _too_deep(name: str) -> UnsupportedError:
    return UnsupportedError(
        f"{name} has 16 bits or more a channel",
        "its values are beyond those of the other images",
        "convert it to 8 bits",
    )


def _channels(file: str) -> int | None:
    """Return the channels that imread gives; 0 for more than 8 bits, None for what is no image."""
    from PIL import Image

    try:
        with Image.open(file) as image:
            require_size(file, image.size)
            if ";16" in str([tile[3] for tile in image.tile]):
                return 0
            count = CHANNELS.get(image.mode, 0)
            return count - 1 if image.format == "PNG" and image.mode in ("RGBA", "LA") else count
    except Exception:  # Pillow raises many kinds
        return None
