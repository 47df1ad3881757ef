"""Ctrl-C ends a training between two iterations, with the network so far."""

from __future__ import annotations

import signal
import sys
import threading
from types import FrameType, TracebackType
from typing import Any


class Interrupt:
    """Catches the first Ctrl-C; a second one stops at once. Outside the main thread it catches nothing."""

    def __init__(self) -> None:
        self.asked = False
        self._before: Any = None

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            self._before = signal.signal(signal.SIGINT, self._catch)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.asked = True
        print("stopping after this iteration; Ctrl-C again stops at once", file=sys.stderr)
        signal.signal(signal.SIGINT, self._before)
