"""What each verb prints with --json follows docs/json.schema.json, bridge check's follows docs/check.schema.json."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from PIL import Image

from tests.shell import Command

ROOT = Path(__file__).parents[1]
FILES = ROOT / "fixtures" / "files"
SCHEMA = json.loads((ROOT / "docs" / "json.schema.json").read_text(encoding="utf-8"))
CHECK = json.loads((ROOT / "docs" / "check.schema.json").read_text(encoding="utf-8"))
SCRIPT = """
rng(0)
imds = imageDatastore('images', 'IncludeSubfolders', true, 'LabelSource', 'foldernames');
lgraph = replaceLayer(layerGraph(squeezenet), 'conv10', convolution2dLayer(1, 2, 'Name', 'new'));
strange(3)
net = trainNetwork(imds, lgraph, trainingOptions('sgdm', 'MaxEpochs', 2));
"""
CALLS = {
    "inspect": "inspect signs.mat",
    "an .onnx": "inspect segnet.onnx",
    "a detector": "inspect drones.mat",
    "import": "import signs.onnx --factors signs.mat -o saved",
    "unproven": "import shapes_v73.mat --no-check",
    "predict": "predict signs.mat images/cap/0.png",
    "predict classes": "predict signs.mat images",
    "predict regions": "predict segnet.mat images/cap/0.png",
    "predict boxes": "predict drones.mat images/cap/0.png -o box.png",
    "export": "export signs.mat -o back.mat",
    "export unproven": "export signs.mat -o net.safetensors --no-check",
    "matlab": "matlab functions",
    "models": "models",
    "model": "models squeezenet",
    "recipe show": "recipe show retrain-head --network signs.mat",
    "recipe read": "recipe read train.m",
    "train": "train retrain-head --network signs.mat --data images -o run --set MaxEpochs=1",
    "trace": "trace signs.mat --seeds 0-1 --doubles 10000",
    "check": "check signs.mat --against signs.onnx",
    "error": "inspect nothing.mat",
}


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in FILES.iterdir():
        shutil.copy(file, tmp_path)
    (tmp_path / "train.m").write_text(SCRIPT)
    rng = np.random.default_rng(0)
    for label in ("cap", "cube"):
        (tmp_path / "images" / label).mkdir(parents=True)
        for index in range(4):
            pixels = rng.integers(0, 256, (48, 48, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / label / f"{index}.png")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", CALLS)
def test_what_is_printed_follows_the_schema(name: str, workplace: None, command: Command) -> None:
    facts = json.loads(command(*CALLS[name].split(), "--json").out)
    jsonschema.validate(facts, CHECK if name == "check" else SCHEMA, jsonschema.Draft202012Validator)


def test_the_schema_refuses_what_it_does_not_know(workplace: None, command: Command) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    facts = json.loads(command("matlab", "functions", "--json").out)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert validator.is_valid(facts) and not validator.is_valid({**facts, "more": 1})
    assert not validator.is_valid({**facts, "schema": "bridge.matlab/2"})
