"""The command line as its user meets it: what is printed where, what is written, and the exit code."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from scipy.io import savemat

import bridge
from bridge import __version__
from fixtures import layers as L
from fixtures import mat, networks
from fixtures.layers import Layer, Net, Param
from fixtures.objects import training_info, training_options
from tests.shell import THREE_PARTS, Command, Ran

FILES = Path(__file__).parents[1] / "fixtures" / "files"
SIGNS = ("signs.onnx", "--factors", "signs.mat")


class Shell:
    """Runs bridge commands in a folder of its own that holds the test files."""

    def __init__(self, folder: Path, command: Command) -> None:
        self.folder, self._command = folder, command
        for path in FILES.iterdir():
            shutil.copy(path, folder)
        self._before = self.files()

    def __call__(self, *arguments: str) -> Ran:
        return self._command(*arguments)

    def files(self) -> set[str]:
        return {path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*")}

    def written(self) -> set[str]:
        """Return what is there that was not there at the start."""
        return self.files() - self._before

    def custom(self) -> str:
        """Write a network with a layer that no table knows, and return its name."""
        own = Layer("scale", "my.ScaleLayer", {}, {"Scale": Param(np.ones((1, 1, 3), np.float32))}, saveobj=False)
        made = (L.imageInputLayer((4, 4, 3), "in", "none"), own, L.reluLayer("relu"), L.regressionLayer("out"))
        mat.write(self.folder / "custom.mat", {"net": Net("SeriesNetwork", made)})
        return "custom.mat"


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Command) -> Shell:
    monkeypatch.chdir(tmp_path)
    return Shell(tmp_path, command)


def test_help_and_version(shell: Shell) -> None:
    shown = shell("--help")
    assert (shown.code, shown.err) == (0, "") and all(verb in shown.out for verb in ("inspect", "import", "matlab"))
    assert shell("--version") == Ran(0, f"bridge {__version__}\n", "")
    assert shell("import", "-h").out == shell("import", "--help").out != ""


@pytest.mark.parametrize("arguments", [(), ("recipe",)])
def test_a_call_without_a_verb_shows_the_help(arguments: tuple[str, ...], shell: Shell) -> None:
    ran = shell(*arguments)
    assert (ran.code, ran.out) == (2, "") and ran.err == shell(*arguments, "--help").out


WRONG = {
    ("nothing",): "'nothing'",
    ("recipe", "nothing"): "'nothing'",
    ("inspect",): "'file'",
    ("inspect", "signs.mat", "more"): "(more)",
    ("inspect", "signs.mat", "--nothing"): "--nothing",
    ("inspect", "signs.mat", "--json=3"): "'--json'",
    ("import", "signs.mat", "-o"): "'-o'",
    ("train", "recipe.toml"): "'--output'",
    ("check", "signs.mat", "--seed", "abc"): "'--seed'",
    ("check", "signs.mat", "--json", "--threshold", "half"): "'--threshold'",
    ("models", "--max-mb", "abc"): "'--max-mb'",
}


@pytest.mark.parametrize("arguments", WRONG)
def test_wrong_usage_exits_with_2_in_three_parts(arguments: tuple[str, ...], shell: Shell) -> None:
    ran = shell(*arguments)
    assert ran.code == 2 and THREE_PARTS.fullmatch(ran.err) and WRONG[arguments] in ran.err
    assert "--json" in arguments or not ran.out
    assert not shell.written()


# inspect


@pytest.mark.parametrize(
    "verb", [("inspect", "signs.mat"), ("recipe", "show", "retrain-head", "--network", "signs.mat")]
)
@pytest.mark.parametrize("stop", [KeyboardInterrupt, typer.Abort])
def test_ctrl_c_ends_with_the_exit_code_of_shells(
    stop: type[BaseException], verb: tuple[str, ...], shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """128 and the number of SIGINT, without a traceback; which exception arrives depends on typer's version."""

    def interrupted(*arguments: Any, **options: Any) -> Any:
        raise stop

    monkeypatch.setattr("bridge.readers.load", interrupted)
    ran = shell(*verb)
    assert ran.code == 130 and "Traceback" not in ran.err


def test_inspect_prints_what_is_known(shell: Shell) -> None:
    ran = shell("inspect", "signs.mat")
    assert (ran.code, ran.err) == (0, "")
    for expected in (
        "SeriesNetwork",
        "32×32×3 as N,C,H,W",
        "Weights 3×3×3×8",
        "12 layers, 11 connections",
        "blue, green, red",
    ):
        assert expected in ran.out
    assert "assumed" not in ran.out and not shell.written()


def test_factors_the_file_does_not_hold_are_assumed(shell: Shell) -> None:
    bare, joined = shell("inspect", "signs.onnx"), shell("inspect", *SIGNS)
    assert "1 (assumed)" in bare.out and "0 (assumed)" in bare.out and "frozen" not in bare.out
    assert "assumed" not in joined.out and "frozen" in joined.out


def test_inspect_shows_connections_of_a_graph(shell: Shell) -> None:
    assert "encoder1_maxpool/indices" in shell("inspect", "segnet.mat").out
    assert "Source" not in shell("inspect", "signs.mat").out


def test_inspect_prints_json(shell: Shell) -> None:
    ran = shell("inspect", "--json", *SIGNS)
    facts = json.loads(ran.out)
    assert (ran.code, ran.err, facts["schema"]) == (0, "", "bridge.inspect/1")
    convolution = facts["layers"][1]
    assert (convolution["name"], convolution["index"], convolution["activations"]) == ("conv_1", 2, "32×32×8")
    assert (
        convolution["frozen"] == ["Weights", "Bias"] and convolution["learnables"]["Weights"]["learn_rate_factor"] == 0
    )
    assert facts["contracts"][0]["layout"] == "N,C,H,W" and facts["classes"] == [
        "blue",
        "green",
        "red",
        "white",
        "yellow",
    ]


def test_inspect_takes_class_names_from_a_text_file(shell: Shell) -> None:
    (shell.folder / "names.txt").write_text("a\nb\n\nc\nd\nä\n", encoding="utf-8")
    assert "classes (5): a, b, c, d, ä" in shell("inspect", "signs.onnx", "--classes", "names.txt").out


@pytest.mark.parametrize(
    "content", [b"", b"no network", b"\x89PNG\r\n\x1a\n", b"MATLAB 5.0" + bytes(300), b"\x08\x07" + bytes(300)]
)
def test_unreadable_files_exit_with_2_in_three_parts(content: bytes, shell: Shell) -> None:
    (shell.folder / "net.mat").write_bytes(content)
    ran = shell("inspect", "net.mat")
    assert (ran.code, ran.out) == (2, "") and THREE_PARTS.fullmatch(ran.err) and "Traceback" not in ran.err


def test_a_missing_file_exits_with_2(shell: Shell) -> None:
    ran = shell("inspect", "nothing.mat")
    assert (ran.code, ran.out) == (2, "") and THREE_PARTS.fullmatch(ran.err)


def test_a_damaged_file_exits_with_2(shell: Shell) -> None:
    whole = (shell.folder / "signs.mat").read_bytes()
    (shell.folder / "half.mat").write_bytes(whole[: len(whole) // 2])
    ran = shell("inspect", "half.mat")
    assert (ran.code, ran.out) == (2, "") and ran.err.startswith("error: ")


def test_several_networks_ask_for_a_choice(shell: Shell) -> None:
    rng = np.random.default_rng(0)
    start, *rest = L.featureInputLayer(2, "in"), L.fullyConnectedLayer(rng, "fc", 2, 1), L.regressionLayer("out")
    first, second = Net("Layers", (start, *rest)), Net("Layers", (start, L.reluLayer("relu"), *rest))
    mat.write(shell.folder / "two.mat", {"first": first, "second": second})
    ran = shell("import", "two.mat")
    assert ran.code == 2 and "first, second" in ran.err and "--variable" in ran.err
    assert "4 layers" in shell("inspect", "two.mat", "--variable", "second").out


@pytest.mark.parametrize("container", ["v5", "v7.3"])
def test_inspect_shows_options_and_logs_without_a_network(container: Any, shell: Shell) -> None:
    losses = [1 / n for n in range(1, 201)]
    variables = {"options": training_options("sgdm", InitialLearnRate=0.25), "info": training_info(losses)}
    mat.write(shell.folder / "run.mat", variables, container=container)
    told, options, log = shell("inspect", "run.mat").out.splitlines()
    assert told == f"run.mat: no network, mat {container}"
    assert (
        options.startswith("options: training options TrainingOptionsSGDM: ")
        and "InitialLearnRate 0.25" in options
        and "GradientThreshold Inf" in options
    )
    assert log.startswith("info: training log of 200 iterations: ") and "TrainingLoss" in log
    facts = json.loads(shell("inspect", "--json", "run.mat").out)
    assert facts["training_options"]["options"]["InitialLearnRate"] == 0.25
    assert facts["training_info"]["info"]["TrainingLoss"] == losses
    assert shell("import", "run.mat").code == 2


def test_markup_in_names_is_only_text(shell: Shell) -> None:
    shutil.copy(shell.folder / "signs.mat", shell.folder / "[red]net:ok:.mat")
    rng = np.random.default_rng(0)
    made = (L.featureInputLayer(2, "[b]in"), L.fullyConnectedLayer(rng, "fc:ok:[/]", 2, 1), L.regressionLayer("out"))
    mat.write(shell.folder / "names.mat", {"net": Net("SeriesNetwork", made)})
    assert "[red]net:ok:.mat" in shell("inspect", "[red]net:ok:.mat").out
    assert "fc:ok:[/]" in shell("inspect", "names.mat").out and "[b]in" in shell("inspect", "names.mat").out


# import


def test_import_proves_and_writes_nothing(shell: Shell) -> None:
    ran = shell("import", *SIGNS)
    assert (ran.code, ran.err) == (0, "") and not shell.written()
    last = ran.out.splitlines()[-1]
    assert last.startswith("weights equal to signs.onnx and signs.mat, 15 of 15; outputs equal to onnxruntime to ")
    assert "not compared with MATLAB's own outputs" in last


def test_import_of_a_mat_claims_no_oracle_for_its_outputs(shell: Shell) -> None:
    last = shell("import", "signs.mat").out.splitlines()[-1]
    assert last.startswith("weights equal to signs.mat, 15 of 15; not compared") and "onnxruntime" not in last


def test_import_without_check_claims_nothing(shell: Shell) -> None:
    ran = shell("import", "--no-check", "signs.onnx")
    assert ran.code == 0 and ran.out.splitlines()[-1] == "nothing was checked (--no-check)"
    assert json.loads(shell("import", "--no-check", "--json", "signs.onnx").out)["holds"] is None


def test_import_prints_json(shell: Shell) -> None:
    ran = shell("import", "--json", *SIGNS, "-o", "saved")
    facts = json.loads(ran.out)
    assert (ran.code, ran.err, facts["schema"], facts["holds"], facts["saved"]) == (
        0,
        "",
        "bridge.import/1",
        True,
        "saved",
    )
    assert facts["proof"].startswith("weights equal to")


def test_import_saves_and_saves_again(shell: Shell) -> None:
    first = shell("import", *SIGNS, "-o", "nets/signs")
    names = {
        "nets",
        "nets/signs",
        *(f"nets/signs/{name}" for name in ("network.json", "model.safetensors", "README.md")),
    }
    assert first.code == 0 and first.out.endswith(f"saved to {Path('nets/signs')}\n") and shell.written() == names
    again = shell("import", "segnet.mat", "-o", "nets/signs")
    assert again.code == 0 and shell.written() == names
    shown = shell("inspect", "nets/signs")
    assert shown.code == 0 and "encoder1_conv1" in shown.out and "conv_1 " not in shown.out


@pytest.mark.parametrize("taken", ["a folder", "a file"])
def test_import_leaves_other_folders_alone(taken: str, shell: Shell) -> None:
    target = shell.folder / "work"
    if taken == "a folder":
        target.mkdir()
        (target / "thesis.txt").write_text("years")
    else:
        target.write_text("years")
    before = shell.files()
    ran = shell("import", "signs.mat", "-o", "work")
    assert ran.code == 2 and THREE_PARTS.fullmatch(ran.err) and shell.files() == before
    assert (target / "thesis.txt" if target.is_dir() else target).read_text() == "years"


def test_factors_of_another_network_exit_with_1(shell: Shell) -> None:
    ran = shell("import", "signs.onnx", "--factors", "traffic_light_like.mat", "-o", "saved")
    assert (ran.code, ran.out) == (1, "") and ran.err.startswith("error: layer 'conv_1'") and not shell.written()


def test_a_layer_nobody_knows_exits_with_3(shell: Shell) -> None:
    ran = shell("import", shell.custom(), "-o", "saved")
    assert (
        (ran.code, ran.out) == (3, "")
        and "my.ScaleLayer" in ran.err
        and "--modules" in ran.err
        and "saved" not in shell.files()
    )
    shown = shell("inspect", "custom.mat")
    assert shown.code == 0 and "note: layer 'scale' has the class my.ScaleLayer" in shown.out


def test_a_module_that_computes_something_else_exits_with_1(shell: Shell) -> None:
    """Oracle: onnxruntime. Nothing is saved."""
    (shell.folder / "wrong.py").write_text("import torch\n\nMODULES = {'ReLULayer': lambda layer: torch.nn.SiLU()}\n")
    before = shell.written()
    ran = shell("import", *SIGNS, "--modules", "wrong.py", "-o", "out")
    assert ran.code == 1 and shell.written() == before
    assert "relu_1" in ran.out.splitlines()[-1] and "onnxruntime" in ran.out.splitlines()[-1], ran.out
    ran = shell("import", "--json", *SIGNS, "--modules", "wrong.py")
    assert ran.code == 1 and json.loads(ran.out)["holds"] is False


def test_modules_of_the_user_are_taken(shell: Shell) -> None:
    shell.custom()
    source = "from torch import nn\nMODULES = {'my.ScaleLayer': lambda layer: nn.Identity()}\n"
    (shell.folder / "mine.py").write_text(source, encoding="utf-8")
    assert shell("import", "custom.mat", "--modules", "mine.py").code == 0
    (shell.folder / "broken.py").write_text("MODULES = {", encoding="utf-8")
    ran = shell("import", "custom.mat", "--modules", "broken.py")
    assert ran.code == 2 and ran.err.startswith("error: ")


def test_a_malformed_table_exits_with_2(shell: Shell) -> None:
    (shell.folder / "mine.toml").write_text("[ScaleLayer]\nmatlap = 'my.ScaleLayer'\n", encoding="utf-8")
    ran = shell("import", shell.custom(), "--mappings", "mine.toml")
    assert (ran.code, ran.out) == (2, "") and THREE_PARTS.fullmatch(ran.err) and "mine.toml" in ran.err


# matlab


def test_matlab_writes_the_functions_once(shell: Shell) -> None:
    ran = shell("matlab", "functions")
    written = {name for name in shell.written() if name.endswith(".m")}
    assert (ran.code, ran.err) == (0, "") and f"{len(written)} files" in ran.out
    assert {"functions/bridgeExport.m", "functions/bridgeReference.m", "functions/private/writeMat.m"} <= written
    again = shell("matlab", "functions")
    assert (again.code, again.out) == (2, "") and "--force" in again.err
    facts = json.loads(shell("matlab", "functions", "--force", "--json").out)
    assert facts["schema"] == "bridge.matlab/1" and len(facts["files"]) == len(written)


# the terminal


def in_terminal(*arguments: str, columns: int, **environment: str) -> str:
    """Run a command as in a terminal of so many columns; return its output with its escape codes."""
    settings = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    settings |= {
        "COLUMNS": str(columns),
        "FORCE_COLOR": "1",
        "TERM": "xterm-256color",
        "PYTHONIOENCODING": "utf-8",
        **environment,
    }
    command = [sys.executable, str(FILES.parents[1] / "cli.py"), *arguments]
    done = subprocess.run(
        command, env=settings, cwd=FILES, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_no_color_is_honoured() -> None:
    colours = re.compile(r"\x1b\[[\d;]*(3[0-8]|4[0-8]|9\d|10[0-7])m")
    assert not colours.search(in_terminal("inspect", "signs.mat", columns=120, NO_COLOR="1"))


def test_output_that_is_no_terminal_has_no_escape_codes(shell: Shell) -> None:
    assert "\x1b" not in shell("inspect", "signs.mat").out


def test_numbers_of_a_check_are_not_folded() -> None:
    text = re.sub(r"\x1b\[[\d;]*m", "", in_terminal("check", "signs.mat", "--against", "signs.onnx", columns=80))
    small = r" +\d\.\de[+-]\d\d"
    assert max(map(len, text.split("PASSED")[0].splitlines())) <= 80
    assert len(re.findall(rf"^ \w+{small * 3} +\d+ +\d\.\d{{7}} +0\.0%", text, re.MULTILINE)) == 10


@pytest.mark.parametrize("columns", [30, 79, 80, 100, 200])
def test_nothing_is_cut_in_a_narrow_terminal(columns: int) -> None:
    """Folded or not, every letter of MATLAB's names is there, in order; the names are those of the file's maker."""
    text = re.sub(r"\x1b\[[\d;]*m", "", in_terminal("inspect", "segnet.mat", columns=columns, NO_COLOR="1"))
    lines = [line.rstrip() for line in text.splitlines()]
    rule = next(index for index, line in enumerate(lines) if line.endswith("─"))
    head = next(line for line in lines[:rule] if " Name " in line)
    table = lines[rule + 1 : lines.index("", rule)]
    names = "".join(line[head.index("Name") : head.index("Type")].strip() for line in table)
    assert names == "".join(layer.name for layer in networks.segnet().layers)
    assert columns < 80 or max(map(len, table)) <= columns
    assert "…" not in text


# Shell completion


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["bridge", "in"], ["inspect"]),
        (["bridge", "train", "--res"], ["--resume", "--restart"]),
        (["bridge", "train", "googlenet"], ["googlenet-transfer"]),
        (["bridge", "recipe", "show", "retrain"], ["retrain-head"]),
        (["bridge", "models", "resnet1"], ["resnet18", "resnet101"]),
        (["bridge", "check", "net", "--profile", "f"], ["float32", "float16"]),
    ],
)
def test_a_shell_completes_verbs_options_and_names(words: list[str], offered: list[str]) -> None:
    """As bash asks for it."""
    asked = {"_BRIDGE_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1)}
    run = subprocess.run(
        [sys.executable, "-m", "bridge"], capture_output=True, text=True, check=False, env={**os.environ, **asked}
    )
    assert set(run.stdout.split()) == set(offered), run.stderr


def test_true_labels_given_as_outputs_are_pointed_to_targets(shell: Shell) -> None:
    """Labels that differ from what the network says: they may be what it was to say."""
    classes = bridge.load(shell.folder / "signs.mat").classes
    assert classes is not None
    labels = {f"Y{index}": np.array([name], dtype=object) for index, name in enumerate(classes)}
    savemat(shell.folder / "data.mat", {"X": np.zeros((32, 32, 3, 1)), **labels})
    told = [shell("check", "signs.mat", "data.mat", "--inputs", "X", "--outputs", name) for name in labels]
    assert sorted(ran.code for ran in told) == [0, *[1] * (len(classes) - 1)]
    assert all(("--targets" in ran.out) is (ran.code == 1) for ran in told)


def test_results_go_to_stdout_and_what_was_done_on_the_way_to_stderr(shell: Shell) -> None:
    """As docs/conventions.md says."""
    shell.custom()
    shown = shell("inspect", "custom.mat")
    assert "note: " in shown.out and not shown.err
    written = shell("export", str(FILES / "signs.mat"), "-o", "signs.safetensors")
    assert written.out.startswith("wrote ") and "lost: " in written.err and "lost: " not in written.out
    failed = shell("inspect", "nowhere.mat")
    assert not failed.out and THREE_PARTS.fullmatch(failed.err)
