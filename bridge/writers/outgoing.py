"""A file that goes out to the disk while the rest of it is still worked out."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType

BEHIND = 8_000_000  # bytes that may wait in memory before the system is asked to write them


class Outgoing:
    """A file opened for writing. A sync at the end then waits for its last bytes only."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")
        self._written = self._sent = 0

    def write(self, data: bytes | memoryview) -> None:
        self._file.write(data)
        self._written += len(data)
        if self._written - self._sent > BEHIND and hasattr(os, "posix_fadvise"):
            self._file.flush()
            os.posix_fadvise(self._file.fileno(), self._sent, self._written - self._sent, os.POSIX_FADV_DONTNEED)
            self._sent = self._written

    def __enter__(self) -> Outgoing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
