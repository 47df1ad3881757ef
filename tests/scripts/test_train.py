"""A script, read, is a recipe that trains: branches, classes from the data, a split that validates or does not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bridge.commands import main
from bridge.scripts import read

SCRIPT = """imds = imageDatastore('images','IncludeSubfolders',true,'LabelSource','foldernames');
[first,second] = splitEachLabel(imds,0.75,'randomized');
lgraph = layerGraph();
lgraph = addLayers(lgraph, [imageInputLayer([6 6 3],'Name','in'); convolution2dLayer(3,4,'Padding','same','Name','conv'); reluLayer('Name','relu')]);
lgraph = addLayers(lgraph, convolution2dLayer(1,4,'Name','skip','WeightLearnRateFactor',0,'BiasLearnRateFactor',0));
lgraph = addLayers(lgraph, [additionLayer(2,'Name','add'); fullyConnectedLayer({classes},'Name','fc'); softmaxLayer('Name','sm'); {output}]);
lgraph = connectLayers(lgraph,'in','skip');
lgraph = connectLayers(lgraph,'relu','add/in1');
lgraph = connectLayers(lgraph,'skip','add/in2');
options = trainingOptions('adam','MaxEpochs',1,'MiniBatchSize',4,'Verbose',false{validation});
trained = {call};
"""
OLD = {"output": "classificationLayer('Name','out')", "call": "trainNetwork(first, lgraph, options)"}
NEW = {"output": "", "call": "trainnet(first, dlnetwork(lgraph), 'crossentropy', options)"}


@pytest.mark.parametrize(
    ("era", "classes", "validates"),
    [
        (OLD, "2", True),
        (OLD, "numel(categories(first.Labels))", False),
        (NEW, "numel(categories(first.Labels))", True),
        (NEW, "2", False),
    ],
)
def test_trains(
    era: dict[str, str],
    classes: str,
    validates: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for label, level in (("dark", 0), ("light", 120)):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(8):
            pixels = np.random.default_rng(index).integers(0, 100, (6, 6, 3)) + level
            Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "images" / label / f"{index}.png")
    script = tmp_path / "train.m"
    validation = ",'ValidationData',second" if validates else ""
    script.write_text(SCRIPT.format(classes=classes, validation=validation, **era), encoding="utf-8")
    found = read(script)
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    assert found.recipe.takes_classes == (classes != "2")
    found.save(tmp_path / "recipe.toml")
    monkeypatch.setattr(sys, "argv", ["bridge", "train", str(tmp_path / "recipe.toml"), "-o", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code
    assert ("FinalValidationLoss" in capsys.readouterr().out) == validates
