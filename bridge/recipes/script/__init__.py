"""The recipe in a MATLAB script, read without MATLAB and without running it: `read("script.m")`."""

from __future__ import annotations

from bridge.recipes.script.reading import Reading, read

__all__ = ["Reading", "read"]
