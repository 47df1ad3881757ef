"""What was found for an observation, as JSON values, as text and as a picture."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Protocol

import numpy as np

from bridge.arrays.lazy import NDArray
from bridge.detection import Detections
from bridge.errors import UsageError
from bridge.images import imresize, labeloverlay

MOST_VALUES = 1000  # of one observation that are told one by one
MOST_SHOWN = 10  # of them in a line
YELLOW = (255, 255, 0)


class Found(Protocol):
    """What was found for one observation."""

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values."""

    def lines(self) -> list[str]:
        """Return it in a line, or more."""


@dataclass(frozen=True)
class Classes:
    """The best classes of an observation, (name, score), best first."""

    best: tuple[tuple[str, float], ...]

    def facts(self) -> dict[str, Any]:
        return {"label": self.best[0][0], "classes": [{"name": name, "score": score} for name, score in self.best]}

    def lines(self) -> list[str]:
        return [", ".join(f"{name} {score:.4f}" for name, score in self.best)]


@dataclass(frozen=True)
class Steps:
    """The label and its score at every time step."""

    labels: tuple[str, ...]
    scores: tuple[float, ...]

    def facts(self) -> dict[str, Any]:
        return {"labels": list(self.labels), "scores": list(self.scores)}

    def lines(self) -> list[str]:
        runs = [(name, len(list(steps))) for name, steps in groupby(self.labels)]
        return [", ".join(f"{name} x {count}" if count > 1 else name for name, count in runs)]


@dataclass(frozen=True)
class Values:
    """Numbers, by output of the network, in torch's layout without the observation."""

    outputs: Mapping[str, NDArray]

    def facts(self) -> dict[str, Any]:
        return {
            "values": {
                name: values.tolist() if values.size <= MOST_VALUES else _summary(values)
                for name, values in self.outputs.items()
            }
        }

    def lines(self) -> list[str]:
        several = len(self.outputs) > 1
        parts = (f"{name}: {_shown(each)}" if several else _shown(each) for name, each in self.outputs.items())
        return ["; ".join(parts)]


@dataclass(frozen=True)
class Regions:
    """The class of each pixel: H x W numbers from 1, and the names they count."""

    labels: NDArray
    classes: tuple[str, ...]

    @property
    def shares(self) -> dict[str, float]:
        """The part of the pixels that each class has, the largest first; classes without a pixel are left out."""
        counts = np.bincount(self.labels.ravel(), minlength=len(self.classes) + 1)[1:] / self.labels.size
        return {
            self.classes[index]: float(counts[index]) for index in np.argsort(-counts, kind="stable") if counts[index]
        }

    def facts(self) -> dict[str, Any]:
        return {"size": list(self.labels.shape), "shares": self.shares}

    def lines(self) -> list[str]:
        return [", ".join(f"{name} {share:.1%}" for name, share in self.shares.items())]

    def drawn_on(self, picture: NDArray) -> NDArray:
        """Return the picture with the classes laid over it; they are brought to its size by nearest neighbours."""
        labels = imresize(self.labels, picture.shape[:2], "nearest")
        return labeloverlay(picture, labels)


@dataclass(frozen=True)
class Boxes:
    """The objects of an image."""

    detections: Detections

    def _rows(self) -> Iterator[tuple[str, float, list[int]]]:
        return zip(self.detections.labels, self.detections.scores.tolist(), self.detections.boxes.tolist(), strict=True)

    def facts(self) -> dict[str, Any]:
        return {"objects": [{"label": label, "score": score, "box": box} for label, score, box in self._rows()]}

    def lines(self) -> list[str]:
        rows = [f"  {label} {score:.4f} [{' '.join(map(str, box))}]" for label, score, box in self._rows()]
        return [f"{len(rows)} object{'' if len(rows) == 1 else 's'}", *rows]

    def drawn_on(self, picture: NDArray) -> NDArray:
        """Return the picture with the boxes, their labels and scores."""
        from PIL import Image, ImageDraw

        image = Image.fromarray(picture)
        draw = ImageDraw.Draw(image)
        for label, score, (x, y, width, height) in self._rows():
            draw.rectangle(
                (x - 1, y - 1, x + width - 2, y + height - 2),
                outline=YELLOW,
                width=max(1, min(picture.shape[:2]) // 200),
            )
            text = f"{label} {score:.2f}".encode("latin-1", "replace").decode("latin-1")  # what Pillow's own font has
            left, top, right, bottom = draw.textbbox((x - 1, y - 1), text, anchor="lb" if y > 12 else "lt")
            draw.rectangle((left, top, right, bottom), fill=YELLOW)
            draw.text((x - 1, y - 1), text, fill=(0, 0, 0), anchor="lb" if y > 12 else "lt")
        return np.asarray(image)


@dataclass(frozen=True)
class Prediction:
    """What was found for one observation.

    Attributes:
        input: the file, with the number of the observation from 1 where it holds several.
        found: what was found.
        picture: the image, H x W x 3 of uint8, or None for what is no image.
    """

    input: str
    found: Found
    picture: NDArray | None = None

    def row(self, label: str | None = None) -> dict[str, object]:
        """Return it as the cells of a table; `label` is the true one, where it is known."""
        true = {} if label is None else {"true": label}
        if isinstance(self.found, Classes):
            (name, score), *_ = self.found.best
            return {"input": self.input, "label": name, "score": score, **true}
        return {"input": self.input, "found": "; ".join(each.strip() for each in self.found.lines())}

    def drawn(self) -> NDArray:
        """Return the image with what was found in it.

        Raises:
            UsageError: it is no image, or nothing that can be drawn.
        """
        if self.picture is None or not isinstance(self.found, (Regions, Boxes)):
            raise UsageError(
                f"nothing can be drawn for {self.input}",
                "boxes and regions are drawn, on images",
                "leave -o out; --json prints all",
            )
        return self.found.drawn_on(self.picture)


def _summary(values: NDArray) -> dict[str, Any]:
    return {
        "size": list(values.shape),
        "least": float(values.min()),
        "greatest": float(values.max()),
        "mean": float(values.mean(dtype=np.float64)),
    }


def _shown(values: NDArray) -> str:
    if values.size <= MOST_SHOWN:
        return " ".join(f"{value:g}" for value in values.ravel())
    size = "×".join(map(str, values.shape))
    return f"{size} values from {values.min():g} to {values.max():g}, mean {values.mean(dtype=np.float64):g}"
