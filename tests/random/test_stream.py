"""MATLAB's stream. Oracles: numbers that MATLAB printed, numpy's MT19937, and the ziggurat one number at a time."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UnsupportedError, UsageError
from bridge.random import MatlabStream, function_row, stream_of
from bridge.random.ziggurat import EDGES, TAIL
from bridge.tables.layers import table

PRINTED = (Path(__file__).parent / "randn_rng0.txt").read_text(encoding="utf-8").split()


@pytest.mark.parametrize(
    ("seed", "numbers"),
    [
        (0, ["0.814723686393179", "0.905791937075619", "0.126986816293506", "0.913375856139019", "0.632359246225410"]),
        (1, ["0.417022004702574", "0.720324493442158", "0.000114374817345"]),
        (2, ["0.435994902142004", "0.025926231827891", "0.549662477878709"]),
    ],
)
def test_rand_prints_what_matlab_printed(seed: int, numbers: list[str]) -> None:
    assert [f"{number:.15f}" for number in MatlabStream(seed).rand(1, len(numbers))[0]] == numbers


def test_randn_prints_what_matlab_printed_to_16_digits() -> None:
    """randn(84,2) after rng(0): 131 of the ziggurat's 256 levels, wedges among them."""
    numbers = MatlabStream(0).randn(84, 2)
    assert [f"{number:.15e}" for number in numbers.ravel(order="F")] == [f"{float(text):.15e}" for text in PRINTED]


def test_randn_of_other_seeds_prints_what_matlab_printed() -> None:
    """rng(1), 17 digits; rng(1138) times 0.017."""
    assert MatlabStream(1).randn(1, 4)[0].tolist() == [
        -0.64901376519124065, 1.1811660419655317, -0.7584532972836916, -1.1096130385015222,
    ]  # fmt: skip
    assert (0.017 * MatlabStream(1138).randn(1, 4)[0]).tolist() == pytest.approx(
        [-0.014692300539885851, -0.026400680654947582, 0.015050413362550875, 0.025379229485786824],
        rel=1e-15,  # the last bit of the product
        abs=0,
    )


def test_randi_and_randperm_are_those_that_matlab_printed() -> None:
    assert MatlabStream(0).randi(10, 1, 10).tolist() == [[9, 10, 2, 10, 7, 1, 3, 6, 10, 10]]
    assert MatlabStream(0).randperm(6).tolist() == [[6, 3, 5, 1, 2, 4]]


def one_at_a_time(seed: int) -> Iterator[float]:
    """Yield randn as facts about MATLAB tell it, a draw after the other."""
    state = np.random.RandomState(seed or 5489)

    def pair() -> tuple[int, int]:
        first, second = state.randint(0, 2**32, 2, dtype=np.uint32).tolist()
        return first, second

    def uniform() -> float:
        first, second = pair()
        return ((first >> 5) * 2**26 + (second >> 6)) / 2**53

    heights = [math.exp(-edge * edge / 2) for edge in EDGES.tolist()]
    while True:
        first, second = pair()
        level = 255 - (second >> 24)
        signed = ((first >> 3) * 2**24 + (second & 0xFFFFFF)) / 2**52 - 1
        number = signed * float(EDGES[level])
        if abs(number) < EDGES[level + 1]:
            yield number
        elif level == 0:
            distance, depth = 1.0, 0.0
            while 2 * depth <= distance * distance:
                distance, depth = -math.log(uniform()) / float(EDGES[1]), -math.log(uniform())
            yield math.copysign(float(EDGES[1]) + distance, signed)
        elif heights[level] + uniform() * (heights[level + 1] - heights[level]) < math.exp(-number * number / 2):
            yield number


@pytest.mark.parametrize("seed", [0, 1, 12, 4294967295])
def test_randn_in_blocks_is_randn_one_at_a_time(seed: int) -> None:
    """200,000 numbers: more than a block, some 2,400 of them in wedges and 50 in the tail."""
    expected = [number for number, _ in zip(one_at_a_time(seed), range(200_000), strict=False)]
    numbers = MatlabStream(seed).randn(1, 200_000)[0]
    assert np.abs(numbers).max() > TAIL
    np.testing.assert_allclose(numbers, expected, rtol=1e-15)  # the tail's logarithm


@given(st.lists(st.integers(0, 300), max_size=20), st.integers(0, 2**32 - 1))
def test_how_numbers_are_asked_for_changes_neither_them_nor_the_position(counts: list[int], seed: int) -> None:
    whole, parts = MatlabStream(seed), MatlabStream(seed)
    pieces = [parts.randn(1, count)[0] for count in counts]
    assert np.array_equal(whole.randn(1, sum(counts))[0], np.concatenate([np.empty(0), *pieces]))
    assert whole.state == parts.state


def test_position_skip_and_state_are_one_notion() -> None:
    stream = MatlabStream(7)
    stream.rand(3, 4)
    stream.randi(5, 2)
    stream.randperm(10)
    assert stream.position == 26
    behind = MatlabStream(7)
    behind.skip(26)
    assert stream.rand() == behind.rand() == MatlabStream(7, position=26).rand()
    stream.randn(50, 50)  # wedges and the tail count too
    assert stream.position > 27 + 2500
    assert MatlabStream(**stream.state).randn() == stream.randn()
    assert stream_of(stream) is stream and stream_of(3).state == {"seed": 3, "position": 0}


@pytest.mark.parametrize(
    ("start", "draws", "end"),
    [
        (0, [(24_000, "rand"), (250_000, "randn"), (250, "rand")], 279_823),
        (0, [(3_072, "rand"), (49_152, "randn")], 53_348),
        (53_348, [(32_768, "rand"), (16_384, "randn")], 102_920),
        (7_001_764, [(32_768, "randn")], 7_035_231),
    ],
    ids=["lstm", "gru", "lstm behind it", "bilstm"],
)
def test_weights_end_where_those_of_trained_networks_end(start: int, draws: list[tuple[int, str]], end: int) -> None:
    """Oracle: the places of the next layers, or the next training, in networks of MATLAB sessions."""
    stream = MatlabStream(0, position=start)
    for count, function in draws:
        getattr(stream, function)(1, count)
    assert stream.position == end


def test_sizes_are_matlabs() -> None:
    stream = MatlabStream(0)
    assert isinstance(stream.rand(), float) and isinstance(stream.randi(3), int)
    shapes = {(): (), (2,): (2, 2), (2, 3): (2, 3), ((2, 3),): (2, 3), (2, 3, 1, 1): (2, 3), (2, 1, 3): (2, 1, 3)}
    for size, shape in shapes.items():
        assert (
            np.shape(stream.rand(*size)) == np.shape(stream.randn(*size)) == np.shape(stream.randi(9, *size)) == shape
        )
    assert stream.rand(-1, 3).shape == (0, 3) and stream.randn(np.array([4, 5]), "double").shape == (4, 5)
    assert np.array_equal(MatlabStream(0).rand(2, 3).ravel(order="F"), MatlabStream(0).rand(6, 1)[:, 0])
    assert MatlabStream(0).randi([3, 5], 1, 1000).min() == 3 and MatlabStream(0).randi((3, 5), 1, 1000).max() == 5


def test_a_part_of_a_permutation_goes_on_in_the_stream_and_is_refused() -> None:
    stream = MatlabStream(0)
    with pytest.raises(UnsupportedError, match=r"randperm\(100, 20\).*\n.*20 doubles"):
        stream.randperm(100, 20)
    assert stream.position == 20
    with pytest.raises(UnsupportedError, match="how many doubles"):
        stream.randperm(5, 5)
    assert stream.position == 20


GENERATORS = [
    other for key, row in table("random")["generators"].items() for other in (key, *row.get("also", ())) if "refused" in row
]  # fmt: skip


@pytest.mark.parametrize("name", GENERATORS)
def test_other_generators_are_refused_by_name(name: str) -> None:
    with pytest.raises(UnsupportedError, match=name):
        MatlabStream(0, generator=name)


def test_what_is_unconfirmed_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match="shuffle"):
        MatlabStream("shuffle")  # type: ignore[arg-type]
    for name in ("cvpartition", "datasample", "gpuArray"):
        with pytest.raises(UnsupportedError, match=name):
            function_row(name)
    assert function_row("randn")["evidence"] == "P"
    for draw in (MatlabStream(0).rand, MatlabStream(0).randn):
        with pytest.raises(UnsupportedError, match="single"):
            draw(2, 2, "single")
    with pytest.raises(UnsupportedError, match="int8"):
        MatlabStream(0).randi(5, 1, 2, "int8")


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, True, None])
def test_seeds_that_matlab_has_not(seed: object) -> None:
    with pytest.raises(UsageError, match="seed"):
        MatlabStream(seed)  # type: ignore[arg-type]


def test_wrong_calls_are_told() -> None:
    stream = MatlabStream(0)
    for wrong in (
        lambda: stream.rand(1.5),
        lambda: stream.rand([3]),
        lambda: stream.rand(None),
        lambda: stream.rand(True),
    ):
        with pytest.raises(UsageError, match="no size"):
            wrong()
    for limits in ([5, 1], 0, [1, 2, 3], 2.5, [0, 2**53], "a"):
        with pytest.raises(UsageError, match="randi"):
            stream.randi(limits)
    for arguments in ((-1,), (2.0,), (3, 4), (3, -1)):
        with pytest.raises(UsageError, match="randperm"):
            stream.randperm(*arguments)
    with pytest.raises(UsageError, match="skipped"):
        stream.skip(-1)
    with pytest.raises(UsageError, match="generator"):
        MatlabStream(0, generator="dice")
    assert stream.position == 0


def test_torch_is_not_imported() -> None:
    code = "import sys, bridge; bridge.random.MatlabStream(0).randn(3); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_page_names_all_that_the_table_has() -> None:
    page = (Path(__file__).parents[2] / "docs" / "random.md").read_text(encoding="utf-8").lower()
    rows = table("random")
    names = [*rows["functions"], *rows["initializers"], *(name for name in rows["generators"] if name != "twister")]
    assert not [name for name in names if name.lower() not in page]
    for row in (*rows["functions"].values(), *rows["generators"].values(), *rows["initializers"].values()):
        assert row["evidence"] in ("P", "D", "L", "U") and ("refused" in row) == (row["evidence"] in ("D", "U"))
