"""Functions that train detectors, with their options and data: what a recipe has words for is read, the rest is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.scripts import Reading, read
from bridge.tables.layers import table

TRAINERS = table("scripts")["trainers"]
DETECTORS = sorted(name for name, row in TRAINERS.items() if "family" in row)
DATA = """imds = imageDatastore(data.imageFilename);
blds = boxLabelDatastore(data(:,2:end));
ds = combine(imds,blds);
"""
OPTIONS = (
    "options = trainingOptions('sgdm','MaxEpochs',7,'MiniBatchSize',2,'InitialLearnRate',1e-3,'ValidationData',ds);\n"
)


def reading(folder: Path, source: str) -> Reading:
    path = folder / "script.m"
    path.write_text(source, encoding="utf-8")
    return read(path)


@pytest.mark.parametrize("trainer", DETECTORS)
def test_options_and_data_are_read(trainer: str, tmp_path: Path) -> None:
    call = f"[detector,info] = {trainer}(ds, layerGraph(resnet18), options, 'SomeOption', [0 0.3]);\n"
    found = reading(tmp_path, DATA + OPTIONS + call)
    assert found.recipe is not None
    options = found.recipe.options
    assert (options.MaxEpochs, options.MiniBatchSize, options.InitialLearnRate) == (7, 2, 1e-3)
    kept = [entry.what for entry in found.kept]
    assert "SomeOption = [0 0.3]" in kept and "combine: combine(imds,blds)" in kept
    assert any(what.startswith("ValidationData") for what in kept)
    assert found.exit_code == 3
    family = f"trains a {TRAINERS[trainer]['family']} detector"
    told = any(family in entry.what for entry in found.not_understood)
    assert told != bool(TRAINERS[trainer].get("recipe"))


@pytest.mark.parametrize("network", ["yolov2Layers([224 224 3],{0},[64 64; 32 32],resnet50,'activation_40_relu')"])
@pytest.mark.parametrize("classes", ["2", "numel(names)", "{'cap','cube'}", '["cap" "cube"]'])
def test_yolo_v2(network: str, classes: str, tmp_path: Path) -> None:
    source = f"names = {{'cap','cube'}};\nlgraph = {network.format(classes)};\n{OPTIONS}"
    found = reading(tmp_path, f"{source}detector = trainYOLOv2ObjectDetector(vehicles, lgraph, options);\n")
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    made = found.recipe.network(found.recipe.untrained().load_base())
    assert made.layers["yolov2ClassConv"].NumFilters == 2 * (5 + 2)
    assert made.layers["yolov2OutputLayer"].AnchorBoxes == (64, 32, 64, 32)


ESTIMATED = {
    "as they are": "a = estimateAnchorBoxes(ds, 7);",
    "with the overlap": "[a, overlap] = estimateAnchorBoxes(ds, 7);",
    "scaled": "a = floor(estimateAnchorBoxes(ds, 7)/3);",
    "scaled from the left": "a = round(2 .* estimateAnchorBoxes(ds, numAnchors));",
}


@pytest.mark.parametrize("form", ESTIMATED)
def test_estimated_anchor_boxes(form: str, tmp_path: Path) -> None:
    """How many there are is known, and so is every layer but for the boxes, which are asked for."""
    lgraph = "lgraph = yolov2Layers([224 224 3], 1, a, resnet50, 'activation_40_relu');\n"
    train = "detector = trainYOLOv2ObjectDetector(ds, lgraph, options);\n"
    found = reading(tmp_path, f"numAnchors = 7;\n{DATA}{ESTIMATED[form]}\n{lgraph}{OPTIONS}{train}")
    (entry,) = found.not_understood
    assert "AnchorBoxes" in entry.what and "7 of them" in entry.what


def test_a_pretrained_detector_is_named(tmp_path: Path) -> None:
    make = "detector = yolov4ObjectDetector('csp-darknet53-coco', {'plate'}, {a(1:3,:);a(4:6,:)}, InputSize=[512 512 3]);\n"
    found = reading(tmp_path, f"{make}{OPTIONS}detector = trainYOLOv4ObjectDetector(ds, detector, options);\n")
    assert found.recipe is not None and found.recipe.base.name == "csp-darknet53-coco"
    assert any("csp-darknet53-coco are not built in" in entry.what for entry in found.not_understood)
