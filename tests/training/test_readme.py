"""The documented recipes at full size, as the README says to run them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import bridge
from tests.test_docs import FILES, ROOT, blocks, commands, execute, run

SECTION = "## Train a recipe\n"


@pytest.mark.slow
def test_the_documented_recipes_run_at_full_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From shipped recipes and a folder of images to trained networks; GoogLeNet's first ten layers keep their weights."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(FILES, tmp_path / "fixtures" / "files")
    (tmp_path / "section.md").write_text(
        (ROOT / "README.md").read_text(encoding="utf-8").partition(SECTION)[2].partition("\n## ")[0], encoding="utf-8"
    )
    for name in ("googlenet", "alexnet", "squeezenet"):  # in the place of MATLAB's own files
        bridge.export(bridge.networks.build(name, rng=0), f"{name}.mat")
    ran = []
    for block in blocks(tmp_path / "section.md"):
        if block.language == "python":
            execute(block.text, {})
        for arguments in commands(block.text):
            run(arguments, monkeypatch)
            ran += [arguments[arguments.index("-o") + 1]] if "-o" in arguments else []
    assert ran == ["run", "run", "googlenet", "alexnet", "squeezenet", "again"]
    for name in ran:
        log = json.loads(Path(name, "history.json").read_text(encoding="utf-8"))
        assert (
            log["StopReason"] == "Max epochs completed"
            and np.isfinite([row["TrainingLoss"] for row in log["rows"] if "TrainingLoss" in row]).all()
        )
        assert bridge.load(Path(name, "network")).classes == ("cap", "cube", "torch")
    made, trained = bridge.networks.build("googlenet", rng=0), bridge.load("googlenet/network")
    assert all(
        np.array_equal(layer.Weights, trained.layers[layer.name].Weights)
        for layer in made.layers[:10]
        if "Weights" in layer.learnables
    )
    assert not np.array_equal(made.layers["inception_3a-1x1"].Weights, trained.layers["inception_3a-1x1"].Weights)
