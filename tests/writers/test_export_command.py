"""bridge export as its user meets it: what is printed where, what is written, and the exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import loadmat
from torch import nn

import bridge
from bridge.errors import BridgeError
from bridge.parity.exported import prove_export
from bridge.training.history import TrainingInfo
from fixtures import mat, networks
from fixtures.layers import Layer, Net, Param, featureInputLayer
from tests.shell import THREE_PARTS, Command, Ran
from tests.writers.test_matlab import full_disk

ROOT = Path(__file__).parents[2]
FILES = ROOT / "fixtures" / "files"


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Command:
    """Runs `bridge export` in a folder of its own with signs.onnx and signs.mat."""
    for name in ("signs.onnx", "signs.mat"):
        shutil.copy(FILES / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    return partial(command, "export")


def test_a_saved_network_goes_back_to_matlab(run: Command) -> None:
    bridge.load("signs.onnx", factors="signs.mat").save("net")
    ran = run("net/", "-o", "back.mat")
    assert ran == Ran(
        0,
        "wrote back.mat\nwrote bridgeRebuild.m\nin MATLAB: net = bridgeRebuild('back.mat')\n"
        "read again: 17 of 17 arrays equal; outputs of the network in it equal bit for bit\n",
        "",
    )
    network = bridge.load("back.mat")
    assert network.layers["fc"].WeightLearnRateFactor == 10 and network.classes == (
        "blue",
        "green",
        "red",
        "white",
        "yellow",
    )
    np.testing.assert_array_equal(
        network.layers["conv_1"].Weights, bridge.load("signs.mat").layers["conv_1"].Weights, strict=True
    )


def test_json(run: Command) -> None:
    facts = json.loads(run("signs.mat", "-o", "back.mat", "--json").out)
    proof = "read again: 17 of 17 arrays equal; outputs of the network in it equal bit for bit"
    assert facts == {
        "schema": "bridge.export/1",
        "written": ["back.mat", "bridgeRebuild.m"],
        "losses": [],
        "notes": [],
        "proof": proof,
        "holds": True,
    }


def test_existing_files_are_kept_without_force(run: Command) -> None:
    before = Path("signs.mat").read_bytes()
    ran = run("signs.mat", "-o", "signs.mat")
    assert (ran.code, ran.out) == (2, "") and THREE_PARTS.fullmatch(ran.err) and "--force" in ran.err
    assert Path("signs.mat").read_bytes() == before
    assert run("signs.mat", "-o", "signs.mat", "--force").code == 0
    assert bridge.load("signs.mat").source.format == "mat v5" and Path("signs.mat").read_bytes() != before


def custom(path: Path) -> None:
    own = Layer("gate", "my.GateLayer", {}, {"Scale": Param(np.ones((1, 1), np.float32))}, saveobj=False)
    mat.write(path, {"net": Net("Layers", (featureInputLayer(2, "in"), own))})


def test_losses_are_listed_and_strict_refuses_them(run: Command) -> None:
    custom(Path("custom.mat"))
    refused = run("custom.mat", "-o", "back.mat", "--strict")
    assert (
        (refused.code, refused.out) == (3, "") and THREE_PARTS.fullmatch(refused.err) and "my.GateLayer" in refused.err
    )
    assert not Path("back.mat").exists() and not Path("bridgeRebuild.m").exists()
    ran = run("custom.mat", "-o", "back.mat", "--no-test", "--json")
    loss = "layer 'gate' (GateLayer): bridgeRebuild refuses its class my.GateLayer, which is not MathWorks'"
    assert ran.code == 0 and ran.err == f"lost: {loss}\n" and json.loads(ran.out)["losses"] == [loss]


def test_no_test_runs_no_module(run: Command) -> None:
    """It does without torch."""
    code = "import sys; from bridge.commands import main; sys.argv = ['bridge', 'export', 'signs.mat', '-o', 'b.mat', '--no-test', '--no-check']; main()"
    check = "import atexit, sys; atexit.register(lambda: print('torch' in sys.modules))\n"
    done = subprocess.run(
        [sys.executable, "-c", check + code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )
    assert done.returncode == 0 and done.stdout.endswith("False\n"), done.stderr
    assert run("b.mat", "-o", "c.mat").code == 0


@pytest.mark.parametrize(("arguments", "code", "part"), [
    (("signs.mat",), 2, "-o"),
    (("signs.mat", "-o", "back.png"), 2, "no ending that tells its form"),
    (("nothing.mat", "-o", "back.mat"), 2, "does not exist"),
    (("signs.mat", "-o", "nowhere/back.mat"), 2, "cannot write"),
])  # fmt: skip
def test_wrong_usage(arguments: tuple[str, ...], code: int, part: str, run: Command) -> None:
    before = sorted(Path().iterdir())
    ran = run(*arguments)
    assert (ran.code, ran.out) == (code, "") and part in ran.err and "Traceback" not in ran.err
    assert sorted(Path().iterdir()) == before


def test_the_folder_of_a_training_exports_with_its_log(run: Command) -> None:
    """The log is that of the training, not of the one before; NaN where nothing was validated."""
    mat.write("net.mat", {"net": networks.feature_mlp()})
    network = replace(bridge.load("net.mat"), training_info={"TrainingLoss": np.array([[9.0]])})
    rows = tuple({"Iteration": k, "Epoch": 1, "BaseLearnRate": 0.1, "TrainingLoss": 2.0 / k} for k in (1, 2))
    info = TrainingInfo(
        "trainNetwork",
        (),
        ({**rows[0], "ValidationLoss": 3.0}, rows[1]),
        {},
        2,
        "Max epochs completed",
        (),
        nn.Identity(),
        network,
    )
    Path("run").mkdir()
    info.save(Path("run"))
    assert run("run", "-o", "back.mat").code == 0
    found = bridge.load("back.mat").training_info
    assert found is not None and list(found) == [
        "TrainingLoss",
        "ValidationLoss",
        "BaseLearnRate",
        "OutputNetworkIteration",
    ]
    np.testing.assert_array_equal(found["TrainingLoss"], [[2.0, 1.0]])
    np.testing.assert_array_equal(found["ValidationLoss"], [[3.0, np.nan]])
    info = loadmat("back.mat", squeeze_me=True)["info"]  # oracle: scipy reads the variable that MATLAB's scripts plot
    np.testing.assert_array_equal(info["TrainingLoss"].item(), [2.0, 1.0])


# Every form


FORMS = {
    "net.onnx": ["net.onnx"],
    "net.pt2": ["net.pt2"],
    "net.safetensors": ["net.safetensors"],
    "net.py": ["net.py", "net.safetensors"],
}


@pytest.mark.parametrize("target", FORMS)
def test_every_form(target: str, run: Command) -> None:
    """Losses on stderr, files on stdout; a second time the files are kept, and --force replaces them."""
    ran = run("signs.mat", "-o", target, "--json")
    facts = json.loads(ran.out)
    assert (
        ran.code == 0
        and facts["written"] == FORMS[target]
        and all(f"lost: {loss}\n" in ran.err for loss in facts["losses"])
    )
    before = {name: Path(name).read_bytes() for name in FORMS[target]}
    again = run("signs.mat", "-o", target)
    assert (again.code, again.out) == (2, "") and THREE_PARTS.search(again.err) and "--force" in again.err
    assert {name: Path(name).read_bytes() for name in FORMS[target]} == before
    assert run("signs.mat", "-o", target, "--force").code == 0


@pytest.mark.parametrize("target", FORMS)
def test_strict_refuses_what_loses_something(target: str, run: Command) -> None:
    lossless = {"net.onnx", "net.pt2"}
    ran = run("signs.mat", "-o", target, "--strict")
    assert (ran.code == 0) == (target in lossless) and [Path(name).exists() for name in FORMS[target]] == [
        target in lossless
    ] * len(FORMS[target])
    assert ran.code == 0 or (ran.code == 3 and THREE_PARTS.fullmatch(ran.err))


@pytest.mark.parametrize("target", FORMS)
def test_a_full_disk_leaves_nothing_behind(target: str, run: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file may grow to a few hundred bytes only, as on a full disk."""
    network = bridge.load("signs.mat")
    bridge.export(network, "first.pt2", tell=len)  # torch writes caches of its own the first time
    before = sorted(Path().iterdir())
    with full_disk(300), pytest.raises(BridgeError, match="cannot write"):
        bridge.export(network, target, tell=len)
    assert sorted(Path().iterdir()) == before


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() == 0, reason="permissions do not bind root, nor on Windows"
)
@pytest.mark.parametrize("target", FORMS)
def test_a_read_only_folder(target: str, run: Command) -> None:
    Path("kept").mkdir(mode=0o555)
    ran = run("signs.mat", "-o", f"kept/{target}")
    assert ran.code == 2 and "cannot write" in ran.err and not list(Path("kept").iterdir())


@pytest.mark.parametrize("target", FORMS)
def test_a_folder_that_is_none(target: str, run: Command) -> None:
    before = sorted(Path().iterdir())
    ran = run("signs.mat", "-o", f"nowhere/{target}")
    assert (
        ran.code == 2
        and "cannot write" in ran.err
        and "Traceback" not in ran.err
        and sorted(Path().iterdir()) == before
    )


@pytest.mark.parametrize("target", FORMS)
def test_the_length_of_a_name(target: str, run: Command) -> None:
    """As long as the file system lets it be, which is 255 bytes; no temporary name is longer."""
    before, suffix = sorted(Path().iterdir()), Path(target).suffix
    for length in (256, 5000):
        ran = run("signs.mat", "-o", "a" * (length - len(suffix)) + suffix)
        assert (
            ran.code == 2 and THREE_PARTS.search(ran.err) and "cannot write" in ran.err and "Traceback" not in ran.err
        )
    assert sorted(Path().iterdir()) == before
    stem = "a" * (255 - max(len(Path(name).suffix) for name in FORMS[target]))
    assert run("signs.mat", "-o", stem + suffix).code == 0 and Path(stem + suffix).exists()
    if suffix == ".py":  # whose weights have a longer ending
        ran = run("signs.mat", "-o", f"{stem}a{suffix}")
        assert ran.code == 2 and THREE_PARTS.search(ran.err) and not Path(f"{stem}a{suffix}").exists()


@pytest.mark.parametrize(("target", "option", "value"), [
    ("net.onnx", "--opset", "3"), ("net.onnx", "--unpooling", "caffe"), ("net.pt2", "--opset", "14"), ("net.py", "--steps", "3"), ("back.mat", "--opset", "14"),
])  # fmt: skip
def test_options_that_make_no_sense(target: str, option: str, value: str, run: Command) -> None:
    ran = run("signs.mat", "-o", target, option, value)
    assert ran.code == 2 and THREE_PARTS.search(ran.err) and not Path(target).exists()


def test_a_training_exports_to_onnx_with_its_log(run: Command) -> None:
    """From the command that trains to the file: the log in the .onnx is the one in the folder, under MATLAB's field names."""
    mat.write("net.mat", {"net": networks.feature_mlp()})
    network = bridge.load("net.mat")
    info = TrainingInfo(
        "trainNetwork",
        (),
        ({"Iteration": 1, "Epoch": 1, "BaseLearnRate": 0.1, "TrainingLoss": 2.0},),
        {},
        1,
        "Max epochs completed",
        (),
        nn.Identity(),
        network,
    )
    Path("run").mkdir()
    info.save(Path("run"))
    assert run("run", "-o", "net.onnx").code == 0
    found = bridge.load("net.onnx").training_info
    assert found is not None and list(found)[:1] == ["TrainingLoss"] and "BaseLearnRate" in found


@pytest.mark.parametrize("name", ["signs", "segnet", "drones", "shapes_v73"])
@pytest.mark.parametrize("form", ["mat", "onnx", "pt2", "py", "safetensors"])
def test_what_was_written_is_read_again_and_proven(command: Command, tmp_path: Path, name: str, form: str) -> None:
    """Oracle: the module of the file that was exported; of an .onnx, onnxruntime against it."""
    ran = command("export", str(FILES / f"{name}.mat"), "-o", str(tmp_path / f"net.{form}"), "--force")
    proof = ran.out.splitlines()[-1]
    equal, total = re.match(r"read again: (\d+) of (\d+) arrays equal", proof).groups()  # type: ignore[union-attr]
    assert ran.code == 0 and equal == total and int(total) > 10
    assert form == "safetensors" or "outputs of " in proof
    assert form in ("onnx", "safetensors") or proof.endswith("bit for bit")


@pytest.mark.parametrize("form", ["mat", "onnx", "pt2", "py", "safetensors"])
def test_a_file_that_holds_other_numbers_is_not_proven(tmp_path: Path, form: str) -> None:
    """The class of fault that a proof must see: one bit of one array."""
    network = bridge.load(FILES / "signs.mat")
    model = network.to_torch()
    with torch.no_grad():
        model.fc.bias[3].copy_(model.fc.bias[3].nextafter(torch.tensor(torch.inf)))
    other = network.with_weights(model)
    written = bridge.export(other, tmp_path / f"net.{form}", tell=len)
    proof = prove_export(network, written.paths[0])
    assert not proof.holds and proof.equal == proof.total - 1 and prove_export(other, written.paths[0]).holds


@pytest.mark.parametrize("name", sorted(networks.SMALL))
@pytest.mark.parametrize("form", ["mat", "onnx", "pt2", "py", "safetensors"])
def test_networks_of_every_kind_are_proven(tmp_path: Path, name: str, form: str) -> None:
    mat.write(tmp_path / "net.mat", {"net": networks.SMALL[name](0)})
    network = bridge.load(tmp_path / "net.mat")
    path = bridge.export(network, tmp_path / f"back.{form}", tell=len).paths[0]
    proof = prove_export(network, path)
    assert proof.holds and not proof.missing, str(proof)
