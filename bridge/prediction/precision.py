"""How good a detector's predictions are, against objects that people marked: as lines, as JSON values, as a page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bridge import pages
from bridge.detection import Detections, GroundTruth, Precision, evaluate_detection_precision
from bridge.pages import Cell, Row, escaped, figures
from bridge.pages.figures import ACCENT, INK, MUTED, SHADE

OVERLAP = 0.5
COLOURS = (ACCENT, INK, SHADE, MUTED)
STYLES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Measured:
    """Precision and recall of each class.

    Attributes:
        classes: by name.
        objects: how many of each class were marked.
        images: how many images.
        threshold: the least score of a detection.
    """

    classes: Mapping[str, Precision]
    objects: Mapping[str, int]
    images: int
    threshold: float

    @classmethod
    def of(cls, found: Sequence[Detections], truth: GroundTruth, classes: Sequence[str], threshold: float) -> Measured:
        """Measure detections, one for each image."""
        counts = {name: sum(label == name for labels in truth.labels for label in labels) for name in classes}
        measured = evaluate_detection_precision(found, truth, classes, overlap=OVERLAP)
        return cls(measured, counts, len(truth), threshold)

    @property
    def mean(self) -> float:
        """The mean average precision of the classes that have objects."""
        known = [each.average_precision for each in self.classes.values() if not math.isnan(each.average_precision)]
        return float(np.mean(known)) if known else math.nan

    @property
    def title(self) -> str:
        """The result in a line."""
        return (
            f"mean average precision {self.mean:.4f} of {len(self.classes)} classes in {self.images} images, overlap "
            f"{OVERLAP:g}, scores from {self.threshold:g}"
        )

    def lines(self) -> list[str]:
        """Return a line for each class, and the mean."""
        rows = [
            f"{name}: average precision {each.average_precision:.4f}, recall {each.recall[-1]:.4f} and precision "
            f"{each.precision[-1]:.4f} of all {len(each.recall) - 1} detections; {self.objects[name]} objects"
            for name, each in self.classes.items()
        ]
        return [*rows, self.title]

    def facts(self) -> dict[str, Any]:
        """Return it as JSON values; what is no number is null."""
        classes = {
            name: {
                "objects": self.objects[name],
                "average_precision": _number(each.average_precision),
                "recall": [_number(value) for value in each.recall.tolist()],
                "precision": each.precision.tolist(),
            }
            for name, each in self.classes.items()
        }
        told = {"mean_average_precision": _number(self.mean), "overlap": OVERLAP, "threshold": self.threshold}
        return {**told, "images": self.images, "classes": classes}

    def page(self, name: str) -> str:
        """Return a page: precision over recall, and a table."""
        columns = {"Class": "", "Objects": "number", "Detections": "number", "Average precision": "number"}
        columns |= {"Recall": "number", "Precision": "number"}
        rows = [Row([label, *(Cell(text, value) for text, value in self._cells(label))]) for label in self.classes]
        body = f"""<header>
<p class="eyebrow">bridge predict</p>
<h1>{escaped(name)}</h1>
<p>{escaped(self.title)}</p>
</header>
<section><h2>Precision over recall</h2><p>Each detection finds the object it overlaps most, from the strongest
on.</p>{self._chart()}</section>
<section><h2>Classes</h2><p>Recall and precision are those of all detections.</p>{pages.table("classes", columns, rows)}
</section>"""
        return pages.page(name, body)

    def _cells(self, label: str) -> list[tuple[str, float]]:
        each = self.classes[label]
        counts = [float(self.objects[label]), float(len(each.recall) - 1)]
        shares = [each.average_precision, float(each.recall[-1]), float(each.precision[-1])]
        return [
            *((f"{count:,.0f}", count) for count in counts),
            *((f"{share:.4f}", -1.0 if math.isnan(share) else share) for share in shares),
        ]

    def _chart(self) -> str:
        with figures.style("precision"):
            made = figures.figure(620, 440)
            axes = made.add_subplot()
            for at, (name, each) in enumerate(self.classes.items()):
                colour, style = COLOURS[at % len(COLOURS)], STYLES[at // len(COLOURS) % len(STYLES)]
                label = f"{figures.shown(name)} {each.average_precision:.3f}"
                axes.step(each.recall, each.precision, where="pre", color=colour, linestyle=style, label=label)
            axes.set(xlim=(0, 1.02), ylim=(0, 1.02), xlabel="recall", ylabel="precision")
            figures.grid(axes, "both")
            axes.legend(loc="lower left")
            return figures.embedded(made, "precision over recall")


def write_page(measured: Measured, name: str, path: Path) -> Path:
    """Write the page."""
    return pages.write(path, measured.page(name))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value
