"""Write under a temporary name, then rename: a target is its old content or its new one, whenever the process ends.

What is unfinished lies in a folder `.bridge.<random>` beside the target. It is locked as long as its process lives, so
that the next one that writes there can tell what was left behind, and removes it.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

from bridge.errors import UsageError
from bridge.files.locks import is_free, locked

PREFIX = ".bridge."  # not the target's name, which may be as long as a name can be
LOCK, CONTENT = "lock", "content"  # in the folder of what is unfinished
DIGITS = 16  # of a hash in a name
LONGEST_NAME = 255  # bytes
HASH = re.compile("[0-9a-f]{64}")


def write_file(target: Path, write: Callable[[Path], object], *, force: bool = False) -> Path:
    """Let `write` make a file under a temporary name, and rename it.

    Raises:
        UsageError: the target exists (without `force`), or its folder cannot be written to.
    """
    with _telling(target):
        _require_free([target], force)
        with _unfinished(target.parent) as folder:
            write(folder / target.name)
            os.replace(folder / target.name, target)
    return target


def write_text(target: Path, text: str, *, force: bool = False) -> Path:
    """Write a text file in UTF-8, a lone surrogate as a backslash escape; see `write_file`."""
    content = text.encode("utf-8", "backslashreplace")
    return write_file(target, lambda made: made.write_bytes(content), force=force)


def write_with_data(
    target: Path,
    data: Path,
    write_data: Callable[[Path], object],
    write: Callable[[Path, str], object],
    *,
    describing: Mapping[Path, bytes] | None = None,
    settles: bool = True,
    force: bool = False,
) -> Path:
    """Write a file and the data that it names by their hash, in one folder, so that the two are never of different
    content.

    New data get a name of their own first, `named_by_content(data, hash)`. Then the target is replaced, which is the
    moment from which the new content counts, and then the old data go. What reads the target looks for its data there
    first, and under the plain name `data` where there is no such file.

    Args:
        target: the file that names the data.
        data: the plain name of the data.
        write_data: makes the data, at a path.
        write: makes the target, at a path, for data of a SHA-256.
        describing: more files with their content, which tell about the target: never about another content than it
            has, but absent while it is replaced.
        settles: the new data get the plain name in the end; else they keep their own, where the target names them in
            full.
        force: replace what is there.

    Returns:
        Where the data lie.

    Raises:
        UsageError: the target or the data exist (without `force`), or their folder cannot be written to.
    """
    with _telling(target):
        _require_free([target, data], force)
        with _unfinished(target.parent) as folder:
            write_data(folder / data.name)
            digest = sha256(folder / data.name)
            write(folder / target.name, digest)
            own = named_by_content(data, digest)
            with _placed(folder / data.name, own), _put_away(describing or {}, folder):
                os.replace(folder / target.name, target)
            # The new content counts already: what fails now, the next writing tries again.
            settle: Callable[[], object] = (
                partial(os.replace, own, data) if settles else partial(data.unlink, missing_ok=True)
            )
            for step in (partial(_describe, describing or {}, folder), partial(_remove_others, data, own), settle):
                with suppress(OSError):  # as on Windows, while somebody reads the old data
                    step()
    return data if settles and not own.exists() else own


def write_folder(target: Path, fill: Callable[[Path], object], *, replaceable: Callable[[Path], bool]) -> Path:
    """Let `fill` write into a folder: a new one, which appears when it is whole, or one that is there.

    Raises:
        UsageError: the target exists and is not `replaceable`, or cannot be written.
    """
    with _telling(target):
        if target.exists():
            if not replaceable(target):
                raise UsageError(
                    f"{target} exists and is no saved network, or holds other files too",
                    "it is left as it is",
                    "choose another folder",
                )
            fill(target)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            with _unfinished(target.parent) as folder:
                (folder / target.name).mkdir()
                fill(folder / target.name)
                os.replace(folder / target.name, target)
    return target


def named_by_content(path: Path, digest: str) -> Path:
    """Return the name of a file for content of a SHA-256: net.safetensors becomes net-0123456789abcdef.safetensors.

    Raises:
        ValueError: the hash is none.
    """
    if not HASH.fullmatch(digest):
        raise ValueError(f"{digest[:80]!r} is no SHA-256")
    return path.with_name(f"{_beginning(path)}-{digest[:DIGITS]}{path.suffix}")


def _beginning(path: Path) -> str:
    """Return a file's name without its ending, cut so that a hash fits behind it: systems know 255 bytes."""
    room = LONGEST_NAME - len(path.suffix.encode()) - 1 - DIGITS
    return path.stem.encode()[:room].decode(errors="ignore")


def is_named_by_content(path: Path, plain: str) -> bool:
    """Whether a path is `plain` as `named_by_content` names it, for some content."""
    name = Path(plain)
    return (
        re.fullmatch(rf"{re.escape(_beginning(name))}-[0-9a-f]{{{DIGITS}}}{re.escape(name.suffix)}", path.name)
        is not None
    )


def is_unfinished(path: Path) -> bool:
    """Whether a path is a folder of what is unfinished, or was left so."""
    return path.name.startswith(PREFIX) and path.is_dir() and not path.is_symlink()


def is_file(path: str | Path) -> bool:
    """Whether a file is there, of any text that names one: a system refuses some, as too long."""
    try:
        return Path(path).is_file()
    except OSError:
        return False


def sha256(path: Path) -> str:
    """Return the hash of a file, or "" where it is no longer there."""
    if not is_file(path):
        return ""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@contextmanager
def _telling(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UsageError(
            f"cannot write {target}", str(error), "check the folder, its permissions and the space left"
        ) from error


def _require_free(targets: list[Path], force: bool) -> None:
    taken = [target for target in targets if target.exists()]
    if taken and not force:
        raise UsageError(f"{taken[0]} exists", "existing files are kept", "choose another name, or pass --force")


@contextmanager
def _unfinished(parent: Path) -> Iterator[Path]:
    """Make a folder for what is unfinished, and remove those of processes that have ended."""
    for left in filter(is_unfinished, parent.iterdir()):
        if not (left / LOCK).is_file():
            with suppress(OSError):  # empty: its process ended before it could lock it
                left.rmdir()
        elif is_free(left / LOCK):
            _remove(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with ExitStack() as held:
            with suppress(OSError):  # a file system that knows no locks
                held.enter_context(locked(folder / LOCK))
            (folder / CONTENT).mkdir()
            yield folder / CONTENT
    finally:
        _remove(folder)


def _remove(folder: Path) -> None:
    """Remove a folder of what is unfinished; its lock file goes last, as it tells what the folder is."""
    shutil.rmtree(folder / CONTENT, ignore_errors=True)
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _placed(made: Path, own: Path) -> Iterator[None]:
    """Give data their own name, and take them away where what follows fails, unless they were there before."""
    is_new = not own.exists()
    os.replace(made, own)
    try:
        yield
    except BaseException:
        if is_new:
            with suppress(OSError):
                own.unlink()
        raise


@contextmanager
def _put_away(describing: Mapping[Path, bytes], folder: Path) -> Iterator[None]:
    """Move files into a folder, and back where what follows fails."""
    moved = {path: folder / f"old {path.name}" for path in describing if path.exists()}
    try:
        for path, away in moved.items():
            os.replace(path, away)
        yield
    except BaseException:
        for path, away in moved.items():
            with suppress(OSError):
                os.replace(away, path)
        raise


def _describe(describing: Mapping[Path, bytes], folder: Path) -> None:
    for path, content in describing.items():
        (folder / path.name).write_bytes(content)
        os.replace(folder / path.name, path)


def _remove_others(data: Path, own: Path) -> None:
    """Remove data of older content: what has its own hash in its name is nobody else's."""
    for path in data.parent.iterdir():
        if path != own and is_named_by_content(path, data.name) and named_by_content(data, sha256(path)) == path:
            path.unlink()
