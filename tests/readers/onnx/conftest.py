"""Models through a file and back."""

from __future__ import annotations

from itertools import count
from pathlib import Path

import onnx
import pytest

import bridge
from bridge.network import Network
from tests.readers.onnx.graphs import Read


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """read(model): the network as bridge loads it from the file of a model."""
    folder, number = tmp_path_factory.mktemp("models"), count()

    def through_file(model: onnx.ModelProto) -> Network:
        path: Path = folder / f"{next(number)}.onnx"
        path.write_bytes(model.SerializeToString())
        return bridge.load(path)

    return through_file
