"""Images and the objects in them, what detectors are trained on and measured against, in the forms that people have.

| form | read | written |
|---|---|---|
| .csv, `path,x,y,width,height,label` | yes | yes |
| .mat: a table, gTruth, datastores | yes | |
| .json of COCO | yes | yes |
| folder of YOLO's text files | yes | yes |

Boxes are [x y w h] in pixels from 1, as MATLAB has them. COCO's and YOLO's count from 0: a box [0 0 4 4] there covers
the pixels 1 to 4. Paths are seen from the file's own folder; one that leads nowhere there is looked for below that
folder by its last parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from bridge.detection.ground_truth import coco, saved, table, yolo
from bridge.detection.ground_truth.truth import GroundTruth
from bridge.errors import UnreadableError, UsageError, reading

READERS: Mapping[str, Callable[[Path], GroundTruth]] = {".csv": table.read, ".mat": saved.read, ".json": coco.read}
FORMS = f"{', '.join(READERS)}, or a folder of YOLO's text files"

__all__ = ["GroundTruth", "read_ground_truth", "write_ground_truth"]


def read_ground_truth(path: Path) -> GroundTruth:
    """Read a file or folder of objects.

    Raises:
        UsageError: it does not exist, is of another kind, or names no object.
        UnreadableError: it is damaged, holds no such table, or names an image that does not exist.
    """
    read = yolo.read if yolo.is_folder(path) else READERS.get(path.suffix.lower()) if path.is_file() else None
    if read is None:
        what = "is of another kind" if path.exists() else "does not exist"
        hint = f"the header of a .csv is {','.join(table.HEADER)}; a folder has {yolo.CLASSES}"
        raise UsageError(f"{path} {what}", f"objects come as {FORMS}", hint)
    with reading(str(path)):
        found = read(path)
    missing = [file for file in found.files if not Path(file).is_file()]
    if missing:
        raise UnreadableError(
            f"{missing[0]} does not exist",
            f"{path} names it, and {len(missing) - 1} others that do not exist",
            "correct the paths",
        )
    if not any(found.labels):
        raise UsageError(
            f"{path} names no object", "there is nothing to learn from images alone", "label objects in it"
        )
    return found


def write_ground_truth(truth: GroundTruth, path: str | Path, *, force: bool = False) -> Path:
    """Write objects as a .csv, as COCO's .json, or, under a name without an ending, as a folder of YOLO's text files.

    Args:
        truth: the objects.
        path: where to.
        force: whether what is there is replaced; of folders only one with such files.

    Raises:
        UsageError: it is there, cannot be written, or has another ending.
    """
    target = Path(path)
    writers = {".csv": table.write, ".json": coco.write, "": yolo.write}
    if target.suffix.lower() not in writers:
        raise UsageError(
            f"{target} names no form of objects", "they are written as .csv, .json or a folder", "choose one of these"
        )
    return writers[target.suffix.lower()](truth, target, force=force)
