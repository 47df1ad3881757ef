"""Datastores: where images come from, how they are divided, sized and augmented."""

from __future__ import annotations

import re
from typing import Any

from bridge.errors import UsageError
from bridge.recipes.parts import Data
from bridge.scripts.language.values import (
    Augmenter,
    Graph,
    Handle,
    Options,
    Sourced,
    Store,
    Training,
    described,
    is_plain,
    unknown_in,
)
from bridge.scripts.reading.findings import Findings

OF_VIEW = ("OutputSizeMode", "ColorPreprocessing")
HARMLESS = (
    "DispatchInBackground",
    "IncludeSubfolders",
    "LabelSource",
    "FileExtensions",
    "ReadSize",
    "MiniBatchSize",
    "IncludeInfo",
    "Labels",
)
FOLDER = (
    "imageDatastore",
    "augmentedImageDatastore",
)  # what a datastore of a folder, as a recipe names it, is made with


def data_of(call: Training, graph: Graph | None, per_epoch: bool, findings: Findings) -> Data:
    """Return the data of the recipe; sources that it cannot name are kept as text."""
    values: dict[str, Any] = {"validate_each_epoch": per_epoch}
    store = call.store
    for value, text in zip(call.data, call.data_texts, strict=True):
        if not isinstance(value, Store):
            findings.keep(call.place, f"training data {text}")
    for each in store.chain() if store is not None else ():
        _one(each, values, graph, findings)
    read = read_function(store) if store is not None else None
    if read is not None:
        findings.keep(read.place, f"ReadFcn = {described(read.value)}")
        findings.report(read.place, "a ReadFcn is kept as text; training by the recipe reads images as imread does")
    parts = [each for each in store.chain() if each.part >= 0] if store is not None else []
    validation = call.options.given.get("ValidationData") if isinstance(call.options, Options) else None
    if parts:
        _split(parts, validation, values, findings)
    elif validation is not None:
        _validation(validation, values, findings)
    try:
        return Data(**values)
    except UsageError as error:
        findings.problem(store.place if store else call.place, f"{error.error}: {error.cause}")
        return Data()


def _one(store: Store, values: dict[str, Any], graph: Graph | None, findings: Findings) -> None:
    """Take what one datastore says."""
    if store.function == "augmentedImageDatastore":
        _augmented(store, values, graph, findings)
    elif store.function.endswith("Datastore") and store.function != "randomPatchExtractionDatastore":
        _source(store, values, findings)
    elif store.function != "splitEachLabel":
        findings.keep(store.place, f"{store.function}: {store.text}")
        if store.function in ("transform", "subset", "randomPatchExtractionDatastore"):
            findings.problem(store.place, f"what {store.function} does to the data is kept as text only")


def _source(store: Store, values: dict[str, Any], findings: Findings) -> None:
    path = _folder(store)
    if path:
        values["path"] = path
        findings.fact(store.place, f"images in {path}", ("data", "path"))
    else:
        findings.keep(store.place, f"data: {store.text}")
    for name in ("Files", "Labels"):
        given = store.argument(name)
        if given is not None:
            findings.problem(given.place, f"{name} of the images are set by the script")
    augmentation = store.argument("DataAugmentation")
    if augmentation is not None:
        _augmentation(augmentation, values, findings)


def _folder(store: Store) -> str:
    """Return the path of a folder with a folder for each class, where it is written out and lies in the script's own,
    else "".
    """
    first, labels = store.argument("1"), store.argument("LabelSource")
    path = str(first.value) if first is not None and isinstance(first.value, str) else ""
    outside = re.match(r"[A-Za-z]:|[/\\~]", path)
    by_folder = store.function == "imageDatastore" and labels is not None and labels.value == "foldernames"
    return path.replace("\\", "/") if by_folder and not outside else ""


def read_function(store: Store) -> Sourced | None:
    """Return the ReadFcn that images are read with; the parts of a split have what the whole had when it was split."""
    return store.images.argument("ReadFcn")


def _augmented(store: Store, values: dict[str, Any], graph: Graph | None, findings: Findings) -> None:
    if store.parent is None:
        findings.keep(store.place, f"data: {store.text}")
    size = store.argument("1")
    entry = graph.image_input.get("InputSize") if graph is not None and graph.image_input is not None else None
    if (
        size is None
        or not isinstance(size.value, tuple)
        or unknown_in(size.value)
        or not all(isinstance(n, int) for n in size.value)
    ):
        findings.problem(store.place, f"the size of the images is not known: {store.text}")
    else:
        brought = f"images brought to {' x '.join(map(str, size.value[:2]))}"
        if isinstance(entry, tuple) and size.value[:2] == entry[:2]:
            findings.fact(size.place, f"{brought}, as the input layer has it")
        else:
            values["size"] = size.value[:2]
            findings.fact(size.place, brought, ("data", "size"))
    for name, given in store.arguments.items():
        known = next((each for each in OF_VIEW if each.lower() == name.lower()), "")
        if known and isinstance(given.value, str):
            values[known] = str(given.value)
            findings.fact(given.place, f"{known} = {given.value}", ("data", known))
        elif name.lower() == "dataaugmentation":
            _augmentation(given, values, findings)
        elif not name.isdecimal() and name not in HARMLESS:
            findings.problem(given.place, f"{name} of {store.function} is not understood")


def _augmentation(given: Sourced, values: dict[str, Any], findings: Findings) -> None:
    augmenter = given.value
    if augmenter == "none":
        return
    if not isinstance(augmenter, Augmenter):
        findings.problem(given.place, "the augmentation is not known")
        return
    from bridge.images.augment import imageDataAugmenter

    known = {name.lower(): name for name in imageDataAugmenter.__dataclass_fields__}
    found: dict[str, Any] = {}
    for name, each in augmenter.arguments.items():
        spelled = known.get(name.lower(), name)
        if unknown_in(each.value) is not None or isinstance(each.value, Handle):
            findings.problem(each.place, f"{spelled} of imageDataAugmenter is not known: {described(each.value)}")
        elif not is_plain(each.value) or isinstance(each.value, str):
            findings.problem(each.place, f"{spelled} of imageDataAugmenter is no number")
        else:
            found[spelled] = bool(each.value) if spelled.endswith("Reflection") else each.value
            findings.fact(each.place, f"augmentation {spelled} = {found[spelled]}", ("data.augmentation", spelled))
    if found:
        values["augmentation"] = found


def _validation(given: Sourced, values: dict[str, Any], findings: Findings) -> None:
    """Take the folder that validates, where the training data are not divided; other data are kept as text."""
    store = given.value
    path = (
        _folder(store.images)
        if isinstance(store, Store) and all(each.function in FOLDER for each in store.chain())
        else ""
    )
    if path:
        values["validation"] = path
        findings.fact(store.images.place, f"validation images in {path}", ("data", "validation"))
    else:
        findings.keep(given.place, f"ValidationData = {described(store)}")


def _split(parts: list[Store], validation: Sourced | None, values: dict[str, Any], findings: Findings) -> None:
    """Take how the data are divided: the first part trains, the second validates."""
    part = parts[0]
    numbers, randomized = part.split
    if not numbers:
        findings.problem(part.place, f"how the data are divided is not known: {part.text}")
        return
    if len(parts) > 1:
        findings.problem(parts[1].place, "what is divided was divided before, which a recipe has no word for")
    if any(each.part != 0 for each in parts):
        findings.problem(
            part.place, "the training data are not the first part of a split, which a recipe has no word for"
        )
        return
    if validation is None:
        values["validates"] = False
        findings.fact(part.place, "no part of the split validates", ("data", "validates"))
    elif _part_of(validation.value, part) != 1:
        values["validates"] = False
        what = (
            f"{described(validation.value)}, which validates, is not the second part of the split: a recipe has no "
            "word for it"
        )
        findings.problem(validation.place, what)
    values |= {"split": tuple(int(n) if n >= 1 and n == int(n) else n for n in numbers), "randomized": randomized}
    findings.fact(
        part.place,
        f"split {', '.join(f'{n:g}' for n in numbers)}{', at random' if randomized else ''}",
        ("data", "split"),
        ("data", "randomized"),
    )


def _part_of(value: Any, part: Store) -> int | None:
    """Return which part of the same split a datastore is."""
    own = [each for each in value.chain() if each.part >= 0] if isinstance(value, Store) else []
    return own[0].part if len(own) == 1 and own[0].place == part.place else None
