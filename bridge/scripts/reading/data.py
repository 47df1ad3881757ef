"""Datastores: where images come from, how they are divided, sized and augmented."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from bridge.errors import UsageError
from bridge.images.augment import imageDataAugmenter
from bridge.recipes.parts import Data
from bridge.scripts.language.findings import Findings
from bridge.scripts.language.paths import is_relative
from bridge.scripts.language.values import Handle, described, is_plain, unknown_in
from bridge.scripts.reading.objects import Augmenter, Datastore, Sourced, ToldLayer, ToldOptions, Training
from bridge.tables.layers import table
from bridge.tables.registry import Registry

WORDS: Mapping[str, Any] = table("scripts")
ROLES: Mapping[str, str] = WORDS["roles"]  # of options and arguments


@dataclass
class Gathered:
    """What the datastores of a training say, as far as it was read.

    Attributes:
        entry: the layer that takes images.
        values: entries of the recipe's data.
    """

    entry: ToldLayer | None
    findings: Findings
    values: dict[str, Any] = field(default_factory=dict)


READS: Registry[Callable[[Datastore, Gathered], None]] = Registry("kind of datastore")


def data_of(call: Training, entry: ToldLayer | None, per_epoch: bool, findings: Findings) -> Data:
    """Return the data of the recipe; sources that it cannot name are kept as text."""
    found = Gathered(entry, findings, {"validate_each_epoch": per_epoch})
    for value, text in zip(call.data, call.data_texts, strict=True):
        if not isinstance(value, Datastore):
            findings.keep(call.place, f"training data {text}")
    chain = list(call.store.chain()) if call.store is not None else []
    for each in chain:
        READS[WORDS["stores"][each.function]](each, found)
    read = read_function(call.store) if call.store is not None else None
    if read is not None:
        findings.keep(read.place, f"{ROLES['read_function']} = {described(read.value)}")
        findings.report(read.place, "a ReadFcn is kept as text; training by the recipe reads images as imread does")
    parts = [each for each in chain if each.part >= 0]
    validation = call.options.given.get(ROLES["validation"]) if isinstance(call.options, ToldOptions) else None
    if parts:
        _split(parts, validation, found)
    elif validation is not None:
        _validation(validation, found)
    try:
        return Data(**found.values)
    except UsageError as error:
        findings.problem(call.store.place if call.store else call.place, f"{error.error}: {error.cause}")
        return Data()


def read_function(store: Datastore) -> Sourced | None:
    """Return the ReadFcn that images are read with; the parts of a split have what the whole had when it was split."""
    return store.images.argument(ROLES["read_function"])


@READS("source")
def _source(store: Datastore, found: Gathered) -> None:
    """What is made of files."""
    path = _folder(store)
    if path:
        found.values["path"] = path
        found.findings.fact(store.place, f"images in {path}", ("data", "path"))
    else:
        found.findings.keep(store.place, f"data: {store.text}")
    for name in WORDS["set_by_the_script"]:
        given = store.argument(name)
        if given is not None:
            found.findings.problem(given.place, f"{name} of the images are set by the script")
    augmentation = store.argument(ROLES["augmentation"])
    if augmentation is not None:
        _augmentation(augmentation, found)


def _folder(store: Datastore) -> str:
    """Return the path of a folder with a folder for each class, where it is written out and lies in the script's own,
    else "".
    """
    first, labels = store.argument("1"), store.argument(ROLES["labels"])
    path = str(first.value) if first is not None and isinstance(first.value, str) else ""
    by_folder = labels is not None and labels.value == WORDS["by_folder"].get(store.function)
    return path.replace("\\", "/") if by_folder and is_relative(path) else ""


@READS("view")
def _augmented(store: Datastore, found: Gathered) -> None:
    """What sizes and augments the images of another one."""
    if store.parent is None:
        found.findings.keep(store.place, f"data: {store.text}")
    _size(store, found)
    for name, given in store.arguments.items():
        known = next((each for each in WORDS["of_view"] if each.lower() == name.lower()), "")
        if known and isinstance(given.value, str):
            found.values[known] = str(given.value)
            found.findings.fact(given.place, f"{known} = {given.value}", ("data", known))
        elif name.lower() == ROLES["augmentation"].lower():
            _augmentation(given, found)
        elif not name.isdecimal() and name not in WORDS["harmless_of_data"]:
            found.findings.problem(given.place, f"{name} of {store.function} is not understood")


def _size(store: Datastore, found: Gathered) -> None:
    """Take the size that images are brought to, where it is not the input layer's own."""
    size = store.argument("1")
    if size is None or not isinstance(size.value, tuple) or not all(isinstance(n, int) for n in size.value):
        found.findings.problem(store.place, f"the size of the images is not known: {store.text}")
        return
    brought = f"images brought to {' x '.join(map(str, size.value[:2]))}"
    taken = found.entry.get(ROLES["size"]) if found.entry is not None else None
    if isinstance(taken, tuple) and size.value[:2] == taken[:2]:
        found.findings.fact(size.place, f"{brought}, as the input layer has it")
    else:
        found.values["size"] = size.value[:2]
        found.findings.fact(size.place, brought, ("data", "size"))


@READS("split")
def _part(store: Datastore, found: Gathered) -> None:
    """A part of another one, which is read with the rest of the split."""


@READS("kept")
def _kept(store: Datastore, found: Gathered) -> None:
    found.findings.keep(store.place, f"{store.function}: {store.text}")


@READS("changed")
def _changed(store: Datastore, found: Gathered) -> None:
    _kept(store, found)
    found.findings.problem(store.place, f"what {store.function} does to the data is kept as text only")


def _augmentation(given: Sourced, found: Gathered) -> None:
    augmenter, findings = given.value, found.findings
    if augmenter == "none":
        return
    if not isinstance(augmenter, Augmenter):
        findings.problem(given.place, "the augmentation is not known")
        return
    known = {each.name.lower(): each.name for each in fields(imageDataAugmenter)}
    taken: dict[str, Any] = {}
    for name, each in augmenter.arguments.items():
        spelled = known.get(name.lower(), name)
        if unknown_in(each.value) is not None or isinstance(each.value, Handle):
            findings.problem(each.place, f"{spelled} of imageDataAugmenter is not known: {described(each.value)}")
        elif not is_plain(each.value) or isinstance(each.value, str):
            findings.problem(each.place, f"{spelled} of imageDataAugmenter is no number")
        else:
            taken[spelled] = bool(each.value) if spelled.endswith("Reflection") else each.value
            findings.fact(each.place, f"augmentation {spelled} = {taken[spelled]}", ("data.augmentation", spelled))
    if taken:
        found.values["augmentation"] = taken


def _validation(given: Sourced, found: Gathered) -> None:
    """Take the folder that validates, where the training data are not divided; other data are kept as text."""
    store = given.value
    plain = isinstance(store, Datastore) and all(
        WORDS["stores"][e.function] in ("source", "view") for e in store.chain()
    )
    path = _folder(store.images) if plain else ""
    if path:
        found.values["validation"] = path
        found.findings.fact(store.images.place, f"validation images in {path}", ("data", "validation"))
    else:
        found.findings.keep(given.place, f"{ROLES['validation']} = {described(store)}")


def _split(parts: list[Datastore], validation: Sourced | None, found: Gathered) -> None:
    """Take how the data are divided: the first part trains, the second validates."""
    part, findings = parts[0], found.findings
    numbers, randomized = part.split
    if not numbers:
        findings.problem(part.place, f"how the data are divided is not known: {part.text}")
        return
    if len(parts) > 1:
        findings.problem(parts[1].place, "what is divided was divided before, which a recipe has no word for")
    if any(each.part != 0 for each in parts):
        what = "the training data are not the first part of a split, which a recipe has no word for"
        findings.problem(part.place, what)
        return
    if validation is None:
        found.values["validates"] = False
        findings.fact(part.place, "no part of the split validates", ("data", "validates"))
    elif _part_of(validation.value, part) != 1:
        found.values["validates"] = False
        what = f"{described(validation.value)}, which validates, is not the second part of the split"
        findings.problem(validation.place, f"{what}: a recipe has no word for it")
    found.values |= {"split": tuple(int(n) if n >= 1 and n == int(n) else n for n in numbers), "randomized": randomized}
    text = f"split {', '.join(f'{n:g}' for n in numbers)}{', at random' if randomized else ''}"
    findings.fact(part.place, text, ("data", "split"), ("data", "randomized"))


def _part_of(value: Any, part: Datastore) -> int | None:
    """Return which part of the same split a datastore is."""
    own = [each for each in value.chain() if each.part >= 0] if isinstance(value, Datastore) else []
    return own[0].part if len(own) == 1 and own[0].place == part.place else None
