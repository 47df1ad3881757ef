"""`python -m fuzz.mistakes` plants deliberate mistakes in a copy of the tree, one at a time, and tells which of them
survive the tests named for them.

    python -m fuzz.mistakes                 # all of fuzz/mistakes.toml
    python -m fuzz.mistakes training TOML   # those whose room or text holds one of the words

A mistake is found where its old text is, in whatever file that lies now, and a test by its name: neither moves with
the folders.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
LIST = Path(__file__).with_suffix(".toml")
PLANTED_IN = ("bridge", "mappings")
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "venv", "site")
NO_TEST_FAILED, TESTS_FAILED = 0, 1  # exit codes of pytest; others are no answer


@dataclass(frozen=True)
class Mistake:
    """A deliberate mistake.

    Attributes:
        room: the part of bridge that it is in.
        what: what is wrong then.
        old: a text that is in one place of bridge/ and mappings/.
        new: what stands there instead.
        tests: names of test functions, each in one file of tests/; one of them has to fail.
    """

    room: str
    what: str
    old: str
    new: str
    tests: tuple[str, ...]

    @property
    def problems(self) -> list[str]:
        """Why the mistake cannot be planted, if it cannot."""
        found = [f"{len(self.places)} places hold {self.old!r}"] if len(self.places) != 1 else []
        found += [f"{len(files_of(name))} files hold {name}" for name in self.tests if len(files_of(name)) != 1]
        return found if self.tests else [*found, "no test is named"]

    @property
    def places(self) -> list[Path]:
        """The files that hold the old text, each as often as they do."""
        return [path for path, text in sources().items() for _ in range(text.count(self.old))]

    def plant(self, tree: Path) -> None:
        """Put the mistake into a copy of the tree."""
        (place,) = self.places
        (tree / place.relative_to(ROOT)).write_text(sources()[place].replace(self.old, self.new), encoding="utf-8")

    def remove(self, tree: Path) -> None:
        """Put what was there in its place again."""
        (place,) = self.places
        (tree / place.relative_to(ROOT)).write_text(sources()[place], encoding="utf-8")


def mistakes() -> tuple[Mistake, ...]:
    """Return all mistakes of the list."""
    listed = tomllib.loads(LIST.read_text(encoding="utf-8"))
    return tuple(
        Mistake(room, **{**each, "tests": tuple(each["tests"])}) for room, held in listed.items() for each in held
    )


@cache
def sources() -> dict[Path, str]:
    """Return the text of every file that mistakes are planted in."""
    paths = [
        path for folder in PLANTED_IN for kind in ("*.py", "*.toml", "*.m") for path in (ROOT / folder).rglob(kind)
    ]
    return {path: path.read_text(encoding="utf-8") for path in sorted(paths)}


@cache
def files_of(test: str) -> tuple[Path, ...]:
    """Return the files that define a test."""
    definition = re.compile(rf"^def {re.escape(test)}\(", re.MULTILINE)
    paths = sorted((ROOT / "tests").rglob("test_*.py"))
    return tuple(path.relative_to(ROOT) for path in paths if definition.search(path.read_text(encoding="utf-8")))


def survives(mistake: Mistake, tree: Path) -> bool:
    """Plant a mistake in a copy of the tree, and tell whether all of its tests pass nevertheless."""
    mistake.plant(tree)
    try:
        return passes(mistake.tests, tree)[0]
    finally:
        mistake.remove(tree)


def passes(tests: Iterable[str], tree: Path) -> tuple[bool, str]:
    """Run tests in a copy of the tree; return whether all pass, and what pytest printed.

    Raises:
        RuntimeError: they could not be run.
    """
    names = sorted({f"{files_of(name)[0]}::{name}" for name in tests})
    environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
    line = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *names]
    ran = subprocess.run(line, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if ran.returncode not in (NO_TEST_FAILED, TESTS_FAILED):
        raise RuntimeError(f"{ran.stdout[-2000:]}{ran.stderr[-2000:]}")
    return ran.returncode == NO_TEST_FAILED, ran.stdout


def main(words: Sequence[str]) -> int:
    """Plant the chosen mistakes, and return the exit code: 1 where one survives or cannot be planted."""
    chosen = [each for each in mistakes() if not words or any(word in f"{each.room} {each.what}" for word in words)]
    broken = [each for each in chosen if each.problems]
    for each in broken:
        print(f"no longer applies: {each.room}: {each.what}: {'; '.join(each.problems)}")
    surviving = []
    with tempfile.TemporaryDirectory(prefix="mistakes") as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=NOT_COPIED)
        sound = [each for each in chosen if each not in broken]
        all_pass, printed = passes((name for each in sound for name in each.tests), tree)
        if not all_pass:
            print(f"tests fail without a mistake:\n{printed[-2000:]}")
            return 1
        for each in sound:
            if survives(each, tree):
                surviving.append(each)
                print(f"survives: {each.room}: {each.what}", flush=True)
    found = len(chosen) - len(broken) - len(surviving)
    print(f"{found} of {len(chosen)} mistakes were found, {len(surviving)} survive, {len(broken)} no longer apply")
    return 1 if surviving or broken else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
