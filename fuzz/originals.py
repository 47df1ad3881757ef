"""The sound inputs that are changed: the kept files of `fixtures/files`, and small ones made here, always the same."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from PIL import Image

import bridge
from bridge.network import Network
from fixtures import layers as L
from fixtures import mat, networks, onnx, reference
from fixtures.__main__ import shapes
from fixtures.layers import Net
from fixtures.objects import categorical, shallow_network, table, training_info, training_options

ROOT = Path(__file__).parents[1]
FILES = ROOT / "fixtures" / "files"
SCRIPTS = ROOT / "tests" / "scripts" / "corpus"
RECIPES = ROOT / "mappings" / "recipes"
CHANNELS = {"H": 12, "W": 10}  # of the network "shapes", on which arrays and references are tried
Array = np.ndarray[Any, Any]

# What mutations know of a file's bytes, by its ending.
FORMS = {
    ".onnx": "onnx", ".json": "json", ".safetensors": "safetensors", ".toml": "toml", ".m": "script",
    ".png": "png", ".jpg": "bytes", ".tif": "bytes", ".bmp": "bytes", ".gif": "bytes",
    ".npy": "npy", ".npz": "npz", ".csv": "csv", ".txt": "csv",
}  # fmt: skip


@dataclass(frozen=True)
class Original:
    """A sound input.

    Attributes:
        path: the file that is changed.
        role: what it is tried as; see `fuzz.trials`.
        folder: the folder that is the input, where the file is a part of one.
    """

    path: Path
    role: str
    folder: Path | None = None

    @property
    def form(self) -> str:
        """What mutations know of its bytes."""
        if self.path.suffix != ".mat":
            return FORMS[self.path.suffix]
        with self.path.open("rb") as stream:
            return "hdf5" if stream.read(10) == b"MATLAB 7.3" else "mat5"


def originals(folder: Path) -> tuple[Original, ...]:
    """Make all sound inputs below `folder`, and return them in an order that is always the same."""
    makers = (_networks, _saved, _references, _arrays, _images, _texts, _records)
    return tuple(each for make in makers for each in make(folder))


def _networks(folder: Path) -> Iterator[Original]:
    for path in sorted(FILES.iterdir()):
        yield Original(path, "network")
    for make in (networks.lstm_classifier, networks.gru_classifier, networks.feature_mlp, networks.residual):
        net = make()
        mat.write(folder / f"{make.__name__}.mat", {"net": net})
        mat.write(folder / f"{make.__name__}_v73.mat", {"net": net}, container="v7.3", compress=False)
        onnx.write(folder / f"{make.__name__}.onnx", net, "20.2.1")
        yield from (Original(folder / f"{make.__name__}{end}", "network") for end in (".mat", "_v73.mat", ".onnx"))
    held = {
        "plain.mat": {"net": shapes()},  # not compressed: no checksum guards what is inside
        "dlnetwork.mat": {"net": networks.as_dlnetwork(networks.residual())},
        "shallow.mat": {"net": shallow_network(np.random.default_rng(0))},
        "options.mat": {"options": training_options("adam", MaxEpochs=2.0), "lgraph": shapes().layers},
    }
    for name, variables in held.items():
        mat.write(folder / name, variables, compress=name != "plain.mat")
        yield Original(folder / name, "network")


def _saved(folder: Path) -> Iterator[Original]:
    """Saved folders: of a network without and with branches, and of a training that is done."""
    for name, file in {"shapes": "shapes.mat", "drones": "drones.mat"}.items():
        saved = bridge.load(FILES / file).save(folder / "saved" / name)
        for part in sorted(path for path in saved.rglob("*") if path.suffix in (".json", ".safetensors")):
            yield Original(part, "network", saved)
    run = folder / "run"
    with mock.patch("time.perf_counter", return_value=0.0):  # the log tells the time
        bridge.train(shapes_network(), _observations(6), _options(), output=run)
    for part in sorted(path for path in run.iterdir() if path.suffix in (".json", ".safetensors")):
        yield Original(part, "run", run)


def shapes_network() -> Network:
    """The small network on which data, arrays and references are tried."""
    return bridge.load(FILES / "shapes.mat")


def _observations(count: int) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    return rng.uniform(0, 255, (count, 1, *CHANNELS.values())).astype(np.float32), np.arange(count) % 3


def _options() -> bridge.TrainingOptions:
    return bridge.training_options("sgdm", MaxEpochs=1, MiniBatchSize=3, InitialLearnRate=1e-4, Verbose=False)


def _references(folder: Path) -> Iterator[Original]:
    """What MATLAB computed of "shapes", as bridgeReference saves it and as plain variables."""
    import torch

    network, (images, _) = shapes_network(), _observations(4)
    model = network.to_torch()
    held: dict[str, Array] = {}
    for path, name in model.meta["layers"].items():  # type: ignore[union-attr]
        model.get_submodule(path).register_forward_hook(
            lambda _, __, value, name=name: held.__setitem__(name, value.clone().numpy())
        )
    with torch.no_grad():
        scores = model(torch.from_numpy(images)).numpy().reshape(4, -1)
    turned = {
        name: reference.in_matlabs_layout(value.reshape(*value.shape, *(1,) * (4 - value.ndim)), "SSCB")
        for name, value in held.items()
    }
    content = reference.reference(
        {network.inputs[0]: reference.in_matlabs_layout(images, "SSCB")},
        {network.outputs[0]: scores},
        turned,
        {(layer.name, name): each.value for layer, name, each in network.learnables()},
        {(layer.name, name): array.read() for layer in network.layers for name, array in layer.state.items()},
        classes=network.classes or (),
    )
    mat.write(folder / "reference.mat", {"reference": _rows(content)}, compress=False)
    arrays = {"X": images.transpose(2, 3, 1, 0), "Y": scores}
    mat.write(folder / "variables.mat", arrays, compress=False)
    mat.write(folder / "variables_v73.mat", arrays, container="v7.3")
    with (folder / "variables.npz").open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    (folder / "scores.csv").write_text("\n".join(",".join(map(str, row)) for row in [["a", "b", "c"], *scores]))
    names = ("reference.mat", "variables.mat", "variables_v73.mat", "variables.npz")
    yield from (Original(folder / name, "reference") for name in names)
    yield Original(folder / "scores.csv", "outputs")
    yield from _steps(folder, content["Hardware"])


def _rows(value: Any) -> Any:
    """A struct whose cells have at least two dimensions, as `mat.write` takes it."""
    if isinstance(value, Mapping):
        return {name: _rows(each) for name, each in value.items()}
    if isinstance(value, np.ndarray) and value.dtype == object:
        made = np.empty(value.shape, object)
        for at, each in np.ndenumerate(value):
            made[at] = _rows(each)
        return made
    return value


def _steps(folder: Path, hardware: Any) -> Iterator[Original]:
    """One recorded step of a linear network; its numbers need not agree, the record must only be read."""
    rng = np.random.default_rng(3)
    layers = (
        L.imageInputLayer((1, 1, 3), "in", "none"),
        L.fullyConnectedLayer(rng, "fc", (1, 1, 3), 2),
        L.regressionLayer("out"),
    )
    mat.write(folder / "linear.mat", {"net": Net("SeriesNetwork", layers)})
    weights = bridge.load(folder / "linear.mat").layers["fc"].Weights
    x, t = rng.normal(size=(3, 5)), rng.normal(size=(5, 2))
    images, y = x.reshape(1, 1, 3, 5), (weights @ x).astype(np.float32)
    held = reference.reference(
        {"in": images}, {"out": y.T}, {"in": images, "fc": y.reshape(1, 1, 2, 5)}, {("fc", "Weights"): weights}, {}
    )
    (folder / "steps").mkdir()
    mat.write(folder / "steps" / "reference.mat", {"reference": _rows(held)}, compress=False)
    record = {"Layer": "fc", "Parameter": "Weights", **reference.record(weights)}
    step = {"Iteration": 1.0, "Loss": 1.0, "LearnRate": 0.05, "Learnables": reference.column([record])}
    steps = {
        "Format": "bridge.steps/1", "Release": "2024b", "Toolbox": "24.2", "Kind": "SeriesNetwork",
        "Hardware": hardware, "Samples": 4000.0, "Seed": 1.0, "Trainer": "trainNetwork", "Loss": "mse", "Targets": t,
        "TrainingOptions": np.array([["sgdm", "InitialLearnRate", 0.05]], dtype=object),
        "Gradients": {"Loss": 1.0, "Learnables": reference.column([record])},
        "Steps": reference.column([{**step, "State": np.empty((0, 1), object)}]),
    }  # fmt: skip
    path = folder / "steps" / "reference.steps.mat"
    mat.write(path, {"steps": _rows(steps)}, compress=False)
    yield Original(path, "steps", path.parent)


def _arrays(folder: Path) -> Iterator[Original]:
    """Data to train and to predict on."""
    images, labels = _observations(6)
    np.save(folder / "images.npy", images.transpose(2, 3, 1, 0))
    yield Original(folder / "images.npy", "array")
    names = ["circle", "square", "triangle"]
    data = {"X": images.transpose(2, 3, 1, 0), "Y": categorical(names, labels + 1)}
    mat.write(folder / "data.mat", data)
    yield Original(folder / "data.mat", "data")


def _images(folder: Path) -> Iterator[Original]:
    pictures = folder / "pictures"
    pictures.mkdir()
    rng = np.random.default_rng(1)
    for name, mode, channels in (("plain.png", "RGB", 3), ("alpha.png", "RGBA", 4), ("grey.png", "L", 0)):
        pixels = rng.integers(0, 256, (12, 10, channels)[: 3 if channels else 2], dtype=np.uint8)
        Image.fromarray(pixels, mode).save(pictures / name)
    plain = Image.open(pictures / "plain.png")
    for name in ("plain.jpg", "plain.tif", "plain.bmp", "plain.gif"):
        plain.save(pictures / name)
    plain.convert("P", palette=Image.Palette.ADAPTIVE).save(pictures / "indexed.png")
    Image.fromarray(rng.integers(0, 1 << 16, (12, 10), dtype=np.uint16)).save(pictures / "deep.png")
    yield from (Original(path, "image", pictures) for path in sorted(pictures.iterdir()))
    yield from _tables(folder / "tables", pictures)


def _tables(folder: Path, pictures: Path) -> Iterator[Original]:
    """Lists of images with their labels, and with the boxes of their objects."""
    shutil.copytree(pictures, folder / "pictures")
    objects = np.array([["pictures/plain.png"], ["pictures/plain.jpg"]], dtype=object)
    boxes = np.empty((2, 1), dtype=object)
    boxes[:, 0] = np.array([[2.0, 3, 4, 5]]), np.empty((0, 4))
    mat.write(folder / "objects.mat", {"truth": table({"file": objects, "drone": boxes}, 2)})
    (folder / "objects.csv").write_text("path,x,y,width,height,label\npictures/plain.png,2,3,4,5,drone\n")
    (folder / "images.csv").write_text(_TABLE)
    yield from (Original(folder / f"objects{end}", "objects", folder) for end in (".mat", ".csv"))
    yield Original(folder / "images.csv", "images", folder)


def _texts(folder: Path) -> Iterator[Original]:
    yield from (Original(path, "recipe") for path in sorted(RECIPES.glob("*.toml")))
    yield from (Original(path, "script") for path in sorted(SCRIPTS.glob("*.m")))
    recipes = folder / "recipes"
    recipes.mkdir()
    for name in ("shapes.mat", "segnet.mat", "drones.mat"):
        shutil.copyfile(FILES / name, recipes / name)
    for name, text in {
        "edits": _EDITS,
        "labels": _LABELS,
        "quick": _QUICK,
        "pictures": _PICTURES,
        "boxes": _BOXES,
    }.items():
        (recipes / f"{name}.toml").write_text(text, encoding="utf-8")
        yield Original(recipes / f"{name}.toml", "recipe", recipes)
    files = {
        "mine.toml": ("mappings", _ROW),
        "anchors.toml": ("anchors", 'AnchorBoxes = [[8, 8], [6, 3]]\nClassNames = ["drone", "bird"]\nWH2HW = false\n'),
        "profile.toml": (
            "profile",
            'schema = "bridge.profile/1"\nname = "R2021a"\n[trainNetwork]\nadam_epsilon = "A"\n',
        ),
        "classes.txt": ("classes", "circle\nsquare\ntriangle\n"),
        "order.txt": ("order", "5 4 3 2 1 0\n"),
    }
    for name, (role, text) in files.items():
        (folder / name).write_text(text, encoding="utf-8")
        yield Original(folder / name, role)


_EDITS = """schema = "bridge.recipe/1"
description = "every verb"
trainer = "trainnet"
[network]
file = "shapes.mat"
head = "fc-2"
[[edits]]
freeze = "conv-*"
batch_norm = false
[[edits]]
set_learn_rate_factor = "fc-1/Weights"
factor = 0.5
[[edits]]
set_l2_factor = "fc-1/Bias"
factor = 2
[[edits]]
remove = "relu-1"
[[edits]]
connect = ["bn-1", "pool-1"]
[[edits]]
replace = "tanh-1"
layers = {layer = "leakyReluLayer", Scale = 0.2, Name = "leaky"}
[[edits]]
with_input_size = [14, 10, 1]
[[edits]]
with_classes = ["ring", "box"]
WeightLearnRateFactor = 10
[loss]
class_weights = [1.5, 0.5]
[options]
solver = "adam"
MaxEpochs = 2
MiniBatchSize = 3
LearnRateSchedule = "piecewise"
GradientThreshold = 2.5
[data]
path = "pictures"
size = [14, 10]
split = [0.6]
randomized = true
[data.augmentation]
RandXReflection = true
RandRotation = [-10, 10]
"""
_LABELS = """schema = "bridge.recipe/1"
trainer = "trainNetwork"
network = {file = "segnet.mat"}
[loss]
class_weights = [1.0, 2.5]
[options]
solver = "rmsprop"
[data]
path = "pictures"
labels = "labels"
label_values = {sky = [[0, 0, 255], [0, 0, 128]], road = [[64, 64, 64]]}
ignored = [[0, 0, 0]]
"""
_QUICK = """schema = "bridge.recipe/1"
[network]
file = "shapes.mat"
[options]
solver = "sgdm"
InitialLearnRate = 0.0001
MaxEpochs = 1
MiniBatchSize = 3
Verbose = false
[data]
path = "../data.mat"
"""
_PICTURES = _QUICK.replace("../data.mat", "../tables/images.csv") + 'ColorPreprocessing = "rgb2gray"\n'
_BOXES = _QUICK.replace("shapes.mat", "drones.mat").replace("../data.mat", "../tables/objects.csv")
_TABLE = """path,label,split,position
pictures/plain.png,circle,train,1
pictures/alpha.png,square,train,2
pictures/plain.bmp,triangle,train,3
pictures/plain.gif,triangle,validation,1
"""
_ROW = """[ScaleLayer]
matlab = "my.ScaleLayer"
constructor = "my.scaleLayer"
torch = "LeakyReLU"
[ReLULayer.properties.Scale]
torch = "negative_slope"
default = 0.1
"""


def _records(folder: Path) -> Iterator[Original]:
    """Logs and answers of MATLAB's."""
    info = training_info(np.linspace(2, 1, 8).tolist(), every=4)
    mat.write(folder / "info.mat", {"info": info})
    yield Original(folder / "info.mat", "log")
    values = {"Parameter": 1.0, "Gradients": np.array([[1e-6, 1e-3]]), "Updated": np.array([[0.99924, 0.9]])}
    schedule = {"Class": "exponentialLearnRate", "Properties": {"DropFactor": 0.5, "Period": 2.0}}
    rates = {"InitialLearnRate": 1.0, "LearnRates": 0.5 ** (np.arange(12.0)[None] / 2), "Schedule": schedule}
    answers = {
        "AdamUpdate": {"Question": 1.0, "Values": values, "Error": ""},
        "Exponential": {"Question": 6.0, "Values": rates, "Error": ""},
        "Cyclical": {"Question": 6.0, "Values": {}, "Error": "Undefined function 'cyclicalLearnRate'"},
    }
    hardware = {"Architecture": "glnxa64", "Threads": 1.0, "Environment": "cpu", "GPU": ""}
    facts = {"Format": "bridge.probe/1", "Release": "2024b", "Toolbox": "24.2"}
    mat.write(folder / "probe.mat", {"probe": {**facts, "Hardware": hardware, "Answers": answers}}, compress=False)
    yield Original(folder / "probe.mat", "probe")
