"""Models through a file and back."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import onnx
import pytest
import torch

import bridge
from bridge.network import Network
from tests.readers.onnx.graphs import Read


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def read(tmp_path_factory: pytest.TempPathFactory) -> Read:
    """read(model): the network as bridge loads it from the file of a model."""
    folder, number = tmp_path_factory.mktemp("models"), count()

    def through_file(model: onnx.ModelProto) -> Network:
        path: Path = folder / f"{next(number)}.onnx"
        path.write_bytes(model.SerializeToString())
        return bridge.load(path)

    return through_file
