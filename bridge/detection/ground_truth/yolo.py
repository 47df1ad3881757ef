"""A folder of YOLO's text files: one for each image, a line for each object: class, centre, width and height as shares.

classes.txt has the names, one a line; a class is the number of its line from 0. Labels of images/a.png are
labels/a.txt, or lie beside the image. images.txt lists the images where they are not in the folder.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from bridge.detection.ground_truth.truth import GroundTruth, joined, located
from bridge.errors import UnreadableError, UsageError
from bridge.files.atomic import write_folder
from bridge.images import imageDatastore
from bridge.images.size import image_size

CLASSES, IMAGES, LABELS = "classes.txt", "images.txt", "labels"


def is_folder(path: Path) -> bool:
    """Whether a folder holds such files."""
    return (path / CLASSES).is_file()


def read(path: Path) -> GroundTruth:
    """Read the objects of a folder."""
    classes = (path / CLASSES).read_text(encoding="utf-8").split("\n")
    listed = path / IMAGES
    if listed.is_file():
        files = [located(path, name) for name in listed.read_text(encoding="utf-8").split("\n") if name]
    else:
        files = list(imageDatastore(path, IncludeSubfolders=True).Files)
    return joined({file: list(_objects(path, Path(file), classes)) for file in files})


def _objects(folder: Path, file: Path, classes: Sequence[str]) -> Iterator[tuple[Sequence[float], str]]:
    found = next(filter(Path.is_file, _places(folder, file)), None)
    if found is None or not file.is_file():
        return
    height, width = image_size(file)
    for line, text in enumerate(found.read_text(encoding="utf-8").split("\n"), 1):
        parts = text.split()
        if not parts:
            continue
        try:
            number, x, y, w, h = int(parts[0]), *map(float, parts[1:])
            label = classes[number] if number >= 0 else ""
        except (ValueError, IndexError) as error:
            raise UnreadableError(
                f"line {line} of {found} holds '{text}'",
                f"a line is a class of 0 to {len(classes) - 1}, and centre, width and height in shares of the image",
                "correct it",
            ) from error
        yield ((x - w / 2) * width + 1, (y - h / 2) * height + 1, w * width, h * height), label


def _places(folder: Path, file: Path) -> Iterator[Path]:
    """Yield where the labels of an image may be."""
    name = f"{file.stem}.txt"
    if "images" in file.parts:
        last = len(file.parts) - 1 - file.parts[::-1].index("images")
        yield Path(*file.parts[:last], LABELS, *file.parts[last + 1 : -1], name)
    yield folder / LABELS / name
    yield file.with_name(name)


def write(truth: GroundTruth, path: Path, *, force: bool = False) -> Path:
    """Write a folder; the images stay where they are, and are listed.

    Raises:
        UsageError: two images have one name, which their labels would share.
    """
    stems = [Path(file).stem for file in truth.files]
    twice = next((name for name in stems if stems.count(name) > 1), None)
    if twice is not None:
        raise UsageError(f"two images are called {twice}", "their labels would be one file", "rename one of them")

    def fill(folder: Path) -> None:
        (folder / LABELS).mkdir(exist_ok=True)
        (folder / CLASSES).write_text("".join(f"{name}\n" for name in truth.classes), encoding="utf-8")
        (folder / IMAGES).write_text("".join(f"{name}\n" for name in truth.names(path)), encoding="utf-8")
        for index, (file, stem) in enumerate(zip(truth.files, stems, strict=True)):
            lines = "".join(_lines(truth, index, image_size(file)))
            (folder / LABELS / f"{stem}.txt").write_text(lines, encoding="utf-8")

    return write_folder(path, fill, replaceable=lambda each: force and is_folder(each))


def _lines(truth: GroundTruth, index: int, size: tuple[int, int]) -> Iterator[str]:
    height, width = size
    for (x, y, w, h), label in zip(truth.boxes[index].tolist(), truth.labels[index], strict=True):
        shares = (x - 1 + w / 2) / width, (y - 1 + h / 2) / height, w / width, h / height
        yield f"{truth.classes.index(label)} {' '.join(f'{share:.10g}' for share in shares)}\n"
