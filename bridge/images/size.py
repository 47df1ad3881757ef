"""The size of an image file, without reading its pixels."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.errors import UnreadableError


def image_size(path: str | os.PathLike[str]) -> tuple[int, int]:
    """Return (height, width) of an image, as imread gives it.

    Raises:
        UnreadableError: there is no such file, or it is no image.
    """
    from PIL import Image

    try:
        with Image.open(Path(path)) as image:
            width, height = image.size
    except Exception as problem:  # Pillow raises many kinds
        raise UnreadableError(f"cannot read the image {path}", str(problem), "replace the file") from problem
    return height, width
