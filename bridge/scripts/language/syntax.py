"""Text of a MATLAB file -> its syntax tree, with the functions it defines and the files beside it. Nothing
is executed.
"""

from __future__ import annotations

import codecs
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tree_sitter import Language, Node, Parser
from tree_sitter_matlab import language

from bridge.errors import UnreadableError

MOST_BYTES = 10_000_000
DEEPEST = 60  # nested statements and expressions; a script that a person wrote has a dozen
MOST_FOLDERS = 500  # that a script may add to the path
SPECIAL, NOT_LISTED = "@+.", ("private", "resources")  # folders that genpath leaves out
FUNCTION = "function_definition"
EXTRAS = ("comment", "line_continuation")


@dataclass
class Surroundings:
    """The files that a script may refer to: those of its own folder, and of folders below it that it adds to the path.

    Attributes:
        root: its own folder, outside of which nothing is opened.
        folders: those that are searched, from `root`.
        scripts: files that were asked for, by function name; None for one that is not there.
    """

    root: Path
    folders: list[str] = field(default_factory=lambda: [""])
    scripts: dict[str, Script | None] = field(default_factory=dict)

    def file(self, name: str) -> Path | None:
        """Return a regular file, None where there is none, or only outside of the root, or by a link that leads out."""
        found = (self.root / folder / name.replace("\\", "/") for folder in self.folders)
        return next((path for path in found if self._is_inside(path) and path.is_file()), None)

    def below(self, folder: str) -> list[str]:
        """Return the folders that genpath lists: one of the root's, with those below it."""
        found: list[str] = []
        waiting = [folder] if self._is_inside(self.root / folder) else []
        while waiting and len(found) < MOST_FOLDERS:
            found.append(waiting.pop(0))
            inner = sorted(each for each in (self.root / found[-1]).iterdir() if each.name[0] not in SPECIAL)
            inner = [each for each in inner if each.name not in NOT_LISTED and self._is_inside(each) and each.is_dir()]
            waiting += [f"{found[-1]}/{each.name}" for each in inner]
        return found

    def add(self, folder: str) -> bool:
        """Search a folder too, if it is the root's or below it; return whether it is."""
        inside = self._is_inside(self.root / folder) and (self.root / folder).is_dir()
        if inside and folder not in self.folders and len(self.folders) < MOST_FOLDERS:
            self.folders.insert(1, folder)
            self.scripts = {name: script for name, script in self.scripts.items() if script is not None}
        return inside

    def _is_inside(self, path: Path) -> bool:
        try:
            return path.exists() and path.resolve().is_relative_to(self.root.resolve())
        except (OSError, RuntimeError, ValueError):  # too long a name, a loop of links, a zero in it
            return False


@dataclass(frozen=True)
class Script:
    """One .m file.

    Attributes:
        path: the file.
        source: its text in UTF-8.
        root: its syntax tree.
        around: the files that it may refer to.
    """

    path: Path
    source: bytes
    root: Node
    around: Surroundings = field(compare=False, repr=False)

    @classmethod
    def load(cls, path: Path, around: Surroundings | None = None) -> Script:
        """Read and parse a file.

        Raises:
            UnreadableError: it cannot be read, is no text, or is nested too deeply.
        """
        try:
            data = _bytes(path)
        except OSError as error:
            raise UnreadableError(f"cannot read {path}", str(error), "check the name and its permissions") from error
        _require_text(path, data)
        ended = f"{_text(data)}\n"  # the grammar wants an end of the last line
        source = ended.replace("\r\n", "\n").replace("\r", "\n").encode()
        script = cls(
            path, source, Parser(Language(language())).parse(source).root_node, around or Surroundings(path.parent)
        )
        script._require_shallow()
        return script

    def _require_shallow(self) -> None:
        cursor, depth = self.root.walk(), 0
        while True:
            if depth > 4 * DEEPEST:
                raise self._too_deep(cursor.node)
            if cursor.goto_first_child():
                depth += 1
                continue
            while not cursor.goto_next_sibling():
                if not cursor.goto_parent():
                    return
                depth -= 1

    def _too_deep(self, node: Node | None) -> UnreadableError:
        """Return the refusal; operators in a row are levels of the tree too."""
        at = f"{self.path}, line {line(node)}: " if node is not None else ""
        if node is not None and any(
            each.type.endswith("_operator") for each in (node, node.parent) if each is not None
        ):
            return UnreadableError(
                f"{at}too long an expression", f"more than {4 * DEEPEST} operators in a row", "split the expression"
            )
        return UnreadableError(
            f"{at}nested too deeply", f"more than {DEEPEST} levels of brackets or blocks", "split the expression"
        )

    @cached_property
    def name(self) -> str:
        """The file's name."""
        return self.path.name

    @cached_property
    def lines(self) -> list[str]:
        """The text, line by line."""
        return self.source.decode().split("\n")

    @cached_property
    def functions(self) -> dict[str, Node]:
        """The functions that the file defines, by name, with those within others."""
        found = [node for node in children(self.root) if node.type == FUNCTION]
        for node in found:
            found += [each for each in body(node) if each.type == FUNCTION]
        return {name(node): node for node in found}

    @cached_property
    def statements(self) -> list[Node]:
        """The statements of a script."""
        return [node for node in children(self.root) if node.type not in (FUNCTION, "class_definition")]

    def neighbour(self, name: str) -> Script | None:
        """Return the file of a function, if it is there."""
        known = self.around.scripts
        if name not in known:
            path = self.around.file(f"{name}.m") if name.isidentifier() else None
            known[name] = Script.load(path, self.around) if path is not None else None
        return known[name]

    def definition(self, name: str) -> tuple[Script, Node | None]:
        """Return where a function or class is defined: in the file, or in one beside it, which goes before MATLAB's
        own.
        """
        if name in self.functions:
            return self, self.functions[name]
        beside = self.neighbour(name)
        return (beside, next(iter(beside.functions.values()), None)) if beside else (self, None)

    @cached_property
    def holds_class(self) -> bool:
        """Whether the file defines a class."""
        return any(node.type == "class_definition" for node in children(self.root))

    def quote(self, line: int) -> str:
        """Return a line (from 1), without the spaces around it."""
        return self.lines[line - 1].strip() if 0 < line <= len(self.lines) else ""


def _bytes(path: Path) -> bytes:
    """Return what a regular file holds, up to one byte more than is read."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise UnreadableError(f"{path} is no MATLAB script", "it is no regular file", "give the .m file")
    with path.open("rb") as opened:
        return opened.read(MOST_BYTES + 1)


def _require_text(path: Path, data: bytes) -> None:
    cause, hint = "", "give the .m file; a live script (.mlx) is saved as .m first"
    if len(data) > MOST_BYTES:
        cause = f"it is larger than {MOST_BYTES // 1_000_000} MB"
    elif data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or (
        len(data) > 1 and any(data[:64:2]) != any(data[1:64:2])
    ):
        cause, hint = "it is text in UTF-16", "save it in UTF-8"
    elif b"\0" in data[:100_000]:
        cause = "it is not text"
    if cause:
        raise UnreadableError(f"{path} is no MATLAB script that can be read", cause, hint)


def _text(data: bytes) -> str:
    """Return the text in UTF-8 or, where it is not that, byte for byte as Latin-1: other alphabets stand in comments
    and strings.
    """
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")


def children(node: Node) -> list[Node]:
    """Return the named children but for comments."""
    return [each for each in node.named_children if each.type not in EXTRAS]


def child(node: Node, kind: str) -> Node | None:
    """Return the first child of a type."""
    return next((each for each in node.named_children if each.type == kind), None)


def text(node: Node) -> str:
    """Return the source of a node."""
    return (node.text or b"").decode()


def name(node: Node) -> str:
    """Return the source of a node's `name`."""
    found = node.child_by_field_name("name")
    return text(found) if found is not None else ""


def line(node: Node) -> int:
    """Return the line that a node begins in, from 1."""
    return node.start_point[0] + 1


def descendants(node: Node) -> Iterator[Node]:
    """Return a node and every one below it, in their order."""
    waiting = [node]
    while waiting:
        found = waiting.pop()
        yield found
        waiting += reversed(found.named_children)


def parameters(node: Node | None) -> list[str]:
    """Return the names in a list of parameters or outputs."""
    return (
        [text(each) for each in descendants(node) if each.type in ("identifier", "ignored_argument")]
        if node is not None
        else []
    )


def body(function: Node) -> list[Node]:
    """Return the statements of a function, with functions within it."""
    block = child(function, "block")
    return children(block) if block is not None else []


def shared(function: Node) -> set[str]:
    """Return the variables of a function that functions within it set too."""
    sets: dict[bool, set[str]] = {True: set(), False: set()}
    for node in body(function):
        sets[node.type == FUNCTION] |= assigned(node)
    return sets[True] & sets[False] if sets[True] else set()


def assigned(node: Node | None) -> set[str]:
    """Return the names that a piece of source sets."""
    found = (
        (each.child_by_field_name("left") for each in descendants(node) if each.type == "assignment")
        if node is not None
        else ()
    )
    return {text(each) for left in found if left is not None for each in descendants(left) if each.type == "identifier"}


def calls(node: Node) -> set[str]:
    """Return the names that a piece of source may call."""
    return {text(each) for each in descendants(node) if each.type in ("identifier", "command_name")}
