"""How an input is tried, and what may come of it: success, or a BridgeError in three parts with its exit code."""

from __future__ import annotations

import contextlib
import io
import shlex
import shutil
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from random import Random

import bridge
from bridge.commands import main
from fuzz.inputs import Input
from fuzz.originals import FILES

LABELS = ("error: ", "cause: ", "hint:  ")
TOLD_BY_CODE_3 = ("recipe", "read")  # lines of a script that were not understood are listed on stdout

# What is done with an input of each role: FILE is the input, OUT an empty folder, MADE the folder of originals, KEPT
# that of fixtures/files. A network is loaded and built first.
COMMANDS = {
    "network": (
        "inspect FILE", "inspect FILE --json", "inspect FILE --html OUT/page.html",
        "import FILE", "import FILE --json -o OUT/saved", "import KEPT/shapes_20_1_0.onnx --factors FILE",
        "predict FILE MADE/pictures/plain.png", "predict FILE MADE/images.npy", "predict FILE MADE/pictures -o OUT/drawn",
        "check FILE MADE/reference.mat", "check FILE --against KEPT/shapes.mat", "check KEPT/signs.mat --against FILE",
        "check FILE MADE/variables.npz --html OUT/report.html",
        "export FILE -o OUT/net.mat", "export FILE -o OUT/net.onnx", "export FILE -o OUT/net.py",
        "export FILE -o OUT/net.safetensors", "export FILE -o OUT/net.mat --no-test", "export FILE -o OUT/net.onnx --opset 17",
        "export FILE -o OUT/net.py --strict", "recipe show retrain-head --network FILE --json",
        "recipe show MADE/recipes/edits.toml --network FILE", "train MADE/recipes/quick.toml --network FILE -o OUT/run",
        "export FILE -o OUT/net.pt2",
    ),
    "run": (
        "train MADE/recipes/quick.toml -o FILE --resume", "train MADE/recipes/quick.toml -o FILE --restart", "check FILE --log MADE/info.mat",
        "export FILE -o OUT/net.mat", "inspect FILE/network",
    ),
    "log": ("check MADE/run --log FILE", "check FILE --log MADE/info.mat --json", "inspect FILE"),
    "reference": (
        "check KEPT/shapes.mat FILE", "check KEPT/shapes.mat FILE --json", "check KEPT/shapes.mat FILE --inputs X --outputs Y",
        "check KEPT/shapes.mat FILE --html OUT/report.html", "check KEPT/shapes.mat FILE --inputs X --input-dims HWCN",
        "predict KEPT/shapes.mat FILE:X", "predict KEPT/shapes.mat FILE:X --json",
    ),
    "outputs": ("check KEPT/shapes.mat MADE/variables.mat --inputs X --outputs FILE", "check KEPT/shapes.mat FILE --inputs MADE/images.npy --outputs *"),
    "steps": ("check MADE/linear.mat --steps FILE", "check MADE/linear.mat --steps FILE --json"),
    "array": ("predict KEPT/shapes.mat FILE", "predict KEPT/shapes.mat FILE --input-dims HWCN", "check KEPT/shapes.mat MADE/scores.csv --inputs FILE --outputs *"),
    "data": ("train MADE/recipes/quick.toml --data FILE -o OUT/run", "predict KEPT/shapes.mat FILE:X"),
    "images": ("train MADE/recipes/pictures.toml --data FILE -o OUT/run",),
    "objects": ("train MADE/recipes/boxes.toml --data FILE -o OUT/run",),
    "image": (
        "predict KEPT/shapes.mat FILE --color rgb2gray", "predict KEPT/signs.mat FILE", "predict KEPT/drones.mat FILE -o OUT/a.png",
        "predict KEPT/segnet.mat FILE --skip-bad --color gray2rgb -o OUT", "predict KEPT/signs.mat FILE --resize bicubic",
    ),
    "recipe": (
        "recipe show FILE", "recipe show FILE --json", "recipe show FILE --python", "recipe show FILE --network KEPT/signs.mat",
        "recipe show FILE --network KEPT/shapes.mat",
    ),
    "script": (
        "recipe read FILE", "recipe read FILE --json", "recipe read FILE --python", "recipe read FILE -o OUT/recipe.toml",
        "recipe read FILE --network KEPT/signs.mat",
    ),
    "mappings": ("inspect KEPT/shapes.mat --mappings FILE", "import KEPT/signs.mat --mappings FILE"),
    "anchors": ("predict KEPT/drones.onnx MADE/pictures/plain.png --anchors FILE",),
    "profile": ("check MADE/linear.mat --steps MADE/steps/reference.steps.mat --training-profile FILE",),
    "classes": ("inspect KEPT/shapes_20_1_0.onnx --classes FILE", "export KEPT/shapes.mat -o OUT/net.py --classes FILE"),
    "order": ("train MADE/recipes/quick.toml -o OUT/run --order FILE",),
    "probe": ("calibrate FILE", "calibrate FILE --json", "calibrate FILE -o OUT/profile.toml"),
}  # fmt: skip


def attempt(given: Input, made: Path, out: Path) -> str:
    """Try an input: "done" or "refused".

    Args:
        given: the input.
        made: the folder of originals.
        out: a folder for what is written; what is in it is removed.

    Raises:
        AssertionError: a command ended in another way than it may.
        Exception: whatever else leaves bridge.
    """
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if given.original.role == "network":
        try:
            network = bridge.load(given.path)
            _ = network.sizes
            network.to_torch()
        except bridge.BridgeError as error:
            _require_three_parts(error)
            if given.random.random() < 0.8:  # most commands begin with the same refusal
                return "refused"
    line = command(given, made, out)
    try:
        return "refused" if _run(line, given.path, out) else "done"
    except Exception as error:
        error.add_note(f"bridge {shlex.join(line)}")
        raise


def command(given: Input, made: Path, out: Path) -> list[str]:
    """Choose what is done with an input."""
    line = given.random.choice(COMMANDS[given.original.role])
    names = {"FILE": str(given.path), "OUT": str(out), "MADE": str(made), "KEPT": str(FILES)}
    return ["/".join([names.get(head, head), *rest]) for head, *rest in (word.split("/") for word in _words(line, names))]


def _words(line: str, names: dict[str, str]) -> Iterator[str]:
    for word in line.split():
        file, colon, variable = word.partition(":")
        yield f"{names[file]}{colon}{variable}" if colon and file in names else word


def _require_three_parts(error: bridge.BridgeError) -> None:
    assert error.error and error.cause and error.hint, f"{error!r} has no three parts"
    chain: BaseException | None = error
    while chain is not None:
        assert not isinstance(chain, MemoryError), f"memory ran out: {error}"
        chain = chain.__cause__ or chain.__context__


def _run(line: list[str], given: Path, out: Path) -> int:
    """Run a command of the command line in this process and return its exit code."""
    sys.argv = ["bridge", *line]
    told, code = io.StringIO(), 0
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(told):
        try:
            main()
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else -1
    text = told.getvalue()
    assert "Traceback" not in text and "MemoryError" not in text, text[-2000:]
    assert code in (0, 2, 3) or (code == 1 and line[0] in ("check", "import")), f"exit code {code}: {text[-2000:]}"
    if code >= 2 and tuple(line[:2]) != TOLD_BY_CODE_3:
        last = text.splitlines()[-3:]
        assert tuple(each[:7] for each in last) == LABELS, f"no three parts: {text[-2000:]}"
        assert line[0] == "train" or not any(out.iterdir()), f"left behind: {sorted(out.iterdir())}"
    return code if code >= 2 else 0


def summary(error: BaseException) -> str:
    """Return what left bridge, and from where, in a form that is the same for the same fault."""
    frames = [each for each in traceback.extract_tb(error.__traceback__) if "/bridge/" in each.filename.replace("\\", "/")]
    where = f"{Path(frames[-1].filename).name}:{frames[-1].name}" if frames else "?"
    return f"{type(error).__name__} in {where}: {error}"


def seeded(random: Random) -> None:
    """Give torch and numpy the same random numbers for the same input."""
    import numpy as np
    import torch

    torch.manual_seed(random.randrange(1 << 31))
    np.random.seed(random.randrange(1 << 31))
