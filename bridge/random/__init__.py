"""MATLAB's random numbers: the default stream of rng(s), number for number, without torch."""

from __future__ import annotations

from bridge.random.known import function_row
from bridge.random.stream import MatlabStream, stream_of

__all__ = ["MatlabStream", "function_row", "stream_of"]
