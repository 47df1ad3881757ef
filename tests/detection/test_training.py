"""Labelled images in files, and a detector trained on them from its layers to its boxes."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

import bridge
from bridge.commands import main
from bridge.detection import (
    BoxImages,
    GroundTruth,
    Head,
    YOLOv2,
    estimate_anchor_boxes,
    evaluate_detection_precision,
    read_ground_truth,
)
from bridge.errors import BridgeError, UnreadableError, UsageError
from bridge.images import imresize
from bridge.network import Network
from bridge.networks import yolov2_layers
from bridge.tables.detectors import detector_rows
from fixtures import layers as L
from fixtures import mat, networks
from fixtures.objects import cell, table
from tests.training import nets

SIZE = 32
HEADER = "path,x,y,width,height,label\n"


def scenes(folder: Path, count: int, seed: int = 0) -> Path:
    """Write dark images with a red square or a blue bar in each, and the table of them."""
    rng = np.random.default_rng(seed)
    lines = [HEADER]
    for index in range(count):
        pixels = rng.integers(0, 40, (SIZE, SIZE, 3), dtype=np.uint8)
        label, height, width, color = (("square", 8, 8, 0), ("bar", 4, 16, 2))[index % 2]
        x, y = int(rng.integers(1, SIZE - width + 2)), int(rng.integers(1, SIZE - height + 2))
        pixels[y - 1 : y - 1 + height, x - 1 : x - 1 + width, color] = rng.integers(200, 240, (height, width))
        Image.fromarray(pixels).save(folder / f"{index}.png")
        lines.append(f"{index}.png,{x},{y},{width},{height},{label}\n")
    (folder / "boxes.csv").write_text("".join(lines), encoding="utf-8")
    return folder / "boxes.csv"


def untrained(anchors: Sequence[tuple[float, float]]) -> Network:
    """Return yolov2Layers on a small network, initialised: stride 4."""
    rng = np.random.default_rng(0)
    made = [L.imageInputLayer((SIZE, SIZE, 3), "input", "none")]
    for number, (inputs, filters) in enumerate(((3, 16), (16, 32)), 1):
        made += [
            L.convolution2dLayer(rng, f"conv_{number}", (3, 3), inputs, filters, padding=(1, 1, 1, 1)), L.batchNormalizationLayer(rng, f"bn_{number}", filters),
            L.reluLayer(f"relu_{number}"), L.maxPooling2dLayer(f"pool_{number}", (2, 2), stride=(2, 2)),
        ]  # fmt: skip
    return yolov2_layers((SIZE, SIZE, 3), ["bar", "square"], anchors, nets.load(tuple(made)), "pool_2").initialize(1)


def family(*classes: str, channels: int = 3) -> YOLOv2:
    """Return what the family makes of a network of one anchor, in a size of 32 x 32."""
    head = Head(((8.0, 8.0),), (8, 8), (4, 4))
    return YOLOv2(detector_rows()["yolov2ObjectDetector"], classes, (32, 32, channels), (head,), ())


# Files


def test_a_table_of_objects(tmp_path: Path) -> None:
    for name in ("a.png", "b.png", "c.png"):
        Image.new("RGB", (20, 10)).save(tmp_path / name)
    text = f"{HEADER}a.png,1,2,3,4,car\nb.png,,,,,\na.png,5,6,7.5,8,bus\nc.png,9,9,1,1,car\n"
    (tmp_path / "boxes.csv").write_text(text, encoding="utf-8")
    truth = read_ground_truth(tmp_path / "boxes.csv")
    assert truth.files == tuple(str(tmp_path / name) for name in ("a.png", "b.png", "c.png")) and len(truth) == 3
    assert [boxes.tolist() for boxes in truth.boxes] == [[[1, 2, 3, 4], [5, 6, 7.5, 8]], [], [[9, 9, 1, 1]]]
    assert truth.labels == (("car", "bus"), (), ("car",))
    assert truth.sizes().tolist() == [[4, 3], [8, 7.5], [1, 1]]
    assert truth.sizes((20, 10)).tolist() == [[8, 1.5], [16, 3.75], [2, 0.5]]


def test_a_table_that_matlab_saved(tmp_path: Path, record_property: Any) -> None:
    """One column for the images, one for each class: a matrix in a cell for each image, or a row each where all have one object."""
    record_property("without oracle", "a saved table of images and boxes: no file of MATLAB's has been seen")
    for name in ("a.png", "b.png"):
        Image.new("RGB", (20, 10)).save(tmp_path / name)
    boxes = cell([np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]]), np.empty((0, 4))])
    made = table(
        {"imageFilename": cell(["a.png", "b.png"]), "car": boxes, "bus": np.array([[1.0, 1, 2, 2], [3, 3, 4, 4]])}, 2
    )
    mat.write(tmp_path / "boxes.mat", {"trainingData": made})
    truth = read_ground_truth(tmp_path / "boxes.mat")
    assert truth.files == (str(tmp_path / "a.png"), str(tmp_path / "b.png"))
    assert [each.tolist() for each in truth.boxes] == [[[1, 2, 3, 4], [5, 6, 7, 8], [1, 1, 2, 2]], [[3, 3, 4, 4]]]
    assert truth.labels == (("car", "car", "bus"), ("bus",))


@pytest.mark.parametrize(("text", "said"), [
    ("path,label\n", "has the header"), ("", "has the header None"), (f"{HEADER}a.png,1,2,3,car\n", "line 2 of"), (f"{HEADER}a.png,1,2,3,x,car\n", "line 2 of"),
    (f"{HEADER}a.png,1,2,3,4,\n", "line 2 of"), (f"{HEADER}a.png,1,2,0,4,car\n", "a box of"), (f"{HEADER}a.png,nan,2,3,4,car\n", "a box of"),
    (f"{HEADER}none.png,1,2,3,4,car\n", "does not exist"), (f"{HEADER}a.png,,,,,\n", "names no object"), (f"{HEADER}", "names no object"),
])  # fmt: skip
def test_damaged_tables(tmp_path: Path, text: str, said: str) -> None:
    Image.new("RGB", (20, 10)).save(tmp_path / "a.png")
    (tmp_path / "boxes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(BridgeError, match=said) as caught:
        read_ground_truth(tmp_path / "boxes.csv")
    assert caught.value.exit_code == 2 and caught.value.cause and caught.value.hint


def test_other_files(tmp_path: Path) -> None:
    for name in ("none.csv", "boxes.txt"):
        with pytest.raises(UsageError, match="objects come as .csv, .mat, .json, or a folder"):
            read_ground_truth(tmp_path / name)
    mat.write(tmp_path / "net.mat", {"net": networks.chain_cnn()})
    with pytest.raises(UnreadableError, match="holds 0 tables"):
        read_ground_truth(tmp_path / "net.mat")
    (tmp_path / "cut.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(UnreadableError):
        read_ground_truth(tmp_path / "cut.mat")


def test_an_item_is_an_image_and_its_objects_in_the_size_of_the_network(tmp_path: Path) -> None:
    """By hand: from 20 x 10 to 32 x 32 a box grows by 1.6 and 3.2. Oracle of the pixels: imresize."""
    pixels = np.random.default_rng(0).integers(0, 256, (10, 20, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    truth = GroundTruth(
        (str(tmp_path / "a.png"),) * 2,
        (np.array([[5.0, 2, 10, 5]]), np.array([[1.0, 1, 2, 2], [3, 3, 4, 4]])),
        (("drone",), ("bird", "bird")),
    )
    image, objects = BoxImages(truth, family("bird", "drone"), "bilinear")[0]
    assert torch.equal(
        image, torch.from_numpy(imresize(pixels, (32, 32), "bilinear").transpose(2, 0, 1) / np.float32(255))
    )
    assert objects.tolist() == [[8, pytest.approx(6.4), 16, 16, 1], [-1] * 5]
    with pytest.raises(UsageError, match="'drone' is no class of the network"):
        BoxImages(truth, family("bird", "drones"))
    with pytest.raises(UsageError, match="a.png: the image has 3 channels, the network takes 1"):
        BoxImages(truth, family("bird", "drone", channels=1))[0]


# Training


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Sums in one order, whatever the machine has."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("one_thread")
def test_a_detector_learns_its_objects(tmp_path: Path) -> None:
    """From labelled images over anchors, layers, training and a saved folder to boxes, which must be those of the table.

    400 steps, the last of them at a tenth of the rate, find every object of every set of scenes that was tried, under one thread and
    two; the bound of 0.9 leaves a margin.
    """
    table_of = scenes(tmp_path, 16)
    truth = read_ground_truth(table_of)
    anchors, fit = estimate_anchor_boxes(truth.sizes((SIZE, SIZE)), 2)
    assert set(anchors) == {(8, 8), (4, 16)} and fit == 1
    options = bridge.training_options(
        "adam", MaxEpochs=400, MiniBatchSize=16, InitialLearnRate=0.01, Shuffle="every-epoch", Verbose=False,
        LearnRateSchedule="piecewise", LearnRateDropPeriod=300, LearnRateDropFactor=0.1,
    )  # fmt: skip
    start = untrained(anchors)
    info = bridge.train(start, table_of, options, validation=truth)
    assert info.TrainingRMSE[:3] == pytest.approx([math.sqrt(loss) for loss in info.TrainingLoss[:3]]), (
        "as in MATLAB's logs"
    )
    assert (
        info.TrainingLoss[-1] < 0.05 * info.TrainingLoss[0] and info.FinalValidationLoss < 0.05 * info.TrainingLoss[0]
    )
    assert any("YOLO v2 loss is unconfirmed" in note for note in info.notes)
    assert info.network is not None
    trained = bridge.load(info.network.save(tmp_path / "saved"))
    images = [np.asarray(Image.open(file)) for file in truth.files]
    before, after = (
        evaluate_detection_precision(network.to_detector().detect(images, threshold=0.3), truth, ["bar", "square"])
        for network in (start, trained)
    )
    assert all(
        before[name].average_precision < 0.1 and after[name].average_precision > 0.9 for name in ("bar", "square")
    )


def test_the_command_trains_a_recipe_on_a_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    scenes(tmp_path, 8)
    untrained(((8, 8), (4, 16))).save("detector")
    (tmp_path / "recipe.toml").write_text(
        'schema = "bridge.recipe/1"\n[network]\nfile = "detector"\n[data]\npath = "boxes.csv"\n'
        '[options]\nsolver = "sgdm"\nMaxEpochs = 2\nMiniBatchSize = 4\nInitialLearnRate = 0.001\nVerbose = false\n',
        encoding="utf-8",
    )
    monkeypatch.setattr(sys, "argv", ["bridge", "train", "recipe.toml", "-o", "run", "--json"])
    with suppress(SystemExit):
        main()
    facts = json.loads(capsys.readouterr().out)
    assert facts["iterations"] == 4 and any("YOLO v2 loss" in note for note in facts["notes"])
    assert (tmp_path / "run" / "info.mat").is_file()


def test_the_switches_of_the_loss_belong_to_the_options(tmp_path: Path) -> None:
    """Oracle: two anchors halve the loss; what no run of MATLAB has settled is said with its value, and only to detectors."""
    scenes(tmp_path, 4)
    network, names = (
        untrained(((8, 8), (4, 16))),
        dict(MaxEpochs=1, MiniBatchSize=4, InitialLearnRate=1e-3, Verbose=False),
    )
    semantics = [{}, {"yolov2_divided_by": "observations", "yolov2_resize": "nearest"}]
    runs = [
        bridge.train(network, tmp_path / "boxes.csv", bridge.training_options("sgdm", semantics=each, **names))
        for each in semantics
    ]
    assert runs[1].TrainingLoss[0] == pytest.approx(2 * runs[0].TrainingLoss[0], rel=1e-6)
    said = [{note.split(",")[0] for note in run.notes if note.startswith("yolov2_")} for run in runs]
    assert said[0] == {
        "yolov2_iou_target = 'iou'",
        "yolov2_box_sizes = 'sqrt'",
        "yolov2_divided_by = 'anchors'",
        "yolov2_resize = 'bicubic'",
    }
    assert said[1] >= {"yolov2_divided_by = 'observations'", "yolov2_resize = 'nearest'"}
    assert not any("undefined_labels" in note for note in runs[0].notes)


def test_a_detector_from_an_onnx_trains_too(tmp_path: Path) -> None:
    """Its anchors make it a detector. Oracle: the first loss of the .mat with the same weights; without the layer there is none."""
    network = untrained(((8, 8), (4, 16)))
    scenes(tmp_path, 4)
    (tmp_path / "anchors.toml").write_text(
        'AnchorBoxes = [[8, 8], [4, 16]]\nClassNames = ["bar", "square"]', encoding="utf-8"
    )
    options = bridge.training_options("sgdm", MaxEpochs=1, MiniBatchSize=4, InitialLearnRate=1e-3, Verbose=False)
    bridge.export(network, tmp_path / "own.onnx", tell=lambda loss: None)
    model = onnx.load(tmp_path / "own.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "bare.onnx")
    bare = bridge.load(tmp_path / "bare.onnx", anchors=tmp_path / "anchors.toml")
    found = bridge.train(bare, tmp_path / "boxes.csv", options)
    assert found.TrainingLoss[0] == pytest.approx(
        bridge.train(network, tmp_path / "boxes.csv", options).TrainingLoss[0], rel=1e-5
    )
    with pytest.raises(UsageError, match="needs yolov2TransformLayer"):
        bridge.train(bare.remove("yolov2Transform"), tmp_path / "boxes.csv", options)


def test_labels_that_are_no_classes_are_found_before_training(tmp_path: Path) -> None:
    scenes(tmp_path, 2)
    text = (tmp_path / "boxes.csv").read_text(encoding="utf-8").replace("square", "sqare")
    (tmp_path / "boxes.csv").write_text(text, encoding="utf-8")
    with pytest.raises(UsageError, match="'sqare' is no class of the network") as caught:
        bridge.train(untrained(((8, 8),)), tmp_path / "boxes.csv", bridge.training_options("sgdm", Verbose=False))
    assert "square" in caught.value.cause


def test_the_classes_of_the_layers_are_those_of_the_detector() -> None:
    assert untrained(((8, 8), (4, 16))).to_detector().classes == ("bar", "square")
