"""The pages that the site makes of the code itself: a page for each verb, the API, what trainNetwork and trainnet do
otherwise. mkdocs calls `on_files`; nothing is written into docs/.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import griffe
import typer
from generate import table  # mkdocs has the folder of a hook on the path
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

import bridge
from bridge.commands import app
from bridge.tables.layers import table as toml

MODULES = {
    "bridge": "Networks, training, checks and exports.",
    "bridge.layers": "Constructors of layers with MATLAB's arguments, for `net.replace` and `net.add`.",
    "bridge.networks": "MATLAB's pretrained networks and its builders, untrained.",
    "bridge.images": "MATLAB's imresize, datastores and augmentation.",
    "bridge.detection": "Detectors: boxes, anchors, their training and evaluation.",
    "bridge.random": "MATLAB's random numbers.",
}
FUNCTION = re.compile(r"<(?:built-in )?(?:function|method) ([\w.]+)[^>]*>")
LISTED = re.compile(r":\n(?=    \S)")  # lines below a colon that are further in: as they stand


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages to a site."""
    for name, text in pages().items():
        files.append(File.generated(config, name, content=text))
    return files


def pages() -> dict[str, str]:
    """Return the text of every page, by its path below docs/."""
    verbs = {f"commands/{name.replace(' ', '-')}.md": page for name, page in verb_pages()}
    modules = {f"api/{name.removeprefix('bridge.')}.md": module_page(name) for name in MODULES}
    return {**verbs, **modules, "trainers.md": trainers_page()}


# Verbs


def verb_pages() -> Iterator[tuple[str, str]]:
    """Yield each verb, a subcommand with its group, and its page."""
    for name, command in typer.main.get_command(app).commands.items():  # type: ignore[attr-defined]
        inner: Mapping[str, Any] = getattr(command, "commands", {})
        for verb, each in {f"{name} {sub}": each for sub, each in inner.items()}.items() or [(name, command)]:
            yield verb, verb_page(verb, each)


def verb_page(verb: str, command: Any) -> str:
    """Return the page of a verb: what it does, its arguments, its options."""
    arguments = [each for each in command.params if not each.opts[0].startswith("-")]
    options = [each for each in command.params if each.opts[0].startswith("-") and each.name != "help"]
    words = [each.name.upper() + "..." * (each.nargs == -1) for each in arguments]
    usage = " ".join(
        ["bridge", verb, *(word if each.required else f"[{word}]" for each, word in zip(arguments, words, strict=True))]
    )
    listed = [(f"`{word}`", each.help or "") for each, word in zip(arguments, words, strict=True)]
    switches = [(", ".join(f"`{name}`" for name in (*each.opts, *each.secondary_opts)), told(each)) for each in options]
    return "\n\n".join(
        [
            f"# bridge {verb}",
            inspect.cleandoc(command.help or ""),
            f"```text\n{usage} [OPTIONS]\n```",
            *([table(("argument", "what it is"), listed)] if listed else []),
            *([table(("option", "what it does"), switches)] if switches else []),
        ]
    )


def told(option: Any) -> str:
    """Return an option's help, with its default where that is worth saying."""
    default = option.default
    shown = default not in (None, "", False, [], ()) and not callable(default) and "efault" not in (option.help or "")
    return f"{option.help}" + f" Default: {default}." * shown


# Python


def module_page(name: str) -> str:
    """Return the page of a module: each public name with its signature and docstring."""
    module = bridge if name == "bridge" else getattr(bridge, name.removeprefix("bridge."))
    names = getattr(module, "__all__", None) or [each for each in dir(module) if not each.startswith("_")]
    found = {each: getattr(module, each) for each in sorted(names, key=str.lower)}
    public = {each: value for each, value in found.items() if callable(value)}
    parts = [entry(f"{name}.{each}", value) for each, value in public.items()]
    return "\n\n".join([f"# {name}", MODULES[name], *parts])


def entry(name: str, value: Any) -> str:
    """Return the section of a class or function."""
    parts = [f"## {name}", f"```python\n{name.rpartition('.')[2]}{signature(value)}\n```", *described(value)]
    if inspect.isclass(value):
        for method, function in inspect.getmembers(value, callable):
            if method in vars(value) and not method.startswith("_"):
                parts += [f"### {name.rpartition('.')[2]}.{method}", f"```python\n{method}{signature(function)}\n```"]
                parts += described(function)
    return "\n\n".join(parts)


def signature(value: Any) -> str:
    """Return a signature as the source writes it, one argument a line where it is long."""
    try:
        parameters = inspect.signature(value)
    except (ValueError, TypeError):
        return "(...)"
    shown = [FUNCTION.sub(r"\1", str(each)) for each in plain(parameters).parameters.values()]
    returned = "" if parameters.return_annotation is parameters.empty else f" -> {annotation(parameters)}"
    stars = [each.kind for each in parameters.parameters.values()]
    keyword = inspect.Parameter.KEYWORD_ONLY
    if keyword in stars and inspect.Parameter.VAR_POSITIONAL not in stars:
        shown.insert(stars.index(keyword), "*")
    line = f"({', '.join(shown)}){returned}"
    return line if len(line) < 80 else "(\n    " + ",\n    ".join(shown) + f",\n){returned}"


def plain(parameters: inspect.Signature) -> inspect.Signature:
    """Return a signature whose annotations print as they are written, quotes left out."""
    kept = [
        each.replace(annotation=each.empty if each.annotation is each.empty else Written(str(each.annotation)))
        for each in parameters.parameters.values()
    ]
    return parameters.replace(parameters=kept)


class Written(str):
    """An annotation as it is written in the source."""

    def __repr__(self) -> str:
        return str(self)


def annotation(parameters: inspect.Signature) -> str:
    returned = parameters.return_annotation
    return returned if isinstance(returned, str) else getattr(returned, "__name__", str(returned))


def described(value: Any) -> Iterator[str]:
    """Yield the sections of a docstring as Markdown."""
    text = inspect.getdoc(value)
    own = vars(value).get("__doc__") if inspect.isclass(value) else text
    if not text or not own:
        return
    for part in griffe.parse_google(griffe.Docstring(text, lineno=1), warnings=False):
        kind = part.kind.value
        if kind == "text":
            yield LISTED.sub(":\n\n", part.value)
        elif kind == "examples":
            yield "\n\n".join(each if which.value == "text" else f"```pycon\n{each}\n```" for which, each in part.value)
        elif kind in ("parameters", "attributes"):
            yield table((kind[:-1], "what it is"), ((f"`{each.name}`", flat(each.description)) for each in part.value))
        elif kind == "raises":
            yield table(("raises", "when"), ((f"`{each.annotation}`", flat(each.description)) for each in part.value))
        elif kind in ("returns", "yields"):
            whole = (
                f"{each.annotation}: {each.description}" if each.annotation else each.description for each in part.value
            )
            yield f"**{kind.capitalize()}** " + " ".join(map(flat, whole))
        elif kind == "admonition":
            yield f"**{part.title}** {flat(part.value.description)}"


def flat(text: str) -> str:
    """Return a text on one line; items of a list stay apart."""
    return " ".join(text.split())


# trainNetwork and trainnet

TRAINERS = """\
# trainNetwork and trainnet

R2023b brought `trainnet`, which trains a dlnetwork with a loss by its name; `trainNetwork` trains layers that end in an
output layer. The options are the same. Where the two count otherwise, `bridge` does what each does: say which one is
meant with `training_options(..., trainer="trainnet")`, or `trainer` in a recipe; `bridge recipe read` takes it from the
script. P is proven on numbers of MATLAB, D documented, L likely, U not seen by anyone: a run that depends on such a
switch says so, and [`bridge calibrate`](commands/calibrate.md) settles it for a release.
"""


def trainers_page() -> str:
    """Return what the two trainers do otherwise, and the switches of training that both have."""
    switches = toml("solvers")["semantics"]
    of_each = {name: row for name, row in switches.items() if isinstance(row["default"], Mapping)}
    differing = [
        (row["meaning"], *(f"{row['default'][each]} ({mark(row, each)})" for each in ("trainNetwork", "trainnet")))
        for row in of_each.values()
    ]
    same = [
        (f"`{name}`", row["meaning"], f"{row['default']} ({mark(row, 'trainnet')})")
        for name, row in switches.items()
        if name not in of_each
    ]
    return "\n\n".join(
        [
            TRAINERS + "\n## What differs",
            table(("", "trainNetwork", "trainnet"), differing),
            "## What both do",
            table(("switch", "meaning", "value"), same),
        ]
    )


def mark(row: Mapping[str, Any], trainer: str) -> str:
    """Return the evidence of a switch for a trainer."""
    evidence = row["evidence"]
    return str(evidence[trainer] if isinstance(evidence, Mapping) else evidence)
