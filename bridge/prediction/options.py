"""How what is predicted is brought to a network."""

from __future__ import annotations

from dataclasses import dataclass

from bridge.errors import UsageError


@dataclass(frozen=True)
class Options:
    """How inputs are prepared, and what counts as a detection.

    Attributes:
        color: "", or "gray2rgb" or "rgb2gray": what to do with images of other channels than the network takes.
        resize: the method of `imresize` for images of another size; "": that of the detector, or bilinear.
        im2single: whether images are divided by 255 before they enter the network; a detector always does.
        input_dims: the dimensions of arrays in order, "HWCN"; "" where they are to be found.
        threshold: of a detector.
        skip_bad: whether images that cannot be read are left out.
    """

    color: str = ""
    resize: str = ""
    im2single: bool = False
    input_dims: str = ""
    threshold: float = 0.5
    skip_bad: bool = False

    def __post_init__(self) -> None:
        if self.color not in ("", "gray2rgb", "rgb2gray"):
            raise UsageError(
                f"the colour preprocessing is {self.color!r}",
                "it is gray2rgb or rgb2gray",
                "leave it out where the images fit",
            )
