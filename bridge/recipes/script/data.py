"""Datastores: where images come from, how they are divided, sized and augmented."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.errors import UsageError
from bridge.recipes.parts import Data
from bridge.recipes.script.training import plain_path
from bridge.recipes.script.values import Graph, Handle, Options, Sourced, Store, is_plain, unknown_in

if TYPE_CHECKING:
    from bridge.recipes.script.assembly import Assembly

OF_VIEW = ("OutputSizeMode", "ColorPreprocessing")
HARMLESS = ("DispatchInBackground", "IncludeSubfolders", "LabelSource", "FileExtensions", "ReadSize", "MiniBatchSize", "IncludeInfo", "Labels")


def data_of(made: Assembly, graph: Graph | None, per_epoch: bool) -> Data:
    """Return the data of the recipe; sources that it cannot name are kept as text."""
    values: dict[str, Any] = {"validate_each_epoch": per_epoch}
    store = next((each for each in made.call.data if isinstance(each, Store)), None)
    for value, text in zip(made.call.data, made.call.data_texts, strict=True):
        if not isinstance(value, Store):
            made.keep(made.call.place, f"training data {text}")
    validation = made.call.options.given.get("ValidationData") if isinstance(made.call.options, Options) else None
    if store is not None:
        for each in store.chain():
            _one(made, each, values, graph)
        _read_function(made, store)
        _split(made, store, validation, values)
    if validation is not None and not isinstance(validation.value, Store):
        made.keep(validation.place, f"ValidationData = {getattr(validation.value, 'text', validation.value)}")
    try:
        return Data(**values)
    except UsageError as error:
        made.problem(store.place if store else made.call.place, f"{error.error}: {error.cause}")
        return Data()


def _one(made: Assembly, store: Store, values: dict[str, Any], graph: Graph | None) -> None:
    """Take what one datastore says."""
    if store.function == "augmentedImageDatastore":
        _augmented(made, store, values, graph)
    elif store.function.endswith("Datastore") and store.function != "randomPatchExtractionDatastore":
        _source(made, store, values)
    elif store.function != "splitEachLabel":
        made.keep(store.place, f"{store.function}: {store.text}")
        if store.function in ("transform", "subset", "randomPatchExtractionDatastore"):
            made.problem(store.place, f"what {store.function} does to the data is kept as text only")


def _source(made: Assembly, store: Store, values: dict[str, Any]) -> None:
    first = store.arguments.get("1")
    path = plain_path(first.value) if first else ""
    labels = next((each.value for name, each in store.arguments.items() if name.lower() == "labelsource"), "")
    if path and store.function == "imageDatastore" and labels == "foldernames":
        values["path"] = path
        made.fact(store.place, f"images in {path}", ("data", "path"))
    else:
        made.keep(store.place, f"data: {store.text}")
    for name in ("Files", "Labels"):
        given = store.arguments.get(name)
        if given is not None:
            made.problem(given.place, f"{name} of the images are set by the script")


def _read_function(made: Assembly, store: Store) -> None:
    """Keep a ReadFcn; the parts of a split have what the whole had when it was split."""
    read = read_function(store)
    if read is not None:
        made.keep(read.place, f"ReadFcn = {getattr(read.value, 'text', read.value)}")
        made.report(read.place, "a ReadFcn is kept as text; training by the recipe reads images as imread does")


def read_function(store: Store) -> Sourced | None:
    """Return the ReadFcn that images are read with."""
    return next((each for name, each in store.images.arguments.items() if name.lower() == "readfcn"), None)


def _augmented(made: Assembly, store: Store, values: dict[str, Any], graph: Graph | None) -> None:
    size = store.arguments.get("1")
    first = next((item for item in graph.layers if item.get("InputSize") and item.row and item.row.name == "ImageInputLayer"), None) if graph else None
    entry = first.get("InputSize") if first is not None else None
    if size is None or not isinstance(size.value, tuple) or unknown_in(size.value) or not all(isinstance(n, int) for n in size.value):
        made.problem(store.place, f"the size of the images is not known: {store.text}")
    elif entry is None or tuple(size.value[:2]) != tuple(entry[:2]):
        values["size"] = size.value[:2]
        made.fact(size.place, f"images brought to {size.value[0]} x {size.value[1]}", ("data", "size"))
    else:
        made.fact(size.place, f"images brought to {size.value[0]} x {size.value[1]}, as the input layer has it")
    for name, given in store.arguments.items():
        if name in ("1", "2"):
            continue
        known = next((each for each in OF_VIEW if each.lower() == name.lower()), "")
        if known and isinstance(given.value, str):
            values[known] = str(given.value)
            made.fact(given.place, f"{known} = {given.value}", ("data", known))
        elif name.lower() == "dataaugmentation":
            _augmentation(made, given, values)
        elif name not in HARMLESS:
            made.problem(given.place, f"{name} of {store.function} is not understood")


def _augmentation(made: Assembly, given: Sourced, values: dict[str, Any]) -> None:
    augmenter = given.value
    if augmenter == "none":
        return
    if not isinstance(augmenter, Store) or augmenter.function != "imageDataAugmenter":
        made.problem(given.place, "the augmentation is not known")
        return
    from bridge.images.augment import imageDataAugmenter

    known = {name.lower(): name for name in imageDataAugmenter.__dataclass_fields__}
    found: dict[str, Any] = {}
    for name, each in augmenter.arguments.items():
        spelled = known.get(name.lower(), name)
        if unknown_in(each.value) is not None or isinstance(each.value, Handle):
            made.problem(each.place, f"{spelled} of imageDataAugmenter is not known: {getattr(each.value, 'text', '')}")
            continue
        if not is_plain(each.value) or isinstance(each.value, str):
            made.problem(each.place, f"{spelled} of imageDataAugmenter is no number")
            continue
        found[spelled] = bool(each.value) if spelled.endswith("Reflection") else each.value
        made.fact(each.place, f"augmentation {spelled} = {found[spelled]}", ("data.augmentation", spelled))
    if found:
        values["augmentation"] = found


def _split(made: Assembly, store: Store, validation: Sourced | None, values: dict[str, Any]) -> None:
    """Take how the data are divided: the first part trains, the second validates."""
    parts = [each for each in store.chain() if each.part >= 0]
    if not parts:
        return
    part = parts[0]
    numbers, randomized = part.split
    if not numbers:
        made.problem(part.place, f"how the data are divided is not known: {part.text}")
        return
    if len(parts) > 1:
        made.problem(parts[1].place, "what is divided was divided before, which a recipe has no word for")
    if any(each.part != 0 for each in parts):
        made.problem(part.place, "the training data are not the first part of a split, which a recipe has no word for")
        return
    second = _part_of(validation.value, part) if validation is not None else None
    if validation is not None and second != 1:
        made.problem(validation.place, "the validation data are not the second part of the split, which a recipe has no word for")
    if validation is None:
        values["validates"] = False
        made.fact(part.place, "no part of the split validates", ("data", "validates"))
    values |= {"split": tuple(int(n) if n >= 1 and n == int(n) else n for n in numbers), "randomized": randomized}
    made.fact(part.place, f"split {', '.join(f'{n:g}' for n in numbers)}{', at random' if randomized else ''}", ("data", "split"), ("data", "randomized"))


def _part_of(value: Any, part: Store) -> int | None:
    """Return which part of the same split a datastore is."""
    if not isinstance(value, Store):
        return None
    own = [each for each in value.chain() if each.part >= 0]
    return own[0].part if len(own) == 1 and own[0].place == part.place else None

