"""What people do with each network, on a copy with all its layers, fewer channels and a small input.

`python -m pytest tests/networks/test_whole.py --slow` does the same at the networks' own sizes, and with those of hundreds of layers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx as protobuf
import pytest
import torch
from torch import Tensor, nn

import bridge
from bridge.errors import UsageError
from bridge.network import Network
from bridge.networks import BUILDERS, architecture, catalogue
from bridge.options.options import training_options
from bridge.parity import onnx_runtime
from docs.generate import OTHERS
from fixtures import mat, onnx, onnx_layers
from tests.networks import saved as copies
from tests.networks.saved import CLASSES, NAMES, OWN_LAYERS, saved
from tests.networks.saved import thin as thin_copy

DIALECTS = (
    "19.2.1",
    "24.2.0",
)  # opset 8 with fixed sizes; opset 14 with a free batch and 'same' padding computed in the graph
OUTPUTS = {
    "segnetLayers(3)": "pixels",
    "segnetLayers('vgg16')": "pixels",
    "segnetLayers('vgg19')": "pixels",
    "unetLayers": "pixels",
    "unet": "pixels",
    "unet3dLayers": "pixels",
    "deeplabv3plusLayers": "pixels",
    "yolov2Layers": "boxes",
}
NEW_CLASSES = ["f", "m"]
HEAVY = (
    "densenet201",
    "googlenet-places365",
    "inceptionresnetv2",
    "inceptionv3",
    "nasnetlarge",
    "nasnetmobile",
    "resnet101",
    "segnetLayers('vgg19')",
)  # hundreds of layers, or much like another one
COMPILED = ("squeezenet", "unetLayers")  # the others with --slow: tests/modules compiles every class of layers


@dataclass(frozen=True)
class Case:
    """A network, the folder of its files (net.mat, net-DIALECT.onnx), and what the .mat file gives."""

    name: str
    folder: Path
    network: Network

    @property
    def images(self) -> Tensor:
        """Two images, uniform over what the input layer was trained on."""
        return torch.from_numpy(onnx_runtime.sample_inputs(self.network, batch=2)[0])


def cases() -> Iterator[Any]:
    for name in NAMES:
        yield pytest.param((name, False), id=name, marks=[pytest.mark.slow] * (name in HEAVY))
        if name in BUILDERS:
            yield pytest.param((name, True), id=f"{name} whole", marks=pytest.mark.slow)


@pytest.fixture(scope="module", params=cases())
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Case:
    name, is_whole = request.param
    folder = tmp_path_factory.mktemp("network")
    net = saved(architecture(name, classes=CLASSES) if is_whole else thin_copy(name))
    mat.write(folder / "net.mat", {"net": net})
    with pytest.MonkeyPatch.context() as patch:
        for kind, writer in OWN_LAYERS.items():
            patch.setitem(onnx_layers._writers, kind, writer)
        for dialect in DIALECTS:
            onnx.write(folder / f"net-{dialect}.onnx", net, dialect)
    return Case(name, folder, bridge.load(folder / "net.mat"))


def before_softmax(network: Network) -> str:
    """Return the layer that the last softmax reads; a probability of a random network is soon 0 or 1, whatever else is wrong."""
    softmax = [layer.name for layer in network.layers if layer.kind in ("SoftmaxLayer", "YOLOv2TransformLayer")][-1]
    return network.incoming[softmax][0].source


def outputs(model: nn.Module, images: Tensor, layers: tuple[str, ...]) -> list[np.ndarray]:
    """Return what layers put out, and last what the module does."""
    found: dict[str, Tensor] = {}
    hooks = [
        model.get_submodule(name).register_forward_hook(lambda _m, _x, y, name=name: found.update({name: y.detach()}))
        for name in layers
    ]
    with torch.no_grad():
        last = model(images)
    for hook in hooks:
        hook.remove()
    return [found[name].numpy() for name in layers] + [last.numpy()]


def same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Equal to 1e-5 of the largest value, whatever dimensions of length one there are."""
    assert np.abs(ours.reshape(theirs.shape) - theirs).max() <= 1e-5 * max(1.0, float(np.abs(theirs).max()))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_its_files_compute_what_onnxruntime_does(case: Case, dialect: str) -> None:
    """Oracle: onnxruntime on the .onnx, for its module and for that of the .mat of the same network."""
    path = case.folder / f"net-{dialect}.onnx"
    network = bridge.load(path)
    image, read = case.images[:1], before_softmax(network)
    values = [network.source.values[read], protobuf.load(path).graph.output[0].name]
    theirs = onnx_runtime.run(path, [image.numpy()], values)
    for ours, expected in zip(outputs(network.to_torch(), image, (read,)), theirs.values(), strict=True):
        same(ours, expected)
    for ours, expected in zip(
        outputs(case.network.to_torch(), image, (before_softmax(case.network),)), theirs.values(), strict=True
    ):
        same(ours, expected)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_its_onnx_detects_what_its_mat_does(case: Case, dialect: str) -> None:
    """Oracle: the .mat, which has its anchors."""
    if OUTPUTS.get(case.name) != "boxes":
        return
    (case.folder / "anchors.toml").write_text(
        'AnchorBoxes = [[8, 16], [16, 8]]\nClassNames = ["car", "bus"]', encoding="utf-8"
    )
    network = bridge.load(case.folder / f"net-{dialect}.onnx", anchors=case.folder / "anchors.toml")
    image = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    found, wanted = network.detect(image, threshold=0.3), case.network.detect(image, threshold=0.3)
    assert found.boxes.tolist() == wanted.boxes.tolist() != [] and found.labels == wanted.labels
    same(found.scores.numpy(), wanted.scores.numpy())


def test_its_mat_file_has_its_layers(case: Case) -> None:
    """Oracle: the network that was built."""
    built = thin_copy(case.name)
    assert [(layer.name, layer.kind) for layer in case.network.layers] == [
        (layer.name, layer.kind) for layer in built.layers
    ]
    assert set(case.network.connections) == set(built.connections)
    factors = [[(a.learn_rate_factor, a.l2_factor) for _, _, a in net.learnables()] for net in (case.network, built)]
    assert factors[0] == factors[1]


def test_a_new_head_trains_with_frozen_layers(case: Case) -> None:
    """One epoch of two mini-batches. Oracle: what the recipe says: frozen learnables keep their bits, the new head's change."""
    network = case.network
    frozen = network.freeze(network.layers[:10])
    assert all(each.frozen for _, _, each in network.freeze("*").learnables())
    assert not any(parameter.requires_grad for parameter in network.freeze("*").to_torch().parameters())
    generator = torch.Generator().manual_seed(0)
    images, kind = torch.cat([case.images, case.images]), OUTPUTS.get(case.name, "classes")
    if kind == "classes":
        entry = catalogue()[case.name]
        assert network.head().layer.name == entry.head[0] and network.layers[-1].name == entry.head[-1]
        frozen = frozen.with_classes(NEW_CLASSES, WeightLearnRateFactor=10).initialize()
        assert frozen.sizes[frozen.outputs[0]][0].channels == len(NEW_CLASSES)
        targets = torch.tensor([0, 1, 1, 0])
    elif kind == "pixels":
        size = network.sizes[before_softmax(network)][0].spatial
        targets = torch.randint(-1, len(CLASSES), (4, *size), generator=generator)  # type: ignore[arg-type]
    else:
        return  # boxes: tests/detection trains detectors
    options = training_options(
        "sgdm", MaxEpochs=1, MiniBatchSize=2, InitialLearnRate=1e-6, Verbose=False, ResetInputNormalization=False
    )
    info = bridge.train(frozen, (images, targets), options, layout="NCHW")
    assert info.iterations == 2 and info.network is not None and np.isfinite(info.rows[-1]["TrainingLoss"])
    before, after = (
        {(layer.name, name): each for layer, name, each in net.learnables()} for net in (frozen, info.network)
    )
    kept = {key for key, each in before.items() if np.array_equal(each.value, after[key].value)}
    assert {key for key, each in before.items() if each.frozen} <= kept
    if kind == "classes":
        assert (frozen.head().layer.name, "Weights") not in kept


def test_its_input_can_have_another_size(case: Case) -> None:
    """Oracle: the sizes; a fully connected layer that has its weights knows the size of its input, and is named."""
    height, width, *others = case.network.layers[0].InputSize
    size = (height + 32, width + 64, *others)
    if any(layer.kind == "FullyConnectedLayer" and layer.name == "fc6" for layer in case.network.layers):
        with pytest.raises(UsageError, match="fc6"):
            case.network.with_input_size(size[:2])
        return
    larger = case.network.with_input_size(size[:-1])
    assert larger.layers[0].InputSize == size
    with torch.no_grad():
        found = larger.to_torch()(torch.rand(1, size[-1], *size[:-1]))
    out = larger.sizes[larger.outputs[0]][0]
    assert found.shape[1:].numel() == out.channels * int(np.prod(out.spatial)) and torch.isfinite(found).all()


@pytest.mark.parametrize("form", ["mat", "onnx"])
def test_it_is_exported_and_read_back_bit_for_bit(case: Case, form: str, tmp_path: Path) -> None:
    """Oracle: the network itself, its arrays and what its module computes."""
    bridge.export(case.network, tmp_path / f"back.{form}", tell=lambda loss: None)
    back = bridge.load(tmp_path / f"back.{form}")
    theirs = [each.value for _, _, each in back.learnables()]
    ours = [each.value for _, _, each in case.network.learnables()]
    assert len(theirs) == len(ours)
    if form == "mat":  # an .onnx holds arrays of other axes; the outputs tell
        for value, own in zip(theirs, ours, strict=True):
            np.testing.assert_array_equal(np.squeeze(value), np.squeeze(own))
    with torch.no_grad():
        expected, again = case.network.to_torch()(case.images), back.to_torch()(case.images)
    np.testing.assert_array_equal(again.numpy().reshape(expected.shape), expected.numpy())


def test_it_compiles_and_exports(case: Case, pytestconfig: pytest.Config) -> None:
    """Oracle: the module as it is. aot_eager runs the same kernels, and so does the exported program."""
    if case.name not in COMPILED and not pytestconfig.getoption("--slow"):
        pytest.skip("slow: runs with --slow")
    model, images = case.network.to_torch(), case.images
    torch._dynamo.reset()
    compiled: Any = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        expected = model(images)
        torch.testing.assert_close(compiled(images), expected, rtol=0, atol=0)
        torch.testing.assert_close(torch.export.export(model, (images,)).module()(images), expected, rtol=0, atol=0)


def test_the_page_has_a_line_for_each() -> None:
    assert set(OTHERS) == set(copies.OTHERS)
