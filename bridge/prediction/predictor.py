"""Files into a network, and what it puts out into words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from itertools import groupby
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, fx, nn

from bridge.arrays.lazy import NDArray
from bridge.data.orders import arrange
from bridge.data.variables import READERS, Variables
from bridge.errors import UnreadableError, UsageError
from bridge.images import ImageDatastore, gray2rgb, im2double, imread, imresize, rgb2gray
from bridge.modules.inference import optimized
from bridge.network import Layer, Network
from bridge.network.blame import computing
from bridge.network.contract import contracts
from bridge.parity.references import INPUT_NAMES
from bridge.prediction.confusion import Confusion
from bridge.prediction.found import Boxes, Classes, Found, Prediction, Regions, Steps, Values
from bridge.prediction.inputs import inputs_of
from bridge.prediction.options import Options
from bridge.prediction.task import task_of
from bridge.training.device import named_device

MINI_BATCH = 32  # observations of one forward pass
MOST_BYTES = 1 << 27  # of the images of one forward pass, as they are in their files
BEST = 5  # classes that are told


class Predictor:
    """A network that predicts files.

    Attributes:
        network: what predicts.
        task: "classification", "sequence labels", "segmentation", "detection" or "values".
        notes: what was done to the inputs; more of them while predicting.
        skipped: images that cannot be read and were left out.
        labels: the true labels of files that have one, by file: of class folders, or of a list.
        device: where it computes.
    """

    def __init__(
        self,
        network: Network,
        options: Options | None = None,
        *,
        modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
        device: str | None = None,
    ) -> None:
        """Take a network.

        Args:
            network: what predicts.
            options: how inputs are prepared.
            modules: for classes of your own, what makes the torch module of a layer.
            device: "cpu", "cuda", or "cuda:1" for one of several; without, a GPU where torch finds one.

        Raises:
            UsageError: it has several inputs, its class names do not fit, or there is no such device.
            UnsupportedError: a layer cannot be built, or it is a detector that is not decoded.
        """
        self.network, self.options, self.task = network, options or Options(), task_of(network)
        self.notes: list[str] = []
        self.skipped: list[str] = []
        self.labels: dict[str, str] = {}
        self._detector = (
            network.to_detector(resize=self.options.resize or None, modules=modules)
            if self.task == "detection"
            else None
        )
        if self._detector is not None:
            self.notes += self._detector.family.notes
            for part in [each for each in self._detector.modules() if isinstance(each, fx.GraphModule)]:
                optimized(part)
        elif len(network.inputs) != 1:
            cause = f"its inputs are {', '.join(network.inputs)}, and a file holds one"
            raise UsageError(
                f"the network takes {len(network.inputs)} inputs", cause, "run it in Python: net.to_torch()"
            )
        else:
            self._model = network.to_torch(modules=modules, optimize=True)
        self.device = named_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        (self._model if self._detector is None else self._detector).to(self.device)
        self._kernel = self._detector.resize if self._detector is not None else self.options.resize or "bilinear"
        self._size = network.sizes[network.inputs[0]][0]
        self._contract = next(contracts(network))

    @property
    def draws(self) -> bool:
        """Whether what it finds can be drawn on an image."""
        return self.task in ("segmentation", "detection") and self.takes_images

    @property
    def takes_images(self) -> bool:
        """Whether the network takes images; else arrays."""
        return self._size.format == "SSCB"

    @cached_property
    def _classes(self) -> tuple[str, ...]:
        if self.network.classes is not None:
            return self.network.classes
        self._note("the network names no classes; they are numbered from 1 (--classes names them)")
        return tuple(
            str(number) for number in range(1, (self.network.size_of(self.network.outputs[0]).channels or 0) + 1)
        )

    def _note(self, text: str) -> None:
        if text not in self.notes:
            self.notes.append(text)

    def files(self, inputs: Sequence[str]) -> list[str]:
        """Return the files of inputs, as `inputs_of` finds them, without images that cannot be read where these are
        to be skipped; `labels` has what is known of them.

        Raises:
            UsageError: a folder without images, or a pattern that fits no file.
            UnreadableError: an input does not exist, or images cannot be read; all of these are named.
        """
        found = inputs_of(inputs, self.takes_images)
        files, self.labels = list(found.files), dict(found.labels)
        if not self.takes_images:
            return files
        images = [file for file in files if not _holds_arrays(file)]
        strange = next((file for file in images if os.path.exists(file) and not os.path.isfile(file)), None)
        if strange is not None:
            raise UsageError(
                f"{strange} is neither a file nor a folder", "devices and pipes may have no end", "name an image"
            )
        if not images:
            return files
        try:
            kept = set(ImageDatastore(tuple(images)).verify(self.options.skip_bad).Files)
        except UnreadableError as error:
            raise UnreadableError(
                error.error, error.cause, "replace these files, or leave them out with --skip-bad"
            ) from error
        self.skipped = [file for file in images if file not in kept]
        return [file for file in files if file not in self.skipped]

    @torch.no_grad()
    def predict(self, files: Sequence[str]) -> Iterator[Prediction]:
        """Yield what is found, file after file.

        Args:
            files: images; or .mat, .npy, .npz or .csv with arrays, "data.mat:X" for one of several.

        Raises:
            UsageError: an input does not fit the network.
            UnreadableError: a file is damaged.
        """
        for is_image, run in groupby(files, key=lambda file: self.takes_images and not _holds_arrays(file)):
            if is_image:
                yield from self._images(list(run))
            else:
                for file in run:
                    yield from self._arrays(file)

    def confusion(self, predictions: Iterable[Prediction]) -> Confusion | None:
        """Return how often which class was predicted as which, of the predictions whose label is known; None where
        there are none. A note tells labels that are no classes of the network.
        """
        pairs = [
            (self.labels[each.input], each.found.best[0][0])
            for each in predictions
            if isinstance(each.found, Classes) and each.input in self.labels
        ]
        strange = sorted({true for true, _ in pairs} - set(self._classes))
        known = [pair for pair in pairs if pair[0] not in strange]
        if strange:
            self._note(
                f"{len(pairs) - len(known)} of {len(pairs)} labels are no classes of the network, and not counted: "
                f"{', '.join(strange[:5])}{', ...' if len(strange) > 5 else ''}"
            )
        return Confusion.of(known, self._classes) if known else None

    # Images

    def _images(self, files: Sequence[str]) -> Iterator[Prediction]:
        for part, images in self._batches(files):
            if self._detector is not None:
                found = self._boxes(images, part)
            else:
                prepared = np.stack([self._prepared(file, image) for file, image in zip(part, images, strict=True)])
                found = self._found(torch.from_numpy(prepared), part)
            yield from map(Prediction, part, found, map(_picture, images) if self.draws else [None] * len(part))

    def _batches(self, files: Sequence[str]) -> Iterator[tuple[list[str], list[NDArray]]]:
        """Yield files with their images, as many as one forward pass takes."""
        most = 1 if self._fixed is None else MINI_BATCH
        part, images = list[str](), list[NDArray]()
        for file in files:
            part, images = [*part, file], [*images, self._read(file)]
            if len(part) == most or sum(image.nbytes for image in images) > MOST_BYTES:
                yield part, images
                part, images = [], []
        if part:
            yield part, images

    def _read(self, file: str) -> NDArray:
        image = np.atleast_3d(imread(file))
        count, wanted, color = image.shape[2], self._size.channels, self.options.color
        if count != wanted and color == "gray2rgb" and count == 1:
            image = gray2rgb(image)
        elif count != wanted and color == "rgb2gray" and count == 3:
            image = rgb2gray(image)[..., None]
        if wanted is not None and image.shape[2] != wanted:
            hint = (
                "--color gray2rgb repeats it"
                if (count, wanted) == (1, 3)
                else "--color rgb2gray converts it"
                if (count, wanted) == (3, 1)
                else ""
            )
            cause = "it is a gray image" if count == 1 else f"the network was trained on images of {wanted}"
            if _is_indexed(file):
                cause, hint = (
                    "it is an indexed image: imread gives its indices, not its colours",
                    "save it as an RGB image",
                )
            raise UsageError(
                f"{file} has {count} channel{'' if count == 1 else 's'}, the network takes {wanted}",
                cause,
                hint or "convert it first",
            )
        if self._fixed not in (None, image.shape[:2]):
            size = "×".join(map(str, self._fixed or ()))
            self._note(
                f"images are resized to {size} by imresize, {self._kernel}"
                + ("" if self._detector is not None else "; which kernel MATLAB takes is unconfirmed")
            )
        return image

    @property
    def _fixed(self) -> tuple[int, int] | None:
        """(height, width) of the images that the network takes; None where it takes any."""
        height, width = self._size.spatial
        return None if height is None or width is None else (height, width)

    def _prepared(self, file: str, image: NDArray) -> NDArray:
        """Return an image as the network takes it, C x H x W, in the range it was trained on."""
        self._require_range(file, image)
        resized = image if self._fixed is None else imresize(image, self._fixed, self._kernel)
        scale = np.float32(np.iinfo(image.dtype).max if self.options.im2single else 1)
        return np.ascontiguousarray(np.moveaxis(resized, 2, 0), np.float32) / scale

    def _require_range(self, file: str, image: NDArray) -> None:
        greatest, divides = self._contract.high, self.options.im2single
        if image.dtype != np.uint8 and not (image.dtype == np.uint16 and greatest is not None and greatest > 255):
            kind = {"bool": "1 bit", "uint16": "16 bits"}.get(image.dtype.name, image.dtype.name)
            raise UsageError(
                f"{file} has {kind} a channel", "the network was trained on images of 8 bits", "convert it to 8 bits"
            )
        if greatest is not None and (greatest > 1) == divides:
            cause = f"the statistics of the input layer come from values up to {greatest:g}"
            hint = "leave --im2single out" if divides else "--im2single divides by 255"
            raise UsageError(
                f"{file} {'would have values up to 1' if divides else 'has values up to 255'}", cause, hint
            )

    # Arrays

    def _arrays(self, file: str) -> Iterator[Prediction]:
        given = self._numbers(file)
        parts = given if isinstance(given, list) else np.split(given, range(MINI_BATCH, len(given), MINI_BATCH))
        total, number = sum(map(len, parts)), 0
        for part in parts:
            names = [f"{file} ({number + index})" if total > 1 else file for index in range(1, len(part) + 1)]
            number += len(part)
            if self._detector is not None:
                found = self._boxes(torch.from_numpy(part), names)
            else:
                found = self._found(self._within_range(np.asarray(part, np.float32)), names)
            yield from map(Prediction, names, found)

    def _numbers(self, file: str) -> NDArray | list[NDArray]:
        """Return the array of a file in torch's layout, or one of one observation for each sequence."""
        name = file
        if not _holds_arrays(file):
            what = (
                f"the network takes {self._size}, in {', '.join(READERS)}"
                if os.path.exists(file)
                else "there is no such file"
            )
            raise UsageError(f"{file} holds no array", what, "images are for networks that take one")
        if os.path.isfile(file):
            usual = [each for each in INPUT_NAMES if each in Variables.of(Path(file)).values]
            name = f"{file}:{usual[0]}" if usual else file
        value = Variables.find(name, None)
        if isinstance(value, str) or (isinstance(value, np.ndarray) and value.dtype.kind not in "biuf"):
            raise UsageError(
                f"{file} holds no numbers",
                "the network takes an array, or a cell of arrays",
                "name a variable: data.mat:X",
            )
        return arrange(value, self._size, self.options.input_dims or None, f"'{file}'", option="--input-dims")

    def _within_range(self, part: NDArray) -> Tensor:
        """Return an array as a tensor; what is out of the range that the network was trained on is told once."""
        mismatch = self._contract.mismatch(float(part.min()), float(part.max())) if part.size else ""
        if mismatch and not any(note.startswith(mismatch.partition(",")[0]) for note in self.notes):
            self._note(mismatch)
        return torch.from_numpy(part)

    # Outputs

    def _boxes(self, images: Sequence[NDArray] | Tensor, names: Sequence[str]) -> list[Found]:
        assert self._detector is not None
        for image, name in zip(images, names, strict=True):
            try:
                self._detector.require(image)
            except UsageError as error:
                raise UsageError(f"{name}: {error.error}", error.cause, error.hint) from error
        return [Boxes(each) for each in self._detector.detect(list(images), threshold=self.options.threshold)]

    def _found(self, inputs: Tensor, names: Sequence[str]) -> list[Found]:
        with computing(self.network.layers, names[0]):
            given = self._model(inputs.to(self.device))
        outputs = [each.cpu() for each in (given if isinstance(given, (tuple, list)) else (given,))]
        for output in outputs:
            wrong = (~output.isfinite()).flatten(1).any(1)
            if wrong.any():
                where = names[int(wrong.nonzero()[0])]
                raise UsageError(
                    f"the network puts out NaN or infinite values for {where}",
                    "its input or its weights hold some",
                    "look for NaN in them",
                )
        if self.task == "values":
            named = dict(zip(self.network.outputs, outputs, strict=True))
            return [
                Values({name: values[index].numpy() for name, values in named.items()}) for index in range(len(inputs))
            ]
        return [self._by_class(each) for each in outputs[0]]

    def _by_class(self, scores: Tensor) -> Found:
        names = self._classes
        if self.task == "segmentation":
            return Regions(scores.argmax(0).numpy() + 1, names)
        if self.task == "sequence labels":
            strongest, indices = scores.max(-1)
            return Steps(tuple(names[index] for index in indices.tolist()), tuple(strongest.tolist()))
        ordered, indices = scores.flatten().sort(descending=True, stable=True)
        return Classes(
            tuple(
                (names[index], score)
                for score, index in zip(ordered[:BEST].tolist(), indices[:BEST].tolist(), strict=True)
            )
        )


def _holds_arrays(file: str) -> bool:
    return Path(file).suffix.lower() in READERS or (
        not os.path.exists(file) and Path(file.rpartition(":")[0]).suffix.lower() in READERS
    )


def _is_indexed(file: str) -> bool:
    with Image.open(file) as image:
        return image.mode == "P"


def _picture(image: NDArray) -> NDArray:
    """Return an image to draw on, H x W x 3 of uint8."""
    small = image if image.dtype == np.uint8 else np.floor(255 * im2double(image) + 0.5).clip(0, 255).astype(np.uint8)
    return small[..., :3] if small.shape[2] >= 3 else gray2rgb(small[..., :1])
