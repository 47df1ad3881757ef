"""Functions and files in folders that a script adds to the path: those below its own folder, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest

from bridge.scripts import Reading, read

SLOW = "function layers = slow(layers)\nlayers(2).WeightLearnRateFactor = 0.25;\nend\n"
TRAIN = "\nnet = alexnet;\nlayers = slow(net.Layers);\nt = trainNetwork(x, y, layers, trainingOptions('sgdm'));\n"
FILES = Path(__file__).parents[2] / "fixtures" / "files"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    inner = tmp_path / "project"
    (inner / "lib" / "deeper").mkdir(parents=True)
    return inner


def reading(folder: Path, source: str) -> Reading:
    path = folder / "script.m"
    path.write_text(source + TRAIN, encoding="utf-8")
    return read(path)


def is_read(found: Reading) -> bool:
    return found.exit_code == 0 and found.recipe is not None and found.recipe.edits[0].arguments["factor"] == 0.25


ADDED = {
    "a folder": "addpath('lib')",
    "without brackets": "addpath lib",
    "several": "addpath('lib','elsewhere')",
    "pwd": "addpath(fullfile(pwd,'lib'))",
    "genpath": "addpath(genpath('lib'))",
    "genpath of pwd": "addpath(genpath(pwd));",
    "genpath of the script": "addpath(genpath(fileparts(mfilename('fullpath'))))",
    "backslashes": r"addpath('.\lib')",
    "a variable": "p = genpath('.');\naddpath(p);",
}


@pytest.mark.parametrize("form", ADDED)
def test_functions_below(form: str, folder: Path) -> None:
    (folder / "lib" / "slow.m").write_text(SLOW, encoding="utf-8")
    assert not is_read(reading(folder, ""))
    assert is_read(reading(folder, ADDED[form]))


def test_functions_further_below(folder: Path) -> None:
    (folder / "lib" / "deeper" / "slow.m").write_text(SLOW, encoding="utf-8")
    assert not is_read(reading(folder, "addpath('lib')"))
    assert is_read(reading(folder, "addpath(genpath('lib'))"))


@pytest.mark.parametrize("name", ["private", "@slow", "+tools", ".git", "resources"])
def test_folders_that_genpath_leaves_out(name: str, folder: Path) -> None:
    (folder / "lib" / name).mkdir()
    (folder / "lib" / name / "slow.m").write_text(SLOW, encoding="utf-8")
    assert not is_read(reading(folder, "addpath(genpath('lib'))"))


@pytest.mark.parametrize(
    "form", ["'../other'", "genpath('..')", "fullfile(pwd,'..','other')", "'{}'", "genpath('{}')", "'linked'"]
)
def test_folders_outside(form: str, folder: Path) -> None:
    other = folder.parent / "other"
    other.mkdir()
    (other / "slow.m").write_text(SLOW, encoding="utf-8")
    (folder / "linked").symlink_to(other)
    found = reading(folder, f"addpath({form.format(other)})")
    assert not is_read(found)


def test_a_folder_outside_is_told(folder: Path) -> None:
    found = reading(folder, "addpath('/usr/share/tools')")
    assert any("is no folder below" in entry.what for entry in found.reports)


def test_links_that_lead_out_of_an_added_folder(folder: Path) -> None:
    (folder.parent / "slow.m").write_text(SLOW, encoding="utf-8")
    (folder / "lib" / "slow.m").symlink_to(folder.parent / "slow.m")
    (folder / "lib" / "loop").symlink_to(folder / "lib")
    assert not is_read(reading(folder, "addpath(genpath('lib'))"))


def test_the_script_s_own_folder_goes_before(folder: Path) -> None:
    (folder / "lib" / "slow.m").write_text(SLOW.replace("0.25", "9"), encoding="utf-8")
    (folder / "slow.m").write_text(SLOW, encoding="utf-8")
    assert is_read(reading(folder, "addpath('lib')"))


@pytest.mark.parametrize("name", ["lib/signs.mat", r"lib\signs.mat", "lib/signs", "signs.mat"])
def test_networks_in_folders_below(name: str, folder: Path) -> None:
    (folder / "lib" / "signs.mat").write_bytes((FILES / "signs.mat").read_bytes())
    path = folder / "script.m"
    added = "" if "lib" in name else "addpath('lib');\n"
    train = "t = trainNetwork(x, y, s.net.Layers, trainingOptions('sgdm'));\n"
    path.write_text(f"{added}s = load('{name}');\n{train}", encoding="utf-8")
    found = read(path)
    assert found.exit_code == 0 and found.recipe is not None, found.not_understood
    assert found.recipe.load_base().layers.has("conv_1")
