"""What a file may grow by while it is decoded."""

from __future__ import annotations

from pathlib import Path

from bridge.errors import UnreadableError

# Small files may grow to GROWN bytes, others GROWTH times; of the files MATLAB wrote none grew 10 times.
GROWN, GROWTH = 256 << 20, 64


class ExhaustedError(UnreadableError):
    """A file grows too much while it is decoded. What is decoded is given up whole, and not part after part."""


class Allowance:
    """What a file may still grow by while it is decoded: a small file must exhaust neither memory nor patience.

    Attributes:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path, self._size = path, path.stat().st_size
        self._left = max(GROWN, GROWTH * self._size)

    def take(self, size: int) -> None:
        """Raise ExhaustedError once the file has grown too much; `size` in bytes."""
        if size > self._left:
            raise ExhaustedError(
                f"{self.path} is refused: its {self._size:,} bytes decode to more than "
                f"{max(GROWN, GROWTH * self._size):,}",
                "no network and no data compress that well; a file like this exhausts memory",
                "save what is needed alone, without other variables",
            )
        self._left -= size
