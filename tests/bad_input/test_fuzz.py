"""Files with bytes changed anywhere: read, or refused in three parts, in bounded time and memory; nothing else happens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.commands import tables
from bridge.readers import load
from fixtures import mat, networks
from tests.bad_input.trial import FILES, in_bounds

PARTS = 1 << 16  # a place in a file is drawn as a fraction of its length
Change = Callable[[bytes], bytes]


def put(place: int, new: bytes) -> Change:
    return lambda data: data[: (at := place * len(data) // PARTS)] + new + data[at + len(new) :]


def insert(place: int, new: bytes) -> Change:
    return lambda data: data[: (at := place * len(data) // PARTS)] + new + data[at:]


def cut(place: int, length: int) -> Change:
    return lambda data: data[: (at := place * len(data) // PARTS)] + data[at + length :]


def repeat(place: int, length: int) -> Change:
    return lambda data: data[: (at := place * len(data) // PARTS) + length] + data[at:]


def end(place: int) -> Change:
    return lambda data: data[: place * len(data) // PARTS]


PLACES, LENGTHS = st.integers(0, PARTS - 1), st.integers(1, 64)
LIES = st.sampled_from([0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 62]).flatmap(
    lambda number: st.sampled_from([1, 2, 4, 8]).map(lambda size: (number % (1 << 8 * size)).to_bytes(size, "little"))
)
CHANGES = st.one_of(
    st.builds(put, PLACES, st.binary(min_size=1, max_size=4)),
    st.builds(put, PLACES, LIES),
    st.builds(insert, PLACES, LIES),
    st.builds(cut, PLACES, LENGTHS),
    st.builds(repeat, PLACES, LENGTHS),
    st.builds(end, PLACES),
)
BATCHES = st.lists(st.lists(CHANGES, min_size=1, max_size=3), min_size=12, max_size=12)  # one process for each batch


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@cache
def made(name: str, folder: Path) -> Path:
    """The file to change: one of the kept ones, an uncompressed .mat, whose inside checksums do not guard, or part of a saved folder."""
    if name == "plain.mat":
        mat.write(folder / name, {"net": networks.chain_cnn()}, compress=False)
    elif "/" in name:
        load(FILES / "shapes.mat").save(folder / "saved")
    return next(path for path in (folder / name, FILES / name) if path.is_file())


@pytest.mark.parametrize(
    "name",
    [
        "signs.onnx",
        "segnet.onnx",
        "signs.mat",
        "plain.mat",
        "shapes_v73.mat",
        "saved/network.json",
        "saved/model.safetensors",
    ],
)
@settings(max_examples=4, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(batch=BATCHES)
def test_any_change_is_read_or_refused(name: str, batch: Sequence[Sequence[Change]], folder: Path) -> None:
    original = made(name, folder)
    whole, changed = original.read_bytes(), folder / f"changed{original.suffix}"
    target = original if "/" in name else changed

    def attempt(changes: Sequence[Change]) -> None:
        data = whole
        for change in changes:
            data = change(data)
        target.write_bytes(data)
        network = load(target.parent if "/" in name else target)
        tables.facts(network)
        network.to_torch()

    try:
        in_bounds((str(number), lambda changes=changes: attempt(changes)) for number, changes in enumerate(batch))
    finally:
        if target == original:
            original.write_bytes(whole)
