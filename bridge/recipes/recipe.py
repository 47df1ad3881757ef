"""A recipe: the network it starts from, edits, trainingOptions, loss, data and random stream, as one frozen object and
one TOML file.

    schema = "bridge.recipe/1"
    trainer = "trainNetwork"

    [network]
    file = "googlenet.mat"

    [[edits]]
    freeze = "1:10"

    [options]
    solver = "sgdm"
    InitialLearnRate = 0.0003

    [rng]
    seed = 0

Nothing here imports torch.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, TypeVar

from bridge import layers
from bridge.errors import UnreadableError, UsageError, nearest
from bridge.files import toml
from bridge.files.atomic import write_text
from bridge.network import Network
from bridge.options.options import TRAINERS, TrainingOptions
from bridge.random import MatlabStream
from bridge.recipes.parts import (
    Base,
    Data,
    Loss,
    Rng,
    changed,
    expect,
    expect_table,
    expect_texts,
    located,
    refuse_unknown,
)
from bridge.recipes.verbs import Edit
from bridge.tables.layers import table_files
from bridge.tables.pretrained import require_weights

STAND_INS = ("class 1", "class 2")  # for the classes of data that is not there yet
SCHEMA = "bridge.recipe/1"
Part = TypeVar("Part", Base, Loss, Data, Rng)


@dataclass(frozen=True)
class Recipe:
    """Everything that a training is made of but the training set and the network's numbers.

    Attributes:
        base: the network it starts from.
        options: trainingOptions; they hold the trainer.
        edits: what is done to the network, in order.
        loss: the loss.
        data: the data.
        rng: where MATLAB's random stream begins, from which a split, the values of new layers and the order of the
            observations are drawn.
        description: a sentence about it.
        folder: where it was read from; files are seen from there.
    """

    base: Base
    options: TrainingOptions
    edits: tuple[Edit, ...] = ()
    loss: Loss = field(default_factory=Loss)
    data: Data = field(default_factory=Data)
    rng: Rng = field(default_factory=Rng)
    description: str = ""
    folder: Path = field(default=Path(), compare=False, repr=False)

    def __post_init__(self) -> None:
        expect_texts(self, "description")
        object.__setattr__(self, "edits", tuple(self.edits))

    @property
    def trainer(self) -> str:
        """Whose rules hold: "trainNetwork" or "trainnet"."""
        return self.options.trainer

    @property
    def is_new(self) -> bool:
        """Whether the network is assembled from nothing."""
        return bool(self.edits) and self.edits[0].verb == "assemble"

    @property
    def takes_classes(self) -> bool:
        """Whether an edit takes its class names from the data."""
        return any(edit.takes_classes for edit in self.edits)

    @classmethod
    def load(cls, path: str | Path) -> Recipe:
        """Read a recipe.

        Args:
            path: a TOML file, or the name of a recipe that ships with bridge ("googlenet-transfer").

        Raises:
            UsageError: there is none, or an entry is unknown or makes no sense; the nearest name is offered.
            UnreadableError: the file is no TOML; the line is named.
        """
        file, folder = _find(path)
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
            raise UnreadableError(
                f"{path} is no TOML file", str(error), f'a recipe is TOML, and begins with schema = "{SCHEMA}"'
            ) from error
        except OSError as error:
            raise UnreadableError(f"cannot read {path}", str(error), "check the name and its permissions") from error
        with located(str(path)):
            return cls.from_mapping(document, folder)

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any], folder: Path = Path()) -> Recipe:
        """Return the recipe in a parsed TOML file.

        Raises:
            UsageError: an entry is unknown or makes no sense.
        """
        if "seed" in document:
            raise UsageError(
                "'seed' is no entry of a recipe", "the random stream has a table of its own", "[rng] with seed = 0"
            )
        known = ("schema", "description", "trainer", "network", "edits", "options", "loss", "data", "rng")
        refuse_unknown(document, known, "entry of a recipe")
        if document.get("schema") != SCHEMA:
            raise UsageError(
                f"the schema is {document.get('schema')!r}",
                f"this version reads {SCHEMA!r}",
                f'begin with schema = "{SCHEMA}"',
            )
        trainer = document.get("trainer", TRAINERS[0])
        options = expect_table(document, "options")
        if "trainer" in options:
            raise UsageError(
                "[options] holds 'trainer'", "the trainer belongs to the whole recipe", "move it above the first table"
            )
        edits = document.get("edits", [])
        expect(
            isinstance(edits, Sequence) and not isinstance(edits, str),
            "edits",
            edits,
            "tables that begin with [[edits]]",
        )
        return cls(
            _part(Base, document, "network"),
            _options(trainer, options),
            tuple(_edit(index, entry) for index, entry in enumerate(edits, 1)),
            _part(Loss, document, "loss"),
            _part(Data, document, "data"),
            _part(Rng, document, "rng"),
            document.get("description", ""),
            folder,
        )

    def to_mapping(self) -> dict[str, Any]:
        """Return the recipe as plain values, which `from_mapping` turns back; what has its default is left out."""
        options = self.options.to_mapping()
        head = {"description": self.description, "trainer": options.pop("trainer")}
        parts: dict[str, Any] = {"network": changed(self.base), "edits": [edit.to_mapping() for edit in self.edits]}
        parts |= {"options": options, "loss": changed(self.loss), "data": changed(self.data)}
        parts["rng"] = {"seed": self.rng.seed, **changed(self.rng)}
        return {
            "schema": SCHEMA,
            **{key: value for key, value in {**head, **parts}.items() if value or key == "options"},
        }

    def to_toml(self, comments: Mapping[toml.Place, str] | None = None) -> str:
        """Return the recipe as TOML; reading that and writing it again gives the same text, but for comments beside the
        entries.
        """
        return toml.dumps(self.to_mapping(), comments)

    def save(self, path: str | Path, *, force: bool = False, comments: Mapping[toml.Place, str] | None = None) -> Path:
        """Write the recipe as TOML, with comments as `bridge.files.toml.dumps` takes them.

        Raises:
            UsageError: the file exists (without `force`), or cannot be written.
        """
        return write_text(Path(path), self.to_toml(comments), force=force)

    def network(
        self,
        base: Network | None = None,
        *,
        classes: Sequence[str] | None = None,
        rng: int | MatlabStream | None = None,
    ) -> Network:
        """Return the network to train: the base with every edit, and values for new learnables.

        Args:
            base: the network to start from, instead of the recipe's own file.
            classes: the class names of the data, for edits that take them from there.
            rng: a seed or stream for the values, instead of the recipe's own. In a training a split at random draws
                from that first.

        Raises:
            UsageError: the base is another network than the recipe is for, or an edit does not fit it.
        """
        return self.edited(base, classes).initialize(self.rng.stream() if rng is None else rng)

    def edited(self, base: Network | None = None, classes: Sequence[str] | None = None) -> Network:
        """Return the base with every edit; new learnables have no values yet.

        Raises:
            UsageError: the base is another network than the recipe is for, or an edit does not fit it.
        """
        network = self.load_base() if base is None else base
        self.base.require(network)
        for index, edit in enumerate(self.edits, 1):
            with located(f"edit {index} ({edit.verb})"):
                network = edit.apply(network, classes)
        return network

    def options_for(self, observations: int) -> TrainingOptions:
        """Return the options for a training set of `observations`: `validate_each_epoch` becomes
        ValidationFrequency.
        """
        if not self.data.validate_each_epoch:
            return self.options
        return self.options.replace(ValidationFrequency=max(1, observations // self.options.MiniBatchSize))

    def with_options(self, **names: Any) -> Recipe:
        """Return this recipe with some of its trainingOptions set anew.

        Raises:
            UsageError: an option is unknown, the nearest is offered, or its value makes no sense.
        """
        return replace(self, options=self.options.replace(**names))

    def untrained(self) -> Recipe:
        """Return this recipe, to train the network that it names from random weights."""
        return replace(self, base=replace(self.base, untrained=True))

    def seen_from(self, folder: Path) -> Recipe:
        """Return this recipe for another folder: the files it names are relative to that."""

        def moved(path: Path) -> str:
            try:
                return Path(os.path.relpath(path, folder)).as_posix()
            except ValueError:  # on another drive
                return in_full(path)

        return replace(self._moved(moved), folder=folder)

    def absolute(self) -> Recipe:
        """Return this recipe with the files it names in full."""
        return self._moved(in_full)

    def _moved(self, how: Callable[[Path], str]) -> Recipe:
        def at(path: str) -> str:
            return how(self.folder / path) if path else ""

        data = self.data
        data = replace(data, path=at(data.path), validation=at(data.validation), labels=at(data.labels))
        return replace(self, base=replace(self.base, file=at(self.base.file)), data=data)

    def python(self) -> str:
        """Return Python source that does the same: `net`, `options`, `loss`, `data` and `rng`."""
        from bridge.recipes.source import python

        return python(self)

    def load_base(self, factors: str | Path | None = None) -> Network:
        """Return the network of the recipe's own file, or one without values that MATLAB calls what the recipe does;
        for `assemble`, what it makes. What has no values yet is drawn when all edits are made, as MATLAB does.

        Args:
            factors: for an .onnx file: a .mat of the same network, with its factors.

        Raises:
            UsageError: the recipe names neither, or a pretrained network whose weights are not here.
        """
        if self.is_new:
            return self.edits[0].apply(
                Network.assemble([layers.feature_input(1, name="input")]), self.base.classes or STAND_INS
            )
        if self.base.file:
            from bridge.readers import load

            return load(self.folder / self.base.file, classes=self.base.classes or None, factors=factors)
        if self.base.name:
            from bridge.networks import architecture

            if not self.base.untrained:
                require_weights(self.base.name)
            return architecture(self.base.name, classes=self.base.classes or None)
        hint = "in MATLAB: save('net.mat', 'net'); then pass net.mat"
        raise UsageError("the recipe names no network", "it is for any one, and needs one to start from", hint)


def in_full(path: str | Path) -> str:
    """Return a path from the root, without "..", with slashes."""
    return Path(os.path.abspath(path)).as_posix()


def shipped() -> dict[str, Traversable]:
    """Return the recipes that ship with bridge, by name."""
    return table_files("recipes")


def _find(path: str | Path) -> tuple[Path | Traversable, Path]:
    """Return the file of a recipe, and the folder that its own files are seen from."""
    if Path(path).is_file():
        return Path(path), Path(path).parent
    known = shipped()
    if str(path) not in known:
        raise UsageError(
            f"there is no recipe {path}",
            "it is neither a file nor the name of one that ships",
            nearest(str(path), known),
        )
    return known[str(path)], Path()


def _edit(index: int, entry: Any) -> Edit:
    with located(f"edit {index}"):
        return Edit.from_mapping(entry)


def _options(trainer: Any, options: Mapping[str, Any]) -> TrainingOptions:
    with located("[options]"):
        return TrainingOptions.from_mapping({"trainer": trainer, **options})


def _part(kind: type[Part], document: Mapping[str, Any], name: str) -> Part:
    values = expect_table(document, name)
    refuse_unknown(values, [each.name for each in fields(kind)], f"entry of [{name}]")
    with located(f"[{name}]"):
        return kind(**values)
