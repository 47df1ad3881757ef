"""Files that MATLAB wrote. They are not the project's to ship: tests that need them skip where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

REAL = Path(os.environ.get("BRIDGE_REAL_DATA", Path(__file__).parents[2] / "shared" / "real"))
ABSENT = "files that MATLAB wrote are not here: set BRIDGE_REAL_DATA"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=ABSENT)
