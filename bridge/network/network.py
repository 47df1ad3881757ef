"""A network with all that can be done with it: building, editing, saving. Each method says which function it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn

from bridge.errors import UsageError
from bridge.network.base import BaseNetwork, Selection
from bridge.network.layer import Factor, Layer, checked_gates

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn
    from torch.fx import GraphModule

    from bridge.detection.detector import Detector
    from bridge.network.head import Head
    from bridge.random import MatlabStream

OF_MODULES = (  # what users of torch look for
    "children", "cpu", "cuda", "double", "eval", "float", "forward", "half", "load_state_dict", "modules",
    "named_parameters", "parameters", "requires_grad_", "state_dict", "to", "train", "zero_grad",
)  # fmt: skip
NORMALIZATION = ("Scale", "Offset")  # the learnables of normalisation layers


@dataclass(frozen=True, repr=False)
class Network(BaseNetwork):
    """A network as MATLAB holds it. Immutable: every edit returns a new one; `BaseNetwork` tells of its fields."""

    def to_torch(
        self,
        *,
        include_normalization: bool = True,
        include_softmax: bool = True,
        modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
        optimize: bool = False,
    ) -> GraphModule:
        """Build the PyTorch module of this network; see `bridge.modules.build.to_torch`."""
        from bridge.modules.build import to_torch

        return to_torch(
            self,
            include_normalization=include_normalization,
            include_softmax=include_softmax,
            modules=modules,
            optimize=optimize,
        )

    def to_detector(
        self,
        *,
        anchor_order: str | None = None,
        resize: str | None = None,
        rounding: str | None = None,
        modules: Mapping[str, Callable[[Layer], nn.Module]] | None = None,
    ) -> Detector:
        """Build the detector of this network: anchors, classes and `detect`; see `bridge.detection.detector`."""
        from bridge.detection.detector import Detector

        return Detector(self, anchor_order=anchor_order, resize=resize, rounding=rounding, modules=modules)

    def detect(self, images: Any, **options: Any) -> Any:
        """Find objects with the detector of this network, which is built once; see
        `bridge.detection.detector.Detector.detect`.
        """
        return self._detector.detect(images, **options)

    @cached_property
    def _detector(self) -> Detector:
        return self.to_detector()

    def save(self, folder: str | Path) -> Path:
        """Save as a folder (network.json, model.safetensors, README.md); see `bridge.writers.folder.save`."""
        from bridge.writers.folder import save

        return save(self, folder)

    def __call__(self, *inputs: Any) -> NoReturn:
        """Refuse to compute, and say what does."""
        raise UsageError(
            "a Network computes nothing itself",
            "it is what MATLAB knows of a network; its torch module computes",
            "model = net.to_torch(); model(x)",
        )

    if not TYPE_CHECKING:  # for which any name would be there

        def __getattr__(self, name: str) -> NoReturn:
            said = f"'Network' object has no attribute {name!r}"
            if name in OF_MODULES:
                said += f", its torch module has: model = net.to_torch(); model.{name}(...)"
            raise AttributeError(said, name=name, obj=self)

    def with_weights(self, module: nn.Module) -> Network:
        """Return this network with the learnables and statistics of a trained module; see `bridge.modules.weights`."""
        from bridge.modules.weights import with_weights

        return with_weights(self, module)

    def set_learn_rate_factor(self, layer: str, learnable: str | Factor, factor: Factor | None = None) -> Network:
        """Return this network with one learn-rate factor changed, as setLearnRateFactor does.

        Args:
            layer, learnable: names, or as one path: `set_learn_rate_factor("block/fc/Weights", 2)`.
            factor: a number, or one for each gate of a recurrent layer.

        Raises:
            UsageError: no such layer or learnable, or a factor that is negative, no number, or too many.
        """
        return self._with_factor("learn_rate_factor", layer, learnable, factor)

    def set_l2_factor(self, layer: str, learnable: str | Factor, factor: Factor | None = None) -> Network:
        """Return this network with one L2 factor changed, as setL2Factor does; see `set_learn_rate_factor`."""
        return self._with_factor("l2_factor", layer, learnable, factor)

    def _with_factor(self, kind: str, layer: str, learnable: Any, factor: Factor | None) -> Network:
        if factor is None:
            path, value = layer, learnable
            layer, _, name = path.rpartition("/")
            if self.layers.has(path) and not self.layers.has(layer):
                known = list(self.layers[path].learnables)
                raise UsageError(
                    f"set_{kind}({path!r}, {value!r}) names no learnable",
                    f"those of layer '{path}' are {', '.join(known)}" if known else f"layer '{path}' has none",
                    f"net = net.set_{kind}({path!r}, {known[0]!r}, {value!r})"
                    if known
                    else "`bridge inspect` shows which layers have some",
                )
        else:
            name, value = str(learnable), factor
        chosen = self.layers[layer]
        if name not in chosen.learnables:
            cause = f"its learnables are {', '.join(chosen.learnables) or 'none'}"
            raise UsageError(
                f"layer '{layer}' has no learnable {name!r}",
                cause,
                "write layer and learnable, or a path: 'conv1/Weights'",
            )
        change: dict[str, Any] = {kind: checked_gates(chosen.row, name, value)}
        changed = replace(chosen.learnables[name], assumed=False, **change)
        return self.with_layers({layer: replace(chosen, learnables={**chosen.learnables, name: changed})})

    def freeze(self, what: Selection, *, batch_norm: bool = True) -> Network:
        """Return this network with the learn-rate factors of the chosen layers set to 0.

        Args:
            what: layers (`net.layers[:10]`), a name, a glob ("*" freezes everything), a kind, several of these, or a
                predicate.
            batch_norm: whether Scale and Offset of normalisation layers freeze too: True is what freezeNetwork and the
                newer freezeWeights do, False the older freezeWeights, which knows only weights and biases and sets
                their L2 factors to 0 as well. The statistics of batch normalisation never freeze.

        Raises:
            UsageError: no layer fits.
        """
        frozen: dict[str, Any] = (
            {"learn_rate_factor": 0.0} if batch_norm else {"learn_rate_factor": 0.0, "l2_factor": 0.0}
        )
        changed = {}
        for layer in self.select(what):
            kept = () if batch_norm else NORMALIZATION
            learnables = {
                name: each if name in kept else replace(each, assumed=False, **frozen)
                for name, each in layer.learnables.items()
            }
            changed[layer.name] = replace(layer, learnables=learnables)
        return self.with_layers(changed)

    def head(self) -> Head:
        """Return the last layer with weights and what follows, as findLayersToReplace and networkHead find them; see
        `bridge.network.head`.
        """
        from bridge.network.head import head

        return head(self)

    def replace(self, what: str | Layer | Sequence[Layer], layers: Layer | Sequence[Layer]) -> Network:
        """Return this network with one layer replaced by one or a chain of them, or several by as many; see
        `bridge.network.edit.replace_layers`.
        """
        from bridge.network.edit import fitting, replace_layers

        return fitting(replace_layers(self, what, layers))

    def remove(self, what: Selection) -> Network:
        """Return this network without the chosen layers and their connections, as removeLayers does."""
        from bridge.network.edit import fitting, remove

        return fitting(remove(self, self.select(what)))

    def add(self, layers: Layer | Sequence[Layer]) -> Network:
        """Return this network with layers added, each connected to the next one, as addLayers does."""
        from bridge.network.edit import add, fitting

        return fitting(add(self, layers))

    def connect(self, source: str, destination: str) -> Network:
        """Return this network with a connection added ("a/out", "b/in2"), as connectLayers does."""
        from bridge.network.edit import connected, fitting

        return fitting(connected(self, source, destination))

    def disconnect(self, source: str, destination: str) -> Network:
        """Return this network without a connection, as disconnectLayers does."""
        from bridge.network.edit import disconnected, fitting

        return fitting(disconnected(self, source, destination))

    def with_classes(self, classes: Sequence[str], name: str | None = None, **properties: Any) -> Network:
        """Return this network with a new head for other classes: the recipe of MATLAB's transfer learning.

        The last layer with weights is replaced by a new one of its kind and of the right size, the output layer gets
        the classes; a softmax is put before an output layer that has none, and a regression becomes a classification.
        The new layer has no values yet (`initialize` gives them), and factors of 1 where none are given.

        Args:
            classes: the class names, in order.
            name: of the new layer; without one it keeps the old one's (unconfirmed for imagePretrainedNetwork).
            properties: of the new layer, WeightLearnRateFactor=10 say.

        Raises:
            UsageError: the network has no single head, or a name is no property of it.
        """
        from bridge.network.head import with_classes

        return with_classes(self, classes, name, **properties)

    def with_input_size(self, size: Sequence[int]) -> Network:
        """Return this network for inputs of another size, [height, width] or [height, width, channels].

        Statistics with a value for each pixel are dropped, with a note; those for each channel stay.

        Raises:
            UsageError: a layer forbids it, as a fully connected one does; it is named.
        """
        from bridge.network.edit import with_input_size

        return with_input_size(self, size)

    def initialize(self, rng: int | MatlabStream = 0) -> Network:
        """Return this network with values for every learnable that has none, as MATLAB's initializers draw them.

        Args:
            rng: a seed (0 is a fresh session of MATLAB), or a stream, which goes on; see `bridge.network.initialize`.

        Raises:
            UsageError: the size of a learnable cannot be told, or `rng` is neither.
        """
        from bridge.network.initialize import initialize

        return initialize(self, rng)

    @staticmethod
    def assemble(
        layers: Iterable[Layer],
        connections: Iterable[tuple[str, str]] | None = None,
        classes: Sequence[str] | None = None,
    ) -> Network:
        """Return a network of layers, as assembleNetwork and dlnetwork do.

        Args:
            layers: in MATLAB's order, each with a name; they may still lack values (`initialize` gives them).
            connections: ("relu1", "add/in2") pairs; without them each layer is connected to the next.
            classes: class names, where the output layer has none.

        Raises:
            UsageError: two layers do not fit, or a name is missing, unknown or taken.
        """
        from bridge.network.assembly import assemble

        return assemble(Network, layers, connections, classes)
