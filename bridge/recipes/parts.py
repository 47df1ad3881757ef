"""The parts of a recipe: where it starts, its loss, its data and its random stream; each checks itself."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import MISSING, dataclass, field, fields
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError, UsageError, nearest
from bridge.network import Network
from bridge.random import MatlabStream
from bridge.recipes.verbs import frozen, plain

if TYPE_CHECKING:
    from bridge.images.augment import imageDataAugmenter

SIZE_MODES = ("resize", "centercrop", "randcrop")
COLORS = ("none", "gray2rgb", "rgb2gray")


@dataclass(frozen=True)
class Base:
    """The network a recipe starts from.

    Attributes:
        name: what MATLAB calls it ("googlenet").
        file: an .onnx, a .mat or a saved folder, seen from the recipe's own folder.
        classes: class names, where the file has none.
        layers: the names its layers begin with, in MATLAB's order, and
        head: the name of its last layer with weights: a network with others is refused, naming the first difference.
        untrained: a network that is named alone is trained from random weights, MATLAB's Weights="none".
    """

    name: str = ""
    file: str = ""
    classes: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    head: str = ""
    untrained: bool = False

    def __post_init__(self) -> None:
        expect_texts(self, "name", "file", "head")
        expect_names(self, "classes", "layers")
        expect(isinstance(self.untrained, bool), "untrained", self.untrained, "true or false")

    def require(self, network: Network) -> None:
        """Raise UsageError, naming the first difference, unless `network` is the one the recipe is for."""
        for index, (expected, layer) in enumerate(
            zip(self.layers, [*network.layers, *[None] * len(self.layers)], strict=False), 1
        ):
            if layer is None or layer.name != expected:
                found = "missing" if layer is None else f"'{layer.name}'"
                raise self._other(f"layer {index} is {found}", f"it should be '{expected}'")
        if self.head and network.head().layer.name != self.head:
            raise self._other(
                f"its last layer with weights is '{network.head().layer.name}'", f"it should be '{self.head}'"
            )

    def _other(self, found: str, expected: str) -> UsageError:
        title = f"the recipe is for another network{f', {self.name}' if self.name else ''}"
        return UsageError(
            f"{title}: {found}",
            expected,
            "choose the network of the recipe; an .onnx gets MATLAB's names with factors='net.mat'",
        )


@dataclass(frozen=True)
class Loss:
    """The loss, where it is not the one the network says.

    Attributes:
        name: a name that `bridge.training.losses.loss` knows; "" is the output layer's, or "crossentropy" for trainnet.
        class_weights: one for each class, in the order of the classes; () for none.
    """

    name: str = ""
    class_weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        expect_texts(self, "name")
        object.__setattr__(self, "class_weights", frozen(self.class_weights))
        good = isinstance(self.class_weights, tuple) and all(
            _is_number(each) and 0 <= each < float("inf") for each in self.class_weights
        )
        expect(good, "class_weights", self.class_weights, "a list of numbers that are not negative, one for each class")


@dataclass(frozen=True)
class Rng:
    """Where in MATLAB's random stream a training begins, with its split or the initial values.

    Attributes:
        seed: of rng(seed); 0 is also rng('default') and a fresh session.
        skip: how many doubles were drawn before, as by a script that made its data.
    """

    seed: int = 0
    skip: int = 0

    def __post_init__(self) -> None:
        expect(is_whole(self.seed) and self.seed < 2**32, "seed", self.seed, "a whole number from 0 to 4294967295")
        expect(is_whole(self.skip), "skip", self.skip, "a whole number from 0")

    def stream(self) -> MatlabStream:
        """Return the stream at that place."""
        return MatlabStream(self.seed, position=self.skip)


@dataclass(frozen=True)
class Data:
    """The images or sequences, how they are divided and what is done to them.

    Attributes:
        path: a folder with a folder for each class, a .csv or a .mat, seen from the recipe's own folder.
        split: what splitEachLabel takes, shares or numbers of files: the first part trains, the second (or the rest,
            where there is one part) validates, what remains is for testing. () trains on everything.
        randomized: whether the split is at random: it is the first that draws from the recipe's stream.
        validation: a path of the same kind with the validation data, instead of the second part.
        size: (height, width) the images are brought to; () is the input layer's.
        OutputSizeMode, ColorPreprocessing: of augmentedImageDatastore.
        augmentation: options of imageDataAugmenter, for the training images.
        validate_each_epoch: ValidationFrequency is the number of iterations of an epoch.
        labels: a folder of label images, one for each image and in the same order, to train a segmentation network on.
        label_values: the value of each class in them, a list of values, or a list of colours [red, green, blue].
        ignored: values or colours that are undefined; "others": all that belong to no class.
        validates: whether the second part of the split validates; without, it is for testing too.
    """

    path: str = ""
    split: tuple[float, ...] = ()
    randomized: bool = False
    validation: str = ""
    size: tuple[int, ...] = ()
    OutputSizeMode: str = "resize"
    ColorPreprocessing: str = "none"
    validate_each_epoch: bool = False
    augmentation: Mapping[str, Any] = field(default_factory=dict)
    labels: str = ""
    label_values: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[Any, ...] | str = ()
    validates: bool = True

    def __post_init__(self) -> None:
        expect_texts(self, "path", "validation", "labels")
        for name in ("split", "label_values", "ignored", "size", "augmentation"):
            object.__setattr__(self, name, frozen(getattr(self, name)))
        for name in ("validates", "randomized", "validate_each_epoch"):
            expect(isinstance(getattr(self, name), bool), name, getattr(self, name), "true or false")
        expect(
            self.OutputSizeMode in SIZE_MODES, "OutputSizeMode", self.OutputSizeMode, ", ".join(map(repr, SIZE_MODES))
        )
        expect(
            self.ColorPreprocessing in COLORS,
            "ColorPreprocessing",
            self.ColorPreprocessing,
            ", ".join(map(repr, COLORS)),
        )
        two = (
            isinstance(self.size, tuple) and len(self.size) in (0, 2) and all(is_whole(n) and n > 0 for n in self.size)
        )
        expect(two, "size", self.size, "[height, width] in pixels")
        expect(_is_split(self.split), "split", self.split, "shares below 1 that sum to at most 1, or numbers of files")
        expect(
            bool(self.labels) == bool(self.label_values),
            "label_values",
            self.label_values,
            "a value of each class, together with labels",
        )
        self.augmenter()

    def augmenter(self) -> imageDataAugmenter | None:
        """Return the imageDataAugmenter of `augmentation`, or None without any.

        Raises:
            UsageError: an option is unknown or makes no sense.
        """
        expect(
            isinstance(self.augmentation, Mapping), "augmentation", self.augmentation, "options of imageDataAugmenter"
        )
        if not self.augmentation:
            return None
        from bridge.images.augment import imageDataAugmenter

        refuse_unknown(
            self.augmentation, [each.name for each in fields(imageDataAugmenter)], "option of imageDataAugmenter"
        )
        for name, value in self.augmentation.items():
            if name.endswith("Reflection"):
                expect(isinstance(value, bool), name, value, "true or false")
            elif name.startswith("Rand"):
                pair = isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))
                expect(pair, name, value, "[smallest, largest]")
        return imageDataAugmenter(**self.augmentation)


def changed(part: Base | Loss | Data | Rng) -> dict[str, Any]:
    """Return the attributes that differ from their defaults, as plain values."""
    defaults = {each.name: each.default if each.default is not MISSING else {} for each in fields(part)}
    return {name: plain(getattr(part, name)) for name, default in defaults.items() if getattr(part, name) != default}


@contextmanager
def located(where: str) -> Iterator[None]:
    """Put the place before the errors that come from it."""
    try:
        yield
    except BridgeError as error:
        raise type(error)(f"{where}: {error.error}", error.cause, error.hint) from error


def refuse_unknown(given: Iterable[str], known: Iterable[str], what: str) -> None:
    names = list(known)
    for name in given:
        if name not in names:
            raise UsageError(f"'{name}' is no {what}", nearest(name, names))


def expect_table(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name, {})
    expect(isinstance(value, Mapping), name, value, f"a table, [{name}]")
    return value  # type: ignore[no-any-return]


def expect(good: bool, name: str, value: Any, wanted: str) -> None:
    if not good:
        raise UsageError(f"{name} is {plain(value)!r}", f"it takes {wanted}")


def expect_texts(part: Any, *names: str) -> None:
    for name in names:
        expect(isinstance(getattr(part, name), str), name, getattr(part, name), "text")


def expect_names(part: Any, *names: str) -> None:
    for name in names:
        value = frozen(getattr(part, name))
        object.__setattr__(part, name, value)
        distinct = (
            isinstance(value, tuple) and all(isinstance(each, str) for each in value) and len(set(value)) == len(value)
        )
        expect(distinct, name, value, "a list of names, each once")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_split(split: Any) -> bool:
    if not isinstance(split, tuple) or not all(_is_number(part) and part > 0 for part in split):
        return False
    return (all(part < 1 for part in split) and sum(split) <= 1) or all(part >= 1 and part % 1 == 0 for part in split)
