"""Files that MATLAB wrote. They are not the project's to ship: tests that need them skip where they are absent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import scipy.io.matlab

REAL = Path(os.environ.get("BRIDGE_REAL_DATA", Path(__file__).parents[2] / "shared" / "real"))
ABSENT = "files that MATLAB wrote are not here: set BRIDGE_REAL_DATA"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason=ABSENT)

SCIPY = Path(scipy.io.matlab.__file__).parent / "tests" / "data"
needs_scipy = pytest.mark.skipif(not SCIPY.is_dir(), reason="this scipy was installed without the files of its tests")

MATIO = Path(os.environ.get("MATIO_SOURCE", "no such folder"))
needs_matio = pytest.mark.skipif(
    not (MATIO / "tests" / "data").is_dir(),
    reason="the files of mat-io's tests are not here: pip download --no-deps --no-binary mat-io mat-io, unpack it and set "
    "MATIO_SOURCE to its folder",
)
