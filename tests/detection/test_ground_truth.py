"""Objects in images, in every form that is read or written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from bridge.detection import GroundTruth, read_ground_truth, write_ground_truth
from bridge.errors import BridgeError, UnreadableError, UsageError
from fixtures import mat
from fixtures.objects import Obj, categorical, cell, table

NAMES = ("a.png", "b.png", "c.png")
BOXES = (np.array([[1.0, 2, 3, 4], [5, 6, 7.5, 4]]), np.empty((0, 4)), np.array([[9.0, 9, 1, 1]]))
LABELS = (("car", "bus"), (), ("car",))


@pytest.fixture
def truth(tmp_path: Path) -> GroundTruth:
    """Three images of 20 x 10 below images/, one of them without an object."""
    (tmp_path / "images").mkdir()
    files = [tmp_path / "images" / name for name in NAMES]
    for file in files:
        Image.new("RGB", (20, 10)).save(file)
    return GroundTruth(tuple(map(str, files)), BOXES, LABELS)


def same(ours: GroundTruth, theirs: GroundTruth) -> None:
    assert [Path(file).resolve() for file in ours.files] == [Path(file).resolve() for file in theirs.files]
    assert ours.labels == theirs.labels
    for own, wanted in zip(ours.boxes, theirs.boxes, strict=True):
        np.testing.assert_allclose(own, wanted, atol=1e-7)  # shares of an image have ten digits


@pytest.mark.parametrize("name", ["boxes.csv", "boxes.json", "boxes"])
def test_what_is_written_is_read_again(truth: GroundTruth, tmp_path: Path, name: str) -> None:
    path = write_ground_truth(truth, tmp_path / name)
    same(read_ground_truth(path), truth)
    with pytest.raises(UsageError, match="exists"):
        write_ground_truth(truth, path)
    same(read_ground_truth(write_ground_truth(truth, path, force=True)), truth)


def test_coco_by_hand(truth: GroundTruth, tmp_path: Path) -> None:
    """COCO counts corners from 0; crowds are left out."""
    held = {
        "images": [{"id": 7, "file_name": "images/a.png"}, {"id": 3, "file_name": "images/b.png"}],
        "categories": [{"id": 1, "name": "bus"}, {"id": 18, "name": "car"}],
        "annotations": [
            {"image_id": 7, "category_id": 18, "bbox": [0, 0, 4, 5.5]},
            {"image_id": 3, "category_id": 1, "bbox": [2, 3, 1, 1], "iscrowd": 0},
            {"image_id": 3, "category_id": 1, "bbox": [2, 3, 1, 1], "iscrowd": 1},
        ],
    }
    (tmp_path / "coco.json").write_text(json.dumps(held), encoding="utf-8")
    found = read_ground_truth(tmp_path / "coco.json")
    assert [each.tolist() for each in found.boxes] == [[[1, 1, 4, 5.5]], [[3, 4, 1, 1]]]
    assert found.labels == (("car",), ("bus",)) and found.files == truth.files[:2]


def test_yolo_by_hand(truth: GroundTruth, tmp_path: Path) -> None:
    """An image of 20 x 10: centre (0.25, 0.5) and size (0.2, 0.4) cover x from 3 to 7 and y from 3 to 7, from 0."""
    (tmp_path / "labels").mkdir()
    (tmp_path / "classes.txt").write_text("bus\ncar\n", encoding="utf-8")
    (tmp_path / "labels" / "a.txt").write_text("1 0.25 0.5 0.2 0.4\n", encoding="utf-8")
    (tmp_path / "images" / "c.txt").write_text("0 0.5 0.5 1 1\n", encoding="utf-8")  # beside the image
    found = read_ground_truth(tmp_path)
    np.testing.assert_allclose(found.boxes[0], [[4, 4, 4, 4]])
    np.testing.assert_allclose(found.boxes[2], [[1, 1, 20, 10]])
    assert found.labels == (("car",), (), ("bus",))


def of_columns() -> dict[str, Any]:
    return {
        "car": cell([BOXES[0][:1], np.empty((0, 4)), BOXES[2]]),
        "bus": cell([BOXES[0][1:], np.empty((0, 4)), np.empty((0, 4))]),
    }


def structs(boxes: np.ndarray[Any, Any]) -> Any:
    return cell([{"Position": box[None]} for box in boxes])


@pytest.mark.parametrize(
    "form", ["table", "groundTruth", "groundTruth with attributes", "datastores", "combined datastores"]
)
def test_what_matlab_saves(truth: GroundTruth, tmp_path: Path, form: str, record_property: Any) -> None:
    """By the documented properties. Its paths are another machine's; the images are found below the file's folder."""
    record_property("without oracle", f"ground truth in a .mat ({form}): no file of MATLAB's has been seen")
    files = cell([f"C:\\data\\images\\{name}" for name in NAMES])
    columns = of_columns()
    if form == "groundTruth with attributes":
        columns = {name: cell([structs(boxes) for boxes in each]) for name, each in boxes_of(columns).items()}
    data = Obj("groundTruthDataSource", {"Source": files})
    blds = Obj("boxLabelDatastore", {"LabelData": cell([*BOXES, *map(labels, LABELS)], 3, 2)})
    imds = Obj("matlab.io.datastore.ImageDatastore", {"Files": files})
    saved = {
        "table": {"trainingData": table({"imageFilename": files, **of_columns()}, 3)},
        "datastores": {"imds": imds, "blds": blds},
        "combined datastores": {
            "ds": Obj("matlab.io.datastore.CombinedDatastore", {"UnderlyingDatastores": cell([imds, blds])})
        },
    }.get(form, {"gTruth": Obj("groundTruth", {"DataSource": data, "LabelData": table(columns, 3)})})
    mat.write(tmp_path / "truth.mat", saved)
    same(read_ground_truth(tmp_path / "truth.mat"), truth)


def boxes_of(columns: dict[str, Any]) -> dict[str, list[np.ndarray[Any, Any]]]:
    return {
        name: [np.asarray(each) for each in np.asarray(column, object).ravel(order="F")]
        for name, column in columns.items()
    }


def labels(names: tuple[str, ...]) -> Any:
    return categorical(["bus", "car"], [["bus", "car"].index(name) + 1 for name in names])


@pytest.mark.parametrize(("name", "text", "said"), [
    ("a.json", "{}", "a.json"), ("a.json", "[1", "a.json"), ("a.json", '{"images": [], "annotations": [], "categories": []}', "names no object"),
    ("classes.txt", "car", "line 1 of"),
])  # fmt: skip
def test_damaged_files(truth: GroundTruth, tmp_path: Path, name: str, text: str, said: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "images" / "a.txt").write_text("3 0.5 0.5 1 1\n", encoding="utf-8")
    with pytest.raises(BridgeError, match=said) as caught:
        read_ground_truth(tmp_path if name == "classes.txt" else tmp_path / name)
    assert caught.value.exit_code == 2 and caught.value.cause and caught.value.hint


def test_other_forms_are_refused(truth: GroundTruth, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="names no form of objects"):
        write_ground_truth(truth, tmp_path / "boxes.xml")
    with pytest.raises(UsageError, match="two images are called a"):
        write_ground_truth(GroundTruth(truth.files[:1] * 2, BOXES[:1] * 2, LABELS[:1] * 2), tmp_path / "twice")
    mat.write(
        tmp_path / "apart.mat",
        {"blds": Obj("boxLabelDatastore", {"LabelData": cell([BOXES[0], labels(LABELS[0])], 1, 2)})},
    )
    with pytest.raises(UnreadableError, match="names 0 images and has labels of 1"):
        read_ground_truth(tmp_path / "apart.mat")
