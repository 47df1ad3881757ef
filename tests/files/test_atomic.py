"""Whatever is written is its old content or its new one, wherever the process ends; and the next writing removes what was left."""

from __future__ import annotations

import json
import os
import runpy
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

import bridge
from bridge.errors import UnreadableError, UsageError
from bridge.files import atomic
from bridge.network import Network
from bridge.writers import onnx as onnx_writer
from tests.files.stopping import FINISHED, KILLED, MOST, TOLD, forks, run_until

FILES = Path(__file__).parents[2] / "fixtures" / "files"
OLD = bridge.load(FILES / "shapes.mat")


def changed(network: Network) -> Network:
    """The same layers with other weights and factors: arrays of one fit the other."""
    model = network.to_torch()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 1
    return network.with_weights(model).set_learn_rate_factor(trained(network), "Weights", 7)


def trained(network: Network) -> str:
    return next(layer.name for layer in network.layers if "Weights" in layer.learnables)


NEW = changed(OLD)


@dataclass(frozen=True)
class Form:
    """Something that is written over an older one.

    Attributes:
        name: the target's, in a folder of its own.
        write: (network, target).
        read: target -> a value that tells old from new; raises for a mixture.
    """

    name: str
    write: Callable[[Network, Path], object]
    read: Callable[[Path], Any]


def state(network: Network) -> Any:
    layer = network.layers[trained(network)]
    arrays = tuple(each.array.read().tobytes() for _, _, each in network.learnables())
    return arrays, layer.WeightLearnRateFactor


def of_folder(path: Path) -> Any:
    network = bridge.load(path)
    readme = path / "README.md"
    if readme.exists():
        assert ("a new note" in readme.read_text(encoding="utf-8")) is ("a new note" in network.notes)
    return state(network)


def of_source(path: Path) -> Any:
    held = runpy.run_path(str(path))
    model = held["Network"]()
    held["load_weights"](model)
    return tuple(value.numpy().tobytes() for value in model.state_dict().values()), sorted(held["FACTORS"])


def quiet(text: str) -> None:
    """Loses a note."""


def exported(network: Network, path: Path) -> object:
    return bridge.export(network, path, force=True, tell=quiet)


FORMS = [
    Form("net", lambda network, path: network.save(path), of_folder),
    Form("net.py", exported, of_source),
    Form("net.onnx", exported, lambda path: state(bridge.load(path))),
    Form("net.mat", exported, lambda path: state(bridge.load(path))),
    Form("net.safetensors", exported, lambda path: path.read_bytes()),
]


@pytest.fixture(params=FORMS, ids=[form.name for form in FORMS])
def form(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Form:
    monkeypatch.setattr(onnx_writer.file, "LARGEST", 1000)  # the weights lie in a second file
    chosen: Form = request.param
    return chosen


@dataclass(frozen=True)
class Folders:
    """Of one form: as it is before writing, and where each attempt is made."""

    before: Path
    trial: Path
    old: Any
    new: Any


@pytest.fixture
def folders(form: Form, tmp_path: Path) -> Folders:
    before, after = tmp_path / "before", tmp_path / "after"
    before.mkdir()
    after.mkdir()
    form.write(OLD, before / form.name)
    form.write(with_note(NEW), after / form.name)
    found = form.read(before / form.name), form.read(after / form.name)
    assert found[0] != found[1]
    return Folders(before, tmp_path / "trial", *found)


def with_note(network: Network) -> Network:
    return network.with_notes("a new note")


def names(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if ".onnx-" not in path.name}


def attempts(form: Form, folders: Folders, *, fails: bool) -> list[tuple[int, Any, set[str]]]:
    """Stop at every file-system call of a writing over an older one.

    Returns:
        For each call the exit code, what is there then, and the names of the files.
    """
    found = []
    while len(found) < MOST:
        shutil.rmtree(folders.trial, ignore_errors=True)
        shutil.copytree(folders.before, folders.trial)
        reached, code = run_until(
            lambda: form.write(with_note(NEW), folders.trial / form.name), len(found), folders.trial, fails=fails
        )
        if not reached:
            return found
        found.append((code, form.read(folders.trial / form.name), names(folders.trial)))
        form.write(with_note(NEW), folders.trial / form.name)
        assert form.read(folders.trial / form.name) == folders.new
        assert names(folders.trial) == names(folders.before), f"left by a process stopped at call {len(found)}"
    raise AssertionError(f"more than {MOST} calls")


@forks
def test_killed_at_any_moment_the_old_or_the_new_is_there(form: Form, folders: Folders) -> None:
    found = attempts(form, folders, fails=False)
    assert len(found) > 10 and {code for code, _, _ in found} == {KILLED}
    values = [value for _, value, _ in found]
    commit = values.index(folders.new)
    assert values == [folders.old] * commit + [folders.new] * (len(values) - commit) and 0 < commit < len(values) - 1


@forks
def test_an_error_at_any_moment_is_told_and_the_old_is_there_or_the_new(form: Form, folders: Folders) -> None:
    """What fails before the new content counts is told, and leaves what was there; what fails after it is no matter."""
    found = attempts(form, folders, fails=True)
    assert len(found) > 10
    for code, value, left in found:
        assert (code, value) in ((TOLD, folders.old), (FINISHED, folders.new))
        assert code == FINISHED or left == names(folders.before)
    assert {code for code, _, _ in found} == {TOLD, FINISHED}


# What was left


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    return OLD.save(tmp_path / "net")


def cut_off(folder: Path) -> None:
    """Make of a whole folder what it is right after its network.json was replaced: the old arrays have the plain name."""
    weights = folder / "model.safetensors"
    weights.rename(atomic.named_by_content(weights, atomic.sha256(weights)))
    weights.write_bytes(b"the old arrays")
    (folder / "README.md").unlink()


def test_a_saving_that_was_cut_off_is_read_and_completed_by_the_next(saved: Path) -> None:
    cut_off(saved)
    assert state(bridge.load(saved)) == state(OLD)
    with_note(NEW).save(saved)
    assert {path.name for path in saved.iterdir()} == {"network.json", "model.safetensors", "README.md"}
    assert state(bridge.load(saved)) == state(NEW)


def test_the_same_network_over_one_that_was_cut_off(saved: Path) -> None:
    """Its arrays have the name already under which they are written."""
    cut_off(saved)
    bridge.load(saved).save(saved)
    assert {path.name for path in saved.iterdir()} == {"network.json", "model.safetensors", "README.md"}
    assert state(bridge.load(saved)) == state(OLD)


def test_an_error_leaves_arrays_that_are_in_use(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_off(saved)
    refuse(monkeypatch, "network.json")
    with pytest.raises(UsageError, match="cannot write"):
        OLD.save(saved)
    assert state(bridge.load(saved)) == state(OLD)


def refuse(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Let nothing be renamed to a name, as Windows does while somebody has the file open."""
    rename = os.replace

    def replace(source: Path, target: Path) -> None:
        if Path(target).name == name:
            raise PermissionError(13, "The process cannot access the file because it is being used by another process")
        rename(source, target)

    monkeypatch.setattr(os, "replace", replace)


@pytest.mark.parametrize("name", ["model.safetensors", "net.safetensors", "README.md"])
def test_old_files_that_somebody_has_open_do_not_matter(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on Windows: the new network counts, and the next writing, when the old file is free, leaves nothing of it."""
    form = FORMS[1] if name == "net.safetensors" else FORMS[0]
    form.write(OLD, tmp_path / form.name)
    before = names(tmp_path)
    with monkeypatch.context() as patch:
        refuse(patch, name)
        form.write(with_note(NEW), tmp_path / form.name)
        new = form.read(tmp_path / form.name)
    form.write(with_note(NEW), tmp_path / form.name)
    assert form.read(tmp_path / form.name) == new and names(tmp_path) == before


@forks
def test_a_first_writing_that_is_killed_leaves_nothing_under_its_name(form: Form, tmp_path: Path) -> None:
    for number in range(MOST):
        target = tmp_path / str(number) / form.name
        target.parent.mkdir()
        reached, _ = run_until(lambda to=target: form.write(OLD, to), number, target.parent, fails=False)  # type: ignore[misc]
        if not reached:
            return
        if target.exists():
            assert form.read(target)
    raise AssertionError(f"more than {MOST} calls")


def test_what_a_living_process_is_writing_is_left_alone(tmp_path: Path) -> None:
    def write(made: Path) -> None:
        made.write_bytes(b"first")
        atomic.write_file(tmp_path / "second", lambda other: other.write_bytes(b"second"))

    atomic.write_file(tmp_path / "first", write)
    assert (tmp_path / "first").read_bytes() == b"first" and (tmp_path / "second").read_bytes() == b"second"
    assert names(tmp_path) == {"first", "second"}


def test_folders_of_others_are_left_alone(tmp_path: Path) -> None:
    """One that is named so and has no lock in it, and a link to a folder elsewhere."""
    elsewhere = tmp_path / "elsewhere"
    for folder in (elsewhere, tmp_path / ".bridge.mine"):
        folder.mkdir()
        (folder / "precious").write_bytes(b"")
    (elsewhere / "lock").write_bytes(b"")
    (tmp_path / ".bridge.link").symlink_to(elsewhere)
    before = {path.relative_to(tmp_path) for path in tmp_path.rglob("*")}
    atomic.write_text(tmp_path / "new.txt", "new")
    assert {path.relative_to(tmp_path) for path in tmp_path.rglob("*")} == before | {Path("new.txt")}


def test_data_of_others_are_left_alone(saved: Path) -> None:
    """A file that is named like arrays, and has another content."""
    other = saved / "model-0123456789abcdef.safetensors"
    other.write_bytes(b"precious")
    NEW.save(saved)
    assert other.read_bytes() == b"precious" and state(bridge.load(saved)) == state(NEW)


@pytest.mark.parametrize("digest", ["", "0" * 63, "../../../../outside" + "0" * 45, "0" * 63 + "\n", "A" * 64])
def test_a_hash_names_no_file_elsewhere(digest: str, saved: Path) -> None:
    text = (saved / "network.json").read_text(encoding="utf-8")
    own = atomic.sha256(saved / "model.safetensors")
    (saved / "network.json").write_text(text.replace(own, digest.replace("\n", "\\n")), encoding="utf-8")
    with pytest.raises(UnreadableError, match="no SHA-256"):
        bridge.load(saved)


def test_source_refuses_weights_that_are_not_its_own(tmp_path: Path) -> None:
    """Of equal shapes: nothing else would notice. A file that is named is the user's own choice."""
    exported(OLD, tmp_path / "net.py")
    exported(NEW, tmp_path / "other.py")
    (tmp_path / "other.safetensors").replace(tmp_path / "net.safetensors")
    held = runpy.run_path(str(tmp_path / "net.py"))
    model = held["Network"]()
    with pytest.raises(ValueError, match=r"net\.safetensors was not written with .*net\.py: export both again"):
        held["load_weights"](model)
    held["load_weights"](model, tmp_path / "net.safetensors")


def test_folders_of_older_versions_load(saved: Path) -> None:
    """They had the same three files, and the same keys."""
    facts = json.loads((saved / "network.json").read_text(encoding="utf-8"))
    assert facts["schema"] == "bridge.network/1" and facts["tensors_sha256"] == atomic.sha256(
        saved / "model.safetensors"
    )
