"""bridge models: MATLAB's pretrained networks, to choose one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from bridge.commands import arguments, completion
from bridge.commands.terminal import Rows, say
from bridge.errors import UsageError

if TYPE_CHECKING:
    from bridge.tables.pretrained import Entry

SORTS = ("accuracy", "size", "learnables", "depth", "name")


def models(
    name: str = typer.Argument(
        "",
        help="One network: its head, features, and what is nearest to it in torchvision and timm.",
        autocompletion=completion.networks,
    ),
    category: str = typer.Option(
        "", "--for", help="What it is chosen for: basic, accurate, edge, detection or segmentation."
    ),
    max_mb: float = typer.Option(float("inf"), "--max-mb", help="The largest size of its weights, in MB."),
    sort: str = typer.Option("accuracy", help=f"What to sort by: {', '.join(SORTS)}."),
    plot: Path | None = typer.Option(None, help="Draw accuracy against size: models.svg, .png or .html."),
    as_json: arguments.AsJson = False,
) -> None:
    """List MATLAB's pretrained classifiers, or tell about one. Size, accuracy, layers to replace, and how torchvision's
    and timm's differ.
    """
    from bridge.commands import print_json
    from bridge.errors import nearest
    from bridge.tables.pretrained import catalogue

    known = catalogue()
    if name and name not in known:
        raise UsageError(f"there is no network '{name}'", nearest(name, known), "`bridge models` lists them")
    chosen = [known[name]] if name else select(known.values(), category, max_mb, sort)
    if plot is not None:
        from bridge.networks.plot import write

        write(chosen, plot)
    if as_json:
        print_json("models", {"models": [asdict(entry) for entry in chosen]})
    elif name:
        _describe(chosen[0])
    else:
        _list(chosen)


def select(entries: Iterable[Entry], category: str, max_mb: float, sort: str) -> list[Entry]:
    """Return the entries of a category and at most a size, best first.

    Raises:
        UsageError: no such category or order, or nothing is that small.
    """
    from bridge.errors import nearest
    from bridge.tables.pretrained import CATEGORIES, TASKS

    for value, values, what in ((category or CATEGORIES[0], (*CATEGORIES, *TASKS), "--for"), (sort, SORTS, "--sort")):
        if value not in values:
            raise UsageError(f"{what} {value} is unknown", nearest(value, values), f"it takes {', '.join(values)}")
    chosen = [
        entry for entry in entries if category in ("", entry.category, *entry.serves) and entry.megabytes <= max_mb
    ]
    if not chosen:
        raise UsageError(
            "no network is that small",
            f"none{f' for {category}' if category else ''} has at most {max_mb:g} MB",
            "raise --max-mb",
        )
    keys: dict[str, Any] = {
        "accuracy": lambda entry: -(entry.top1 or 0), "size": lambda entry: entry.megabytes,
        "learnables": lambda entry: entry.learnables,
        "depth": lambda entry: entry.depth, "name": lambda entry: entry.name,
    }  # fmt: skip
    return sorted(chosen, key=keys[sort])


def _list(entries: Sequence[Entry]) -> None:
    numbers = ("MB", "Top-1 %", "Learnables (M)", "Depth")
    table = Rows("Name", "For", "Input", *numbers, "Replace", right=numbers)
    for each in entries:
        chosen_for, size = ", ".join((each.category, *each.serves)), "×".join(map(str, each.input_size[:2]))
        accuracy = f"{each.top1:.2f}" if each.top1 else ""
        counts = f"{each.megabytes:g}", accuracy, f"{each.learnables:g}", each.depth or ""
        table.add(each.name, chosen_for, size, *counts, each.head[0])
    table.print()
    say("top-1 as MathWorks states it, on ImageNet's validation images; `bridge models NAME` tells more")


def _describe(each: Entry) -> None:
    nearest = ", ".join(
        text
        for text in (each.torchvision and f"torchvision {each.torchvision}", each.timm and f"timm {each.timm}")
        if text
    )
    facts = {
        "for": ", ".join((each.category, *each.serves)),
        "input": f"{'×'.join(map(str, each.input_size))}, {each.normalization}",
        "size": (
            f"{each.megabytes:g} MB, {each.learnables:g} million learnables, {each.layers} layers, "
            f"{each.connections} connections"
        ),
        "depth": str(each.depth or "not stated"),
        "accuracy": (
            f"{each.top1:.2f} % top-1 on ImageNet's validation images, as MathWorks states it"
            if each.top1
            else "not stated: it is trained for other images"
        ),
        "before": each.earlier_layers
        and f"up to R2019a {each.earlier_layers} layers, one of which normalises images behind the input",
        "weights from": each.origin or "not stated",
        "replace": ", ".join(each.head),
        "features": ", ".join(each.features),
        "nearest": f"{nearest or 'none'}{', the same structure' if each.same_as_torchvision else ''}",
        "differences": "; ".join(each.differences) or "none known",
        "unconfirmed": ", ".join(each.unconfirmed),
    }
    say(each.name, *(f"  {name:<13}{text}" for name, text in facts.items() if text))
