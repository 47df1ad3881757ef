"""What the documentation says is run, and held against what the code does."""

from __future__ import annotations

import ast
import json
import re
import shlex
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest

import bridge
from bridge.commands import app, main
from bridge.errors import BridgeError
from bridge.readers import folder
from bridge.tables.layers import LayerRow
from bridge.tables.rows import LearnableRow, PropertyRow, StateRow
from docs.generate import PAGE, mapping_page
from fixtures import mat, networks
from fixtures.layers import Net

ROOT = Path(__file__).parents[1]
FILES = ROOT / "fixtures" / "files"
DOCUMENTS = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "benchmarks" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
SCHEMA = json.loads((ROOT / "docs" / "network.schema.json").read_text(encoding="utf-8"))
ROUNDING = re.compile(
    r"\d\.\de[+-]\d\d"
)  # differences between two single-precision computations vary with the processor


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, the file it is written to if it names one, and its text."""

    language: str
    file: str
    text: str


def blocks(document: Path) -> Iterator[Block]:
    for language, file, text in re.findall(
        r"^```(\w*) ?(\S*)\n(.*?)^```$", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    ):
        yield Block(language, file, text)


def commands(text: str) -> Iterator[list[str]]:
    """Yield the arguments of each bridge command of a block of shell lines, which `;` may separate."""
    for part in re.split(r"[;\n]", text):
        words = shlex.split(part, comments=True)
        if words[:1] == ["bridge"]:
            yield words[1:]


def execute(text: str, names: dict[str, Any]) -> None:
    """Run Python; an expression whose comment begins with a value must have that value."""
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        if isinstance(statement, ast.Expr):
            value = eval(compile(ast.Expression(statement.value), "document", "eval"), names)
            shown = re.search(r"# +(\(?[\d.][\d., ]*\)?)[;:]", lines[(statement.end_lineno or 0) - 1])
            assert shown is None or repr(value) == shown[1], lines[statement.lineno - 1]
        else:
            exec(compile(ast.Module([statement], []), "document", "exec"), names)


def run(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a bridge command in this process; it must succeed."""
    monkeypatch.setattr(sys, "argv", ["bridge", *arguments])
    try:
        main()
    except SystemExit as stop:
        assert not stop.code, arguments


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files that the documentation names, as the current one."""
    shutil.copytree(FILES, tmp_path / "fixtures" / "files")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_what_a_document_shows_works(document: Path, workplace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, names = set(sys.modules), dict[str, Any]()
    for block in blocks(document):
        if block.file:
            (workplace / block.file).write_text(block.text, encoding="utf-8")
    for block in blocks(document):
        if block.language == "python" and not block.file:
            execute(block.text, names)
        elif block.language in ("", "sh"):
            for arguments in commands(block.text):
                run(arguments, monkeypatch)
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(str(workplace)):
            del sys.modules[name]


def test_the_readme_shows_what_its_first_command_prints(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = list(blocks(ROOT / "README.md"))
    (arguments,) = commands(found[0].text)
    run(arguments, monkeypatch)
    printed = [ROUNDING.sub("#", line.rstrip()) for line in capsys.readouterr().out.splitlines()]
    shown = [
        ROUNDING.sub("#", line) for line in next(block.text for block in found if block.language == "text").splitlines()
    ]
    assert shown[0] == printed[0] and shown[-1] == printed[-1]
    position = 0
    for before, line in zip(["...", *shown], shown, strict=False):
        if line != "...":
            at = printed.index(line, position)
            assert at == position or before == "...", f"lines are left out before {line!r}"
            position = at + 1


def test_the_readme_lists_every_verb() -> None:
    listed = re.findall(r"^\| `bridge (\w+)", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert set(listed) == {command.name for command in app.registered_commands} | {
        group.name for group in app.registered_groups
    }


def test_the_page_of_benchmarks_lists_every_script() -> None:
    listed = re.findall(
        r"^\| `(\w+)` \|", (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    assert set(listed) == {path.stem for path in (ROOT / "benchmarks").glob("*.py")}


def test_one_line_commands_work_in_every_shell() -> None:
    """Windows PowerShell 5.1 has no `&&`; `.ci/run` takes the two lines from the README."""
    lines = re.findall(
        r"^python -m pip.*$", "\n".join(block.text for block in blocks(ROOT / "README.md")), re.MULTILINE
    )
    assert len(lines) == 2 and "bridge import" in lines[0] and "pytest" in lines[1]
    assert not any(re.search(r"&&|\|\||\\$|\$|`", line) for line in lines)


@pytest.mark.parametrize(
    "document", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_links_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
        assert target.startswith("https://") or (document.parent / target).is_file(), target


def test_the_page_of_layers_follows_the_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == mapping_page(), "run: python docs/generate.py"


def test_the_example_of_a_row_is_a_row() -> None:
    (example,) = (block.text for block in blocks(ROOT / "CONTRIBUTING.md") if block.language == "toml")
    ((name, row),) = tomllib.loads(example).items()
    rows: dict[str, Any] = {}
    for path in (ROOT / "mappings" / "layers").glob("*.toml"):
        rows |= tomllib.loads(path.read_text(encoding="utf-8"))
    assert rows[name] == row


def test_every_entry_of_a_row_is_explained() -> None:
    explained = set(re.findall(r"`(\w+)`", (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")))
    entries = {each.name for row in (LayerRow, PropertyRow, LearnableRow, StateRow) for each in fields(row)}
    assert entries - {"name"} <= explained


def test_exit_codes_are_those_of_the_errors() -> None:
    text = (ROOT / "docs" / "conventions.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| (\d+) \|", text.partition("## Exit codes")[2], re.MULTILINE)
    assert {int(code) for code in listed} == {0} | {error.exit_code for error in BridgeError.__subclasses__()}


SAVED = [FILES / name for name in ("signs.mat", "segnet.mat", "shapes_18_1_0.onnx", "shapes_v73.mat")]
MADE = [networks.lstm_classifier, networks.gru_classifier, networks.yolov2_network]


@pytest.mark.parametrize("source", [*SAVED, *MADE], ids=lambda source: getattr(source, "name", None) or source.__name__)
def test_a_saved_network_follows_the_schema(source: Path | Callable[[], Net], tmp_path: Path) -> None:
    path = source if isinstance(source, Path) else tmp_path / "net.mat"
    if not isinstance(source, Path):
        mat.write(path, {"net": source()})
    saved = bridge.load(path).save(tmp_path / "saved")
    jsonschema.validate(
        json.loads((saved / "network.json").read_text(encoding="utf-8")), SCHEMA, jsonschema.Draft202012Validator
    )


def test_the_schema_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    saved = bridge.load(FILES / "signs.mat").save(tmp_path / "saved")
    facts = json.loads((saved / "network.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    validator = jsonschema.Draft202012Validator(SCHEMA)
    assert not validator.is_valid({**facts, "more": 1})
    assert not validator.is_valid({**facts, "schema": "bridge.network/2"})
    facts["layers"][1]["learnables"]["Weights"]["learn_rate_factor"] = "fast"
    assert not validator.is_valid(facts)


def test_the_schema_has_the_keys_that_the_reader_asks_for() -> None:
    source, defined = SCHEMA["properties"]["source"], SCHEMA["$defs"]
    asked_for = (folder.NETWORK, folder.SOURCE, folder.LAYER, folder.LEARNABLE)
    for described, asked in zip((SCHEMA, source, defined["layer"], defined["learnable"]), asked_for, strict=True):
        assert described["properties"].keys() == asked.keys() == set(described["required"])


@pytest.mark.parametrize("verb", ["inspect", "import"])
def test_every_key_of_the_json_is_described(
    verb: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run([verb, "--json", str(FILES / "signs.mat")], monkeypatch)
    facts = json.loads(capsys.readouterr().out)
    assert facts["schema"] == f"bridge.{verb}/1"
    layer = facts["layers"][1]
    keys = {*facts, *facts["source"], *facts["contracts"][0], *layer, *layer["learnables"]["Weights"]}
    described = set(re.findall(r"`(\w+)`", (ROOT / "docs" / "folder.md").read_text(encoding="utf-8")))
    assert keys <= described


def test_safetensors_hold_torchs_layout_under_the_documented_keys(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    network = bridge.load(FILES / "signs.mat")
    stored = load_file(network.save(tmp_path / "saved") / "model.safetensors")
    state = network.to_torch().state_dict()
    assert set(state) - set(stored) == {"batchnorm_1.num_batches_tracked", "batchnorm_2.num_batches_tracked"}
    assert all(np.array_equal(array.astype(np.float32), state[key].numpy()) for key, array in stored.items())
