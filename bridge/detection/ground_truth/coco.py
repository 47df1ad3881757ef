"""COCO's JSON: images, annotations with a bbox [x y w h] whose corner counts from 0, categories.

Annotations of crowds are left out, as COCO's own measure ignores them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bridge.detection.ground_truth.truth import GroundTruth, joined, located
from bridge.files.atomic import write_text
from bridge.images.size import image_size

Found = dict[str, list[tuple[Sequence[float], str]]]


def read(path: Path) -> GroundTruth:
    """Read the objects of a .json."""
    held = json.loads(path.read_text(encoding="utf-8"))
    names = {each["id"]: str(each["name"]) for each in held["categories"]}
    files = {each["id"]: located(path.parent, str(each["file_name"])) for each in held["images"]}
    found: Found = {file: [] for file in files.values()}
    for each in held["annotations"]:
        if not each.get("iscrowd"):
            x, y, width, height = map(float, each["bbox"])
            found[files[each["image_id"]]].append(((x + 1, y + 1, width, height), names[each["category_id"]]))
    return joined(found)


def write(truth: GroundTruth, path: Path, *, force: bool = False) -> Path:
    """Write a .json; the categories count from 1 in alphabetical order."""
    numbers = {name: number for number, name in enumerate(truth.classes, 1)}
    images, annotations = list[dict[str, Any]](), list[dict[str, Any]]()
    for number, (file, name) in enumerate(zip(truth.files, truth.names(path.parent), strict=True), 1):
        height, width = image_size(file)
        images.append({"id": number, "file_name": name, "width": width, "height": height})
        for (x, y, w, h), label in zip(truth.boxes[number - 1].tolist(), truth.labels[number - 1], strict=True):
            known = {"id": len(annotations) + 1, "image_id": number, "category_id": numbers[label]}
            annotations.append({**known, "bbox": [x - 1, y - 1, w, h], "area": w * h, "iscrowd": 0})
    categories = [{"id": number, "name": name} for name, number in numbers.items()]
    held = {"images": images, "annotations": annotations, "categories": categories}
    return write_text(path, json.dumps(held, indent=1) + "\n", force=force)
