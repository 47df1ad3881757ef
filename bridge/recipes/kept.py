"""The recipe that a run keeps. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from bridge.errors import UsageError
from bridge.files.run import RECIPE, is_run
from bridge.recipes.recipe import Recipe
from bridge.training.record import last_start

GIVEN = ("factors", "order", "cache_features")  # of a start, beside its recipe


def started(run: str | Path) -> tuple[Recipe, dict[str, Any]]:
    """Return the recipe that a run was started with, and what else it was given, as `bridge.train`
    takes it.

    Raises:
        UsageError: the folder holds no run, or one that was started without a recipe.
        UnreadableError: its files are damaged.
    """
    folder = Path(run)
    if not is_run(folder):
        raise UsageError(f"{folder} holds no training", "it has no checkpoint, log or record of one", "name its folder")
    if not (folder / RECIPE).is_file():
        raise UsageError(
            f"{folder} keeps no recipe",
            "its training was started in Python, or by an older version",
            "name the recipe: bridge train RECIPE -o FOLDER --resume; in Python bridge.train(..., resume=FOLDER)",
        )
    kept = last_start(folder)
    return Recipe.load(folder / RECIPE), {name: kept.get(name) for name in GIVEN}
