"""What imports what: arrows point down, and what need not be heavy is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "bridge"
FILES = ROOT / "fixtures" / "files"

# The rooms of bridge/: each may import from itself and from those before it, never from those after it; imports in functions
# and those that only type checkers see count too.
ROOMS = (
    "errors", "files", "tables", "arrays", "random", "network", "readers", "modules", "images", "pages", "options", "data",
    "networks", "detection", "training", "recipes", "scripts", "writers", "parity", "matlab", "prediction", "commands",
)  # fmt: skip
FACES = {"layers": "network", "__main__": "commands"}  # a module that is the public face of a room
FACADE = {  # methods that import when called
    "network.network": {"detection.detector", "modules.build", "modules.weights", "writers.folder"},
    "options.options": {"training.groups", "training.solver"},
    "recipes.recipe": {"recipes.source"},
}
WITHOUT_TORCH = (
    "errors",
    "files",
    "tables",
    "arrays",
    "random",
    "network",
    "readers",
    "pages",
    "options",
    "writers.folder",
)
HEAVY = {"numpy", "torch", "onnx", "scipy", "h5py", "rich", "safetensors"}


@dataclass(frozen=True)
class Import:
    """One import statement: who imports what, and whether only when a function is called, or types are checked."""

    importer: str
    imported: str
    when_called: bool
    for_types: bool

    @property
    def is_facade(self) -> bool:
        """Whether this is one of the arrows that may point up."""
        return (self.when_called or self.for_types) and self.imported.removeprefix("bridge.") in FACADE.get(
            self.importer, ()
        )


@cache
def modules() -> dict[str, Path]:
    """Return every module of bridge/ by its dotted name below bridge ("readers.mat.v5")."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)] = path
    return found


@cache
def imports() -> tuple[Import, ...]:
    """Return every import of bridge/, in functions too."""
    return tuple(
        each for name, path in modules().items() for each in visit(name, ast.parse(path.read_text(encoding="utf-8")))
    )


def visit(importer: str, node: ast.AST, when_called: bool = False, for_types: bool = False) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(importer, alias.name, when_called, for_types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{importer} has a relative import"
        yield from (Import(importer, target, when_called, for_types) for target in targets(node))
    when_called = when_called or isinstance(node, (ast.FunctionDef, ast.Lambda))
    for_types = for_types or (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING")
    for child in ast.iter_child_nodes(node):
        yield from visit(importer, child, when_called, for_types)


def targets(node: ast.ImportFrom) -> set[str]:
    """`from bridge.readers import onnx` imports the module bridge.readers.onnx, `from bridge import __version__` the package."""
    base = node.module or ""
    below = {alias.name: f"{base}.{alias.name}" for alias in node.names}
    return {dotted if dotted.removeprefix("bridge.") in modules() else base for dotted in below.values()}


def part(module: str) -> str:
    """Return the part of bridge/ that a dotted name is in: "readers" of "bridge.readers.mat"."""
    name = module.removeprefix("bridge").removeprefix(".").partition(".")[0] or "__init__"
    return FACES.get(name, name)


def inner() -> Iterator[tuple[Import, str, str]]:
    """Yield each import inside the project, with the parts it joins."""
    for each in imports():
        if each.imported.partition(".")[0] == "bridge" and part(each.importer) != part(each.imported):
            yield each, part(each.importer), part(each.imported)


def test_every_room_has_its_place() -> None:
    known = {*ROOMS, "__init__"}
    assert {part(name) for name in modules()} <= known, "a new room of bridge/ needs a place in ROOMS"


def test_arrows_point_up_the_list_only() -> None:
    rank = {name: position for position, name in enumerate(ROOMS)}
    wrong = [
        f"{each.importer} imports {each.imported}"
        for each, importer, imported in inner()
        if "__init__" not in (importer, imported) and rank[imported] > rank[importer] and not each.is_facade
    ]
    assert not wrong


def test_no_files_need_each_other() -> None:
    """Imports in functions and for types count too, the facade's aside."""
    needs: dict[str, set[str]] = {name: set() for name in modules()}
    for each in imports():
        imported = each.imported.removeprefix("bridge.")
        if imported in needs and not each.is_facade and not each.importer.startswith(f"{imported}."):
            needs[each.importer].add(imported)
    needs["__init__"].clear()  # the package's own face
    assert not {name for name in needs if name in reached(needs, name)}


def reached(needs: dict[str, set[str]], start: str) -> set[str]:
    """Return all modules that a module needs, directly or through others."""
    found: set[str] = set()
    waiting = list(needs[start])
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting.extend(needs[name])
    return found


def test_what_need_not_know_torch_does_not() -> None:
    """Neither directly nor through what it imports; the methods of the facade are the known exception."""
    graph: dict[str, set[str]] = {}
    for each in imports():
        if not each.is_facade and not each.for_types:
            graph.setdefault(each.importer, set()).add(each.imported.removeprefix("bridge."))
    for start in modules():
        if start.startswith(WITHOUT_TORCH):
            trail = path_to("torch", start, graph)
            assert not trail, " -> ".join(trail)


def path_to(wanted: str, start: str, graph: dict[str, set[str]]) -> list[str]:
    """Return the imports that lead from `start` to a module outside, or nothing."""
    waiting, seen = [[start]], {start}
    while waiting:
        trail = waiting.pop()
        for name in graph.get(trail[-1], ()):
            if name.partition(".")[0] == wanted:
                return [*trail, name]
            if name not in seen:
                seen.add(name)
                waiting.append([*trail, name])
    return []


def loaded_after(code: str) -> set[str]:
    """Return the top-level modules that a fresh interpreter holds after running `code`."""
    report = "import sys; print('\\n' + ' '.join({name.partition('.')[0] for name in sys.modules}))"
    run = subprocess.run(
        [sys.executable, "-c", f"{code}\n{report}"], capture_output=True, encoding="utf-8", cwd=ROOT, check=False
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


def command(*arguments: str) -> str:
    """Return code that runs the command line with `arguments`."""
    return (
        "import sys\nfrom bridge.commands import main\n"
        f"sys.argv = ['bridge', *{arguments!r}]\n"
        "try:\n    main()\nexcept SystemExit as stop:\n    assert not stop.code, stop.code"
    )


def test_importing_bridge_imports_nothing_heavy() -> None:
    assert not loaded_after("import bridge") & {*HEAVY, "typer"}


def test_every_public_name_is_there() -> None:
    import bridge

    for name in bridge.__all__:
        assert getattr(bridge, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = bridge.nothing


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["import", "--help"], ["inspect", "--help"]])
def test_help_is_light(arguments: list[str]) -> None:
    assert not loaded_after(command(*arguments)) & HEAVY


@pytest.mark.parametrize("file", ["signs.onnx", "signs.mat", "shapes_v73.mat", "segnet.onnx"])
def test_inspecting_does_without_torch_and_the_oracles(file: str) -> None:
    loaded = loaded_after(command("inspect", str(FILES / file)))
    assert not loaded & {"torch", "pandas", "matio", "onnxruntime", "onnx2torch"}
    assert "onnx" not in loaded or file.endswith(".onnx")


def test_inspecting_a_saved_folder_does_without_torch(tmp_path: Path) -> None:
    import bridge

    folder = bridge.load(FILES / "signs.mat").save(tmp_path / "signs")
    assert not loaded_after(command("inspect", str(folder))) & {"torch", "onnx", "onnxruntime", "onnx2torch"}
