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
EXTRAS = ("comment", "line_continuation")


@dataclass(frozen=True)
class Script:
    """One .m file.

    Attributes:
        path: the file.
        source: its text in UTF-8.
        root: its syntax tree.
        beside: files of its folder that were asked for, by function name; None for one that is not there.
    """

    path: Path
    source: bytes
    root: Node
    beside: dict[str, Script | None] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, path: Path, beside: dict[str, Script | None] | None = None) -> Script:
        """Read and parse a file.

        Raises:
            UnreadableError: it cannot be read, is no text, or is nested too deeply.
        """
        try:
            data = _bytes(path)
        except OSError as error:
            raise UnreadableError(f"cannot read {path}", str(error), "check the name and its permissions") from error
        _require_text(path, data)
        source = _text(data).replace("\r\n", "\n").replace("\r", "\n").encode()
        script = cls(
            path, source, Parser(Language(language())).parse(source).root_node, {} if beside is None else beside
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
    def lines(self) -> list[str]:
        """The text, line by line."""
        return self.source.decode().split("\n")

    @cached_property
    def functions(self) -> dict[str, Node]:
        """The functions that the file defines, by name."""
        return {name(node): node for node in children(self.root) if node.type == "function_definition"}

    @cached_property
    def statements(self) -> list[Node]:
        """What runs when the file is run: the statements of a script, or the body of a function file's
        first function.
        """
        return [node for node in children(self.root) if node.type not in ("function_definition", "class_definition")]

    def neighbour(self, name: str) -> Script | None:
        """Return the file of a function in the same folder, if it is there."""
        if name not in self.beside:
            path = self.file(f"{name}.m") if name.isidentifier() else None
            self.beside[name] = Script.load(path, self.beside) if path is not None else None
        return self.beside[name]

    def definition(self, name: str) -> tuple[Script, Node | None]:
        """Return where a function or class is defined: in the file, or in one beside it, which goes before MATLAB's
        own.
        """
        if name in self.functions:
            return self, self.functions[name]
        beside = self.neighbour(name)
        return (beside, next(iter(beside.functions.values()), None)) if beside else (self, None)

    def file(self, name: str) -> Path | None:
        """Return a regular file of the script's folder; None where there is none, or a link that leads out of the
        folder.
        """
        path = self.path.parent / name
        try:
            inside = path.name == name and path.is_file() and path.resolve().is_relative_to(self.path.parent.resolve())
        except (OSError, RuntimeError):  # too long a name, a loop of links
            return None
        return path if inside else None

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


def calls(node: Node) -> set[str]:
    """Return the names that a piece of source may call."""
    return {text(each) for each in descendants(node) if each.type in ("identifier", "command_name")}
