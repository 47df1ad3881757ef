"""The wheel holds the package and nothing else, and works away from the checkout; a checkout works without an installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
import zipfile
from email import message_from_string
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = ROOT / "fixtures" / "files"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NOT_COPIED = shutil.ignore_patterns(".*", "__pycache__", "build", "dist", "*.egg-info", "venv")


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """Run a command with `path` as its only PYTHONPATH and return its output."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PYTHONIOENCODING": "utf-8"} | ({"PYTHONPATH": str(path)} if path else {})
    done = subprocess.run(
        command, cwd=cwd, env=environment, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a copy of the whole checkout, so that anything that leaks into it shows."""
    source, target = tmp_path_factory.mktemp("source") / "bridge", tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, source, ignore=NOT_COPIED)
    output = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, source, cwd=target)
    assert "absent from setuptools' `packages`" not in output
    (made,) = target.glob("*.whl")
    return made


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel installed, and nothing else."""
    target = tmp_path_factory.mktemp("site")
    run(
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-compile",
        "--no-index",
        "--target",
        target,
        wheel,
        cwd=target,
    )
    return target


def shipped() -> set[str]:
    """Return what the wheel must hold: every module, table and MATLAB function of the checkout, by its path in the wheel."""
    package = [path for kind in ("*.py", "*.m", "*.css", "*.js") for path in (ROOT / "bridge").rglob(kind)]
    tables = {f"bridge/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "mappings").rglob("*.toml")}
    return {path.relative_to(ROOT).as_posix() for path in package} | tables | {"bridge/py.typed"}


def dotted(path: Path) -> str:
    """Return a folder of the checkout as a package name."""
    return ".".join(path.relative_to(ROOT).parts)


def test_the_tests_are_of_this_checkout() -> None:
    """pytest loads the plugin, and with it bridge, before it reads `pythonpath`: an installed copy comes first under a bare `pytest`."""
    import bridge

    assert Path(bridge.__file__).is_relative_to(ROOT), "run the tests as python -m pytest"


def test_the_package_list_is_the_tree() -> None:
    folders = {path.parent for kind in ("*.py", "*.m") for path in (ROOT / "bridge").rglob(kind)}
    tables = {path.parent for path in (ROOT / "mappings").rglob("*.toml")}
    expected = {dotted(path) for path in folders} | {f"bridge.{dotted(path)}" for path in tables}
    assert sorted(PROJECT["tool"]["setuptools"]["packages"]) == sorted(expected)
    without_init = [path for path in folders if list(path.glob("*.py")) and not (path / "__init__.py").is_file()]
    assert not without_init


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    metadata = {name for name in names if name.partition("/")[0].endswith(".dist-info")}
    assert names - metadata == shipped()


def test_the_metadata_is_the_projects(wheel: Path) -> None:
    archive = zipfile.ZipFile(wheel)
    texts = {
        name.partition("/")[2]: archive.read(name).decode() for name in archive.namelist() if ".dist-info/" in name
    }
    metadata = message_from_string(texts["METADATA"])
    assert (metadata["Name"], metadata["License-Expression"]) == ("bridge", "Apache-2.0")
    assert (
        metadata["Version"] == run(sys.executable, "-c", "import bridge; print(bridge.__version__)", cwd=ROOT).strip()
    )
    extras = {
        f'{each}; extra == "{name}"'
        for name, listed in PROJECT["project"]["optional-dependencies"].items()
        for each in listed
    }
    assert set(metadata.get_all("Requires-Dist", [])) == {*PROJECT["project"]["dependencies"], *extras}
    assert "bridge = bridge.commands:main" in texts["entry_points.txt"]
    assert texts["licenses/LICENSE"] == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_installed_package_works_anywhere(installed: Path, tmp_path: Path) -> None:
    where = run(sys.executable, "-c", "import bridge; print(bridge.__file__)", cwd=tmp_path, path=installed)
    assert Path(where.strip()).is_relative_to(installed)
    shown = run(sys.executable, "-m", "bridge", "inspect", FILES / "signs.mat", cwd=tmp_path, path=installed)
    assert "Convolution2DLayer" in shown
    run(sys.executable, "-m", "bridge", "matlab", "functions", cwd=tmp_path, path=installed)
    written = {path.relative_to(tmp_path / "functions").as_posix() for path in tmp_path.rglob("*.m")}
    assert written == {
        path.relative_to(ROOT / "bridge" / "matlab").as_posix() for path in (ROOT / "bridge" / "matlab").rglob("*.m")
    }


def test_pytest_finds_the_plugin_of_the_installed_package(installed: Path, tmp_path: Path) -> None:
    assert "@pytest.mark.parity(reference" in run(
        sys.executable, "-m", "pytest", "--markers", cwd=tmp_path, path=installed
    )


def test_a_checkout_works_without_an_installation(tmp_path: Path) -> None:
    from bridge import __version__

    assert run(sys.executable, ROOT / "cli.py", "--version", cwd=tmp_path) == f"bridge {__version__}\n"
    assert "Convolution2DLayer" in run(sys.executable, ROOT / "cli.py", "inspect", FILES / "signs.mat", cwd=tmp_path)
