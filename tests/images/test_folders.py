"""imageDatastore against hand-made folders and the documented rounding of splitEachLabel."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge.errors import UnreadableError, UsageError
from bridge.images import ImageDatastore, imageDatastore


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def labelled(**counts: int) -> ImageDatastore:
    labels = tuple(name for name, count in counts.items() for _ in range(count))
    return ImageDatastore(tuple(f"{name}{i}" for i, name in enumerate(labels)), labels, tuple(sorted(counts)))


def test_files_and_classes_are_in_order_of_character_codes(tmp_path: Path) -> None:
    touch(
        tmp_path,
        "b/x10.png",
        "b/x2.png",
        "b/Z.png",
        "B/1.JPG",
        "a b/1.png",
        "a/deep/1.png",
        "a/2.png",
        "notes.txt",
        "0.png",
    )
    images = imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames")
    relative = [Path(file).relative_to(tmp_path).as_posix() for file in images.Files]
    assert relative == ["0.png", "B/1.JPG", "a/2.png", "a/deep/1.png", "a b/1.png", "b/Z.png", "b/x10.png", "b/x2.png"]
    assert images.Labels == (tmp_path.name, "B", "a", "deep", "a b", "b", "b", "b")
    assert images.classes == tuple(sorted({tmp_path.name, "B", "a", "deep", "a b", "b"}))


def test_the_defaults_are_those_of_matlab(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "a/2.png")
    images = imageDatastore(tmp_path)
    assert images.Files == (str(tmp_path / "1.png"),) and images.Labels is None and images.classes == ()


def test_extensions_and_several_locations(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "a/2.jpg", "b/3.dat")
    images = imageDatastore([tmp_path / "a", tmp_path / "b" / "3.dat"], FileExtensions=".JPG")
    assert [Path(file).name for file in images.Files] == ["2.jpg", "3.dat"]


def test_count_and_subset_keep_all_classes() -> None:
    images = labelled(cat=3, ant=2)
    assert list(images.countEachLabel().items()) == [("ant", 2), ("cat", 3)]
    subset = images.subset([2, 0])
    assert subset.Files == ("cat2", "cat0") and subset.Labels == ("cat", "cat") and subset.classes == ("ant", "cat")
    assert subset.countEachLabel() == {"ant": 0, "cat": 2}


def test_items_are_an_image_and_the_index_of_its_class(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        Image.fromarray(np.full((2, 3), ord(name), np.uint8)).save(tmp_path / name / "1.png")
    images = imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames")
    assert [(image.tolist(), label) for image, label in images] == [([[97] * 3] * 2, 0), ([[98] * 3] * 2, 1)]


def test_shares_are_rounded_down_and_the_rest_comes_last() -> None:
    """By hand: 7 files, 0.6 -> 4 and 0.2 -> 1 (of 4.2 and 1.4), 2 remain; 5 files: 3, 1 and 1."""
    first, second, rest = labelled(b=7, a=5).splitEachLabel(0.6, 0.2)
    assert first.Files == ("a7", "a8", "a9", "b0", "b1", "b2", "b3")
    assert second.Files == ("a10", "b4")
    assert rest.Files == ("a11", "b5", "b6")


def test_counts_are_files_of_each_label() -> None:
    first, rest = labelled(b=4, a=3).splitEachLabel(2)
    assert first.Files == ("a4", "a5", "b0", "b1") and rest.Files == ("a6", "b2", "b3")


def test_a_random_split_follows_its_seed_and_loses_nothing() -> None:
    images = labelled(a=30, b=20)
    first, rest = images.splitEachLabel(0.5, randomized=True, rng=1)
    assert first.countEachLabel() == {"a": 15, "b": 10}
    assert sorted(first.Files + rest.Files) == sorted(images.Files)
    assert first == images.splitEachLabel(0.5, randomized=True, rng=1)[0]
    assert first != images.splitEachLabel(0.5, randomized=True, rng=2)[0] != images.splitEachLabel(0.5)[0]


@pytest.mark.parametrize("parts", [(), (0.8, 0.3), (0,), (-0.1,), (0.5, 2), (2.5,), (3,), (2, 1)])
def test_impossible_splits_are_refused(parts: tuple[float, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        labelled(a=2, b=9).splitEachLabel(*parts)
    assert caught.value.cause and caught.value.hint


def test_all_unreadable_files_are_named_and_skipped_only_on_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(tmp_path / "2.png")
    touch(tmp_path, "1.png", "3.png")
    images = imageDatastore(tmp_path)
    with pytest.raises(UnreadableError) as caught:
        images.verify()
    assert all(name in caught.value.cause for name in ("1.png", "3.png")) and "2.png" not in caught.value.cause
    with caplog.at_level(logging.WARNING):
        assert images.verify(skip_bad=True).Files == (str(tmp_path / "2.png"),)
    assert "1.png" in caplog.text and "3.png" in caplog.text
    with pytest.raises(UnreadableError):  # nothing would be left
        images.subset([0, 2]).verify(skip_bad=True)


def test_empty_and_missing_folders_are_errors_in_three_parts(tmp_path: Path) -> None:
    touch(tmp_path, "a/1.png", "b/readme.txt")
    for location, error, hint in [
        (tmp_path, UsageError, "IncludeSubfolders"),
        (tmp_path / "b", UsageError, "IncludeSubfolders"),
        (tmp_path / "absent", UnreadableError, "path"),
    ]:
        with pytest.raises(error, match=str(location)) as caught:
            imageDatastore(location)
        assert caught.value.cause and hint in caught.value.hint
    with pytest.raises(UsageError, match="LabelSource"):
        imageDatastore(tmp_path, LabelSource="filenames")
    with pytest.raises(UsageError, match="no labels"):
        imageDatastore(tmp_path / "a").countEachLabel()


@pytest.mark.parametrize("location", [".", "../ant", "x.png", "./x.png"])
def test_a_label_is_the_folders_name_however_it_is_reached(
    location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "ant/x.png")
    monkeypatch.chdir(tmp_path / "ant")
    assert imageDatastore(location, LabelSource="foldernames").Labels == ("ant",)


def test_hidden_folders_and_files_are_no_classes(tmp_path: Path) -> None:
    """What Jupyter, git and macOS leave beside images; a hidden folder that is named is taken."""
    touch(
        tmp_path,
        "a/1.png",
        "a/._1.png",
        "a/.ipynb_checkpoints/1-checkpoint.png",
        ".ipynb_checkpoints/2.png",
        ".git/3.png",
    )
    images = imageDatastore(tmp_path, IncludeSubfolders=True, LabelSource="foldernames")
    assert [Path(file).relative_to(tmp_path).as_posix() for file in images.Files] == ["a/1.png"]
    assert images.classes == ("a",)
    assert len(imageDatastore(tmp_path / ".git")) == 1
