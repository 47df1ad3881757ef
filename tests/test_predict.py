"""bridge predict: classes, labels, values, regions and boxes of files; what is written, and what is refused."""

from __future__ import annotations

import csv
import os
import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import scipy.io
import torch
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

import bridge
from bridge.data.variables import texts
from bridge.images import imread, imresize, labeloverlay
from bridge.prediction import Predictor
from bridge.readers.mat.file import variables
from fixtures import layers as L
from fixtures import mat, networks
from fixtures.layers import Net
from fixtures.objects import Obj, categorical
from tests.images.test_color import filtered, png_of_16_bits
from tests.real import REAL, needs_real
from tests.shell import THREE_PARTS, Command, Ran

FILES = Path(__file__).parents[1] / "fixtures" / "files"
SIGNS, SEGNET, DRONES = (str(FILES / f"{name}.mat") for name in ("signs", "segnet", "drones"))
Array = np.ndarray[Any, Any]


@pytest.fixture
def predict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    """Runs `bridge predict` in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return partial(command, "predict")


def picture(name: str, height: int = 40, width: int = 60, channels: int = 3, seed: int = 0) -> Array:
    """Write an image of uint8 and return it."""
    shape = (height, width) if channels == 1 else (height, width, channels)
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Path(name).parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(name)
    return pixels


def network(made: Net | tuple[Any, ...] | Any, name: str = "net.mat") -> str:
    """Write a network of fixture layers and return the file's name."""
    mat.write(Path(name), {"net": Net("SeriesNetwork", made) if isinstance(made, tuple) else made})
    return name


def output(name: str, values: Array) -> Array:
    """Return what the module of a network gives for one observation in torch's layout."""
    with torch.no_grad():
        found: Array = (
            bridge.load(name).to_torch()(torch.from_numpy(np.ascontiguousarray(values, np.float32))[None])[0].numpy()
        )
    return found


def refused(ran: Ran, said: str, code: int = 2) -> None:
    assert ran.code == code and re.search(said, ran.err) and THREE_PARTS.search(ran.err), ran.err


# Images


def test_the_best_classes_of_an_image(predict: Command) -> None:
    """Oracle: the module on the image resized by imresize (itself proven against MATLAB's)."""
    pixels = picture("a.png")
    scores = output(SIGNS, imresize(pixels, (32, 32), "bilinear").transpose(2, 0, 1))
    names = bridge.load(SIGNS).classes
    assert names is not None
    best = [(names[index], pytest.approx(float(scores[index]), abs=1e-6)) for index in np.argsort(-scores)]
    found = predict(SIGNS, "a.png", "--json").facts
    assert (
        found["schema"] == "bridge.predict/1"
        and found["task"] == "classification"
        and found["predictions"][0]["label"] == best[0][0]
    )
    assert [(each["name"], each["score"]) for each in found["predictions"][0]["classes"]] == best
    assert any("imresize" in note for note in found["notes"])
    ran = predict(SIGNS, "a.png")
    assert (
        ran.out
        == "a.png: "
        + ", ".join(f"{each['name']} {each['score']:.4f}" for each in found["predictions"][0]["classes"])
        + "\n"
    )
    assert ran.err.startswith("note: images are resized to 32×32")


def test_an_image_of_the_right_size_is_taken_as_it_is(predict: Command) -> None:
    picture("a.png", 32, 32)
    assert predict(SIGNS, "a.png", "--json").facts["notes"] == []


def test_no_more_than_five_classes(predict: Command) -> None:
    rng = np.random.default_rng(0)
    classes = [f"c{index}" for index in range(9)]
    made = (
        L.imageInputLayer((4, 4, 1), "in", "none"),
        L.fullyConnectedLayer(rng, "fc", (4, 4, 1), 9),
        L.softmaxLayer("s"),
        L.classificationLayer("out", classes),
    )
    picture("a.png", 4, 4, 1)
    assert len(predict(network(made), "a.png", "--json").facts["predictions"][0]["classes"]) == 5


def test_a_folder_and_images_beside_it(predict: Command) -> None:
    for index, name in enumerate(("b.png", "many/2.png", "many/10.png")):
        picture(name, seed=index)
    Path("many/notes.txt").write_text("no image", encoding="utf-8")
    together = predict(SIGNS, "many", "b.png", "--json").facts["predictions"]
    assert [each["input"] for each in together] == [str(Path("many/10.png")), str(Path("many/2.png")), "b.png"]
    assert re.search(
        r"^3 images, \S+ a second with reading, on cpu$", predict(SIGNS, "many", "b.png").err, re.MULTILINE
    )
    alone = predict(SIGNS, "b.png", "--json").facts["predictions"]
    assert together[2]["label"] == alone[0]["label"]
    assert [each["score"] for each in together[2]["classes"]] == pytest.approx(
        [each["score"] for each in alone[0]["classes"]], abs=1e-6
    )


def test_images_that_cannot_be_read_are_all_named_and_skipped_when_asked(predict: Command) -> None:
    picture("many/good.png")
    Path("many/cut.png").write_bytes(Path("many/good.png").read_bytes()[:200])
    Path("many/text.jpg").write_text("no image", encoding="utf-8")
    ran = predict(SIGNS, "many")
    refused(ran, r"2 of 3 images cannot be read")
    assert "cut.png" in ran.err and "text.jpg" in ran.err and "--skip-bad" in ran.err and ran.out == ""
    found = predict(SIGNS, "many", "--skip-bad", "--json").facts
    assert [Path(each["input"]).name for each in found["predictions"]] == ["good.png"]
    assert [Path(each).name for each in found["skipped"]] == ["cut.png", "text.jpg"]
    refused(predict(SIGNS, "many/cut.png", "--skip-bad"), "1 of 1 images cannot be read")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="the operating system has no pipes with names")
def test_names_of_what_is_no_file(predict: Command) -> None:
    os.mkfifo("pipe.png")
    refused(predict(SIGNS, "pipe.png"), "pipe.png is neither a file nor a folder")
    refused(predict(SIGNS, "x" * 5000 + ".npy"), "names no file")
    refused(predict(SIGNS, "x" * 5000 + ".png"), "cannot be read")


def test_large_images_are_read_few_at_a_time(predict: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for index in range(5):
        picture(f"many/{index}.png", seed=index)
    together = predict(SIGNS, "many", "--json").facts
    monkeypatch.setattr("bridge.prediction.predictor.MOST_BYTES", 40 * 60 * 3)  # one image, so that two exceed it
    passes = list[int]()
    monkeypatch.setattr(
        Predictor,
        "_found",
        lambda self, inputs, names, found=Predictor._found: passes.append(len(inputs)) or found(self, inputs, names),
    )
    apart = predict(SIGNS, "many", "--json").facts
    assert passes == [2, 2, 1]
    for one, other in zip(together["predictions"], apart["predictions"], strict=True):
        assert one["input"] == other["input"] and one["classes"][0]["score"] == pytest.approx(
            other["classes"][0]["score"], abs=1e-6
        )


def test_images_of_other_channels(predict: Command) -> None:
    gray = picture("gray.png", 32, 32, 1)
    refused(predict(SIGNS, "gray.png"), r"gray.png has 1 channel, the network takes 3[^§]*--color gray2rgb")
    Image.fromarray(picture("rgb.png")).convert("P").save("indexed.png")
    refused(predict(SIGNS, "indexed.png"), r"indexed.png has 1 channel[^§]*its indices, not its colours[^§]*RGB")
    found = predict(SIGNS, "gray.png", "--color", "gray2rgb", "--json").facts["predictions"][0]
    scores = output(SIGNS, np.stack([gray] * 3))
    assert found["classes"][0]["score"] == pytest.approx(float(scores.max()), abs=1e-6)
    Image.fromarray(np.zeros((8, 8, 4), np.uint8), "CMYK").save("cmyk.jpg")
    refused(predict(SIGNS, "cmyk.jpg", "--color", "gray2rgb"), "cmyk.jpg has 4 channels")
    refused(predict(SIGNS, "gray.png", "--color", "blue"), "colour preprocessing is 'blue'")


def test_a_colour_image_for_a_gray_network(predict: Command) -> None:
    rng = np.random.default_rng(0)
    made = (
        L.imageInputLayer((4, 4, 1), "in", "none"),
        L.fullyConnectedLayer(rng, "fc", (4, 4, 1), 1),
        L.regressionLayer("out"),
    )
    name, pixels = network(made), picture("a.png", 4, 4)
    refused(predict(name, "a.png"), r"a.png has 3 channels, the network takes 1[^§]*--color rgb2gray")
    found = predict(name, "a.png", "--color", "rgb2gray", "--json").facts
    gray = np.floor(pixels @ np.array([0.298936021293776, 0.587043074451121, 0.114020904255103]) + 0.5)
    assert found["task"] == "values"
    assert np.ravel(next(iter(found["predictions"][0]["values"].values())))[0] == pytest.approx(
        output(name, gray[None]).item(), rel=1e-6
    )


@pytest.mark.parametrize(("pixels", "said"), [
    (np.zeros((8, 8), np.uint16), "16 bits a channel"), (np.zeros((8, 8), bool), "1 bit a channel"),
])  # fmt: skip
def test_images_of_another_depth(predict: Command, pixels: Array, said: str) -> None:
    rng = np.random.default_rng(0)
    made = (
        L.imageInputLayer((8, 8, 1), "in", "none"),
        L.fullyConnectedLayer(rng, "fc", (8, 8, 1), 1),
        L.regressionLayer("out"),
    )
    Image.fromarray(pixels).save("deep.png")
    refused(predict(network(made), "deep.png"), said)


def test_a_network_trained_on_0_to_1(predict: Command) -> None:
    """Nothing is divided unasked: MATLAB feeds single(image), 0..255."""
    rng = np.random.default_rng(0)
    mean = np.full((1, 1, 3), 0.5, np.float32)
    made = (
        L.imageInputLayer((4, 4, 3), "in", "zerocenter", Mean=mean), L.fullyConnectedLayer(rng, "fc", (4, 4, 3), 1), L.regressionLayer("out"),
    )  # fmt: skip
    name, pixels = network(made), picture("a.png", 4, 4)
    refused(predict(name, "a.png"), r"values up to 255[^§]*--im2single")
    found = predict(name, "a.png", "--im2single", "--json").facts["predictions"][0]["values"]
    assert np.ravel(next(iter(found.values())))[0] == pytest.approx(
        output(name, pixels.transpose(2, 0, 1) / np.float32(255)).item(), rel=1e-5
    )
    picture("b.png", 32, 32)
    refused(predict(SIGNS, "b.png", "--im2single"), "would have values up to 1")


def test_arrays_of_another_range_are_told_once(predict: Command) -> None:
    for name in ("a.npy", "b.npy"):
        np.save(name, np.random.default_rng(0).random((2, 3, 32, 32), np.float32))
    ran = predict(SIGNS, "a.npy", "b.npy", "--json")
    (note,) = [note for note in ran.facts["notes"] if "expected" in note]
    assert note.startswith("input 'imageinput': float 0..255 expected, 0.") and note.endswith("..1 given")


def test_regions_are_drawn_over_the_image(predict: Command) -> None:
    """Oracle: the largest output of each pixel, painted by labeloverlay at the size of the image."""
    pixels = picture("a.png")
    loaded = bridge.load(SEGNET)
    height, width = loaded.sizes[loaded.inputs[0]][0].spatial
    labels = output(SEGNET, imresize(pixels, (height, width), "bilinear").transpose(2, 0, 1)).argmax(0) + 1
    found = predict(SEGNET, "a.png", "-o", "seg.png", "--json").facts
    assert found["task"] == "segmentation" and found["predictions"][0]["picture"] == "seg.png"
    names = loaded.classes
    assert names is not None
    shares = {name: float((labels == index).mean()) for index, name in enumerate(names, 1)}
    assert found["predictions"][0]["shares"] == {name: pytest.approx(share) for name, share in shares.items() if share}
    assert np.array_equal(imread("seg.png"), labeloverlay(pixels, imresize(labels, (40, 60), "nearest")))


# Detectors


def test_boxes_are_drawn(predict: Command) -> None:
    """Oracle: the boxes of detect (tests/detection); on their outlines the picture is yellow, away from all boxes it is untouched."""
    pixels = picture("a.png", 60, 90)
    found = predict(DRONES, "a.png", "--threshold", "0.3", "-o", "boxes.png", "--json").facts
    wanted = bridge.load(DRONES).detect(pixels, threshold=0.3)
    objects = found["predictions"][0]["objects"]
    assert (
        [each["box"] for each in objects] == wanted.boxes.tolist()
        and [each["label"] for each in objects] == list(wanted.labels)
        and objects
    )
    drawn = imread("boxes.png")
    assert drawn.shape == pixels.shape and np.array_equal(imread("a.png"), pixels)
    for x, y, width, height in wanted.boxes.tolist():
        assert (drawn[y + height - 2, x - 1 : x + width - 1] == (255, 255, 0)).all(1).mean() > 0.9, "the lower edge"
    changed = (drawn != pixels).any(2)
    assert not changed[:30].any() and changed.any()
    text = predict(DRONES, "a.png", "--threshold", "0.3").out.splitlines()
    assert (
        text[0] == f"a.png: {len(objects)} objects"
        and text[1] == f"  drone {objects[0]['score']:.4f} [{' '.join(map(str, objects[0]['box']))}]"
    )


@pytest.mark.parametrize("channels", [3, 4])
def test_an_image_of_16_bits(predict: Command, channels: int) -> None:
    """Oracle: the boxes of the pixels that were written, without their alpha; they are resized with 16 bits."""
    pixels = np.random.default_rng(0).integers(0, 65536, (60, 90, channels), dtype=np.uint16)
    Path("deep.png").write_bytes(png_of_16_bits(channels, (90, 60), filtered(pixels, 0)))
    (found,) = predict(DRONES, "deep.png", "--threshold", "0.3", "-o", "boxes.png", "--json").facts["predictions"]
    wanted = bridge.load(DRONES).detect(pixels[..., :3], threshold=0.3)
    assert [each["box"] for each in found["objects"]] == wanted.boxes.tolist() != []
    assert imread("boxes.png").dtype == np.uint8


def test_nothing_found_is_said_and_the_picture_is_the_image(predict: Command) -> None:
    pixels = picture("a.png", 60, 90)
    assert predict(DRONES, "a.png", "-o", "boxes.png").out == "a.png: 0 objects\nwrote boxes.png\n"
    assert np.array_equal(imread("boxes.png"), pixels)


def test_a_detector_with_its_anchors_in_a_file(predict: Command) -> None:
    Path("anchors.toml").write_text(
        'AnchorBoxes = [[12, 8], [6, 20]]\nClassNames = ["bird", "drone"]\n', encoding="utf-8"
    )
    picture("a.png", 60, 90)
    exported, options = str(FILES / "drones.onnx"), ("a.png", "--threshold", "0.3", "--json")
    found = predict(exported, *options, "--anchors", "anchors.toml").facts["predictions"]
    assert found == predict(DRONES, *options).facts["predictions"] and found[0]["objects"]
    refused(predict(DRONES, *options, "--anchors", "anchors.toml"), "has anchor boxes already")
    Path("anchors.toml").write_text('AnchorBoxes = [[12, 8]]\nClassNames = ["bird", "drone"]\n', encoding="utf-8")
    refused(predict(exported, *options, "--anchors", "anchors.toml"), "1 anchor boxes do not fit the 14 channels")


def test_images_that_do_not_fit_a_detector(predict: Command) -> None:
    picture("gray.png", 60, 90, 1)
    refused(predict(DRONES, "gray.png"), "gray.png has 1 channel, the network takes 3")
    refused(predict(DRONES, "gray.png", "--color", "gray2rgb", "--threshold", "2"), "threshold is 2")
    np.save("x.npy", np.full((32, 32, 3), 255.0))
    refused(predict(DRONES, "x.npy"), "x.npy: the image has values from 255 to 255")


def test_a_detector_of_another_kind_is_refused(predict: Command) -> None:
    held = {"Network": networks.chain_cnn(), "ClassNames": categorical(["car"]), "AnchorBoxes": np.array([[8.0, 8.0]])}
    mat.write(Path("other.mat"), {"detector": Obj("fasterRCNNObjectDetector", held, saveobj=True)})
    picture("a.png")
    refused(predict("other.mat", "a.png"), "detection with a fasterRCNNObjectDetector is not supported", 3)


# Arrays


def test_sequences_of_any_length(predict: Command) -> None:
    """Oracle: the module on each sequence alone."""
    name = network(networks.lstm_classifier())
    size = bridge.load(name).sizes[bridge.load(name).inputs[0]][0].channels
    rng = np.random.default_rng(0)
    cells = np.empty((3, 1), object)
    for index, steps in enumerate((7, 4, 9)):
        cells[index, 0] = rng.standard_normal((size, steps))
    scipy.io.savemat("x.mat", {"XTest": cells})
    found = predict(name, "x.mat", "--json").facts
    assert [each["input"] for each in found["predictions"]] == ["x.mat (1)", "x.mat (2)", "x.mat (3)"]
    names = bridge.load(name).classes
    assert names is not None
    for each, (values,) in zip(found["predictions"], cells, strict=True):
        scores = output(name, values.T)
        assert each["label"] == names[int(scores.argmax())] and each["classes"][0]["score"] == pytest.approx(
            float(scores.max()), abs=1e-6
        )


def test_a_label_for_every_step(predict: Command) -> None:
    rng = np.random.default_rng(1)
    made = (
        L.sequenceInputLayer(3, "in"), L.lstmLayer(rng, "lstm", 3, 5), L.fullyConnectedLayer(rng, "fc", 5, 2), L.softmaxLayer("s", sequences=True),
        L.classificationLayer("out", ["rest", "walk"], sequences=True),
    )  # fmt: skip
    name = network(made)
    values = rng.standard_normal((3, 40)) * 3
    np.savetxt("x.csv", values, delimiter=",")
    found = predict(name, "x.csv", "--json").facts
    scores = output(name, values.T)
    assert found["task"] == "sequence labels"
    assert (
        found["predictions"][0]["labels"] == [("rest", "walk")[index] for index in scores.argmax(1)]
        and len(set(found["predictions"][0]["labels"])) == 2
    )
    assert found["predictions"][0]["scores"] == pytest.approx(scores.max(1).tolist(), abs=1e-6)
    runs = re.findall(r"(\w+)(?: x (\d+))?(?:, |$)", predict(name, "x.csv").out.removeprefix("x.csv: ").strip())
    assert [label for label, count in runs if label for _ in range(int(count or 1))] == found["predictions"][0][
        "labels"
    ]


def test_features_and_values(predict: Command) -> None:
    name = network(networks.feature_mlp())
    channels = bridge.load(name).sizes[bridge.load(name).inputs[0]][0].channels or 0
    values = np.random.default_rng(0).standard_normal((40, channels))
    np.save("x.npy", values)
    found = predict(name, "x.npy", "--json").facts
    given = [np.ravel(next(iter(each["values"].values())))[0] for each in found["predictions"]]
    assert found["task"] == "values" and given == pytest.approx([output(name, row).item() for row in values], abs=1e-6)
    assert predict(name, "x.npy").out.splitlines()[1] == f"x.npy (2): {given[1]:g}"


def test_an_order_that_is_not_clear_is_asked_for(predict: Command) -> None:
    rng = np.random.default_rng(1)
    made = (
        L.sequenceInputLayer(3, "in"),
        L.fullyConnectedLayer(rng, "fc", 3, 1),
        L.regressionLayer("out", sequences=True),
    )
    name = network(made)
    np.save("x.npy", rng.standard_normal((3, 3)))
    refused(predict(name, "x.npy"), r"fits the network's 3×T as CT or TC[^§]*--input-dims")
    one, other = (
        predict(name, "x.npy", "--input-dims", order, "--json").facts["predictions"] for order in ("CT", "TC")
    )
    assert one != other


def test_one_variable_of_many(predict: Command) -> None:
    name = network(networks.feature_mlp())
    channels = bridge.load(name).sizes[bridge.load(name).inputs[0]][0].channels or 0
    rng = np.random.default_rng(0)
    scipy.io.savemat("data.mat", {"a": rng.standard_normal((5, channels)), "b": rng.standard_normal((2, channels))})
    refused(predict(name, "data.mat"), "holds a|holds no ''")
    assert len(predict(name, "data.mat:b", "--json").facts["predictions"]) == 2
    scipy.io.savemat("text.mat", {"X": "hello"})
    refused(predict(name, "text.mat"), "text.mat holds no numbers")
    refused(predict(name, "none.npy"), "none.npy does not exist|names no file")
    picture("a.png")
    refused(predict(name, "a.png"), "a.png holds no array")
    refused(predict(SIGNS, "none.png"), "1 of 1 images cannot be read")


def test_large_values_are_summed_up(predict: Command) -> None:
    made = (L.imageInputLayer((40, 40, 3), "in", "none"), L.reluLayer("relu"), L.regressionLayer("out"))
    pixels = picture("a.png", 40, 40)
    (values,) = predict(network(made), "a.png", "--json").facts["predictions"][0]["values"].values()
    assert values == {
        "size": [3, 40, 40],
        "least": pixels.min(),
        "greatest": pixels.max(),
        "mean": pytest.approx(pixels.mean()),
    }


def test_an_array_of_no_observations(predict: Command) -> None:
    np.save("none.npy", np.zeros((0, 32, 32, 3)))
    refused(predict(SIGNS, "none.npy"), "none at all")


def test_numbers_that_are_none(predict: Command) -> None:
    name = network(networks.feature_mlp())
    channels = bridge.load(name).sizes[bridge.load(name).inputs[0]][0].channels or 0
    values = np.zeros((3, channels))
    values[1, 0] = np.nan
    np.save("x.npy", values)
    refused(predict(name, "x.npy"), r"NaN or infinite values for x.npy \(2\)")


MAT = REAL / "mat"


@pytest.mark.slow
@needs_real
def test_the_labels_that_matlab_predicted(predict: Command) -> None:
    """Oracle: the labels that MATLAB stored, 176 of 176."""
    found = predict(str(MAT / "fault_lstm_R2020a.mat"), str(MAT / "fault_lstm_features.mat"), "--json").facts[
        "predictions"
    ]
    wanted = texts(dict(variables(MAT / "fault_lstm_predictions.mat"))["validationResults"])
    assert [each["label"] for each in found] == wanted and len(found) == 176


# Networks


def test_images_of_any_size_where_the_network_takes_them(predict: Command) -> None:
    """An .onnx with a free height and width, of one 1 x 1 convolution that doubles. Oracle: twice the pixels."""
    size = ["N", 3, "H", "W"]
    nodes = [helper.make_node("Conv", ["x", "w"], ["y"])]
    weights = numpy_helper.from_array(2 * np.eye(3, dtype=np.float32)[:, :, None, None], "w")
    ends = [[helper.make_tensor_value_info(name, TensorProto.FLOAT, size)] for name in ("x", "y")]
    onnx.save(
        helper.make_model(helper.make_graph(nodes, "g", *ends, [weights]), opset_imports=[helper.make_opsetid("", 13)]),
        "net.onnx",
    )
    for index, (height, width) in enumerate(((4, 6), (5, 3))):
        pixels = picture(f"{index}.png", height, width, seed=index)
        (values,) = predict("net.onnx", f"{index}.png", "--json").facts["predictions"][0]["values"].values()
        assert values == (2 * pixels.transpose(2, 0, 1).astype(float)).tolist()
    found = predict("net.onnx", "0.png", "1.png", "--json").facts
    assert len(found["predictions"]) == 2 and not any("resized" in note for note in found["notes"])


def test_a_network_without_class_names(predict: Command) -> None:
    rng = np.random.default_rng(0)
    made = (
        L.imageInputLayer((4, 4, 3), "in", "none"),
        L.fullyConnectedLayer(rng, "fc", (4, 4, 3), 3),
        L.softmaxLayer("s"),
    )
    mat.write(Path("net.mat"), {"net": Net("dlnetwork", made)})
    picture("a.png", 4, 4)
    found = predict("net.mat", "a.png", "--json").facts
    assert {each["name"] for each in found["predictions"][0]["classes"]} == {"1", "2", "3"} and "--classes" in found[
        "notes"
    ][0]
    Path("names.txt").write_text("ant\nbee\ncat\n", encoding="utf-8")
    named = predict("net.mat", "a.png", "--classes", "names.txt", "--json").facts["predictions"][0]
    assert named["label"] == ("ant", "bee", "cat")[int(found["predictions"][0]["label"]) - 1]


def test_several_inputs_are_refused(predict: Command) -> None:
    made = (
        L.featureInputLayer(2, "a"), L.featureInputLayer(2, "b"), L.additionLayer("add"), L.regressionLayer("out"),
    )  # fmt: skip
    name = network(Net("DAGNetwork", made, (("a", "add/in1"), ("b", "add/in2"), ("add", "out"))))
    refused(predict(name, "x.npy"), "takes 2 inputs")


# What is written


def test_pictures_are_kept_unless_forced(predict: Command) -> None:
    picture("a.png")
    Path("seg.png").write_text("mine", encoding="utf-8")
    refused(predict(SEGNET, "a.png", "-o", "seg.png"), "seg.png exists")
    assert Path("seg.png").read_text(encoding="utf-8") == "mine"
    assert predict(SEGNET, "a.png", "-o", "seg.png", "--force").code == 0 and imread("seg.png").shape == (40, 60, 3)
    assert {path.name for path in Path().iterdir()} == {"a.png", "seg.png"}


def test_several_pictures_go_into_a_folder(predict: Command) -> None:
    for index, name in enumerate(("in/a.png", "in/b.png", "other/a.png")):
        picture(name, seed=index)
    refused(predict(SEGNET, "in", "-o", "one.png"), "one.png is one picture for 2 images")
    assert predict(SEGNET, "in", "-o", "out").code == 0
    assert sorted(path.name for path in Path("out").iterdir()) == ["a.png", "b.png"]
    refused(predict(SEGNET, "in", "-o", "out"), "exists")
    refused(predict(SEGNET, "in/a.png", "other/a.png", "-o", "new"), "two images would be drawn to")
    assert not Path("new").exists()
    Path("file").write_text("", encoding="utf-8")
    refused(predict(SEGNET, "in", "-o", "file/below"), "cannot make the folder")
    refused(predict(SEGNET, "in", "-o", "x" * 5000), "cannot make the folder")


def test_nothing_is_drawn_for_classes(predict: Command) -> None:
    picture("a.png")
    refused(predict(SIGNS, "a.png", "-o", "a2.png"), "nothing is drawn for classification")
    assert not Path("a2.png").exists()


def test_no_terminal_obeys_a_file(predict: Command) -> None:
    rng = np.random.default_rng(0)
    made = (
        L.imageInputLayer((4, 4, 3), "in", "none"),
        L.fullyConnectedLayer(rng, "fc", (4, 4, 3), 2),
        L.softmaxLayer("s"),
        L.classificationLayer("out", ["\x1b[31m", "b"]),
    )
    picture("a.png", 4, 4)
    assert "\x1b" not in predict(network(made), "a.png").out


def test_the_predictor_in_python(predict: Command) -> None:
    picture("a.png")
    predictor = Predictor(bridge.load(SEGNET))
    (found,) = predictor.predict(predictor.files(["a.png"]))
    assert predictor.draws and found.drawn().shape == (40, 60, 3) and found.input == "a.png"


# Against objects that people marked


def marked(keep: int) -> tuple[Path, int]:
    """Write two images and a table with the first boxes that the detector finds in each, by its own answers."""
    lines, count = ["path,x,y,width,height,label"], 0
    for name, seed in (("a.png", 0), ("b.png", 1)):
        pixels = picture(name, 60, 90, seed=seed)
        found = bridge.load(DRONES).detect(pixels, threshold=0.3)
        chosen = list(zip(found.boxes.tolist(), found.labels, found.scores.tolist(), strict=True))
        chosen = sorted(chosen, key=lambda each: -each[2])[:keep]
        lines += [f"{name},{','.join(map(str, box))},{label}" for box, label, _ in chosen]
        count += len(chosen)
    Path("boxes.csv").write_text("\n".join(lines), encoding="utf-8")
    return Path("boxes.csv"), count


def test_precision_by_class(predict: Command) -> None:
    """By hand: marked are the strongest three boxes of each image, as the detector finds them: every one is found."""
    table, count = marked(3)
    facts = predict(DRONES, "--truth", str(table), "--threshold", "0.3", "--json").facts
    told = facts["precision"]
    assert told["images"] == len(facts["predictions"]) == 2 and told["overlap"] == 0.5 and told["threshold"] == 0.3
    assert sum(each["objects"] for each in told["classes"].values()) == count == 6
    known = [each for each in told["classes"].values() if each["objects"]]
    assert all(each["recall"][-1] == 1 and each["precision"][0] == 1 for each in known)
    whole = predict(DRONES, "--truth", str(marked(1000)[0]), "--threshold", "0.3", "--json").facts["precision"]
    assert whole["mean_average_precision"] == 1
    assert all(each["average_precision"] in (1, None) for each in whole["classes"].values())


def test_precision_is_told_and_drawn(predict: Command) -> None:
    table, _ = marked(3)
    said = predict(DRONES, "--truth", str(table), "--html", "page.html", "-o", "pictures").out.splitlines()
    assert said[-1].startswith("mean average precision ") and said[-1].endswith("overlap 0.5, scores from 0.01")
    assert said[-3].startswith("bird: average precision ") and said[-2].startswith("drone: ")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "Precision over recall" in page and page.count("<svg") == 1 and "drone" in page and "<script>" in page
    assert {path.name for path in Path("pictures").iterdir()} == {"a.png", "b.png"}


@pytest.mark.parametrize("arguments", [(), ("a.png", "--truth", "boxes.csv"), ("--truth", "boxes.csv", "--skip-bad")])  # fmt: skip
def test_objects_instead_of_inputs(predict: Command, arguments: tuple[str, ...]) -> None:
    marked(1)
    refused(predict(DRONES, *arguments), "images or other inputs, or --truth")


def test_objects_are_for_detectors(predict: Command) -> None:
    refused(predict(SIGNS, "--truth", str(marked(1)[0])), "the network finds none")
    refused(predict(DRONES, "--truth", "none.csv"), "does not exist")
    refused(predict(DRONES, "a.png", "--html", "p.html"), "there is no confusion matrix")


# Folders of classes, patterns, lists


def divided(*classes: str, count: int = 2) -> None:
    """A folder "photos" with a folder for each class."""
    for number, name in enumerate(classes):
        Path("photos", name).mkdir(parents=True)
        for index in range(count):
            picture(f"photos/{name}/{index}.png", seed=10 * number + index)


def told_of(ran: Ran) -> list[tuple[str, str]]:
    """(true class by folder, predicted class) of every prediction."""
    return [(Path(each["input"]).parent.name, each["label"]) for each in ran.facts["predictions"]]


def test_class_folders_give_accuracy_and_a_confusion_matrix(predict: Command) -> None:
    """Oracle: the predictions, counted by hand."""
    divided("blue", "red", "yellow", count=3)
    ran = predict(SIGNS, "photos", "--json")
    pairs, names = told_of(ran), bridge.load(SIGNS).classes
    result = ran.facts["result"]
    assert len(pairs) == 9 == result["observations"] and names is not None
    assert result["accuracy"] == sum(a == b for a, b in pairs) / 9
    for i, true in enumerate(names):
        assert result["confusion"][i] == [pairs.count((true, name)) for name in names]
        recall = pairs.count((true, true)) / 3 if true in ("blue", "red", "yellow") else None
        assert result["classes"][i] == {
            "name": true, "observations": 3 if recall is not None else 0, "recall": recall,
            "precision": pairs.count((true, true)) / n if (n := sum(b == true for _, b in pairs)) else None,
        }  # fmt: skip
    shown = predict(SIGNS, "photos")
    assert f"accuracy {result['accuracy']:.2%}" in shown.out and "recall" in shown.out and "a second" in shown.err


def test_results_and_matrices_are_written(predict: Command) -> None:
    divided("blue", "red")
    assert predict(SIGNS, "photos", "-o", "results.csv", "--csv", "matrix.csv", "--html", "page.html").code == 0
    with open("results.csv", encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert [row["true"] for row in rows] == ["blue", "blue", "red", "red"] and float(rows[0]["score"]) <= 1
    facts = predict(SIGNS, "photos", "--json").facts
    assert [row["label"] for row in rows] == [each["label"] for each in facts["predictions"]]
    with open("matrix.csv", encoding="utf-8", newline="") as stream:
        head, *lines = list(csv.reader(stream))
    assert [list(map(int, line[1:])) for line in lines] == facts["result"]["confusion"] and head[1:] == [
        line[0] for line in lines
    ]
    assert "Confusion matrix" in Path("page.html").read_text(encoding="utf-8")
    refused(predict(SIGNS, "photos", "-o", "results.csv"), "results.csv exists")
    assert predict(SIGNS, "photos", "-o", "results.csv", "--force").code == 0


def test_patterns_are_expanded_where_the_shell_has_not(predict: Command) -> None:
    divided("blue", "red")
    found = predict(SIGNS, "photos/*/0.png", "--json").facts["predictions"]
    assert [Path(each["input"]).parent.name for each in found] == ["blue", "red"]
    assert len(predict(SIGNS, "photos/**/*.png", "--json").facts["predictions"]) == 4
    picture("odd[1].png")
    assert len(predict(SIGNS, "odd[1].png", "--json").facts["predictions"]) == 1
    refused(predict(SIGNS, "photos/*.bmp"), "no file fits photos/[*].bmp")


def test_a_list_with_labels(predict: Command) -> None:
    divided("blue", "red")
    lines = ["path,label", "photos/blue/0.png,red", "photos\\red\\1.png,red", "photos/red/0.png,unheard"]
    Path("list.csv").write_text("\n".join(lines), encoding="utf-8")
    ran = predict(SIGNS, "list.csv", "--json")
    assert len(ran.facts["predictions"]) == 3 and ran.facts["result"]["observations"] == 2
    assert any("1 of 3 labels are no classes of the network" in note for note in ran.facts["notes"])
    Path("list.csv").write_text("path\nphotos/blue/7.png\n", encoding="utf-8")
    refused(predict(SIGNS, "list.csv"), "7.png does not exist")


def test_folders_that_are_no_classes(predict: Command) -> None:
    divided("monday", "tuesday")
    ran = predict(SIGNS, "photos", "--json")
    assert "result" not in ran.facts and any("no classes of the network" in note for note in ran.facts["notes"])
    refused(predict(SIGNS, "photos", "--html", "page.html"), "there is no confusion matrix")
    assert not Path("page.html").exists()


def test_a_device_is_named(predict: Command) -> None:
    picture("a.png")
    assert predict(SIGNS, "a.png", "--device", "cpu").code == 0
    refused(predict(SIGNS, "a.png", "--device", "tpu"), "'tpu' is no device")


def test_a_spreadsheet_runs_no_name() -> None:
    from bridge.prediction.confusion import csv_text

    assert csv_text([["=cmd()", -1.5]]) == "'=cmd(),-1.5\n"
